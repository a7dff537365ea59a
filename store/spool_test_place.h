/* For the spool's tests: a spool in a temporary directory that is removed at the end.  Failures fail the test.
 * Include it behind <cmocka.h>. */
#ifndef STORE_SPOOL_TEST_PLACE_H
#define STORE_SPOOL_TEST_PLACE_H

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/spool.h"

/* *state is the spool's path; nothing is there yet. */
static inline int
spool_place_set_up(void **state)
{
	char dir[] = "/tmp/spool-test.XXXXXX";

	assert_non_null(mkdtemp(dir));
	*state = mem_printf("%s/spool", dir);
	return 0;
}

static inline int
spool_place_tear_down(void **state)
{
	char *dir = *state, *command;

	*strrchr(dir, '/') = '\0';
	command = mem_printf("rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	free(command);
	free(dir);
	return 0;
}

static inline struct spool *
spool_place_open(const char *dir, const struct spool_options *options)
{
	struct spool *spool;

	assert_int_equal(spool_open(dir, options, NULL, &spool), STORE_OK);
	spool_sweep(spool);
	return spool;
}

/* Runs it in a process of its own, kills that after 5 to 85 ms, and gives what it wrote to fd. */
static inline void
spool_place_kill(void (*child)(const char *dir, int fd), const char *dir, struct buf *said)
{
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		child(dir, fds[1]);
	}
	close(fds[1]);
	usleep((useconds_t)(5000 + rand() % 80000));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	do {
		buf_reserve(said, 65536);
		n = read(fds[0], said->data + said->len, 65536);
		said->len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	close(fds[0]);
}

#endif
