#include "store/account_db.h"
#include "store/account_test_place.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/auth.h"

static struct account_db *
open_db(const struct place *p, enum account_db_mode mode)
{
	struct account_db *db;

	assert_int_equal(account_db_open(p->path, mode, NULL, &db), STORE_OK);
	return db;
}

static enum store_err
find(struct account_db *db, const char *address)
{
	struct account_row row;
	enum store_err err = account_db_find_address(db, str_from(address), &row);

	account_row_free(&row);
	return err;
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *address;
		bool valid;
	} CASES[] = {
		{ "ann@example.org", true },
		{ "ann.b+c@example.org", true },
		{ "o'neill@localhost", true },
		{ "jürgen@exämple.org", true },
		{ "ann", false },
		{ "", false },
		{ "@example.org", false },
		{ "ann@", false },
		{ ".ann@example.org", false },
		{ "ann.@example.org", false },
		{ "a..b@example.org", false },
		{ "a/b@example.org", false }, /* names a folder */
		{ "..@example.org", false },
		{ "ann@..", false },
		{ "ann@example..org", false },
		{ "ann@-example.org", false },
		{ "ann@exa_mple.org", false },
		{ "a b@example.org", false },
		{ "a\n@example.org", false },
		{ "\"a\"@example.org", false },
		{ "a@b@example.org", false },
		{ "a\xff@example.org", false },
		{ "ann@[192.0.2.1]", false },
	};
	struct str localpart, domain;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
		if (account_address_parse(str_from(CASES[i].address), &localpart, &domain) !=
		    CASES[i].valid)
			fail_msg("%s", CASES[i].address);
}

/* Several columns at once: all of them or none. */
static void
check_change(struct account_db *db, int64_t id)
{
	const struct account_change all = { .realname = "Ann U.",
		.quota_kb = &(uint64_t){ 7 },
		.active = &(bool){ true },
		.leave_text = "bye",
		.leave_whole = true };
	struct account_change bad = all;
	struct account_row got = { 0 };
	bool whole;
	char *text;

	bad.quota_kb = &(uint64_t){ UINT64_MAX };
	bad.realname = "Eve";
	assert_int_equal(account_db_change(db, id, &all), STORE_OK);
	assert_int_equal(account_db_change(db, id, &bad), STORE_INVALID);
	assert_int_equal(account_db_change(db, 77, &all), STORE_NOT_FOUND);
	assert_int_equal(account_db_change(db, id, &(struct account_change){ 0 }), STORE_OK);
	assert_int_equal(account_db_find_id(db, id, &got), STORE_OK);
	assert_string_equal(got.realname, "Ann U.");
	assert_int_equal(got.quota_kb, 7);
	assert_true(got.active);
	account_row_free(&got);
	assert_int_equal(account_db_leave_text(db, id, &text, &whole), STORE_OK);
	assert_string_equal(text, "bye");
	assert_true(whole);
	free(text);
	assert_int_equal(account_db_set_leave_text(db, id, "so long"), STORE_OK);
	assert_int_equal(account_db_leave_text(db, id, &text, &whole), STORE_OK);
	assert_string_equal(text, "so long");
	assert_false(whole);
	free(text);
	assert_int_equal(
	    account_db_change(db, id, &(struct account_change){ .realname = "" }), STORE_OK);
	assert_int_equal(account_db_find_id(db, id, &got), STORE_OK);
	assert_null(got.realname);
	account_row_free(&got);
}

