#include "service/login_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/root.h"

struct place {
	char dir[64];
	struct store_root *root;
	struct login_history *history;
};

static int
set_up(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));
	struct home *home;

	snprintf(p->dir, sizeof(p->dir), "/tmp/login_history_test.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	assert_int_equal(store_root_open(p->dir, NULL, &p->root), STORE_OK);
	assert_int_equal(home_open(p->root, "ann", "example.org", true, &home), STORE_OK);
	home_close(home);
	p->history = login_history_new(p->dir, NULL);
	assert_non_null(p->history);
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *p = *state;
	char command[128];

	login_history_free(p->history);
	store_root_close(p->root);
	snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

static void
add(struct place *p, const char *localpart, const char *source, const char *client, int64_t at,
    int64_t count)
{
	struct state_login l = { .source = (char *)source,
		.client = (char *)client,
		.protocol = (char *)"imap",
		.method = (char *)"PLAIN",
		.app = (char *)"",
		.outcome = (char *)STATE_LOGIN_OK,
		.first_s = at,
		.last_s = at,
		.count = count };

	login_history_add(p->history, localpart, "example.org", &l);
}

/* The account's lines as "source client count first last", divided by ';'. */
static char *
lines_of(struct place *p)
{
	struct buf out = { 0 };
	struct state_login *rows;
	struct state *state;
	struct home *home;
	size_t count;

	assert_int_equal(home_open(p->root, "ann", "example.org", false, &home), STORE_OK);
	assert_int_equal(state_open(home->fd, true, NULL, &state), STORE_OK);
	assert_int_equal(state_logins(state, 0, false, &rows, &count), STORE_OK);
	for (size_t i = 0; i < count; i++)
		buf_printf(&out, "%s%s %s %d %d %d", i > 0 ? ";" : "", rows[i].source,
		    rows[i].client, (int)rows[i].count, (int)rows[i].first_s, (int)rows[i].last_s);
	state_logins_free(rows, count);
	state_close(state);
	home_close(home);
	return buf_take(&out);
}

static void
expect_lines(struct place *p, const char *want)
{
	char *got = lines_of(p);

	assert_string_equal(got, want);
	free(got);
}

static void
test_sums(void **state)
{
	struct place *p = *state;

	assert_false(login_history_is_due(p->history));
	for (int i = 0; i < 1000; i++)
		add(p, "ann", "192.0.2.1", "a", 100 + i, 1);
	add(p, "ann", "192.0.2.2", "a", 50, 1);
	add(p, "nobody", "192.0.2.2", "a", 50, 1); /* has no tree: nothing is made */
	login_history_write(p->history);
	expect_lines(p, "192.0.2.1 a 1000 100 1099;192.0.2.2 a 1 50 50");
	add(p, "ann", "192.0.2.1", "a", 2000, 1);
	login_history_write(p->history);
	login_history_write(p->history); /* once is enough */
	expect_lines(p, "192.0.2.1 a 1001 100 2000;192.0.2.2 a 1 50 50");
}

/* A name that comes after the login, before it was written and after. */
static void
test_names(void **state)
{
	struct place *p = *state;

	add(p, "ann", "192.0.2.1", "", 100, 1);
	add(p, "ann", "192.0.2.1", "", 100, -1);
	add(p, "ann", "192.0.2.1", "mail", 100, 1);
	login_history_write(p->history);
	expect_lines(p, "192.0.2.1 mail 1 100 100");
	add(p, "ann", "192.0.2.1", "", 200, 1);
	login_history_write(p->history);
	add(p, "ann", "192.0.2.1", "", 200, -1);
	add(p, "ann", "192.0.2.1", "mail", 200, 1);
	login_history_write(p->history);
	expect_lines(p, "192.0.2.1 mail 2 100 200");
}

/* Whoever guesses from everywhere fills no memory, and what is pending at the end is written. */
static void
test_bounds_and_end(void **state)
{
	struct place *p = *state;
	char source[32];

	for (int i = 0; i < 2 * LOGIN_HISTORY_PENDING_MAX; i++) {
		snprintf(source, sizeof(source), "10.%d.%d.%d", i / 65536, i / 256 % 256, i % 256);
		add(p, "nobody", source, "", 100, 1);
	}
	login_history_write(p->history);
	add(p, "ann", "192.0.2.1", "a", 100, 1);
	login_history_free(p->history);
	p->history = NULL;
	expect_lines(p, "192.0.2.1 a 1 100 100");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sums, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounds_and_end, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
