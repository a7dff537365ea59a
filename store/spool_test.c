#include "store/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/spool_internal.h"
#include "store/spool_test_place.h"

static const struct spool_options OPTIONS = {
	.free_space_floor = 1024,
	.message_size_max = 1000000,
	.messages_max = 100000,
};

static struct spool *
open_spool(const char *dir)
{
	return spool_place_open(dir, &OPTIONS);
}

static char ADDRESS_B[] = "b@example.org", ADDRESS_C[] = "c@example.org";
static char SENDER[] = "a@example.org", ENVID[] = "env+20id", ORCPT[] = "rfc822;c@example.com";
static char ORIGIN[] = "host=[192.0.2.1]";
#define DELIVER_BY 12345678901

static enum store_err
add(struct spool *spool, const char *text, int64_t when, char id_out[SPOOL_ID_LEN + 1])
{
	struct spool_recipient to[] = {
		{ .address = ADDRESS_B },
		{ .address = ADDRESS_C, .orcpt = ORCPT, .notify = SPOOL_NOTIFY_SUCCESS },
	};
	struct spool_message envelope = { .sender = SENDER,
		.account = SENDER,
		.envid = ENVID,
		.ret = SPOOL_RET_HDRS,
		.body = SPOOL_BODY_8BITMIME,
		.smtputf8 = true,
		.by_mode = 'R',
		.by_trace = true,
		.deliver_by = DELIVER_BY,
		.require_tls = true,
		.tls_optional = true,
		.priority = -3,
		.bulk = true,
		.origin = ORIGIN,
		.recipients = to,
		.recipient_count = ARRAY_LEN(to) };
	struct spool_draft *draft;
	enum store_err err = spool_begin(spool, &draft);

	if (err != STORE_OK)
		return err;
	memcpy(id_out, spool_draft_id(draft), SPOOL_ID_LEN + 1);
	err = spool_write(draft, text, strlen(text));
	if (err != STORE_OK) {
		spool_abort(draft);
		return err;
	}
	return spool_commit(draft, &envelope, when);
}

static size_t
count_files(const char *spool_dir, const char *name)
{
	char *path = mem_printf("%s/%s", spool_dir, name);
	DIR *dir = opendir(path);
	struct dirent *e;
	size_t count = 0;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		count += e->d_name[0] != '.';
	closedir(dir);
	free(path);
	return count;
}

static void
assert_content(struct spool *spool, const char *id, const char *want)
{
	char got[4096];
	ssize_t n;
	int fd;

	assert_int_equal(spool_content(spool, id, &fd), STORE_OK);
	n = read(fd, got, sizeof(got));
	assert_int_equal(n, strlen(want));
	assert_memory_equal(got, want, (size_t)n);
	close(fd);
}

static void
test_whole_life(void **state)
{
	struct spool *spool = open_spool(*state);
	struct spool_message *msg, *other;
	char id[SPOOL_ID_LEN + 1];
	int64_t now = time(NULL), when;

	assert_int_equal(spool_claim(spool, now, &msg), STORE_NOT_FOUND);
	assert_int_equal(spool_next_due(spool, &when), STORE_NOT_FOUND);
	assert_int_equal(add(spool, "Subject: x\n\ntext\n", 0, id), STORE_OK);
	assert_true(spool_id_is_valid(id));
	assert_content(spool, id, "Subject: x\n\ntext\n");
	assert_int_equal(spool_next_due(spool, &when), STORE_OK);
	assert_true(when <= time(NULL));

	assert_int_equal(spool_claim(spool, time(NULL), &msg), STORE_OK);
	assert_string_equal(msg->id, id);
	assert_string_equal(msg->sender, SENDER);
	assert_string_equal(msg->account, SENDER);
	assert_string_equal(msg->envid, ENVID);
	assert_string_equal(msg->origin, ORIGIN);
	assert_int_equal(msg->ret, SPOOL_RET_HDRS);
	assert_int_equal(msg->body, SPOOL_BODY_8BITMIME);
	assert_true(msg->smtputf8 && msg->claimed);
	assert_int_equal(msg->by_mode, 'R');
	assert_true(msg->by_trace);
	assert_int_equal(msg->deliver_by, DELIVER_BY);
	assert_true(msg->require_tls && msg->tls_optional && msg->bulk);
	assert_int_equal(msg->priority, -3);
	assert_int_equal(msg->release_mode, 0);
	assert_null(msg->route);
	assert_null(msg->parked);
	assert_int_equal(msg->size_bytes, 17);
	assert_int_equal(msg->recipient_count, 2);
	assert_string_equal(msg->recipients[1].orcpt, ORCPT);
	assert_int_equal(msg->recipients[1].notify, SPOOL_NOTIFY_SUCCESS);
	assert_int_equal(spool_claim(spool, now + 9, &other), STORE_NOT_FOUND);
	assert_int_equal(spool_claim_id(spool, id, &other), STORE_BUSY);
	assert_int_equal(spool_delete(spool, id, NULL), STORE_BUSY);
	assert_int_equal(spool_flush(spool, id, NULL), STORE_BUSY);

	msg->recipients[0].state = SPOOL_DELIVERED;
	msg->recipients[0].reply = mem_strdup("250 ok");
	msg->recipients[0].relay = mem_strdup("relay:25");
	msg->recipients[1].attempts = 1;
	msg->recipients[1].next_attempt = now + 100;
	assert_int_equal(spool_save(spool, msg), STORE_OK);
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	assert_int_equal(spool_claim(spool, now + 99, &msg), STORE_NOT_FOUND);
	assert_int_equal(spool_next_due(spool, &when), STORE_OK);
	assert_int_equal(when, now + 100);

	assert_int_equal(spool_claim(spool, now + 100, &msg), STORE_OK);
	assert_int_equal(msg->recipients[0].state, SPOOL_DELIVERED);
	assert_string_equal(msg->recipients[0].reply, "250 ok");
	assert_string_equal(msg->recipients[0].relay, "relay:25");
	assert_int_equal(msg->recipients[1].attempts, 1);
	msg->recipients[1].state = SPOOL_FAILED;
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	assert_int_equal(spool_find(spool, id, &msg), STORE_NOT_FOUND);
	assert_int_equal(count_files(*state, "msg"), 0);
	spool_close(spool);
	assert_int_equal(count_files(*state, "owner"), 0);
}

