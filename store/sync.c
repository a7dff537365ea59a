#include "store/sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"

/* --- flags and names --------------------------------------------------------------------------- */

static const struct {
	unsigned flag;
	uint32_t letter;
} LETTERS[] = {
	{ MESSAGE_ANSWERED, MAILDIR_REPLIED },
	{ MESSAGE_FLAGGED, MAILDIR_FLAGGED },
	{ MESSAGE_DELETED, MAILDIR_TRASHED },
	{ MESSAGE_SEEN, MAILDIR_SEEN },
	{ MESSAGE_DRAFT, MAILDIR_DRAFT },
};

unsigned
sync_flags_of(uint32_t maildir_flags)
{
	unsigned flags = 0;

	for (size_t i = 0; i < ARRAY_LEN(LETTERS); i++) {
		if ((maildir_flags & LETTERS[i].letter) != 0)
			flags |= LETTERS[i].flag;
	}
	return flags;
}

uint32_t
sync_letters_of(unsigned flags)
{
	uint32_t letters = 0;

	for (size_t i = 0; i < ARRAY_LEN(LETTERS); i++) {
		if ((flags & LETTERS[i].flag) != 0)
			letters |= LETTERS[i].letter;
	}
	return letters;
}

#define LETTER_MASK (((uint64_t)1 << KEYWORDS_LETTERS) - 1)

void
sync_name(struct buf *out, const char *old, uint32_t uid, unsigned flags,
    const struct keyword_set *keywords, uint64_t disk_size, uint64_t size)
{
	uint32_t letters = sync_letters_of(flags);
	uint32_t keyword_letters = (uint32_t)(keywords->bits[0] & LETTER_MASK);
	struct maildir_name name;

	if (maildir_name_parse(str_from(old), &name)) {
		letters |= name.flags & MAILDIR_PASSED;
		if (maildir_name_change(out, &name, uid, letters, keyword_letters))
			return;
	}
	maildir_name_new(out, disk_size, size == INDEX_SIZE_UNKNOWN ? MAILDIR_SIZE_UNKNOWN : size,
	    uid, true, letters, keyword_letters);
}

/* --- stamps ------------------------------------------------------------------------------------ */

