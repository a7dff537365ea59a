#include "store/account_scripts.h"
#include "store/account_test_place.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/account_lists.h"

static const struct account_script_limits LIMITS = { .scripts_max = 3, .bytes_max = 100 };
static const struct account_script_limits WIDE = { .scripts_max = 1000, .bytes_max = UINT32_MAX };

static int
count_rows(const char *path, const char *text)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	int count;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	count = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return count;
}

static enum store_err
put(struct place *p, const char *name, const char *text)
{
	return account_script_put(p->db, p->ann, name, str_from(text), &LIMITS, "test");
}

/* "name=text" of the active filter, "-" for none and for the default. */
static void
expect_filter(struct place *p, const char *name, const char *text)
{
	struct account_filter f;

	assert_int_equal(account_filter_get(p->db, p->ann, &f), STORE_OK);
	assert_string_equal(f.name != NULL ? f.name : "-", name);
	assert_string_equal(f.text != NULL ? f.text : "-", text);
	account_filter_clear(&f);
}

static void
test_names(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} CASES[] = {
		{ "main", true },
		{ "über uns / 1", true },
		{ "a\xc2\xa0z", true }, /* no-break space is no control */
		{ "", false },
		{ "a\nb", false },
		{ "a\x7f", false },
		{ "a\xc2\x80", false },
		{ "a\xe2\x80\xa8", false }, /* line separator */
		{ "a\xe2\x80\xa9", false },
		{ "a\xe2\x80\xaa", true },
		{ "a\xff", false },
	};
	char longest[SCRIPT_NAME_MAX_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
		if (account_script_name_is_valid(str_from(CASES[i].name)) != CASES[i].valid)
			fail_msg("%zu", i);
	memset(longest, 'x', sizeof(longest));
	assert_true(account_script_name_is_valid((struct str){ longest, sizeof(longest) - 1 }));
	assert_false(account_script_name_is_valid((struct str){ longest, sizeof(longest) }));
}

static void
test_put_and_list(void **state)
{
	struct place *p = *state;
	struct account_script *rows, one;
	size_t count;

	assert_int_equal(put(p, "b", "keep;"), STORE_OK);
	assert_int_equal(put(p, "a", ""), STORE_OK);
	assert_int_equal(put(p, "b", "stop;"), STORE_OK);
	assert_int_equal(put(p, "x\ny", ""), STORE_INVALID);
	assert_int_equal(account_scripts_list(p->db, p->ann, &rows, &count), STORE_OK);
	assert_int_equal(count, 2);
	assert_string_equal(rows[0].name, "a");
	assert_int_equal(rows[0].text_len, 0);
	assert_string_equal(rows[1].name, "b");
	assert_int_equal(rows[1].text_len, 5);
	assert_false(rows[1].active);
	assert_true(rows[1].created_s > 0 && rows[1].changed_s >= rows[1].created_s);
	account_scripts_free(rows, count);
	assert_int_equal(account_script_get(p->db, p->ann, "b", &one), STORE_OK);
	assert_string_equal(one.text, "stop;");
	account_script_clear(&one);
	assert_int_equal(account_script_get(p->db, p->bob, "b", &one), STORE_NOT_FOUND);
	assert_int_equal(account_scripts_list(p->db, p->bob, &rows, &count), STORE_OK);
	assert_int_equal(count, 0);
	assert_int_equal(
	    account_script_put(p->db, 999, "a", STR(""), &LIMITS, "test"), STORE_NOT_FOUND);
}

static void
test_limits(void **state)
{
	struct place *p = *state;
	char text[64];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(put(p, "1", text), STORE_OK);
	assert_int_equal(put(p, "2", text), STORE_OVER_QUOTA);
	assert_int_equal(put(p, "1", text), STORE_OK); /* itself does not count */
	assert_int_equal(put(p, "2", "keep;"), STORE_OK);
	assert_int_equal(put(p, "3", ""), STORE_OK);
	assert_int_equal(put(p, "4", ""), STORE_LIMIT);
	assert_int_equal(account_script_fits(p->db, p->ann, "4", 0, &LIMITS), STORE_LIMIT);
	assert_int_equal(account_script_fits(p->db, p->ann, "3", 32, &LIMITS), STORE_OK);
	assert_int_equal(account_script_fits(p->db, p->ann, "3", 33, &LIMITS), STORE_OVER_QUOTA);
	assert_int_equal(account_script_fits(p->db, p->ann, "", 1, &LIMITS), STORE_INVALID);
}

