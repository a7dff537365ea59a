#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

#define LOG_LINE_MAX_BYTES 4000 /* below PIPE_BUF, so that lines of processes do not mix */

struct log {
	char *program, *path, *context;
	enum log_level level;
	atomic_int fd;
	const struct log *root; /* whose fd is used; itself where nothing is borrowed */
};

static const char *const LEVEL_NAMES[] = { "error", "warn", "info", "debug" };

bool
log_level_parse(const char *name, enum log_level *level_out)
{
	for (size_t i = 0; i < ARRAY_LEN(LEVEL_NAMES); i++) {
		if (strcmp(name, LEVEL_NAMES[i]) == 0) {
			*level_out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static int
open_file(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
}

struct log *
log_open(const char *program, const char *path, enum log_level level)
{
	bool to_file = path != NULL && *path != '\0';
	int fd = to_file ? open_file(path) : STDERR_FILENO;
	struct log *log;

	if (fd < 0)
		return NULL;
	log = mem_zalloc(sizeof(*log));
	log->program = mem_strdup(program);
	log->path = to_file ? mem_strdup(path) : NULL;
	log->level = level;
	log->fd = fd;
	log->root = log;
	return log;
}

struct log *
log_child(const struct log *parent, const char *context)
{
	struct log *log;

	if (parent == NULL)
		return NULL;
	log = mem_zalloc(sizeof(*log));
	log->context = parent->context != NULL ? mem_printf("%s %s", parent->context, context)
					       : mem_strdup(context);
	log->root = parent->root;
	return log;
}

void
log_close(struct log *log)
{
	if (log == NULL)
		return;
	if (log->root == log && log->path != NULL)
		close(log->fd);
	free(log->program);
	free(log->path);
	free(log->context);
	free(log);
}

bool
log_reopen(struct log *log)
{
	int fd, old;

	if (log->path == NULL)
		return true;
	fd = open_file(log->path);
	if (fd < 0)
		return false;
	old = log->fd;
	/* The number stays the same, so a thread in the middle of a write is not disturbed. */
	if (dup3(fd, old, O_CLOEXEC) < 0) {
		close(fd);
		return false;
	}
	close(fd);
	return true;
}

void
log_set_level(struct log *log, enum log_level level)
{
	log->level = level;
}

bool
log_wants(const struct log *log, enum log_level level)
{
	return log != NULL && level <= log->root->level;
}

static bool
needs_quotes(const char *s)
{
	if (*s == '\0')
		return true;
	for (size_t n; *s != '\0'; s += n) {
		n = text_visible(s);
		if (n == 0 || *s == ' ' || *s == '"' || *s == '=' || *s == '\\')
			return true;
	}
	return false;
}

static void
add_value(struct buf *line, const char *s)
{
	if (s == NULL)
		s = "";
	if (!needs_quotes(s)) {
		buf_adds(line, s);
		return;
	}
	buf_addc(line, '"');
	for (size_t n; *s != '\0'; s += n > 0 ? n : 1) {
		n = text_visible(s);
		if (*s == '"' || *s == '\\')
			buf_printf(line, "\\%c", *s);
		else if (*s == '\n')
			buf_adds(line, "\\n");
		else if (n == 0)
			buf_printf(line, "\\x%02x", (unsigned char)*s);
		else
			buf_add(line, s, n);
	}
	buf_addc(line, '"');
}

/* The integer conversion at p (behind the '%'); returns the place behind it, or NULL. */
static const char *
add_integer(struct buf *line, const char *p, va_list *args)
{
	unsigned longs = 0;
	bool size = false;
	intmax_t value;

	for (; *p == 'l'; p++)
		longs++;
	if (*p == 'z') {
		size = true;
		p++;
	}
	switch (*p) {
	case 'd':
	case 'i':
		value = size        ? va_arg(*args, ssize_t)
			: longs > 1 ? va_arg(*args, long long)
			: longs > 0 ? va_arg(*args, long)
				    : va_arg(*args, int);
		buf_printf(line, "%jd", value);
		return p + 1;
	case 'u':
	case 'x':
		value = size        ? (intmax_t)va_arg(*args, size_t)
			: longs > 1 ? (intmax_t)va_arg(*args, unsigned long long)
			: longs > 0 ? (intmax_t)va_arg(*args, unsigned long)
				    : (intmax_t)va_arg(*args, unsigned);
		buf_printf(line, *p == 'u' ? "%ju" : "%jx", (uintmax_t)value);
		return p + 1;
	default: return NULL;
	}
}

static void
add_fields(struct buf *line, const char *fmt, va_list *args)
{
	const char *after;

	for (const char *p = fmt; *p != '\0';) {
		if (*p != '%') {
			buf_addc(line, *p++);
		} else if (p[1] == 's') {
			add_value(line, va_arg(*args, const char *));
			p += 2;
		} else if (p[1] == 'c') {
			buf_addc(line, (char)va_arg(*args, int));
			p += 2;
		} else if ((after = add_integer(line, p + 1, args)) != NULL) {
			p = after;
		} else {
			buf_addc(line, '%'); /* %%, or a conversion that is not ours */
			p += p[1] != '\0' ? 2 : 1;
		}
	}
}

static void
add_time(struct buf *line)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(line, "%s.%03ldZ ", text, now.tv_nsec / 1000000);
}

static void
write_line(
    const struct log *log, enum log_level level, const char *event, const char *fmt, va_list *args)
{
	const struct log *root = log->root;
	struct buf line = { 0 };
	int saved = errno;
	ssize_t done;

	if (root->path != NULL)
		add_time(&line);
	buf_printf(&line, "%s %s ", LEVEL_NAMES[level], root->program);
	if (log->context != NULL)
		buf_printf(&line, "%s ", log->context);
	buf_adds(&line, event);
	if (*fmt != '\0') {
		buf_addc(&line, ' ');
		add_fields(&line, fmt, args);
	}
	if (line.len > LOG_LINE_MAX_BYTES)
		line.len = LOG_LINE_MAX_BYTES;
	buf_addc(&line, '\n');
	do
		done = write(root->fd, line.data, line.len);
	while (done < 0 && errno == EINTR); /* a log that cannot be written has nowhere to say so */
	buf_free(&line);
	errno = saved;
}

#define LOG_AT(level)                                                                              \
	va_list args;                                                                              \
                                                                                                   \
	if (!log_wants(log, level))                                                                \
		return;                                                                            \
	va_start(args, fmt);                                                                       \
	write_line(log, level, event, fmt, &args);                                                 \
	va_end(args)

void
log_error(const struct log *log, const char *event, const char *fmt, ...)
{
	LOG_AT(LOG_LEVEL_ERROR);
}

void
log_warn(const struct log *log, const char *event, const char *fmt, ...)
{
	LOG_AT(LOG_LEVEL_WARN);
}

void
log_info(const struct log *log, const char *event, const char *fmt, ...)
{
	LOG_AT(LOG_LEVEL_INFO);
}

void
log_debug(const struct log *log, const char *event, const char *fmt, ...)
{
	LOG_AT(LOG_LEVEL_DEBUG);
}
