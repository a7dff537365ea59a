#include "imapd/append.h"
#include "imapd/response.h"
#include "store/mailbox.h"

/* Of STORE and EXPUNGE, beside that of APPEND, RFC 8508 §4.1. */
#define RIGHTS (ACL_DELETE_MESSAGES | ACL_EXPUNGE)

/* APPENDUID goes ahead of the EXPUNGE of the old message, RFC 8508 §4.3. */
static enum imap_result
replace_commit(struct imap_session *s, struct imap_request *req,
    const struct imap_append_target *target, struct append *ap)
{
	struct buf code = { 0 };
	enum imap_result result;
	enum store_err err;

	if (!imap_selected_is_open(s))
		return imap_no(req, NULL, "Not any more");
	if (!imap_selected_may(s, req, RIGHTS, &result))
		return result;
	err = imap_append_commit(s, target, ap, &code);
	if (err == STORE_OK) {
		if (code.len > 0)
			imap_untagged(s, "OK [%s] Replacement message ready", buf_cstr(&code));
		req->expunged = true;
	}
	buf_free(&code);
	return err == STORE_OK ? IMAP_OK : imap_append_refuse(req, err);
}

/* SP seq-number, or with UID a uniqueid; "*" is the last message. */
static bool
arg_message(struct imap_session *s, struct imap_request *req, uint32_t *uid_out)
{
	uint32_t count = uidset_count(mailbox_view(s->box)), n;

	if (!imap_arg_sp(req) || !imap_parse_seq_number(&req->args, &n)) {
		imap_bad(req, "A message expected");
		return false;
	}
	if (n == IMAP_SEQ_STAR)
		*uid_out = mailbox_seq_to_uid(s->box, count);
	else
		*uid_out = req->uid ? n : mailbox_seq_to_uid(s->box, n);
	if (*uid_out != 0)
		return true;
	imap_bad(req, "Message number beyond the mailbox");
	return false;
}

static enum imap_result
begin(struct imap_session *s, struct imap_request *req)
{
	struct imap_append_target target = { .messages_max = 1, .commit = replace_commit };
	enum imap_result result;

	if (!arg_message(s, req, &target.replaced_uid) || !imap_arg_place(s, req, &target.to))
		return IMAP_BAD;
	if (s->read_only)
		return imap_no(req, NULL, "The mailbox is selected read-only");
	if (!imap_selected_may(s, req, RIGHTS, &result))
		return result;
	if (mailbox_uid_to_seq(s->box, target.replaced_uid) == 0)
		return imap_append_refuse(req, STORE_CHANGED);
	return imap_append_into(s, req, &target);
}

/* REPLACE puts a new message in the place of an old one, in one step.  RFC 8508. */
const struct imap_command imap_cmd_replace = {
	.name = "REPLACE",
	.rfc = "RFC 8508",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID,
	.run = imap_append_run,
	.begin = begin,
};
