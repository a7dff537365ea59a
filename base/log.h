/* Structured logging: one event, one line, in logfmt: `level program s=41f2 event key=value …`.
 * To stderr (where journald adds the time) or appended to a file (with an RFC 3339 time in front;
 * log_reopen() after rotation).  Lines are written with one write(2), so processes and threads
 * share a file; every function here may be called from any thread.
 * A value with blanks, quotes or control bytes is quoted and escaped: nothing a peer sends can
 * forge a line.  Never log a password, a token or message text. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log;

bool log_level_parse(const char *name, enum log_level *level_out); /* "error" … "debug" */

/* `program` names the process.  `path` NULL or "" is stderr; NULL is returned with errno set if the
 * file cannot be opened.  The caller ends it with log_close(), after its children. */
struct log *log_open(const char *program, const char *path, enum log_level level);
/* A child that puts `context` ("s=41f2") into each of its lines; borrows the parent's file. */
struct log *log_child(const struct log *parent, const char *context);
void log_close(struct log *log); /* NULL is fine */
bool log_reopen(struct log *log);
void log_set_level(struct log *log, enum log_level level);
bool log_wants(const struct log *log, enum log_level level);

/* `event` is a fixed word.  `fmt` is `key=%s other=%u …`: the conversions d i u x zu zd ld lu lld
 * llu s c and %%, without widths; a %s is quoted when it must be and NULL is an empty value.
 * A NULL log swallows the line. */
#define LOG_PRINTF __attribute__((format(printf, 3, 4)))
void log_error(const struct log *log, const char *event, const char *fmt, ...) LOG_PRINTF;
void log_warn(const struct log *log, const char *event, const char *fmt, ...) LOG_PRINTF;
void log_info(const struct log *log, const char *event, const char *fmt, ...) LOG_PRINTF;
void log_debug(const struct log *log, const char *event, const char *fmt, ...) LOG_PRINTF;

#endif
