/* UIDBATCHES: the UID ranges of batches of messages. */
#include <inttypes.h>

#include "imapd/parse.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/uidset.h"

#define BATCH_MIN_MESSAGES                                                                         \
	500 /* RFC 10022 §3.1.3.2: no less, so that nobody makes numbers of them */
#define RANGE_MAX_MESSAGES 100000 /* of the batches asked for by their numbers, §3.1.5 */

struct batches {
	uint32_t size;
	uint32_t first, last; /* batch 1 has the highest UIDs; last is UINT32_MAX: all */
};

/* message-batches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number], RFC 10022 §4 */
static bool
parse_batches(struct imap_request *req, struct batches *b)
{
	struct cursor *c = &req->args;

	b->first = 1;
	b->last = UINT32_MAX;
	if (!imap_arg_sp(req) || !imap_parse_nz_number(c, &b->size))
		return false;
	if (cursor_at_end(c))
		return true;
	return imap_parse_sp(c) && imap_parse_nz_number(c, &b->first) && cursor_take(c, ':') &&
	       imap_parse_nz_number(c, &b->last) && cursor_at_end(c);
}

/* A client asks again only when half a batch has come, or more than that gone, §3.1.1, §6; other batches of the same size it may ask for any
 * time. */
static bool
was_asked(struct imap_session *s, const struct batches *b, uint32_t count)
{
	struct imap_batches_asked *asked = &s->batches_asked;
	uint32_t last = b->last < count ? b->last : count;
	struct uidset wanted = { 0 };
	bool again;

	if (asked->size != b->size || asked->arrived >= b->size - b->size / 2 ||
	    asked->expunged > b->size / 2)
		imap_batches_forget(s);
	if (b->first <= last)
		uidset_add_range(&wanted, b->first, last);
	uidset_subtract(&wanted, &asked->batches);
	again = asked->size == b->size && b->first <= last && uidset_is_empty(&wanted);
	asked->size = b->size;
	uidset_union(&asked->batches, &wanted);
	uidset_free(&wanted);
	return again;
}

/* The batches lie side by side: each ends where the next begins, the last one at 1, §3.1.4. */
static void
out_ranges(struct imap_session *s, const struct batches *b, uint32_t count)
{
	const struct uidset *view = mailbox_view(s->box);
	uint32_t messages = uidset_count(view);
	struct mailbox_facts facts;

	mailbox_facts(s->box, &facts);
	for (uint32_t n = b->first; n <= count && n <= b->last; n++) {
		uint64_t above = (uint64_t)(n - 1) * b->size; /* messages in the batches before */
		uint32_t high = n == 1 ? facts.uidnext - 1
				       : uidset_nth(view, messages - (uint32_t)above + 1) - 1;
		uint32_t low =
		    n == count ? 1 : uidset_nth(view, messages - (uint32_t)above - b->size + 1);

		buf_printf(&s->out, "%c%" PRIu32 ":%" PRIu32, n == b->first ? ' ' : ',', high, low);
	}
}

/* uidbatches-response = "UIDBATCHES" search-correlator [SP uid-range *("," uid-range)], RFC 10022 §4 */
static void
send_batches(
    struct imap_session *s, struct imap_request *req, const struct batches *b, uint32_t count)
{
	buf_adds(&s->out, "* UIDBATCHES (TAG ");
	imap_out_string(&s->out, req->tag);
	buf_addc(&s->out, ')');
	out_ranges(s, b, count);
	buf_adds(&s->out, "\r\n");
}

/* UIDBATCHES.  RFC 10022 §3.1. */
static enum imap_result
uidbatches_run(struct imap_session *s, struct imap_request *req)
{
	uint32_t messages = uidset_count(mailbox_view(s->box)), count;
	struct batches b;

	if (!parse_batches(req, &b))
		return imap_bad(req, "Size and range of batches expected");
	if (b.first > b.last) {
		imap_bad(req, "Invalid batch range");
		req->code = "CLIENTBUG";
		return IMAP_BAD;
	}
	if (b.size < BATCH_MIN_MESSAGES)
		return imap_no(req, "TOOFEW", "Minimum batch size is 500");
	if (b.last != UINT32_MAX && ((uint64_t)b.last - b.first + 1) * b.size > RANGE_MAX_MESSAGES)
		return imap_no(req, "TOOMANY", "Too many messages");
	count = messages / b.size + (messages % b.size != 0);
	if (was_asked(s, &b, count))
		return imap_no(req, "LIMIT", "Nothing much has changed since these batches");
	send_batches(s, req, &b, count);
	return IMAP_OK;
}

const struct imap_command imap_cmd_uidbatches = {
	.name = "UIDBATCHES",
	.rfc = "RFC 10022 3.1",
	.states = IMAP_SELECTED,
	.run = uidbatches_run,
};
