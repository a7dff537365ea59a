/* dovecot-uidlist, version 3:   "3 V<uidvalidity> N<next uid> G<guid>", then per message
 *                               "<uid> [<letter><value> …] :<name>", UIDs growing
 * version 1, and Courier's:     "1 <uidvalidity> <next uid>", then "<uid> <name>" */
#include "store/uidlist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/dotlock.h"
#include "store/maildir_name.h"

#define DOVECOT_FILE "dovecot-uidlist"
#define COURIER_FILE "courierimapuiddb"
#define GUID_DIGITS  32

static bool
next_line(struct cursor *c, struct str *line_out)
{
	const char *end;

	if (cursor_at_end(c) || (end = memchr(c->p, '\n', cursor_left(c))) == NULL)
		return false; /* one without its end is still being written */
	*line_out = (struct str){ c->p, (size_t)(end - c->p) };
	c->p = end + 1;
	return true;
}

static void
add_entry(struct uidlist *list, size_t *room, const struct uidlist_entry *entry)
{
	if (list->count == *room) {
		*room = *room > 0 ? *room * 2 : 64;
		list->entries = mem_realloc_array(list->entries, *room, sizeof(*list->entries));
	}
	list->entries[list->count++] = *entry;
}

/* A word up to the next blank, which is taken too. */
static struct str
take_word(struct cursor *c)
{
	struct str word = { c->p, 0 };

	while (!cursor_at_end(c) && *c->p != ' ')
		c->p++;
	word.len = (size_t)(c->p - word.p);
	cursor_take(c, ' ');
	return word;
}

static void
take_header_word(struct uidlist *list, struct str word)
{
	struct str value = { word.p + 1, word.len - 1 };
	uint64_t number;

	if (word.p[0] == 'V' && text_u64(value, UINT32_MAX, &number))
		list->uid_validity = (uint32_t)number;
	else if (word.p[0] == 'N' && text_u64(value, UINT32_MAX, &number))
		list->next_uid = (uint32_t)number;
	else if (word.p[0] == 'G' && value.len == GUID_DIGITS) {
		for (size_t i = 0; i < GUID_DIGITS; i++)
			if (hex_value(value.p[i]) < 0)
				return;
		memcpy(list->guid, value.p, GUID_DIGITS);
	}
}

/* "3 V… N… G…", behind the version. */
static bool
parse_header_3(struct uidlist *list, struct cursor *line)
{
	while (!cursor_at_end(line)) {
		struct str word = take_word(line);

		if (word.len > 0)
			take_header_word(list, word);
	}
	return list->uid_validity != 0;
}

/* "1 <uidvalidity> <next uid>", behind the version. */
static bool
parse_header_1(struct uidlist *list, struct cursor *line)
{
	if (!cursor_take_u32(line, &list->uid_validity) || !cursor_take(line, ' ') ||
	    !cursor_take_u32(line, &list->next_uid))
		return false;
	return list->uid_validity != 0;
}

/* The name without its info; all that may stand in a file's name. */
static bool
take_base(struct cursor *line, struct str *base_out)
{
	struct maildir_name name;

	if (!maildir_name_parse((struct str){ line->p, cursor_left(line) }, &name) ||
	    name.unique.len == 0)
		return false;
	*base_out = name.base;
	return true;
}

static bool
take_uid(struct cursor *line, uint32_t *uid_out)
{
	return cursor_take_u32(line, uid_out) && *uid_out > 0 && *uid_out < UINT32_MAX &&
	       cursor_take(line, ' ');
}

static bool
parse_line_3(struct cursor line, struct uidlist_entry *entry)
{
	if (!take_uid(&line, &entry->uid))
		return false;
	while (!cursor_at_end(&line) && *line.p != ':') {
		struct str word = take_word(&line), value = { word.p + 1, word.len - 1 };
		uint64_t number;

		if (word.len < 2)
			continue;
		if (word.p[0] == 'S' && text_u64(value, INT64_MAX, &number))
			entry->size = number;
		else if (word.p[0] == 'W' && text_u64(value, INT64_MAX, &number))
			entry->crlf_size = number;
	}
	return cursor_take(&line, ':') && take_base(&line, &entry->base);
}

static bool
parse_line_1(struct cursor line, struct uidlist_entry *entry)
{
	return take_uid(&line, &entry->uid) && take_base(&line, &entry->base);
}

/* Sizes that stand in the name itself. */
static void
sizes_from_name(struct uidlist_entry *entry)
{
	struct maildir_name name;

	if (!maildir_name_parse(entry->base, &name))
		return;
	if (name.size != MAILDIR_SIZE_UNKNOWN)
		entry->size = name.size;
	if (name.crlf_size != MAILDIR_SIZE_UNKNOWN)
		entry->crlf_size = name.crlf_size;
}

static struct str
unique_of(struct str base)
{
	const char *comma = base.len > 0 ? memchr(base.p, ',', base.len) : NULL;

	return (struct str){ base.p, comma != NULL ? (size_t)(comma - base.p) : base.len };
}

