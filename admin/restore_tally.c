/* What of a snapshot is there still: messages with the same bytes, by their digests. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/restore.h"
#include "base/mem.h"
#include "store/mailbox.h"

#define NS_PER_S INT64_C(1000000000)

/* One place of the table: a digest in a mailbox (index into names), or with ALL in the account. */
#define ALL UINT32_MAX
struct count {
	struct file_digest digest;
	uint32_t mailbox;
	uint32_t saved, live; /* saved only with ALL */
	bool used;
};

struct tally {
	bool whole; /* of all mailboxes: rule 4's second half */
	struct count *table;
	size_t used, size; /* size: a power of two */
	char **names;
	size_t name_count;
	uint64_t *sizes; /* of the snapshot's messages, sorted: others need not be read */
	size_t size_count;
};

/* --- the table ---------------------------------------------------------------------------------- */

static struct count *
place(struct count *table, size_t size, const struct file_digest *digest, uint32_t mailbox)
{
	uint64_t h;

	memcpy(&h, digest->bytes, sizeof(h)); /* it is random already */
	h += mailbox * UINT64_C(0x9E3779B97F4A7C15);
	while (table[h & (size - 1)].used &&
	       (table[h & (size - 1)].mailbox != mailbox ||
		   !file_digest_eq(&table[h & (size - 1)].digest, digest)))
		h++;
	return &table[h & (size - 1)];
}

static void
grow(struct tally *t)
{
	size_t size = t->size == 0 ? 256 : 2 * t->size;
	struct count *table = mem_zalloc(size * sizeof(*table));

	for (size_t i = 0; i < t->size; i++)
		if (t->table[i].used)
			*place(table, size, &t->table[i].digest, t->table[i].mailbox) = t->table[i];
	free(t->table);
	t->table = table;
	t->size = size;
}

static struct count *
count_of(struct tally *t, const struct file_digest *digest, uint32_t mailbox)
{
	struct count *c;

	if (2 * (t->used + 1) > t->size)
		grow(t);
	c = place(t->table, t->size, digest, mailbox);
	if (!c->used) {
		*c = (struct count){ .digest = *digest, .mailbox = mailbox, .used = true };
		t->used++;
	}
	return c;
}

static uint32_t
number_of(struct tally *t, const char *mailbox)
{
	for (size_t i = 0; i < t->name_count; i++)
		if (strcmp(t->names[i], mailbox) == 0)
			return (uint32_t)i;
	t->names = mem_realloc_array(t->names, t->name_count + 1, sizeof(char *));
	t->names[t->name_count++] = mem_strdup(mailbox);
	return (uint32_t)(t->name_count - 1);
}

/* --- the snapshot's side ------------------------------------------------------------------------ */

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
count_saved(struct tally *t, const struct saved_account *s)
{
	t->sizes = mem_alloc((s->manifest.count + 1) * sizeof(*t->sizes));
	for (size_t i = 0; i < s->folder_count; i++) {
		const struct saved_folder *f = &s->folders[i];

		for (size_t k = 0; k < f->count; k++) {
			t->sizes[t->size_count++] = f->messages[k].entry->size;
			if (!f->is_trash)
				count_of(t, &f->messages[k].entry->digest, ALL)->saved++;
		}
	}
	if (t->size_count > 0)
		qsort(t->sizes, t->size_count, sizeof(*t->sizes), by_value);
}

/* --- the live side ------------------------------------------------------------------------------ */

static int64_t
ns_of(const struct statx_timestamp *ts)
{
	return ts->tv_sec * NS_PER_S + ts->tv_nsec;
}

