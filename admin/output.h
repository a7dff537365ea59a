/* What commands print.  A list is a JSON array of objects, whatever the form asked for: with --json
 * it is printed as it is, else as a table whose columns name members of the objects.
 * Text from outside (a relay's reply, a folder's name) may hold anything: in tables what a terminal would obey
 * becomes '?', in JSON bytes that are no UTF-8 become U+FFFD. */
#ifndef ADMIN_OUTPUT_H
#define ADMIN_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct buf;

enum output_form {
	OUTPUT_TEXT,  /* a string or number as it is; null is "-" */
	OUTPUT_YESNO, /* a boolean */
	OUTPUT_KB,    /* kilobytes as "500M"; 0 is "none" */
	OUTPUT_BYTES, /* bytes as "1.2M" */
	OUTPUT_TIME,  /* unix time, in local time; 0 or null is "-" */
};

struct output_column {
	const char *key, *title;
	enum output_form form;
};

/* To stdout; what a terminal would not just show (text_visible()) as '?'. */
void output_text(const char *s);
/* The same with its lines and tabs left. */
void output_add_lines(struct buf *out, const char *s, size_t len);
/* To stdout with its lines and tabs: on a terminal as output_add_lines() does, else as it is. */
void output_lines(const char *s, size_t len);
void output_setup(void); /* once, before any JSON is made: no memory ends the process */

json_t *output_string(const char *s); /* NULL is null */

/* Both take `rows`/`object` over.  False if stdout failed, with the reason said. */
bool output_list(json_t *rows, const struct output_column *columns, size_t column_count, bool json);
bool output_object(
    json_t *object, const struct output_column *columns, size_t column_count, bool json);

/* A list too long to be held at once: rows are printed as they come, a table some hundreds at a time, whose widths
 * only grow.  Each row is taken over. */
struct output_stream;
struct output_stream *output_stream_begin(
    const struct output_column *columns, size_t column_count, bool json);
void output_stream_row(struct output_stream *s, json_t *row);
bool output_stream_end(struct output_stream *s); /* frees; false as above */

#endif