static int
compare_str(struct str a, struct str b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.p, b.p, len) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int
compare_by_name(const void *va, const void *vb)
{
	const struct uidlist_entry *a = va, *b = vb;
	int order = compare_str(unique_of(a->base), unique_of(b->base));

	return order != 0 ? order : (a->uid > b->uid) - (a->uid < b->uid);
}

static int
compare_by_uid(const void *va, const void *vb)
{
	const struct uidlist_entry *a = va, *b = vb;

	return (a->uid > b->uid) - (a->uid < b->uid);
}

/* Dovecot's UIDs grow from line to line; what does not is damage.  Courier's stand in any order. */
static void
drop_repeated(struct uidlist *list, bool in_order)
{
	uint32_t last = 0;
	size_t kept = 0;

	if (!in_order && list->count > 1)
		qsort(list->entries, list->count, sizeof(*list->entries), compare_by_uid);
	for (size_t i = 0; i < list->count; i++) {
		if (list->entries[i].uid <= last) {
			list->skipped_lines++;
			continue;
		}
		last = list->entries[i].uid;
		list->entries[kept++] = list->entries[i];
	}
	list->count = kept;
	if (list->next_uid <= last)
		list->next_uid = last + 1;
	if (list->next_uid == 0)
		list->next_uid = 1;
}

typedef bool line_fn(struct cursor line, struct uidlist_entry *entry);

static enum store_err
parse_list(struct uidlist *list, bool dovecot)
{
	struct cursor c = cursor_from((struct str){ list->text.data, list->text.len }), line;
	line_fn *parse_line = parse_line_1;
	size_t room = 0;
	struct str text;
	uint32_t version;
	bool good;

	if (!next_line(&c, &text))
		return STORE_CORRUPT;
	line = cursor_from(text);
	if (!cursor_take_u32(&line, &version) || !cursor_take(&line, ' '))
		return STORE_CORRUPT;
	if (version == 3 && dovecot)
		parse_line = parse_line_3;
	else if (version != 1)
		return STORE_CORRUPT;
	good = version == 3 ? parse_header_3(list, &line) : parse_header_1(list, &line);
	if (!good)
		return STORE_CORRUPT;
	while (next_line(&c, &text)) {
		struct uidlist_entry entry = { .size = MAILDIR_SIZE_UNKNOWN,
			.crlf_size = MAILDIR_SIZE_UNKNOWN };

		if (!parse_line(cursor_from(text), &entry)) {
			list->skipped_lines++;
			continue;
		}
		sizes_from_name(&entry);
		add_entry(list, &room, &entry);
	}
	drop_repeated(list, dovecot);
	if (list->count > 1)
		qsort(list->entries, list->count, sizeof(*list->entries), compare_by_name);
	return STORE_OK;
}

static enum store_err
parse_text(struct buf *text, bool dovecot, struct uidlist *list_out)
{
	enum store_err err;

	*list_out = (struct uidlist){ .text = *text };
	*text = (struct buf){ 0 };
	err = parse_list(list_out, dovecot);
	if (err != STORE_OK)
		uidlist_free(list_out);
	return err;
}

enum store_err
uidlist_parse_dovecot(struct buf *text, struct uidlist *list_out)
{
	return parse_text(text, true, list_out);
}

enum store_err
uidlist_parse_courier(struct buf *text, struct uidlist *list_out)
{
	return parse_text(text, false, list_out);
}

static enum store_err
read_list(int folder_fd, const char *file, bool dovecot, struct uidlist *list_out)
{
	struct buf text = { 0 };
	enum store_err err = dir_read_file(folder_fd, file, UIDLIST_MAX_BYTES, &text);

	*list_out = (struct uidlist){ 0 };
	if (err == STORE_OK)
		err = parse_text(&text, dovecot, list_out);
	buf_free(&text);
	return err;
}

enum store_err
uidlist_read_dovecot(int folder_fd, struct uidlist *list_out)
{
	return read_list(folder_fd, DOVECOT_FILE, true, list_out);
}

enum store_err
uidlist_read_courier(int folder_fd, struct uidlist *list_out)
{
	return read_list(folder_fd, COURIER_FILE, false, list_out);
}

void
uidlist_free(struct uidlist *list)
{
	free(list->entries);
	buf_free(&list->text);
	*list = (struct uidlist){ 0 };
}

/* The same file name, a U= aside. */
static bool
same_stem(struct str a, struct str b)
{
	struct buf stem_a = { 0 }, stem_b = { 0 };
	struct maildir_name name_a, name_b;
	bool same = maildir_name_parse(a, &name_a) && maildir_name_parse(b, &name_b);

	if (same) {
		maildir_name_stem(&stem_a, &name_a);
		maildir_name_stem(&stem_b, &name_b);
		same = str_eq((struct str){ stem_a.data, stem_a.len },
		    (struct str){ stem_b.data, stem_b.len });
	}
	buf_free(&stem_a);
	buf_free(&stem_b);
	return same;
}

