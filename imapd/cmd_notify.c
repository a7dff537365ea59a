#include "imapd/messages.h"
#include "imapd/notify.h"
#include "imapd/response.h"
#include "imapd/session.h"

static enum imap_result
bad_event(struct imap_request *req)
{
	struct buf code = { 0 };
	enum imap_result result;

	buf_adds(&code, "BADEVENT (");
	notify_out_events(&code);
	buf_addc(&code, ')');
	result = imap_no(req, buf_cstr(&code), "Not an event this server knows");
	buf_free(&code);
	return result;
}

static enum imap_result
begin(struct imap_session *s, struct imap_request *req)
{
	req->state = s;
	return imap_notify_begin(s) ? IMAP_OK : IMAP_MORE;
}

static enum imap_result
set(struct imap_session *s, struct imap_request *req)
{
	struct str text = { req->args.p, cursor_left(&req->args) };
	enum store_err err;

	switch (imap_notify_set(s, text, &err)) {
	case NOTIFY_PARSED: break;
	case NOTIFY_SYNTAX: return imap_bad(req, "Event groups not understood");
	case NOTIFY_BAD_EVENT: return bad_event(req);
	}
	if (err == STORE_LIMIT)
		return imap_no(req, "NOTIFICATIONOVERFLOW", "Too many mailboxes to watch");
	if (err != STORE_OK)
		return imap_finish(req, err);
	if (imap_notify_wants_modseq(s))
		messages_enable_condstore(s);
	return begin(s, req);
}

/* NOTIFY says what the client wants to be told of, at any time.  RFC 5465 §3.1.  It is a NOOP too: the
 * selected mailbox's changes come with its end. */
static enum imap_result
notify_run(struct imap_session *s, struct imap_request *req)
{
	struct str word;

	if (req->state != NULL)
		return begin(s, req);
	if (!imap_arg_atom(req, &word))
		return IMAP_BAD;
	if (str_eq_nocase(word, STR("SET")))
		return set(s, req);
	if (!str_eq_nocase(word, STR("NONE")))
		return imap_bad(req, "SET or NONE expected");
	if (!imap_arg_end(req))
		return IMAP_BAD;
	imap_notify_none(s);
	return IMAP_OK;
}

const struct imap_command imap_cmd_notify = {
	.name = "NOTIFY",
	.rfc = "RFC 5465 3.1",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = notify_run,
};
