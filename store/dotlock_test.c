#include "store/dotlock.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/maildir_testdir.h"

#define LOCK "subscriptions.lock"

/* The pid of a process that has ended. */
static pid_t
dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* A lock that somebody else left, so many seconds ago, and whether it is in the way. */
static void
found(void **state)
{
	char host[HOST_NAME_MAX + 1] = "";
	pid_t gone = dead_pid();

	(void)state;
	gethostname(host, sizeof(host) - 1);
	const struct {
		const char *label;
		char *owner;
		int age_s;
		enum store_err err;
	} cases[] = {
		{ "a dead process", mem_printf("%ld:%s", (long)gone, host), 0, STORE_OK },
		{ "the same with a line end", mem_printf("%ld:%s\n", (long)gone, host), 0,
		    STORE_OK },
		{ "a living process", mem_printf("%ld:%s", (long)getpid(), host), 0, STORE_BUSY },
		{ "another machine's", mem_printf("%ld:%s.other", (long)gone, host), 0,
		    STORE_BUSY },
		{ "nobody's", mem_strdup(""), 0, STORE_BUSY },
		{ "no number", mem_strdup("x:y"), 0, STORE_BUSY },
		{ "the group 0", mem_printf("0:%s", host), 0, STORE_BUSY },
		{ "old", mem_printf("%ld:%s", (long)getpid(), host), DOTLOCK_STALE_S + 60,
		    STORE_OK },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct timespec then[2] = { { .tv_sec = time(NULL) - cases[i].age_s },
			{ .tv_sec = time(NULL) - cases[i].age_s } };
		struct testdir t;
		struct dotlock lock;

		print_message("%s\n", cases[i].label);
		testdir_open(&t);
		testdir_write(t.home->fd, LOCK, cases[i].owner);
		assert_int_equal(utimensat(t.home->fd, LOCK, then, 0), 0);
		assert_int_equal(
		    dotlock_take(t.home->fd, "subscriptions", 20, &lock), cases[i].err);
		assert_int_equal(faccessat(t.home->fd, LOCK, F_OK, 0), 0);
		dotlock_release(&lock);
		assert_int_equal(
		    faccessat(t.home->fd, LOCK, F_OK, 0), cases[i].err == STORE_OK ? -1 : 0);
		testdir_close(&t);
		free(cases[i].owner);
	}
}

/* Many at once, some of which die with the lock in hand: one holder at a time, and all get it. */
#define PROCESSES 8
#define ROUNDS    40

static void
hold_and_count(int dir_fd, unsigned n)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct dotlock lock;
		char *text;

		if (dotlock_take(dir_fd, "subscriptions", 60000, &lock) != STORE_OK)
			_exit(1);
		text = testdir_read(dir_fd, "count");
		char *next = mem_printf("%d", text != NULL ? atoi(text) + 1 : 1);
		testdir_write(dir_fd, "count", next);
		free(next);
		free(text);
		if (i == ROUNDS - 1 && n % 2 == 0)
			_exit(0); /* as if killed */
		dotlock_release(&lock);
	}
	_exit(0);
}

static void
one_at_a_time(void **state)
{
	struct testdir t;
	char *text;
	int status;

	(void)state;
	testdir_open(&t);
	for (unsigned n = 0; n < PROCESSES; n++)
		if (fork() == 0)
			hold_and_count(t.home->fd, n);
	for (unsigned n = 0; n < PROCESSES; n++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	text = testdir_read(t.home->fd, "count");
	assert_int_equal(atoi(text), PROCESSES * ROUNDS);
	free(text);
	testdir_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found),
		cmocka_unit_test(one_at_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