static void
test_life_of_an_account(void **state)
{
	struct account_db *db = open_db(*state, ACCOUNT_DB_WRITE);
	struct account_row row = { .localpart = mem_strdup("Ann"),
		.domain = mem_strdup("Example.org"),
		.password = mem_strdup("{PLAIN}x"),
		.realname = mem_strdup("Ann Ünder"),
		.active = true,
		.quota_kb = 1000 };
	struct account_row got;
	int64_t id;
	char *text;

	assert_int_equal(account_db_add(db, &row, NULL), STORE_OK);
	id = row.id;
	assert_int_equal(account_db_add(db, &row, NULL), STORE_EXISTS);
	account_row_free(&row);
	assert_int_equal(account_db_find_address(db, STR("aNN@eXample.org"), &got), STORE_OK);
	assert_string_equal(got.localpart, "Ann");
	assert_string_equal(got.realname, "Ann Ünder");
	assert_int_equal(got.quota_kb, 1000);
	assert_true(got.active);
	assert_null(got.filter);
	account_row_free(&got);

	assert_int_equal(account_db_set_filter(db, id, "keep;\0x", 7), STORE_OK);
	assert_int_equal(account_db_set_active(db, id, false), STORE_OK);
	assert_int_equal(account_db_set_quota(db, id, 0), STORE_OK);
	assert_int_equal(account_db_set_realname(db, id, NULL), STORE_OK);
	assert_int_equal(account_db_set_leave_text(db, id, "gone"), STORE_OK);
	assert_int_equal(account_db_find_id(db, id, &got), STORE_OK);
	assert_int_equal(got.filter_len, 7);
	assert_memory_equal(got.filter, "keep;\0x", 8);
	assert_false(got.active);
	assert_int_equal(got.quota_kb, 0);
	assert_null(got.realname);
	account_row_free(&got);
	assert_int_equal(account_db_set_filter(db, id, NULL, 0), STORE_OK);
	assert_int_equal(account_db_find_id(db, id, &got), STORE_OK);
	assert_null(got.filter);
	account_row_free(&got);
	assert_int_equal(account_db_leave_text(db, id, &text, NULL), STORE_OK);
	assert_string_equal(text, "gone");
	free(text);
	check_change(db, id);

	assert_int_equal(account_db_rename(db, id, STR("bea"), STR("example.com")), STORE_OK);
	assert_int_equal(find(db, "ann@example.org"), STORE_NOT_FOUND);
	assert_int_equal(find(db, "bea@example.com"), STORE_OK);
	assert_int_equal(account_db_rename(db, id, STR("b/a"), STR("example.com")), STORE_INVALID);
	assert_int_equal(account_db_has_domain(db, STR("EXAMPLE.com")), STORE_OK);
	assert_int_equal(account_db_has_domain(db, STR("example.org")), STORE_NOT_FOUND);
	assert_int_equal(account_db_delete(db, id), STORE_OK);
	assert_int_equal(account_db_delete(db, id), STORE_NOT_FOUND);
	/* The id is given again, what hung on it is not. */
	assert_int_equal(place_add(db, "cy", "example.org", "{PLAIN}y"), id);
	assert_int_equal(account_db_leave_text(db, id, &text, NULL), STORE_NOT_FOUND);
	assert_int_equal(account_db_set_active(db, 77, false), STORE_NOT_FOUND);
	account_db_close(db);
}

static void
test_other_letters(void **state)
{
	struct account_db *db = open_db(*state, ACCOUNT_DB_WRITE);

	place_add(db, "JÜRGEN", "exÄmple.org", "{PLAIN}x");
	assert_int_equal(find(db, "jürgen@exämple.org"), STORE_OK);
	assert_int_equal(find(db, "Ju\xcc\x88rgen@EXÄMPLE.org"), STORE_OK); /* u and diaeresis */
	assert_int_equal(find(db, "jurgen@exämple.org"), STORE_NOT_FOUND);
	account_db_close(db);
}

static void
test_list(void **state)
{
	struct account_db *db = open_db(*state, ACCOUNT_DB_WRITE);
	struct account_row *rows;
	size_t count;

	place_add(db, "b", "one.example", "{PLAIN}x");
	place_add(db, "a", "one.example", "{PLAIN}x");
	place_add(db, "c", "other.example", "{PLAIN}x");
	assert_int_equal(account_db_list(db, NULL, &rows, &count), STORE_OK);
	assert_int_equal(count, 3);
	assert_string_equal(rows[0].localpart, "a");
	account_rows_free(rows, count);
	assert_int_equal(account_db_list(db, "Other.example", &rows, &count), STORE_OK);
	assert_int_equal(count, 1);
	account_rows_free(rows, count);
	account_db_close(db);
}

#define ACCOUNT_TABLE                                                                              \
	"CREATE TABLE account (id INTEGER PRIMARY KEY, localpart VARCHAR(128) NOT NULL COLLATE "   \
	"NOCASE, domain VARCHAR(128) NOT NULL COLLATE NOCASE, password VARCHAR NOT NULL, "         \
	"realname "                                                                                \
	"VARCHAR(64) NULL, filter BLOB NULL, active INTEGER NOT NULL DEFAULT 1, quota INTEGER "    \
	"NULL, UNIQUE (localpart, domain));"