static void
test_managing(void **state)
{
	struct spool *spool = open_spool(*state), *admin;
	struct spool_message *msg, **messages;
	struct spool_counts counts;
	char ids[3][SPOOL_ID_LEN + 1];
	struct buf problems = { 0 };
	uint64_t mine;
	size_t count;
	int64_t later = time(NULL) + 1000;

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(add(spool, "x", later, ids[i]), STORE_OK);
		usleep(2000);
	}
	assert_int_equal(spool_open(*state, NULL, NULL, &admin), STORE_OK);
	assert_int_equal(spool_list(admin, NULL, 2, &messages, &count), STORE_OK);
	assert_int_equal(count, 2);
	assert_string_equal(messages[0]->id, ids[0]);
	assert_int_equal(messages[1]->recipient_count, 2);
	spool_messages_free(messages, count);
	assert_int_equal(spool_list(admin, ids[1], 2, &messages, &count), STORE_OK);
	assert_int_equal(count, 1);
	spool_messages_free(messages, count);

	assert_int_equal(spool_claim(spool, time(NULL), &msg), STORE_NOT_FOUND);
	assert_int_equal(spool_flush(admin, ids[1], &count), STORE_OK);
	assert_int_equal(count, 1);
	assert_int_equal(spool_hold(admin, ids[1], true, NULL), STORE_OK);
	assert_int_equal(spool_claim(spool, time(NULL), &msg), STORE_NOT_FOUND);
	assert_int_equal(spool_hold(admin, ids[1], false, NULL), STORE_OK);
	assert_int_equal(spool_claim(spool, time(NULL), &msg), STORE_OK);
	assert_string_equal(msg->id, ids[1]);
	assert_int_equal(spool_count(admin, &counts), STORE_OK);
	assert_int_equal(counts.messages, 3);
	assert_int_equal(counts.claimed, 1);
	assert_int_equal(counts.recipients_pending, 6);
	assert_int_equal(counts.bytes, 3);
	assert_int_equal(spool_count_account(admin, SENDER, &mine), STORE_OK);
	assert_int_equal(mine, 3);
	assert_int_equal(spool_count_account(admin, "nobody", &mine), STORE_OK);
	assert_int_equal(mine, 0);

	assert_int_equal(spool_delete(admin, "0000000000000000", NULL), STORE_NOT_FOUND);
	assert_int_equal(spool_delete(admin, NULL, &count), STORE_OK); /* not the claimed one */
	assert_int_equal(count, 2);
	assert_int_equal(spool_check(admin, &problems), STORE_OK);
	assert_int_equal(problems.len, 0);
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	assert_int_equal(spool_delete(admin, ids[1], &count), STORE_OK);
	assert_int_equal(count_files(*state, "msg"), 0);
	assert_int_equal(spool_hold(admin, NULL, true, &count), STORE_OK);
	assert_int_equal(count, 0);
	spool_close(spool);
	spool_close(admin);
}

static void
test_limits(void **state)
{
	struct spool_options options = { .message_size_max = 10, .messages_max = 1 };
	struct spool_recipient to = { .address = ADDRESS_B };
	struct spool_message envelope = { .sender = SENDER };
	struct spool_draft *draft;
	struct spool *spool;
	char id[SPOOL_ID_LEN + 1];

	assert_int_equal(spool_open(*state, &options, NULL, &spool), STORE_OK);
	assert_int_equal(add(spool, "12345678901", 0, id), STORE_LIMIT);
	assert_int_equal(count_files(*state, "tmp"), 0);
	assert_int_equal(spool_begin(spool, &draft), STORE_OK);
	assert_int_equal(spool_commit(draft, &envelope, 0), STORE_INVALID); /* to nobody */
	envelope = (struct spool_message){
		.sender = SENDER, .by_mode = 'X', .recipients = &to, .recipient_count = 1
	};
	assert_int_equal(spool_begin(spool, &draft), STORE_OK);
	assert_int_equal(
	    spool_commit(draft, &envelope, 0), STORE_INVALID); /* RFC 2852 has N and R */
	assert_int_equal(add(spool, "1234567890", 0, id), STORE_OK);
	assert_int_equal(add(spool, "x", 0, id), STORE_LIMIT);
	spool_close(spool);
	options = (struct spool_options){ .free_space_floor = UINT64_MAX };
	assert_int_equal(spool_open(*state, &options, NULL, &spool), STORE_OK);
	assert_int_equal(add(spool, "x", 0, id), STORE_FULL);
	spool_close(spool);
}