static int64_t
timestamp_ns(const struct statx_timestamp *t)
{
	return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

static bool
read_stamp(int dir_fd, const char *path, struct index_stamp *out)
{
	struct statx sx;

	*out = (struct index_stamp){ 0 };
	if (statx(dir_fd, path, AT_SYMLINK_NOFOLLOW, STATX_MTIME | STATX_CTIME | STATX_INO, &sx) !=
	    0)
		return false;
	*out = (struct index_stamp){ timestamp_ns(&sx.stx_mtime), timestamp_ns(&sx.stx_ctime),
		sx.stx_ino };
	return true;
}

static bool
stamp_eq(const struct index_stamp *a, const struct index_stamp *b)
{
	return a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->inode == b->inode;
}

/* Another change within the same tick of the clock would leave the stamp as it is. */
static bool
stamp_is_racy(const struct index_stamp *s)
{
	struct timespec now;
	int64_t newest = s->mtime_ns > s->ctime_ns ? s->mtime_ns : s->ctime_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec - newest < SYNC_RACY_NS;
}

static bool
is_message(void *arg, const char *name, unsigned char type)
{
	struct maildir_name parsed;
	bool *found = arg;

	if (type == DT_REG && maildir_name_parse(str_from(name), &parsed))
		*found = true;
	return !*found;
}

static bool
has_messages(int at_fd, const char *path)
{
	bool found = false;
	int fd;

	if (dir_open(at_fd, path, &fd) != STORE_OK)
		return true; /* let the slow way say what is wrong */
	dir_list(fd, is_message, &found);
	close(fd);
	return found;
}

bool
sync_is_current(struct account *acct, const struct index_mailbox *row, const char *prefix)
{
	struct index_stamp cur_now, new_now;
	char path[MAILDIR_NAME_MAX_BYTES + 8];

	snprintf(path, sizeof(path), "%scur", prefix);
	if (!read_stamp(acct->home->fd, path, &cur_now) || !stamp_eq(&cur_now, &row->cur_stamp))
		return false;
	snprintf(path, sizeof(path), "%snew", prefix);
	if (!read_stamp(acct->home->fd, path, &new_now))
		return false;
	if (!row->new_racy && stamp_eq(&new_now, &row->new_stamp))
		return true;
	return !has_messages(acct->home->fd, path);
}

/* --- leases ------------------------------------------------------------------------------------ */

static enum store_err
write_file(struct sync_box *sb)
{
	enum store_err err = sanger_mailbox_write(sb->acct->home, sb->dir.fd, &sb->file);

	sb->row.uid_lease = sb->file.uid_lease;
	sb->row.modseq_lease = sb->file.modseq_lease;
	return err;
}

enum store_err
sync_reserve_uids(struct sync_box *sb, uint32_t count)
{
	uint64_t need = (uint64_t)sb->row.uidnext + count;

	if (need >= UINT32_MAX - SYNC_UID_LEASE)
		return STORE_LIMIT;
	if (need <= sb->file.uid_lease)
		return STORE_OK;
	sb->file.uid_lease = (uint32_t)need + SYNC_UID_LEASE;
	if (sb->file.modseq_lease < sb->row.modseq + SYNC_MODSEQ_LEASE / 2)
		sb->file.modseq_lease = sb->row.modseq + SYNC_MODSEQ_LEASE;
	return write_file(sb);
}

uint32_t
sync_take_uid(struct sync_box *sb)
{
	return sb->row.uidnext++;
}

enum store_err
sync_modseq(struct sync_box *sb)
{
	enum store_err err = STORE_OK;

	if (sb->modseq != 0)
		return STORE_OK;
	if (sb->row.modseq + 1 >= sb->file.modseq_lease) {
		sb->file.modseq_lease = sb->row.modseq + 1 + SYNC_MODSEQ_LEASE;
		err = write_file(sb);
	}
	if (err == STORE_OK)
		sb->modseq = ++sb->row.modseq;
	return err;
}

void
sync_handed_out(struct sync_box *sb, uint32_t uid, const char *file_name)
{
	struct maildir_name name;

	if (sb->file.uid_source != SANGER_UIDS_DOVECOT ||
	    !maildir_name_parse(str_from(file_name), &name))
		return;
	if ((sb->handed_out_count & (sb->handed_out_count - 1)) == 0) {
		size_t cap = sb->handed_out_count == 0 ? 1 : 2 * sb->handed_out_count;

		sb->handed_out = mem_realloc_array(sb->handed_out, cap, sizeof(*sb->handed_out));
	}
	sb->handed_out[sb->handed_out_count++] = (struct uidlist_entry){
		.uid = uid,
		.size = name.size,
		.crlf_size = name.crlf_size,
		.base = { mem_strndup(name.base.p, name.base.len), name.base.len },
	};
}

/* --- keywords ---------------------------------------------------------------------------------- */

static void
on_keyword(void *arg, unsigned number, const char *name)
{
	struct sync_box *sb = arg;

	free(sb->keywords[number]);
	sb->keywords[number] = mem_strdup(name);
	if (number >= sb->keyword_count)
		sb->keyword_count = number + 1;
}

static enum store_err
put_keyword(struct sync_box *sb, unsigned number, const char *name)
{
	on_keyword(sb, number, name);
	return index_keyword_put(sb->acct->ix, sb->row.id, number, name);
}

/* Takes over names that letters have in dovecot-keywords. */
static enum store_err
load_letters(struct sync_box *sb)
{
	struct keywords letters = { 0 };
	enum store_err err;

	if (read_stamp(sb->dir.fd, "dovecot-keywords", &sb->row.keywords_stamp) &&
	    stamp_is_racy(&sb->row.keywords_stamp))
		sb->row.keywords_stamp = (struct index_stamp){ 0 };
	err = keywords_read(sb->dir.fd, &letters);
	for (unsigned i = 0; i < KEYWORDS_LETTERS && err == STORE_OK; i++) {
		const char *known = sb->keywords[i];

		if (letters.names[i] != NULL &&
		    (known == NULL || strcmp(known, letters.names[i]) != 0))
			err = put_keyword(sb, i, letters.names[i]);
	}
	keywords_free(&letters);
	return err;
}

static enum store_err
load_keywords(struct sync_box *sb)
{
	struct index_stamp now;
	enum store_err err = index_keywords(sb->acct->ix, sb->row.id, on_keyword, sb);

	read_stamp(sb->dir.fd, "dovecot-keywords", &now);
	if (err == STORE_OK && (sb->fresh || !stamp_eq(&now, &sb->row.keywords_stamp)))
		err = load_letters(sb);
	return err;
}

static int
find_keyword(const struct sync_box *sb, struct str name)
{
	for (unsigned i = 0; i < sb->keyword_count; i++) {
		if (sb->keywords[i] != NULL && name.len > 0 &&
		    str_eq_nocase(str_from(sb->keywords[i]), name))
			return (int)i;
	}
	return -1;
}

/* A number without a letter, for keywords beyond the 26. */
static enum store_err
number_beyond_letters(struct sync_box *sb, struct str name, unsigned *number_out)
{
	char *text;
	enum store_err err;
	unsigned i = KEYWORDS_LETTERS;

	while (i < MAILBOX_KEYWORDS_MAX && sb->keywords[i] != NULL)
		i++;
	if (i == MAILBOX_KEYWORDS_MAX)
		return STORE_LIMIT;
	text = mem_strndup(name.p, name.len);
	err = put_keyword(sb, i, text);
	free(text);
	*number_out = i;
	return err;
}

enum store_err
sync_keyword(struct sync_box *sb, struct str name, bool create, unsigned *number_out)
{
	struct keywords letters = { 0 };
	enum store_err err;
	int number = find_keyword(sb, name), letter;

	if (number >= 0) {
		*number_out = (unsigned)number;
		return STORE_OK;
	}
	if (!create)
		return STORE_NOT_FOUND;
	if (name.len > MAILBOX_KEYWORD_MAX_BYTES || !keyword_is_valid(name))
		return STORE_INVALID;
	err = keywords_add(sb->dir.fd, &letters, name, SYNC_FOREIGN_MS, &letter);
	keywords_free(&letters);
	if (err == STORE_LIMIT)
		return number_beyond_letters(sb, name, number_out);
	if (err == STORE_OK)
		err = load_letters(sb);
	*number_out = (unsigned)letter;
	return err;
}

static enum store_err
load_extra(struct sync_box *sb)
{
	enum store_err err;

	if (sb->extra_loaded)
		return STORE_OK;
	err = keyword_list_read(sb->dir.fd, &sb->extra);
	sb->extra_loaded = err == STORE_OK;
	return err;
}

static bool
has_extra(const struct keyword_set *k)
{
	uint64_t any = k->bits[0] & ~LETTER_MASK;

	for (size_t i = 1; i < ARRAY_LEN(k->bits); i++)
		any |= k->bits[i];
	return any != 0;
}

enum store_err
sync_extra_keywords(struct sync_box *sb, const char *file_name, const struct keyword_set *before,
    const struct keyword_set *now)
{
	struct str names[MAILBOX_KEYWORDS_MAX];
	struct maildir_name name;
	enum store_err err;
	size_t count = 0;

	if (!has_extra(before) && !has_extra(now))
		return STORE_OK;
	err = load_extra(sb);
	if (err != STORE_OK || !maildir_name_parse(str_from(file_name), &name))
		return err;
	for (unsigned i = KEYWORDS_LETTERS; i < sb->keyword_count; i++) {
		if (keyword_set_has(now, i) && sb->keywords[i] != NULL)
			names[count++] = str_from(sb->keywords[i]);
	}
	keyword_list_set(&sb->extra, name.unique, names, count);
	sb->extra_changed = true;
	return STORE_OK;
}

/* What sanger-keywords says of a message. */
static enum store_err
add_extra(struct sync_box *sb, struct str unique, struct keyword_set *keywords)
{
	const struct keyword_entry *entry;
	enum store_err err = load_extra(sb);

	if (err != STORE_OK)
		return err;
	entry = keyword_list_find(&sb->extra, unique);
	for (size_t i = 0; entry != NULL && i < entry->name_count && err == STORE_OK; i++) {
		struct str name = str_from(entry->names[i]);
		int number = find_keyword(sb, name);
		unsigned fresh = 0;

		if (number < 0)
			err = number_beyond_letters(sb, name, &fresh);
		if (err == STORE_OK)
			keyword_set_add(keywords, number < 0 ? fresh : (unsigned)number);
	}
	return err == STORE_LIMIT ? STORE_OK : err;
}

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
	to.keywords.bits[0] = (to.keywords.bits[0] & ~LETTER_MASK) | e->name.keywords;
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

struct belief {
	uint32_t from, below; /* UIDs that can be right */
	const struct uidset *taken;
	struct uidlist list; /* of an adopted tree; count 0: none */
};

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
believe(struct entry **unknown, size_t count, const struct belief *b)
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

static enum store_err
add_message(struct sync_box *sb, const struct entry *e)
{
	struct index_message m = { .uid = e->uid,
		.flags = sync_flags_of(e->name.flags),
		.size = e->name.crlf_size,
		.modseq = sb->modseq };
	struct stat sb_file;
	enum store_err err;

	m.keywords.bits[0] = e->name.keywords;
	err = add_extra(sb, e->name.unique, &m.keywords);
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
	return index_message_add(sb->acct->ix, &sb->row, &m);
}

static enum store_err
add_unknown(struct sync_box *sb, struct entry **unknown, size_t count, struct belief *b)
{
	size_t fresh = 0;
	enum store_err err = sync_modseq(sb);

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
		err = add_message(sb, unknown[i]);
	for (size_t i = 0; i < fresh && err == STORE_OK; i++)
		err = add_message(sb, unknown[i]);
	uidlist_free(&b->list);
	return err;
}

static enum store_err
scan(struct sync_box *sb, bool with_cur, struct belief *b)
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
	/* A UID is shown only after the rename that carries it is durable. */
	if (err == STORE_OK && sb->touched_cur)
		err = dir_sync(sb->dir.cur_fd);
	free(unknown);
	uidset_free(&uids);
	listing_free(&l);
	return err;
}

