#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "store/mailbox_test_tree.h"
#include "store/search_text.h"

static void
expect(struct mailbox *box, const char *want)
{
	char *got = tree_show(box);

	assert_string_equal(got, want);
	free(got);
}

static void
expect_expunged(const struct mailbox_changes *c, const char *want)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < c->expunged_count; i++)
		buf_printf(&b, "%s%u", i > 0 ? " " : "", c->expunged_seqs[i]);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

static void
test_default_folders(void **state)
{
	struct tree t;
	struct mailbox_list list = { 0 };
	struct buf names = { 0 };

	(void)state;
	tree_make(&t);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(account_list(t.acct, &list), STORE_OK);
		buf_reset(&names);
		for (size_t i = 0; i < list.count; i++) {
			buf_printf(&names, "%s%s%s ", list.boxes[i].name,
			    special_use_name(list.boxes[i].use),
			    (list.boxes[i].attributes & MAILBOX_SUBSCRIBED) != 0 ? "+" : "");
		}
		assert_string_equal(buf_cstr(&names), "INBOX+ Archive\\Archive+ Drafts\\Drafts+ "
						      "Junk\\Junk+ Sent\\Sent+ Trash\\Trash+ ");
		tree_drop_index(&t);
		tree_reopen(&t);
	}
	mailbox_list_free(&list);
	buf_free(&names);
	tree_remove(&t);
}

static void
test_names(void **state)
{
	struct tree t;
	struct mailbox *box;
	struct mailbox_status status;
	uint32_t validity;

	(void)state;
	tree_make(&t);
	assert_int_equal(account_create_mailbox(t.acct, "a/b", SPECIAL_NONE), STORE_OK);
	assert_int_equal(account_create_mailbox(t.acct, "a/b", SPECIAL_NONE), STORE_EXISTS);
	assert_int_equal(account_create_mailbox(t.acct, "inbox", SPECIAL_NONE), STORE_EXISTS);
	assert_int_equal(account_create_mailbox(t.acct, "a//b", SPECIAL_NONE), STORE_INVALID);
	assert_int_equal(account_create_mailbox(t.acct, "x", SPECIAL_SENT), STORE_INVALID);
	assert_int_equal(account_delete_mailbox(t.acct, "INBOX"), STORE_INVALID);
	assert_int_equal(account_delete_mailbox(t.acct, "none"), STORE_NOT_FOUND);
	assert_int_equal(account_status(t.acct, "none", &status), STORE_NOT_FOUND);
	tree_append(&t, "a/b", "one\r\n", MESSAGE_SEEN, "Work");
	assert_int_equal(account_status(t.acct, "a/b", &status), STORE_OK);
	assert_int_equal(status.messages, 1);
	assert_int_equal(status.size_bytes, 5);
	validity = status.uidvalidity;
	assert_int_equal(account_rename_mailbox(t.acct, "a/b", "a/b/c"), STORE_INVALID);
	assert_int_equal(account_rename_mailbox(t.acct, "a", "z"), STORE_OK);
	assert_int_equal(account_status(t.acct, "a/b", &status), STORE_NOT_FOUND);
	assert_int_equal(account_status(t.acct, "z/b", &status), STORE_OK);
	assert_int_equal(status.uidvalidity, validity);
	assert_int_equal(status.messages, 1);
	assert_int_equal(mailbox_open(t.acct, "z/b", false, &box), STORE_OK);
	expect(box, "1:S:Work");
	assert_int_equal(account_delete_mailbox(t.acct, "z/b"), STORE_OK);
	struct mailbox_changes c = { 0 };
	assert_int_equal(mailbox_sync(box, true, &c), STORE_NOT_FOUND);
	mailbox_close(box);
	/* A new one of the same name is another one. */
	assert_int_equal(account_create_mailbox(t.acct, "z/b", SPECIAL_NONE), STORE_OK);
	assert_int_equal(account_status(t.acct, "z/b", &status), STORE_OK);
	assert_true(status.uidvalidity > validity);
	assert_int_equal(status.messages, 0);
	mailbox_changes_free(&c);
	tree_remove(&t);
}

static void
test_rename_inbox(void **state)
{
	struct tree t;
	struct mailbox *box;

	(void)state;
	tree_make(&t);
	tree_deliver(&t, "INBOX", "one\n");
	tree_deliver(&t, "INBOX", "two\n");
	assert_int_equal(account_rename_mailbox(t.acct, "inbox", "old"), STORE_OK);
	assert_int_equal(mailbox_open(t.acct, "old", false, &box), STORE_OK);
	expect(box, "1: 2:");
	mailbox_close(box);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	expect(box, "");
	mailbox_close(box);
	tree_remove(&t);
}

