/* search.db against reading all messages: whatever happens to the file, no message that matches is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/mailbox_search.h"
#include "store/mailbox_test_tree.h"
#include "store/mime.h"
#include "store/search_index.h"

#define MESSAGES 60
#define NEEDLES  400

/* --- random mail ------------------------------------------------------------------------------- */

static uint64_t seed = 1;

static unsigned
pick(unsigned below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % below;
}

/* Few of them, so that needles hit; of one byte to four, with case, marks, and what divides words. */
static const char *const PIECES[] = { "a", "B", "ab", "ca", "Tel", "son", "vi", "que", "ster", "\"",
	"ß", "ä", "Ü", "e\xcc\x81", "Σ", "日", "本語", "한", "\xf0\x9f\x98\x80", "İ", "ﬁ", " ", " ",
	" ", "-", "<b>", "</p>", "&amp;", "&uuml;", "=", "%", "'", "AND", "OR", "*", "\t" };

static void
random_text(struct buf *out, unsigned pieces)
{
	while (pieces-- > 0)
		buf_adds(out, PIECES[pick(ARRAY_LEN(PIECES))]);
}

static void
base64(struct buf *out, const struct buf *in)
{
	static const char A[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < in->len; i += 3) {
		unsigned v = 0;

		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (i + k < in->len ? (unsigned char)in->data[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			buf_addc(out, i + k > in->len ? '=' : A[v >> (18 - 6 * k) & 63]);
		if (i % 57 == 54)
			buf_addc(out, '\n');
	}
	buf_addc(out, '\n');
}

static void
random_part(struct buf *out)
{
	struct buf text = { 0 };

	random_text(&text, 1 + pick(120));
	if (pick(6) == 0)
		buf_addc(&text, '\0');
	random_text(&text, pick(20));
	buf_printf(out, "Content-Type: text/%s; charset=utf-8\nContent-Description: ",
	    pick(3) == 0 ? "html" : "plain");
	random_text(out, pick(5));
	buf_adds(out, "\nContent-Transfer-Encoding: base64\n\n");
	base64(out, &text);
	buf_free(&text);
}

static void
random_message(struct buf *out)
{
	struct buf word = { 0 };

	buf_adds(out, "From: Ann <ann@example.org>\nSubject: ");
	random_text(out, pick(12));
	buf_adds(out, "\nX-Own: =?utf-8?b?");
	random_text(&word, 1 + pick(4));
	base64(out, &word);
	out->len--;
	buf_adds(out, "?= ");
	random_text(out, pick(3));
	buf_adds(out, "\nMIME-Version: 1.0\n");
	if (pick(2) == 0) {
		random_part(out);
	} else {
		buf_adds(out, "Content-Type: multipart/mixed; boundary=b\n\n");
		for (unsigned parts = pick(4); parts > 0; parts--) {
			buf_adds(out, "--b\n");
			random_part(out);
		}
		buf_adds(out, "--b\nContent-Type: message/rfc822\n\nSubject: inner ");
		random_text(out, pick(6));
		buf_adds(out, "\n\ninner ");
		random_text(out, pick(30));
		buf_adds(out, "\n--b--\n");
	}
	buf_free(&word);
}

static void
fill(struct tree *t, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct buf text = { 0 };

		random_message(&text);
		tree_append(t, "INBOX", buf_cstr(&text), 0, NULL);
		buf_free(&text);
	}
}

static void
make(struct tree *t, unsigned messages)
{
	tree_make(t);
	t->search = STORE_SEARCH_SEARCHED;
	tree_reopen(t);
	fill(t, messages);
}

/* --- comparing --------------------------------------------------------------------------------- */

static bool
matches(struct mailbox *box, uint32_t uid, const struct search_key *key)
{
	struct search_text *st = search_text_new(key, 1);
	struct mime_message *m;
	bool matched;
	int fd;

	CHECK_OK(mailbox_message_open(box, uid, &fd));
	m = mime_parse_fd(fd);
	CHECK(m != NULL && search_text_run(st, fd, m, &matched));
	CHECK(!key->fuzzy || matched == (search_text_score(st, 0) > 0));
	mime_message_free(m);
	close(fd);
	search_text_free(st);
	return matched;
}

/* How many messages are proposed; none that matches is missing. */
static uint32_t
compare(struct mailbox *box, const struct search_key *key)
{
	struct search_candidates source = mailbox_candidates(box);
	struct uidset uids = { 0 };
	uint32_t count;

	uidset_copy(&uids, mailbox_view(box));
	search_narrow(&source, key, &uids);
	for (uint32_t uid = uidset_next(mailbox_view(box), 0); uid != 0;
	     uid = uidset_next(mailbox_view(box), uid))
		if (!uidset_contains(&uids, uid) && matches(box, uid, key))
			fail_msg("uid %u is not proposed for where=%d fuzzy=%d \"%.*s\"", uid,
			    key->where, key->fuzzy, (int)key->text.len, key->text.p);
	count = uidset_count(&uids);
	uidset_free(&uids);
	return count;
}

static uint32_t
compare_needles(struct tree *t, unsigned needles)
{
	struct mailbox *box;
	uint32_t proposed = 0;

	CHECK_OK(mailbox_open(t->acct, "INBOX", true, &box));
	while (needles-- > 0) {
		struct buf text = { 0 };
		struct search_key key = { .where = pick(3),
			.header = pick(2) == 0 ? STR("Subject") : STR("x-own"),
			.fuzzy = pick(3) == 0 };

		random_text(&text, 1 + pick(5));
		key.text = (struct str){ text.data, text.len };
		proposed += compare(box, &key);
		buf_free(&text);
	}
	mailbox_close(box);
	return proposed;
}

static void
build(struct tree *t)
{
	bool done = false;

	for (int i = 0; i < 1000 && !done; i++) {
		enum store_err err = account_search_build(t->acct, "INBOX", 20, &done);

		CHECK(err == STORE_OK || (err == STORE_CORRUPT && !done));
	}
	CHECK(done);
}

static uint32_t
proposed(struct tree *t, const char *text)
{
	const struct search_key key = { .where = SEARCH_TEXT, .text = str_from(text) };
	struct mailbox *box;
	uint32_t count;

	CHECK_OK(mailbox_open(t->acct, "INBOX", true, &box));
	count = compare(box, &key);
	mailbox_close(box);
	return count;
}

static char *
path_of(struct tree *t, const char *name)
{
	return mem_printf("%s/%s", account_path(t->acct), name);
}

/* --- the tests --------------------------------------------------------------------------------- */

static void
answers_are_the_same(void **state)
{
	struct tree t;
	uint32_t some;

	(void)state;
	make(&t, MESSAGES);
	assert_int_equal(
	    compare_needles(&t, 10), 10 * MESSAGES); /* no search.db: all are proposed */
	build(&t);
	some = compare_needles(&t, NEEDLES);
	assert_true(some < NEEDLES * MESSAGES / 2);
	assert_int_equal(proposed(&t, "xyzzy"), 0);
	assert_int_equal(proposed(&t, "zz"), MESSAGES);
	fill(&t, 3); /* not known yet: always proposed */
	assert_int_equal(proposed(&t, "xyzzy"), 3);
	compare_needles(&t, 20);
	tree_remove(&t);
}

static void
searches_say_what_they_miss(void *arg, struct account *acct, const char *mailbox)
{
	(void)acct;
	assert_string_equal(mailbox, "INBOX");
	(*(int *)arg)++;
}

static void
a_search_asks_for_it(void **state)
{
	struct tree t;
	int asked = 0;

	(void)state;
	make(&t, 3);
	store_on_search_wanted(t.st, searches_say_what_they_miss, &asked);
	assert_false(account_search_is_kept(t.acct));
	proposed(&t, "xyzzy");
	assert_int_equal(asked, 1);
	build(&t);
	assert_true(account_search_is_kept(t.acct));
	proposed(&t, "xyzzy");
	assert_int_equal(asked, 1);
	tree_append(&t, "INBOX", "Subject: x\n\nxyzzy\n", 0, NULL);
	proposed(&t, "xyzzy");
	assert_int_equal(asked, 2);
	tree_remove(&t);
}

static void
copies_are_indexed_once_and_gone_ones_forgotten(void **state)
{
	struct uidset all = tree_set("1:20"), some = tree_set("1:10");
	struct copy_result copied = { 0 };
	struct mailbox *box;
	uint64_t bytes;
	struct tree t;
	char *path;

	(void)state;
	make(&t, 20);
	build(&t);
	bytes = search_index_bytes(account_path(t.acct));
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	CHECK_OK(mailbox_copy(box, &all, t.acct, "INBOX", &copied));
	mailbox_close(box);
	build(&t);
	assert_int_equal(proposed(&t, "xyzzy"), 0);
	assert_true(search_index_bytes(account_path(t.acct)) - bytes < 100000);
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	CHECK_OK(mailbox_expunge_with(
	    box, &some, MAILBOX_EXPUNGE_UNMARKED | MAILBOX_EXPUNGE_FOR_GOOD, NULL));
	mailbox_close(box);
	build(&t);
	compare_needles(&t, 50);
	CHECK_OK(account_search_drop(t.acct));
	path = path_of(&t, "search.db");
	assert_int_not_equal(access(path, F_OK), 0);
	free(path);
	compare_needles(&t, 5);
	build(&t);
	assert_int_equal(proposed(&t, "xyzzy"), 0);
	uidset_free(&all);
	uidset_free(&some);
	uidset_free(&copied.from);
	uidset_free(&copied.to);
	tree_remove(&t);
}

static void
damage_file(struct tree *t, unsigned how)
{
	char *path = path_of(t, "search.db"), *wal = path_of(t, "search.db-wal"), garbage[300];
	int fd = open(path, O_RDWR);
	struct stat sb;

	CHECK(fd >= 0 && fstat(fd, &sb) == 0 && sb.st_size > 0);
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (char)pick(256);
	switch (how % 7) {
	case 0: CHECK(ftruncate(fd, (off_t)pick((unsigned)sb.st_size)) == 0); break;
	case 1: CHECK(ftruncate(fd, 0) == 0); break;
	case 2: unlink(path); break;
	case 3: CHECK(pwrite(fd, garbage, 24, 0) == 24); break;
	case 4: /* a bit */
		CHECK(pread(fd, garbage, 1, sb.st_size / 2) == 1);
		garbage[0] ^= 4;
		CHECK(pwrite(fd, garbage, 1, sb.st_size / 2) == 1);
		break;
	case 5:
		for (int i = 0; i < 8; i++) {
			off_t at = (off_t)pick((unsigned)sb.st_size - 300);

			CHECK(pwrite(fd, garbage, sizeof(garbage), at) == sizeof(garbage));
		}
		break;
	case 6: CHECK(unlink(wal) == 0); break;
	}
	close(fd);
	free(path);
	free(wal);
}

static void
damage_never_hides_a_message(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 21; how++) {
		struct tree t;

		seed = 77 + how;
		make(&t, 25);
		build(&t);
		tree_close(&t); /* all is in the file */
		tree_open(&t);
		if (how % 2 == 0)
			proposed(&t, "xyzzy"); /* it is open */
		damage_file(&t, how);
		compare_needles(&t, 60);
		build(&t);
		compare_needles(&t, 60);
		tree_reopen(&t);
		build(&t);
		compare_needles(&t, 20);
		tree_remove(&t);
	}
}