/* --- beginning and end ------------------------------------------------------------------------- */

static bool
has_own_uid(void *arg, const char *name, unsigned char type)
{
	struct maildir_name parsed;
	bool *found = arg;

	(void)type;
	*found = maildir_name_parse(str_from(name), &parsed) && parsed.uid != 0;
	return !*found;
}

/* A tree of another program: its UIDs and UIDVALIDITY, as long as nothing of ours was here before. */
static bool
adopt_uidlist(struct sync_box *sb)
{
	struct uidlist list = { 0 };
	bool ours = false;

	dir_list(sb->dir.cur_fd, has_own_uid, &ours);
	if (ours)
		return false; /* our file was lost: UIDVALIDITY must grow */
	if (uidlist_read_dovecot(sb->dir.fd, &list) == STORE_OK)
		sb->file.uid_source = SANGER_UIDS_DOVECOT;
	else if (uidlist_read_courier(sb->dir.fd, &list) == STORE_OK)
		sb->file.uid_source = SANGER_UIDS_COURIER;
	if (sb->file.uid_source == SANGER_UIDS_OWN || list.uid_validity == 0) {
		sb->file.uid_source = SANGER_UIDS_OWN;
		uidlist_free(&list);
		return false;
	}
	sb->file.uid_validity = list.uid_validity;
	sb->file.uid_lease = list.next_uid;
	log_info(account_log(sb->acct), "adopted",
	    "account=%s mailbox=%s uidvalidity=%u uidnext=%u", sb->acct->address, sb->row.name,
	    list.uid_validity, list.next_uid);
	uidlist_free(&list);
	return true;
}