static void
test_delivery_and_views(void **state)
{
	struct tree t;
	struct mailbox *a, *b, *ro;
	struct mailbox_changes c = { 0 };
	struct mailbox_facts facts;
	char *text;

	(void)state;
	tree_make(&t);
	tree_deliver(&t, "INBOX", "one\n");
	assert_int_equal(mailbox_open(t.acct, "inbox", true, &ro), STORE_OK);
	mailbox_facts(ro, &facts);
	assert_int_equal(facts.recent, 1); /* nobody has it yet */
	tree_deliver(&t, "Sent", "aside\n");
	assert_int_equal(mailbox_open_aside(t.acct, "Sent", &b), STORE_OK);
	mailbox_close(b);
	assert_int_equal(mailbox_open(t.acct, "Sent", false, &b), STORE_OK);
	mailbox_facts(b, &facts);
	assert_int_equal(facts.recent, 1); /* who works beside the sessions takes it from none */
	mailbox_close(b);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &a), STORE_OK);
	mailbox_facts(a, &facts);
	assert_int_equal(facts.messages, 1);
	assert_int_equal(facts.recent, 1);
	assert_int_equal(facts.uidnext, 2);
	assert_int_equal(facts.first_unseen_seq, 1);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &b), STORE_OK);
	mailbox_facts(b, &facts);
	assert_int_equal(facts.recent, 0); /* a has it */
	assert_int_equal(mailbox_sync(a, true, &c), STORE_OK);
	assert_false(c.exists_changed);
	tree_deliver(&t, "INBOX", "two\n");
	tree_deliver(&t, "INBOX", "three\n");
	assert_int_equal(mailbox_sync(a, false, &c), STORE_OK);
	assert_true(c.exists_changed);
	assert_int_equal(c.messages, 3);
	assert_int_equal(c.recent, 3);
	assert_int_equal(c.changed_count, 0);
	text = tree_text(a, 3);
	assert_true(strcmp(text, "three\n") == 0 || strcmp(text, "two\n") == 0);
	free(text);
	/* b has not synced: it still has one message, and flags of the others do not touch it. */
	assert_int_equal(uidset_count(mailbox_view(b)), 1);
	tree_flag(a, "1:3", FLAGS_ADD, MESSAGE_SEEN, NULL);
	assert_int_equal(mailbox_sync(a, true, &c), STORE_OK);
	assert_int_equal(c.changed_count, 3);
	assert_true(c.changed[0].own);
	assert_int_equal(mailbox_sync(b, true, &c), STORE_OK);
	assert_int_equal(c.messages, 3);
	assert_int_equal(c.changed_count, 1); /* the others are new */
	assert_false(c.changed[0].own);
	/* An expunge is kept from those who may not hear it. */
	tree_flag(a, "1,3", FLAGS_ADD, MESSAGE_DELETED, NULL);
	assert_int_equal(mailbox_expunge(a, NULL, NULL), STORE_OK);
	assert_int_equal(mailbox_sync(b, false, &c), STORE_OK);
	assert_int_equal(c.expunged_count, 0);
	assert_int_equal(mailbox_uid_to_seq(b, 3), 3);
	expect(b, "2:S");
	assert_int_equal(mailbox_sync(b, true, &c), STORE_OK);
	expect_expunged(&c, "3 1");
	assert_int_equal(mailbox_uid_to_seq(b, 2), 1);
	assert_int_equal(mailbox_sync(b, true, &c), STORE_OK);
	expect_expunged(&c, "");
	mailbox_changes_free(&c);
	mailbox_close(a);
	mailbox_close(b);
	mailbox_close(ro);
	tree_remove(&t);
}

/* A look into an empty new/ is remembered; what comes later is found all the same. */
static void
test_new_is_looked_at_again(void **state)
{
	const struct timespec settle = { 0, 50000000 }; /* longer than SYNC_RACY_NS */
	struct mailbox_status status;
	struct tree t;

	(void)state;
	tree_make(&t);
	for (uint32_t i = 1; i <= 4; i++) {
		tree_deliver(&t, "INBOX", "x\n");
		assert_int_equal(account_status(t.acct, "INBOX", &status), STORE_OK);
		assert_int_equal(status.messages, i);
		if (i % 2 == 0)
			nanosleep(&settle, NULL);
		for (int k = 0; k < 3; k++) {
			assert_int_equal(account_status(t.acct, "INBOX", &status), STORE_OK);
			assert_int_equal(status.messages, i);
		}
	}
	tree_remove(&t);
}

static void
test_flags_survive_the_index(void **state)
{
	struct tree t;
	struct mailbox *box;
	struct mailbox_facts before, after;
	char keyword[16], *shown;

	(void)state;
	tree_make(&t);
	for (int i = 0; i < 5; i++)
		tree_deliver(&t, "INBOX", "x\n");
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	tree_flag(box, "1:2", FLAGS_ADD, MESSAGE_SEEN | MESSAGE_FLAGGED, "$Label1");
	tree_flag(box, "3", FLAGS_REPLACE, MESSAGE_ANSWERED | MESSAGE_DRAFT, NULL);
	for (int i = 0; i < 30; i++) { /* more than there are letters */
		snprintf(keyword, sizeof(keyword), "k%02d", i);
		tree_flag(box, "4", FLAGS_ADD, 0, keyword);
	}
	tree_flag(box, "2", FLAGS_REMOVE, MESSAGE_FLAGGED, "$label1"); /* any letter case */
	tree_flag(box, "5", FLAGS_ADD, MESSAGE_DELETED, NULL);
	assert_int_equal(mailbox_expunge(box, NULL, NULL), STORE_OK);
	tree_sync(box);
	mailbox_facts(box, &before);
	shown = tree_show(box);
	assert_non_null(strstr(shown, "1:FS:$Label1 2:S 3:AT 4::k00,k01"));
	assert_non_null(strstr(shown, "k29"));
	for (int round = 0; round < 3; round++) {
		tree_drop_index(&t); /* under the open mailbox */
		if (round == 1) {
			mailbox_close(box);
			tree_reopen(&t);
			assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
		}
		tree_sync(box);
		expect(box, shown);
		mailbox_facts(box, &after);
		assert_int_equal(after.uidvalidity, before.uidvalidity);
		assert_string_equal(after.id, before.id);
		assert_true(after.uidnext >= before.uidnext); /* UID 5 is never given again */
		assert_true(after.highestmodseq > before.highestmodseq);
		before = after;
	}
	assert_true(tree_append(&t, "INBOX", "new", 0, NULL) > 5);
	free(shown);
	mailbox_close(box);
	tree_remove(&t);
}

static void
test_damaged_index(void **state)
{
	struct tree t;
	struct mailbox *box;

	(void)state;
	tree_make(&t);
	tree_deliver(&t, "INBOX", "x\n");
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	tree_flag(box, "1", FLAGS_ADD, MESSAGE_SEEN, "Work");
	mailbox_close(box);
	tree_close(&t);
	tree_open(&t);
	tree_write(
	    &t, "index.db", "this is no database at all, but long enough to be looked at ......");
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	expect(box, "1:S:Work");
	assert_string_not_equal(tree_find(&t, ".", "index.db.corrupt-"), "");
	mailbox_close(box);
	tree_remove(&t);
}

/* A folder of another program's, found at once and found again from the names alone: what the index is told of many
 * messages in one statement is what it is told of one. */