/* What a crash leaves behind goes; what belongs to the living stays. */
static void
test_sweep(void **state)
{
	struct spool *living = open_spool(*state), *spool;
	struct spool_draft *draft;
	char *path, id[SPOOL_ID_LEN + 1];
	int fd;

	assert_int_equal(add(living, "kept", 0, id), STORE_OK);
	assert_int_equal(spool_begin(living, &draft), STORE_OK);
	path = mem_printf("%s/msg/0123456789abcdef.0123456789abcdeg", (char *)*state);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	free(path);
	path = mem_printf("%s/tmp/0123456789abcdef.0123456789abcdeg", (char *)*state);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	free(path);
	spool = open_spool(*state);
	assert_int_equal(count_files(*state, "msg"), 1);
	assert_int_equal(count_files(*state, "tmp"), 1);
	assert_content(spool, id, "kept");
	spool_abort(draft);
	spool_close(spool);
	spool_close(living);
	spool = open_spool(*state); /* its maker is gone, but it has a row */
	assert_content(spool, id, "kept");
	spool_close(spool);
}

struct crowd {
	struct spool *spool;
	int added;
};

static void *
add_many(void *arg)
{
	struct crowd *c = arg;
	char id[SPOOL_ID_LEN + 1];

	for (int i = 0; i < 25; i++)
		if (add(c->spool, "text", 0, id) == STORE_OK)
			__atomic_add_fetch(&c->added, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void
test_threads(void **state)
{
	struct crowd crowd = { .spool = open_spool(*state) };
	struct spool *other = open_spool(*state);
	struct spool_message *msg;
	pthread_t threads[8];
	int sent = 0;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &crowd), 0);
	while (sent < 100) { /* while they are added */
		enum store_err err = spool_claim(other, time(NULL) + 1, &msg);

		if (err == STORE_NOT_FOUND) {
			usleep(1000);
			continue;
		}
		assert_int_equal(err, STORE_OK);
		for (size_t i = 0; i < msg->recipient_count; i++)
			msg->recipients[i].state = SPOOL_DELIVERED;
		assert_int_equal(spool_release(other, msg), STORE_OK);
		sent++;
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.added, 200);
	assert_int_equal(count_files(*state, "msg"), 100);
	spool_close(crowd.spool);
	spool_close(other);
}

/* --- killed at any instruction ----------------------------------------------------------------- */

/* Adds, and says each id once it has been acknowledged. */
static void
child_adds(const char *dir, int fd)
{
	struct spool *spool;
	char id[SPOOL_ID_LEN + 1];

	if (spool_open(dir, &OPTIONS, NULL, &spool) != STORE_OK)
		_exit(1);
	while (add(spool, "the whole text", 0, id) == STORE_OK)
		if (write(fd, id, SPOOL_ID_LEN) != SPOOL_ID_LEN)
			break;
	_exit(1);
}

/* Sends, and says each id before (B) and after (A) its result was made durable. */
static void
child_sends(const char *dir, int fd)
{
	struct spool *spool;
	struct spool_message *msg;

	if (spool_open(dir, &OPTIONS, NULL, &spool) != STORE_OK)
		_exit(1);
	for (;;) {
		if (spool_claim(spool, time(NULL) + 10, &msg) != STORE_OK) {
			usleep(1000);
			continue;
		}
		char line[SPOOL_ID_LEN + 2] = "B";

		if (msg->recipients[0].state ==
		    SPOOL_DELIVERED) { /* somebody died just before the end */
			spool_release(spool, msg);
			continue;
		}
		memcpy(line + 1, msg->id, SPOOL_ID_LEN + 1);
		if (write(fd, line, SPOOL_ID_LEN + 1) < 0)
			break;
		for (size_t i = 0; i < msg->recipient_count; i++)
			msg->recipients[i].state = SPOOL_DELIVERED;
		if (spool_save(spool, msg) != STORE_OK)
			break;
		line[0] = 'A';
		if (write(fd, line, SPOOL_ID_LEN + 1) < 0)
			break;
		if (spool_release(spool, msg) != STORE_OK)
			break;
	}
	_exit(1);
}

/* Files in tmp/ but those of a handle that was killed before it had its name, ID.ID, which wait an hour. */
static size_t
count_drafts(const char *dir)
{
	char *path = mem_printf("%s/tmp", dir);
	DIR *tmp = opendir(path);
	struct dirent *e;
	size_t count = 0;

	assert_non_null(tmp);
	while ((e = readdir(tmp)) != NULL)
		count += e->d_name[0] != '.' &&
			 strncmp(e->d_name, e->d_name + SPOOL_ID_LEN + 1, SPOOL_ID_LEN) != 0;
	closedir(tmp);
	free(path);
	return count;
}

static void
assert_whole(struct spool *spool, const char *dir)
{
	struct buf problems = { 0 };
	struct spool_counts counts;

	assert_int_equal(spool_check(spool, &problems), STORE_OK);
	if (problems.len > 0)
		fail_msg("%s", buf_cstr(&problems));
	assert_int_equal(spool_count(spool, &counts), STORE_OK);
	assert_int_equal(counts.claimed, 0);
	assert_int_equal(count_files(dir, "msg"), counts.messages);
	assert_int_equal(count_drafts(dir), 0);
	assert_int_equal(count_files(dir, "owner"), 1);
}

