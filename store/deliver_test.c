#include "store/deliver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/mem.h"
#include "store/folder.h"
#include "store/maildir_name.h"
#include "store/maildir_testdir.h"
#include "store/quota.h"

/* What comes in (in pieces of 1, 2 and all bytes) and what lies on disk. */
static const struct {
	const char *in, *disk;
	uint64_t crlf_size;
} BODIES[] = {
	{ "", "", 0 },
	{ "a: b\r\n\r\nx\r\n", "a: b\n\nx\n", 11 },
	{ "x\ny\n", "x\ny\n", 6 },
	{ "x\ry", "x\ry", 3 },
	{ "x\r", "x\r", 2 },
	{ "x\r\r\ny", "x\r\r\ny", 5 }, /* comes out as it came in */
	{ "\r\r\r\n\r\n", "\r\r\r\n\n", 6 },
	{ "\r\n\n", "\n\n", 4 },
	{ "\n\r", "\n\r", 3 },
};

static enum store_err
begin(const struct testdir *t, const char *mailbox, struct maildir_delivery **d_out)
{
	return maildir_delivery_begin(t->root, "Ann", "example.org", mailbox, false, d_out);
}

static void
bodies(void **state)
{
	static const size_t PIECES[] = { 1, 2, 1000 };
	struct testdir t;

	(void)state;
	testdir_open(&t);
	for (size_t i = 0; i < ARRAY_LEN(BODIES) * ARRAY_LEN(PIECES); i++) {
		const char *in = BODIES[i / ARRAY_LEN(PIECES)].in;
		const char *disk = BODIES[i / ARRAY_LEN(PIECES)].disk;
		struct maildir_delivery *d;
		struct maildir_name parsed;
		char *name, *path, *text;
		struct stat st;

		assert_int_equal(begin(&t, "inbox", &d), STORE_OK);
		for (size_t len = strlen(in); len > 0;) {
			size_t piece = PIECES[i % ARRAY_LEN(PIECES)];

			piece = piece < len ? piece : len;
			assert_int_equal(maildir_delivery_write(d, in, piece), STORE_OK);
			in += piece;
			len -= piece;
		}
		assert_int_equal(
		    maildir_delivery_finish(d, 1234567890, MAILDIR_SEEN, 1, &name), STORE_OK);
		assert_true(maildir_name_parse(str_from(name), &parsed));
		assert_int_equal(parsed.size, strlen(disk));
		assert_int_equal(parsed.crlf_size, BODIES[i / ARRAY_LEN(PIECES)].crlf_size);
		assert_int_equal(parsed.flags, MAILDIR_SEEN);
		assert_int_equal(parsed.keywords, 1);
		path = mem_printf("new/%s", name);
		text = testdir_read(t.home->fd, path);
		assert_string_equal(text, disk);
		assert_int_equal(fstatat(t.home->fd, path, &st, 0), 0);
		assert_int_equal(st.st_mtime, 1234567890);
		free(text);
		free(path);
		free(name);
	}
	testdir_close(&t);
}

static bool
count_entry(void *arg, const char *name, unsigned char type)
{
	size_t *count = arg;

	(void)name;
	(void)type;
	++*count;
	return true;
}

static size_t
entries(const struct home *home, const char *dir)
{
	size_t count = 0;
	int fd;

	assert_int_equal(dir_open(home->fd, dir, &fd), STORE_OK);
	assert_int_equal(dir_list(fd, count_entry, &count), STORE_OK);
	close(fd);
	return count;
}

static void
ends(void **state)
{
	struct maildir_delivery *d, *several[3];
	const char *name;
	struct testdir t;

	(void)state;
	testdir_open(&t);
	assert_int_equal(begin(&t, "nowhere", &d), STORE_NOT_FOUND);
	assert_int_equal(begin(&t, "a//b", &d), STORE_INVALID);
	assert_int_equal(
	    maildir_delivery_begin(t.root, "bob", "x.org", "INBOX", false, &d), STORE_NOT_FOUND);
	assert_int_equal(
	    maildir_delivery_begin(t.root, "bob", "x.org", "INBOX", true, &d), STORE_OK);
	maildir_delivery_abort(d);
	assert_int_equal(begin(&t, "INBOX", &d), STORE_OK);
	assert_int_equal(maildir_delivery_write(d, "x", 1), STORE_OK);
	assert_int_equal(entries(t.home, "tmp"), 1);
	maildir_delivery_abort(d);
	assert_int_equal(entries(t.home, "tmp"), 0);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(begin(&t, "INBOX", &several[i]), STORE_OK);
		assert_int_equal(maildir_delivery_write(several[i], "x\n", 2), STORE_OK);
		assert_int_equal(maildir_delivery_seal(several[i], MAILDIR_DATE_NOW), STORE_OK);
		assert_int_equal(maildir_delivery_write(several[i], "x", 1), STORE_INVALID);
		assert_int_equal(maildir_delivery_place(several[i], i + 7, 0, 0, &name), STORE_OK);
		assert_non_null(strstr(name, ",S=2,W=3,U="));
	}
	assert_int_equal(maildir_delivery_confirm(several, 2), STORE_OK);
	assert_int_equal(entries(t.home, "cur"), 3);
	maildir_delivery_abort(several[2]);
	assert_int_equal(entries(t.home, "cur"), 2);
	assert_int_equal(entries(t.home, "tmp"), 0);
	testdir_close(&t);
}

