/* What a client is told to be gone: exactly so while all is remembered, too much where it is not, never too little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/index.h"
#include "store/mailbox_test_tree.h"

static void
open_inbox(struct tree *t, struct mailbox **box_out)
{
	CHECK_OK(mailbox_open(t->acct, "INBOX", false, box_out));
}

static uint64_t
modseq_of(struct mailbox *box)
{
	struct mailbox_facts f;

	mailbox_facts(box, &f);
	return f.highestmodseq;
}

static void
expunge(struct mailbox *box, const char *uids)
{
	struct uidset set = tree_set(uids);

	CHECK_OK(mailbox_expunge_with(box, &set, MAILBOX_EXPUNGE_UNMARKED, NULL));
	uidset_free(&set);
	tree_sync(box);
}

static void
expect_gone(struct mailbox *box, uint64_t since, const char *known, const char *want)
{
	struct uidset set = tree_set(known), gone = { 0 };
	struct buf text = { 0 };

	CHECK_OK(mailbox_expunged_since(box, since, &set, &gone, NULL));
	uidset_format(&gone, &text);
	assert_string_equal(buf_cstr(&text), want);
	buf_free(&text);
	uidset_free(&gone);
	uidset_free(&set);
}

static void
expect_changed(struct mailbox *box, uint64_t since, const char *want)
{
	struct mailbox_query q = { .modseq_min = since + 1 };
	struct uidset found = { 0 };
	struct buf text = { 0 };

	CHECK_OK(mailbox_find(box, &q, &found, NULL));
	uidset_format(&found, &text);
	assert_string_equal(buf_cstr(&text), want);
	buf_free(&text);
	uidset_free(&found);
}

static void
append_some(struct tree *t, int count)
{
	for (int i = 0; i < count; i++)
		tree_append(t, "INBOX", "Subject: x\n\ny\n", 0, NULL);
}

static void
test_remembered(void **state)
{
	struct mailbox *box, *late;
	struct tree t;
	uint64_t m[4];

	(void)state;
	tree_make(&t);
	append_some(&t, 8);
	open_inbox(&t, &box);
	open_inbox(&t, &late);
	m[0] = modseq_of(box);
	expunge(box, "2,4");
	m[1] = modseq_of(box);
	tree_flag(box, "5", FLAGS_ADD, MESSAGE_SEEN, NULL);
	tree_sync(box);
	m[2] = modseq_of(box);
	expunge(box, "7:8");
	m[3] = modseq_of(box);
	expect_gone(box, m[0], "1:9", "2,4,7:8");
	expect_gone(box, m[0], "3:7", "4,7");
	expect_gone(box, m[1], "1:9", "7:8");
	expect_gone(box, m[2], "1:9", "7:8");
	expect_gone(box, m[3], "1:9", "");
	expect_gone(box, m[3] + 7, "1:9", "2,4,7:8"); /* of a future that we know nothing of */
	expect_changed(box, m[1], "5");
	CHECK_OK(mailbox_raise_modseq(t.acct, "INBOX")); /* no message changes by that */
	tree_sync(box);
	assert_true(modseq_of(box) > m[3]);
	expect_changed(box, m[3], "");
	expect_gone(box, m[3], "1:9", "");
	/* who has not been told yet will be, by a sync */
	expect_gone(late, m[0], "1:9", "");
	tree_sync(late);
	expect_gone(late, m[0], "1:9", "2,4,7:8");
	mailbox_close(box);
	mailbox_close(late);
	tree_remove(&t);
}

/* Without the index nothing is remembered, until there are expunges again. */
static void
test_index_lost(void **state)
{
	struct mailbox *box;
	uint64_t before, after;
	struct tree t;

	(void)state;
	tree_make(&t);
	append_some(&t, 6);
	open_inbox(&t, &box);
	expunge(box, "3");
	before = modseq_of(box);
	expunge(box, "5");
	tree_drop_index(&t);
	tree_sync(box);
	after = modseq_of(box);
	assert_true(after > before);
	expect_gone(box, before, "1:9", "3,5,7:9"); /* 7:9 may have been given */
	expect_changed(box, before, "1:2,4,6");
	expunge(box, "6");
	expect_gone(box, after, "1:9", "6");
	mailbox_close(box);
	tree_remove(&t);
}

