#include "store/state_login.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

struct place {
	char dir[64];
	int fd;
	struct state *state;
};

static int
set_up(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));

	snprintf(p->dir, sizeof(p->dir), "/tmp/state_login_test.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->fd = open(p->dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(p->fd, "tmp", 0700), 0);
	assert_int_equal(state_open(p->fd, true, NULL, &p->state), STORE_OK);
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	char command[128];

	state_close(p->state);
	close(p->fd);
	snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

static struct state_login
login(const char *source, const char *client, const char *outcome, int64_t at, int64_t count)
{
	return (struct state_login){ .source = (char *)source,
		.client = (char *)client,
		.protocol = (char *)"imap",
		.method = (char *)"PLAIN",
		.app = (char *)"",
		.outcome = (char *)outcome,
		.first_s = at,
		.last_s = at,
		.count = count };
}

static void
add(struct place *p, struct state_login l)
{
	assert_int_equal(state_logins_add(p->state, &l, 1), STORE_OK);
}

static void
test_counts(void **state)
{
	struct place *p = *state;
	struct state_login *rows;
	size_t count;

	add(p, login("192.0.2.1", "", "ok", 100, 2));
	add(p, login("192.0.2.1", "", "ok", 50, 1));
	add(p, login("192.0.2.1", "", "ok", 200, 1));
	add(p, login("192.0.2.2", "", "wrong-password", 150, 1));
	assert_int_equal(state_logins(p->state, 0, false, &rows, &count), STORE_OK);
	assert_int_equal(count, 2);
	assert_string_equal(rows[0].source, "192.0.2.1");
	assert_int_equal(rows[0].count, 4);
	assert_int_equal(rows[0].first_s, 50);
	assert_int_equal(rows[0].last_s, 200);
	state_logins_free(rows, count);
	assert_int_equal(state_logins(p->state, 0, true, &rows, &count), STORE_OK);
	assert_int_equal(count, 1);
	assert_string_equal(rows[0].outcome, "wrong-password");
	state_logins_free(rows, count);
	assert_int_equal(state_logins(p->state, 151, false, &rows, &count), STORE_OK);
	assert_int_equal(count, 1);
	state_logins_free(rows, count);
}

/* A client says its name after the login has been counted. */
static void
test_moves(void **state)
{
	struct place *p = *state;
	struct state_login *rows;
	size_t count;

	add(p, login("192.0.2.1", "", "ok", 100, 1));
	add(p, login("192.0.2.1", "", "ok", 100, -1));
	add(p, login("192.0.2.1", "", "ok", 200, 0));
	add(p, login("192.0.2.1", "Mail 1", "ok", 100, 1));
	assert_int_equal(state_logins(p->state, 0, false, &rows, &count), STORE_OK);
	assert_int_equal(count, 1);
	assert_string_equal(rows[0].client, "Mail 1");
	state_logins_free(rows, count);
}

/* Guesses from everywhere do not wash away who was let in. */
static void
test_bounds(void **state)
{
	struct place *p = *state;
	struct state_login *rows, many[3 * STATE_LOGINS_MAX];
	char sources[3 * STATE_LOGINS_MAX][32];
	size_t count;

	add(p, login("192.0.2.1", "", "ok", 1, 1));
	for (int i = 0; i < 3 * STATE_LOGINS_MAX; i++) {
		snprintf(sources[i], sizeof(sources[i]), "10.0.%d.%d", i / 256, i % 256);
		many[i] = login(sources[i], "", "wrong-password", 1000 + i, 1);
	}
	assert_int_equal(state_logins_add(p->state, many, ARRAY_LEN(many)), STORE_OK);
	assert_int_equal(state_logins(p->state, 0, false, &rows, &count), STORE_OK);
	assert_int_equal(count, STATE_LOGINS_MAX + 1);
	assert_int_equal(rows[0].last_s, 1000 + 3 * STATE_LOGINS_MAX - 1);
	assert_string_equal(rows[count - 1].outcome, "ok");
	state_logins_free(rows, count);
}

static void
test_app_use(void **state)
{
	struct place *p = *state;
	struct state_login l = login("192.0.2.1", "", "ok", 100, 1);
	int64_t last;

	assert_int_equal(state_app_used(p->state, 7, 50, &last), STORE_OK);
	assert_int_equal(last, 0);
	l.app = (char *)"phone";
	l.app_id = 7;
	add(p, l);
	assert_int_equal(state_app_used(p->state, 7, 50, &last), STORE_OK);
	assert_int_equal(last, 100);
	assert_int_equal(state_app_used(p->state, 7, 101, &last), STORE_OK);
	assert_int_equal(last, 0); /* another's, that had the id before */
	assert_int_equal(state_app_used(p->state, 8, 50, &last), STORE_OK);
	assert_int_equal(last, 0);
}

/* A state.db of version 2 gets the tables. */
static void
test_older_file(void **state)
{
	struct place *p = *state;
	char path[128];
	sqlite3 *db;

	state_close(p->state);
	snprintf(path, sizeof(path), "%s/state.db", p->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
			     "DROP TABLE login; DROP TABLE app_use; DROP TABLE metadata_change;"
			     " PRAGMA user_version = 2",
			     NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(state_open(p->fd, false, NULL, &p->state), STORE_OK);
	test_counts(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_app_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_older_file, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