/* Folders change while a delivery has them open. */
static void
folders_change(void **state)
{
	struct maildir_delivery *d;
	struct testdir t;

	(void)state;
	testdir_open(&t);
	assert_int_equal(folder_create(t.home, "A"), STORE_OK);
	assert_int_equal(begin(&t, "A", &d), STORE_OK);
	assert_int_equal(maildir_delivery_write(d, "x\n", 2), STORE_OK);
	assert_int_equal(maildir_delivery_finish(d, MAILDIR_DATE_NOW, 0, 0, NULL), STORE_OK);
	/* renamed in between: not delivered, and nothing stays */
	assert_int_equal(begin(&t, "A", &d), STORE_OK);
	assert_int_equal(folder_rename(t.home, "A", "B"), STORE_OK);
	assert_int_equal(maildir_delivery_finish(d, MAILDIR_DATE_NOW, 0, 0, NULL), STORE_NOT_FOUND);
	assert_int_equal(entries(t.home, ".B/new"), 1);
	assert_int_equal(entries(t.home, ".B/tmp"), 0);
	assert_int_equal(begin(&t, "A", &d), STORE_NOT_FOUND);
	/* deleted, and another made */
	assert_int_equal(begin(&t, "B", &d), STORE_OK);
	assert_int_equal(folder_delete(t.home, "B"), STORE_OK);
	assert_int_equal(folder_create(t.home, "B"), STORE_OK);
	assert_int_equal(maildir_delivery_finish(d, MAILDIR_DATE_NOW, 0, 0, NULL), STORE_NOT_FOUND);
	assert_int_equal(begin(&t, "B", &d), STORE_OK);
	assert_int_equal(maildir_delivery_finish(d, MAILDIR_DATE_NOW, 0, 0, NULL), STORE_OK);
	assert_int_equal(entries(t.home, ".B/new"), 1);
	testdir_close(&t);
}

