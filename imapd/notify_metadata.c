/* MailboxMetadataChange and ServerMetadataChange, RFC 5465 §5.6 and §5.7: names of entries, never values. */
#include "imapd/metadata.h"
#include "imapd/notify_internal.h"
#include "imapd/response.h"
#include "imapd/session.h"

void
notify_metadata_begin(struct imap_session *s)
{
	struct imap_notify *n = s->notify;

	if ((notify_plan_all_events(&n->plan) & NOTIFY_METADATA) == 0)
		return;
	n->state_path = mem_printf("%s/state.db-wal", account_path(s->acct));
	n->metadata_last = imap_metadata_last(s->acct);
}

static bool
is_wanted(const struct imap_notify *n, const char *mailbox)
{
	const struct notify_box *box;

	if (mailbox == NULL)
		return (notify_plan_all_events(&n->plan) & NOTIFY_SERVER_METADATA) != 0;
	box = notify_boxes_find(&n->boxes, mailbox);
	return box != NULL && (box->events & NOTIFY_MAILBOX_METADATA) != 0;
}

/* metadata-resp = "METADATA" SP mailbox SP entry-list, RFC 5464 §5 */
static void
tell(void *arg, const char *mailbox, const char *entry)
{
	struct imap_session *s = arg;

	if (!is_wanted(s->notify, mailbox))
		return;
	buf_adds(&s->out, "* METADATA ");
	imap_out_mailbox(s, mailbox != NULL ? mailbox : "");
	buf_addc(&s->out, ' ');
	imap_out_astring(&s->out, str_from(entry));
	buf_adds(&s->out, "\r\n");
}

void
notify_metadata_update(struct imap_session *s)
{
	struct imap_notify *n = s->notify;

	n->metadata_moved = false;
	if (n->state_path == NULL)
		return;
	imap_metadata_changes(
	    s->acct, &n->metadata_last, n->own_metadata_first, n->own_metadata_last, tell, s);
	n->own_metadata_first = n->own_metadata_last = 0;
}

void
imap_notify_own_metadata(struct imap_session *s, uint64_t first, uint64_t last)
{
	struct imap_notify *n = s->notify;

	if (n == NULL || n->state_path == NULL || first == 0)
		return;
	if (n->own_metadata_first == 0)
		n->own_metadata_first = first;
	n->own_metadata_last = last;
	n->metadata_moved = true;
}