static void
test_activate(void **state)
{
	struct place *p = *state;

	expect_filter(p, "-", "-");
	assert_int_equal(put(p, "a", "keep;"), STORE_OK);
	assert_int_equal(put(p, "b", "stop;"), STORE_OK);
	expect_filter(p, "-", "-");
	assert_int_equal(account_script_activate(p->db, p->ann, "a", "test"), STORE_OK);
	expect_filter(p, "a", "keep;");
	assert_int_equal(account_script_activate(p->db, p->ann, "b", "test"), STORE_OK);
	expect_filter(p, "b", "stop;");
	assert_int_equal(put(p, "b", "discard;"), STORE_OK);
	expect_filter(p, "b", "discard;");
	assert_int_equal(account_script_activate(p->db, p->ann, "c", "test"), STORE_NOT_FOUND);
	assert_int_equal(account_script_rename(p->db, p->ann, "b", "a"), STORE_EXISTS);
	assert_int_equal(account_script_rename(p->db, p->ann, "b", "b"), STORE_OK);
	assert_int_equal(account_script_rename(p->db, p->ann, "b", "c"), STORE_OK);
	assert_int_equal(account_script_rename(p->db, p->ann, "b", "d"), STORE_NOT_FOUND);
	expect_filter(p, "c", "discard;");
	assert_int_equal(account_script_delete(p->db, p->ann, "c"), STORE_BUSY);
	assert_int_equal(account_script_delete(p->db, p->ann, "a"), STORE_OK);
	assert_int_equal(account_script_delete(p->db, p->ann, "a"), STORE_NOT_FOUND);
	assert_int_equal(
	    account_filter_set(p->db, p->ann, NULL, (struct str){ NULL, 0 }, &LIMITS, "test"),
	    STORE_OK);
	expect_filter(p, "-", "-");
	assert_int_equal(account_script_delete(p->db, p->ann, "c"), STORE_OK);
	assert_int_equal(
	    account_filter_set(p->db, p->ann, "n", STR("keep;"), &LIMITS, "test"), STORE_OK);
	expect_filter(p, "n", "keep;");
	assert_int_equal(
	    account_filter_set(p->db, 999, NULL, STR("x"), &LIMITS, "test"), STORE_NOT_FOUND);
}

/* A relay's tool knows of the column only. */
static void
test_foreign_writer(void **state)
{
	struct place *p = *state;
	struct account_filter_version *rows;
	size_t count;

	assert_int_equal(
	    account_filter_set(p->db, p->ann, "a", STR("keep;"), &WIDE, "one"), STORE_OK);
	place_run_sql(p->path, "UPDATE account SET filter = 'stop;' WHERE localpart = 'ann'");
	expect_filter(p, "-", "stop;");
	assert_int_equal(account_script_delete(p->db, p->ann, "a"), STORE_OK);
	for (int i = 0; i < 2; i++) /* the same once more is no version */
		assert_int_equal(
		    account_filter_set(p->db, p->ann, "b", STR("#"), &WIDE, "two"), STORE_OK);
	expect_filter(p, "b", "#");
	assert_int_equal(account_filter_history(p->db, p->ann, &rows, &count), STORE_OK);
	assert_int_equal(count, 3);
	assert_string_equal(rows[0].who, "two");
	assert_string_equal(rows[0].name, "b");
	assert_string_equal(rows[1].who, "another program");
	assert_null(rows[1].name);
	assert_int_equal(rows[1].text_len, 5);
	assert_string_equal(rows[2].who, "one");
	account_filter_versions_free(rows, count);
}

