/* How far something long has come, for a person who waits at a terminal:
 *
 *     Reindexing   42 %  [========            ]  421 of 1000  0:12 left
 *
 * One line on stderr, drawn only while that is a terminal and after PROGRESS_QUIET_MS, at most every PROGRESS_PAUSE_MS, as
 * wide as the terminal is at that moment; nothing of it stays.  Elsewhere it costs a NULL test.  The line moves on while a
 * single step takes long, so one may also begin and end without any. */
#ifndef ADMIN_PROGRESS_H
#define ADMIN_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#define PROGRESS_QUIET_MS 1000
#define PROGRESS_PAUSE_MS 100

struct buf;
struct progress;

/* `what` is a few words ("Reindexing"), copied; `total` is what `done` comes to, in any unit, 0 if that is not known.
 * NULL where there is nobody to watch, which all of these take. */
struct progress *progress_begin(const char *what, uint64_t total);
void progress_step(struct progress *p, uint64_t done); /* from any thread */
/* Takes the line away before something else is printed; the next step draws it again. */
void progress_hide(struct progress *p);
void progress_end(struct progress *p); /* takes the line away and frees */

/* The line, of at most `columns` characters and without its end: for progress.c and its test. */
void progress_line(struct buf *out, const char *what, uint64_t done, uint64_t total,
    uint64_t elapsed_ms, size_t columns);

#endif