static void
test_many_found(void **state)
{
	enum { COUNT = 70 }; /* two statements for many, and some left */
	struct tree t;
	struct mailbox *box;
	struct mailbox_facts facts;
	struct buf want = { 0 }, name = { 0 };

	(void)state;
	tree_make(&t);
	for (int i = 1; i <= COUNT; i++) {
		buf_reset(&name);
		buf_printf(&name, "cur/%d.a.host%s:2,%s", 1000 + i, i % 3 == 0 ? ",S=2,W=3" : "",
		    i % 2 == 0 ? "S" : "FT");
		tree_write(&t, buf_cstr(&name), "x\n");
		buf_printf(&want, "%s%d:%s", i > 1 ? " " : "", i, i % 2 == 0 ? "S" : "FD");
	}
	for (int round = 0; round < 2; round++) {
		assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
		expect(box, buf_cstr(&want));
		mailbox_facts(box, &facts);
		assert_int_equal(facts.messages, COUNT);
		assert_int_equal(facts.unseen, COUNT / 2);
		mailbox_close(box);
		tree_drop_index(&t);
		tree_reopen(&t);
	}
	buf_free(&want);
	buf_free(&name);
	tree_remove(&t);
}

static void
test_unchanged_since(void **state)
{
	struct tree t;
	struct mailbox *a;
	struct flags_result r = { 0 };
	struct uidset all = tree_set("1:3"), two = tree_set("2");
	struct mailbox_facts facts;

	(void)state;
	tree_make(&t);
	for (int i = 0; i < 3; i++)
		tree_append(&t, "INBOX", "x", 0, NULL);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &a), STORE_OK);
	mailbox_facts(a, &facts);
	tree_flag(a, "2", FLAGS_ADD, MESSAGE_SEEN, NULL);
	assert_int_equal(mailbox_store_flags(a, &all,
			     &(struct flags_change){ .mode = FLAGS_ADD,
				 .flags = MESSAGE_FLAGGED,
				 .has_unchanged_since = true,
				 .unchanged_since = facts.highestmodseq },
			     &r),
	    STORE_OK);
	assert_true(uidset_eq(&r.failed, &two));
	assert_int_equal(uidset_count(&r.changed), 2);
	assert_true(r.modseq > facts.highestmodseq + 1);
	expect(a, "1:F 2:S 3:F");
	uidset_free(&r.changed);
	uidset_free(&r.failed);
	uidset_free(&all);
	uidset_free(&two);
	mailbox_close(a);
	tree_remove(&t);
}

static void
test_foreign_changes(void **state)
{
	struct tree t;
	struct mailbox *box;
	struct mailbox_changes c = { 0 };
	char from[300], to[310], *text;

	(void)state;
	tree_make(&t);
	for (int i = 0; i < 3; i++)
		tree_append(&t, "INBOX", i == 1 ? "middle" : "x", 0, NULL);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	usleep(30000);
	/* mutt marks one as read … */
	snprintf(from, sizeof(from), "cur/%s", tree_find(&t, "cur", ",U=2:"));
	snprintf(to, sizeof(to), "%sS", from);
	tree_rename(&t, from, to);
	text = tree_text(box, 2); /* found under its new name */
	assert_string_equal(text, "middle");
	free(text);
	assert_int_equal(mailbox_sync(box, true, &c), STORE_OK);
	assert_int_equal(c.changed_count, 1);
	assert_int_equal(c.changed[0].flags & MESSAGE_SEEN, MESSAGE_SEEN);
	usleep(30000);
	/* … puts one back into new/ … */
	snprintf(from, sizeof(from), "cur/%s", tree_find(&t, "cur", ",U=1:"));
	snprintf(to, sizeof(to), "new/%s", from + 4);
	tree_rename(&t, from, to);
	tree_sync(box);
	expect(box, "1: 2:S 3:");
	usleep(30000);
	/* … removes one, and somebody copies a message here from elsewhere, with a U= that was taken. */
	snprintf(from, sizeof(from), "cur/%s", tree_find(&t, "cur", ",U=3:"));
	assert_int_equal(unlinkat(account_dir_fd(t.acct), from, 0), 0);
	tree_write(&t, "cur/1234.other,U=3:2,F", "foreign\n");
	assert_int_equal(mailbox_sync(box, true, &c), STORE_OK);
	expect_expunged(&c, "3");
	expect(box, "1: 2:S 4:F");
	assert_string_equal(tree_find(&t, "cur", "1234.other"), "1234.other,U=4:2,F");
	mailbox_changes_free(&c);
	mailbox_close(box);
	tree_remove(&t);
}

/* Messages opened in turn: the names read in advance may be wrong by then. */
static void
test_open_in_turn(void **state)
{
	static const char *const TEXTS[] = { "a", "b", "c", "d", "e" };
	char from[300], to[310], *text;
	struct mailbox *box;
	struct tree t;

	(void)state;
	tree_make(&t);
	for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
		tree_append(&t, "INBOX", TEXTS[i], 0, NULL);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	text = tree_text(box, 1);
	assert_string_equal(text, "a");
	free(text);
	usleep(30000);
	snprintf(from, sizeof(from), "cur/%s", tree_find(&t, "cur", ",U=2:"));
	snprintf(to, sizeof(to), "%sF", from);
	tree_rename(&t, from, to);
	snprintf(from, sizeof(from), "cur/%s", tree_find(&t, "cur", ",U=4:"));
	assert_int_equal(unlinkat(account_dir_fd(t.acct), from, 0), 0);
	for (uint32_t uid = 2; uid <= ARRAY_LEN(TEXTS); uid++) {
		text = tree_text(box, uid);
		if (uid == 4)
			assert_null(text);
		else
			assert_string_equal(text, TEXTS[uid - 1]);
		free(text);
	}
	mailbox_close(box);
	tree_remove(&t);
}

static void
run_sql(const struct tree *t, const char *sql)
{
	char *path = mem_printf("%s/index.db", account_path(t->acct));
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(path);
}

/* Makes INBOX's row look as if cur/ had just been compared by a change of our own, long after the last verification. */
static void
hide_change(struct tree *t)
{
	struct statx sx;
	char *sql;

	assert_int_equal(statx(account_dir_fd(t->acct), "cur", 0, STATX_BASIC_STATS, &sx), 0);
	sql = mem_printf("UPDATE mailbox SET verify_due = 1, verified = 0, cur_mtime = %lld,"
			 " cur_ctime = %lld WHERE name = 'INBOX'",
	    sx.stx_mtime.tv_sec * 1000000000LL + sx.stx_mtime.tv_nsec,
	    sx.stx_ctime.tv_sec * 1000000000LL + sx.stx_ctime.tv_nsec);
	run_sql(t, sql);
	free(sql);
}

