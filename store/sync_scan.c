/* Compares a folder with the index and makes the index say the same.  See sync.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/dir.h"
#include "store/sync_internal.h"

/* --- comparing the folder with the index ------------------------------------------------------- */

struct entry {
	struct maildir_name name; /* spans of file_name */
	const char *file_name;
	struct entry *chain; /* same hash */
	uint32_t uid;        /* believed; 0: none */
	bool in_new, known;
};
struct listing {
	struct arena arena;
	struct entry *entries;
	size_t count, cap;
	bool in_new; /* what is being listed */
	struct entry **table;
	size_t table_size; /* a power of two */
};

static bool
on_entry(void *arg, const char *name, unsigned char type)
{
	struct listing *l = arg;
	struct entry e = { .in_new = l->in_new };

	if (type != DT_REG && type != DT_UNKNOWN)
		return true;
	e.file_name = arena_strdup(&l->arena, name);
	if (!maildir_name_parse(str_from(e.file_name), &e.name))
		return true;
	if (l->count == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->entries = mem_realloc_array(l->entries, l->cap, sizeof(*l->entries));
	}
	l->entries[l->count++] = e;
	return true;
}

static enum store_err
list_into(struct listing *l, int fd, bool in_new)
{
	l->in_new = in_new;
	return dir_list(fd, on_entry, l);
}

static void
listing_free(struct listing *l)
{
	arena_free(&l->arena);
	free(l->entries);
	free(l->table);
	*l = (struct listing){ 0 };
}

static size_t
hash(struct str s)
{
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

static void
listing_index(struct listing *l)
{
	l->table_size = 64;
	while (l->table_size < 2 * l->count)
		l->table_size *= 2;
	l->table = mem_zalloc(l->table_size * sizeof(struct entry *));
	for (size_t i = 0; i < l->count; i++) {
		struct entry **slot =
		    &l->table[hash(l->entries[i].name.unique) & (l->table_size - 1)];

		l->entries[i].chain = *slot;
		*slot = &l->entries[i];
	}
}

static bool
same_stem(const struct maildir_name *a, const struct maildir_name *b)
{
	struct buf x = { 0 }, y = { 0 };
	bool same;

	maildir_name_stem(&x, a);
	maildir_name_stem(&y, b);
	same = str_eq((struct str){ x.data, x.len }, (struct str){ y.data, y.len });
	buf_free(&x);
	buf_free(&y);
	return same;
}

/* The file of a message that the index knows: by its name, else under other flags. */
static struct entry *
listing_find(struct listing *l, const struct index_message *m)
{
	struct maildir_name name;
	struct entry *e, *other = NULL;

	if (!maildir_name_parse(str_from(m->name), &name))
		return NULL;
	for (e = l->table[hash(name.unique) & (l->table_size - 1)]; e != NULL; e = e->chain) {
		if (e->known || !str_eq(e->name.unique, name.unique))
			continue;
		if (!e->in_new && strcmp(e->file_name, m->name) == 0)
			return e;
		if ((e->name.uid == 0 || e->name.uid == m->uid) && same_stem(&e->name, &name))
			other = e;
	}
	return other;
}

/* A message whose file has another name than the index says: flags from outside, or moved back to new/. */
static enum store_err
take_over_name(struct sync_box *sb, const struct index_message *from, const struct entry *e)
{
	struct index_message to = *from;
	uint32_t uid = e->name.uid != 0 || strstr(from->name, ",U=") != NULL ? from->uid : 0;
	struct buf name = { 0 };
	enum store_err err = sync_modseq(sb);

	if (err != STORE_OK)
		return err;
	to.flags = sync_flags_of(e->name.flags);
	to.keywords.bits[0] = (to.keywords.bits[0] & ~SYNC_LETTER_MASK) | e->name.keywords;
	to.modseq = sb->modseq;
	if (e->in_new || e->name.uid != uid) {
		sync_name(&name, e->file_name, uid, to.flags, &to.keywords, to.disk_size, to.size);
		err = dir_rename_new(e->in_new ? sb->dir.new_fd : sb->dir.cur_fd, e->file_name,
		    sb->dir.cur_fd, buf_cstr(&name));
		sb->touched_cur = true;
		if (err == STORE_NOT_FOUND || err == STORE_EXISTS) {
			buf_free(&name); /* renamed once more: found next time */
			sb->recheck = true;
			return STORE_OK;
		}
	} else {
		buf_adds(&name, e->file_name);
	}
	snprintf(to.name, sizeof(to.name), "%s", buf_cstr(&name));
	buf_free(&name);
	return err == STORE_OK ? index_message_change(sb->acct->ix, &sb->row, from, &to) : err;
}

struct comparison {
	struct index_message *lost; /* not found in the first listing */
	size_t lost_count;
};

static enum store_err
compare_slice(struct sync_box *sb, struct listing *l, const struct index_message *rows, size_t n,
    struct comparison *cmp)
{
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < n && err == STORE_OK; i++) {
		struct entry *e = listing_find(l, &rows[i]);

		if (e == NULL) {
			if (cmp->lost_count % 256 == 0) {
				cmp->lost = mem_realloc_array(
				    cmp->lost, cmp->lost_count + 256, sizeof(*cmp->lost));
			}
			cmp->lost[cmp->lost_count++] = rows[i];
			continue;
		}
		e->known = true;
		if (e->in_new || strcmp(e->file_name, rows[i].name) != 0)
			err = take_over_name(sb, &rows[i], e);
	}
	return err;
}

