/* MessageNew, MessageExpunge and FlagChange in mailboxes that are not selected: STATUS responses, RFC 5465 §5.1 to §5.3. */
#include "imapd/notify_internal.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "imapd/status.h"
#include "store/mailbox.h"

static bool
is_selected(const struct imap_session *s, const struct notify_box *box)
{
	struct imap_place place = { .acct = box->acct, .name = box->name };

	return imap_place_is_selected(s, &place);
}

static void
keep(struct notify_box *box, const struct mailbox_status *st)
{
	box->known = true;
	box->messages = st->messages;
	box->unseen = st->unseen;
	box->uidnext = st->uidnext;
	box->uidvalidity = st->uidvalidity;
	box->modseq = st->highestmodseq;
	box->own_messages = 0;
}

static bool
condstore(const struct imap_session *s)
{
	return (s->enabled & (IMAP_ENABLED_CONDSTORE | IMAP_ENABLED_QRESYNC)) != 0;
}

/* More than RFC 5465 §5.2 asks for: the same as Dovecot, whose clients take UNSEEN from it. */
static unsigned
items_messages(void)
{
	return imap_status_item("MESSAGES") | imap_status_item("UIDNEXT") |
	       imap_status_item("UNSEEN") | imap_status_item("HIGHESTMODSEQ");
}

void
notify_status_begin(struct imap_session *s, struct notify_box *box, bool tell)
{
	struct mailbox_status st = { 0 };

	if (!imap_place_still(s, box->shown, box->acct, ACL_LOOKUP | ACL_READ) ||
	    account_status(box->acct, box->name, &st) != STORE_OK)
		return;
	keep(box, &st);
	if (tell && !is_selected(s, box))
		imap_out_status(s, box->acct, box->shown,
		    items_messages() | imap_status_item("UIDVALIDITY"), &st);
}

/* New in it is only what the session has put there itself. */
static bool
is_own_doing(const struct notify_box *box, const struct mailbox_status *st)
{
	return box->own_messages > 0 && st->uidvalidity == box->uidvalidity &&
	       st->messages == box->messages + box->own_messages &&
	       st->uidnext == box->uidnext + box->own_messages;
}

/* A mailbox that has just come is only worth a STATUS if something is in it. */
static bool
messages_changed(const struct notify_box *box, const struct mailbox_status *st)
{
	if (is_own_doing(box, st))
		return false;
	if (box->uidnext == 0)
		return st->messages > 0;
	return st->messages != box->messages || st->uidnext != box->uidnext;
}

static unsigned
items_changed(
    const struct imap_session *s, const struct notify_box *box, const struct mailbox_status *st)
{
	bool is_new = box->uidnext == 0, own = is_own_doing(box, st);
	unsigned items = 0;

	if (!is_new && st->uidvalidity != box->uidvalidity)
		return items_messages() | imap_status_item("UIDVALIDITY");
	if (messages_changed(box, st))
		items = items_messages();
	if (is_new && items != 0)
		items |= imap_status_item("UIDVALIDITY");
	if ((box->events & NOTIFY_FLAG_CHANGE) == 0 || is_new || own)
		return items;
	if (condstore(s) && st->highestmodseq != box->modseq)
		items |= imap_status_item("HIGHESTMODSEQ") | imap_status_item("UIDVALIDITY");
	if (st->unseen != box->unseen)
		items |= imap_status_item("UNSEEN") | imap_status_item("UIDVALIDITY");
	return items;
}

void
notify_status_update(struct imap_session *s, struct notify_box *box)
{
	struct mailbox_status st = { 0 };
	unsigned items;

	if (box->path == NULL || is_selected(s, box) ||
	    !imap_place_still(s, box->shown, box->acct, ACL_LOOKUP | ACL_READ) ||
	    account_status(box->acct, box->name, &st) != STORE_OK)
		return;
	items = box->known ? items_changed(s, box, &st) : 0;
	keep(box, &st);
	if (items != 0)
		imap_out_status(s, box->acct, box->shown, items, &st);
}
