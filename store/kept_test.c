#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/failover.h"
#include "store/kept.h"
#include "store/kept_format.h"
#include "store/mailbox_test_tree.h"

static void
make(struct tree *t, uint64_t keep_s, uint64_t max_bytes)
{
	tree_make(t);
	tree_close(t);
	t->keep_s = keep_s;
	t->keep_max_bytes = max_bytes;
	tree_open(t);
}

static void
expect(struct tree *t, const char *mailbox, const char *want)
{
	struct mailbox *box;
	char *got;

	CHECK_OK(mailbox_open(t->acct, mailbox, true, &box));
	got = tree_show(box);
	assert_string_equal(got, want);
	free(got);
	mailbox_close(box);
}

/* "mailbox/uid:FLAGS:keyword,… " per kept message. */
static void
expect_kept(struct tree *t, const char *want)
{
	struct kept_list list = { 0 };
	struct buf b = { 0 };

	CHECK_OK(kept_list(t->acct, &list));
	for (size_t i = 0; i < list.count; i++) {
		const struct kept_message *m = &list.messages[i];

		buf_printf(&b, "%s/%u:%x:", m->mailbox, m->uid, m->flags);
		for (size_t k = 0; k < m->keyword_count; k++)
			buf_printf(&b, "%s%s", k > 0 ? "," : "", m->keywords[k]);
		buf_addc(&b, ' ');
		assert_true(m->expunged_s <= time(NULL) && m->expunged_s > time(NULL) - 600);
	}
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
	kept_list_free(&list);
}

static void
restore_all(struct tree *t, const char *mailbox)
{
	struct kept_list list = { 0 };
	const struct kept_message *all[64];
	struct uidset uids = { 0 };
	size_t n = 0;

	CHECK_OK(kept_list(t->acct, &list));
	for (; n < list.count && n < ARRAY_LEN(all); n++)
		all[n] = &list.messages[n];
	CHECK_OK(kept_restore(t->acct, all, n, mailbox, &uids));
	assert_int_equal(uidset_count(&uids), n);
	uidset_free(&uids);
	kept_list_free(&list);
}

static void
expunge(struct tree *t, const char *mailbox, unsigned flags)
{
	struct mailbox *box;

	CHECK_OK(mailbox_open(t->acct, mailbox, false, &box));
	CHECK_OK(mailbox_expunge_with(box, mailbox_view(box), flags, NULL));
	mailbox_close(box);
}

static void
test_there_and_back(void **state)
{
	struct account_quota quota;
	struct mailbox_status status;
	struct tree t;

	(void)state;
	make(&t, STORE_DAY_S, 0);
	tree_append(&t, "INBOX", "one\n", MESSAGE_SEEN | MESSAGE_DELETED, "Work");
	tree_append(&t, "INBOX", "two\n", 0, NULL);
	tree_append(&t, "INBOX", "three\n", MESSAGE_DELETED | MESSAGE_FLAGGED, NULL);
	expunge(&t, "INBOX", 0);
	expect(&t, "INBOX", "2:");
	expect_kept(&t, "INBOX/1:8:Work INBOX/3:2: ");
	CHECK_OK(account_quota_recount(t.acct));
	CHECK_OK(account_quota(t.acct, &quota));
	assert_int_equal(quota.used_messages, 1);
	tree_drop_index(&t);
	tree_reopen(&t);
	restore_all(&t, "INBOX");
	CHECK_OK(account_status(t.acct, "INBOX", &status));
	assert_int_equal(status.messages, 3);
	assert_int_equal(status.deleted, 0);
	expect_kept(&t, "");
	CHECK_OK(account_quota(t.acct, &quota));
	assert_int_equal(quota.used_messages, 3);
	tree_remove(&t);
}

/* A UID that was expunged is never given again; who has the mailbox open is told of the new ones. */
static void
test_new_uids(void **state)
{
	struct mailbox_changes c = { 0 };
	struct mailbox *box;
	struct tree t;
	char *text;

	(void)state;
	make(&t, STORE_DAY_S, 0);
	tree_append(&t, "INBOX", "one\n", MESSAGE_DELETED | MESSAGE_ANSWERED, "Work");
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	CHECK_OK(mailbox_expunge(box, NULL, NULL));
	tree_sync(box);
	restore_all(&t, "INBOX");
	CHECK_OK(mailbox_sync(box, true, &c));
	assert_int_equal(uidset_count(&c.arrived), 1);
	mailbox_changes_free(&c);
	text = tree_show(box);
	assert_string_equal(text, "2:A:Work");
	free(text);
	text = tree_text(box, 2);
	assert_string_equal(text, "one\n");
	free(text);
	mailbox_close(box);
	tree_remove(&t);
}