/* Courier keeps keywords beside the messages: they become ours, once. */
static enum store_err
adopt_courier_keywords(struct sync_box *sb)
{
	struct keyword_list list = { 0 };
	enum store_err err = keyword_list_read_courier(sb->dir.fd, &list);

	if (err == STORE_OK && list.count > 0 && !account_has_file(sb->dir.fd, "sanger-keywords"))
		err = keyword_list_write(sb->dir.fd, &list);
	keyword_list_free(&list);
	return err;
}

/* Which list has the UIDs of messages without U=, if the file that said so was lost. */
static enum sanger_uid_source
guess_uid_source(const struct sync_box *sb)
{
	enum sanger_uid_source source = SANGER_UIDS_OWN;
	struct uidlist list = { 0 };

	if (uidlist_read_dovecot(sb->dir.fd, &list) == STORE_OK)
		source = SANGER_UIDS_DOVECOT;
	else if (uidlist_read_courier(sb->dir.fd, &list) == STORE_OK)
		source = SANGER_UIDS_COURIER;
	if (list.uid_validity != sb->row.uidvalidity)
		source = SANGER_UIDS_OWN;
	uidlist_free(&list);
	return source;
}

static enum store_err
make_file(struct sync_box *sb)
{
	struct index_mailbox *row = &sb->row;
	enum store_err err;

	if (row->id != 0) { /* only the file was lost: the index still knows */
		sb->file = (struct sanger_mailbox){ .uid_validity = row->uidvalidity,
			.uid_lease = row->uid_lease,
			.modseq_lease = row->modseq_lease,
			.uid_source = guess_uid_source(sb) };
		memcpy(sb->file.mailbox_id, row->mailbox_id, sizeof(sb->file.mailbox_id) - 1);
		return sanger_mailbox_write(sb->acct->home, sb->dir.fd, &sb->file);
	}
	err = sanger_mailbox_new(sb->acct->home, &sb->file);
	if (err != STORE_OK)
		return err;
	if (adopt_uidlist(sb)) {
		err = sanger_uid_validity_seen(sb->acct->home, sb->file.uid_validity);
		if (err == STORE_OK && sb->file.uid_source == SANGER_UIDS_COURIER)
			err = adopt_courier_keywords(sb);
	}
	if (err == STORE_OK)
		err = sanger_mailbox_write(sb->acct->home, sb->dir.fd, &sb->file);
	return err;
}