static void
test_history(void **state)
{
	struct place *p = *state;
	struct account_filter_version *rows, one;
	size_t count;
	char text[32], *big = mem_zalloc(ACCOUNT_FILTER_MAX_BYTES);

	for (int i = 0; i < FILTER_HISTORY_MAX + 5; i++) {
		snprintf(text, sizeof(text), "# %d", i);
		assert_int_equal(
		    account_filter_set(p->db, p->ann, NULL, str_from(text), &WIDE, "test"),
		    STORE_OK);
	}
	assert_int_equal(
	    account_filter_set(p->db, p->ann, NULL, (struct str){ NULL, 0 }, &WIDE, "test"),
	    STORE_OK);
	assert_int_equal(account_filter_history(p->db, p->ann, &rows, &count), STORE_OK);
	assert_int_equal(count, FILTER_HISTORY_MAX);
	assert_true(rows[0].is_default);
	assert_false(rows[1].is_default);
	assert_int_equal(account_filter_version_get(p->db, p->ann, rows[1].id, &one), STORE_OK);
	assert_string_equal(one.text, text);
	account_filter_version_clear(&one);
	assert_int_equal(
	    account_filter_version_get(p->db, p->bob, rows[1].id, &one), STORE_NOT_FOUND);
	account_filter_versions_free(rows, count);
	memset(big, '#', ACCOUNT_FILTER_MAX_BYTES);
	for (int i = 0; i < 10; i++) {
		big[i] = '\n'; /* each is another */
		assert_int_equal(account_filter_set(p->db, p->ann, NULL,
				     (struct str){ big, ACCOUNT_FILTER_MAX_BYTES }, &WIDE, "test"),
		    STORE_OK);
	}
	free(big);
	assert_int_equal(account_filter_history(p->db, p->ann, &rows, &count), STORE_OK);
	assert_int_equal(count, FILTER_HISTORY_BYTES / ACCOUNT_FILTER_MAX_BYTES);
	account_filter_versions_free(rows, count);
}

static void
test_lists(void **state)
{
	static const char *const SOME[] = { "Bob@example.org", "carl@example.org" };
	static const char *const ONE[] = { "BOB@example.org" };
	static const char *const NOT_THERE[] = { "bob@example.org", "dora@example.org" };
	static const char *const BAD[] = { "a\nb" };
	struct place *p = *state;
	char **texts;
	size_t count;

	assert_int_equal(account_list_add(p->db, p->ann, "friends", SOME, 2), STORE_OK);
	assert_int_equal(account_list_add(p->db, p->ann, "friends", ONE, 1), STORE_OK);
	assert_int_equal(account_list_add(p->db, p->ann, "empty", NULL, 0), STORE_OK);
	assert_int_equal(account_list_add(p->db, p->ann, "friends", BAD, 1), STORE_INVALID);
	assert_int_equal(account_list_add(p->db, 999, "x", NULL, 0), STORE_NOT_FOUND);
	assert_int_equal(account_lists(p->db, p->ann, &texts, &count), STORE_OK);
	assert_int_equal(count, 2);
	assert_string_equal(texts[0], "empty");
	account_texts_free(texts, count);
	assert_int_equal(account_list_members(p->db, p->ann, "friends", &texts, &count), STORE_OK);
	assert_int_equal(count, 2);
	assert_string_equal(texts[0], "Bob@example.org");
	account_texts_free(texts, count);
	assert_int_equal(account_list_exists(p->db, p->ann, "empty"), STORE_OK);
	assert_int_equal(account_list_exists(p->db, p->bob, "empty"), STORE_NOT_FOUND);
	assert_int_equal(
	    account_list_has(p->db, p->ann, "friends", STR("CARL@example.org")), STORE_OK);
	assert_int_equal(
	    account_list_has(p->db, p->ann, "friends", STR("eve@example.org")), STORE_NOT_FOUND);
	assert_int_equal(
	    account_list_remove(p->db, p->ann, "friends", NOT_THERE, 2), STORE_NOT_FOUND);
	assert_int_equal(
	    account_list_has(p->db, p->ann, "friends", STR("bob@example.org")), STORE_OK);
	assert_int_equal(account_list_remove(p->db, p->ann, "friends", ONE, 1), STORE_OK);
	assert_int_equal(
	    account_list_has(p->db, p->ann, "friends", STR("bob@example.org")), STORE_NOT_FOUND);
	assert_int_equal(account_list_remove(p->db, p->ann, "friends", NULL, 0), STORE_OK);
	assert_int_equal(account_list_exists(p->db, p->ann, "friends"), STORE_NOT_FOUND);
}

