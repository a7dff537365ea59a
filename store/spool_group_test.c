/* Many threads whose messages share transactions and syncs: some fail, all fail, all are killed. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/spool_internal.h"
#include "store/spool_test_place.h"

#define THREADS 16
#define EACH    12 /* messages of a thread */
#define MOST    5  /* of them all that the limited account may send */
#define TEXT    "the whole text"

static const struct spool_options OPTIONS = { .messages_max = 100000 };
static char GOOD[] = "good@example.org", BAD[] = "bad@example.org", LIMITED[] = "few@example.org";

static struct spool *
open_spool(const char *dir)
{
	return spool_place_open(dir, &OPTIONS);
}

/* But those of a handle that was killed before it had its name, tmp/ID.ID, which wait an hour. */
static size_t
count_files(const char *spool_dir, const char *name)
{
	char *path = mem_printf("%s/%s", spool_dir, name);
	DIR *dir = opendir(path);
	struct dirent *e;
	size_t count = 0;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		count += strlen(e->d_name) == SPOOL_FILE_NAME_BYTES - 1 &&
			 strncmp(e->d_name, e->d_name + SPOOL_ID_LEN + 1, SPOOL_ID_LEN) != 0;
	closedir(dir);
	free(path);
	return count;
}

static enum store_err
add(struct spool *spool, char *account, char id_out[SPOOL_ID_LEN + 1])
{
	static const struct spool_sent LIMITS = { .messages_hour = MOST }, NO_LIMITS = { 0 };
	struct spool_recipient to = { .address = GOOD };
	struct spool_message envelope = { .sender = account,
		.account = account,
		.recipients = &to,
		.recipient_count = 1,
		.most = account == LIMITED ? &LIMITS : &NO_LIMITS };
	struct spool_draft *draft;

	if (spool_begin(spool, &draft) != STORE_OK)
		abort();
	memcpy(id_out, spool_draft_id(draft), SPOOL_ID_LEN + 1);
	if (spool_write(draft, TEXT, strlen(TEXT)) != STORE_OK)
		abort();
	return spool_commit(draft, &envelope, 0);
}

struct client {
	struct spool *spool;
	char *account;
	int fd; /* says there what has become of its messages, or -1 */
	size_t results[STORE_ERR_COUNT];
};

static void *
client_runs(void *arg)
{
	struct client *c = arg;
	char id[SPOOL_ID_LEN + 1];

	for (int i = 0; i < EACH; i++)
		c->results[add(c->spool, c->account, id)]++;
	return NULL;
}

static void
run_clients(struct client clients[static THREADS])
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, client_runs, &clients[i]), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static size_t
sum_of(const struct client clients[static THREADS], const char *account, enum store_err err)
{
	size_t sum = 0;

	for (size_t i = 0; i < THREADS; i++)
		if (clients[i].account == account)
			sum += clients[i].results[err];
	return sum;
}

static void
assert_sent(struct spool *spool, const char *account, size_t messages)
{
	struct spool_sent sent;

	assert_int_equal(spool_sent_count(spool, account, time(NULL), &sent), STORE_OK);
	assert_int_equal(sent.messages_hour, messages);
}

static void
assert_messages(struct spool *spool, size_t messages)
{
	struct buf problems = { 0 };
	struct spool_counts counts;

	assert_int_equal(spool_check(spool, &problems), STORE_OK);
	if (problems.len > 0)
		fail_msg("%s", buf_cstr(&problems));
	assert_int_equal(spool_count(spool, &counts), STORE_OK);
	assert_int_equal(counts.messages, messages);
	assert_int_equal(counts.recipients_pending, messages);
}

/* Half of them are fine; a quarter fails in its last statement; a quarter has the same small limit. */
static void
test_some_fail(void **state)
{
	struct spool *spools[] = { open_spool(*state), open_spool(*state) };
	struct client clients[THREADS];

	assert_int_equal(sql_exec(&spools[0]->sql,
			     "CREATE TRIGGER fails BEFORE INSERT ON recipient"
			     " WHEN (SELECT sender FROM message WHERE id = NEW.message) LIKE 'bad%'"
			     " BEGIN SELECT RAISE(ABORT, 'as the test wants'); END"),
	    STORE_OK);
	for (size_t i = 0; i < THREADS; i++)
		clients[i] = (struct client){ spools[i % 8 / 4],
			i % 2 == 0   ? GOOD
			: i % 4 == 1 ? BAD
				     : LIMITED,
			-1, { 0 } };
	run_clients(clients);
	assert_int_equal(sum_of(clients, GOOD, STORE_OK), THREADS / 2 * EACH);
	assert_int_equal(sum_of(clients, BAD, STORE_IO), THREADS / 4 * EACH);
	assert_int_equal(sum_of(clients, LIMITED, STORE_OK), MOST);
	assert_int_equal(sum_of(clients, LIMITED, STORE_LIMIT), THREADS / 4 * EACH - MOST);
	assert_sent(spools[0], GOOD, THREADS / 2 * EACH);
	assert_sent(spools[0], BAD, 0);
	assert_sent(spools[1], LIMITED, MOST);
	assert_messages(spools[0], THREADS / 2 * EACH + MOST);
	spool_close(spools[0]);
	spool_close(spools[1]);
	spools[0] = open_spool(*state); /* what failed leaves its file until its owner ends */
	assert_int_equal(count_files(*state, "msg"), THREADS / 2 * EACH + MOST);
	spool_close(spools[0]);
}

static int
fail_commit(void *arg)
{
	(void)arg;
	return 1;
}