const struct uidlist_entry *
uidlist_find(const struct uidlist *list, struct str base)
{
	struct str unique = unique_of(base);
	size_t low = 0, high = list->count, first;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_str(unique_of(list->entries[mid].base), unique) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	first = low;
	while (low < list->count && str_eq(unique_of(list->entries[low].base), unique))
		low++;
	if (low - first == 1)
		return &list->entries[first];
	/* The unique part is not: a program that tells messages apart by fields, or a message that
	 * has two lines.  Then the whole name decides, and of two the later UID. */
	while (low > first)
		if (same_stem(list->entries[--low].base, base))
			return &list->entries[low];
	return NULL;
}

/* The highest UID of a list; 0 for an empty one. */
static uint32_t
highest_uid(const struct uidlist *list)
{
	uint32_t highest = 0;

	for (size_t i = 0; i < list->count; i++)
		if (list->entries[i].uid > highest)
			highest = list->entries[i].uid;
	return highest;
}

/* The list must not be read as a whole for each message: its last line tells, UIDs grow. */
#define TAIL_BYTES 4096

/* The UID of the last complete line; false: no line begins in the tail, or it is damaged. */
static bool
tail_uid(struct str tail, bool is_whole, uint32_t *uid_out)
{
	struct cursor c = cursor_from(tail);
	struct uidlist_entry entry = { 0 };
	struct str line;
	bool found = false;

	if (!next_line(&c, &line)) /* cut in two, or the header */
		return false;
	while (next_line(&c, &line)) {
		struct cursor from = cursor_from(line);

		found = parse_line_3(from, &entry) || parse_line_1(from, &entry);
	}
	*uid_out = entry.uid;
	if (!found && is_whole) { /* the header alone */
		*uid_out = 0;
		return tail.len > 0 && memchr(tail.p, '\n', tail.len) == tail.p + tail.len - 1;
	}
	return found && cursor_at_end(&c);
}

static enum store_err
last_uid(int folder_fd, int fd, uint32_t *uid_out, bool *version_3_out)
{
	char tail[TAIL_BYTES], version = 0;
	struct stat st;
	struct uidlist list;
	off_t from;
	ssize_t got;
	enum store_err err;

	if (fstat(fd, &st) < 0 || pread(fd, &version, 1, 0) < 0)
		return dir_err(errno);
	*version_3_out = version == '3';
	from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
	got = pread(fd, tail, sizeof(tail), from);
	if (got < 0)
		return dir_err(errno);
	if (tail_uid((struct str){ tail, (size_t)got }, from == 0, uid_out))
		return STORE_OK;
	err = uidlist_read_dovecot(folder_fd, &list);
	if (err != STORE_OK)
		return err;
	*uid_out = highest_uid(&list);
	uidlist_free(&list);
	return STORE_OK;
}

/* Does the file end in the middle of a line, after somebody's crash? */
static bool
ends_open(int fd)
{
	struct stat st;
	char last = '\n';

	return fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 &&
	       last != '\n';
}

static enum store_err
append_locked(int folder_fd, int fd, const struct uidlist_entry *entries, size_t count)
{
	struct buf text = { 0 };
	uint32_t last = 0;
	bool version_3 = false;
	struct stat before;
	enum store_err err = last_uid(folder_fd, fd, &last, &version_3);
	ssize_t done;

	if (err == STORE_OK && fstat(fd, &before) < 0)
		err = dir_err(errno);
	if (err == STORE_OK && entries[0].uid <= last)
		err = STORE_CHANGED;
	if (err != STORE_OK)
		return err;
	if (ends_open(fd))
		buf_addc(&text, '\n');
	for (size_t i = 0; i < count; i++)
		buf_printf(&text, version_3 ? "%u :%.*s\n" : "%u %.*s\n", (unsigned)entries[i].uid,
		    (int)entries[i].base.len, entries[i].base.p);
	done = write(fd, text.data, text.len);
	if (done < 0)
		err = dir_err(errno);
	else if ((size_t)done != text.len)
		err = STORE_FULL;
	if (done > 0 && err != STORE_OK && ftruncate(fd, before.st_size) < 0)
		err = STORE_IO; /* the torn line is skipped by every reader */
	buf_free(&text);
	return err;
}

enum store_err
uidlist_append(int folder_fd, const struct uidlist_entry *entries, size_t count, int wait_ms)
{
	struct dotlock lock;
	struct stat st;
	enum store_err err;
	int fd;

	if (count == 0)
		return STORE_OK;
	if (fstatat(folder_fd, DOVECOT_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return dir_err(errno);
	err = dotlock_take(folder_fd, DOVECOT_FILE, wait_ms, &lock);
	if (err != STORE_OK)
		return err;
	err = dir_open_file(folder_fd, DOVECOT_FILE, O_RDWR | O_APPEND, 0, &fd);
	if (err == STORE_OK) {
		err = append_locked(folder_fd, fd, entries, count);
		close(fd);
	}
	dotlock_release(&lock);
	return err;
}