static void
copy_index(struct tree *t, const char *from, const char *to)
{
	char *a = mem_printf("%s/%s", account_path(t->acct), from);
	char *b = mem_printf("%s/%s", account_path(t->acct), to);
	char *command = mem_printf("cp '%s' '%s'", a, b);

	CHECK(system(command) == 0);
	free(command);
	free(a);
	free(b);
}

/* A power failure takes the index's last transactions: what a client has heard in them may be anything. */
static void
test_index_older_than_the_tree(void **state)
{
	struct mailbox *box;
	uint64_t kept, lost, after;
	struct tree t;
	char *there;

	(void)state;
	tree_make(&t);
	append_some(&t, 4);
	open_inbox(&t, &box);
	expunge(box, "1");
	kept = modseq_of(box);
	mailbox_close(box);
	tree_close(&t); /* so that all is in the one file */
	tree_open(&t);
	copy_index(&t, "index.db", "index.kept");
	open_inbox(&t, &box);
	append_some(&t, 1);
	tree_sync(box);
	tree_flag(box, "2", FLAGS_ADD, MESSAGE_SEEN, NULL);
	tree_sync(box);
	lost = modseq_of(box); /* a client has seen UID 5, and \Seen on 2 … */
	tree_flag(
	    box, "2", FLAGS_REMOVE, MESSAGE_SEEN, NULL); /* … but not this, nor what follows */
	expunge(box, "3,5");
	mailbox_close(box);
	tree_close(&t);
	tree_open(&t);
	copy_index(&t, "index.kept", "index.new"); /* another file than the one that is there */
	tree_drop_index(&t);
	tree_rename(&t, "index.new", "index.db");
	open_inbox(&t, &box);
	there = tree_show(box);
	assert_string_equal(there, "2: 4:");
	free(there);
	after = modseq_of(box);
	assert_true(after > lost);
	expect_gone(box, lost, "1:9", "1,3,5:9");
	expect_changed(box, lost, "2,4");
	/* who has nothing of it is told exactly */
	expect_gone(box, kept, "1:4", "3");
	expect_gone(box, after, "1:9", "");
	expect_changed(box, after, "");
	mailbox_close(box);
	tree_remove(&t);
}

/* A long history goes by halves, and the floor says so. */
static void
test_long_history(void **state)
{
	struct index_mailbox row = { .name = mem_strdup("Long"), .uidvalidity = 1 };
	struct uidset gone = { 0 };
	struct index *ix;
	struct tree t;

	(void)state;
	tree_make(&t);
	CHECK_OK(index_open(t.root, true, t.log, &ix));
	CHECK_OK(index_begin(ix, true));
	CHECK_OK(index_mailbox_put(ix, &row));
	for (uint32_t uid = 1; uid <= INDEX_EXPUNGED_MAX + 1; uid++) {
		struct index_message m = { .uid = uid, .modseq = 1, .name = "x" };

		CHECK_OK(index_message_add(ix, &row, &m));
		CHECK_OK(index_message_remove(ix, &row, &m, uid / 10 + 2));
	}
	assert_true(row.expunged_floor >= INDEX_EXPUNGED_MAX / 20);
	assert_true(row.expunged_count <= INDEX_EXPUNGED_MAX / 2);
	CHECK_OK(index_expunged(ix, row.id, row.expunged_floor, &gone));
	assert_int_equal(uidset_count(&gone), row.expunged_count);
	assert_int_equal(uidset_last(&gone), INDEX_EXPUNGED_MAX + 1);
	assert_int_equal(uidset_first(&gone) / 10 + 2, row.expunged_floor + 1);
	uidset_free(&gone);
	index_rollback(ix);
	index_close(ix);
	index_mailbox_clear(&row);
	tree_remove(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remembered),
		cmocka_unit_test(test_index_lost),
		cmocka_unit_test(test_index_older_than_the_tree),
		cmocka_unit_test(test_long_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
