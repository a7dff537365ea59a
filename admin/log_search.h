/* Finds all lines of a message or a session in the logs, as exigrep does: a line that has the text leads to the names of what
 * it is about (the session's, the message's in lda, the spool's), and these to all lines that have them.
 *
 *     received in submitd   s=1a2b… queued id=SPOOL msgid=<…>
 *     to the relay          relayed id=SPOOL … reply="… id=LDA"     (where the relay is another of these servers, or this one)
 *     delivered by lda      s=3c4d… message id=LDA msgid=<…>, delivered id=LDA, redirected id=LDA spool=SPOOL
 *
 * A session leads to its messages; a message does not lead to the other messages of its session.  Lines come in order of time
 * (log_search_line()), as often as log_search_again() asks for it: what is kept is the lines found, bounded. */
#ifndef ADMIN_LOG_SEARCH_H
#define ADMIN_LOG_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define LOG_LINE_MAX_BYTES  (64 * 1024)          /* what is longer is cut */
#define LOG_FOUND_MAX_BYTES (256u * 1024 * 1024) /* of lines found */
#define LOG_IDS_MAX         8                    /* of one line */

struct log_line {
	struct str program, session, event; /* len 0: it has none */
	struct str ids[LOG_IDS_MAX];        /* of id=, spool=, and " id=" within a value */
	size_t id_count;
};
/* One line without its end, with or without a time or journald's words in front.  False: none of ours. */
bool log_line_parse(struct str text, struct log_line *line_out);

struct log_search;

/* `pattern`: letter case (ASCII) does not matter. */
struct log_search *log_search_new(const char *pattern);
void log_search_free(struct log_search *s);
void log_search_line(struct log_search *s, struct str text);
/* After all lines: true if they are wanted once more, since something new was learnt on the way. */
bool log_search_again(struct log_search *s);
bool log_search_overflowed(
    const struct log_search *s); /* too much was found: there is nothing to show */

/* What was found, by groups in order of their first line; `first` with the first line of each. */
void log_search_each(
    const struct log_search *s, void (*line)(void *arg, struct str text, bool first), void *arg);

#endif
