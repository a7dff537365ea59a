#include "imapd/progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "imapd/imapd.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "net/metrics.h"

/* "INPROGRESS" [SP "(" inprogress-tag SP inprogress-state ")"], RFC 9585 §5.  A tag with a "]", which clients might take
 * for the code's end, is NIL, §4; numbers are of 32 bits. */
static void
begin_line(struct buf *out, struct str tag)
{
	buf_adds(out, "* OK [INPROGRESS (");
	if (tag.len == 0 || memchr(tag.p, ']', tag.len) != NULL)
		buf_adds(out, "NIL");
	else
		imap_out_string(out, tag);
}

void
imap_progress_alive(struct buf *out, struct str tag)
{
	begin_line(out, tag);
	buf_adds(out, " NIL NIL)] Still working\r\n");
}

static void
write_line(struct buf *out, const struct imap_request *req, uint64_t done, uint64_t goal)
{
	begin_line(out, req->tag);
	if (goal > UINT32_MAX)
		goal = 0;
	if (done > UINT32_MAX)
		done = UINT32_MAX;
	buf_printf(out, " %" PRIu64, done);
	if (goal == 0)
		buf_adds(out, " NIL)] Still working\r\n");
	else
		buf_printf(
		    out, " %" PRIu64 ")] Done with %" PRIu64 "%%\r\n", goal, done * 100 / goal);
}

void
imap_progress(struct imap_session *s, struct imap_request *req, uint64_t done, uint64_t goal)
{
	uint64_t now = metrics_now_ns();
	struct buf line = { 0 };

	if (now < req->progress_due_ns || (goal != 0 && done >= goal))
		return;
	req->progress_due_ns = now + s->imapd->progress_ns;
	write_line(&line, req, done, goal);
	if (s->tell != NULL) {
		s->tell(s->tell_arg, buf_take(&line));
	} else {
		buf_add(&s->out, line.data, line.len);
		buf_free(&line);
	}
}

void
imap_on_progress(void *progress, uint64_t done, uint64_t goal)
{
	const struct imap_progress *p = progress;

	imap_progress(p->s, p->req, done, goal);
}