/* A failed COMMIT is everybody's failure; and nothing of it stays. */
static void
test_commit_fails(void **state)
{
	struct spool *spool = open_spool(*state);
	struct client clients[THREADS];
	char id[SPOOL_ID_LEN + 1];

	for (size_t i = 0; i < THREADS; i++)
		clients[i] = (struct client){ spool, GOOD, -1, { 0 } };
	sqlite3_commit_hook(spool->sql.db, fail_commit, NULL);
	run_clients(clients);
	sqlite3_commit_hook(spool->sql.db, NULL, NULL);
	assert_int_equal(sum_of(clients, GOOD, STORE_IO), THREADS * EACH);
	assert_sent(spool, GOOD, 0);
	assert_messages(spool, 0);
	assert_int_equal(add(spool, GOOD, id), STORE_OK);
	assert_messages(spool, 1);
	spool_close(spool);
}

/* If the names cannot be made durable there are no rows, and no files. */
static void
test_directory_fails(void **state)
{
	struct spool *spool = open_spool(*state);
	char *path = mem_printf("%s/msg", (char *)*state);
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC); /* good for names, not for fsync */
	struct client clients[THREADS];

	assert_true(fd >= 0);
	close(spool->msg_fd);
	spool->msg_fd = fd;
	spool->options.messages_max = 0;
	for (size_t i = 0; i < THREADS; i++)
		clients[i] = (struct client){ spool, GOOD, -1, { 0 } };
	run_clients(clients);
	assert_int_equal(sum_of(clients, GOOD, STORE_IO), THREADS * EACH);
	assert_messages(spool, 0);
	assert_int_equal(count_files(*state, "msg"), 0);
	spool_close(spool);
	free(path);
}

/* --- killed ------------------------------------------------------------------------------------- */

static void
say(int fd, char mark, const char *id)
{
	char line[SPOOL_ID_LEN + 1];

	line[0] = mark;
	memcpy(line + 1, id, SPOOL_ID_LEN);
	if (write(fd, line, sizeof(line)) != sizeof(line))
		_exit(1);
}

/* Adds and completes: A, it was acknowledged; B, it is about to go; C, it is gone. */
static void *
victim_runs(void *arg)
{
	struct client *c = arg;
	struct spool_message *msg;
	char id[SPOOL_ID_LEN + 1];

	for (;;) {
		if (add(c->spool, c->account, id) == STORE_OK)
			say(c->fd, 'A', id);
		if (add(c->spool, c->account, id) == STORE_OK)
			say(c->fd, 'A', id);
		if (spool_claim(c->spool, time(NULL) + 10, &msg) != STORE_OK)
			continue;
		say(c->fd, 'B', msg->id);
		if (spool_complete(c->spool, msg) != STORE_OK)
			_exit(1);
		say(c->fd, 'C', msg->id);
		spool_message_free(msg);
	}
}

static void
victim(const char *dir, int fd)
{
	pthread_t threads[THREADS];
	struct client c = { .account = GOOD, .fd = fd };

	if (spool_open(dir, &OPTIONS, NULL, &c.spool) != STORE_OK)
		_exit(1);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, victim_runs, &c) != 0)
			_exit(1);
	pause();
}

static bool
has_said(const struct buf *said, char mark, const char *id)
{
	for (size_t i = 0; i + SPOOL_ID_LEN + 1 <= said->len; i += SPOOL_ID_LEN + 1)
		if (said->data[i] == mark && memcmp(said->data + i + 1, id, SPOOL_ID_LEN) == 0)
			return true;
	return false;
}

static void
assert_there(struct spool *spool, const char *id)
{
	char got[64];
	int fd;

	assert_int_equal(spool_content(spool, id, &fd), STORE_OK);
	assert_int_equal(read(fd, got, sizeof(got)), strlen(TEXT));
	assert_memory_equal(got, TEXT, strlen(TEXT));
	close(fd);
}

/* What was acknowledged is there, or it was on its way out; what was said to be gone is gone. */
static void
test_killed(void **state)
{
	struct buf said = { 0 };
	size_t acknowledged = 0;

	for (int round = 0; round < 8; round++) {
		struct spool_counts counts;
		struct buf problems = { 0 };
		struct spool *spool;
		char id[SPOOL_ID_LEN + 1] = "";

		spool_place_kill(victim, *state, &said);
		spool = open_spool(*state);
		for (size_t i = 0; i + SPOOL_ID_LEN + 1 <= said.len; i += SPOOL_ID_LEN + 1) {
			memcpy(id, said.data + i + 1, SPOOL_ID_LEN);
			if (said.data[i] == 'A' && !has_said(&said, 'B', id))
				assert_there(spool, id);
			if (said.data[i] == 'C')
				assert_int_equal(spool_has_row(spool, id), STORE_NOT_FOUND);
			acknowledged += said.data[i] == 'A';
		}
		assert_int_equal(spool_check(spool, &problems), STORE_OK);
		assert_int_equal(problems.len, 0);
		assert_int_equal(spool_count(spool, &counts), STORE_OK);
		assert_int_equal(counts.claimed, 0);
		assert_int_equal(count_files(*state, "msg"), counts.messages);
		assert_int_equal(count_files(*state, "tmp"), 0);
		spool_close(spool);
	}
	assert_true(acknowledged > 0);
	buf_free(&said);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_some_fail, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_commit_fails, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_directory_fails, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_killed, spool_place_set_up, spool_place_tear_down),
	};

	srand((unsigned)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