static void
test_killed(void **state)
{
	char id[SPOOL_ID_LEN + 1] = "";

	for (int round = 0; round < 12; round++) {
		struct buf added = { 0 }, sent = { 0 };
		struct spool_message *msg;
		struct spool *spool;

		spool_place_kill(child_adds, *state, &added);
		spool = open_spool(*state);
		assert_whole(spool, *state);
		for (size_t i = 0; i + SPOOL_ID_LEN <= added.len; i += SPOOL_ID_LEN) {
			memcpy(id, added.data + i, SPOOL_ID_LEN);
			assert_content(spool, id, "the whole text");
		}
		spool_close(spool);

		spool_place_kill(child_sends, *state, &sent);
		spool = open_spool(*state);
		assert_whole(spool, *state);
		for (size_t i = 0; i + SPOOL_ID_LEN + 1 <= sent.len; i += SPOOL_ID_LEN + 1) {
			memcpy(id, sent.data + i + 1, SPOOL_ID_LEN);
			if (sent.data[i] == 'B')
				continue;
			if (spool_find(spool, id, &msg) == STORE_NOT_FOUND)
				continue;
			assert_int_equal(msg->recipients[0].state, SPOOL_DELIVERED);
			assert_int_equal(msg->recipients[1].state, SPOOL_DELIVERED);
			spool_message_free(msg);
		}
		spool_close(spool);
		buf_free(&added);
		buf_free(&sent);
	}
}

#define HELPERS 2 /* of each kind at once */

struct helper {
	pid_t pid;
	int fd;
	struct buf said;
};

static void
start_helper(struct helper *h, void (*child)(const char *dir, int fd), const char *dir)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
	h->pid = fork();
	if (h->pid == 0) {
		close(fds[0]);
		child(dir, fds[1]);
	}
	close(fds[1]);
	h->fd = fds[0];
}

static void
end_helper(struct helper *h)
{
	ssize_t n;
	int status;

	kill(h->pid, SIGKILL);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	do {
		buf_reserve(&h->said, 65536);
		n = read(h->fd, h->said.data + h->said.len, 65536);
		h->said.len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	close(h->fd);
}

static size_t
count_of(struct buf *log, char mark, const char *id)
{
	size_t count = 0;

	for (size_t i = 0; i + SPOOL_ID_LEN + 1 <= log->len; i += SPOOL_ID_LEN + 1)
		if (log->data[i] == mark && memcmp(log->data + i + 1, id, SPOOL_ID_LEN) == 0)
			count++;
	return count;
}

/* Several of each kind at once, all killed: what was acknowledged is there or was sent, and what
 * was saved as sent was sent by one alone. */
static void
test_killed_together(void **state)
{
	struct buf added = { 0 }, sent = { 0 };
	struct spool *spool;
	size_t seen = 0;

	for (int round = 0; round < 6; round++) {
		struct helper adders[HELPERS] = { 0 }, senders[HELPERS] = { 0 };

		for (int i = 0; i < HELPERS; i++) {
			start_helper(&adders[i], child_adds, *state);
			start_helper(&senders[i], child_sends, *state);
		}
		usleep((useconds_t)(50000 + rand() % 100000));
		for (int i = 0; i < HELPERS; i++) {
			end_helper(&senders[i]);
			end_helper(&adders[i]);
			buf_add(&added, adders[i].said.data, adders[i].said.len);
			buf_add(&sent, senders[i].said.data, senders[i].said.len);
			buf_free(&adders[i].said);
			buf_free(&senders[i].said);
		}
		spool = open_spool(*state);
		assert_whole(spool, *state);
		spool_close(spool);
	}
	spool = open_spool(*state);
	for (size_t i = 0; i + SPOOL_ID_LEN <= added.len; i += SPOOL_ID_LEN, seen++) {
		char id[SPOOL_ID_LEN + 1] = "";
		struct spool_message *msg;
		enum store_err err;

		memcpy(id, added.data + i, SPOOL_ID_LEN);
		err = spool_find(spool, id, &msg);
		if (err == STORE_OK)
			spool_message_free(msg);
		else if (count_of(&sent, 'B', id) == 0)
			fail_msg("%s was acknowledged and is lost", id);
		if (count_of(&sent, 'A', id) > 1)
			fail_msg("%s was sent twice", id);
	}
	assert_true(seen > 0);
	spool_close(spool);
	buf_free(&added);
	buf_free(&sent);
}

/* A message whose recipients are all settled, left by the dead, is claimed once more and goes. */
static void
test_settled_leftover(void **state)
{
	struct spool *spool = open_spool(*state), *next;
	struct spool_message *msg;
	char id[SPOOL_ID_LEN + 1];

	assert_int_equal(add(spool, "x", 0, id), STORE_OK);
	assert_int_equal(spool_claim(spool, time(NULL), &msg), STORE_OK);
	msg->recipients[0].state = msg->recipients[1].state = SPOOL_DELIVERED;
	assert_int_equal(spool_save(spool, msg), STORE_OK);
	spool_message_free(msg);
	spool_close(spool);
	next = open_spool(*state);
	assert_int_equal(spool_claim(next, time(NULL), &msg), STORE_OK);
	assert_int_equal(spool_release(next, msg), STORE_OK);
	assert_int_equal(count_files(*state, "msg"), 0);
	spool_close(next);
}

static void
run_sql(const char *dir, const char *text)
{
	char *path = mem_printf("%s/spool.db", dir);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(path);
}

static void
add_one(struct spool *spool, const struct spool_message *like, int64_t when, char *id_out)
{
	struct spool_recipient to = { .address = ADDRESS_B };
	struct spool_message envelope = *like;
	struct spool_draft *draft;

	envelope.sender = SENDER;
	envelope.recipients = &to;
	envelope.recipient_count = 1;
	assert_int_equal(spool_begin(spool, &draft), STORE_OK);
	memcpy(id_out, spool_draft_id(draft), SPOOL_ID_LEN + 1);
	assert_int_equal(spool_write(draft, "x", 1), STORE_OK);
	assert_int_equal(spool_commit(draft, &envelope, when), STORE_OK);
}

/* Accounts take turns, however many messages each has; the urgent first within an account, its bulk mail and
 * what is less urgent beside the rest at a quarter of its pace. */
static void
test_order(void **state)
{
	const struct {
		struct spool_message like;
		int turn; /* 1: is to be claimed first */
	} rows[] = {
		/* in the order in which they come */
		{ { .account = (char[]){ "ann" } }, 1 },
		{ { .account = (char[]){ "ann" }, .bulk = true }, 2 },
		{ { .account = (char[]){ "ann" } }, 5 },
		{ { .account = (char[]){ "ann" }, .priority = -1 }, 9 },
		{ { .account = (char[]){ "ann" } }, 8 },
		{ { .account = (char[]){ "bob" } }, 6 },
		{ { .account = (char[]){ "bob" }, .priority = 4 }, 3 },
		{ { .account = NULL }, 4 },
		{ { .account = NULL }, 7 },
	};
	struct spool *spool = open_spool(*state);
	char ids[ARRAY_LEN(rows)][SPOOL_ID_LEN + 1], far[SPOOL_ID_LEN + 1];
	int64_t now = time(NULL) + 1, when;
	struct spool_message *msg;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		add_one(spool, &rows[i].like, 0, ids[i]);
		usleep(2000); /* ids of one millisecond sort as they like */
	}
	add_one(spool, &(struct spool_message){ .priority = 9 }, now + 5, far); /* not due yet */
	for (int turn = 1; turn <= (int)ARRAY_LEN(rows); turn++) {
		size_t i = 0;

		while (rows[i].turn != turn)
			i++;
		assert_int_equal(spool_claim(spool, now, &msg), STORE_OK);
		if (strcmp(msg->id, ids[i]) != 0)
			fail_msg("turn %d is not that of row %zu", turn, i);
		msg->recipients[0].state = SPOOL_DELIVERED;
		assert_int_equal(spool_release(spool, msg), STORE_OK);
	}
	assert_int_equal(spool_claim(spool, now, &msg), STORE_NOT_FOUND);
	assert_int_equal(spool_next_due(spool, &when), STORE_OK);
	assert_int_equal(when, now + 5);
	spool_close(spool);
}

