#include "store/account_bulk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/account_aliases.h"
#include "store/account_apps.h"
#include "store/account_test_place.h"

#define BOTH (ACCOUNT_BULK_ADD | ACCOUNT_BULK_CHANGE)

static struct account_bulk
item(const char *localpart, const char *password)
{
	return (struct account_bulk){
		.localpart = str_from(localpart), .domain = STR("example.org"), .password = password
	};
}

static size_t
count_accounts(struct account_db *db)
{
	struct account_row *rows;
	size_t count;

	assert_int_equal(account_db_list(db, NULL, &rows, &count), STORE_OK);
	account_rows_free(rows, count);
	return count;
}

/* One item beside ann and bob; eve is an alias of ann's. */
static void
test_results(void **state)
{
	static const struct {
		const char *localpart, *password;
		unsigned flags;
		enum account_bulk_result result;
	} CASES[] = {
		{ "carl", "{PLAIN}x", BOTH, ACCOUNT_BULK_ADDED },
		{ "carl", "{PLAIN}x", ACCOUNT_BULK_CHANGE, ACCOUNT_BULK_MISSING },
		{ "carl", NULL, BOTH, ACCOUNT_BULK_NO_PASSWORD },
		{ "ANN", "{PLAIN}x", BOTH, ACCOUNT_BULK_CHANGED },
		{ "ann", NULL, ACCOUNT_BULK_CHANGE, ACCOUNT_BULK_CHANGED },
		{ "ann", NULL, ACCOUNT_BULK_ADD, ACCOUNT_BULK_EXISTS },
		{ "Eve", "{PLAIN}x", BOTH, ACCOUNT_BULK_IS_ALIAS },
		{ "a b", "{PLAIN}x", BOTH, ACCOUNT_BULK_INVALID },
	};
	struct place *p = *state;

	assert_int_equal(
	    account_alias_add(p->db, p->ann, STR("eve"), STR("example.org")), STORE_OK);
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct account_bulk one = item(CASES[i].localpart, CASES[i].password);
		bool good = CASES[i].result == ACCOUNT_BULK_ADDED ||
			    CASES[i].result == ACCOUNT_BULK_CHANGED;

		assert_int_equal(
		    account_db_bulk(p->db, &one, 1, CASES[i].flags | ACCOUNT_BULK_DRY, NULL, NULL),
		    good ? STORE_OK : STORE_INVALID);
		assert_int_equal(one.result, CASES[i].result);
		assert_int_equal(count_accounts(p->db), 2); /* nothing has happened */
	}
}

static void
test_changes(void **state)
{
	struct place *p = *state;
	const uint64_t quota = 2048;
	const bool no = false;
	const int only = ACCOUNT_APP_ONLY_YES;
	const struct account_bulk_alias aliases[] = { { STR("info"), STR("example.org") },
		{ STR(""), STR("example.net") } };
	struct account_limits limits = { .messages_max = 7, .sent_copy = 0 };
	struct account_bulk items[2] = { item("carl", "{PLAIN}x"), item("ann", NULL) };
	enum account_app_only got_only;
	struct account_alias *list;
	struct account_row row;
	size_t count;

	items[0].realname = "Carl";
	items[0].quota_kb = &quota;
	items[0].active = &no;
	items[0].app_only = &only;
	items[0].aliases = aliases;
	items[0].alias_count = ARRAY_LEN(aliases);
	items[0].limits = &limits;
	items[0].limits_given = 1; /* messages_max */
	items[1].realname = "Ann";
	for (int i = 0; i < 2; i++) { /* twice is the same as once */
		assert_int_equal(account_db_bulk(p->db, items, 2, BOTH, NULL, NULL), STORE_OK);
		assert_int_equal(
		    items[0].result, i == 0 ? ACCOUNT_BULK_ADDED : ACCOUNT_BULK_CHANGED);
	}
	assert_int_equal(account_db_find(p->db, STR("carl"), STR("example.org"), &row), STORE_OK);
	assert_string_equal(row.realname, "Carl");
	assert_string_equal(row.password, "{PLAIN}x");
	assert_int_equal(row.quota_kb, 2048);
	assert_false(row.active);
	assert_int_equal(account_app_only_get(p->db, row.id, &got_only), STORE_OK);
	assert_int_equal(got_only, ACCOUNT_APP_ONLY_YES);
	assert_int_equal(account_limits_get(p->db, row.id, &limits), STORE_OK);
	assert_int_equal(limits.messages_max, 7);
	assert_int_equal(limits.sent_copy, ACCOUNT_LIMIT_DEFAULT);
	assert_int_equal(account_alias_list(p->db, row.id, NULL, &list, &count), STORE_OK);
	assert_int_equal(count, 2);
	account_aliases_free(list, count);
	account_row_free(&row);
	assert_int_equal(account_db_find(p->db, STR("ann"), STR("example.org"), &row), STORE_OK);
	assert_string_equal(row.realname, "Ann");
	account_row_free(&row);
}

/* One that cannot be, and nothing is; each that cannot be is said. */
static void
test_all_or_nothing(void **state)
{
	struct place *p = *state;
	const struct account_bulk_alias taken[] = { { STR("info"), STR("example.org") },
		{ STR("bob"), STR("example.org") } };
	struct account_bulk items[4] = { item("carl", "{PLAIN}x"), item("dan", NULL),
		item("ann", "{PLAIN}new"), item("eve", "{PLAIN}x") };
	struct account_alias *list;
	struct account_row row;
	size_t count;

	items[2].aliases = taken;
	items[2].alias_count = ARRAY_LEN(taken);
	assert_int_equal(account_db_bulk(p->db, items, 4, BOTH, NULL, NULL), STORE_INVALID);
	assert_int_equal(items[0].result, ACCOUNT_BULK_ADDED);
	assert_int_equal(items[1].result, ACCOUNT_BULK_NO_PASSWORD);
	assert_int_equal(items[2].result, ACCOUNT_BULK_ALIAS_TAKEN);
	assert_int_equal(items[2].bad_alias, 1);
	assert_int_equal(items[3].result, ACCOUNT_BULK_ADDED);
	assert_int_equal(count_accounts(p->db), 2);
	assert_int_equal(account_alias_list(p->db, 0, NULL, &list, &count), STORE_OK);
	assert_int_equal(count, 0);
	account_aliases_free(list, count);
	assert_int_equal(account_db_find(p->db, STR("ann"), STR("example.org"), &row), STORE_OK);
	assert_string_not_equal(row.password, "{PLAIN}new");
	account_row_free(&row);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_results, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(test_changes, place_set_up_db, place_tear_down),
		cmocka_unit_test_setup_teardown(
		    test_all_or_nothing, place_set_up_db, place_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