/* More keywords than there are letters; and names that are taken or too long. */
static void
test_rare_keywords(void **state)
{
	char keyword[32], long_name[240], path[300];
	struct mailbox_status status;
	struct tree t;

	(void)state;
	make(&t, STORE_DAY_S, 0);
	for (unsigned i = 0; i < 30; i++) {
		snprintf(keyword, sizeof(keyword), "Key%u", i);
		tree_append(&t, "INBOX", "x\n", 0, keyword);
	}
	expunge(&t, "INBOX", MAILBOX_EXPUNGE_UNMARKED);
	expect(&t, "INBOX", "");
	restore_all(&t, "Archive");
	CHECK_OK(account_status(t.acct, "Archive", &status));
	assert_int_equal(status.messages, 30);
	struct mailbox *box;
	CHECK_OK(mailbox_open(t.acct, "Archive", false, &box));
	char *shown = tree_show(box);
	assert_non_null(strstr(shown, "30::Key29"));
	assert_non_null(strstr(shown, "1::Key0"));
	free(shown);
	mailbox_close(box);

	memset(long_name, 'n', sizeof(long_name));
	snprintf(long_name + 200, sizeof(long_name) - 200, ":2,S");
	memcpy(long_name, "1000000000.", 11);
	snprintf(path, sizeof(path), "cur/%s", long_name);
	tree_write(&t, path, "long\n");
	memset(long_name + 200, 'n', 36);
	snprintf(long_name + 236, 4, ":2,");
	snprintf(path, sizeof(path), "cur/%s", long_name);
	tree_write(&t, path, "longer\n");
	expunge(&t, "INBOX", MAILBOX_EXPUNGE_UNMARKED);
	expect(&t, "INBOX", "");
	restore_all(&t, "Junk");
	CHECK_OK(account_status(t.acct, "Junk", &status));
	assert_int_equal(status.messages, 2);
	assert_int_equal(status.unseen, 1);
	tree_remove(&t);
}

static void
test_deleted_mailbox(void **state)
{
	struct mailbox_status status;
	struct kept_list list = { 0 };
	struct tree t;

	(void)state;
	make(&t, STORE_DAY_S, 0);
	CHECK_OK(account_create_mailbox(t.acct, "Lists/C.x", SPECIAL_NONE));
	CHECK_OK(account_create_mailbox(t.acct, "Lists/C.x/kid", SPECIAL_NONE));
	tree_append(&t, "Lists/C.x", "one\n", MESSAGE_SEEN, "Work");
	tree_deliver(&t, "Lists/C.x", "two\n");
	tree_append(&t, "Lists/C.x/kid", "kid\n", 0, NULL);
	CHECK_OK(account_delete_mailbox(t.acct, "Lists/C.x"));
	assert_int_equal(account_status(t.acct, "Lists/C.x", &status), STORE_NOT_FOUND);
	expect(&t, "Lists/C.x/kid", "1:");
	expect_kept(&t, "Lists/C.x/1:8:Work Lists/C.x/2:0: ");
	CHECK_OK(account_create_mailbox(t.acct, "Lists/C.x", SPECIAL_NONE));
	restore_all(&t, "Lists/C.x");
	CHECK_OK(account_status(t.acct, "Lists/C.x", &status));
	assert_int_equal(status.messages, 2);
	assert_int_equal(status.unseen, 1);
	expect_kept(&t, "");
	/* An empty one leaves nothing, and its special use is remembered of one that is not. */
	CHECK_OK(account_create_mailbox(t.acct, "Empty", SPECIAL_NONE));
	CHECK_OK(account_delete_mailbox(t.acct, "Empty"));
	tree_append(&t, "Archive", "old\n", 0, NULL);
	CHECK_OK(account_delete_mailbox(t.acct, "Archive"));
	CHECK_OK(kept_list(t.acct, &list));
	assert_int_equal(list.count, 1);
	assert_string_equal(list.messages[0].special_use, "\\Archive");
	assert_true(list.messages[0].with_mailbox);
	kept_list_free(&list);
	tree_remove(&t);
}