/* A file that others made is read as it is, and adopted by the first writer. */
static void
test_adopts(void **state)
{
	struct place *p = *state;
	struct account_db *db;
	struct scram_keys keys;
	char *text;

	place_run_sql(p->path, ACCOUNT_TABLE "INSERT INTO account (localpart, domain, password)"
					     " VALUES ('old', 'example.org', '{PLAIN}x')");
	db = open_db(p, ACCOUNT_DB_READ);
	assert_int_equal(account_db_version(db), 0);
	assert_int_equal(find(db, "old@example.org"), STORE_OK);
	assert_int_equal(account_db_leave_text(db, 1, &text, NULL), STORE_NOT_FOUND);
	assert_int_equal(account_db_scram_keys(db, 1, &keys), STORE_NOT_FOUND);
	assert_int_equal(account_db_set_active(db, 1, false), STORE_DENIED);
	account_db_close(db);
	db = open_db(p, ACCOUNT_DB_WRITE);
	assert_int_equal(account_db_version(db), ACCOUNT_DB_VERSION);
	assert_int_equal(find(db, "old@example.org"), STORE_OK);
	account_db_close(db);
}

static void
test_refuses(void **state)
{
	struct place *p = *state;
	struct account_db *db;
	FILE *f;

	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_READ, NULL, &db), STORE_NOT_FOUND);
	assert_null(db);
	place_run_sql(p->path, ACCOUNT_TABLE "PRAGMA user_version = 99");
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_READ, NULL, &db), STORE_VERSION);
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_WRITE, NULL, &db), STORE_VERSION);
	unlink(p->path);
	place_run_sql(p->path, "CREATE TABLE account (a, b)");
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_READ, NULL, &db), STORE_CORRUPT);
	unlink(p->path);
	f = fopen(p->path, "w");
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fputs("not a database", f);
	fclose(f);
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_READ, NULL, &db), STORE_CORRUPT);
}

/* Keys go with the password they were made of, whoever changes it. */
static void
test_scram_keys(void **state)
{
	struct place *p = *state;
	struct account_db *db = open_db(p, ACCOUNT_DB_WRITE);
	int64_t id = place_add(db, "ann", "example.org", "{PLAIN}x");
	struct scram_keys made, got;

	scram_keys_make(STR("secret"), &made);
	assert_int_equal(account_db_scram_keys(db, id, &got), STORE_NOT_FOUND);
	assert_int_equal(account_db_set_password(db, id, "{ARGON2ID}1", &made), STORE_OK);
	assert_int_equal(account_db_scram_keys(db, id, &got), STORE_OK);
	assert_int_equal(got.iterations, made.iterations);
	assert_memory_equal(got.stored_key, made.stored_key, SCRAM_KEY_BYTES);
	place_run_sql(p->path, "UPDATE account SET password = '{PLAIN}y'");
	assert_int_equal(account_db_scram_keys(db, id, &got), STORE_NOT_FOUND);
	assert_int_equal(account_db_set_password(db, id, "{ARGON2ID}1", NULL), STORE_OK);
	assert_int_equal(account_db_scram_keys(db, id, &got), STORE_NOT_FOUND);
	account_db_close(db);
}

static void
test_generation(void **state)
{
	struct place *p = *state;
	struct account_db *writer = open_db(p, ACCOUNT_DB_WRITE);
	struct account_db *reader = open_db(p, ACCOUNT_DB_READ);
	uint64_t a = account_db_generation(reader), b;
	int64_t id;

	assert_int_equal(account_db_generation(reader), a);
	id = place_add(writer, "ann", "example.org", "{PLAIN}x");
	b = account_db_generation(reader);
	assert_int_not_equal(a, b);
	assert_int_equal(account_db_generation(reader), b);
	account_db_set_active(writer, id, false);
	assert_int_not_equal(account_db_generation(reader), b);
	account_db_close(writer);
	account_db_close(reader);
}

/* A file put in the place of the old one (a restore) is seen. */
static void
test_replaced(void **state)
{
	struct place *p = *state;
	struct account_db *reader, *db = open_db(p, ACCOUNT_DB_WRITE);
	char *other = mem_printf("%s/other.db", p->dir), *command;
	uint64_t generation;

	account_db_close(db);
	reader = open_db(p, ACCOUNT_DB_READ);
	assert_int_equal(find(reader, "new@example.org"), STORE_NOT_FOUND);
	generation = account_db_generation(reader);
	place_run_sql(other, ACCOUNT_TABLE "INSERT INTO account (localpart, domain, password)"
					   " VALUES ('new', 'example.org', '{PLAIN}x')");
	command = mem_printf("rm -f %s-wal %s-shm", p->path, p->path);
	assert_int_equal(system(command), 0);
	assert_int_equal(rename(other, p->path), 0);
	assert_int_equal(find(reader, "new@example.org"), STORE_OK);
	assert_int_not_equal(account_db_generation(reader), generation);
	account_db_close(reader);
	free(other);
	free(command);
}