/* What has become due later comes into the line, too; held, it stands in none. */
static void
test_line(void **state)
{
	const struct spool_message ann = { .account = (char[]){ "ann" } };
	const struct spool_message bob = { .account = (char[]){ "bob" } };
	struct spool *spool = open_spool(*state);
	char many[100][SPOOL_ID_LEN + 1], one[SPOOL_ID_LEN + 1];
	int64_t now = time(NULL);
	struct spool_message *msg;
	size_t before_bob = 0, count;

	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		add_one(spool, &ann, now + 10, many[i]);
	add_one(spool, &bob, now + 11, one);
	assert_int_equal(spool_claim(spool, now, &msg), STORE_NOT_FOUND);
	for (;; before_bob++) { /* two claims bring all of them into the line */
		assert_int_equal(spool_claim(spool, now + 20, &msg), STORE_OK);
		if (strcmp(msg->id, one) == 0)
			break;
		msg->recipients[0].state = SPOOL_DELIVERED;
		assert_int_equal(spool_release(spool, msg), STORE_OK);
	}
	assert_true(before_bob <= 3);
	msg->recipients[0].next_attempt = now + 30;
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	assert_int_equal(spool_hold(spool, NULL, true, &count), STORE_OK);
	assert_int_equal(spool_claim(spool, now + 40, &msg), STORE_NOT_FOUND);
	assert_int_equal(spool_hold(spool, NULL, false, &count), STORE_OK);
	assert_int_equal(spool_claim(spool, now + 40, &msg), STORE_OK);
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	spool_close(spool);
}

