#include "store/mailbox_name.h"

#include <string.h>

#include "store/mutf7.h"

#define DOVECOT_TRASHED "..DOVECOT-TRASHED" /* what Dovecot is removing just now */
#define RAW_PREFIX      STR("&=")

static const struct str INBOX = { "INBOX", 5 };

/* The first level of *rest, which then holds what is behind the separator; false: that was the
 * last one. */
static bool
next_level(struct str *rest, char separator, struct str *level_out)
{
	const char *at = rest->len > 0 ? memchr(rest->p, separator, rest->len) : NULL;

	if (at == NULL) {
		*level_out = *rest;
		*rest = (struct str){ 0 };
		return false;
	}
	*level_out = (struct str){ rest->p, (size_t)(at - rest->p) };
	*rest = (struct str){ at + 1, rest->len - level_out->len - 1 };
	return true;
}

static bool
is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7F;
}

/* Net-Unicode, RFC 5198 §2: no C0 and C1 controls; for names also no line and paragraph separators,
 * no byte order mark and no U+FFFE, U+FFFF. */
static bool
is_net_unicode(struct str utf8)
{
	static const struct str BAD[] = {
		{ "\xE2\x80\xA8", 3 },
		{ "\xE2\x80\xA9", 3 },
		{ "\xEF\xBB\xBF", 3 },
		{ "\xEF\xBF\xBE", 3 },
		{ "\xEF\xBF\xBF", 3 },
	};

	if (!text_is_utf8(utf8))
		return false;
	for (size_t i = 0; i < utf8.len; i++) {
		unsigned char c = (unsigned char)utf8.p[i];

		if (is_control(c))
			return false;
		if (c == 0xC2 && (unsigned char)utf8.p[i + 1] < 0xA0)
			return false;
	}
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
		if (str_find(utf8, BAD[i]) != SIZE_MAX)
			return false;
	return true;
}

/* May a level be chosen by a user?  Only these have the plain form on disk. */
static const char *
level_problem(struct str level)
{
	if (level.len == 0)
		return "A level of the name is empty";
	if (level.len > MAILBOX_LEVEL_MAX_BYTES)
		return "A level of the name is too long";
	if (!is_net_unicode(level))
		return "The name is not plain UTF-8 text";
	if (str_eq(level, STR(".")) || str_eq(level, STR("..")))
		return "A level of the name is a dot";
	if (str_has_prefix(level, RAW_PREFIX))
		return "A level of the name begins with \"&=\"";
	return NULL;
}

/* Modified UTF-7, with '.' written as base64 as well: Maildir++ splits levels by it. */
static void
encode_level(struct buf *out, struct str level)
{
	struct buf plain = { 0 };

	mutf7_encode(&plain, level);
	for (size_t i = 0; i < plain.len; i++) {
		if (plain.data[i] == '.')
			buf_adds(out, "&AC4-");
		else
			buf_addc(out, plain.data[i]);
	}
	buf_free(&plain);
}

/* As mutf7_decode(), with "&AC4-" for a dot. */
static bool
decode_level(struct buf *out, struct str disk)
{
	struct buf plain = { 0 };
	size_t at;
	bool ok;

	if (memchr(disk.p, '.', disk.len) != NULL)
		return false;
	while ((at = str_find(disk, STR("&AC4-"))) != SIZE_MAX) {
		buf_add(&plain, disk.p, at);
		buf_addc(&plain, '.');
		disk.p += at + 5;
		disk.len -= at + 5;
	}
	buf_add(&plain, disk.p, disk.len);
	ok = mutf7_decode(out, (struct str){ plain.data, plain.len });
	buf_free(&plain);
	return ok;
}

/* Does this level stand on disk exactly as encode_level() writes it?  Appends the UTF-8 if so.
 * The first level is no INBOX in any case, unless in capitals and with children (not `only`). */
static bool
plain_level(struct buf *out, struct str disk, bool first, bool only)
{
	struct buf again = { 0 };
	size_t start = out->len;
	bool ok = disk.len > 0 && decode_level(out, disk);
	struct str level = { ok ? out->data + start : NULL, out->len - start };

	ok = ok && level_problem(level) == NULL;
	if (ok && first && str_eq_nocase(level, INBOX))
		ok = !only && str_eq(level, INBOX);
	if (ok) {
		encode_level(&again, level);
		ok = str_eq((struct str){ again.data, again.len }, disk);
	}
	buf_free(&again);
	if (!ok)
		out->len = start;
	return ok;
}

/* The length of the sequence of well-formed UTF-8 at s, or 0. */
static size_t
utf8_step(struct str s)
{
	for (size_t len = 1; len <= 4 && len <= s.len; len++)
		if (text_is_utf8((struct str){ s.p, len }))
			return len;
	return 0;
}

/* "&=" and the bytes on disk; see rule 2 of the header. */
static void
raw_level(struct buf *out, struct str disk)
{
	size_t step;

	buf_add(out, RAW_PREFIX.p, RAW_PREFIX.len);
	for (; disk.len > 0; disk.p += step, disk.len -= step) {
		step = utf8_step(disk);
		if (step > 0 && *disk.p != '%' && *disk.p != '/' &&
		    is_net_unicode((struct str){ disk.p, step })) {
			buf_add(out, disk.p, step);
		} else {
			step = 1;
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)*disk.p);
		}
	}
}