/* The file that the snapshot was copied from has the digest that was noted then; others are read. */
static bool
digest_of(struct saved_account *s, int fd, struct file_digest *digest_out)
{
	const struct manifest_entry *e = NULL;
	struct statx sx;
	uint64_t size;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_SIZE | STATX_MTIME | STATX_INO | STATX_BTIME, &sx) ==
		0 &&
	    (sx.stx_mask & STATX_BTIME) != 0)
		e = manifest_find_source(&s->manifest, sx.stx_ino, ns_of(&sx.stx_btime),
		    sx.stx_size, ns_of(&sx.stx_mtime));
	if (e != NULL) {
		*digest_out = e->digest;
		return true;
	}
	return file_digest_fd(fd, &size, digest_out) == STORE_OK;
}

struct live {
	struct tally *t;
	struct uidset uids; /* those that might be one of the snapshot's */
};

static bool
on_live(void *arg, const struct message *m)
{
	struct live *l = arg;

	if (bsearch(&m->disk_bytes, l->t->sizes, l->t->size_count, sizeof(uint64_t), by_value) !=
	    NULL)
		uidset_add(&l->uids, m->uid);
	return true;
}

static enum store_err
count_live(
    struct tally *t, struct account *acct, struct saved_account *s, const char *name, bool in_trash)
{
	struct live l = { .t = t };
	struct mailbox *box;
	uint32_t number = number_of(t, name);
	enum store_err err = mailbox_open(acct, name, true, &box);

	if (err == STORE_NOT_FOUND)
		return STORE_OK;
	if (err != STORE_OK)
		return err;
	err = mailbox_messages(box, mailbox_view(box), on_live, &l);
	for (uint32_t uid = uidset_next(&l.uids, 0); err == STORE_OK && uid != 0;
	     uid = uidset_next(&l.uids, uid)) {
		struct file_digest digest;
		int fd;

		err = mailbox_message_open(box, uid, &fd);
		if (err == STORE_NOT_FOUND) {
			err = STORE_OK;
			continue;
		}
		if (err == STORE_OK && digest_of(s, fd, &digest)) {
			count_of(t, &digest, number)->live++;
			if (!in_trash)
				count_of(t, &digest, ALL)->live++;
		}
		if (err == STORE_OK)
			close(fd);
	}
	uidset_free(&l.uids);
	mailbox_close(box);
	return err;
}

static enum store_err
count_all(struct tally *t, struct account *acct, struct saved_account *s)
{
	struct mailbox_list list = { 0 };
	enum store_err err = account_list(acct, &list);

	for (size_t i = 0; i < list.count && err == STORE_OK; i++)
		if ((list.boxes[i].attributes & MAILBOX_NONEXISTENT) == 0)
			err = count_live(
			    t, acct, s, list.boxes[i].name, list.boxes[i].use == SPECIAL_TRASH);
	mailbox_list_free(&list);
	return err;
}

struct tally *
tally_new(struct restore *r, struct account *acct, struct saved_account *s, const char *mailbox)
{
	struct tally *t = mem_zalloc(sizeof(*t));
	enum store_err err = STORE_OK;

	(void)r;
	t->whole = mailbox == NULL;
	count_saved(t, s);
	if (acct != NULL)
		err = mailbox == NULL ? count_all(t, acct, s)
				      : count_live(t, acct, s, mailbox, false);
	if (err == STORE_OK)
		return t;
	admin_result(err, s->address);
	tally_free(t);
	return NULL;
}

void
tally_free(struct tally *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->name_count; i++)
		free(t->names[i]);
	free(t->names);
	free(t->sizes);
	free(t->table);
	free(t);
}

bool
tally_has(struct tally *t, const struct manifest_entry *e, const char *mailbox, bool in_trash)
{
	struct count *here = count_of(t, &e->digest, number_of(t, mailbox)), *all;
	bool has = here->live > 0;

	if (!has && t->whole && !in_trash) {
		all = count_of(t, &e->digest, ALL);
		has = all->live >= all->saved;
		if (!has)
			all->live++;
	}
	if (!has) /* looked up again: the table may have grown */
		count_of(t, &e->digest, number_of(t, mailbox))->live++;
	return has;
}
