/* Version 2: "V<TAB>2", an empty line, then one name per line, levels split by TAB; version 1: no
 * header, levels split by '.'.  Both in modified UTF-7.  Both are what Dovecot's Maildir++ writes. */
#include "store/subscriptions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/dir.h"
#include "store/dotlock.h"
#include "store/mailbox_name.h"

#define DOVECOT_FILE "subscriptions"
#define COURIER_FILE "courierimapsubscribed"
#define HEADER_2     STR("V\t2\n\n")
#define WAIT_MS      (10 * 1000)

static void
add_name(struct subscriptions *subs, char *name)
{
	if ((subs->count & (subs->count - 1)) == 0) /* room for a power of two */
		subs->names = mem_realloc_array(
		    subs->names, subs->count > 0 ? subs->count * 2 : 1, sizeof(*subs->names));
	subs->names[subs->count++] = name;
}

struct place {
	const char *name;
	size_t at;
};

static int
compare_places(const void *va, const void *vb)
{
	const struct place *a = va, *b = vb;
	int order = strcmp(a->name, b->name);

	return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

/* Each name once, the first of them. */
static void
drop_repeated(struct subscriptions *subs)
{
	struct place *sorted = mem_realloc_array(NULL, subs->count, sizeof(*sorted));
	bool *repeated = mem_zalloc(subs->count);
	size_t kept = 0;

	for (size_t i = 0; i < subs->count; i++)
		sorted[i] = (struct place){ subs->names[i], i };
	if (subs->count > 1)
		qsort(sorted, subs->count, sizeof(*sorted), compare_places);
	for (size_t i = 1; i < subs->count; i++)
		repeated[sorted[i].at] = strcmp(sorted[i - 1].name, sorted[i].name) == 0;
	for (size_t i = 0; i < subs->count; i++) {
		if (repeated[i])
			free(subs->names[i]);
		else
			subs->names[kept++] = subs->names[i];
	}
	subs->count = kept;
	free(repeated);
	free(sorted);
}

/* The mailbox that a line names, levels split by `separator`; NULL: none that we understand.  A dot
 * inside a level of version 2 is one of the name's. */
static char *
line_name(struct str line, char separator)
{
	struct buf folder = { 0 }, name = { 0 };
	bool ok;

	if (line.len == 0 || memchr(line.p, '\0', line.len) != NULL)
		return NULL;
	if (str_eq_nocase(line, STR("INBOX")))
		return mem_strdup("INBOX");
	buf_addc(&folder, '.');
	for (size_t i = 0; i < line.len; i++) {
		if (line.p[i] == separator)
			buf_addc(&folder, '.');
		else if (line.p[i] == '.')
			buf_adds(&folder, "&AC4-");
		else
			buf_addc(&folder, line.p[i]);
	}
	/* in modified UTF-7, or in UTF-8 as Courier's */
	ok = mailbox_name_from_utf8_folder(&name, (struct str){ folder.data, folder.len }) ||
	     mailbox_name_from_folder(&name, (struct str){ folder.data, folder.len });
	buf_free(&folder);
	if (ok)
		return buf_take(&name);
	buf_free(&name);
	return NULL;
}

static bool
is_version_2(struct str text)
{
	return str_has_prefix(text, HEADER_2);
}

void
subscriptions_parse(struct str text, struct subscriptions *subs_out)
{
	struct cursor c = cursor_from(text);
	char separator = '.';
	struct str line;

	*subs_out = (struct subscriptions){ 0 };
	if (is_version_2(text)) {
		c.p += HEADER_2.len;
		separator = '\t';
	}
	while (cursor_take_line(&c, &line)) {
		char *name = line_name(line, separator);

		if (name != NULL)
			add_name(subs_out, name);
	}
	drop_repeated(subs_out);
}

/* "INBOX" and "INBOX.Sub.Name"; all folders are below INBOX there. */
void
subscriptions_parse_courier(struct str text, struct subscriptions *subs_out)
{
	struct cursor c = cursor_from(text);
	struct str line;

	*subs_out = (struct subscriptions){ 0 };
	while (cursor_take_line(&c, &line)) {
		char *name;

		if (str_has_prefix_nocase(line, STR("INBOX.")))
			line = (struct str){ line.p + 6, line.len - 6 };
		name = line_name(line, '.');
		if (name != NULL)
			add_name(subs_out, name);
	}
	drop_repeated(subs_out);
}

static enum store_err
failed(const struct home *home, const char *op, enum store_err err)
{
	if (err == STORE_IO || err == STORE_FULL || err == STORE_LIMIT || err == STORE_BUSY)
		log_error(home->log, "subscriptions", "user=%s@%s op=%s reason=%s errno=%s",
		    home->localpart, home->domain, op, store_err_text(err), strerror(errno));
	return err;
}

/* A mailbox's line.  A dot inside a level is written as in the folder's name,
 * which Dovecot cannot have. */
static bool
add_line(struct buf *out, const char *name, char separator)
{
	struct buf folder = { 0 };
	bool ok = mailbox_name_to_folder(&folder, str_from(name)) == STORE_OK;

	for (size_t i = 1; ok && i < folder.len; i++)
		buf_addc(out, folder.data[i] == '.' ? separator : folder.data[i]);
	if (ok && folder.len == 0)
		buf_adds(out, "INBOX");
	if (ok)
		buf_addc(out, '\n');
	buf_free(&folder);
	return ok;
}

/* The text of `subscriptions`, or one made from Courier's file, or an empty new one. */
static enum store_err
read_text(const struct home *home, struct buf *text_out)
{
	struct buf courier = { 0 };
	enum store_err err =
	    dir_read_file(home->fd, DOVECOT_FILE, SUBSCRIPTIONS_MAX_BYTES, text_out);

	if (err != STORE_NOT_FOUND)
		return failed(home, "read", err);
	err = dir_read_file(home->fd, COURIER_FILE, SUBSCRIPTIONS_MAX_BYTES, &courier);
	buf_add(text_out, HEADER_2.p, HEADER_2.len);
	if (err == STORE_OK) {
		struct subscriptions subs;

		subscriptions_parse_courier((struct str){ courier.data, courier.len }, &subs);
		for (size_t i = 0; i < subs.count; i++)
			add_line(text_out, subs.names[i], '\t');
		subscriptions_free(&subs);
	}
	buf_free(&courier);
	return err == STORE_NOT_FOUND ? STORE_OK : failed(home, "read", err);
}

enum store_err
subscriptions_read(const struct home *home, struct subscriptions *subs_out)
{
	struct buf text = { 0 };
	enum store_err err = read_text(home, &text);

	*subs_out = (struct subscriptions){ 0 };
	if (err == STORE_OK)
		subscriptions_parse((struct str){ text.data, text.len }, subs_out);
	buf_free(&text);
	return err;
}

void
subscriptions_free(struct subscriptions *subs)
{
	for (size_t i = 0; i < subs->count; i++)
		free(subs->names[i]);
	free(subs->names);
	*subs = (struct subscriptions){ 0 };
}

bool
subscriptions_has(const struct subscriptions *subs, const char *name)
{
	for (size_t i = 0; i < subs->count; i++)
		if (strcmp(subs->names[i], name) == 0)
			return true;
	return false;
}

/* What is to be done; NULL: not that. */
struct change {
	char *const *add;
	size_t add_count;
	const char *remove;
	const char *from, *to;
};

static void
copy_line(struct buf *out, struct str line, char separator, const struct change *change)
{
	char *name = line_name(line, separator), *moved = NULL;

	if (name != NULL && change->from != NULL &&
	    (strcmp(name, change->from) == 0 ||
		mailbox_name_is_below(str_from(name), str_from(change->from))))
		moved = mem_printf("%s%s", change->to, name + strlen(change->from));
	if (moved != NULL) {
		add_line(out, moved, separator); /* one that cannot be is dropped */
	} else if (name == NULL || change->remove == NULL || strcmp(name, change->remove) != 0) {
		buf_add(out, line.p, line.len);
		buf_addc(out, '\n');
	}
	free(moved);
	free(name);
}

/* False: one of the names cannot be. */
static bool
add_missing(struct buf *out, struct str text, char separator, const struct change *change)
{
	struct subscriptions before;
	bool ok = true;

	subscriptions_parse(text, &before);
	for (size_t i = 0; i < change->add_count && ok; i++)
		if (!subscriptions_has(&before, change->add[i]))
			ok = add_line(out, change->add[i], separator);
	subscriptions_free(&before);
	return ok;
}

/* The new text; false: an added name cannot be. */
static bool
apply(struct buf *out, struct str text, const struct change *change)
{
	struct cursor c = cursor_from(text);
	char separator = '.';
	struct str line;

	if (is_version_2(text)) {
		buf_add(out, HEADER_2.p, HEADER_2.len);
		c.p += HEADER_2.len;
		separator = '\t';
	}
	while (cursor_take_line(&c, &line))
		if (line.len > 0)
			copy_line(out, line, separator, change);
	return add_missing(out, text, separator, change);
}

static enum store_err
change_file(const struct home *home, const struct change *change)
{
	struct buf old = { 0 }, text = { 0 };
	struct dotlock lock;
	enum store_err err = dotlock_take(home->fd, DOVECOT_FILE, WAIT_MS, &lock);

	if (err != STORE_OK)
		return failed(home, "lock", err);
	err = read_text(home, &old);
	if (err == STORE_OK) {
		struct str before = { old.data, old.len };

		if (!apply(&text, before, change))
			err = STORE_INVALID;
		else if (text.len > SUBSCRIPTIONS_MAX_BYTES && text.len > before.len)
			err = failed(home, "write", STORE_LIMIT);
		else if (!str_eq(before, (struct str){ text.data, text.len }))
			err = failed(home, "write",
			    dir_replace_file(
				home->fd, DOVECOT_FILE, (struct str){ text.data, text.len }, true));
	}
	dotlock_release(&lock);
	buf_free(&old);
	buf_free(&text);
	return err;
}

static char *
canonical(const char *name)
{
	struct buf out = { 0 };

	mailbox_name_canonical(&out, str_from(name));
	return buf_take(&out);
}

enum store_err
subscriptions_add(const struct home *home, const char *const *names, size_t count)
{
	char **own = mem_alloc((count + 1) * sizeof(char *));
	enum store_err err;

	for (size_t i = 0; i < count; i++)
		own[i] = canonical(names[i]);
	err = change_file(home, &(struct change){ .add = own, .add_count = count });
	for (size_t i = 0; i < count; i++)
		free(own[i]);
	free(own);
	return err;
}

enum store_err
subscriptions_remove(const struct home *home, const char *name)
{
	char *own = canonical(name);
	enum store_err err = change_file(home, &(struct change){ .remove = own });

	free(own);
	return err;
}

enum store_err
subscriptions_rename(const struct home *home, const char *from, const char *to)
{
	char *own_from = canonical(from), *own_to = canonical(to);
	enum store_err err = change_file(home, &(struct change){ .from = own_from, .to = own_to });

	free(own_from);
	free(own_to);
	return err;
}