/* Its directory is named in UTF-8, as Courier does it. */
static void
test_deleted_utf8_folder(void **state)
{
	struct tree t;

	(void)state;
	make(&t, STORE_DAY_S, 0);
	CHECK_OK(account_create_mailbox(t.acct, "caf\xC3\xA9", SPECIAL_NONE));
	tree_append(&t, "caf\xC3\xA9", "one\n", 0, NULL);
	tree_rename(&t, ".caf&AOk-", ".caf\xC3\xA9");
	expect(&t, "caf\xC3\xA9", "1:");
	CHECK_OK(account_delete_mailbox(t.acct, "caf\xC3\xA9"));
	expect_kept(&t, "caf\xC3\xA9/1:0: ");
	CHECK_OK(account_create_mailbox(t.acct, "caf\xC3\xA9", SPECIAL_NONE));
	restore_all(&t, "caf\xC3\xA9");
	expect_kept(&t, "");
	tree_remove(&t);
}

/* A tree of Dovecot's: names without U=, UIDs in its list; they are told, and new ones are listed for the way back. */
static void
test_adopted(void **state)
{
	static const char LIST[] = "3 V1234567 N9 G0123456789abcdef0123456789abcdef\n"
				   "5 :1000000000.a.h\n7 :1000000001.b.h\n8 :1000000002.c.h\n";
	static const char *const PLACES[] = { "", ".Old/" };
	struct mailbox_status status;
	struct tree t;

	(void)state;
	make(&t, STORE_DAY_S, 0);
	for (size_t i = 0; i < ARRAY_LEN(PLACES); i++) {
		static const char *const FILES[] = { "dovecot-uidlist", "dovecot-keywords",
			"cur/1000000000.a.h:2,Sa", "cur/1000000001.b.h:2,",
			"cur/1000000002.c.h:2,F" };
		static const char *const TEXTS[] = { LIST, "0 Work\n", "one\n", "two\n",
			"three\n" };
		char path[128];

		for (size_t k = 0; i == 1 && k < 4; k++) {
			static const char *const DIRS[] = { "", "/cur", "/new", "/tmp" };

			snprintf(path, sizeof(path), ".Old%s", DIRS[k]);
			CHECK(mkdirat(account_dir_fd(t.acct), path, 0700) == 0);
		}
		snprintf(path, sizeof(path), "%ssanger-mailbox", PLACES[i]);
		unlinkat(account_dir_fd(t.acct), path, 0);
		for (size_t k = 0; k < ARRAY_LEN(FILES); k++) {
			snprintf(path, sizeof(path), "%s%s", PLACES[i], FILES[k]);
			tree_write(&t, path, TEXTS[k]);
		}
	}
	tree_drop_index(&t);
	tree_reopen(&t);
	expect(&t, "INBOX", "5:S:Work 7: 8:F");
	expunge(&t, "INBOX", MAILBOX_EXPUNGE_UNMARKED);
	expect_kept(&t, "INBOX/5:8:Work INBOX/7:0: INBOX/8:2: ");
	restore_all(&t, "INBOX");
	CHECK_OK(account_status(t.acct, "INBOX", &status));
	assert_int_equal(status.uidvalidity, 1234567);
	assert_int_equal(status.messages, 3);
	assert_true(status.uidnext > 9);
	expunge(&t, "INBOX", MAILBOX_EXPUNGE_UNMARKED | MAILBOX_EXPUNGE_FOR_GOOD);
	expect(&t, "Old", "5:S:Work 7: 8:F");
	CHECK_OK(account_delete_mailbox(t.acct, "Old"));
	expect_kept(&t, "Old/5:8:Work Old/7:0: Old/8:2: ");
	restore_all(&t, "Archive");
	expect(&t, "Archive", "1:S:Work 2: 3:F");
	tree_remove(&t);
}

