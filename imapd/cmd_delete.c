#include <string.h>

#include "imapd/commands.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/account.h"
#include "store/mailbox.h"

/* DELETE.  RFC 9051 §6.3.5; mailboxes below it stay.  A session that deletes what it has selected has
 * nothing selected afterwards. */
static enum imap_result
delete_run(struct imap_session *s, struct imap_request *req)
{
	enum store_err err;
	char *name;

	if (!imap_arg_mailbox(s, req, &name) || !imap_arg_end(req))
		return IMAP_BAD;
	if (mailbox_name_is_inbox(name))
		return imap_no(req, "CANNOT", "INBOX cannot be deleted");
	err = account_delete_mailbox(s->acct, name);
	if (err == STORE_OK && s->box != NULL && strcmp(mailbox_name(s->box), name) == 0) {
		imap_deselect(s);
		imap_untagged(s, "OK [CLOSED] The selected mailbox is deleted");
	}
	return imap_finish(req, err);
}

const struct imap_command imap_cmd_delete = {
	.name = "DELETE",
	.rfc = "RFC 9051 6.3.5",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = delete_run,
};