static void
test_list_limits(void **state)
{
	struct place *p = *state;
	const char **members = mem_alloc((LIST_MEMBERS_MAX + 1) * sizeof(*members));
	char name[32];

	for (int i = 0; i <= LIST_MEMBERS_MAX; i++)
		members[i] = mem_printf("u%d@example.org", i);
	assert_int_equal(
	    account_list_add(p->db, p->ann, "big", members, LIST_MEMBERS_MAX + 1), STORE_LIMIT);
	assert_int_equal(account_list_exists(p->db, p->ann, "big"), STORE_NOT_FOUND);
	assert_int_equal(
	    account_list_add(p->db, p->ann, "big", members, LIST_MEMBERS_MAX), STORE_OK);
	for (int i = 0; i <= LIST_MEMBERS_MAX; i++)
		free((void *)members[i]);
	free(members);
	for (int i = 1; i < LISTS_MAX; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		assert_int_equal(account_list_add(p->db, p->ann, name, NULL, 0), STORE_OK);
	}
	assert_int_equal(account_list_add(p->db, p->ann, "more", NULL, 0), STORE_LIMIT);
}

/* Whoever deletes the account; ids are used again. */
static void
test_deleted_with_account(void **state)
{
	static const char *const SOME[] = { "bob@example.org" };
	static const char *const TABLES[] = { "script", "filter_history", "list", "list_member" };
	struct place *p = *state;

	assert_int_equal(
	    account_filter_set(p->db, p->ann, "a", STR("keep;"), &WIDE, "one"), STORE_OK);
	assert_int_equal(account_list_add(p->db, p->ann, "l", SOME, 1), STORE_OK);
	place_run_sql(p->path, "DELETE FROM account WHERE localpart = 'ann'");
	for (size_t i = 0; i < ARRAY_LEN(TABLES); i++) {
		char *text = mem_printf("SELECT count(*) FROM %s", TABLES[i]);

		assert_int_equal(count_rows(p->path, text), 0);
		free(text);
	}
}

/* A file of version 1 is read by daemons as it is, and gets the tables from the first writer. */
static void
test_older_file(void **state)
{
	struct place *p = *state;
	struct account_script *rows;
	struct account_filter f;
	size_t count;

	assert_int_equal(account_db_set_filter(p->db, p->ann, "keep;", 5), STORE_OK);
	account_db_close(p->db);
	place_run_sql(p->path,
	    "DROP TRIGGER tenure_deleted; DROP TRIGGER tenure_renamed; DROP TABLE tenure;"
	    "DROP TRIGGER account_deleted; DROP TABLE script; DROP TABLE filter_history;"
	    "DROP TABLE list; DROP TABLE list_member; DROP TABLE alias; DROP TABLE account_limit;"
	    "DROP TABLE app_password; DROP TABLE account_login;"
	    "ALTER TABLE account_leave DROP COLUMN whole;"
	    "PRAGMA user_version = 1;"
	    "CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN"
	    "  DELETE FROM account_scram WHERE account = OLD.id; END;");
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_READ, NULL, &p->db), STORE_OK);
	assert_int_equal(account_db_version(p->db), 1);
	assert_int_equal(account_scripts_list(p->db, p->ann, &rows, &count), STORE_OK);
	assert_int_equal(count, 0);
	assert_int_equal(account_list_exists(p->db, p->ann, "l"), STORE_NOT_FOUND);
	assert_int_equal(account_filter_get(p->db, p->ann, &f), STORE_OK);
	assert_string_equal(f.text, "keep;");
	account_filter_clear(&f);
	assert_int_equal(put(p, "a", "keep;"), STORE_DENIED); /* only reading */
	account_db_close(p->db);
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_WRITE, NULL, &p->db), STORE_OK);
	assert_int_equal(put(p, "a", "stop;"), STORE_OK);
	expect_filter(p, "-", "keep;");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(
		    test_put_and_list, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_limits, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_activate, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_foreign_writer, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_history, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_lists, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_list_limits, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_deleted_with_account, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_older_file, place_set_up_db, place_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