#define NOBODY 65534

/* What a locked-in worker is: somebody who may only read.  Says when it has looked; exits with the number of what
 * failed. */
static int
read_as_nobody(const struct place *p, int go, int looked)
{
	struct account_db *db;
	char byte;

	if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
		return 1;
	if (account_db_open(p->path, ACCOUNT_DB_READ, NULL, &db) != STORE_OK)
		return 2;
	if (find(db, "first@example.org") != STORE_OK)
		return 3;
	if (find(db, "second@example.org") != STORE_NOT_FOUND)
		return 4;
	(void)account_db_generation(db);
	if (write(looked, "l", 1) != 1)
		return 5;
	for (char step = '1'; read(go, &byte, 1) == 1; step++) {
		const char *want = byte == 's' ? "second@example.org" : "third@example.org";

		if (find(db, want) != STORE_OK)
			return step;
		if (write(looked, "l", 1) != 1)
			return 5;
	}
	account_db_close(db);
	return 0;
}

static void
remove_wal(const struct place *p)
{
	char *command = mem_printf("rm -f %s-wal %s-shm", p->path, p->path);

	assert_int_equal(system(command), 0);
	free(command);
}

static void
wait_look(int looked)
{
	char byte;

	(void)!read(looked, &byte, 1); /* nothing if it has failed, which its exit tells */
}

static void
check_nobody(struct place *p, bool without_wal)
{
	struct account_db *db = open_db(p, ACCOUNT_DB_WRITE);
	int go[2], looked[2], status;
	pid_t child;

	place_add(db, "first", "example.org", "{PLAIN}x");
	account_db_close(db);
	assert_int_equal(chmod(p->dir, 0755), 0);
	assert_int_equal(chmod(p->path, 0644), 0);
	if (without_wal) {
		remove_wal(p);
	} else {
		char *command = mem_printf("chmod 644 %s-wal %s-shm", p->path, p->path);

		assert_int_equal(system(command), 0);
		free(command);
	}
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(looked), 0);
	child = fork();
	if (child == 0) {
		close(go[1]);
		close(looked[0]);
		_exit(read_as_nobody(p, go[0], looked[1]));
	}
	close(go[0]);
	close(looked[1]);
	wait_look(looked[0]);
	place_run_sql(p->path,
	    "INSERT INTO account (localpart, domain, password)"
	    " VALUES ('second', 'example.org', 'x')"); /* and the -wal is gone again */
	assert_int_equal(write(go[1], "s", 1), 1);
	wait_look(looked[0]);
	db = open_db(p, ACCOUNT_DB_WRITE);
	place_add(db, "third", "example.org", "{PLAIN}x");
	assert_int_equal(write(go[1], "t", 1), 1); /* while the writer has it open */
	wait_look(looked[0]);
	account_db_close(db);
	assert_int_equal(write(go[1], "t", 1), 1);
	close(go[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(looked[0]);
	assert_int_equal(status, 0);
}

static void
test_without_permission(void **state)
{
	if (geteuid() != 0)
		skip();
	check_nobody(*state, false);
}

static void
test_without_wal(void **state)
{
	if (geteuid() != 0)
		skip();
	check_nobody(*state, true);
}

struct crowd {
	struct account_db *db;
	bool failed;
};

static void *
read_much(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 300; i++)
		if (find(c->db, "ann@example.org") != STORE_OK)
			c->failed = true;
	return NULL;
}

/* Many threads on one handle, while somebody writes. */
static void
test_threads(void **state)
{
	struct account_db *writer = open_db(*state, ACCOUNT_DB_WRITE);
	int64_t id = place_add(writer, "ann", "example.org", "{PLAIN}x");
	struct account_db *reader = open_db(*state, ACCOUNT_DB_READ);
	struct crowd crowd = { .db = reader };
	pthread_t threads[8];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_much, &crowd), 0);
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(account_db_set_quota(writer, id, i), STORE_OK);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_false(crowd.failed);
	account_db_close(reader);
	account_db_close(writer);
}

/* --- auth -------------------------------------------------------------------------------------- */

static enum store_err
login(struct auth *auth, const char *user, const char *password, bool *cached)
{
	return auth_password(auth, str_from(user), str_from(password), NULL, cached);
}

