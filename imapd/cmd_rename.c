#include <string.h>

#include "imapd/commands.h"
#include "imapd/metadata.h"
#include "imapd/names.h"
#include "imapd/notify.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/account.h"
#include "store/mailbox.h"
#include "store/mailbox_name.h"

/* Is the selected mailbox one of those that go along?  INBOX itself stays where it is. */
static bool
selected_moves(const struct imap_session *s, const struct imap_place *from)
{
	struct str selected;

	if (s->box == NULL || mailbox_account(s->box) != from->acct ||
	    mailbox_name_is_inbox(from->name))
		return false;
	selected = str_from(mailbox_name(s->box));
	return str_eq(selected, str_from(from->name)) ||
	       mailbox_name_is_below(selected, str_from(from->name));
}

/* Has one of the names been normalised, the new name is told with the old one as it was written. */
static void
tell_names(struct imap_session *s, const struct imap_place *from, const struct imap_place *to)
{
	if (strcmp(from->shown, from->written) != 0 || strcmp(to->shown, to->written) != 0)
		imap_send_normalized(s, "", to->shown, from->written);
}

/* RENAME.  RFC 9051 §6.3.6.  A session that renames what it has selected has nothing selected
 * afterwards: it must select by the new name. */
static enum imap_result
rename_run(struct imap_session *s, struct imap_request *req)
{
	struct imap_place from, place;
	enum imap_result result;
	const char *problem;
	enum store_err err;
	char *to, *nfc;

	if (!imap_arg_place(s, req, &from) || !imap_arg_mailbox(s, req, &to) || !imap_arg_end(req))
		return IMAP_BAD;
	nfc = imap_mailbox_nfc(req->arena, to);
	to = nfc != NULL ? nfc : to;
	imap_place_of(s, req->arena, to, &place);
	place.written = req->mailbox_written;
	problem = mailbox_name_problem(str_from(place.name));
	if (problem != NULL)
		return imap_no(req, "CANNOT", problem);
	if (!imap_place_may(req, &from, ACL_DELETE_MAILBOX, &result) ||
	    !imap_place_may_create(s, req, &place, &result))
		return result;
	if (!from.own && mailbox_name_is_inbox(from.name))
		return imap_no(req, "CANNOT", "Another user's INBOX stays");
	if (from.acct != place.acct)
		return imap_no(req, "CANNOT", "A mailbox stays in its account");
	err = account_rename_mailbox(from.acct, from.name, place.name);
	if (err == STORE_OK && mailbox_name_is_inbox(from.name))
		imap_metadata_inbox_renamed(s, from.acct, place.name);
	if (err == STORE_OK) {
		imap_notify_own_name(s, from.shown);
		imap_notify_own_name(s, place.shown);
		tell_names(s, &from, &place);
	}
	if (err == STORE_OK && selected_moves(s, &from)) {
		imap_deselect(s);
		imap_untagged(s, "OK [CLOSED] The selected mailbox has a new name");
	}
	return imap_finish(req, err);
}

const struct imap_command imap_cmd_rename = {
	.name = "RENAME",
	.rfc = "RFC 9051 6.3.6",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = rename_run,
};
