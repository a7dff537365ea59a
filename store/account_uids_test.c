#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/mailbox_test_tree.h"

/* Appends messages with these UIDs, 0 for none of their own; what they got as "1:3,7". */
static char *
append_with_uids(struct tree *t, const char *mailbox, const uint32_t *uids, size_t count, bool bulk)
{
	struct append *ap;
	struct uidset got = { 0 };
	struct buf text = { 0 };
	uint32_t validity;

	assert_int_equal(append_begin(t->acct, mailbox, &ap), STORE_OK);
	if (bulk)
		append_in_bulk(ap);
	for (size_t i = 0; i < count; i++) {
		struct append_message_info info = { .internaldate_s = 1000, .uid = uids[i] };
		char unique[64];

		snprintf(unique, sizeof(unique), "17000000.from-there-%zu", i);
		info.unique = unique;
		assert_int_equal(append_message(ap, &info), STORE_OK);
		assert_int_equal(append_write(ap, "Subject: x\n\ntext\n", 17), STORE_OK);
	}
	assert_int_equal(append_commit(ap, &validity, &got), STORE_OK);
	append_end(ap);
	uidset_format(&got, &text);
	uidset_free(&got);
	return buf_take(&text);
}

static void
expect(struct tree *t, const char *mailbox, uint32_t validity, uint32_t uidnext, uint32_t messages)
{
	struct mailbox_status s;

	assert_int_equal(account_status(t->acct, mailbox, &s), STORE_OK);
	assert_int_equal(s.messages, messages);
	if (validity != 0)
		assert_int_equal(s.uidvalidity, validity);
	if (uidnext != 0)
		assert_int_equal(s.uidnext, uidnext);
}

static void
test_take_uids(void **state)
{
	static const uint32_t UIDS[] = { 3, 7, 8, 0, 5000 }, LATE[] = { 4, 0 };
	struct tree t;
	char *got;

	(void)state;
	tree_make(&t);
	assert_int_equal(account_take_uids(t.acct, "INBOX", 12345, 1), STORE_OK);
	expect(&t, "INBOX", 12345, 1, 0);
	got = append_with_uids(&t, "INBOX", UIDS, 5, true);
	assert_string_equal(got, "3,7:9,5000");
	free(got);
	assert_string_not_equal(tree_find(&t, "cur", "17000000.from-there-4,"), "");
	expect(&t, "INBOX", 12345, 5001, 5);
	assert_int_equal(account_take_uids(t.acct, "INBOX", 12345, 6000), STORE_OK);
	expect(&t, "INBOX", 12345, 6000, 5);
	got = append_with_uids(&t, "INBOX", LATE, 2, false); /* 4 may have been given: too late */
	assert_string_equal(got, "6000:6001");
	free(got);
	assert_int_equal(account_take_uids(t.acct, "INBOX", 777, 1), STORE_EXISTS);
	assert_int_equal(account_lease_uids(t.acct, "INBOX", 90000), STORE_OK);
	expect(&t, "INBOX", 12345, 6002, 7);
	tree_drop_index(&t); /* it is in the tree, not in the index */
	tree_reopen(&t);
	expect(&t, "INBOX", 12345, 0, 7);
	tree_remove(&t);
}

static void
test_renew_uids(void **state)
{
	struct tree t;
	struct mailbox *box, *seen;
	struct mailbox_facts before, after;
	struct mailbox_changes changes = { 0 };
	char *was, *is;

	(void)state;
	tree_make(&t);
	tree_append(&t, "INBOX", "one", MESSAGE_SEEN, "word");
	tree_append(&t, "INBOX", "two", 0, NULL);
	assert_int_equal(mailbox_open(t.acct, "INBOX", true, &box), STORE_OK);
	was = tree_show(box);
	mailbox_facts(box, &before);
	assert_int_equal(account_renew_uids(t.acct, "INBOX"), STORE_OK);
	assert_int_equal(mailbox_sync(box, true, &changes), STORE_NOT_FOUND);
	mailbox_changes_free(&changes);
	assert_int_equal(mailbox_open(t.acct, "INBOX", true, &seen), STORE_OK);
	is = tree_show(seen);
	mailbox_facts(seen, &after);
	assert_string_equal(is, was);
	assert_true(after.uidvalidity > before.uidvalidity);
	assert_true(after.highestmodseq > before.highestmodseq);
	mailbox_close(box);
	mailbox_close(seen);
	free(was);
	free(is);
	tree_remove(&t);
}

static void
test_special_use(void **state)
{
	struct tree t;
	struct buf name = { 0 };

	(void)state;
	tree_make(&t);
	assert_int_equal(account_create_mailbox(t.acct, "Sent Items", SPECIAL_NONE), STORE_OK);
	assert_int_equal(account_set_special_use(t.acct, "Sent Items", SPECIAL_SENT), STORE_OK);
	assert_int_equal(account_find_special(t.acct, SPECIAL_SENT, &name), STORE_OK);
	assert_string_equal(buf_cstr(&name), "Sent Items");
	buf_free(&name);
	assert_int_equal(account_set_special_use(t.acct, "Nowhere", SPECIAL_JUNK), STORE_NOT_FOUND);
	tree_remove(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take_uids),
		cmocka_unit_test(test_renew_uids),
		cmocka_unit_test(test_special_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