/* The journal has what came last, and goes, is changed or another one while the file is open. */
static void
a_journal_that_is_lost_hides_nothing(void **state)
{
	(void)state;
	for (int how = 0; how < 6; how++) {
		char *wal, *shm;
		struct tree t;
		int fd;

		seed = 177 + (unsigned)how;
		make(&t, 25);
		build(&t);
		proposed(&t, "xyzzy"); /* it is open */
		fill(&t, 10);
		build(&t);
		wal = path_of(&t, "search.db-wal");
		shm = path_of(&t, "search.db-shm");
		if (how % 3 == 2) { /* a bit of a page that was learnt last */
			struct stat sb;
			char byte;

			fd = open(wal, O_RDWR);
			CHECK(fd >= 0 && fstat(fd, &sb) == 0 && sb.st_size > 8000);
			CHECK(pread(fd, &byte, 1, sb.st_size - 4000) == 1);
			byte ^= 16;
			CHECK(pwrite(fd, &byte, 1, sb.st_size - 4000) == 1);
			close(fd);
		} else {
			CHECK(unlink(wal) == 0);
		}
		if (how % 3 == 1) /* as another program makes it */
			close(open(wal, O_RDWR | O_CREAT, 0600));
		if (how >= 3) {
			CHECK(unlink(shm) == 0);
			tree_reopen(&t);
		}
		compare_needles(&t, 60);
		fill(&t, 3);
		build(&t);
		compare_needles(&t, 60);
		assert_int_equal(proposed(&t, "xyzzy"), 0);
		free(wal);
		free(shm);
		tree_remove(&t);
	}
}