static void
test_verify(void **state)
{
	struct tree t;
	struct mailbox *box;
	char from[300], to[310];

	(void)state;
	tree_make(&t);
	for (int i = 0; i < 2; i++)
		tree_append(&t, "INBOX", "x", 0, NULL);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	tree_flag(box, "1", FLAGS_ADD, MESSAGE_SEEN, NULL);
	/* Within the same tick: the stamp may not show it; a file that is not there does. */
	snprintf(from, sizeof(from), "cur/%s", tree_find(&t, "cur", ",U=2:"));
	snprintf(to, sizeof(to), "%sF", from);
	tree_rename(&t, from, to);
	tree_flag(box, "2", FLAGS_ADD, MESSAGE_ANSWERED, NULL);
	tree_sync(box);
	expect(box, "1:S 2:AF");
	assert_int_equal(mailbox_verify(box), STORE_OK);
	/* And one that no stamp shows at all is found as soon as a verification is due. */
	snprintf(from, sizeof(from), "cur/%s", tree_find(&t, "cur", ",U=1:"));
	snprintf(to, sizeof(to), "%s", from);
	to[strlen(to) - 1] = 'F';
	tree_rename(&t, from, to);
	hide_change(&t);
	tree_sync(box);
	expect(box, "1:S 2:AF");
	assert_int_equal(mailbox_verify(box), STORE_OK);
	tree_sync(box);
	expect(box, "1:F 2:AF");
	mailbox_close(box);
	tree_remove(&t);
}

static void
test_copy_and_move(void **state)
{
	struct tree t;
	struct mailbox *in, *out;
	struct copy_result r = { 0 };
	struct uidset some = tree_set("1,3");
	struct message m;
	char *text;

	(void)state;
	tree_make(&t);
	tree_append(&t, "INBOX", "one", MESSAGE_SEEN, "Work");
	tree_append(&t, "INBOX", "two", 0, NULL);
	tree_append(&t, "INBOX", "three", MESSAGE_FLAGGED, NULL);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &in), STORE_OK);
	assert_int_equal(mailbox_copy(in, &some, NULL, "nowhere", &r), STORE_NOT_FOUND);
	assert_int_equal(mailbox_copy(in, &some, NULL, "Archive", &r), STORE_OK);
	assert_int_equal(uidset_count(&r.from), 2);
	assert_int_equal(uidset_count(&r.to), 2);
	assert_int_equal(mailbox_open(t.acct, "Archive", false, &out), STORE_OK);
	expect(out, "1:S:Work 2:F");
	assert_int_equal(mailbox_message(out, 1, &m), STORE_OK);
	assert_int_equal(m.internaldate_s, 1000000000);
	assert_true(uidset_contains(mailbox_recent(out), 2));
	assert_int_equal(mailbox_move(in, &some, NULL, "Archive", &r), STORE_OK);
	tree_sync(in);
	tree_sync(out);
	expect(in, "2:");
	expect(out, "1:S:Work 2:F 3:S:Work 4:F");
	text = tree_text(out, 4);
	assert_string_equal(text, "three");
	free(text);
	/* into itself */
	assert_int_equal(mailbox_copy(out, &some, NULL, "Archive", &r), STORE_OK);
	assert_int_equal(mailbox_move(out, &some, NULL, "Archive", &r), STORE_OK);
	tree_sync(out);
	expect(out, "2:F 4:F 5:S:Work 6:S:Work 7:S:Work 8:S:Work");
	uidset_free(&some);
	uidset_free(&r.from);
	uidset_free(&r.to);
	mailbox_close(in);
	mailbox_close(out);
	tree_remove(&t);
}

static void
test_multiappend(void **state)
{
	struct tree t;
	struct append *ap;
	struct uidset uids = { 0 };
	struct mailbox *box;
	uint32_t validity;
	char *text;
	const struct append_message_info info = { .internaldate_s = -1 };

	(void)state;
	tree_make(&t);
	assert_int_equal(append_begin(t.acct, "nowhere", &ap), STORE_NOT_FOUND);
	assert_int_equal(append_begin(t.acct, "Sent", &ap), STORE_OK);
	assert_int_equal(append_message(ap, &info), STORE_OK);
	assert_int_equal(append_write(ap, "a\r", 2), STORE_OK);
	assert_int_equal(append_write(ap, "\nb\r\n", 4), STORE_OK);
	append_end(ap); /* the client has gone */
	assert_int_equal(tree_count(&t, ".Sent/tmp"), 0);
	assert_int_equal(append_begin(t.acct, "Sent", &ap), STORE_OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(append_message(ap, &info), STORE_OK);
		assert_int_equal(append_write(ap, "a\r", 2), STORE_OK);
		assert_int_equal(append_write(ap, "\nb\r\n", 4), STORE_OK);
	}
	assert_int_equal(append_commit(ap, &validity, &uids), STORE_OK);
	append_end(ap);
	assert_int_equal(uidset_count(&uids), 3);
	assert_int_equal(mailbox_open(t.acct, "Sent", true, &box), STORE_OK);
	text = tree_text(box, 2);
	assert_string_equal(text, "a\nb\n");
	free(text);
	uidset_free(&uids);
	mailbox_close(box);
	tree_remove(&t);
}

