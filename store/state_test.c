#include "store/state.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

#define DAY 86400

struct place {
	char *dir;
	int fd;
};

static int
setup(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));
	char dir[] = "/tmp/state_test.XXXXXX";

	assert_non_null(mkdtemp(dir));
	p->dir = mem_strdup(dir);
	p->fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(p->fd, "tmp", 0700), 0);
	*state = p;
	return 0;
}

/* How many files in the account's directory begin so; with `remove` they go. */
static int
files(const struct place *p, const char *prefix, bool remove)
{
	DIR *dir = opendir(p->dir);
	struct dirent *e;
	int count = 0;

	while ((e = readdir(dir)) != NULL) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		count++;
		if (remove)
			assert_int_equal(unlinkat(p->fd, e->d_name, 0), 0);
	}
	closedir(dir);
	return count;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	files(p, "state.db", true);
	assert_int_equal(unlinkat(p->fd, "tmp", AT_REMOVEDIR), 0);
	close(p->fd);
	assert_int_equal(rmdir(p->dir), 0);
	free(p->dir);
	free(p);
	return 0;
}

static struct state *
open_state(const struct place *p)
{
	struct state *st;

	assert_int_equal(state_open(p->fd, true, NULL, &st), STORE_OK);
	return st;
}

static void
test_open(void **state)
{
	struct place *p = *state;
	struct state *st;
	struct stat sb;

	assert_int_equal(state_open(p->fd, false, NULL, &st), STORE_NOT_FOUND);
	assert_int_equal(files(p, "state.db", false), 0);
	state_close(open_state(p));
	assert_int_equal(fstatat(p->fd, "state.db", &sb, 0), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	assert_int_equal(state_open(p->fd, false, NULL, &st), STORE_OK);
	state_close(st);
	state_close(NULL);
}

static void
test_once(void **state)
{
	static const struct {
		const char *key, *recipient;
		uint64_t seconds;
		int64_t now;
		bool may;
	} CASES[] = {
		{ "v", "bob@example.org", 7 * DAY, 1000, true },
		{ "v", "bob@example.org", 7 * DAY, 1001, false },
		{ "v", "BOB@example.org", 7 * DAY, 1001, false },
		{ "v", "eve@example.org", 7 * DAY, 1001, true },
		{ "w", "bob@example.org", 7 * DAY, 1001, true }, /* another handle */
		{ "v", "bob@example.org", 7 * DAY, 1000 + 7 * DAY - 1, false },
		{ "v", "bob@example.org", 1 * DAY, 1000 + 2 * DAY, true }, /* now shorter */
		{ "v", "bob@example.org", 7 * DAY, 1000 + 3 * DAY,
		    true }, /* the claim was of a day */
		{ "v", "bob@example.org", 7 * DAY, 1000 + 9 * DAY, false },
		{ "v", "bob@example.org", 7 * DAY, 1000 + 10 * DAY, true },
		{ "for ever", "bob@example.org", 0, 1000, true },
		{ "for ever", "bob@example.org", 0, INT64_MAX - 1, false },
		{ "for ever", "bob@example.org", DAY, 1000 + DAY, true },
		{ "big", "bob@example.org", UINT64_MAX, 1000, true },
		{ "big", "bob@example.org", UINT64_MAX, INT64_MAX - 1, false },
	};
	struct state *st = open_state(*state);
	bool may;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		assert_int_equal(state_once(st, CASES[i].key, CASES[i].recipient, CASES[i].seconds,
				     CASES[i].now, &may),
		    STORE_OK);
		if (may != CASES[i].may)
			fail_msg("row %zu", i);
	}
	assert_int_equal(state_once_undo(st, "big", "bob@example.org"), STORE_OK);
	assert_int_equal(state_once(st, "big", "bob@example.org", 1, 1001, &may), STORE_OK);
	assert_true(may);
	state_close(st);
}