static void
a_look_removes_what_is_damaged(void **state)
{
	struct stat sb;
	uint64_t bytes;
	struct tree t;
	char *path;

	(void)state;
	make(&t, 25);
	path = path_of(&t, "search.db");
	assert_int_equal(account_search_check(t.acct, UINT64_MAX, &bytes), ACCOUNT_SEARCH_NONE);
	build(&t);
	assert_int_equal(account_search_check(t.acct, UINT64_MAX, &bytes), ACCOUNT_SEARCH_FINE);
	assert_true(bytes > 0);
	tree_reopen(&t);
	CHECK(stat(path, &sb) == 0);
	damage_file(&t, 4); /* a bit in the middle */
	assert_int_equal(
	    account_search_check(t.acct, 1, &bytes), ACCOUNT_SEARCH_FINE); /* not read */
	assert_int_equal(account_search_check(t.acct, UINT64_MAX, &bytes), ACCOUNT_SEARCH_DAMAGED);
	assert_int_not_equal(access(path, F_OK), 0);
	build(&t);
	assert_int_equal(account_search_check(t.acct, UINT64_MAX, &bytes), ACCOUNT_SEARCH_FINE);
	compare_needles(&t, 10);
	free(path);
	tree_remove(&t);
}

/* What another program wrote there, and what another version did. */
static void
other_files_are_replaced(void **state)
{
	static const char *const TEXTS[] = { "", "this is no database", "SQLite format 3" };
	struct tree t;

	(void)state;
	make(&t, 5);
	for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
		tree_write(&t, "search.db", TEXTS[i]);
		assert_int_equal(proposed(&t, "xyzzy"), 5);
		build(&t);
		assert_int_equal(proposed(&t, "xyzzy"), 0);
		tree_reopen(&t); /* its journal goes */
	}
	tree_remove(&t);
}