static void
test_quota(void **state)
{
	struct tree t;
	struct account_quota q;
	struct mailbox *box;
	struct uidset all = tree_set("1:9");
	struct copy_result r = { 0 };
	struct append *ap;

	(void)state;
	tree_make(&t);
	account_set_quota_limit(t.acct, 100);
	assert_int_equal(account_quota(t.acct, &q), STORE_OK);
	tree_append(&t, "INBOX", "0123456789", 0, NULL);
	tree_append(&t, "INBOX", "0123456789", 0, NULL);
	assert_int_equal(account_quota(t.acct, &q), STORE_OK);
	assert_int_equal(q.used_bytes, 20);
	assert_int_equal(q.used_messages, 2);
	account_set_quota_limit(t.acct, 20);
	assert_int_equal(append_begin(t.acct, "INBOX", &ap), STORE_OK);
	assert_int_equal(append_message(ap, &(struct append_message_info){ 0 }), STORE_OVER_QUOTA);
	append_end(ap);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	assert_int_equal(mailbox_copy(box, &all, NULL, "Sent", &r), STORE_OVER_QUOTA);
	assert_int_equal(mailbox_move(box, &all, NULL, "Sent", &r), STORE_OK);
	mailbox_close(box);
	assert_int_equal(mailbox_open(t.acct, "Sent", false, &box), STORE_OK);
	assert_int_equal(
	    mailbox_move(box, &all, NULL, "Trash", &r), STORE_OK); /* Trash is exempt */
	assert_int_equal(account_quota(t.acct, &q), STORE_OK);
	assert_int_equal(q.used_bytes, 0);
	assert_int_equal(account_quota_recount(t.acct), STORE_OK);
	assert_int_equal(account_quota(t.acct, &q), STORE_OK);
	assert_int_equal(q.used_bytes, 0);
	uidset_free(&all);
	uidset_free(&r.from);
	uidset_free(&r.to);
	mailbox_close(box);
	tree_remove(&t);
}

/* What comes together counts one by one: of many messages at once no more than one passes the limit, or none goes. */
static void
test_quota_of_many(void **state)
{
	struct tree t;
	struct account_quota q;
	struct account *other;
	struct mailbox *box;
	struct uidset all = tree_set("1:9"), two = tree_set("1:2");
	struct copy_result r = { 0 };
	struct append *ap;

	(void)state;
	tree_make(&t);
	assert_int_equal(
	    account_open(t.st, "bob", "example.org", ACCOUNT_CREATE, &other), STORE_OK);
	for (int i = 0; i < 3; i++)
		tree_append(&t, "INBOX", "0123456789", 0, NULL);
	account_set_quota_limit(t.acct, 45);
	account_set_quota_limit(other, 15);
	assert_int_equal(account_quota(t.acct, &q), STORE_OK);
	assert_int_equal(account_quota(other, &q), STORE_OK);
	assert_int_equal(append_begin(t.acct, "INBOX", &ap), STORE_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(append_message(ap, &(struct append_message_info){ 0 }), STORE_OK);
		assert_int_equal(append_write(ap, "0123456789", 10), STORE_OK);
	}
	assert_int_equal(append_message(ap, &(struct append_message_info){ 0 }), STORE_OVER_QUOTA);
	append_end(ap);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	assert_int_equal(mailbox_copy(box, &all, NULL, "Sent", &r), STORE_OVER_QUOTA);
	assert_int_equal(mailbox_copy(box, &all, other, "INBOX", &r), STORE_OVER_QUOTA);
	assert_int_equal(account_quota(other, &q), STORE_OK);
	assert_int_equal(q.used_messages, 0);
	assert_int_equal(mailbox_copy(box, &two, other, "INBOX", &r), STORE_OK);
	assert_int_equal(mailbox_copy(box, &two, NULL, "Sent", &r), STORE_OK);
	assert_int_equal(account_quota(t.acct, &q), STORE_OK);
	assert_int_equal(q.used_bytes, 50);
	uidset_free(&all);
	uidset_free(&two);
	uidset_free(&r.from);
	uidset_free(&r.to);
	mailbox_close(box);
	account_close(other);
	tree_remove(&t);
}

/* What was noted change by change is what a count of all files finds. */
static void
expect_usage(struct tree *t, const char *after, uint64_t bytes, uint64_t messages)
{
	struct account_quota noted, counted;

	assert_int_equal(account_quota(t->acct, &noted), STORE_OK);
	assert_int_equal(account_quota_recount(t->acct), STORE_OK);
	assert_int_equal(account_quota(t->acct, &counted), STORE_OK);
	if (noted.used_bytes != bytes || counted.used_bytes != bytes ||
	    noted.used_messages != messages || counted.used_messages != messages)
		fail_msg("%s: noted %llu bytes in %llu, counted %llu in %llu", after,
		    (unsigned long long)noted.used_bytes, (unsigned long long)noted.used_messages,
		    (unsigned long long)counted.used_bytes,
		    (unsigned long long)counted.used_messages);
}

/* \Deleted changes nothing until the message is expunged. */
static void
test_quota_and_deleted(void **state)
{
	struct tree t;
	struct mailbox *box;
	struct uidset one = tree_set("1"), two = tree_set("2");
	struct copy_result r = { 0 };

	(void)state;
	tree_make(&t);
	expect_usage(&t, "nothing", 0, 0);
	tree_append(&t, "INBOX", "0123456789", 0, NULL);
	tree_append(&t, "INBOX", "01234\r\n89", MESSAGE_DELETED, NULL);
	tree_append(&t, "INBOX", "012", 0, NULL);
	expect_usage(&t, "APPEND", 21, 3);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	tree_flag(box, "1", FLAGS_ADD, MESSAGE_DELETED, NULL);
	expect_usage(&t, "STORE", 21, 3);
	assert_int_equal(mailbox_copy(box, &one, NULL, "Sent", &r), STORE_OK);
	expect_usage(&t, "COPY", 31, 4);
	assert_int_equal(mailbox_copy(box, &one, NULL, "INBOX", &r), STORE_OK);
	expect_usage(&t, "COPY to the same", 41, 5);
	assert_int_equal(mailbox_move(box, &one, NULL, "INBOX", &r), STORE_OK);
	expect_usage(&t, "MOVE to the same", 41, 5);
	assert_int_equal(mailbox_move(box, &two, NULL, "Sent", &r), STORE_OK);
	expect_usage(&t, "MOVE", 41, 5);
	assert_int_equal(mailbox_copy(box, mailbox_view(box), NULL, "Trash", &r), STORE_OK);
	expect_usage(&t, "COPY to Trash", 41, 5);
	tree_sync(box);
	tree_flag(box, "3", FLAGS_ADD, MESSAGE_DELETED, NULL);
	tree_flag(box, "4", FLAGS_REMOVE, MESSAGE_DELETED, NULL);
	expect_usage(&t, "STORE there and back", 41, 5);
	assert_int_equal(mailbox_expunge(box, NULL, NULL), STORE_OK);
	expect_usage(&t, "EXPUNGE", 28, 3);
	mailbox_close(box);
	assert_int_equal(account_delete_mailbox(t.acct, "Sent"), STORE_OK);
	expect_usage(&t, "DELETE of a mailbox", 10, 1);
	assert_int_equal(account_rename_mailbox(t.acct, "Trash", "Bin"), STORE_OK);
	expect_usage(&t, "RENAME out of what is exempt", 13, 2);
	uidset_free(&one);
	uidset_free(&two);
	uidset_free(&r.from);
	uidset_free(&r.to);
	tree_remove(&t);
}

