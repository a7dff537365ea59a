#include "store/state_metadata.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "store/state.h"

struct place {
	char dir[40];
	int fd;
	struct state *st;
};

static int
setup(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));

	snprintf(p->dir, sizeof(p->dir), "/tmp/state_metadata_test.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->fd = open(p->dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(state_open(p->fd, true, NULL, &p->st), STORE_OK);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	state_close(p->st);
	unlinkat(p->fd, "state.db", 0);
	unlinkat(p->fd, "state.db-wal", 0);
	unlinkat(p->fd, "state.db-shm", 0);
	close(p->fd);
	assert_int_equal(rmdir(p->dir), 0);
	free(p);
	return 0;
}

/* RFC 5464 §3.2 */
static void
test_names(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} ROWS[] = {
		{ "", false },
		{ "/", false },
		{ "private/x", false },
		{ "/other/x", false },
		{ "/private", false },
		{ "/private/", false },
		{ "/private/x/", false },
		{ "/private//x", false },
		{ "/private/*", false },
		{ "/private/a%", false },
		{ "/private/\xc3\xbc", false },
		{ "/private/a\nb", false },
		{ "/private/vendor", false },
		{ "/shared/vendor/example", false },
		{ "/shared/vendor/example/x", true },
		{ "/PRIVATE/Vendor/example/x/y", true },
		{ "/private/comment", true },
		{ "/shared/vendors", true },
	};
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		assert_int_equal(
		    state_metadata_entry_is_valid(str_from(ROWS[i].name)), ROWS[i].good);
		assert_int_equal(state_metadata_set(p->st, NULL, ROWS[i].name, STR("x")),
		    ROWS[i].good ? STORE_OK : STORE_INVALID);
	}
}

static bool
add_entry(void *arg, const char *entry, struct str value)
{
	buf_printf(arg, "%s=%.*s\n", entry, (int)value.len, value.p);
	return true;
}

static void
test_values(void **state)
{
	struct place *p = *state;
	struct state *st = p->st;
	struct arena arena = { 0 };
	struct buf text = { 0 };
	struct str value;
	bool any;

	assert_int_equal(
	    state_metadata_get(st, &arena, NULL, "/private/comment", &value), STORE_NOT_FOUND);
	assert_int_equal(state_metadata_set(st, NULL, "/private/Comment", STR("s")), STORE_OK);
	assert_int_equal(state_metadata_set(st, "id1", "/private/comment", STR("m")), STORE_OK);
	assert_int_equal(state_metadata_set(st, "id1", "/shared/a", STR("a\0b")), STORE_OK);
	assert_int_equal(state_metadata_set(st, "id1", "/shared/e", STR("")), STORE_OK);
	assert_int_equal(
	    state_metadata_get(st, &arena, NULL, "/PRIVATE/comment", &value), STORE_OK);
	assert_true(str_eq(value, STR("s")));
	assert_int_equal(state_metadata_get(st, &arena, "id1", "/shared/a", &value), STORE_OK);
	assert_true(str_eq(value, STR("a\0b")));
	assert_int_equal(state_metadata_get(st, &arena, "id1", "/shared/e", &value), STORE_OK);
	assert_int_equal(value.len, 0);
	assert_int_equal(
	    state_metadata_set(st, "id1", "/shared/a", (struct str){ NULL, 0 }), STORE_OK);
	assert_int_equal(state_metadata_any(st, "/shared/E", &any), STORE_OK);
	assert_true(any);
	assert_int_equal(state_metadata_any(st, "/shared/none", &any), STORE_OK);
	assert_false(any);
	assert_int_equal(state_metadata_copy(st, "id1", "id2"), STORE_OK);
	assert_int_equal(state_metadata_drop(st, "id1"), STORE_OK);
	assert_int_equal(state_metadata_list(st, "id1", add_entry, &text), STORE_OK);
	assert_int_equal(text.len, 0);
	assert_int_equal(state_metadata_list(st, "id2", add_entry, &text), STORE_OK);
	assert_string_equal(buf_cstr(&text), "/private/comment=m\n/shared/e=\n");
	buf_free(&text);
	arena_free(&arena);
}

