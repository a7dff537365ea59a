/* Changes of annotations by others, RFC 5464 §4.4.2: names of entries, never values. */
#include <stdlib.h>
#include <string.h>

#include "imapd/metadata.h"
#include "imapd/notify.h"
#include "imapd/place.h"
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

/* --- what a session was told -------------------------------------------------------------------- */

/* NULL: one that is not watched, since METADATA is not enabled. */
static struct imap_metadata_seen *
seen_of(struct imap_session *s, const struct account *acct)
{
	if (acct == s->acct)
		return &s->metadata_seen;
	for (size_t i = 0; i < s->metadata_other_count; i++)
		if (s->metadata_others[i].acct == acct)
			return &s->metadata_others[i].seen;
	return NULL;
}

static struct imap_metadata_seen *
seen_of_other(struct imap_session *s, const struct account *acct)
{
	struct imap_metadata_seen *seen = seen_of(s, acct);

	if (seen != NULL)
		return seen;
	s->metadata_others = mem_realloc_array(
	    s->metadata_others, s->metadata_other_count + 1, sizeof(*s->metadata_others));
	s->metadata_others[s->metadata_other_count] = (struct imap_metadata_other){ .acct = acct };
	return &s->metadata_others[s->metadata_other_count++].seen;
}

void
imap_metadata_report_end(struct imap_session *s)
{
	free(s->metadata_others);
	s->metadata_others = NULL;
	s->metadata_other_count = 0;
	s->metadata_seen = (struct imap_metadata_seen){ 0 };
}

void
imap_metadata_own(struct imap_session *s, const struct account *acct, uint64_t first, uint64_t last)
{
	struct imap_metadata_seen *seen = seen_of(s, acct);

	imap_notify_own_metadata(s, acct, first, last);
	if (first == 0 || seen == NULL || !seen->begun)
		return;
	if (seen->own_first == 0)
		seen->own_first = first;
	seen->own_last = last;
}

/* --- telling it --------------------------------------------------------------------------------- */

struct telling {
	struct imap_session *s;
	const struct account *owner; /* of another account; NULL: the own one */
};

/* metadata-resp = "METADATA" SP mailbox SP entry-list */
static void
say_entry(struct imap_session *s, const char *shown, const char *entry)
{
	buf_adds(&s->out, "* METADATA ");
	imap_out_mailbox(s, shown);
	buf_addc(&s->out, ' ');
	imap_out_astring(&s->out, str_from(entry));
	buf_adds(&s->out, "\r\n");
}

void
imap_metadata_say_others(
    struct imap_session *s, const struct account *owner, const char *mailbox, const char *entry)
{
	static const unsigned ANY = ACL_READ | ACL_SEEN | ACL_WRITE | ACL_INSERT | ACL_POST;
	struct arena arena = { 0 };
	struct imap_place place;
	const char *shown;

	if (mailbox == NULL || !imap_metadata_is_shared(entry))
		return;
	shown = imap_place_shown(s, &arena, account_address(owner), mailbox);
	if (imap_place_of(s, &arena, shown, &place) == STORE_OK && place.acct != NULL &&
	    (place.rights & ACL_LOOKUP) != 0 && (place.rights & ANY) != 0)
		say_entry(s, place.shown, entry);
	arena_free(&arena);
}

static void
say(void *arg, const char *mailbox, const char *entry)
{
	const struct telling *t = arg;

	if (t->owner != NULL)
		imap_metadata_say_others(t->s, t->owner, mailbox, entry);
	else
		say_entry(t->s, mailbox != NULL ? mailbox : "", entry);
}

static void
report(struct imap_session *s, struct account *acct, struct imap_metadata_seen *seen)
{
	struct telling t = { s, acct != s->acct ? acct : NULL };
	struct changes c = { .skip_first = seen->own_first, .skip_last = seen->own_last };
	struct state_stamp stamp;
	bool settled;

	if (!seen->begun) {
		seen->begun = true;
		seen->last = imap_metadata_last(acct);
		return;
	}
	settled = state_stamp(account_dir_fd(acct), &stamp);
	if (memcmp(&stamp, &seen->stamp, sizeof(stamp)) == 0)
		return;
	if (read_changes(acct, seen->last, &c)) {
		seen->last = c.last;
		seen->own_first = seen->own_last = 0;
		seen->stamp = settled ? stamp : (struct state_stamp){ 0 };
		with_names(acct, &c, say, &t);
	}
	arena_free(&c.arena);
}

void
imap_metadata_report(struct imap_session *s)
{
	size_t others = s->other_count; /* saying it may open no more of them */

	if (!imap_enabled(s, IMAP_ENABLED_METADATA) || s->acct == NULL)
		return;
	report(s, s->acct, &s->metadata_seen);
	for (size_t i = 0; i < others; i++)
		report(s, s->others[i], seen_of_other(s, s->others[i]));
}
