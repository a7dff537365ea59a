#include "store/maildir_name.h"

#include <string.h>

#include "store/dir.h"

static const char FLAG_LETTERS[] = "DFPRST"; /* enum maildir_flag, bit by bit */

/* The letters of "2,…". */
static void
parse_info(struct maildir_name *name)
{
	if (name->info.len < 2 || memcmp(name->info.p, "2,", 2) != 0)
		return;
	for (size_t i = 2; i < name->info.len; i++) {
		char c = name->info.p[i];
		const char *flag = c != '\0' ? strchr(FLAG_LETTERS, c) : NULL;

		if (flag != NULL)
			name->flags |= 1u << (flag - FLAG_LETTERS);
		else if (c >= 'a' && c <= 'z')
			name->keywords |= 1u << (c - 'a');
		else if (c == ',')
			break; /* another program's extension: its letters are no flags */
	}
}

/* The next ",field" of *rest, without its comma. */
static bool
next_field(struct str *rest, struct str *field_out)
{
	const char *end;

	if (rest->len == 0)
		return false;
	rest->p++; /* the comma */
	rest->len--;
	end = rest->len > 0 ? memchr(rest->p, ',', rest->len) : NULL;
	*field_out = (struct str){ rest->p, end != NULL ? (size_t)(end - rest->p) : rest->len };
	rest->p += field_out->len;
	rest->len -= field_out->len;
	return true;
}

static struct str
fields_of(const struct maildir_name *name)
{
	return (struct str){ name->base.p + name->unique.len, name->base.len - name->unique.len };
}

static struct str
field_value(struct str field)
{
	return (struct str){ field.p + 2, field.len - 2 };
}

static bool
field_is(struct str field, char letter)
{
	return field.len >= 2 && field.p[0] == letter && field.p[1] == '=';
}

bool
maildir_name_parse(struct str filename, struct maildir_name *name_out)
{
	struct maildir_name *name = name_out;
	const char *colon, *comma;
	struct str rest, field;
	uint64_t value;

	*name = (struct maildir_name){ .size = MAILDIR_SIZE_UNKNOWN,
		.crlf_size = MAILDIR_SIZE_UNKNOWN };
	if (filename.len == 0 || filename.len > MAILDIR_NAME_MAX_BYTES || filename.p[0] == '.' ||
	    memchr(filename.p, '/', filename.len) != NULL ||
	    memchr(filename.p, '\0', filename.len) != NULL)
		return false;
	colon = memchr(filename.p, ':', filename.len);
	name->base = filename;
	if (colon != NULL) {
		name->base.len = (size_t)(colon - filename.p);
		name->info = (struct str){ colon + 1, filename.len - name->base.len - 1 };
	}
	name->unique = name->base;
	comma = name->base.len > 0 ? memchr(name->base.p, ',', name->base.len) : NULL;
	if (comma != NULL)
		name->unique.len = (size_t)(comma - name->base.p);
	rest = fields_of(name);
	while (next_field(&rest, &field)) {
		if (field_is(field, 'S') && text_u64(field_value(field), INT64_MAX, &value))
			name->size = value;
		else if (field_is(field, 'W') && text_u64(field_value(field), INT64_MAX, &value))
			name->crlf_size = value;
		else if (field_is(field, 'U') && text_u64(field_value(field), UINT32_MAX, &value))
			name->uid = (uint32_t)value;
	}
	parse_info(name);
	return true;
}

void
maildir_name_stem(struct buf *out, const struct maildir_name *name)
{
	struct str rest = fields_of(name), field;

	buf_add(out, name->unique.p, name->unique.len);
	while (next_field(&rest, &field)) {
		if (field_is(field, 'U'))
			continue;
		buf_addc(out, ',');
		buf_add(out, field.p, field.len);
	}
}

/* The info: all letters in ASCII order, `kept` being those of the old name we do not know, and what
 * another program wrote behind a second comma. */
static void
add_info(struct buf *out, uint32_t flags, uint32_t keywords, struct str kept, struct str tail)
{
	buf_adds(out, ":2,");
	for (int c = 0x21; c <= 0xFF; c++) {
		const char *flag = c < 0x80 ? strchr(FLAG_LETTERS, c) : NULL;
		bool there;

		if (flag != NULL)
			there = (flags >> (flag - FLAG_LETTERS) & 1) != 0;
		else if (c >= 'a' && c <= 'z')
			there = (keywords >> (c - 'a') & 1) != 0;
		else
			there = kept.len > 0 && memchr(kept.p, c, kept.len) != NULL;
		if (there)
			buf_addc(out, (char)c);
	}
	buf_add(out, tail.p, tail.len);
}

bool
maildir_name_change(struct buf *out, const struct maildir_name *old, uint32_t uid, uint32_t flags,
    uint32_t keywords)
{
	struct str kept = { 0 }, tail = { 0 };
	size_t start = out->len;
	bool is_two = old->info.len >= 2 && memcmp(old->info.p, "2,", 2) == 0;

	maildir_name_stem(out, old);
	if (uid != 0)
		buf_printf(out, ",U=%u", (unsigned)uid);
	if (is_two) {
		const char *comma;

		kept = (struct str){ old->info.p + 2, old->info.len - 2 };
		comma = kept.len > 0 ? memchr(kept.p, ',', kept.len) : NULL;
		if (comma != NULL) {
			tail = (struct str){ comma, (size_t)(kept.p + kept.len - comma) };
			kept.len -= tail.len;
		}
	}
	add_info(out, flags, keywords, kept, tail);
	if (out->len - start <= MAILDIR_NAME_MAX_BYTES)
		return true;
	out->len = start;
	return false;
}

void
maildir_name_build(struct buf *out, struct str unique, uint64_t size, uint64_t crlf_size,
    uint32_t uid, bool with_info, uint32_t flags, uint32_t keywords)
{
	buf_add(out, unique.p, unique.len);
	if (size != MAILDIR_SIZE_UNKNOWN)
		buf_printf(out, ",S=%llu", (unsigned long long)size);
	if (crlf_size != MAILDIR_SIZE_UNKNOWN)
		buf_printf(out, ",W=%llu", (unsigned long long)crlf_size);
	if (uid != 0)
		buf_printf(out, ",U=%u", (unsigned)uid);
	if (with_info)
		add_info(out, flags, keywords, (struct str){ 0 }, (struct str){ 0 });
}

void
maildir_name_new(struct buf *out, uint64_t size, uint64_t crlf_size, uint32_t uid, bool with_info,
    uint32_t flags, uint32_t keywords)
{
	char unique[DIR_UNIQUE_MAX_BYTES];

	dir_unique_name(unique);
	maildir_name_build(out, str_from(unique), size, crlf_size, uid, with_info, flags, keywords);
}