static void
it_keeps_to_its_size(void **state)
{
	struct tree t;
	bool done;

	(void)state;
	make(&t, 5);
	build(&t);
	tree_close(&t);
	t.search_max_bytes = 1;
	tree_open(&t);
	fill(&t, 4);
	CHECK_OK(account_search_build(t.acct, "INBOX", 20, &done));
	assert_true(done);
	assert_int_equal(proposed(&t, "xyzzy"), 4);
	tree_close(&t);
	t.search = STORE_SEARCH_NEVER;
	tree_open(&t);
	assert_int_equal(proposed(&t, "xyzzy"), 9);
	tree_remove(&t);
}

/* It knows a UID that has not been given: the tree is an older one than it has seen, and gives UIDs again. */
static void
an_older_tree_is_indexed_anew(void **state)
{
	struct uidset known = { 0 }, all = tree_set("1:5");
	struct search_texts texts = { 0 };
	struct search_index_box at;
	struct mailbox_facts facts;
	struct search_index *ix;
	struct mailbox *box;
	struct tree t;
	int lock;

	(void)state;
	make(&t, 5);
	build(&t);
	CHECK_OK(mailbox_open(t.acct, "INBOX", true, &box));
	mailbox_facts(box, &facts);
	mailbox_close(box);
	at = (struct search_index_box){ facts.id, facts.uidvalidity };
	lock = search_index_lock(account_path(t.acct));
	CHECK(lock >= 0);
	CHECK_OK(search_index_open_to_write(account_path(t.acct), t.log, &ix));
	CHECK_OK(search_index_begin_write(ix));
	CHECK_OK(search_index_add(ix, &at, facts.uidnext, &texts));
	CHECK_OK(search_index_commit(ix));
	close(lock);
	build(&t);
	CHECK_OK(search_index_begin(ix));
	CHECK_OK(search_index_known(ix, &at, &known));
	search_index_end(ix);
	assert_true(uidset_eq(&known, &all));
	search_index_close(ix);
	uidset_free(&known);
	uidset_free(&all);
	tree_remove(&t);
}

