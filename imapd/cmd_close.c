/* CLOSE, UNSELECT and CHECK: the short commands on the selected mailbox. */
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/acl.h"

/* CLOSE expunges silently, unless the mailbox is read-only or this user has no right to (RFC 4314 §4), and leaves it; where that fails
 * it stays selected.  RFC 9051 §6.4.1. */
static enum imap_result
close_command(struct imap_session *s, struct imap_request *req)
{
	enum store_err err = STORE_OK;

	if (!imap_arg_end(req))
		return IMAP_BAD;
	if (!s->read_only && (s->rights & ACL_EXPUNGE) != 0)
		err = mailbox_expunge(s->box, NULL, NULL);
	if (err != STORE_OK)
		return imap_finish(req, err);
	imap_deselect(s);
	return IMAP_OK;
}

/* UNSELECT leaves the mailbox and expunges nothing.  RFC 9051 §6.4.2. */
static enum imap_result
unselect_command(struct imap_session *s, struct imap_request *req)
{
	if (!imap_arg_end(req))
		return IMAP_BAD;
	imap_deselect(s);
	return IMAP_OK;
}

/* CHECK: there is nothing that is not on disk already, but the folder may hold what the index does not say; what is
 * new is reported as with NOOP.  RFC 3501 §6.4.1. */
static enum imap_result
check_command(struct imap_session *s, struct imap_request *req)
{
	if (!imap_arg_end(req))
		return IMAP_BAD;
	return imap_finish(req, mailbox_verify(s->box));
}

const struct imap_command imap_cmd_close = {
	.name = "CLOSE",
	.rfc = "RFC 9051 6.4.1",
	.states = IMAP_SELECTED,
	.run = close_command,
};

const struct imap_command imap_cmd_unselect = {
	.name = "UNSELECT",
	.rfc = "RFC 9051 6.4.2",
	.states = IMAP_SELECTED,
	.run = unselect_command,
};

const struct imap_command imap_cmd_check = {
	.name = "CHECK",
	.rfc = "RFC 3501 6.4.1",
	.states = IMAP_SELECTED,
	.run = check_command,
};