/* While no relay is up: what is old, has its time, or goes elsewhere. */
static void
test_overdue(void **state)
{
	struct spool *spool = open_spool(*state);
	int64_t now = time(NULL), when;
	struct spool_message *msg;
	struct spool_message timed = { .by_mode = 'R', .deliver_by = now + 60 };
	char usual[SPOOL_ID_LEN + 1], by[SPOOL_ID_LEN + 1], routed[SPOOL_ID_LEN + 1];

	add_one(spool, &(struct spool_message){ 0 }, 0, usual);
	add_one(spool, &timed, 0, by);
	add_one(spool, &(struct spool_message){ 0 }, 0, routed);
	assert_int_equal(spool_claim_overdue(spool, now + 1, now - 5, &msg), STORE_NOT_FOUND);
	assert_int_equal(spool_next_deadline(spool, now, &when), STORE_OK);
	assert_int_equal(when, now + 60);
	assert_int_equal(spool_claim_overdue(spool, now + 60, now - 5, &msg), STORE_OK);
	assert_string_equal(msg->id, by);
	msg->recipients[0].state = SPOOL_DELIVERED;
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	assert_int_equal(spool_reroute(spool, routed, "relay:25", NULL), STORE_OK);
	assert_int_equal(spool_claim_overdue(spool, now + 1, now - 5, &msg), STORE_OK);
	assert_string_equal(msg->id, routed);
	assert_string_equal(msg->route, "relay:25");
	msg->recipients[0].state = SPOOL_DELIVERED;
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	assert_int_equal(spool_claim_overdue(spool, now + 1, now + 5, &msg), STORE_OK);
	assert_string_equal(msg->id, usual);
	/* Parked, flushed in vain, and forgotten when its time has come. */
	msg->recipients[0].state = SPOOL_FAILED;
	msg->next_attempt = now + 100;
	assert_int_equal(spool_park(spool, msg, "why"), STORE_OK);
	assert_int_equal(spool_flush(spool, NULL, NULL), STORE_OK);
	spool_expire_parked(spool, now + 99);
	assert_int_equal(spool_find(spool, usual, &msg), STORE_OK);
	assert_string_equal(msg->parked, "why");
	spool_message_free(msg);
	spool_expire_parked(spool, now + 100);
	assert_int_equal(spool_find(spool, usual, &msg), STORE_NOT_FOUND);
	assert_int_equal(count_files(*state, "msg"), 0);
	spool_close(spool);
}

/* RFC 4865: not before its time, but when a human names it. */
static void
test_future_release(void **state)
{
	struct spool *spool = open_spool(*state);
	int64_t now = time(NULL), when;
	struct spool_message *msg, like = { .release_mode = 'U', .release_at = now + 1000 };
	char id[SPOOL_ID_LEN + 1];
	size_t count;

	add_one(spool, &like, 0, id);
	assert_int_equal(spool_next_due(spool, &when), STORE_OK);
	assert_int_equal(when, now + 1000);
	assert_int_equal(spool_flush(spool, NULL, &count), STORE_OK);
	assert_int_equal(count, 0);
	assert_int_equal(spool_claim(spool, now + 999, &msg), STORE_NOT_FOUND);
	assert_int_equal(spool_flush(spool, id, &count), STORE_OK);
	assert_int_equal(spool_claim(spool, time(NULL), &msg), STORE_OK);
	assert_int_equal(msg->release_mode, 'U');
	assert_int_equal(msg->release_at, now + 1000);
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	spool_close(spool);
}

/* Who waits for which relay: of two messages to two, one recipient has had an answer and one is done with. */
static void
test_by_relay(void **state)
{
	struct spool *spool = open_spool(*state);
	struct spool_relay_count *counts;
	struct spool_message *msg;
	char id[SPOOL_ID_LEN + 1];
	size_t count;

	assert_int_equal(spool_count_relays(spool, 5, &counts, &count), STORE_OK);
	assert_int_equal(count, 0);
	spool_relay_counts_free(counts, count);
	assert_int_equal(add(spool, "x", 0, id), STORE_OK);
	assert_int_equal(add(spool, "y", 0, id), STORE_OK);
	assert_int_equal(spool_claim(spool, time(NULL), &msg), STORE_OK);
	msg->recipients[0].relay = mem_strdup("relay:25");
	msg->recipients[0].reply = mem_strdup("451 later");
	msg->recipients[0].next_attempt = time(NULL) + 1000;
	msg->recipients[1].state = SPOOL_DELIVERED;
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	assert_int_equal(spool_count_relays(spool, 5, &counts, &count), STORE_OK);
	assert_int_equal(count, 2);
	assert_null(counts[0].relay); /* the most first */
	assert_int_equal(counts[0].recipients, 2);
	assert_string_equal(counts[1].relay, "relay:25");
	assert_string_equal(counts[1].reply, "451 later");
	assert_int_equal(counts[1].recipients, 1);
	spool_relay_counts_free(counts, count);
	assert_int_equal(spool_count_relays(spool, 1, &counts, &count), STORE_OK);
	assert_int_equal(count, 1);
	spool_relay_counts_free(counts, count);
	spool_close(spool);
}

/* A double bounce stays, is seen, and goes on when a human says so. */
static void
test_parking(void **state)
{
	struct spool *spool = open_spool(*state);
	struct spool_counts counts;
	struct spool_message *msg;
	char id[SPOOL_ID_LEN + 1];
	size_t count;

	add_one(spool, &(struct spool_message){ 0 }, 0, id);
	assert_int_equal(spool_claim(spool, time(NULL), &msg), STORE_OK);
	msg->recipients[0].state = SPOOL_FAILED;
	msg->recipients[0].reply = mem_strdup("550 no");
	assert_int_equal(spool_park(spool, msg, "double bounce"), STORE_OK);
	assert_int_equal(spool_claim(spool, time(NULL) + 1000000, &msg), STORE_NOT_FOUND);
	assert_int_equal(spool_find(spool, id, &msg), STORE_OK);
	assert_string_equal(msg->parked, "double bounce");
	assert_true(msg->held && !msg->claimed);
	assert_int_equal(msg->recipients[0].state, SPOOL_FAILED);
	spool_message_free(msg);
	assert_int_equal(spool_count(spool, &counts), STORE_OK);
	assert_int_equal(counts.parked, 1);
	assert_int_equal(counts.held, 1);

	assert_int_equal(spool_reroute(spool, id, "relay.example.org:25", &count), STORE_OK);
	assert_int_equal(count, 1);
	assert_int_equal(spool_reroute(spool, "0000000000000000", NULL, &count), STORE_NOT_FOUND);
	assert_int_equal(spool_hold(spool, id, false, &count), STORE_OK);
	assert_int_equal(count, 1);
	assert_int_equal(spool_claim(spool, time(NULL), &msg), STORE_OK);
	assert_null(msg->parked);
	assert_string_equal(msg->route, "relay.example.org:25");
	assert_int_equal(msg->recipients[0].state, SPOOL_PENDING);
	assert_int_equal(msg->recipients[0].attempts, 0);
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	spool_close(spool);
}

