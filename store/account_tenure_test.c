/* Who has an address: what begins a new tenure, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/account_restore.h"
#include "store/account_tenure.h"
#include "store/account_test_place.h"
#include "store/sql_copy.h"

/* Of an address, in a buffer of two: the one before stays. */
static const char *
tenure(struct place *p, const char *address)
{
	static char texts[2][40];
	static unsigned turn;
	struct buf out = { 0 };
	char *text = texts[turn++ % 2];

	buf_adds(&out, "x");
	assert_int_equal(account_tenure(p->db, str_from(address), &out), STORE_OK);
	assert_true(out.len < sizeof(texts[0]));
	strcpy(text, buf_cstr(&out) + 1);
	buf_free(&out);
	return text;
}

static bool
lasts(struct place *p, const char *address, const char *word)
{
	bool lasts;

	assert_int_equal(account_tenure_lasts(p->db, str_from(address), word, &lasts), STORE_OK);
	return lasts;
}

static void
begins_anew(void **state)
{
	static const struct {
		const char *sql; /* what somebody does, with any program */
		bool anew;
	} CASES[] = {
		{ "UPDATE account SET password = 'x', active = 0 WHERE localpart = 'bob'", false },
		{ "UPDATE account SET localpart = 'BOB', domain = 'Example.Org' WHERE localpart = "
		  "'bob'",
		    false },
		{ "UPDATE account SET localpart = 'rob' WHERE localpart = 'bob'", true },
		{ "UPDATE OR IGNORE account SET localpart = 'bob' WHERE localpart = 'rob'", false },
		{ "UPDATE OR IGNORE account SET domain = 'example.net' WHERE localpart = 'bob'",
		    true },
		{ "INSERT INTO account (localpart, domain, password) VALUES ('Bob', 'example.org', "
		  "'x')",
		    false },
		{ "DELETE FROM account WHERE localpart = 'bob' AND domain = 'example.org'", true },
		{ "INSERT INTO account (localpart, domain, password) VALUES ('bob', 'example.org', "
		  "'x')",
		    false },
		{ "DELETE FROM account WHERE localpart = 'bob'", true },
	};
	struct place *p = *state;

	assert_string_equal(tenure(p, "bob@example.org"), "");
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		char *before = mem_strdup(tenure(p, "bob@example.org"));

		place_run_sql(p->path, CASES[i].sql);
		if ((strcmp(before, tenure(p, "BOB@example.org")) != 0) != CASES[i].anew)
			fail_msg("%s", CASES[i].sql);
		free(before);
	}
	assert_string_not_equal(tenure(p, "rob@example.org"), ""); /* it was his for a while */
	assert_string_equal(tenure(p, "ann@example.org"), "");
	assert_string_equal(tenure(p, "no address"), "");
}

static void
lasts_as_long_as_the_account(void **state)
{
	struct place *p = *state;
	char *word;

	assert_true(lasts(p, "bob@example.org", ""));
	assert_false(lasts(p, "bob@example.org", "other"));
	assert_int_equal(account_db_delete(p->db, p->bob), STORE_OK);
	assert_false(lasts(p, "bob@example.org", ""));
	word = mem_strdup(tenure(p, "bob@example.org"));
	assert_false(lasts(p, "bob@example.org", word));
	place_add(p->db, "bob", "example.org", "{PLAIN}x");
	assert_false(lasts(p, "bob@example.org", ""));
	assert_true(lasts(p, "bob@example.org", word));
	free(word);
}

/* Who is put back is who was there; whoever had the address in between is not. */
static void
comes_back_with_the_account(void **state)
{
	struct place *p = *state;
	char *copy = mem_printf("%s/copy.db", p->dir), *second;
	struct account_restored done;

	assert_int_equal(account_db_delete(p->db, p->bob), STORE_OK);
	place_add(p->db, "bob", "example.org", "{PLAIN}second");
	second = mem_strdup(tenure(p, "bob@example.org"));
	assert_int_equal(sql_copy(p->path, copy, NULL), STORE_OK);
	place_run_sql(p->path, "DELETE FROM account WHERE localpart = 'bob'");
	assert_string_not_equal(tenure(p, "bob@example.org"), second);
	assert_int_equal(
	    account_restore(p->path, copy, STR("bob"), STR("example.org"), NULL, &done), STORE_OK);
	assert_string_equal(tenure(p, "bob@example.org"), second);
	place_run_sql(p->path, "DELETE FROM account WHERE localpart = 'bob'");
	assert_string_not_equal(tenure(p, "bob@example.org"), second);
	free(copy);
	free(second);
}

/* On a new host: what an earlier holder was granted does not wait for the next one there either. */
static void
stays_lost_on_another_host(void **state)
{
	struct place *p = *state;
	char *copy = mem_printf("%s/copy.db", p->dir), *lost;
	struct account_restored done;

	place_run_sql(p->path, "INSERT INTO account (localpart, domain, password)"
			       " VALUES ('eve', 'example.org', 'x'), ('fay', 'example.org', 'x');"
			       "DELETE FROM account WHERE localpart IN ('eve', 'fay')");
	lost = mem_strdup(tenure(p, "eve@example.org"));
	assert_string_not_equal(lost, "");
	assert_int_equal(sql_copy(p->path, copy, NULL), STORE_OK);
	place_run_sql(p->path, "DELETE FROM account; DELETE FROM tenure;"
			       "INSERT INTO account (localpart, domain, password)"
			       " VALUES ('fay', 'example.org', 'x')");
	assert_int_equal(
	    account_restore(p->path, copy, STR("bob"), STR("example.org"), NULL, &done), STORE_OK);
	assert_string_equal(tenure(p, "bob@example.org"), "");
	assert_string_equal(tenure(p, "eve@example.org"), lost);
	assert_string_equal(tenure(p, "fay@example.org"), ""); /* who has it now stays who he is */
	free(copy);
	free(lost);
}

/* A file of an older version, which no writer has seen yet. */
static void
is_empty_before(void **state)
{
	struct place *p = *state;

	place_run_sql(p->path, "DROP TRIGGER tenure_deleted; DROP TRIGGER tenure_renamed;"
			       "DROP TABLE tenure; PRAGMA user_version = 5");
	account_db_close(p->db);
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_READ, NULL, &p->db), STORE_OK);
	assert_true(lasts(p, "bob@example.org", ""));
	account_db_close(p->db);
	assert_int_equal(account_db_open(p->path, ACCOUNT_DB_WRITE, NULL, &p->db), STORE_OK);
	assert_int_equal(account_db_version(p->db), ACCOUNT_DB_VERSION);
	assert_true(lasts(p, "bob@example.org", ""));
	assert_int_equal(account_db_delete(p->db, p->bob), STORE_OK);
	assert_string_not_equal(tenure(p, "bob@example.org"), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(begins_anew, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(
		    lasts_as_long_as_the_account, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(
		    comes_back_with_the_account, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(
		    stays_lost_on_another_host, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(is_empty_before, place_set_up_db, place_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
