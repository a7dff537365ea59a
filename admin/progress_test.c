#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "admin/progress.h"
#include "base/buf.h"
#include "base/mem.h"

static const struct {
	const char *what;
	uint64_t done, total, elapsed_ms;
	size_t columns;
	const char *line;
} LINES[] = {
	{ "Reindexing", 421, 1000, 9000, 61,
	    "Reindexing   42 %  [======          ]  421 of 1000  0:12 left" },
	{ "Reindexing", 1000, 1000, 9000, 61,
	    "Reindexing  100 %  [===============]  1000 of 1000  0:00 left" },
	{ "Reindexing", 2000, 1000, 9000, 51, /* more than was thought, too narrow for a bar */
	    "Reindexing  100 %  1000 of 1000  0:00 left" },
	{ "Reindexing", 421, 1000, 9000, 34, "Rei   42 %  421 of 1000  0:12 left" },
	{ "Reindexing", 421, 1000, 9000, 30, " 42 %" },
	{ "Reindexing", 421, 1000, 9000, 4, "" },
	{ "Reindexing", 0, 1000, 9000, 30, "Reindexing    0 %  0 of 1000" },
	{ "Searching", 421, 0, 71000, 79, "Searching  421  1:11" }, /* no end in sight */
	{ "Searching", 421, 0, 71000, 10, "" },
	{ "Searching", 0, 0, 71000, 79, "Searching  1:11" },
	{ "Copying", 99999, 100000, 3600000, 45, "Copying   99 %  99999 of 100.0k  0:00 left" },
	{ "Copying", 1, 4, 3600000, 45, "Copying   25 %  1 of 4  3:00:00 left" },
	{ "Copying", 999960, 5368709120, 10, 45, "Copying    0 %  1.0M of 5.4G  0:54 left" },
	{ "a\x1b[31m\xc3\xa4\xff", 1, 2, 0, 46,
	    "a?[31m\xc3\xa4?   50 %  [====    ]  1 of 2  0:00 left" },
	{ "", 1, UINT64_MAX, 1, 79, /* never: no time is shown */
	    "    0 %  [                                        ]  1 of 18.4E" },
};

static void
test_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(LINES); i++) {
		struct buf line = { 0 };

		progress_line(&line, LINES[i].what, LINES[i].done, LINES[i].total,
		    LINES[i].elapsed_ms, LINES[i].columns);
		assert_string_equal(buf_cstr(&line), LINES[i].line);
		buf_free(&line);
	}
}

/* A terminal in place of stderr; `master` is its other end. */
struct terminal {
	int master, saved;
};

static void
terminal_open(struct terminal *t, unsigned short columns)
{
	struct winsize size = { .ws_col = columns, .ws_row = 24 };
	int slave;

	t->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(t->master >= 0);
	assert_return_code(grantpt(t->master), 0);
	assert_return_code(unlockpt(t->master), 0);
	slave = open(ptsname(t->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	assert_return_code(ioctl(slave, TIOCSWINSZ, &size), 0);
	t->saved = dup(STDERR_FILENO);
	dup2(slave, STDERR_FILENO);
	close(slave);
}

static void
terminal_close(struct terminal *t)
{
	dup2(t->saved, STDERR_FILENO);
	close(t->saved);
	close(t->master);
}

/* What the terminal got until it ends in `end`; "" asks for what is there now.  The caller's. */
static char *
terminal_read(const struct terminal *t, const char *end)
{
	struct pollfd ready = { .fd = t->master, .events = POLLIN };
	struct buf text = { 0 };
	char bytes[512];
	size_t len = strlen(end);

	while (poll(&ready, 1, len > 0 ? 60000 : 0) == 1) {
		ssize_t n = read(t->master, bytes, sizeof(bytes));

		assert_true(n > 0);
		buf_add(&text, bytes, (size_t)n);
		if (len > 0 && text.len >= len && memcmp(text.data + text.len - len, end, len) == 0)
			break;
	}
	buf_cstr(&text);
	return buf_take(&text);
}

static void
assert_shown(const struct terminal *t, const char *want)
{
	char *got = terminal_read(t, want);

	assert_string_equal(got, want);
	free(got);
}

static void
test_terminal(void **state)
{
	struct terminal t;
	struct progress *p;

	(void)state;
	terminal_open(&t, 12); /* so narrow that no time is shown */
	p = progress_begin("Reindexing", 10);
	assert_non_null(p);
	progress_end(p); /* what is quick shows nothing */
	assert_shown(&t, "");
	p = progress_begin("Reindexing", 10);
	progress_step(p, 10);
	assert_shown(&t, "\r100 %");
	progress_step(p, 2);
	assert_shown(&t, "\r 20 %");
	progress_hide(p);
	assert_shown(&t, "\r     \r");
	progress_hide(p);
	assert_shown(&t, "");
	progress_step(p, 3);
	assert_shown(&t, "\r 30 %");
	progress_end(p);
	assert_shown(&t, "\r     \r");
	terminal_close(&t);
}

/* The width is that of the moment, and what a longer line left goes away. */
static void
test_width(void **state)
{
	struct winsize narrow = { .ws_col = 8, .ws_row = 24 };
	struct terminal t;
	struct progress *p;
	char *text;

	(void)state;
	terminal_open(&t, 60);
	p = progress_begin("Counting", 10);
	progress_step(p, 5);
	text = terminal_read(&t, " left");
	assert_int_equal(strncmp(text, "\rCounting   50 %  [", 18), 0);
	assert_true(strlen(text) <= 60);
	free(text);
	assert_return_code(ioctl(t.master, TIOCSWINSZ, &narrow), 0);
	text = terminal_read(&t, " \r 50 %");
	assert_non_null(strstr(text, "\r 50 %    "));
	free(text);
	progress_end(p);
	terminal_close(&t);
}

static void
test_elsewhere(void **state)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)state;
	dup2(null, STDERR_FILENO);
	assert_null(progress_begin("Reindexing", 10));
	progress_step(NULL, 1);
	progress_hide(NULL);
	progress_end(NULL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
