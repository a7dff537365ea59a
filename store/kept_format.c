#include "store/kept_format.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"
#include "store/maildir_name.h"

#define FIRST_LINE "sanger-kept 1"
#define TIME_MAX   ((uint64_t)1 << 40) /* far from where sums overflow */

/* --- the file ---------------------------------------------------------------------------------- */

void
kept_place_format(const struct kept_place *p, struct buf *out)
{
	buf_printf(out, FIRST_LINE "\nmailbox %s\nmailbox-id %s\nuidvalidity %" PRIu32 "\n",
	    p->mailbox, p->mailbox_id, p->uidvalidity);
	for (unsigned i = 0; i < KEYWORDS_LETTERS; i++)
		if (p->letters[i] != NULL)
			buf_printf(out, "keyword %u %s\n", i, p->letters[i]);
	buf_adds(out, "end\n");
}

static void
replace(char **at, struct str value)
{
	free(*at);
	*at = mem_strndup(value.p, value.len);
}

static void
parse_keyword(struct kept_place *p, struct str value)
{
	struct cursor c = cursor_from(value);
	uint32_t number;

	if (cursor_take_u32(&c, &number) && number < KEYWORDS_LETTERS && cursor_take(&c, ' ') &&
	    keyword_is_valid((struct str){ c.p, cursor_left(&c) }))
		replace(&p->letters[number], (struct str){ c.p, cursor_left(&c) });
}

static void
parse_line(struct kept_place *p, char **id, struct str line)
{
	const char *blank = line.len > 0 ? memchr(line.p, ' ', line.len) : NULL;
	struct str key, value;
	uint64_t number;

	if (blank == NULL)
		return;
	key = (struct str){ line.p, (size_t)(blank - line.p) };
	value = (struct str){ blank + 1, line.len - key.len - 1 };
	if (str_eq(key, STR("mailbox")) && memchr(value.p, '\0', value.len) == NULL)
		replace(&p->mailbox, value);
	else if (str_eq(key, STR("mailbox-id")) && memchr(value.p, '\0', value.len) == NULL)
		replace(id, value);
	else if (str_eq(key, STR("uidvalidity")) && text_u64(value, UINT32_MAX, &number))
		p->uidvalidity = (uint32_t)number;
	else if (str_eq(key, STR("keyword")))
		parse_keyword(p, value);
}

bool
kept_place_parse(struct str text, struct kept_place *p)
{
	struct cursor c = cursor_from(text);
	struct str line;
	char *id = mem_strdup("");
	bool ended = false, first;

	*p = (struct kept_place){ 0 };
	first = cursor_take_line(&c, &line) && str_eq(line, STR(FIRST_LINE));
	while (first && !ended && cursor_take_line(&c, &line)) {
		ended = str_eq(line, STR("end"));
		parse_line(p, &id, line);
	}
	p->mailbox_id = id;
	return ended && p->mailbox != NULL && *p->mailbox != '\0';
}

void
kept_place_free(struct kept_place *p)
{
	free(p->mailbox);
	free((void *)(uintptr_t)p->mailbox_id);
	for (unsigned i = 0; i < KEYWORDS_LETTERS; i++)
		free(p->letters[i]);
	*p = (struct kept_place){ 0 };
}

/* --- names ------------------------------------------------------------------------------------- */

void
kept_place_name(struct str text, unsigned again, char name_out[KEPT_PLACE_BYTES])
{
	uint64_t h = UINT64_C(1469598103934665603); /* FNV-1a; the file inside decides */
	int len;

	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (unsigned char)text.p[i]) * UINT64_C(1099511628211);
	len = snprintf(name_out, KEPT_PLACE_BYTES, KEPT_PLACE_PREFIX "%016" PRIx64, h);
	if (again > 0)
		snprintf(name_out + len, KEPT_PLACE_BYTES - (size_t)len, ".%u", again);
}

bool
kept_is_place(const char *name)
{
	int64_t ignored;

	return strncmp(name, KEPT_PLACE_PREFIX, strlen(KEPT_PLACE_PREFIX)) == 0 ||
	       kept_deleted_parse(name, &ignored);
}

bool
kept_name_parse(const char *file, int64_t *expunged_s_out, uint32_t *uid_out, const char **name_out)
{
	struct cursor c = cursor_from(str_from(file));
	struct maildir_name parsed;
	uint64_t when;

	if (!cursor_take_u64(&c, &when) || when > TIME_MAX || !cursor_take(&c, '-') ||
	    !cursor_take_u32(&c, uid_out) || !cursor_take(&c, '-') ||
	    !maildir_name_parse(str_from(c.p), &parsed))
		return false;
	*expunged_s_out = (int64_t)when;
	*name_out = c.p;
	return true;
}

bool
kept_deleted_parse(const char *place, int64_t *expunged_s_out)
{
	struct cursor c = cursor_from(str_from(place));
	uint64_t when;

	if (!cursor_take_nocase(&c, STR(KEPT_DELETED_PREFIX)) || !cursor_take_u64(&c, &when) ||
	    when > TIME_MAX || !cursor_take(&c, '.'))
		return false;
	*expunged_s_out = (int64_t)when;
	return true;
}

/* --- is it empty? ------------------------------------------------------------------------------ */

struct looking {
	int fd;
	bool found;
};

static bool
is_message(void *arg, const char *name, unsigned char type)
{
	struct looking *l = arg;
	struct maildir_name parsed;
	int64_t when;
	uint32_t uid;
	const char *rest;

	l->found =
	    type == DT_REG && (kept_name_parse(name, &when, &uid, &rest) ||
				  (l->fd < 0 && maildir_name_parse(str_from(name), &parsed)));
	return !l->found;
}

/* What cannot be looked into counts as full: nothing goes that might be mail. */
static bool
dir_has_messages(int at_fd, const char *path, bool is_folder)
{
	struct looking l = { .fd = is_folder ? -1 : 0 };
	enum store_err err;
	int fd;

	err = dir_open(at_fd, path, &fd);
	if (err != STORE_OK)
		return err != STORE_NOT_FOUND;
	err = dir_list(fd, is_message, &l);
	close(fd);
	return l.found || err != STORE_OK;
}

static bool
folder_has_messages(void *arg, const char *name, unsigned char type)
{
	static const char *const SUBDIRS[] = { "new", "cur" };
	struct looking *l = arg;

	for (size_t i = 0; type == DT_DIR && !l->found && i < ARRAY_LEN(SUBDIRS); i++) {
		char *path = mem_printf("%s/%s", name, SUBDIRS[i]);

		l->found = dir_has_messages(l->fd, path, true);
		free(path);
	}
	return !l->found;
}

bool
kept_place_has_messages(int kept_fd, const char *name)
{
	struct looking l = { 0 };
	int64_t ignored;
	enum store_err err;

	if (!kept_deleted_parse(name, &ignored))
		return dir_has_messages(kept_fd, name, false);
	err = dir_open(kept_fd, name, &l.fd);
	if (err != STORE_OK)
		return err != STORE_NOT_FOUND;
	err = dir_list(l.fd, folder_has_messages, &l);
	close(l.fd);
	return l.found || err != STORE_OK;
}