static void
test_auth(void **state)
{
	struct account_db *db = open_db(*state, ACCOUNT_DB_WRITE);
	struct auth_options options = { .default_domain = "example.org", .cache_ttl_s = 60 };
	char *stored = password_create(STR("right"));
	int64_t id = place_add(db, "ann", "example.org", stored);
	struct auth *auth = auth_new(db, &options, NULL);
	struct account_row row;
	bool cached;

	assert_int_equal(login(auth, "ann@example.org", "right", &cached), STORE_OK);
	assert_false(cached);
	assert_int_equal(login(auth, "ANN", "right", &cached), STORE_OK);
	assert_true(cached);
	assert_int_equal(login(auth, "ann", "wrong", &cached), STORE_DENIED);
	assert_int_equal(login(auth, "bob", "right", &cached), STORE_DENIED);
	assert_int_equal(login(auth, "", "right", &cached), STORE_DENIED);
	assert_int_equal(login(auth, "ann@", "right", &cached), STORE_DENIED);
	assert_int_equal(auth_password(auth, (struct str){ "ann\0x", 5 }, STR("right"), NULL, NULL),
	    STORE_DENIED);
	auth_forget(auth);
	assert_int_equal(auth_password(auth, STR("ann"), STR("right"), &row, &cached), STORE_OK);
	assert_false(cached);
	assert_int_equal(row.id, id);
	account_row_free(&row);

	assert_int_equal(account_db_set_active(db, id, false), STORE_OK);
	assert_int_equal(login(auth, "ann", "right", &cached), STORE_DENIED);
	assert_int_equal(auth_account(auth, STR("ann"), NULL), STORE_DENIED);
	assert_int_equal(account_db_set_active(db, id, true), STORE_OK);
	assert_int_equal(auth_account(auth, STR("ann"), NULL), STORE_OK);
	/* A new password forgets the old one at once. */
	assert_int_equal(account_db_set_password(db, id, "{PLAIN}new", NULL), STORE_OK);
	assert_int_equal(login(auth, "ann", "right", &cached), STORE_DENIED);
	assert_int_equal(login(auth, "ann", "new", &cached), STORE_OK);
	assert_int_equal(account_db_set_password(db, id, "{NTLM}junk", NULL), STORE_OK);
	assert_int_equal(login(auth, "ann", "new", &cached), STORE_DENIED);
	auth_free(auth);
	account_db_close(db);
	free(stored);
}

static bool
prepare_nothing(struct str in, struct buf *out)
{
	buf_add(out, in.p, in.len);
	return true;
}

static void
test_auth_scram(void **state)
{
	struct account_db *db = open_db(*state, ACCOUNT_DB_WRITE);
	struct auth_options options = { .default_domain = "example.org",
		.prepare = prepare_nothing };
	struct auth *auth = auth_new(db, &options, NULL), *other = auth_new(db, &options, NULL);
	int64_t id = place_add(db, "ann", "example.org", "{PLAIN}pencil");
	struct scram_keys made, keys, again;

	assert_int_equal(auth_scram_keys(auth, STR("ann"), &keys, NULL), STORE_OK);
	scram_keys_derive(STR("pencil"), keys.salt, keys.salt_len, keys.iterations, &made);
	assert_memory_equal(keys.stored_key, made.stored_key, SCRAM_KEY_BYTES);

	scram_keys_make(STR("pencil"), &made);
	assert_int_equal(account_db_set_password(db, id, "{ARGON2ID}x", &made), STORE_OK);
	assert_int_equal(auth_scram_keys(auth, STR("ann"), &keys, NULL), STORE_OK);
	assert_memory_equal(keys.stored_key, made.stored_key, SCRAM_KEY_BYTES);

	/* Nobody: invented, but always the same, in every process and however it is spelt. */
	assert_int_equal(auth_scram_keys(auth, STR("bob"), &keys, NULL), STORE_DENIED);
	assert_int_equal(
	    auth_scram_keys(other, STR("Bob@Example.org"), &again, NULL), STORE_DENIED);
	assert_memory_equal(&keys, &again, sizeof(keys));
	assert_int_equal(auth_scram_keys(auth, STR("eve"), &again, NULL), STORE_DENIED);
	assert_memory_not_equal(keys.salt, again.salt, 16);

	assert_int_equal(account_db_set_active(db, id, false), STORE_OK);
	assert_int_equal(auth_scram_keys(auth, STR("ann"), &keys, NULL), STORE_DENIED);
	assert_memory_not_equal(keys.stored_key, made.stored_key, SCRAM_KEY_BYTES);
	auth_free(auth);
	auth_free(other);
	account_db_close(db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test_setup_teardown(
		    test_life_of_an_account, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_other_letters, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_list, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_adopts, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_refuses, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_scram_keys, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_generation, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_replaced, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_without_permission, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_without_wal, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_threads, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_auth, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(test_auth_scram, place_set_up, place_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