static void
test_for_good(void **state)
{
	struct copy_result moved = { 0 };
	struct mailbox *box;
	struct tree t;

	(void)state;
	make(&t, STORE_DAY_S, 0);
	tree_append(&t, "INBOX", "one\n", 0, NULL);
	expunge(&t, "INBOX", MAILBOX_EXPUNGE_UNMARKED | MAILBOX_EXPUNGE_FOR_GOOD);
	expect(&t, "INBOX", "");
	tree_append(&t, "INBOX", "two\n", 0, NULL);
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	CHECK_OK(mailbox_move(box, mailbox_view(box), NULL, "Trash", &moved)); /* is in Trash */
	uidset_free(&moved.from);
	uidset_free(&moved.to);
	mailbox_close(box);
	expect_kept(&t, "");
	/* 0 days: nothing is kept, and nothing made */
	tree_close(&t);
	t.keep_s = 0;
	tree_open(&t);
	expunge(&t, "Trash", MAILBOX_EXPUNGE_UNMARKED);
	expect_kept(&t, "");
	tree_append(&t, "Archive", "three\n", 0, NULL);
	CHECK_OK(account_delete_mailbox(t.acct, "Archive"));
	assert_int_equal(faccessat(account_dir_fd(t.acct), KEPT_DIR, F_OK, 0), -1);
	tree_remove(&t);
}

/* Makes everything in the kept area older. */
static void
age(struct tree *t, int64_t by_s)
{
	struct kept_list list = { 0 };

	CHECK_OK(kept_list(t->acct, &list));
	for (size_t i = 0; i < list.count; i++) {
		const struct kept_message *m = &list.messages[i];
		char from[512], to[512];

		if (m->with_mailbox)
			continue;
		snprintf(from, sizeof(from), KEPT_DIR "/%s/%s", m->dir, m->name);
		snprintf(to, sizeof(to), KEPT_DIR "/%s/%lld%s", m->dir,
		    (long long)(m->expunged_s - by_s), strchr(m->name, '-'));
		tree_rename(t, from, to);
	}
	kept_list_free(&list);
}

static void
test_pruning(void **state)
{
	struct kept_pruned p;
	struct tree t;

	(void)state;
	make(&t, STORE_DAY_S, 0);
	tree_append(&t, "INBOX", "old one\n", 0, NULL);
	expunge(&t, "INBOX", MAILBOX_EXPUNGE_UNMARKED);
	age(&t, 300);
	tree_append(&t, "INBOX", "12345\n", 0, NULL);
	tree_append(&t, "INBOX", "67890\n", 0, NULL);
	expunge(&t, "INBOX", MAILBOX_EXPUNGE_UNMARKED);
	CHECK_OK(kept_prune(t.acct, 200, 0, true, &p));
	assert_int_equal(p.messages, 1);
	assert_int_equal(p.left, 2);
	expect_kept(&t, "INBOX/1:0: INBOX/2:0: INBOX/3:0: ");
	CHECK_OK(kept_prune(t.acct, 200, 0, false, &p));
	assert_int_equal(p.messages, 1);
	assert_int_equal(p.bytes, 8);
	expect_kept(&t, "INBOX/2:0: INBOX/3:0: ");
	CHECK_OK(kept_prune(t.acct, 200, 11, false, &p)); /* the older goes first */
	assert_int_equal(p.left_bytes, 6);
	expect_kept(&t, "INBOX/3:0: ");
	tree_append(&t, "Archive", "x\n", 0, NULL);
	CHECK_OK(account_delete_mailbox(t.acct, "Archive"));
	CHECK_OK(kept_prune(t.acct, 0, 0, false, &p));
	assert_int_equal(p.messages, 2);
	assert_int_equal(tree_count(&t, KEPT_DIR), tree_find(&t, KEPT_DIR, "pruned")[0] != '\0');
	tree_remove(&t);
}

/* Those who expunge see to the limits themselves, now and then. */
static void
test_pruning_by_size_while_expunging(void **state)
{
	struct kept_list list = { 0 };
	struct tree t;

	(void)state;
	make(&t, STORE_DAY_S, 100);
	for (unsigned i = 0; i < 30; i++) {
		tree_append(&t, "INBOX", "0123456789 0123456789 0123456\n", 0, NULL);
		expunge(&t, "INBOX", MAILBOX_EXPUNGE_UNMARKED);
	}
	CHECK_OK(kept_list(t.acct, &list));
	assert_true(list.count >= 1 && list.bytes <= 100);
	kept_list_free(&list);
	tree_remove(&t);
}