/* Joins the row with sanger-mailbox.  *stale_out: the row may be older than the tree. */
static enum store_err
join_row(struct sync_box *sb, bool *stale_out)
{
	struct index_mailbox *row = &sb->row;
	struct index *ix = sb->acct->ix;
	enum store_err err = sanger_mailbox_read(sb->acct->home, sb->dir.fd, &sb->file);

	if (err == STORE_NOT_FOUND)
		err = make_file(sb);
	if (err != STORE_OK)
		return err;
	if (row->id != 0 && (row->uidvalidity != sb->file.uid_validity ||
				strcmp(row->mailbox_id, sb->file.mailbox_id) != 0)) {
		err = index_mailbox_drop(ix, row->id);
		*row = (struct index_mailbox){ .name = row->name };
	}
	sb->fresh = row->id == 0;
	*stale_out = sb->fresh || strcmp(row->epoch, index_epoch(ix)) != 0 ||
		     row->uid_lease != sb->file.uid_lease ||
		     row->modseq_lease != sb->file.modseq_lease;
	if (sb->fresh) {
		row->uidvalidity = sb->file.uid_validity;
		row->uidnext = 1;
		row->recent_uid = sb->file.uid_lease;
		row->expunged_floor = sb->file.modseq_lease;
		snprintf(row->mailbox_id, sizeof(row->mailbox_id), "%s", sb->file.mailbox_id);
		if (err == STORE_OK)
			err = index_mailbox_put(ix, row);
	}
	return err;
}

