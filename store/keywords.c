#include "store/keywords.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"
#include "store/dotlock.h"

#define DOVECOT_FILE      "dovecot-keywords"
#define OURS_FILE         "sanger-keywords"
#define COURIER_DIR       "courierimapkeywords"
#define COURIER_LIST      ":list"
#define COURIER_NAMES_MAX 4096

/* flag-keyword = atom, RFC 9051 §9: no CTL, blank, 8-bit, nor any of ( ) { % * " \ ]. */
bool
keyword_is_valid(struct str name)
{
	if (name.len == 0 || name.len > KEYWORD_NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7F ||
		    strchr("(){%*\"\\]", name.p[i]) != NULL)
			return false;
	return true;
}

/* Dovecot takes more in a name than IMAP does; the letter is its name's anyway. */
static bool
may_stand_in_file(struct str name)
{
	if (name.len == 0 || name.len > KEYWORD_NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7F)
			return false;
	return true;
}

void
keywords_parse(struct str text, struct keywords *keywords_out)
{
	struct cursor c = cursor_from(text);
	struct str line;

	*keywords_out = (struct keywords){ 0 };
	while (cursor_take_line(&c, &line)) {
		struct cursor word = cursor_from(line);
		struct str name;
		uint32_t letter;

		if (!cursor_take_u32(&word, &letter) || letter >= KEYWORDS_LETTERS ||
		    !cursor_take(&word, ' '))
			continue;
		name = (struct str){ word.p, cursor_left(&word) };
		if (keywords_out->names[letter] == NULL && may_stand_in_file(name))
			keywords_out->names[letter] = mem_strndup(name.p, name.len);
	}
}

