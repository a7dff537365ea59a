#include "admin/import_remote.h"

#include <stdlib.h>

#include "admin/import_batch.h"
#include "base/mem.h"
#include "store/mailbox.h"

/* --- the list ----------------------------------------------------------------------------------- */

void
remote_clear(struct remote_list *l)
{
	l->count = 0;
	l->doubled = 0;
	l->last_keywords = NULL;
	l->last_count = 0;
	arena_reset(&l->arena);
}

void
remote_free(struct remote_list *l)
{
	free(l->items);
	arena_free(&l->arena);
	*l = (struct remote_list){ 0 };
}

static bool
same_keywords(const struct remote_list *l, const struct imap_fetched *f)
{
	if (l->last_count != f->keyword_count)
		return false;
	for (size_t i = 0; i < f->keyword_count; i++)
		if (!str_eq(l->last_keywords[i], f->keywords[i]))
			return false;
	return true;
}

static void
take_keywords(struct remote_list *l, const struct imap_fetched *f)
{
	l->last_keywords = arena_alloc(&l->arena, (f->keyword_count + 1) * sizeof(struct str));
	l->last_count = f->keyword_count;
	for (size_t i = 0; i < f->keyword_count; i++)
		l->last_keywords[i] =
		    (struct str){ arena_strndup(&l->arena, f->keywords[i].p, f->keywords[i].len),
			    f->keywords[i].len };
}

void
remote_add(struct remote_list *l, const struct imap_fetched *f)
{
	struct remote *r;

	if (l->count == l->cap) {
		l->cap = l->cap == 0 ? 256 : 2 * l->cap;
		l->items = mem_realloc_array(l->items, l->cap, sizeof(*l->items));
	}
	if (f->keyword_count > 0 && !same_keywords(l, f))
		take_keywords(l, f);
	r = &l->items[l->count++];
	*r = (struct remote){ .uid = f->uid,
		.flags = f->flags,
		.keywords = f->keyword_count > 0 ? l->last_keywords : NULL,
		.keyword_count = f->keyword_count,
		.date_s = f->has_date ? f->date_s : -1,
		.size = f->size_bytes };
}