static void
test_internal_dates(void **state)
{
	static const int64_t DATES[] = { 0, 1, 1784249065 }; /* 0 is 1970, not now */
	struct tree t;
	struct append *ap;
	struct mailbox *box;
	struct message m;
	uint32_t validity;

	(void)state;
	tree_make(&t);
	for (size_t i = 0; i < ARRAY_LEN(DATES); i++) {
		const struct append_message_info info = { .internaldate_s = DATES[i] };

		assert_int_equal(append_begin(t.acct, "INBOX", &ap), STORE_OK);
		assert_int_equal(append_message(ap, &info), STORE_OK);
		assert_int_equal(append_commit(ap, &validity, NULL), STORE_OK);
		append_end(ap);
	}
	for (int round = 0; round < 2; round++) { /* from the index, then from the files */
		assert_int_equal(mailbox_open(t.acct, "INBOX", true, &box), STORE_OK);
		for (size_t i = 0; i < ARRAY_LEN(DATES); i++) {
			assert_int_equal(mailbox_message(box, (uint32_t)i + 1, &m), STORE_OK);
			assert_int_equal(m.internaldate_s, DATES[i]);
		}
		mailbox_close(box);
		tree_drop_index(&t);
	}
	tree_remove(&t);
}

static void
test_find(void **state)
{
	static const struct {
		struct mailbox_query q;
		const char *want;
	} CASES[] = {
		{ { 0 }, "1:4" },
		{ { .flags_set = MESSAGE_SEEN }, "1,3" },
		{ { .flags_clear = MESSAGE_SEEN }, "2,4" },
		{ { .flags_set = MESSAGE_SEEN, .flags_clear = MESSAGE_FLAGGED }, "1" },
		{ { .flags_set = MESSAGE_SEEN, .flags_clear = MESSAGE_SEEN }, "" },
		{ { .larger_than = 3 }, "3:4" },
		{ { .has_smaller = true }, "" }, /* SMALLER 0 */
		{ { .smaller_than = 4 }, "1:2" },
		{ { .has_since = true, .since_s = 1000000000 }, "1:4" },
		{ { .has_before = true, .before_s = 1000000000 }, "" },
		{ { .keywords_set = { { 1 } } }, "4" },
		{ { .keywords_clear = { { 1 } } }, "1:3" },
	};
	struct tree t;
	struct mailbox *box;

	(void)state;
	tree_make(&t);
	tree_append(&t, "INBOX", "1", MESSAGE_SEEN, NULL);
	tree_append(&t, "INBOX", "222", 0, NULL);
	tree_append(&t, "INBOX", "4444", MESSAGE_SEEN | MESSAGE_FLAGGED, NULL);
	tree_append(&t, "INBOX", "4444", MESSAGE_DRAFT, "Work");
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct uidset got = { 0 }, want = tree_set(CASES[i].want);

		assert_int_equal(mailbox_find(box, &CASES[i].q, &got, NULL), STORE_OK);
		if (!uidset_eq(&got, &want))
			fail_msg("case %zu", i);
		uidset_free(&got);
		uidset_free(&want);
	}
	mailbox_close(box);
	tree_remove(&t);
}

/* A Dovecot tree as it lies on disk: names stay, UIDs come from its list, new mail is added to it. */
static void
test_adopt_dovecot(void **state)
{
	struct tree t;
	struct mailbox *box;
	struct mailbox_facts facts;
	struct buf list = { 0 };
	char text[2000] = "";
	FILE *f;

	(void)state;
	tree_make(&t);
	tree_write(&t, "dovecot-uidlist",
	    "3 V1234567 N105 G0123456789abcdef0123456789abcdef\n"
	    "7 :1000.a.host\n"
	    "90 S6 W7 :1001.b.host\n"
	    "104 :1002.c.host\n");
	tree_write(&t, "dovecot-keywords", "0 $Forwarded\n1 Work\n");
	tree_write(&t, "cur/1000.a.host:2,Sa", "first\n");
	tree_write(&t, "cur/1001.b.host:2,Fb", "second\n");
	tree_write(&t, "new/1002.c.host", "third\n");
	tree_write(&t, "new/1003.d.host", "fourth\n");
	for (int round = 0; round < 2; round++) {
		assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
		mailbox_facts(box, &facts);
		assert_int_equal(facts.uidvalidity, 1234567);
		expect(box, "7:S:$Forwarded 90:F:Work 104: 105:");
		assert_string_equal(tree_find(&t, "cur", "1000.a"), "1000.a.host:2,Sa");
		assert_string_equal(tree_find(&t, "cur", "1002.c"), "1002.c.host:2,");
		assert_string_equal(tree_find(&t, "cur", "1003.d"), "1003.d.host,U=105:2,");
		mailbox_close(box);
		tree_drop_index(&t);
		tree_reopen(&t);
	}
	f = fopen(
	    (buf_printf(&list, "%s/dovecot-uidlist", account_path(t.acct)), buf_cstr(&list)), "r");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_non_null(strstr(text, "105 "));
	assert_non_null(strstr(text, ":1003.d.host,U=105\n"));
	buf_free(&list);
	tree_remove(&t);
}

static void
test_adopt_courier(void **state)
{
	struct tree t;
	struct mailbox *box;
	struct mailbox_facts facts;

	(void)state;
	tree_make(&t);
	tree_write(&t, "courierimapuiddb", "1 1122334 12\n4 1000.a.host,S=6\n9 1001.b.host\n");
	tree_write(&t, "cur/1000.a.host,S=6:2,S", "first\n");
	tree_write(&t, "cur/1001.b.host:2,", "second\n");
	tree_write(&t, "new/1002.c.host", "third\n");
	for (int round = 0; round < 2; round++) {
		assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
		mailbox_facts(box, &facts);
		assert_int_equal(facts.uidvalidity, 1122334);
		expect(box, "4:S 9: 12:");
		mailbox_close(box);
		tree_drop_index(&t);
		tree_reopen(&t);
	}
	tree_remove(&t);
}