enum store_err
keywords_read(int folder_fd, struct keywords *keywords_out)
{
	struct buf text = { 0 };
	enum store_err err = dir_read_file(folder_fd, DOVECOT_FILE, KEYWORDS_FILE_MAX_BYTES, &text);

	*keywords_out = (struct keywords){ 0 };
	if (err == STORE_OK)
		keywords_parse((struct str){ text.data, text.len }, keywords_out);
	buf_free(&text);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

void
keywords_free(struct keywords *keywords)
{
	for (size_t i = 0; i < KEYWORDS_LETTERS; i++)
		free(keywords->names[i]);
	*keywords = (struct keywords){ 0 };
}

int
keywords_find(const struct keywords *keywords, struct str name)
{
	for (int i = 0; i < KEYWORDS_LETTERS; i++)
		if (keywords->names[i] != NULL && str_eq_nocase(str_from(keywords->names[i]), name))
			return i;
	return -1;
}

static enum store_err
keywords_write(int folder_fd, const struct keywords *keywords)
{
	struct buf text = { 0 };
	enum store_err err;

	for (unsigned i = 0; i < KEYWORDS_LETTERS; i++)
		if (keywords->names[i] != NULL)
			buf_printf(&text, "%u %s\n", i, keywords->names[i]);
	err = dir_replace_file(folder_fd, DOVECOT_FILE, (struct str){ text.data, text.len }, true);
	buf_free(&text);
	return err;
}

/* Dovecot gives letters in order, and so do we: the first free one behind all that are taken, so that
 * a letter still in a file name does not get another meaning; then a free one in between. */
static int
free_letter(const struct keywords *keywords)
{
	int letter = KEYWORDS_LETTERS;

	while (letter > 0 && keywords->names[letter - 1] == NULL)
		letter--;
	if (letter < KEYWORDS_LETTERS)
		return letter;
	for (letter = 0; letter < KEYWORDS_LETTERS; letter++)
		if (keywords->names[letter] == NULL)
			return letter;
	return -1;
}

enum store_err
keywords_add(
    int folder_fd, struct keywords *keywords, struct str name, int wait_ms, int *letter_out)
{
	struct dotlock lock;
	enum store_err err;

	if (!keyword_is_valid(name))
		return STORE_INVALID;
	err = dotlock_take(folder_fd, DOVECOT_FILE, wait_ms, &lock);
	if (err != STORE_OK)
		return err;
	keywords_free(keywords);
	err = keywords_read(folder_fd, keywords);
	if (err == STORE_OK && (*letter_out = keywords_find(keywords, name)) < 0) {
		*letter_out = free_letter(keywords);
		if (*letter_out < 0) {
			err = STORE_LIMIT;
		} else {
			keywords->names[*letter_out] = mem_strndup(name.p, name.len);
			err = keywords_write(folder_fd, keywords);
		}
	}
	dotlock_release(&lock);
	return err;
}

static void
entry_free(struct keyword_entry *entry)
{
	for (size_t i = 0; i < entry->name_count; i++)
		free(entry->names[i]);
	free(entry->names);
	free(entry->unique);
}

void
keyword_list_free(struct keyword_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		entry_free(&list->entries[i]);
	free(list->entries);
	*list = (struct keyword_list){ 0 };
}

static int
compare_unique(struct str a, const char *b)
{
	size_t len = strlen(b), both = a.len < len ? a.len : len;
	int order = both > 0 ? memcmp(a.p, b, both) : 0;

	return order != 0 ? order : (a.len > len) - (a.len < len);
}

/* The first entry that is not before `unique`. */
static size_t
position(const struct keyword_list *list, struct str unique)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_unique(unique, list->entries[mid].unique) > 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct keyword_entry *
keyword_list_find(const struct keyword_list *list, struct str unique)
{
	size_t at = position(list, unique);

	if (at < list->count && compare_unique(unique, list->entries[at].unique) == 0)
		return &list->entries[at];
	return NULL;
}

static void
remove_at(struct keyword_list *list, size_t at)
{
	entry_free(&list->entries[at]);
	memmove(&list->entries[at], &list->entries[at + 1],
	    (list->count - at - 1) * sizeof(*list->entries));
	list->count--;
}

void
keyword_list_set(
    struct keyword_list *list, struct str unique, const struct str *names, size_t count)
{
	size_t at = position(list, unique);
	struct keyword_entry entry = { 0 };

	if (count > 0) {
		entry.unique = mem_strndup(unique.p, unique.len);
		entry.names = mem_realloc_array(NULL, count, sizeof(*entry.names));
		entry.name_count = count;
		for (size_t i = 0; i < count; i++)
			entry.names[i] = mem_strndup(names[i].p, names[i].len);
	}
	if (at < list->count && compare_unique(unique, list->entries[at].unique) == 0)
		remove_at(list, at);
	if (count == 0)
		return;
	/* Room for a power of two of entries. */
	if ((list->count & (list->count - 1)) == 0)
		list->entries = mem_realloc_array(
		    list->entries, list->count > 0 ? list->count * 2 : 1, sizeof(*list->entries));
	memmove(&list->entries[at + 1], &list->entries[at],
	    (list->count - at) * sizeof(*list->entries));
	list->entries[at] = entry;
	list->count++;
}

static struct str
take_word(struct cursor *c)
{
	struct str word;

	while (cursor_take(c, ' '))
		;
	word = (struct str){ c->p, 0 };
	while (!cursor_at_end(c) && *c->p != ' ')
		c->p++;
	word.len = (size_t)(c->p - word.p);
	return word;
}

#define NAMES_PER_MESSAGE_MAX 1024

void
keyword_list_parse(struct str text, struct keyword_list *list_out)
{
	struct cursor c = cursor_from(text);
	struct str line, names[NAMES_PER_MESSAGE_MAX];

	*list_out = (struct keyword_list){ 0 };
	while (cursor_take_line(&c, &line)) {
		struct cursor words = cursor_from(line);
		struct str unique = take_word(&words), word;
		size_t count = 0;

		while ((word = take_word(&words)).len > 0)
			if (keyword_is_valid(word) && count < NAMES_PER_MESSAGE_MAX)
				names[count++] = word;
		if (unique.len > 0 && memchr(unique.p, '\0', unique.len) == NULL && count > 0)
			keyword_list_set(list_out, unique, names, count);
	}
}

enum store_err
keyword_list_read(int folder_fd, struct keyword_list *list_out)
{
	struct buf text = { 0 };
	enum store_err err = dir_read_file(folder_fd, OURS_FILE, KEYWORDS_FILE_MAX_BYTES, &text);

	*list_out = (struct keyword_list){ 0 };
	if (err == STORE_OK)
		keyword_list_parse((struct str){ text.data, text.len }, list_out);
	buf_free(&text);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
keyword_list_write(int folder_fd, const struct keyword_list *list)
{
	struct buf text = { 0 };
	enum store_err err;

	if (list->count == 0) {
		if (unlinkat(folder_fd, OURS_FILE, 0) == 0)
			return dir_sync(folder_fd);
		return errno == ENOENT ? STORE_OK : dir_err(errno);
	}
	for (size_t i = 0; i < list->count; i++) {
		buf_adds(&text, list->entries[i].unique);
		for (size_t n = 0; n < list->entries[i].name_count; n++)
			buf_printf(&text, " %s", list->entries[i].names[n]);
		buf_addc(&text, '\n');
	}
	err = dir_replace_file(folder_fd, OURS_FILE, (struct str){ text.data, text.len }, true);
	buf_free(&text);
	return err;
}

static struct str
courier_unique(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] == ',' || name.p[i] == ':')
			name.len = i;
	return name;
}