static void
test_sent(void **state)
{
	static const struct {
		int64_t at;
		uint64_t recipients;
		struct spool_sent most;
		enum store_err err;
	} rows[] = {
		{ 100000, 3, { 0 }, STORE_OK }, /* no limits */
		{ 100000, 3, { .messages_hour = 1 }, STORE_LIMIT },
		{ 100001, 2, { .recipients_hour = 5 }, STORE_OK },
		{ 100002, 1, { .recipients_hour = 5 }, STORE_LIMIT },
		{ 103600, 1, { .messages_hour = 1 },
		    STORE_LIMIT }, /* the second one is within the hour */
		{ 103601, 3, { .messages_hour = 1, .messages_day = 3, .recipients_day = 8 },
		    STORE_OK },
		{ 103602, 1, { .messages_day = 3 }, STORE_LIMIT },
		{ 103602, 1, { .recipients_day = 8 }, STORE_LIMIT },
		{ 103602, 9, { .recipients_hour = 8 }, STORE_LIMIT }, /* alone too many */
		{ 186401, 1, { .messages_day = 2 }, STORE_OK }, /* the first two are a day old */
		{ 190001, 1, { .messages_day = 2 }, STORE_OK },
	};
	struct spool *spool = open_spool(*state), *other = open_spool(*state);
	struct spool_sent sent;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(spool_sent_add(i % 2 == 0 ? spool : other, "a@example.org",
				     rows[i].at, rows[i].recipients, &rows[i].most, NULL),
		    rows[i].err);
	assert_int_equal(spool_sent_count(spool, "A@example.org", 190002, &sent), STORE_OK);
	assert_int_equal(sent.messages_hour, 1);
	assert_int_equal(sent.messages_day, 2);
	assert_int_equal(sent.recipients_day, 2);
	assert_int_equal(spool_sent_count(spool, "b@example.org", 190002, &sent), STORE_OK);
	assert_int_equal(sent.messages_day, 0);
	spool_close(spool);
	spool_close(other);
}

/* Some at once: what is being sent and what is gone are told from what was changed. */
static void
test_change(void **state)
{
	static const struct {
		struct spool_change change;
		struct spool_changed changed;
	} ROWS[] = {
		/* Of three, the first is being sent and the last is not there. */
		{ { .action = SPOOL_ACT_FLUSH }, { 1, 1, 1 } },
		{ { .action = SPOOL_ACT_HOLD }, { 2, 1, 1 } },
		{ { .action = SPOOL_ACT_REROUTE, .route = "r:25" }, { 2, 1, 1 } },
		{ { .action = SPOOL_ACT_RELEASE }, { 2, 1, 1 } },
		{ { .action = SPOOL_ACT_DELETE }, { 1, 1, 1 } },
	};
	struct spool *spool = open_spool(*state);
	char sent[SPOOL_ID_LEN + 1], waits[SPOOL_ID_LEN + 1];
	const char *ids[] = { sent, waits, "0000000000000000" };
	struct spool_message *claimed, *msg;
	struct spool_changed changed;
	char *command = mem_printf("test $(ls %s/msg | wc -l) = 1", (char *)*state);

	add_one(spool, &(struct spool_message){ 0 }, 0, sent);
	assert_int_equal(spool_claim(spool, time(NULL), &claimed), STORE_OK);
	add_one(spool, &(struct spool_message){ 0 }, time(NULL) + 1000, waits);
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		assert_int_equal(
		    spool_change(spool, &ROWS[i].change, ids, ARRAY_LEN(ids), &changed), STORE_OK);
		assert_int_equal(changed.done, ROWS[i].changed.done);
		assert_int_equal(changed.busy, ROWS[i].changed.busy);
		assert_int_equal(changed.gone, ROWS[i].changed.gone);
		if (ROWS[i].change.action == SPOOL_ACT_DELETE)
			break;
		assert_int_equal(spool_find(spool, waits, &msg), STORE_OK);
		assert_int_equal(msg->held, ROWS[i].change.action == SPOOL_ACT_HOLD ||
						ROWS[i].change.action == SPOOL_ACT_REROUTE);
		assert_true(msg->next_attempt <= time(NULL));
		spool_message_free(msg);
	}
	assert_int_equal(system(command), 0);
	free(command);
	assert_int_equal(spool_release(spool, claimed), STORE_OK);
	assert_int_equal(spool_find(spool, sent, &msg), STORE_OK);
	assert_string_equal(msg->route, "r:25");
	spool_message_free(msg);
	spool_close(spool);
}

struct sending {
	struct spool *spool;
	int refused;
};