static enum store_err
bring_together(struct sync_box *sb, unsigned flags)
{
	struct index_mailbox *row = &sb->row;
	struct belief belief = { 0 };
	struct index_stamp new_now, cur_now;
	bool stale, with_cur, with_new;
	enum store_err err = join_row(sb, &stale);

	if (err == STORE_OK)
		err = load_keywords(sb);
	if (err != STORE_OK)
		return err;
	belief.from = row->uidnext;
	belief.below = sb->file.uid_lease;
	if (stale) {
		row->uidnext =
		    row->uidnext > sb->file.uid_lease ? row->uidnext : sb->file.uid_lease;
		if (row->modseq + 1 < sb->file.modseq_lease)
			row->modseq = sb->file.modseq_lease - 1;
		snprintf(row->epoch, sizeof(row->epoch), "%s", index_epoch(sb->acct->ix));
		row->uid_lease = sb->file.uid_lease;
		row->modseq_lease = sb->file.modseq_lease;
		err = sync_modseq(sb); /* leases the next block too */
		if (err != STORE_OK)
			return err;
	}
	if (!read_stamp(sb->dir.new_fd, ".", &new_now) ||
	    !read_stamp(sb->dir.cur_fd, ".", &cur_now))
		return STORE_IO;
	with_cur = stale || (flags & SYNC_VERIFY) != 0 || !stamp_eq(&cur_now, &row->cur_stamp);
	with_new = with_cur || row->new_racy || !stamp_eq(&new_now, &row->new_stamp);
	if (with_cur) {
		row->cur_stamp = cur_now;
		row->verify_due = stamp_is_racy(&cur_now);
		row->verified_s = time(NULL);
	}
	if (with_new)
		err = scan(sb, with_cur, &belief);
	if (with_new && err == STORE_OK) {
		if (sb->touched_cur) /* what came meanwhile is still in new/, with a stamp of its own */
			row->new_racy = true;
		else
			row->new_racy = stamp_is_racy(&new_now);
		row->new_stamp = new_now;
	}
	return err;
}

static void
sync_free(struct sync_box *sb)
{
	for (size_t i = 0; i < MAILBOX_KEYWORDS_MAX; i++)
		free(sb->keywords[i]);
	for (size_t i = 0; i < sb->handed_out_count; i++)
		free((void *)(uintptr_t)sb->handed_out[i].base.p);
	free(sb->handed_out);
	keyword_list_free(&sb->extra);
	sanger_mailbox_free(&sb->file);
	index_mailbox_clear(&sb->row);
	maildir_close(&sb->dir);
}

enum store_err
sync_begin(struct account *acct, const char *name, unsigned flags, struct sync_box *sb)
{
	enum store_err err;

	*sb = (struct sync_box){ .acct = acct };
	err = maildir_open(acct->home, name, &sb->dir);
	if (err != STORE_OK)
		return err;
	err = index_mailbox_get(acct->ix, name, &sb->row);
	if (err == STORE_NOT_FOUND) {
		sb->row.name = mem_strdup(name);
		err = STORE_OK;
	}
	if (err == STORE_OK)
		err = bring_together(sb, flags);
	if (err != STORE_OK)
		sync_free(sb);
	return err;
}

enum store_err
sync_end(struct sync_box *sb, enum store_err err)
{
	if (err == STORE_OK && sb->extra_changed)
		err = keyword_list_write(sb->dir.fd, &sb->extra);
	if (err == STORE_OK && sb->touched_cur) {
		if (!read_stamp(sb->dir.cur_fd, ".", &sb->row.cur_stamp))
			err = STORE_IO;
		sb->row.verify_due = true;
	}
	if (sb->recheck)
		sb->row.cur_stamp = (struct index_stamp){ 0 };
	if (err == STORE_OK)
		err = index_mailbox_put(sb->acct->ix, &sb->row);
	if (err == STORE_OK && sb->handed_out_count > 0) {
		/* only for the way back to Dovecot: harmless if it fails */
		enum store_err listed = uidlist_append(
		    sb->dir.fd, sb->handed_out, sb->handed_out_count, SYNC_FOREIGN_MS);

		if (listed != STORE_OK)
			log_warn(account_log(sb->acct), "uidlist-append",
			    "account=%s mailbox=%s error=%s", sb->acct->address, sb->row.name,
			    store_err_text(listed));
	}
	sync_free(sb);
	return err;
}

enum store_err
sync_refresh(struct account *acct, const char *name, unsigned flags, uint32_t *claimed_from_out,
    uint32_t *claimed_below_out)
{
	struct sync_box sb;
	enum store_err err = account_write_begin(acct);

	if (err != STORE_OK)
		return err;
	err = sync_begin(acct, name, flags, &sb);
	if (err != STORE_OK)
		return account_write_end(acct, err);
	if (claimed_from_out != NULL) {
		*claimed_from_out = sb.row.recent_uid;
		*claimed_below_out = sb.row.uidnext;
		sb.row.recent_uid = sb.row.uidnext;
	}
	return account_write_end(acct, sync_end(&sb, STORE_OK));
}