/* "<file name>:<number> <number> …"; numbers count the names on top of the file from 0. */
static void
parse_courier_line(
    struct str line, const struct str *names, size_t name_count, struct keyword_list *list)
{
	struct str found[NAMES_PER_MESSAGE_MAX], word;
	const char *colon = line.len > 0 ? memrchr(line.p, ':', line.len) : NULL;
	struct cursor words;
	size_t count = 0;
	struct str unique;
	uint64_t number;

	if (colon == NULL)
		return;
	unique = courier_unique((struct str){ line.p, (size_t)(colon - line.p) });
	words = (struct cursor){ colon + 1, line.p + line.len };
	while ((word = take_word(&words)).len > 0)
		if (text_u64(word, SIZE_MAX, &number) && number < name_count &&
		    keyword_is_valid(names[number]) && count < NAMES_PER_MESSAGE_MAX)
			found[count++] = names[number];
	if (unique.len > 0 && memchr(unique.p, '\0', unique.len) == NULL && count > 0)
		keyword_list_set(list, unique, found, count);
}

void
keyword_list_parse_courier(struct str text, struct keyword_list *list_out)
{
	struct str *names = mem_realloc_array(NULL, COURIER_NAMES_MAX, sizeof(*names));
	struct cursor c = cursor_from(text);
	struct str line;
	size_t name_count = 0;

	*list_out = (struct keyword_list){ 0 };
	while (cursor_take_line(&c, &line) && line.len > 0)
		if (name_count < COURIER_NAMES_MAX)
			names[name_count++] = line;
	while (cursor_take_line(&c, &line))
		parse_courier_line(line, names, name_count, list_out);
	free(names);
}

/* A change made later than :list: a file named as the message, with one name per line.  Who reads it renames it to
 * ".<n>.<message>", n growing with the time, and later moves it into :list; so the one without a number is the newest. */
struct courier_change {
	char *file;
	uint64_t order;
	size_t name_at; /* where the message's name begins */
};
struct courier_scan {
	struct courier_change *changes;
	size_t count;
};

static bool
scan_courier(void *arg, const char *file, unsigned char type)
{
	struct courier_scan *scan = arg;
	struct courier_change change = { .order = UINT64_MAX };

	if (type != DT_REG || file[0] == ':')
		return true;
	if (file[0] == '.') {
		struct cursor c = cursor_from(str_from(file + 1));

		if (!cursor_take_u64(&c, &change.order) || !cursor_take(&c, '.'))
			return true;
		change.name_at = (size_t)(c.p - file);
	}
	change.file = mem_strdup(file);
	scan->changes = mem_realloc_array(scan->changes, scan->count + 1, sizeof(*scan->changes));
	scan->changes[scan->count++] = change;
	return true;
}

static int
compare_changes(const void *va, const void *vb)
{
	const struct courier_change *a = va, *b = vb;

	return (a->order > b->order) - (a->order < b->order);
}

static void
apply_courier_change(int fd, const struct courier_change *change, struct keyword_list *list)
{
	struct str names[NAMES_PER_MESSAGE_MAX], line;
	struct buf text = { 0 };
	struct cursor c;
	size_t count = 0;

	if (dir_read_file(fd, change->file, KEYWORDS_FILE_MAX_BYTES, &text) == STORE_OK) {
		c = cursor_from((struct str){ text.data, text.len });
		while (cursor_take_line(&c, &line))
			if (keyword_is_valid(line) && count < NAMES_PER_MESSAGE_MAX)
				names[count++] = line;
		keyword_list_set(
		    list, courier_unique(str_from(change->file + change->name_at)), names, count);
	}
	buf_free(&text);
}

enum store_err
keyword_list_read_courier(int folder_fd, struct keyword_list *list_out)
{
	struct courier_scan scan = { 0 };
	struct buf text = { 0 };
	enum store_err err;
	int fd;

	*list_out = (struct keyword_list){ 0 };
	err = dir_open(folder_fd, COURIER_DIR, &fd);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	err = dir_read_file(fd, COURIER_LIST, KEYWORDS_FILE_MAX_BYTES, &text);
	if (err == STORE_OK)
		keyword_list_parse_courier((struct str){ text.data, text.len }, list_out);
	if (err == STORE_OK || err == STORE_NOT_FOUND)
		err = dir_list(fd, scan_courier, &scan);
	if (scan.count > 1)
		qsort(scan.changes, scan.count, sizeof(*scan.changes), compare_changes);
	for (size_t i = 0; i < scan.count; i++) {
		if (err == STORE_OK)
			apply_courier_change(fd, &scan.changes[i], list_out);
		free(scan.changes[i].file);
	}
	free(scan.changes);
	buf_free(&text);
	close(fd);
	return err;
}