/* The file with UIDVALIDITY and leases goes: the index still knows.  Both go: UIDVALIDITY grows. */
static void
test_lost_mailbox_file(void **state)
{
	struct tree t;
	struct mailbox_status before, after;
	struct mailbox *box;
	struct mailbox_changes c = { 0 };

	(void)state;
	tree_make(&t);
	tree_append(&t, "INBOX", "x", MESSAGE_SEEN, NULL);
	assert_int_equal(account_status(t.acct, "INBOX", &before), STORE_OK);
	assert_int_equal(unlinkat(account_dir_fd(t.acct), "sanger-mailbox", 0), 0);
	assert_int_equal(tree_append(&t, "INBOX", "y", 0, NULL), 2);
	assert_int_equal(account_status(t.acct, "INBOX", &after), STORE_OK);
	assert_int_equal(after.uidvalidity, before.uidvalidity);
	assert_string_equal(after.id, before.id);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	assert_int_equal(unlinkat(account_dir_fd(t.acct), "sanger-mailbox", 0), 0);
	tree_drop_index(&t);
	assert_int_equal(account_status(t.acct, "INBOX", &after), STORE_OK);
	assert_true(after.uidvalidity > before.uidvalidity);
	assert_int_equal(after.messages, 2);
	/* the session that showed the old UIDs has to end */
	assert_int_equal(mailbox_sync(box, true, &c), STORE_NOT_FOUND);
	mailbox_changes_free(&c);
	mailbox_close(box);
	tree_remove(&t);
}

static void
test_index_root_and_limits(void **state)
{
	struct tree t;
	struct store *st;
	struct account *acct[4];
	struct mailbox_status status;
	char index_root[80], path[160], localpart[16];

	(void)state;
	tree_make(&t);
	snprintf(index_root, sizeof(index_root), "%s/.index", t.root);
	st = store_open(&(struct store_options){
	    .mail_root = t.root, .index_root = index_root, .index_open_max = 2 });
	assert_non_null(st);
	for (int i = 0; i < 4; i++) { /* more than connections are allowed */
		snprintf(localpart, sizeof(localpart), "u%d", i);
		assert_int_equal(
		    account_open(st, localpart, "example.org", ACCOUNT_CREATE, &acct[i]), STORE_OK);
		assert_int_equal(account_status(acct[i], "Sent", &status), STORE_OK);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(account_status(acct[i], "INBOX", &status), STORE_OK);
	snprintf(path, sizeof(path), "%s/example.org/u1/index.db", index_root);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_not_equal(account_open(st, "none", "example.org", 0, &acct[0]), STORE_OK);
	for (int i = 0; i < 4; i++)
		account_close(acct[i]);
	store_idle(st);
	store_close(st);
	tree_remove(&t);
}

enum { THREADS = 6, THREAD_APPENDS = 20 };

static void *
append_thread(void *arg)
{
	struct tree *t = arg;
	struct mailbox *box;

	CHECK_OK(mailbox_open(t->acct, "INBOX", false, &box));
	for (int i = 0; i < THREAD_APPENDS; i++) {
		uint32_t uid = tree_append(t, "INBOX", "x", 0, NULL);
		char text[16];

		tree_sync(box);
		CHECK(mailbox_uid_to_seq(box, uid) != 0);
		snprintf(text, sizeof(text), "%u", uid);
		tree_flag(box, text, FLAGS_ADD, MESSAGE_SEEN, "Work");
	}
	mailbox_close(box);
	return NULL;
}

/* Sessions of one process share the account. */
static void
test_threads(void **state)
{
	struct tree t;
	pthread_t threads[THREADS];
	struct mailbox_status status;

	(void)state;
	tree_make(&t);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, append_thread, &t), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(account_status(t.acct, "INBOX", &status), STORE_OK);
	assert_int_equal(status.messages, THREADS * THREAD_APPENDS);
	assert_int_equal(status.unseen, 0);
	tree_remove(&t);
}

struct got_parsed {
	char envelope[500];
	unsigned count;
};

static bool
on_parsed(void *arg, const struct message_parsed *p)
{
	struct got_parsed *g = arg;

	snprintf(g->envelope, sizeof(g->envelope), "%.*s", (int)p->envelope.len, p->envelope.p);
	g->count++;
	assert_true(p->has_sent_date);
	assert_true(p->bodystructure.len > 0 && p->body.len > 0 && p->parts.len > 0);
	return true;
}

static void
test_parsed(void **state)
{
	struct tree t;
	struct mailbox *box;
	struct got_parsed first = { .count = 0 }, second = { .count = 0 };

	(void)state;
	tree_make(&t);
	for (int i = 0; i < 40; i++)
		tree_append(&t, "INBOX",
		    "Subject: hello\r\nDate: Sat, 1 Nov 2025 10:00:00 +0100\r\n\r\nbody\r\n", 0,
		    NULL);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	assert_int_equal(
	    mailbox_parsed(box, mailbox_view(box), false, on_parsed, &first), STORE_OK);
	assert_int_equal(first.count, 40);
	assert_non_null(strstr(first.envelope, "\"hello\""));
	assert_int_equal(
	    mailbox_parsed(box, mailbox_view(box), false, on_parsed, &second), STORE_OK);
	assert_int_equal(second.count, 40);
	assert_string_equal(first.envelope, second.envelope);
	mailbox_close(box);
	tree_remove(&t);
}

struct got_searched {
	unsigned count, hello;
	uint32_t last;
	unsigned stop_at; /* 0: never */
};

static bool
on_searched(void *arg, const struct message_searched *m)
{
	static const struct search_key KEY = { SEARCH_HEADER, STR("Subject"), STR("HELLO"), false };
	struct search_text *st = search_text_new(&KEY, 1);
	struct got_searched *g = arg;
	enum search_truth truth;

	search_fields_match(st, m->fields, &truth);
	search_text_free(st);
	assert_int_not_equal(truth, SEARCH_UNKNOWN);
	assert_true(m->uid > g->last);
	assert_int_equal(m->has_sent_date, truth == SEARCH_YES);
	if (m->has_sent_date)
		assert_int_equal(m->sent_date_days, 20393);
	g->last = m->uid;
	g->hello += truth == SEARCH_YES;
	return ++g->count != g->stop_at;
}

