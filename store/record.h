/* The record: what became of each message and why, one JSON object per line, for `mailadmin why`.
 *
 *     DIR/20261121-000001.jsonl     lines of one day (UTC) in the order in which they were written
 *
 * 1. A record is for people, never for programs: a line that cannot be written, a damaged or a missing file cost
 *    nothing but the line.  So nothing here returns an error, and nothing is synced.
 * 2. A line is one write(2) to a file opened with O_APPEND: processes and threads share the file.  A process killed in the
 *    middle of it leaves a piece without its end, behind which the next line begins; readers know.
 * 3. A new file begins each day and whenever one has a sixteenth of the bytes that all may have.  Then what is too old goes, and
 *    the oldest as long as all have too many bytes.
 *
 * Times are unix seconds.  What is not UTF-8 becomes U+FFFD; a value is cut at RECORD_VALUE_MAX_BYTES. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"

#define RECORD_VALUE_MAX_BYTES 1000
#define RECORD_LINE_MAX_BYTES  (128 * 1024) /* beyond it members are left out */

/* --- writing ------------------------------------------------------------------------------------ */

/* A place for records in one process. */
struct records;

/* Makes the directory where it is missing; what fails is logged once and tried again each minute.  keep_s 0: nothing is
 * recorded and NULL is returned, which all others take.  The log is borrowed. */
struct records *records_open(
    const char *dir, uint64_t keep_s, uint64_t all_max_bytes, const struct log *log);
void records_close(struct records *rs); /* NULL is fine */

/* One record while it is put together: an object with members, which may be objects and arrays. */
struct record {
	struct buf text;
	unsigned depth, skipped; /* skipped: what was opened without room */
	uint32_t arrays;         /* bit n: what is open at depth n is an array */
	bool first, full;        /* first: nothing stands yet where we are */
};

/* Begins with the members "time" and "event": "delivery", "refused", "submission", "relay". */
void record_begin(struct record *r, const char *event);
/* Members; the key is NULL in an array.  A value NULL: the member is left out. */
void record_text(struct record *r, const char *key, const char *value);
void record_text_of(struct record *r, const char *key, const char *value, size_t len);
void record_number(struct record *r, const char *key, int64_t value);
void record_flag(struct record *r, const char *key, bool value); /* false is left out */
void record_object(struct record *r, const char *key);           /* until record_end() */
void record_array(struct record *r, const char *key);            /* until record_end() */
void record_end(struct record *r);
/* Writes it and ends it; with rs NULL it only ends. */
void records_add(struct records *rs, struct record *r);

/* Removes now what records_add() would remove when it begins a new file; how many files went.  dry_run: only counts. */
size_t records_prune(const char *dir, uint64_t keep_s, uint64_t all_max_bytes, bool dry_run);

/* --- reading ------------------------------------------------------------------------------------ */

/* Calls `each` for every line since that time (0: all), oldest file first; the line is NUL-terminated and may be damaged.
 * Returns false if `each` did, or if the directory cannot be read (errno; ENOENT: nothing was ever recorded). */
typedef bool record_line_fn(void *arg, char *line, size_t len);
bool records_read(const char *dir, int64_t since, record_line_fn *each, void *arg);

/* Where the record in a line begins: behind the piece that a killed process left. */
char *record_line_start(char *line, size_t len);

#endif