/* A full disk: /dev/full cannot be had here, so a limit on file size gives EFBIG, an I/O error. */
static void
write_fails(void **state)
{
	char *big = mem_zalloc(1 << 20);
	struct testdir t;
	int status;
	pid_t child;

	(void)state;
	testdir_open(&t);
	child = fork();
	if (child == 0) {
		struct rlimit limit = { 100000, 100000 };
		struct maildir_delivery *d;
		bool ok;

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		ok = begin(&t, "INBOX", &d) == STORE_OK &&
		     maildir_delivery_write(d, big, 1 << 20) == STORE_IO &&
		     maildir_delivery_write(d, "x", 1) == STORE_IO &&
		     maildir_delivery_finish(d, MAILDIR_DATE_NOW, 0, 0, NULL) == STORE_IO;
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(entries(t.home, "tmp"), 0);
	assert_int_equal(entries(t.home, "new"), 0);
	free(big);
	testdir_close(&t);
}

#define BODY_BYTES 5000
#define ROUNDS     40

/* Delivers until it is killed; each acknowledged name goes into the pipe. */
static void
deliver_for_ever(const struct testdir *t, int ack_fd)
{
	char body[BODY_BYTES], name_out[256];

	memset(body, 'x', sizeof(body));
	body[BODY_BYTES - 1] = '\n';
	for (;;) {
		struct maildir_delivery *d;
		char *name;

		if (begin(t, "INBOX", &d) != STORE_OK ||
		    maildir_delivery_write(d, body, BODY_BYTES) != STORE_OK ||
		    maildir_delivery_finish(d, MAILDIR_DATE_NOW, 0, 0, &name) != STORE_OK)
			_exit(1);
		memset(name_out, 0, sizeof(name_out));
		strncpy(name_out, name, sizeof(name_out) - 1);
		if (write(ack_fd, name_out, sizeof(name_out)) != sizeof(name_out))
			_exit(1);
		free(name);
	}
}

struct crash_check {
	int fd;
	size_t whole;
};

static bool
check_whole(void *arg, const char *file, unsigned char type)
{
	struct crash_check *check = arg;
	struct stat st;

	(void)type;
	assert_int_equal(fstatat(check->fd, file, &st, 0), 0);
	assert_int_equal(st.st_size, BODY_BYTES); /* none is half visible */
	check->whole++;
	return true;
}

static void
killed(void **state)
{
	struct crash_check check = { 0 };
	struct testdir t;
	size_t acknowledged = 0;
	int pipe_fds[2];

	(void)state;
	testdir_open(&t);
	for (int i = 0; i < ROUNDS; i++) {
		struct timespec pause = { 0, (i * 7919 % 40 + 1) * 100000L };
		char name[256], path[300];
		struct stat st;
		int status;
		pid_t child;

		assert_int_equal(pipe(pipe_fds), 0);
		child = fork();
		if (child == 0) {
			close(pipe_fds[0]);
			deliver_for_ever(&t, pipe_fds[1]);
		}
		close(pipe_fds[1]);
		nanosleep(&pause, NULL);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		assert_true(WIFSIGNALED(status));
		while (read(pipe_fds[0], name, sizeof(name)) == sizeof(name)) {
			snprintf(path, sizeof(path), "new/%s", name);
			assert_int_equal(fstatat(t.home->fd, path, &st, 0), 0);
			acknowledged++;
		}
		close(pipe_fds[0]);
	}
	assert_int_equal(dir_open(t.home->fd, "new", &check.fd), STORE_OK);
	assert_int_equal(dir_list(check.fd, check_whole, &check), STORE_OK);
	assert_true(check.whole >= acknowledged);
	assert_true(check.whole <= acknowledged + ROUNDS); /* placed, not yet acknowledged */
	close(check.fd);
	testdir_close(&t);
}

#define PROCESSES  8
#define DELIVERIES 50
static const struct quota_rules RULES = { .limit_bytes = 1 << 30 };

/* Delivers to "F", or to INBOX while that is being renamed; notes each in maildirsize. */
static void
deliver_some(const char *root_path)
{
	struct store_root *root;
	struct home *home;

	if (store_root_open(root_path, NULL, &root) != STORE_OK ||
	    home_open(root, "ann", "example.org", false, &home) != STORE_OK)
		_exit(2);
	for (int i = 0; i < DELIVERIES; i++) {
		static const char *const TO[] = { "F", "G", "INBOX" };
		enum store_err err = STORE_NOT_FOUND;

		for (size_t n = 0; err == STORE_NOT_FOUND && n < ARRAY_LEN(TO); n++) {
			struct maildir_delivery *d;

			err = maildir_delivery_begin(root, "ann", "example.org", TO[n], false, &d);
			if (err == STORE_OK)
				err = maildir_delivery_write(d, "x\n", 2);
			if (err == STORE_OK)
				err = maildir_delivery_finish(d, MAILDIR_DATE_NOW, 0, 0, NULL);
		}
		if (err != STORE_OK || quota_add(home, &RULES, "INBOX", 2, 1) != STORE_OK)
			_exit(3);
	}
	home_close(home);
	store_root_close(root);
	_exit(0);
}

static void
many_at_once(void **state)
{
	struct quota_usage usage;
	struct testdir t;
	pid_t children[PROCESSES];
	size_t running = PROCESSES;
	bool at_f = true;

	(void)state;
	testdir_open(&t);
	assert_int_equal(folder_create(t.home, "F"), STORE_OK);
	assert_int_equal(quota_usage(t.home, &RULES, &usage), STORE_OK);
	for (size_t i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		if (children[i] == 0)
			deliver_some(t.path);
	}
	while (running > 0) {
		int status;
		struct timespec pause = { 0, 2000000 };

		assert_int_equal(
		    folder_rename(t.home, at_f ? "F" : "G", at_f ? "G" : "F"), STORE_OK);
		at_f = !at_f;
		nanosleep(&pause, NULL);
		while (running > 0 && waitpid(-1, &status, WNOHANG) > 0) {
			assert_int_equal(status, 0);
			running--;
		}
	}
	/* What was noted on the way is what is there. */
	assert_int_equal(quota_usage(t.home, &RULES, &usage), STORE_OK);
	assert_int_equal(usage.count, PROCESSES * DELIVERIES);
	assert_int_equal(usage.bytes, 2 * PROCESSES * DELIVERIES);
	assert_int_equal(quota_recount(t.home, &RULES, &usage), STORE_OK);
	assert_int_equal(usage.count, PROCESSES * DELIVERIES);
	assert_int_equal(usage.bytes, 2 * PROCESSES * DELIVERIES);
	testdir_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies),
		cmocka_unit_test(ends),
		cmocka_unit_test(folders_change),
		cmocka_unit_test(write_fails),
		cmocka_unit_test(killed),
		cmocka_unit_test(many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
