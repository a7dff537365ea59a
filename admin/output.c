#include "admin/output.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/text.h"

#define COLUMN_GAP  2
#define STREAM_ROWS 500 /* of a table, held for their widths */

void
output_setup(void)
{
	json_set_alloc_funcs(mem_alloc, free);
}

/* --- text --------------------------------------------------------------------------------------- */

/* The bytes of the UTF-8 character in front, 0 if there is none. */
static size_t
utf8_length(const char *s)
{
	size_t len = strnlen(s, 4);

	for (size_t n = 1; n <= 4 && n <= len; n++)
		if (text_is_utf8((struct str){ s, n }))
			return n;
	return 0;
}

json_t *
output_string(const char *s)
{
	struct buf clean = { 0 };
	json_t *value;

	if (s == NULL)
		return json_null();
	while (*s != '\0') {
		size_t n = utf8_length(s);

		if (n > 0)
			buf_add(&clean, s, n);
		else
			buf_adds(&clean, "\xef\xbf\xbd");
		s += n > 0 ? n : 1;
	}
	value = json_string(buf_cstr(&clean));
	buf_free(&clean);
	return value;
}

static void
add_visible(struct buf *out, const char *s)
{
	while (*s != '\0') {
		size_t len = text_visible(s);

		if (len > 0)
			buf_add(out, s, len);
		else
			buf_addc(out, '?');
		s += len > 0 ? len : 1;
	}
}

void
output_text(const char *s)
{
	struct buf text = { 0 };

	add_visible(&text, s);
	fputs(buf_cstr(&text), stdout);
	buf_free(&text);
}

/* A CR counts only where it ends a line: elsewhere it would let a terminal overwrite what stands in front of it. */
void
output_add_lines(struct buf *out, const char *s, size_t len)
{
	char *copy = mem_strndup(s, len);

	for (size_t i = 0; i < len;) {
		size_t n = text_visible(copy + i);

		if (copy[i] == '\n' || copy[i] == '\t')
			n = 1;
		else if (copy[i] == '\r' && copy[i + 1] == '\n')
			n = 2;
		if (n > 0)
			buf_add(out, copy + i, n);
		else
			buf_addc(out, '?');
		i += n > 0 ? n : 1;
	}
	free(copy);
}

void
output_lines(const char *s, size_t len)
{
	struct buf text = { 0 };

	if (isatty(STDOUT_FILENO))
		output_add_lines(&text, s, len);
	else
		buf_add(&text, s, len);
	fwrite(text.data, 1, text.len, stdout);
	buf_free(&text);
	if (len > 0 && s[len - 1] != '\n')
		putchar('\n');
}

static void
add_bytes(struct buf *out, uint64_t bytes)
{
	static const char UNITS[] = { 'K', 'M', 'G', 'T' };
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes < 1024) {
		buf_printf(out, "%" PRIu64, bytes);
		return;
	}
	for (value /= 1024; value >= 1024 && unit + 1 < sizeof(UNITS); unit++)
		value /= 1024;
	buf_printf(out, "%.1f%c", value, UNITS[unit]);
}

static void
add_time(struct buf *out, json_int_t when)
{
	time_t t = (time_t)when;
	struct tm tm;
	char text[32];

	if (when > 0 && localtime_r(&t, &tm) != NULL &&
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0)
		buf_adds(out, text);
	else
		buf_addc(out, '-');
}

static void
add_number(struct buf *out, enum output_form form, json_int_t n)
{
	if (form == OUTPUT_TIME)
		add_time(out, n);
	else if (form == OUTPUT_KB && n == 0)
		buf_adds(out, "none");
	else if (form == OUTPUT_KB)
		setting_number(SETTING_SIZE, (uint64_t)n * 1024, out);
	else if (form == OUTPUT_BYTES)
		add_bytes(out, (uint64_t)n);
	else
		buf_printf(out, "%" JSON_INTEGER_FORMAT, n);
}

static void
add_cell(struct buf *out, enum output_form form, const json_t *value)
{
	if (json_is_string(value) && json_string_length(value) > 0)
		add_visible(out, json_string_value(value));
	else if (json_is_boolean(value))
		buf_adds(out, json_is_true(value) ? "yes" : "no");
	else if (json_is_integer(value))
		add_number(out, form, json_integer_value(value));
	else
		buf_addc(out, '-');
}

/* Columns on a terminal: characters, not bytes. */
static size_t
width_of(const char *s)
{
	size_t width = 0;

	for (; *s != '\0'; s++)
		width += ((unsigned char)*s & 0xc0) != 0x80;
	return width;
}

static char *
cell(const json_t *row, const struct output_column *column)
{
	struct buf text = { 0 };

	add_cell(&text, column->form, json_object_get(row, column->key));
	return buf_take(&text);
}

/* --- printing ----------------------------------------------------------------------------------- */

static bool
finish(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	perror("mailadmin: standard output");
	return false;
}

