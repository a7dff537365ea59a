#include "imapd/commands.h"
#include "imapd/metadata.h"
#include "imapd/notify.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/account.h"
#include "store/mailbox_name.h"

/* Is it a name that LIST shows only because of mailboxes below it? */
static bool
has_children(const struct imap_place *place)
{
	struct mailbox_list list = { 0 };
	bool found = false;

	if (account_list(place->acct, &list) == STORE_OK)
		for (size_t i = 0; i < list.count && !found; i++)
			found = (list.boxes[i].attributes & MAILBOX_NONEXISTENT) == 0 &&
				mailbox_name_is_below(
				    str_from(list.boxes[i].name), str_from(place->name));
	mailbox_list_free(&list);
	return found;
}

/* DELETE.  RFC 9051 §6.3.5; mailboxes below it stay.  A session that deletes what it has selected has
 * nothing selected afterwards. */
static enum imap_result
delete_run(struct imap_session *s, struct imap_request *req)
{
	char id[STORE_MAILBOX_ID_MAX];
	struct imap_place place;
	enum imap_result result;
	enum store_err err;

	if (!imap_arg_place(s, req, &place) || !imap_arg_end(req))
		return IMAP_BAD;
	if (!imap_place_may(req, &place, ACL_DELETE_MAILBOX, &result))
		return result;
	if (mailbox_name_is_inbox(place.name))
		return imap_no(req, "CANNOT", "INBOX cannot be deleted");
	if (account_mailbox_id(place.acct, place.name, id) != STORE_OK)
		id[0] = '\0';
	err = account_delete_mailbox(place.acct, place.name);
	if (err == STORE_OK) {
		imap_metadata_deleted(s, &place, id);
		imap_notify_own_name(s, place.shown);
		imap_send_normalized(s, "\\NonExistent", place.shown, place.written);
	} else if (err == STORE_NOT_FOUND && has_children(&place)) {
		return imap_no(req, "HASCHILDREN", "Only the mailboxes below it can be deleted");
	}
	if (err == STORE_OK && imap_place_is_selected(s, &place)) {
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
