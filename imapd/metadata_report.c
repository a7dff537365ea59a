/* Changes of annotations by others, RFC 5464 §4.4.2: names of entries, never values. */
#include <string.h>

#include "imapd/metadata.h"
#include "imapd/notify.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/account.h"
#include "store/state_metadata.h"

struct change {
	const char *mailbox_id, *entry;
};

struct changes {
	struct arena arena;
	struct change *all;
	size_t count, cap;
	uint64_t last;
	uint64_t skip_first, skip_last;
};

static bool
on_change(void *arg, uint64_t number, const char *mailbox_id, const char *entry)
{
	struct changes *c = arg;

	c->last = number;
	if (number >= c->skip_first && number <= c->skip_last)
		return true;
	if (c->count == c->cap) {
		struct change *bigger;

		c->cap = c->cap > 0 ? 2 * c->cap : 16;
		bigger = arena_alloc(&c->arena, c->cap * sizeof(*bigger));
		if (c->count > 0)
			memcpy(bigger, c->all, c->count * sizeof(*bigger));
		c->all = bigger;
	}
	c->all[c->count++] =
	    (struct change){ arena_strdup(&c->arena, mailbox_id), arena_strdup(&c->arena, entry) };
	return true;
}

/* A state.db that was begun anew counts from 1 again: what is in it is news. */
static bool
read_changes(struct account *acct, uint64_t since, struct changes *c)
{
	uint64_t last = 0;
	struct state *st;
	enum store_err err = state_open(account_dir_fd(acct), false, account_log(acct), &st);

	if (err != STORE_OK)
		return false;
	err = state_metadata_last(st, &last);
	if (last < since)
		since = 0;
	c->last = since;
	if (err == STORE_OK && last > since)
		err = state_metadata_changes(st, since, on_change, c);
	state_close(st);
	return err == STORE_OK;
}

/* Each change with the name its mailbox has now; of one that is gone nothing is said. */
static void
with_names(struct account *acct, const struct changes *c,
    void (*each)(void *arg, const char *mailbox, const char *entry), void *arg)
{
	struct mailbox_list list = { 0 };
	bool mailboxes = false;

	for (size_t i = 0; i < c->count; i++) {
		if (*c->all[i].mailbox_id == '\0')
			each(arg, NULL, c->all[i].entry);
		else
			mailboxes = true;
	}
	if (!mailboxes || account_list(acct, &list) != STORE_OK) {
		mailbox_list_free(&list);
		return;
	}
	for (size_t b = 0; b < list.count; b++) {
		char id[STORE_MAILBOX_ID_MAX];

		if ((list.boxes[b].attributes & MAILBOX_NONEXISTENT) != 0 ||
		    account_mailbox_id(acct, list.boxes[b].name, id) != STORE_OK)
			continue;
		for (size_t i = 0; i < c->count; i++)
			if (strcmp(c->all[i].mailbox_id, id) == 0)
				each(arg, list.boxes[b].name, c->all[i].entry);
	}
	mailbox_list_free(&list);
}

uint64_t
imap_metadata_last(struct account *acct)
{
	uint64_t last = 0;
	struct state *st;

	if (state_open(account_dir_fd(acct), false, account_log(acct), &st) != STORE_OK)
		return 0;
	state_metadata_last(st, &last);
	state_close(st);
	return last;
}

void
imap_metadata_changes(struct account *acct, uint64_t *since, uint64_t skip_first,
    uint64_t skip_last, void (*each)(void *arg, const char *mailbox, const char *entry), void *arg)
{
	struct changes c = { .skip_first = skip_first, .skip_last = skip_last };

	if (read_changes(acct, *since, &c)) {
		*since = c.last;
		with_names(acct, &c, each, arg);
	}
	arena_free(&c.arena);
}

void
imap_metadata_own(struct imap_session *s, uint64_t first, uint64_t last)
{
	struct imap_metadata_seen *seen = &s->metadata_seen;

	imap_notify_own_metadata(s, first, last);
	if (first == 0 || !seen->begun)
		return;
	if (seen->own_first == 0)
		seen->own_first = first;
	seen->own_last = last;
}

/* metadata-resp = "METADATA" SP mailbox SP entry-list */
static void
say(void *arg, const char *mailbox, const char *entry)
{
	struct imap_session *s = arg;

	buf_adds(&s->out, "* METADATA ");
	imap_out_mailbox(s, mailbox != NULL ? mailbox : "");
	buf_addc(&s->out, ' ');
	imap_out_astring(&s->out, str_from(entry));
	buf_adds(&s->out, "\r\n");
}

void
imap_metadata_report(struct imap_session *s)
{
	struct imap_metadata_seen *seen = &s->metadata_seen;
	struct state_stamp stamp;
	struct changes c = { .skip_first = seen->own_first, .skip_last = seen->own_last };
	bool settled;

	if (!imap_enabled(s, IMAP_ENABLED_METADATA) || s->acct == NULL)
		return;
	if (!seen->begun) {
		seen->begun = true;
		seen->last = imap_metadata_last(s->acct);
		return;
	}
	settled = state_stamp(account_dir_fd(s->acct), &stamp);
	if (memcmp(&stamp, &seen->stamp, sizeof(stamp)) == 0)
		return;
	if (read_changes(s->acct, seen->last, &c)) {
		seen->last = c.last;
		seen->own_first = seen->own_last = 0;
		seen->stamp = settled ? stamp : (struct state_stamp){ 0 };
		with_names(s->acct, &c, say, s);
	}
	arena_free(&c.arena);
}
