#include "imapd/commands.h"
#include "imapd/news.h"
#include "imapd/notify.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/mailbox.h"

/* What has changed goes out at once; EXPUNGE too, since no command by sequence numbers can be
 * under way, RFC 2177 §3. */
static enum imap_result
wait_for_more(struct imap_session *s)
{
	if (!imap_news_is_pending(s)) /* not within a FETCH response */
		imap_metadata_report(s);
	return imap_send_updates(s, true) ? IMAP_WAIT : IMAP_MORE;
}

/* Called again.  With nothing to say nobody waits for us: time to look for what other programs may have changed
 * unseen. */
static enum imap_result
look_again(struct imap_session *s)
{
	enum imap_result result;

	if (!imap_news_is_pending(s) && !imap_account_is_there(s))
		return IMAP_NO;
	if (s->notify != NULL)
		return imap_notify_run(s, true) == IMAP_MORE ? IMAP_MORE : IMAP_WAIT;
	result = wait_for_more(s);
	if (result == IMAP_WAIT && s->out.len == 0 && s->box != NULL &&
	    mailbox_verify(s->box) == STORE_OK)
		result = wait_for_more(s);
	return result;
}

/* IDLE.  RFC 9051 §6.3.13, RFC 2177.  The connection calls again when the watched mailbox moves or
 * the client has said something; until then nothing runs. */
static enum imap_result
idle_run(struct imap_session *s, struct imap_request *req)
{
	if (req->state != NULL) {
		if (req->line.p == NULL)
			return look_again(s);
		if (str_eq_nocase(req->line, STR("DONE")))
			return IMAP_OK;
		return imap_bad(req, "DONE expected");
	}
	if (!imap_arg_end(req))
		return IMAP_BAD;
	req->state = s; /* from now on it is idle; an arena's block would be kept for hours */
	buf_adds(&s->out, "+ idling\r\n");
	s->watch = s->box != NULL || imap_enabled(s, IMAP_ENABLED_METADATA);
	return wait_for_more(s);
}

const struct imap_command imap_cmd_idle = {
	.name = "IDLE",
	.rfc = "RFC 9051 6.3.13",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = idle_run,
};