/* Not of the kept area, but of a copy that takes over: no UID twice, none changed, the same UIDVALIDITY. */
static void
test_jump(void **state)
{
	struct mailbox_status before, after;
	struct tree t;

	(void)state;
	make(&t, 0, 0);
	tree_append(&t, "INBOX", "one\n", MESSAGE_SEEN, "Work");
	tree_append(&t, "INBOX", "two\n", 0, NULL);
	tree_deliver(&t, "INBOX", "came after the copy began\n");
	CHECK_OK(account_status(t.acct, "Archive", &before));
	CHECK_OK(account_status(t.acct, "INBOX", &before));
	tree_deliver(&t, "INBOX", "has no UID yet\n");
	tree_drop_index(&t);
	tree_reopen(&t);
	CHECK_OK(account_jump(t.acct));
	CHECK_OK(account_status(t.acct, "INBOX", &after));
	assert_int_equal(after.uidvalidity, before.uidvalidity);
	assert_string_equal(after.id, before.id);
	assert_int_equal(after.messages, 4);
	assert_true(after.uidnext >= before.uidnext + FAILOVER_UID_JUMP);
	assert_true(after.highestmodseq > before.highestmodseq + FAILOVER_MODSEQ_JUMP);
	struct mailbox *box;
	CHECK_OK(mailbox_open(t.acct, "INBOX", true, &box));
	char *shown = tree_show(box);
	assert_int_equal(strncmp(shown, "1:S:Work 2: 3: ", 15), 0);
	assert_true(atoi(shown + 15) >= (int)FAILOVER_UID_JUMP);
	free(shown);
	mailbox_close(box);
	CHECK_OK(account_create_mailbox(t.acct, "New", SPECIAL_NONE));
	CHECK_OK(account_status(t.acct, "New", &after));
	assert_true(after.uidvalidity > (uint32_t)time(NULL) - 60);
	tree_remove(&t);
}

static void
test_names(void **state)
{
	static const struct {
		const char *file;
		bool ok;
		int64_t when;
		uint32_t uid;
		const char *name;
	} ROWS[] = {
		{ "1795247699-17-1795247697.M1P2Q3.h,S=5:2,S", true, 1795247699, 17,
		    "1795247697.M1P2Q3.h,S=5:2,S" },
		{ "1-0-a", true, 1, 0, "a" },
		{ "1-2-3-4", true, 1, 2, "3-4" },
		{ "mailbox", false, 0, 0, NULL },
		{ "sanger-keywords", false, 0, 0, NULL },
		{ "1--a", false, 0, 0, NULL },
		{ "-1-2-a", false, 0, 0, NULL },
		{ "1-2-", false, 0, 0, NULL },
		{ "1-2-.a", false, 0, 0, NULL },
		{ "99999999999999999999-1-a", false, 0, 0, NULL },
		{ "1-4294967296-a", false, 0, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		int64_t when = 0;
		uint32_t uid = 0;
		const char *name = NULL;

		if (kept_name_parse(ROWS[i].file, &when, &uid, &name) != ROWS[i].ok)
			fail_msg("%s", ROWS[i].file);
		if (!ROWS[i].ok)
			continue;
		assert_int_equal(when, ROWS[i].when);
		assert_int_equal(uid, ROWS[i].uid);
		assert_string_equal(name, ROWS[i].name);
	}
}

static void
test_small_file(void **state)
{
	struct kept_place place = { .mailbox = (char *)(uintptr_t) "Li sts/C",
		.mailbox_id = "abc",
		.uidvalidity = 7 },
			  back;
	struct buf text = { 0 };

	(void)state;
	place.letters[3] = (char *)(uintptr_t) "$Label";
	kept_place_format(&place, &text);
	assert_true(kept_place_parse((struct str){ text.data, text.len }, &back));
	assert_string_equal(back.mailbox, "Li sts/C");
	assert_string_equal(back.mailbox_id, "abc");
	assert_string_equal(back.letters[3], "$Label");
	assert_null(back.letters[0]);
	kept_place_free(&back);
	assert_false(kept_place_parse((struct str){ text.data, text.len - 4 }, &back));
	kept_place_free(&back);
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_new_uids),
		cmocka_unit_test(test_rare_keywords),
		cmocka_unit_test(test_deleted_mailbox),
		cmocka_unit_test(test_deleted_utf8_folder),
		cmocka_unit_test(test_adopted),
		cmocka_unit_test(test_for_good),
		cmocka_unit_test(test_pruning),
		cmocka_unit_test(test_pruning_by_size_while_expunging),
		cmocka_unit_test(test_jump),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_small_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