/* The bytes behind "&=".  Only the form that raw_level() gives is taken. */
static bool
unraw_level(struct buf *out, struct str level)
{
	size_t start = out->len;
	struct buf again = { 0 };
	struct str disk;
	bool ok;

	for (size_t i = RAW_PREFIX.len; i < level.len; i++) {
		int high, low;

		if (level.p[i] != '%') {
			buf_addc(out, level.p[i]);
			continue;
		}
		if (level.len - i < 3)
			return false;
		high = hex_value(level.p[i + 1]);
		low = hex_value(level.p[i + 2]);
		if (high < 0 || low < 0)
			return false;
		buf_addc(out, (char)(high << 4 | low));
		i += 2;
	}
	disk.len = out->len - start;
	disk.p = disk.len > 0 ? out->data + start : NULL;
	raw_level(&again, disk);
	ok = str_eq((struct str){ again.data, again.len }, level);
	buf_free(&again);
	return ok;
}

bool
mailbox_name_is_inbox(const char *name)
{
	return str_eq_nocase(str_from(name), INBOX);
}

void
mailbox_name_canonical(struct buf *out, struct str name)
{
	if (str_has_prefix_nocase(name, INBOX) &&
	    (name.len == INBOX.len || name.p[INBOX.len] == '/')) {
		buf_add(out, INBOX.p, INBOX.len);
		name.p += INBOX.len;
		name.len -= INBOX.len;
	}
	buf_add(out, name.p, name.len);
}

const char *
mailbox_name_problem(struct str name)
{
	struct buf folder = { 0 };
	struct str rest = name, level;
	const char *problem;
	size_t levels = 0;
	bool more;

	do {
		more = next_level(&rest, '/', &level);
		problem = level_problem(level);
		if (problem != NULL)
			return problem;
		if (++levels > MAILBOX_LEVELS_MAX)
			return "The name has too many levels";
	} while (more);
	problem = mailbox_name_to_folder(&folder, name) != STORE_OK ? "The name is too long" : NULL;
	buf_free(&folder);
	return problem;
}

/* One level of a name, plain or raw. */
static bool
level_to_disk(struct buf *out, struct str level)
{
	if (str_has_prefix(level, RAW_PREFIX))
		return unraw_level(out, level);
	if (level_problem(level) != NULL)
		return false;
	encode_level(out, level);
	return true;
}

/* A name with a raw level must be what its directory would be shown as: "&=Plain" would be a second
 * name of ".Plain", and a raw dot another way to split. */
static bool
round_trips(struct str folder, struct str name)
{
	struct buf back = { 0 };
	bool ok = mailbox_name_from_folder(&back, folder) &&
		  str_eq((struct str){ back.data, back.len }, name);

	buf_free(&back);
	return ok;
}

enum store_err
mailbox_name_to_folder(struct buf *out, struct str name)
{
	struct buf canonical = { 0 };
	struct str rest, level;
	size_t start = out->len;
	enum store_err err = STORE_OK;
	bool more = true;

	if (str_eq_nocase(name, INBOX))
		return STORE_OK;
	mailbox_name_canonical(&canonical, name);
	rest = (struct str){ canonical.data, canonical.len };
	while (more && err == STORE_OK) {
		more = next_level(&rest, '/', &level);
		buf_addc(out, '.');
		if (!level_to_disk(out, level) || out->len - start > MAILBOX_FOLDER_MAX_BYTES)
			err = STORE_INVALID;
	}
	if (err == STORE_OK && !round_trips((struct str){ out->data + start, out->len - start },
				   (struct str){ canonical.data, canonical.len }))
		err = STORE_INVALID;
	if (err != STORE_OK)
		out->len = start;
	buf_free(&canonical);
	return err;
}

bool
mailbox_name_from_folder(struct buf *out, struct str folder)
{
	struct str rest, level;
	bool more, first = true;

	if (folder.len == 0) {
		buf_add(out, INBOX.p, INBOX.len);
		return true;
	}
	if (folder.p[0] != '.' || folder.len > MAILBOX_FOLDER_MAX_BYTES ||
	    str_eq(folder, STR(".")) || str_eq(folder, STR("..")) ||
	    str_eq(folder, STR(DOVECOT_TRASHED)) || memchr(folder.p, '/', folder.len) != NULL ||
	    memchr(folder.p, '\0', folder.len) != NULL)
		return false;
	rest = (struct str){ folder.p + 1, folder.len - 1 };
	do {
		more = next_level(&rest, '.', &level);
		if (!first)
			buf_addc(out, '/');
		if (!plain_level(out, level, first, !more))
			raw_level(out, level);
		first = false;
	} while (more);
	return true;
}

static bool
is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* Levels that a user may choose, from one separator to the other, behind what is in `out`. */
static bool
swap_separators(struct buf *out, struct str levels, char from, char to)
{
	size_t start = out->len;
	struct str level;
	bool more, ok = !is_ascii(levels) && levels.len < MAILBOX_FOLDER_MAX_BYTES;

	do {
		more = next_level(&levels, from, &level);
		ok = ok && level_problem(level) == NULL && !str_eq_nocase(level, INBOX) &&
		     memchr(level.p, to, level.len) == NULL;
		buf_add(out, level.p, level.len);
		if (more)
			buf_addc(out, to);
	} while (ok && more);
	if (!ok)
		out->len = start;
	return ok;
}

bool
mailbox_name_from_utf8_folder(struct buf *out, struct str folder)
{
	return folder.len > 1 && folder.p[0] == '.' &&
	       swap_separators(out, (struct str){ folder.p + 1, folder.len - 1 }, '.', '/');
}

bool
mailbox_name_to_utf8_folder(struct buf *out, struct str name)
{
	size_t start = out->len;
	bool ok;

	buf_addc(out, '.');
	ok = swap_separators(out, name, '/', '.');
	if (!ok)
		out->len = start;
	return ok;
}

bool
mailbox_name_is_below(struct str child, struct str parent)
{
	return child.len > parent.len && str_has_prefix(child, parent) &&
	       child.p[parent.len] == '/';
}