/* Of many who ask at once one hears true. */
static void
test_once_processes(void **state)
{
	struct place *p = *state;
	int won = 0, status;
	pid_t pids[8];

	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct state *st;
			bool may = false;

			if (state_open(p->fd, true, NULL, &st) != STORE_OK ||
			    state_once(st, "v", "bob@example.org", DAY, 1000, &may) != STORE_OK)
				_exit(99);
			state_close(st);
			_exit(may ? 1 : 0);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
		won += WEXITSTATUS(status);
	}
	assert_int_equal(won, 1);
}

static void
test_memory(void **state)
{
	struct state *st = open_state(*state);
	bool is;

	assert_int_equal(state_remembered(st, "a", 1000, &is), STORE_OK);
	assert_false(is);
	assert_int_equal(state_remember(st, "a", 60, 1000), STORE_OK);
	assert_int_equal(state_remembered(st, "a", 1059, &is), STORE_OK);
	assert_true(is);
	assert_int_equal(state_remembered(st, "A", 1059, &is), STORE_OK);
	assert_false(is);
	assert_int_equal(state_remember(st, "a", 60, 1050), STORE_OK); /* anew */
	assert_int_equal(state_remembered(st, "a", 1109, &is), STORE_OK);
	assert_true(is);
	assert_int_equal(state_remembered(st, "a", 1110, &is), STORE_OK);
	assert_false(is);
	state_close(st);
}

static void
test_errors(void **state)
{
	static const struct {
		unsigned line;
		const char *text;
		int64_t now;
		bool due;
	} CASES[] = {
		{ 3, "no", 1000, true },
		{ 3, "no", 1001, false },
		{ 4, "no", 1002, true }, /* another error */
		{ 3, "no", 1000 + DAY - 1, false },
		{ 3, "no", 1000 + DAY, true },
	};
	struct state *st = open_state(*state);
	struct state_error *rows;
	size_t count;
	char text[32];
	int reported = 0;
	bool due;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		assert_int_equal(state_error_add(st, "runtime", CASES[i].line, CASES[i].text,
				     CASES[i].now, &due),
		    STORE_OK);
		if (due != CASES[i].due)
			fail_msg("row %zu", i);
	}
	assert_int_equal(state_errors(st, &rows, &count), STORE_OK);
	assert_int_equal(count, 2);
	assert_int_equal(rows[0].line, 3);
	assert_int_equal(rows[0].count, 4);
	assert_int_equal(rows[0].first_s, 1000);
	assert_int_equal(rows[0].last_s, 1000 + DAY);
	assert_string_equal(rows[1].kind, "runtime");
	state_errors_free(rows, count);
	assert_int_equal(state_errors_clear(st), STORE_OK);
	/* An error whose text is never the same floods neither the file nor its owner. */
	for (int i = 0; i < STATE_ERRORS_MAX + 20; i++) {
		snprintf(text, sizeof(text), "error %d", i);
		assert_int_equal(
		    state_error_add(st, "expand", 1, text, 5000000 + i, &due), STORE_OK);
		reported += due;
	}
	assert_int_equal(reported, 10);
	assert_int_equal(state_errors(st, &rows, &count), STORE_OK);
	assert_int_equal(count, STATE_ERRORS_MAX);
	assert_string_equal(rows[0].text, text);
	state_errors_free(rows, count);
	state_close(st);
}

static void
overwrite(const struct place *p, off_t from, size_t len)
{
	char *junk = mem_alloc(len);
	int fd = openat(p->fd, "state.db", O_WRONLY);

	memset(junk, 0xa5, len);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, len, from), (ssize_t)len);
	close(fd);
	free(junk);
}

