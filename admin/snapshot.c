#include "admin/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "admin/command.h"
#include "base/buf.h"
#include "base/mem.h"
#include "store/dir.h"

#define COMPLETE_FILE      "complete"
#define COMPLETE_FIRST     "sanger-snapshot 1"
#define COMPLETE_MAX_BYTES 65536
#define NAME_FORM          "dddd-dd-ddTddddZ"

/* --- names -------------------------------------------------------------------------------------- */

static bool
has_form(const char *name)
{
	for (size_t i = 0; NAME_FORM[i] != '\0'; i++)
		if (NAME_FORM[i] == 'd' ? !ascii_is_digit(name[i]) : name[i] != NAME_FORM[i])
			return false;
	return true;
}

/* The -N behind it; 1 without. */
static bool
parse_number(const char *rest, uint64_t *number_out)
{
	*number_out = 1;
	if (*rest == '\0')
		return true;
	return *rest == '-' && text_u64(str_from(rest + 1), 9999, number_out) && *number_out > 1;
}

bool
snapshot_name_parse(const char *name, int64_t *when_out)
{
	struct tm tm = { 0 };
	uint64_t number;
	int64_t when;

	if (strlen(name) >= SNAPSHOT_NAME_BYTES || !has_form(name) ||
	    !parse_number(name + sizeof(NAME_FORM) - 1, &number))
		return false;
	if (sscanf(name, "%4d-%2d-%2dT%2d%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		&tm.tm_min) != 5)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	when = timegm(&tm);
	if (when_out != NULL)
		*when_out = when;
	return true;
}

struct minute {
	const char *name; /* of the first snapshot in it */
	unsigned last;    /* of those that are there, begun or half removed too; 0: none */
};

static bool
on_name_of_minute(void *arg, const char *name, unsigned char type)
{
	struct minute *m = arg;
	size_t len = strlen(m->name);
	unsigned n = 1;

	(void)type;
	if (strncmp(name, m->name, len) != 0)
		return true;
	if (name[len] == '-')
		n = (unsigned)strtoul(name + len + 1, NULL, 10);
	if (n > m->last && n < 9999)
		m->last = n;
	return true;
}

/* Behind all of the same minute: the place of one that was removed would be in front of a newer one. */
void
snapshot_name_make(int dir_fd, int64_t when, char name_out[SNAPSHOT_NAME_BYTES])
{
	struct minute m = { .name = name_out };
	time_t t = when;
	size_t len;
	struct tm tm;

	gmtime_r(&t, &tm);
	len = strftime(name_out, SNAPSHOT_NAME_BYTES, "%Y-%m-%dT%H%MZ", &tm);
	dir_list(dir_fd, on_name_of_minute, &m); /* an error shows when it is made */
	if (m.last > 0)
		snprintf(name_out + len, SNAPSHOT_NAME_BYTES - len, "-%u", m.last + 1);
}

int
snapshot_name_compare(const char *a, const char *b)
{
	size_t form = sizeof(NAME_FORM) - 1;
	int order = strncmp(a, b, form);
	uint64_t x = 0, y = 0;

	if (order != 0)
		return order;
	parse_number(a + form, &x);
	parse_number(b + form, &y);
	return x < y ? -1 : x > y;
}

/* --- what is in it ------------------------------------------------------------------------------ */

struct fact {
	const char *key;
	uint64_t *value;
};
#define FACTS(f)                                                                                   \
	{                                                                                          \
		{ "began", (uint64_t *)&(f)->began_s }, { "ended", (uint64_t *)&(f)->ended_s },    \
		    { "accounts", &(f)->accounts }, { "messages", &(f)->messages },                \
		    { "bytes", &(f)->bytes }, { "copied-files", &(f)->copied_files },              \
		    { "copied-bytes", &(f)->copied_bytes }, { "problems", &(f)->problems },        \
	}

void
snapshot_facts_format(struct buf *out, const struct snapshot_facts *facts)
{
	struct snapshot_facts f = *facts;
	const struct fact rows[] = FACTS(&f);

	buf_adds(out, COMPLETE_FIRST "\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		buf_printf(out, "%s %" PRIu64 "\n", rows[i].key, *rows[i].value);
	buf_adds(out, SNAPSHOT_SERVER " ");
	hex_encode(out, facts->manifest_server.bytes, FILE_DIGEST_BYTES);
	buf_adds(out, "\nend\n");
}

static bool
parse_digest(struct str hex, struct file_digest *digest_out)
{
	struct buf bytes = { 0 };
	bool ok = hex_decode(&bytes, hex) && bytes.len == FILE_DIGEST_BYTES;

	if (ok)
		memcpy(digest_out->bytes, bytes.data, FILE_DIGEST_BYTES);
	buf_free(&bytes);
	return ok;
}

/* "key value"; keys of a newer version are passed over. */
static bool
parse_fact(struct str line, struct snapshot_facts *f, bool *has_digest)
{
	const struct fact rows[] = FACTS(f);
	size_t space = str_find(line, STR(" "));
	struct str key, value;

	if (space == SIZE_MAX)
		return false;
	key = (struct str){ line.p, space };
	value = (struct str){ line.p + space + 1, line.len - space - 1 };
	if (str_eq(key, STR(SNAPSHOT_SERVER))) {
		*has_digest = parse_digest(value, &f->manifest_server);
		return *has_digest;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_eq(key, str_from(rows[i].key)))
			return text_u64(value, INT64_MAX, rows[i].value);
	return true;
}

bool
snapshot_facts_parse(struct str text, struct snapshot_facts *facts_out)
{
	struct cursor c = cursor_from(text);
	bool has_digest = false;
	struct str line;

	*facts_out = (struct snapshot_facts){ 0 };
	if (!cursor_take_line(&c, &line) || !str_eq(line, STR(COMPLETE_FIRST)))
		return false;
	while (cursor_take_line(&c, &line)) {
		if (str_eq(line, STR("end")))
			return has_digest;
		if (!parse_fact(line, facts_out, &has_digest))
			return false;
	}
	return false;
}

enum store_err
snapshot_facts_read(int snapshot_fd, struct snapshot_facts *facts_out)
{
	struct buf text = { 0 };
	enum store_err err = dir_read_file(snapshot_fd, COMPLETE_FILE, COMPLETE_MAX_BYTES, &text);

	*facts_out = (struct snapshot_facts){ 0 };
	if (err == STORE_OK &&
	    !snapshot_facts_parse((struct str){ text.data, text.len }, facts_out))
		err = STORE_CORRUPT;
	buf_free(&text);
	return err;
}

enum store_err
snapshot_facts_write(int snapshot_fd, const struct snapshot_facts *facts)
{
	struct buf text = { 0 };
	enum store_err err;

	snapshot_facts_format(&text, facts);
	err =
	    dir_replace_file(snapshot_fd, COMPLETE_FILE, (struct str){ text.data, text.len }, true);
	buf_free(&text);
	return err;
}

/* --- lists -------------------------------------------------------------------------------------- */

struct listing {
	int dir_fd;
	struct snapshot_list *list;
};

static bool
add_entry(void *arg, const char *name, unsigned char type)
{
	struct listing *l = arg;
	struct snapshot s = { 0 };
	int fd;

	if (type != DT_DIR || !snapshot_name_parse(name, NULL) ||
	    dir_open(l->dir_fd, name, &fd) != STORE_OK)
		return true;
	snprintf(s.name, sizeof(s.name), "%s", name);
	if (snapshot_facts_read(fd, &s.facts) == STORE_OK) {
		l->list->items = mem_realloc_array(l->list->items, l->list->count + 1, sizeof(s));
		l->list->items[l->list->count++] = s;
	}
	close(fd);
	return true;
}

static int
by_time(const void *a, const void *b)
{
	return snapshot_name_compare(
	    ((const struct snapshot *)a)->name, ((const struct snapshot *)b)->name);
}

enum store_err
snapshot_list(int dir_fd, struct snapshot_list *list_out)
{
	struct listing l = { .dir_fd = dir_fd, .list = list_out };
	enum store_err err;

	*list_out = (struct snapshot_list){ 0 };
	err = dir_list(dir_fd, add_entry, &l);
	if (list_out->count > 0)
		qsort(list_out->items, list_out->count, sizeof(*list_out->items), by_time);
	return err;
}

void
snapshot_list_free(struct snapshot_list *list)
{
	free(list->items);
	*list = (struct snapshot_list){ 0 };
}

/* --- opening ------------------------------------------------------------------------------------ */

/* The newest of a directory; false with the reason said. */
static bool
find_newest(int dir_fd, const char *path, char name_out[SNAPSHOT_NAME_BYTES])
{
	struct snapshot_list list;
	enum store_err err = snapshot_list(dir_fd, &list);

	if (err != STORE_OK)
		admin_result(err, path);
	else if (list.count == 0)
		admin_refuse("%s is no snapshot, and has none: mailadmin backup makes them", path);
	else
		memcpy(name_out, list.items[list.count - 1].name, SNAPSHOT_NAME_BYTES);
	err = list.count == 0 ? STORE_NOT_FOUND : err;
	snapshot_list_free(&list);
	return err == STORE_OK;
}

static bool
lock_and_read(int fd, const char *path, struct snapshot *s)
{
	enum store_err err;

	if (flock(fd, LOCK_SH | LOCK_NB) != 0)
		return admin_refuse("%s is just being removed", path), false;
	err = snapshot_facts_read(fd, &s->facts);
	if (err == STORE_CORRUPT)
		admin_refuse("%s/" COMPLETE_FILE " is damaged", path);
	else if (err != STORE_OK)
		admin_refuse("%s is no whole snapshot", path);
	return err == STORE_OK;
}

static void
name_of_path(const char *path, char name_out[SNAPSHOT_NAME_BYTES])
{
	char *real = realpath(path, NULL);
	const char *slash = real != NULL ? strrchr(real, '/') : NULL;

	snprintf(name_out, SNAPSHOT_NAME_BYTES, "%.*s", SNAPSHOT_NAME_BYTES - 1,
	    slash != NULL ? slash + 1 : path);
	free(real);
}

int
snapshot_open(const char *path, const char *name, char **path_out, struct snapshot *snapshot_out)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), inner;

	*path_out = NULL;
	*snapshot_out = (struct snapshot){ 0 };
	if (fd < 0)
		return admin_refuse("%s: %s", path, strerror(errno)), -1;
	if (name == NULL && faccessat(fd, COMPLETE_FILE, F_OK, 0) == 0) {
		*path_out = mem_strdup(path);
		name_of_path(path, snapshot_out->name);
	} else {
		if (name != NULL)
			snprintf(snapshot_out->name, SNAPSHOT_NAME_BYTES, "%.*s",
			    SNAPSHOT_NAME_BYTES - 1, name);
		else if (!find_newest(fd, path, snapshot_out->name))
			goto fail;
		*path_out = mem_printf("%s/%s", path, snapshot_out->name);
		inner = openat(fd, snapshot_out->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (inner < 0) {
			admin_refuse("%s: %s", *path_out, strerror(errno));
			goto fail;
		}
		close(fd);
		fd = inner;
	}
	if (lock_and_read(fd, *path_out, snapshot_out))
		return fd;
fail:
	close(fd);
	free(*path_out);
	*path_out = NULL;
	return -1;
}