/* What SORT and THREAD compare, of the same messages. */
static bool
on_sorted(void *arg, const struct message_sorted *m)
{
	struct got_searched *g = arg;
	bool hello = str_eq(m->keys.text[SORT_TEXT_SUBJECT], STR("HELLO"));

	assert_true(m->uid > g->last);
	assert_int_equal(m->has_sent, hello);
	if (m->has_sent)
		assert_int_equal(m->sent_s, 1761987600);
	g->last = m->uid;
	g->hello += hello;
	return ++g->count != g->stop_at;
}

static void
assert_sorted(struct mailbox *box, unsigned count, unsigned hello)
{
	struct got_searched got = { 0 };

	assert_int_equal(mailbox_sorted(box, mailbox_view(box), on_sorted, &got), STORE_OK);
	assert_int_equal(got.count, count);
	assert_int_equal(got.hello, hello);
}

static void
empty_files(struct tree *t, const char *dir)
{
	int fd = openat(account_dir_fd(t->acct), dir, O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(fd);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		fd = openat(dirfd(d), e->d_name, O_WRONLY | O_TRUNC);
		assert_true(fd >= 0);
		close(fd);
	}
	closedir(d);
}

/* What searches ask for is the same parsed now or read from the index, and goes along with copies. */
static void
test_searched(void **state)
{
	struct tree t;
	struct mailbox *box;
	struct got_parsed parsed = { .count = 0 };
	struct got_searched some = { .stop_at = 7 }, first = { 0 }, second = { 0 }, third = { 0 };
	struct copy_result copies = { 0 };
	struct uidset one = { 0 };

	(void)state;
	tree_make(&t);
	for (int i = 0; i < 300; i++)
		tree_append(&t, "INBOX",
		    i % 3 == 0 ? "Subject: hello\r\nDate: Sat, 1 Nov 2025 10:00:00 "
				 "+0100\r\n\r\nbody\r\n"
			       : "Subject: bye\r\n\r\nhello\r\n",
		    0, NULL);
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	uidset_add(&one, 1);
	assert_int_equal(mailbox_parsed(box, &one, false, on_parsed, &parsed), STORE_OK);
	assert_int_equal(mailbox_searched(box, mailbox_view(box), on_searched, &some), STORE_OK);
	assert_int_equal(some.count, 7);
	assert_int_equal(mailbox_searched(box, mailbox_view(box), on_searched, &first), STORE_OK);
	assert_int_equal(first.count, 300);
	assert_int_equal(first.hello, 100);
	assert_sorted(box, 300, 100);
	run_sql(&t, "UPDATE sorted SET keys = x'0102' WHERE sent IS NOT NULL"); /* learnt again */
	assert_sorted(box, 300, 100);
	assert_int_equal(mailbox_copy(box, &one, NULL, "INBOX", &copies), STORE_OK);
	mailbox_close(box);
	/* From the index now: no file says anything any more. */
	assert_int_equal(mailbox_open(t.acct, "INBOX", false, &box), STORE_OK);
	empty_files(&t, "cur");
	assert_int_equal(mailbox_searched(box, mailbox_view(box), on_searched, &second), STORE_OK);
	assert_int_equal(second.count, 301);
	assert_int_equal(second.hello, 101);
	assert_sorted(box, 301, 101);
	/* An expunged message is not in it. */
	assert_int_equal(
	    mailbox_store_flags(box, &one,
		&(struct flags_change){ .mode = FLAGS_ADD, .flags = MESSAGE_DELETED }, NULL),
	    STORE_OK);
	assert_int_equal(mailbox_expunge(box, NULL, NULL), STORE_OK);
	assert_int_equal(mailbox_searched(box, mailbox_view(box), on_searched, &third), STORE_OK);
	assert_int_equal(third.count, 300);
	assert_int_equal(third.hello, 100);
	assert_sorted(box, 300, 100);
	uidset_free(&one);
	uidset_free(&copies.from);
	uidset_free(&copies.to);
	mailbox_close(box);
	tree_remove(&t);
}

/* Messages whose names tell no sizes are measured when a size is asked for. */
static void
test_unknown_sizes(void **state)
{
	struct tree t;
	struct mailbox *box;
	struct mailbox_status status;
	struct message m;

	(void)state;
	tree_make(&t);
	tree_write(&t, "cur/1000.plain:2,", "a\nb\n");
	assert_int_equal(account_status(t.acct, "INBOX", &status), STORE_OK);
	assert_int_equal(status.size_bytes, 6);
	tree_write(&t, "cur/1001.plain:2,", "a\nb\nc\n");
	assert_int_equal(mailbox_open(t.acct, "INBOX", true, &box), STORE_OK);
	assert_int_equal(mailbox_message(box, 2, &m), STORE_OK);
	assert_int_equal(m.size_bytes, 9);
	assert_int_equal(m.disk_bytes, 6);
	mailbox_close(box);
	tree_remove(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_folders),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_rename_inbox),
		cmocka_unit_test(test_open_in_turn),
		cmocka_unit_test(test_delivery_and_views),
		cmocka_unit_test(test_new_is_looked_at_again),
		cmocka_unit_test(test_flags_survive_the_index),
		cmocka_unit_test(test_damaged_index),
		cmocka_unit_test(test_many_found),
		cmocka_unit_test(test_unchanged_since),
		cmocka_unit_test(test_foreign_changes),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_copy_and_move),
		cmocka_unit_test(test_multiappend),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_quota_of_many),
		cmocka_unit_test(test_quota_and_deleted),
		cmocka_unit_test(test_internal_dates),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_adopt_dovecot),
		cmocka_unit_test(test_adopt_courier),
		cmocka_unit_test(test_lost_mailbox_file),
		cmocka_unit_test(test_index_root_and_limits),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_parsed),
		cmocka_unit_test(test_searched),
		cmocka_unit_test(test_unknown_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