static int
by_uid(const void *a, const void *b)
{
	const struct remote *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* News of a message while the list came tell its flags once more: the same message, if it is as large. */
void
remote_sort(struct remote_list *l)
{
	size_t kept = 0;

	if (l->count > 1)
		qsort(l->items, l->count, sizeof(*l->items), by_uid);
	for (size_t i = 0; i < l->count; i++) {
		struct remote *last = kept > 0 ? &l->items[kept - 1] : NULL;

		if (last == NULL || last->uid != l->items[i].uid)
			l->items[kept++] = l->items[i];
		else if (last->size == 0 && last->date_s < 0)
			*last = l->items[i];
		else if (l->items[i].size != 0 && l->items[i].size != last->size)
			l->doubled = last->uid;
	}
	l->count = kept;
}

struct remote *
remote_find(struct remote_list *l, uint32_t uid)
{
	struct remote key = { .uid = uid };

	return l->count > 0 ? bsearch(&key, l->items, l->count, sizeof(key), by_uid) : NULL;
}

uint32_t
remote_last_uid(const struct remote_list *l)
{
	return l->count > 0 ? l->items[l->count - 1].uid : 0;
}

uint32_t
remote_join(struct remote_list *l, const struct import_row *rows, size_t count)
{
	uint32_t joined = 0;
	size_t at = 0;

	for (size_t i = 0; i < l->count; i++) {
		while (at < count && rows[at].uid < l->items[i].uid)
			at++;
		l->items[i].row = at < count && rows[at].uid == l->items[i].uid ? &rows[at] : NULL;
		joined += l->items[i].row != NULL;
	}
	return joined;
}

static int
by_digest(const void *a, const void *b)
{
	const struct import_row *x = a, *y = b;
	int order = memcmp(x->digest, y->digest, IMPORT_DIGEST_BYTES);

	if (order != 0)
		return order;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

void
remote_sort_rows(struct import_row *rows, size_t count)
{
	if (count > 1)
		qsort(rows, count, sizeof(*rows), by_digest);
}

const struct import_row *
remote_match(const struct import_row *rows, size_t count, bool *used, const struct remote *r)
{
	size_t from = 0, to = count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (memcmp(rows[middle].digest, r->digest, IMPORT_DIGEST_BYTES) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	for (size_t i = from; r->has_digest && i < count &&
			      memcmp(rows[i].digest, r->digest, IMPORT_DIGEST_BYTES) == 0;
	     i++) {
		if (used[i] || rows[i].size != r->size)
			continue;
		used[i] = true;
		return &rows[i];
	}
	return NULL;
}

/* --- flags here --------------------------------------------------------------------------------- */

struct local {
	uint32_t uid;
	const char *flags;
};
struct locals {
	struct mailbox *box;
	struct arena arena;
	struct local *items;
	size_t count;
	uint64_t modseq; /* nothing in the list is newer */
};

static const char *
flags_text(struct arena *arena, unsigned flags, const struct str *keywords, size_t count)
{
	struct buf text = { 0 };
	const char *copy;

	import_flags(&text, flags, keywords, count);
	copy = arena_strdup(arena, buf_cstr(&text));
	buf_free(&text);
	return copy;
}

static bool
on_message(void *arg, const struct message *m)
{
	struct locals *l = arg;
	struct str keywords[MAILBOX_KEYWORDS_MAX];
	size_t count = 0;

	for (unsigned i = 0; i < mailbox_keyword_count(l->box); i++) {
		const char *name = mailbox_keyword_name(l->box, i);

		if (keyword_set_has(&m->keywords, i) && name != NULL && *name != '\0')
			keywords[count++] = str_from(name);
	}
	if ((l->count & (l->count - 1)) == 0)
		l->items = mem_realloc_array(
		    l->items, l->count == 0 ? 1 : 2 * l->count, sizeof(*l->items));
	l->items[l->count++] =
	    (struct local){ m->uid, flags_text(&l->arena, m->flags, keywords, count) };
	return true;
}

static enum store_err
read_locals(struct locals *l, const struct remote_compare *c)
{
	enum store_err err = mailbox_open(c->mail, c->box->local, false, &l->box);
	struct mailbox_facts facts;

	if (err != STORE_OK)
		return err;
	mailbox_facts(l->box, &facts);
	l->modseq = facts.highestmodseq;
	return mailbox_messages(l->box, mailbox_view(l->box), on_message, l);
}

static void
locals_free(struct locals *l)
{
	mailbox_close(l->box);
	arena_free(&l->arena);
	free(l->items);
}

static int
by_local_uid(const void *a, const void *b)
{
	const struct local *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static const struct local *
find_local(const struct locals *l, uint32_t uid)
{
	struct local key = { .uid = uid };

	return l->count > 0 ? bsearch(&key, l->items, l->count, sizeof(key), by_local_uid) : NULL;
}

/* --- what is to be done ------------------------------------------------------------------------- */

struct change {
	const char *flags; /* as they shall be */
	const struct remote *remote;
	const struct import_row *row;
	bool done; /* here already: only the record lacks it */
};
struct plan {
	struct change *changes;
	size_t change_count;
	const struct import_row **gone; /* there */
	size_t gone_count;
	struct uidset expunge; /* of those, here */
};

/* Was it marked for expunging by a run that was killed before it did that? */
static bool
is_marked(const char *flags, const char *before)
{
	unsigned now = (unsigned)strtoul(flags, NULL, 10),
		 then = (unsigned)strtoul(before, NULL, 10);
	const char *rest = strchr(flags, ' '), *rest_before = strchr(before, ' ');

	return now == (then | MESSAGE_DELETED) &&
	       strcmp(rest != NULL ? rest : "", rest_before != NULL ? rest_before : "") == 0;
}

static void
plan_flags(struct plan *p, struct locals *l, const struct import_row *row, const struct remote *r)
{
	const struct local *here = row->local_uid != 0 ? find_local(l, row->local_uid) : NULL;
	const char *there = flags_text(&l->arena, r->flags, r->keywords, r->keyword_count);
	bool same_here;

	if (here == NULL || strcmp(there, row->flags) == 0)
		return;
	same_here = strcmp(here->flags, there) == 0;
	if (!same_here && strcmp(here->flags, row->flags) != 0)
		return; /* changed here: that stays */
	p->changes[p->change_count++] = (struct change){ there, r, row, same_here };
}

static void
plan_gone(struct plan *p, const struct locals *l, const struct import_row *row)
{
	const struct local *here = row->local_uid != 0 ? find_local(l, row->local_uid) : NULL;

	p->gone[p->gone_count++] = row;
	if (here != NULL &&
	    (strcmp(here->flags, row->flags) == 0 || is_marked(here->flags, row->flags)))
		uidset_add(&p->expunge, here->uid);
}

static void
make_plan(struct plan *p, struct locals *l, const struct remote_compare *c)
{
	size_t at = 0;

	for (size_t i = 0; i < c->row_count; i++) {
		while (at < c->remote->count && c->remote->items[at].uid < c->rows[i].uid)
			at++;
		if (at < c->remote->count && c->remote->items[at].uid == c->rows[i].uid)
			plan_flags(p, l, &c->rows[i], &c->remote->items[at]);
		else if (c->expunge)
			plan_gone(p, l, &c->rows[i]);
	}
}

/* --- doing it ----------------------------------------------------------------------------------- */

static int
by_flags(const void *a, const void *b)
{
	return strcmp(((const struct change *)a)->flags, ((const struct change *)b)->flags);
}

/* Changes [from, to), which want the same flags. */
static enum store_err
change_group(
    struct remote_compare *c, const struct locals *l, struct change *from, struct change *to)
{
	const char *keywords[IMAP_FLAGS_MAX];
	struct flags_change change = { .mode = FLAGS_REPLACE,
		.flags = from->remote->flags,
		.keywords = keywords,
		.has_unchanged_since = true,
		.unchanged_since = l->modseq };
	struct flags_result result = { 0 };
	struct uidset uids = { 0 };
	struct arena arena = { 0 };
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < from->remote->keyword_count; i++) {
		struct str k = from->remote->keywords[i];

		if (import_keyword_is_usable(k))
			keywords[change.keyword_count++] = arena_strndup(&arena, k.p, k.len);
	}
	for (struct change *ch = from; ch < to; ch++)
		if (!ch->done)
			uidset_add(&uids, ch->row->local_uid);
	if (!uidset_is_empty(&uids))
		err = mailbox_store_flags(l->box, &uids, &change, &result);
	for (struct change *ch = from; ch < to && err == STORE_OK; ch++)
		if (!ch->done && !uidset_contains(&result.failed, ch->row->local_uid)) {
			ch->done = true;
			c->flags_changed++;
		}
	if (err == STORE_LIMIT) /* keywords beyond what a mailbox has: they stay as they are */
		err = STORE_OK;
	uidset_free(&uids);
	uidset_free(&result.changed);
	uidset_free(&result.failed);
	arena_free(&arena);
	return err;
}

static enum store_err
change_flags(struct remote_compare *c, const struct locals *l, struct plan *p)
{
	struct change *end = p->changes + p->change_count, *to;
	enum store_err err = STORE_OK;

	if (p->change_count > 1)
		qsort(p->changes, p->change_count, sizeof(*p->changes), by_flags);
	for (struct change *from = p->changes; from < end && err == STORE_OK; from = to) {
		for (to = from; to < end && strcmp(to->flags, from->flags) == 0; to++)
			continue;
		err = change_group(c, l, from, to);
	}
	return err;
}

static enum store_err
expunge(struct remote_compare *c, const struct locals *l, struct plan *p)
{
	const struct flags_change mark = { .mode = FLAGS_ADD,
		.flags = MESSAGE_DELETED,
		.has_unchanged_since = true,
		.unchanged_since = l->modseq };
	struct flags_result result = { 0 };
	struct uidset gone = { 0 };
	enum store_err err;

	if (uidset_is_empty(&p->expunge))
		return STORE_OK;
	err = mailbox_store_flags(l->box, &p->expunge, &mark, &result);
	if (err == STORE_OK) {
		uidset_subtract(&p->expunge, &result.failed);
		err = mailbox_expunge(l->box, &p->expunge, &gone);
		c->expunged = uidset_count(&gone);
	}
	uidset_free(&gone);
	uidset_free(&result.changed);
	uidset_free(&result.failed);
	return err;
}

static enum store_err
note_all(const struct remote_compare *c, const struct plan *p)
{
	enum store_err err = import_record_begin(c->record);

	if (err != STORE_OK)
		return err;
	for (size_t i = 0; i < p->change_count && err == STORE_OK; i++) {
		struct import_row row = *p->changes[i].row;

		row.flags = p->changes[i].flags;
		if (p->changes[i].done)
			err = import_record_put_row(c->record, c->box->id, &row);
	}
	for (size_t i = 0; i < p->gone_count && err == STORE_OK; i++)
		err = import_record_drop_row(c->record, c->box->id, p->gone[i]->uid);
	return import_record_end(c->record, err);
}

enum store_err
remote_compare(struct remote_compare *c)
{
	struct locals locals = { 0 };
	struct plan plan = { 0 };
	enum store_err err;

	if (c->row_count == 0)
		return STORE_OK;
	err = read_locals(&locals, c);
	if (err == STORE_OK) {
		plan.changes = mem_alloc(c->row_count * sizeof(*plan.changes));
		plan.gone = mem_alloc(c->row_count * sizeof(*plan.gone));
		make_plan(&plan, &locals, c);
		err = change_flags(c, &locals, &plan);
		if (err == STORE_OK)
			err = expunge(c, &locals, &plan);
		if (err == STORE_OK && plan.change_count + plan.gone_count > 0)
			err = note_all(c, &plan);
	}
	free(plan.changes);
	free(plan.gone);
	uidset_free(&plan.expunge);
	locals_free(&locals);
	return err;
}
