/* MailboxMetadataChange and ServerMetadataChange, RFC 5465 §5.6 and §5.7: names of entries, never values. */
#include <stdlib.h>

#include "imapd/metadata.h"
#include "imapd/notify_internal.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"

static struct notify_state *
find_state(const struct imap_notify *n, const struct account *acct)
{
	for (size_t i = 0; i < n->state_count; i++)
		if (n->states[i].acct == acct)
			return &n->states[i];
	return NULL;
}

static void
add_state(struct imap_notify *n, struct account *acct)
{
	if (find_state(n, acct) != NULL)
		return;
	n->states = mem_realloc_array(n->states, n->state_count + 1, sizeof(*n->states));
	n->states[n->state_count++] = (struct notify_state){ .acct = acct,
		.last = imap_metadata_last(acct),
		.path = mem_printf("%s/state.db-wal", account_path(acct)) };
	n->watches_changed = true;
}

void
notify_metadata_begin(struct imap_session *s)
{
	struct imap_notify *n = s->notify;

	if ((notify_plan_all_events(&n->plan) & NOTIFY_METADATA) == 0)
		return;
	add_state(n, s->acct);
	for (size_t i = 0; i < n->boxes.count; i++) {
		const struct notify_box *box = &n->boxes.items[i];

		if (box->acct != NULL && (box->events & NOTIFY_MAILBOX_METADATA) != 0)
			add_state(n, box->acct);
	}
}

void
notify_metadata_free(struct imap_notify *n)
{
	for (size_t i = 0; i < n->state_count; i++)
		free(n->states[i].path);
	free(n->states);
	n->states = NULL;
	n->state_count = 0;
}

static bool
is_wanted(const struct imap_notify *n, const char *shown)
{
	const struct notify_box *box;

	if (shown == NULL)
		return (notify_plan_all_events(&n->plan) & NOTIFY_SERVER_METADATA) != 0;
	box = notify_boxes_find(&n->boxes, shown);
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

struct telling {
	struct imap_session *s;
	const struct account *owner;
};

static void
tell_others(void *arg, const char *mailbox, const char *entry)
{
	const struct telling *t = arg;
	struct arena arena = { 0 };

	if (mailbox != NULL && is_wanted(t->s->notify, imap_place_shown(t->s, &arena,
							   account_address(t->owner), mailbox)))
		imap_metadata_say_others(t->s, t->owner, mailbox, entry);
	arena_free(&arena);
}

void
notify_metadata_update(struct imap_session *s)
{
	struct imap_notify *n = s->notify;

	n->metadata_moved = false;
	notify_metadata_begin(s);
	for (size_t i = 0; i < n->state_count; i++) {
		struct notify_state *st = &n->states[i];
		struct telling t = { s, st->acct };

		imap_metadata_changes(st->acct, &st->last, st->own_first, st->own_last,
		    st->acct == s->acct ? tell : tell_others, st->acct == s->acct ? (void *)s : &t);
		st->own_first = st->own_last = 0;
	}
}

void
imap_notify_own_metadata(
    struct imap_session *s, const struct account *acct, uint64_t first, uint64_t last)
{
	struct notify_state *st = s->notify != NULL ? find_state(s->notify, acct) : NULL;

	if (st == NULL || first == 0)
		return;
	if (st->own_first == 0)
		st->own_first = first;
	st->own_last = last;
	s->notify->metadata_moved = true;
}
