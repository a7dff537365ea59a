#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/mailbox_test_tree.h"

/* What somebody noted before a commit, and asks for after a kill. */
static void
test_files_are_found_after_a_kill(void **state)
{
	const char *const FILES[] = { "1.M1P1Q1.here", "1.M1P1Q2.here", "1.M1P1Q10.here",
		"1.M1P1Q3.here" };
	struct tree t;
	struct append *ap;
	uint32_t found[4], validity;

	(void)state;
	tree_make(&t);
	tree_append(&t, "INBOX", "before\n", 0, NULL);
	assert_int_equal(append_begin(t.acct, "INBOX", &ap), STORE_OK);
	for (size_t i = 0; i < 3; i++) {
		const struct append_message_info info = { .unique = FILES[i], .uid = 5 };

		assert_int_equal(append_message(ap, &info), STORE_OK);
		assert_int_equal(append_write(ap, "text\r\n", 6), STORE_OK);
	}
	assert_int_equal(append_find(t.acct, "INBOX", FILES, 4, found), STORE_OK);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(found[i], 0);
	assert_int_equal(append_commit(ap, &validity, NULL), STORE_OK);
	append_end(ap);
	tree_drop_index(&t);
	assert_int_equal(append_find(t.acct, "INBOX", FILES, 4, found), STORE_OK);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(found[i], i + 5);
	assert_int_equal(found[3], 0);
	assert_int_equal(append_find(t.acct, "nowhere", FILES, 4, found), STORE_NOT_FOUND);
	tree_remove(&t);
}

/* Only who says so passes by a quota that is full. */
static void
test_quota_exempt(void **state)
{
	struct tree t;
	struct append *ap;
	uint32_t validity;
	struct account_quota quota;

	(void)state;
	tree_make(&t);
	tree_append(&t, "INBOX", "0123456789", 0, NULL);
	account_set_quota_limit(t.acct, 5);
	assert_int_equal(append_begin(t.acct, "INBOX", &ap), STORE_OK);
	assert_int_equal(
	    append_message(ap, &(struct append_message_info){ .quota_exempt = true }), STORE_OK);
	assert_int_equal(append_write(ap, "more", 4), STORE_OK);
	assert_int_equal(append_commit(ap, &validity, NULL), STORE_OK);
	append_end(ap);
	assert_int_equal(account_quota(t.acct, &quota), STORE_OK);
	assert_int_equal(quota.used_bytes, 14);
	assert_int_equal(append_begin(t.acct, "INBOX", &ap), STORE_OK);
	assert_int_equal(
	    append_message(ap, &(struct append_message_info){ .flags = 0 }), STORE_OVER_QUOTA);
	append_end(ap);
	tree_remove(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_are_found_after_a_kill),
		cmocka_unit_test(test_quota_exempt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