/* What the first listing did not show may have been renamed while it was made: only what a second one does not show
 * either is gone. */
static enum store_err
expunge_lost(struct sync_box *sb, const struct comparison *cmp)
{
	static const struct keyword_set NO_KEYWORDS = { { 0 } };
	struct listing again = { 0 };
	enum store_err err;

	if (cmp->lost_count == 0)
		return STORE_OK;
	err = list_into(&again, sb->dir.cur_fd, false);
	if (err == STORE_OK)
		err = list_into(&again, sb->dir.new_fd, true);
	listing_index(&again);
	for (size_t i = 0; i < cmp->lost_count && err == STORE_OK; i++) {
		struct entry *e = listing_find(&again, &cmp->lost[i]);

		if (e != NULL) {
			e->known = true;
			err = take_over_name(sb, &cmp->lost[i], e);
			continue;
		}
		err = sync_modseq(sb);
		if (err == STORE_OK)
			err = sync_extra_keywords(
			    sb, cmp->lost[i].name, &cmp->lost[i].keywords, &NO_KEYWORDS);
		if (err == STORE_OK)
			err =
			    index_message_remove(sb->acct->ix, &sb->row, &cmp->lost[i], sb->modseq);
	}
	listing_free(&again);
	return err;
}

static enum store_err
compare_known(struct sync_box *sb, struct listing *l, const struct uidset *uids)
{
	struct index_message *rows = mem_alloc(MAILBOX_SLICE_ROWS * sizeof(*rows));
	struct comparison cmp = { 0 };
	enum store_err err = STORE_OK;
	uint32_t after = 0;
	size_t n;

	do {
		err = index_messages(
		    sb->acct->ix, sb->row.id, uids, after, rows, MAILBOX_SLICE_ROWS, &n);
		if (err == STORE_OK)
			err = compare_slice(sb, l, rows, n, &cmp);
		if (n > 0)
			after = rows[n - 1].uid;
	} while (err == STORE_OK && n > 0);
	if (err == STORE_OK)
		err = expunge_lost(sb, &cmp);
	free(cmp.lost);
	free(rows);
	return err;
}

/* --- messages the index does not know ---------------------------------------------------------- */

