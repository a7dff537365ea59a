#include "imapd/messages.h"
#include "imapd/place.h"
#include "imapd/response.h"

static enum imap_result
expunge(struct imap_session *s, struct imap_request *req, const struct uidset *uids)
{
	struct uidset expunged = { 0 };
	enum imap_result result;
	enum store_err err;

	if (!imap_arg_end(req))
		return IMAP_BAD;
	if (!imap_selected_may(s, req, ACL_EXPUNGE, &result))
		return result;
	if (s->read_only)
		return imap_no(req, NULL, "The mailbox is selected read-only");
	err = mailbox_expunge(s->box, uids, &expunged);
	req->expunged = !uidset_is_empty(&expunged);
	uidset_free(&expunged);
	return imap_finish(req, err);
}

/* Of UID EXPUNGE only so many as one command may take; EXPUNGE itself has no such limit, RFC 9738 §3.1. */
static enum store_err
keep_deleted(struct imap_session *s, struct imap_request *req, struct uidset *uids)
{
	struct mailbox_query query = { .within = uids, .flags_set = MESSAGE_DELETED };
	struct uidset deleted = { 0 };
	enum store_err err;

	if (messages_limit(s) == 0 || uidset_count(uids) <= messages_limit(s))
		return STORE_OK;
	err = mailbox_find(s->box, &query, &deleted, NULL);
	messages_keep_limit(s, req, &deleted);
	uidset_swap(uids, &deleted);
	uidset_free(&deleted);
	return err;
}

/* EXPUNGE removes what is marked \Deleted, UID EXPUNGE only of the UIDs named.  The EXPUNGE
 * responses are the session's next update.  RFC 9051 §6.4.3, §6.4.9. */
static enum imap_result
expunge_command(struct imap_session *s, struct imap_request *req)
{
	struct uidset uids = { 0 };
	enum imap_result result = IMAP_BAD;

	if (!req->uid)
		return expunge(s, req, NULL);
	if (!messages_arg_set(s, req, &uids))
		result = IMAP_BAD;
	else if (keep_deleted(s, req, &uids) != STORE_OK)
		result = imap_no(req, "UNAVAILABLE", "The messages could not be looked at");
	else
		result = expunge(s, req, &uids);
	uidset_free(&uids);
	return result;
}

const struct imap_command imap_cmd_expunge = {
	.name = "EXPUNGE",
	.rfc = "RFC 9051 6.4.3",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID | IMAP_CMD_NUMBERLESS,
	.run = expunge_command,
};