/* All of one call or nothing; who is beyond a limit may still change and remove. */
static void
test_limits(void **state)
{
	struct place *p = *state;
	struct arena arena = { 0 };
	char *big = mem_zalloc(STATE_METADATA_BYTES_MAX + 1);
	struct state_metadata_entry two[] = { { "/private/new", STR("x") },
		{ "/private/new2", STR("x") } };
	struct str value;

	assert_int_equal(state_metadata_set(p->st, NULL, "/private/big",
			     (struct str){ big, STATE_METADATA_BYTES_MAX + 1 }),
	    STORE_LIMIT);
	assert_int_equal(state_metadata_set(p->st, NULL, "/private/big",
			     (struct str){ big, STATE_METADATA_BYTES_MAX }),
	    STORE_OK);
	for (int i = 0; i < STATE_METADATA_MAX - 1; i++)
		assert_int_equal(state_metadata_set(
				     p->st, "id", arena_printf(&arena, "/private/%d", i), STR("x")),
		    STORE_OK);
	assert_int_equal(state_metadata_set_all(p->st, "id", two, 2, NULL, NULL), STORE_LIMIT);
	assert_int_equal(
	    state_metadata_get(p->st, &arena, "id", "/private/new", &value), STORE_NOT_FOUND);
	assert_int_equal(state_metadata_set_all(p->st, "id", two, 1, NULL, NULL), STORE_OK);
	assert_int_equal(state_metadata_set(p->st, "id", "/private/0", STR("y")), STORE_OK);
	assert_int_equal(state_metadata_set(p->st, "other", "/private/0", STR("y")), STORE_OK);
	two[1].name = "/private/*";
	assert_int_equal(state_metadata_set_all(p->st, "other", two, 2, NULL, NULL), STORE_INVALID);
	assert_int_equal(
	    state_metadata_get(p->st, &arena, "other", "/private/new", &value), STORE_NOT_FOUND);
	free(big);
	arena_free(&arena);
}

/* Short values that become long ones count as much as new ones do. */
static void
test_total(void **state)
{
	static const size_t MAILBOXES = STATE_METADATA_TOTAL_BYTES / STATE_METADATA_BYTES_MAX / 64;
	struct place *p = *state;
	struct state_metadata_entry all[64];
	struct arena arena = { 0 };
	char *big = mem_zalloc(STATE_METADATA_BYTES_MAX);

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		all[i].name = arena_printf(&arena, "/private/%zu", i);
	for (size_t m = 0; m <= MAILBOXES; m++) {
		const char *id = arena_printf(&arena, "box%zu", m);

		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			all[i].value = m < MAILBOXES
					   ? (struct str){ big, STATE_METADATA_BYTES_MAX - 2 }
					   : STR("x");
		assert_int_equal(
		    state_metadata_set_all(p->st, id, all, ARRAY_LEN(all), NULL, NULL), STORE_OK);
	}
	all[0].value = (struct str){ big, STATE_METADATA_BYTES_MAX };
	assert_int_equal(state_metadata_set_all(
			     p->st, arena_printf(&arena, "box%zu", MAILBOXES), all, 1, NULL, NULL),
	    STORE_LIMIT);
	assert_int_equal(state_metadata_set(p->st, "box0", all[0].name, STR("shorter")), STORE_OK);
	free(big);
	arena_free(&arena);
}

static bool
add_change(void *arg, uint64_t number, const char *mailbox_id, const char *entry)
{
	buf_printf(arg, "%llu %s %s\n", (unsigned long long)number, mailbox_id, entry);
	return true;
}

static void
test_changes(void **state)
{
	struct place *p = *state;
	struct state_metadata_entry two[] = { { "/private/a", STR("x") },
		{ "/private/b", STR("x") } };
	struct buf text = { 0 };
	uint64_t first, last;

	assert_int_equal(state_metadata_last(p->st, &last), STORE_OK);
	assert_int_equal(last, 0);
	assert_int_equal(state_metadata_set_all(p->st, "id", two, 2, &first, &last), STORE_OK);
	assert_int_equal(first, 1);
	assert_int_equal(last, 2);
	/* what is set to what it was has not changed */
	assert_int_equal(state_metadata_set_all(p->st, "id", two, 2, &first, &last), STORE_OK);
	assert_int_equal(last, 0);
	assert_int_equal(state_metadata_set(p->st, NULL, "/shared/c", STR("x")), STORE_OK);
	assert_int_equal(state_metadata_set(p->st, "id", "/private/a", STR("y")), STORE_OK);
	assert_int_equal(state_metadata_last(p->st, &last), STORE_OK);
	assert_int_equal(last, 4);
	assert_int_equal(state_metadata_changes(p->st, 1, add_change, &text), STORE_OK);
	assert_string_equal(buf_cstr(&text), "2 id /private/b\n3  /shared/c\n4 id /private/a\n");
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_total, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
