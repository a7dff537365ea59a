/* Reads CSV, RFC 4180: records of fields, the first record naming the columns.
 *
 * file = header *(record).  Beyond the RFC: lines may end with LF alone and the last one with nothing, a UTF-8 BOM is
 * skipped, empty lines are none, and fields are divided by whichever of ',' ';' and TAB stands first in the header
 * outside quotes (spreadsheets write ';' where ',' is the decimal point).
 * Refused: a quote inside a field that does not begin with one, anything but a divider behind a closing quote, NULs,
 * text that is not UTF-8, and records that are longer or shorter than the header. */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/text.h"

#define CSV_COLUMNS_MAX      64
#define CSV_RECORD_MAX_BYTES (64 * 1024)
#define CSV_WHY_BYTES        160

struct csv {
	struct str fields[CSV_COLUMNS_MAX]; /* of the last record: unquoted, good until the next */
	size_t count;
	size_t line; /* on which the last record begins, from 1 */
	char why[CSV_WHY_BYTES];
	/* private */
	struct cursor rest;
	size_t next_line;
	char divider;
	size_t columns; /* of the header; 0: not read yet */
	struct buf text;
	size_t ends[CSV_COLUMNS_MAX];
};

enum csv_result { CSV_RECORD, CSV_END, CSV_BAD /* csv->line and csv->why; nothing more comes */ };

/* `text` is borrowed until csv_end().  The first csv_next() gives the header. */
void csv_begin(struct csv *csv, struct str text);
enum csv_result csv_next(struct csv *csv);
void csv_end(struct csv *csv); /* wipes what it held: there may be passwords in it */

/* Appends one field, quoted where it must be. */
void csv_add(struct buf *out, struct str field);

#endif