static void *
send_many(void *arg)
{
	static const struct spool_sent MOST = { .messages_hour = 25, .recipients_day = 1000 };
	struct spool_recipient to = { .address = ADDRESS_B };
	struct spool_message envelope = { .sender = SENDER,
		.account = SENDER,
		.recipients = &to,
		.recipient_count = 1,
		.most = &MOST };
	struct sending *s = arg;

	for (int i = 0; i < 10; i++) {
		struct spool_draft *draft;
		enum store_err err;

		if (spool_begin(s->spool, &draft) != STORE_OK)
			abort();
		err = spool_commit(draft, &envelope, 0);
		if (err != STORE_OK && err != STORE_LIMIT)
			abort();
		s->refused += err == STORE_LIMIT;
	}
	return NULL;
}

/* However many send at once, no more than the limit gets in; what is refused leaves nothing. */
static void
test_sent_at_commit(void **state)
{
	struct spool *spools[] = { open_spool(*state), open_spool(*state) };
	struct sending sending[8];
	struct spool_counts counts;
	struct spool_sent sent;
	pthread_t threads[8];
	int refused = 0;
	char *command = mem_printf("test $(ls %s/msg | wc -l) = 25", (char *)*state);

	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		sending[i] = (struct sending){ spools[i % 2], 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, send_many, &sending[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], NULL);
		refused += sending[i].refused;
	}
	assert_int_equal(refused, 80 - 25);
	assert_int_equal(spool_sent_count(spools[0], SENDER, time(NULL), &sent), STORE_OK);
	assert_int_equal(sent.messages_hour, 25);
	assert_int_equal(sent.recipients_day, 25);
	assert_int_equal(spool_count(spools[0], &counts), STORE_OK);
	assert_int_equal(counts.messages, 25);
	assert_int_equal(system(command), 0);
	free(command);
	spool_close(spools[0]);
	spool_close(spools[1]);
}

#define WITHOUT_3                                                                                  \
	"DROP INDEX message_turn; DROP INDEX message_due; DROP TABLE sent;"                        \
	"DROP INDEX message_account; DROP INDEX message_urgent; DROP INDEX message_deadline;"      \
	"DROP INDEX message_route; DROP INDEX message_parked;"                                     \
	"ALTER TABLE message DROP COLUMN flow; ALTER TABLE message DROP COLUMN turn;"              \
	"ALTER TABLE message DROP COLUMN require_tls;"                                             \
	"ALTER TABLE message DROP COLUMN tls_optional; ALTER TABLE message DROP COLUMN priority;"  \
	"ALTER TABLE message DROP COLUMN bulk; ALTER TABLE message DROP COLUMN release_mode;"      \
	"ALTER TABLE message DROP COLUMN release_at; ALTER TABLE message DROP COLUMN route;"       \
	"ALTER TABLE message DROP COLUMN parked;"                                                  \
	"CREATE INDEX message_account ON message (account) WHERE account IS NOT NULL;"             \
	"CREATE INDEX message_due ON message (next_attempt); PRAGMA user_version = 2;"

/* What waits in an older spool has the usual priority and no time of delivery, and goes on waiting. */
static void
test_older_spool(void **state)
{
	struct spool *spool = open_spool(*state);
	struct spool_message *msg;
	char id[SPOOL_ID_LEN + 1], newer[SPOOL_ID_LEN + 1];

	assert_int_equal(add(spool, "x", 1, id), STORE_OK);
	spool_close(spool);
	run_sql(*state, WITHOUT_3);
	spool = open_spool(*state);
	assert_int_equal(spool_find(spool, id, &msg), STORE_OK);
	assert_int_equal(msg->by_mode, 'R');
	assert_int_equal(msg->priority, 0);
	assert_false(msg->require_tls || msg->bulk || msg->held);
	spool_message_free(msg);
	spool_close(spool);
	run_sql(*state,
	    WITHOUT_3 "ALTER TABLE message DROP COLUMN deliver_by;"
		      "ALTER TABLE message DROP COLUMN by_mode;"
		      "ALTER TABLE message DROP COLUMN by_trace; PRAGMA user_version = 1");
	spool = open_spool(*state);
	assert_int_equal(add(spool, "y", 2, newer), STORE_OK);
	assert_int_equal(spool_claim(spool, time(NULL), &msg), STORE_OK);
	assert_string_equal(msg->id, id);
	assert_int_equal(msg->by_mode, 0);
	assert_false(msg->by_trace);
	assert_content(spool, id, "x");
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	assert_int_equal(spool_claim_id(spool, newer, &msg), STORE_OK);
	assert_int_equal(msg->by_mode, 'R');
	assert_int_equal(spool_release(spool, msg), STORE_OK);
	spool_close(spool);
	run_sql(*state, "PRAGMA user_version = 99");
	assert_int_equal(spool_open(*state, &OPTIONS, NULL, &spool), STORE_VERSION);
}

/* Workers that start together on a spool that nobody has made yet. */
static void
test_opened_together(void **state)
{
	const char *dir = *state;

	for (int round = 0; round < 20; round++) {
		char *fresh = mem_printf("%s%d", dir, round);
		pid_t pids[6];

		for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				struct spool *spool;

				_exit(
				    spool_open(fresh, &OPTIONS, NULL, &spool) == STORE_OK ? 0 : 1);
			}
		}
		for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
			int status = -1;

			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			assert_int_equal(status, 0);
		}
		free(fresh);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_opened_together, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_whole_life, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_managing, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_by_relay, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_limits, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_sweep, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_threads, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_killed, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_killed_together, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_settled_leftover, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_older_spool, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_order, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_line, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_overdue, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_future_release, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_parking, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_sent, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_change, spool_place_set_up, spool_place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_sent_at_commit, spool_place_set_up, spool_place_tear_down),
	};

	srand((unsigned)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