/* A damaged file never stands in the way, whether it is seen when it is opened or later. */
static void
test_damaged(void **state)
{
	struct place *p = *state;
	struct state *st = open_state(p);
	bool may;

	assert_int_equal(state_once(st, "v", "bob@example.org", DAY, 1000, &may), STORE_OK);
	state_close(st);
	overwrite(p, 0, 100); /* the header */
	st = open_state(p);
	assert_int_equal(files(p, "state.db.damaged-", false) > 0, true);
	assert_int_equal(state_once(st, "v", "bob@example.org", DAY, 1000, &may), STORE_OK);
	assert_true(may); /* forgotten with the file */
	state_close(st);
	files(p, "state.db.damaged-", true);
	overwrite(p, 4096, 4096 * 6); /* the tables */
	st = open_state(p);
	assert_int_equal(state_once(st, "v", "bob@example.org", DAY, 1000, &may), STORE_OK);
	assert_true(may);
	assert_int_equal(files(p, "state.db.damaged-", false) > 0, true);
	state_close(st);
}

/* Somebody restored or removed it while it was open. */
static void
test_replaced(void **state)
{
	struct place *p = *state;
	struct state *st = open_state(p);
	bool may;

	assert_int_equal(state_once(st, "v", "bob@example.org", DAY, 1000, &may), STORE_OK);
	files(p, "state.db", true);
	assert_int_equal(state_once(st, "v", "bob@example.org", DAY, 1000, &may), STORE_OK);
	assert_true(may);
	assert_int_equal(state_once(st, "v", "bob@example.org", DAY, 1000, &may), STORE_OK);
	assert_false(may);
	state_close(st);
}

/* The account is renamed while its state is open, and another takes its old name. */
static void
test_renamed_account(void **state)
{
	struct place *p = *state;
	struct state *st = open_state(p);
	char *moved = mem_printf("%s.moved", p->dir);
	bool may;

	assert_int_equal(state_once(st, "v", "bob@example.org", DAY, 1000, &may), STORE_OK);
	assert_int_equal(rename(p->dir, moved), 0);
	assert_int_equal(mkdir(p->dir, 0700), 0);
	assert_int_equal(state_once(st, "v", "bob@example.org", DAY, 1000, &may), STORE_OK);
	assert_false(may);
	state_close(st);
	assert_int_equal(rmdir(p->dir), 0); /* nothing was made there */
	assert_int_equal(rename(moved, p->dir), 0);
	free(moved);
}

static void
test_check(void **state)
{
	struct state *st = open_state(*state);
	struct buf problems = { 0 };

	assert_int_equal(state_check(st, &problems), STORE_OK);
	assert_int_equal(problems.len, 0);
	buf_free(&problems);
	state_close(st);
}

static bool
say_percent(void *arg, uint64_t *percent_out)
{
	*percent_out = *(uint64_t *)arg;
	return *percent_out != UINT64_MAX;
}

/* In order: how full the account is, and what it is told. */
static const struct {
	uint64_t percent;
	unsigned due;
} FILLINGS[] = {
	{ 10, 0 },
	{ 80, 80 },
	{ 85, 0 },
	{ 90, 90 },
	{ 85, 0 }, /* below 90 again, not below 80 */
	{ 120, 100 },
	{ 120, 0 },
	{ 79, 0 },
	{ 100, 100 },
	{ 79, 0 },
	{ 80, 80 },
};

static void
test_warnings(void **state)
{
	static const unsigned THRESHOLDS[] = { 80, 90, 100 };
	struct state *st = open_state(*state);
	uint64_t percent;
	unsigned due;

	for (size_t i = 0; i < ARRAY_LEN(FILLINGS); i++) {
		percent = FILLINGS[i].percent;
		assert_int_equal(
		    state_warnings(st, THRESHOLDS, 3, say_percent, &percent, &due), STORE_OK);
		assert_int_equal(due, FILLINGS[i].due);
	}
	assert_int_equal(state_warning_undo(st, 80), STORE_OK);
	assert_int_equal(state_warnings(st, THRESHOLDS, 3, say_percent, &percent, &due), STORE_OK);
	assert_int_equal(due, 80);
	percent = UINT64_MAX; /* it cannot be known: nothing changes */
	assert_int_equal(state_warnings(st, THRESHOLDS, 3, say_percent, &percent, &due), STORE_IO);
	state_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_once_processes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_warnings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_renamed_account, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