/* What is left of a text that no message has any more goes in time. */
static void
texts_of_no_message_do_not_stay(void **state)
{
	int64_t now_s = time(NULL), month_s = 31 * 86400;
	struct uidset one = tree_set("2");
	struct search_index *ix;
	struct mailbox *box;
	struct tree t;

	(void)state;
	make(&t, 5);
	build(&t);
	CHECK_OK(search_index_open(account_path(t.acct), t.log, &ix));
	assert_false(search_index_is_stale(ix, now_s + month_s));
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	CHECK_OK(mailbox_expunge_with(box, &one, MAILBOX_EXPUNGE_UNMARKED, NULL));
	mailbox_close(box);
	build(&t);
	assert_false(search_index_is_stale(ix, now_s));
	assert_true(search_index_is_stale(ix, now_s + month_s));
	search_index_close(ix);
	uidset_free(&one);
	tree_remove(&t);
}

/* As on a full disk: what cannot be written is not there, and is read. */
static void
a_full_disk_changes_no_answer(void **state)
{
	struct rlimit before, small;
	struct tree t;
	bool done;

	(void)state;
	make(&t, 30);
	build(&t);
	fill(&t, 30);
	CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
	signal(SIGXFSZ, SIG_IGN);
	for (unsigned kib = 4; kib < 400; kib *= 2) {
		small = (struct rlimit){ kib * 1024, before.rlim_max };
		CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
		account_search_build(t.acct, "INBOX", 20, &done);
		compare_needles(&t, 20);
		CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
		compare_needles(&t, 20);
	}
	build(&t);
	assert_int_equal(proposed(&t, "xyzzy"), 0);
	tree_remove(&t);
}

static void
large_messages_are_always_proposed(void **state)
{
	struct buf text = { 0 };
	struct tree t;

	(void)state;
	make(&t, 2);
	buf_adds(&text, "Subject: large\n\n");
	while (text.len < SEARCH_INDEX_TEXT_MAX_BYTES + 100)
		buf_adds(
		    &text, "abcd efgh ijkl mnop qrst uvwx yzab cdef ghij klmn opqr stuv wxyz\n");
	tree_append(&t, "INBOX", buf_cstr(&text), 0, NULL);
	buf_free(&text);
	build(&t);
	assert_int_equal(proposed(&t, "xyzzy"), 1);
	tree_remove(&t);
}

/* Another process builds as well, and is killed in the middle of it. */
static void
two_build_and_one_is_killed(void **state)
{
	struct tree t;

	(void)state;
	make(&t, 40);
	for (unsigned round = 0; round < 12; round++) {
		pid_t pid;
		int status;
		bool done;

		tree_close(&t); /* no connection goes through a fork */
		pid = fork();
		CHECK(pid >= 0);
		tree_open(&t);
		if (pid == 0) {
			for (;;)
				if (account_search_build(t.acct, "INBOX", 1, &done) == STORE_OK &&
				    done)
					account_search_drop(t.acct);
		}
		usleep(2000 * (round % 6 + 1));
		compare_needles(&t, 3);
		account_search_build(t.acct, "INBOX", 1, &done); /* may be busy */
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid);
		compare_needles(&t, 20);
	}
	build(&t);
	compare_needles(&t, 50);
	tree_remove(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_the_same),
		cmocka_unit_test(a_search_asks_for_it),
		cmocka_unit_test(copies_are_indexed_once_and_gone_ones_forgotten),
		cmocka_unit_test(damage_never_hides_a_message),
		cmocka_unit_test(a_journal_that_is_lost_hides_nothing),
		cmocka_unit_test(a_look_removes_what_is_damaged),
		cmocka_unit_test(other_files_are_replaced),
		cmocka_unit_test(it_keeps_to_its_size),
		cmocka_unit_test(an_older_tree_is_indexed_anew),
		cmocka_unit_test(texts_of_no_message_do_not_stay),
		cmocka_unit_test(a_full_disk_changes_no_answer),
		cmocka_unit_test(large_messages_are_always_proposed),
		cmocka_unit_test(two_build_and_one_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
