#include "base/csv.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

static const struct str BOM = STR("\xef\xbb\xbf");

void
csv_begin(struct csv *csv, struct str text)
{
	*csv = (struct csv){ .rest = cursor_from(text), .next_line = 1 };
	if (str_has_prefix(text, BOM))
		csv->rest.p += BOM.len;
}

void
csv_end(struct csv *csv)
{
	if (csv->text.data != NULL)
		mem_wipe(csv->text.data, csv->text.cap);
	buf_free(&csv->text);
	*csv = (struct csv){ 0 };
}

static enum csv_result __attribute__((format(printf, 2, 3)))
bad(struct csv *csv, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(csv->why, sizeof(csv->why), fmt, args);
	va_end(args);
	csv->rest.p = csv->rest.end;
	csv->count = 0;
	return CSV_BAD;
}

/* The header alone says what divides fields. */
static char
find_divider(struct cursor c)
{
	bool quoted = false;

	for (; c.p < c.end && (quoted || *c.p != '\n'); c.p++) {
		if (*c.p == '"')
			quoted = !quoted;
		else if (!quoted && (*c.p == ',' || *c.p == ';' || *c.p == '\t'))
			return *c.p;
	}
	return ',';
}

/* CRLF or LF; at the end of the text too. */
static bool
take_line_end(struct csv *csv)
{
	struct cursor *c = &csv->rest;

	if (cursor_at_end(c))
		return true;
	if (c->p[0] == '\n') {
		c->p++;
	} else if (c->p[0] == '\r' && (cursor_left(c) == 1 || c->p[1] == '\n')) {
		c->p += cursor_left(c) == 1 ? 1 : 2;
	} else {
		return false;
	}
	csv->next_line++;
	return true;
}

/* One byte of a field; false where the record is too long. */
static bool
add_byte(struct csv *csv, char c)
{
	if (csv->text.len == CSV_RECORD_MAX_BYTES)
		return false;
	if (csv->text.cap == 0)
		buf_reserve(
		    &csv->text, CSV_RECORD_MAX_BYTES); /* no copy is left behind by growing */
	buf_addc(&csv->text, c);
	csv->next_line += c == '\n';
	return true;
}

static const char TOO_LONG[] = "a record has at most 65536 bytes";

/* escaped = DQUOTE *(TEXTDATA / COMMA / CR / LF / 2DQUOTE) DQUOTE, behind its first DQUOTE; NULL, or what is wrong. */
static const char *
take_escaped(struct csv *csv)
{
	struct cursor *c = &csv->rest;

	while (!cursor_at_end(c)) {
		char byte = *c->p++;

		if (byte == '"' && !cursor_take(c, '"'))
			return NULL;
		if (!add_byte(csv, byte))
			return TOO_LONG;
	}
	return "a quote is not closed";
}

/* non-escaped = *TEXTDATA */
static const char *
take_plain(struct csv *csv)
{
	struct cursor *c = &csv->rest;

	for (; !cursor_at_end(c) && *c->p != csv->divider && *c->p != '\n'; c->p++) {
		if (*c->p == '\r' && (cursor_left(c) == 1 || c->p[1] == '\n'))
			break;
		if (*c->p == '"')
			return "a quote stands inside a field: quote the whole field and double it";
		if (!add_byte(csv, *c->p))
			return TOO_LONG;
	}
	return NULL;
}

/* Where the fields lie is known when the text does not move any more. */
static void
set_fields(struct csv *csv)
{
	size_t start = 0;

	for (size_t i = 0; i < csv->count; i++) {
		csv->fields[i] = (struct str){ csv->text.len > 0 ? csv->text.data + start : "",
			csv->ends[i] - start };
		start = csv->ends[i];
	}
}

static enum csv_result
take_record(struct csv *csv)
{
	do {
		const char *why;

		if (csv->count == CSV_COLUMNS_MAX)
			return bad(csv, "more than %d columns", CSV_COLUMNS_MAX);
		why = cursor_take(&csv->rest, '"') ? take_escaped(csv) : take_plain(csv);
		if (why != NULL)
			return bad(csv, "%s", why);
		csv->ends[csv->count++] = csv->text.len;
	} while (cursor_take(&csv->rest, csv->divider));
	if (!take_line_end(csv))
		return bad(csv, "something stands behind a closing quote");
	set_fields(csv);
	return CSV_RECORD;
}

static enum csv_result
check_record(struct csv *csv)
{
	struct str text = { csv->text.data, csv->text.len };

	if (text.len > 0 && memchr(text.p, '\0', text.len) != NULL)
		return bad(csv, "a NUL byte");
	for (size_t i = 0; i < csv->count; i++) /* halves of a character in two fields are none */
		if (!text_is_utf8(csv->fields[i]))
			return bad(csv, "not UTF-8: save the file as UTF-8");
	if (csv->columns == 0)
		csv->columns = csv->count;
	if (csv->count != csv->columns)
		return bad(csv, "%zu fields, and the first line names %zu columns", csv->count,
		    csv->columns);
	return CSV_RECORD;
}

enum csv_result
csv_next(struct csv *csv)
{
	enum csv_result result;

	if (csv->columns == 0)
		csv->divider = find_divider(csv->rest);
	buf_reset(&csv->text);
	csv->count = 0;
	while (!cursor_at_end(&csv->rest) && take_line_end(csv))
		; /* empty lines */
	csv->line = csv->next_line;
	if (cursor_at_end(&csv->rest))
		return CSV_END;
	result = take_record(csv);
	return result == CSV_RECORD ? check_record(csv) : result;
}

static bool
needs_quotes(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (strchr(",;\t\"\r\n", s.p[i]) != NULL)
			return true;
	return s.len > 0 && (s.p[0] == ' ' || s.p[s.len - 1] == ' ');
}

void
csv_add(struct buf *out, struct str field)
{
	if (!needs_quotes(field)) {
		buf_add(out, field.p, field.len);
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < field.len; i++) {
		if (field.p[i] == '"')
			buf_addc(out, '"');
		buf_addc(out, field.p[i]);
	}
	buf_addc(out, '"');
}
