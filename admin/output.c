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

#define COLUMN_GAP 2

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
	size_t len = strlen(s);

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
	for (; *s != '\0'; s++)
		buf_addc(out, (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

void
output_text(const char *s)
{
	struct buf text = { 0 };

	add_visible(&text, s);
	fputs(buf_cstr(&text), stdout);
	buf_free(&text);
}

void
output_lines(const char *s, size_t len)
{
	bool terminal = isatty(STDOUT_FILENO);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;

		putchar(terminal && control && c != '\r' ? '?' : c);
	}
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

static bool
print_json(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
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

bool
output_list(json_t *rows, const struct output_column *columns, size_t column_count, bool json)
{
	size_t *widths = mem_zalloc(column_count * sizeof(*widths));
	const json_t *row;
	size_t i;

	if (json) {
		free(widths);
		return print_json(rows);
	}
	for (size_t c = 0; c < column_count; c++) {
		widths[c] = width_of(columns[c].title);
		json_array_foreach(rows, i, row)
		{
			char *text = cell(row, &columns[c]);

			if (width_of(text) > widths[c])
				widths[c] = width_of(text);
			free(text);
		}
	}
	for (size_t c = 0; c < column_count; c++)
		print_padded(columns[c].title, c + 1 < column_count ? widths[c] + COLUMN_GAP : 0);
	putchar('\n');
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < column_count; c++) {
			char *text = cell(row, &columns[c]);

			print_padded(text, c + 1 < column_count ? widths[c] + COLUMN_GAP : 0);
			free(text);
		}
		putchar('\n');
	}
	free(widths);
	json_decref(rows);
	return finish();
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