/* jansson escapes C0 controls; the others that a terminal would obey follow.  They are of two or three bytes. */
static void
dump_json(const json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

	for (const char *s = text; s != NULL && *s != '\0';) {
		const unsigned char *c = (const unsigned char *)s;
		size_t shown = *s == '\n' ? 1 : text_visible(s), len = utf8_length(s);

		if (len == 0) /* never: jansson takes and gives UTF-8 alone */
			len = 1;
		else if (shown > 0)
			fwrite(s, 1, shown, stdout);
		else if (len == 1)
			printf("\\u%04x", *c);
		else if (len == 2)
			printf("\\u%04x", (c[0] & 0x1fu) << 6 | (c[1] & 0x3fu));
		else
			printf(
			    "\\u%04x", (c[0] & 0x0fu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu));
		s += shown > 0 ? shown : len;
	}
	free(text);
}

static bool
print_json(json_t *value)
{
	dump_json(value);
	putchar('\n');
	json_decref(value);
	return finish();
}

static void
print_padded(const char *text, size_t width)
{
	fputs(text, stdout);
	for (size_t n = width_of(text); n < width; n++)
		putchar(' ');
}

struct output_stream {
	const struct output_column *columns;
	size_t column_count, *widths;
	json_t *rows; /* of the table, not printed yet */
	uint64_t printed;
	bool json;
};

struct output_stream *
output_stream_begin(const struct output_column *columns, size_t column_count, bool json)
{
	struct output_stream *s = mem_zalloc(sizeof(*s));

	*s = (struct output_stream){ .columns = columns,
		.column_count = column_count,
		.widths = mem_zalloc(column_count * sizeof(*s->widths)),
		.rows = json_array(),
		.json = json };
	for (size_t c = 0; c < column_count; c++)
		s->widths[c] = width_of(columns[c].title);
	return s;
}

static void
widen(struct output_stream *s, const json_t *row)
{
	for (size_t c = 0; c < s->column_count; c++) {
		char *text = cell(row, &s->columns[c]);

		if (width_of(text) > s->widths[c])
			s->widths[c] = width_of(text);
		free(text);
	}
}

static void
print_cell(const struct output_stream *s, size_t c, const char *text)
{
	print_padded(text, c + 1 < s->column_count ? s->widths[c] + COLUMN_GAP : 0);
}

static void
print_row(const struct output_stream *s, const json_t *row)
{
	for (size_t c = 0; c < s->column_count; c++) {
		char *text = cell(row, &s->columns[c]);

		print_cell(s, c, text);
		free(text);
	}
	putchar('\n');
}

static void
print_rows(struct output_stream *s)
{
	for (size_t i = 0; i < json_array_size(s->rows); i++)
		widen(s, json_array_get(s->rows, i));
	for (size_t c = 0; c < s->column_count && s->printed == 0; c++)
		print_cell(s, c, s->columns[c].title);
	if (s->printed++ == 0)
		putchar('\n');
	for (size_t i = 0; i < json_array_size(s->rows); i++)
		print_row(s, json_array_get(s->rows, i));
	json_array_clear(s->rows);
}

void
output_stream_row(struct output_stream *s, json_t *row)
{
	if (s->json) {
		fputs(s->printed++ == 0 ? "[\n" : ",\n", stdout);
		dump_json(row);
		json_decref(row);
		return;
	}
	json_array_append_new(s->rows, row);
	if (json_array_size(s->rows) >= STREAM_ROWS)
		print_rows(s);
}

bool
output_stream_end(struct output_stream *s)
{
	if (s->json)
		puts(s->printed == 0 ? "[]" : "\n]");
	else if (s->printed == 0 || json_array_size(s->rows) > 0)
		print_rows(s);
	json_decref(s->rows);
	free(s->widths);
	free(s);
	return finish();
}

bool
output_list(json_t *rows, const struct output_column *columns, size_t column_count, bool json)
{
	struct output_stream *s;

	if (json)
		return print_json(rows);
	s = output_stream_begin(columns, column_count, false);
	for (size_t i = 0; i < json_array_size(rows); i++)
		widen(s, json_array_get(rows, i));
	for (size_t i = 0; i < json_array_size(rows); i++)
		output_stream_row(s, json_incref(json_array_get(rows, i)));
	json_decref(rows);
	return output_stream_end(s);
}

bool
output_object(json_t *object, const struct output_column *columns, size_t column_count, bool json)
{
	size_t width = 0;

	if (json)
		return print_json(object);
	for (size_t c = 0; c < column_count; c++)
		if (width_of(columns[c].title) > width)
			width = width_of(columns[c].title);
	for (size_t c = 0; c < column_count; c++) {
		char *text = cell(object, &columns[c]);

		print_padded(columns[c].title, width + COLUMN_GAP);
		puts(text);
		free(text);
	}
	json_decref(object);
	return finish();
}