static int
by_uid(const void *a, const void *b)
{
	const struct entry *x = *(const struct entry *const *)a,
			   *y = *(const struct entry *const *)b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* In the order of arrival: names begin with the second. */
static int
by_arrival(const void *a, const void *b)
{
	const struct entry *x = *(const struct entry *const *)a,
			   *y = *(const struct entry *const *)b;
	unsigned long long s = strtoull(x->file_name, NULL, 10),
			   t = strtoull(y->file_name, NULL, 10);

	if (s != t)
		return s < t ? -1 : 1;
	return strcmp(x->file_name, y->file_name);
}

static void
believe(struct entry **unknown, size_t count, const struct sync_belief *b)
{
	for (size_t i = 0; i < count; i++) {
		struct entry *e = unknown[i];
		const struct uidlist_entry *listed;

		e->uid = e->in_new ? 0 : e->name.uid;
		listed =
		    e->uid == 0 && b->list.count > 0 ? uidlist_find(&b->list, e->name.base) : NULL;
		if (listed != NULL) {
			e->uid = listed->uid;
			if (e->name.size == MAILDIR_SIZE_UNKNOWN)
				e->name.size = listed->size;
			if (e->name.crlf_size == MAILDIR_SIZE_UNKNOWN)
				e->name.crlf_size = listed->crlf_size;
		}
		if (e->uid < b->from || e->uid >= b->below || uidset_contains(b->taken, e->uid))
			e->uid = 0;
	}
	qsort(unknown, count, sizeof(*unknown), by_uid);
	for (size_t i = 0; i + 1 < count;) { /* a UID that several claim is nobody's */
		size_t end = i + 1;

		while (end < count && unknown[end]->uid == unknown[i]->uid)
			end++;
		for (size_t k = i; end - i > 1 && k < end; k++)
			unknown[k]->uid = 0;
		i = end;
	}
	qsort(unknown, count, sizeof(*unknown), by_uid);
}

/* Moves a file to its name in cur/, if it is not there yet. */
static enum store_err
settle_file(struct sync_box *sb, const struct entry *e, uint32_t uid, struct index_message *m)
{
	bool named = e->uid != 0 && (!e->in_new || e->name.info.len > 0);
	struct buf name = { 0 };
	enum store_err err = STORE_OK;

	if (named)
		buf_adds(&name, e->file_name);
	else
		sync_name(&name, e->file_name, e->uid != 0 ? e->name.uid : uid, m->flags,
		    &m->keywords, e->name.size, e->name.crlf_size);
	if (e->in_new || !named) {
		err = dir_rename_new(e->in_new ? sb->dir.new_fd : sb->dir.cur_fd, e->file_name,
		    sb->dir.cur_fd, buf_cstr(&name));
		if (err == STORE_EXISTS) { /* in new/ and in cur/ under one name: two messages */
			buf_reset(&name);
			maildir_name_new(&name, e->name.size, e->name.crlf_size, uid, true,
			    e->name.flags, e->name.keywords);
			err = dir_rename_new(e->in_new ? sb->dir.new_fd : sb->dir.cur_fd,
			    e->file_name, sb->dir.cur_fd, buf_cstr(&name));
		}
		sb->touched_cur = true;
	}
	snprintf(m->name, sizeof(m->name), "%s", buf_cstr(&name));
	buf_free(&name);
	return err;
}

/* What the index will be told of at once. */
struct adding {
	struct index_message rows[INDEX_ADD_ROWS];
	size_t count;
};

static enum store_err
add_rows(struct sync_box *sb, struct adding *adding)
{
	size_t count = adding->count;

	adding->count = 0;
	return index_messages_add(sb->acct->ix, &sb->row, adding->rows, count);
}

static enum store_err
add_message(struct sync_box *sb, const struct entry *e, struct adding *adding)
{
	struct index_message m = { .uid = e->uid,
		.flags = sync_flags_of(e->name.flags),
		.size = e->name.crlf_size,
		.modseq = sb->modseq };
	struct stat sb_file;
	enum store_err err;

	m.keywords.bits[0] = e->name.keywords;
	err = sync_add_extra(sb, e->name.unique, &m.keywords);
	if (err != STORE_OK)
		return err;
	if (m.uid == 0)
		m.uid = sync_take_uid(sb);
	err = settle_file(sb, e, m.uid, &m);
	if (err == STORE_NOT_FOUND)
		return STORE_OK; /* somebody was faster; the stamp will tell */
	if (err != STORE_OK)
		return err;
	if (fstatat(sb->dir.cur_fd, m.name, &sb_file, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? STORE_OK : STORE_IO;
	if (!S_ISREG(sb_file.st_mode))
		return STORE_OK;
	m.internaldate_s = sb_file.st_mtim.tv_sec;
	m.disk_size = (uint64_t)sb_file.st_size;
	if (e->uid == 0)
		sync_handed_out(sb, m.uid, m.name);
	adding->rows[adding->count++] = m;
	return adding->count == ARRAY_LEN(adding->rows) ? add_rows(sb, adding) : STORE_OK;
}

static enum store_err
add_unknown(struct sync_box *sb, struct entry **unknown, size_t count, struct sync_belief *b)
{
	struct adding adding;
	size_t fresh = 0;
	enum store_err err = sync_modseq(sb);

	adding.count = 0;
	if (err != STORE_OK)
		return err;
	if (sb->file.uid_source == SANGER_UIDS_DOVECOT)
		uidlist_read_dovecot(sb->dir.fd, &b->list);
	else if (sb->file.uid_source == SANGER_UIDS_COURIER)
		uidlist_read_courier(sb->dir.fd, &b->list);
	if (b->list.uid_validity != 0 && b->list.uid_validity != sb->file.uid_validity)
		uidlist_free(&b->list); /* of another life of this folder */
	if (b->list.next_uid > sb->row.uidnext) {
		/* Dovecot has given more since we looked. */
		err = sync_reserve_uids(sb, b->list.next_uid - sb->row.uidnext);
		if (b->list.next_uid > b->below)
			b->below = b->list.next_uid;
	}
	believe(unknown, count, b);
	while (fresh < count && unknown[fresh]->uid == 0)
		fresh++;
	qsort(unknown, fresh, sizeof(*unknown), by_arrival);
	if (fresh < count && unknown[count - 1]->uid >= sb->row.uidnext)
		sb->row.uidnext = unknown[count - 1]->uid + 1;
	if (b->list.next_uid > sb->row.uidnext)
		sb->row.uidnext = b->list.next_uid;
	if (err == STORE_OK)
		err = sync_reserve_uids(sb, (uint32_t)fresh);
	for (size_t i = fresh; i < count && err == STORE_OK; i++)
		err = add_message(sb, unknown[i], &adding);
	for (size_t i = 0; i < fresh && err == STORE_OK; i++)
		err = add_message(sb, unknown[i], &adding);
	if (err == STORE_OK)
		err = add_rows(sb, &adding);
	uidlist_free(&b->list);
	return err;
}

enum store_err
sync_scan(struct sync_box *sb, bool with_cur, struct sync_belief *b)
{
	struct listing l = { 0 };
	struct uidset uids = { 0 };
	struct entry **unknown = NULL;
	size_t count = 0;
	enum store_err err = list_into(&l, sb->dir.new_fd, true);

	if (err == STORE_OK && with_cur)
		err = list_into(&l, sb->dir.cur_fd, false);
	listing_index(&l);
	if (err == STORE_OK)
		err = index_uids(sb->acct->ix, sb->row.id, &uids);
	if (err == STORE_OK && with_cur)
		err = compare_known(sb, &l, &uids);
	unknown = mem_alloc((l.count + 1) * sizeof(struct entry *));
	for (size_t i = 0; i < l.count; i++) {
		if (!l.entries[i].known)
			unknown[count++] = &l.entries[i];
	}
	b->taken = &uids;
	if (err == STORE_OK && count > 0)
		err = add_unknown(sb, unknown, count, b);
	/* A UID is shown only after the rename that carries it is durable, also where a process that is dead by now
	 * made it. */
	if (err == STORE_OK && (sb->touched_cur || count > 0))
		err = dir_sync(sb->dir.cur_fd);
	b->taken = NULL;
	free(unknown);
	uidset_free(&uids);
	listing_free(&l);
	return err;
}
