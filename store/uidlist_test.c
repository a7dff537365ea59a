#include "store/uidlist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "store/maildir_name.h"
#include "store/maildir_testdir.h"

#define HEAD "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n"

static const struct {
	const char *text;
	bool dovecot;
	enum store_err err;
	uint32_t validity, next;
	size_t count, skipped;
	const char *find;
	uint32_t uid; /* of `find`; 0: not there */
} LISTS[] = {
	{ HEAD "25006 :1.a,S=13,W=14:2,\n25017 W2481 :2.b:2,F\n", true, STORE_OK, 1275660208, 25022,
	    2, 0, "2.b", 25017 },
	{ HEAD "25006 :1.a,S=13,W=14\n", true, STORE_OK, 1275660208, 25022, 1, 0,
	    "1.a,S=13,W=14,U=25006", 25006 },
	{ HEAD "1 :1.a\n1 :2.b\nrubbish\n3 x\n0 :z\n4294967295 :y\n30000 :3.c\n", true, STORE_OK,
	    1275660208, 30001, 2, 5, "2.b", 0 },
	{ HEAD "1 :1.a\n2 :2.b", true, STORE_OK, 1275660208, 25022, 1, 0, "2.b", 0 },
	{ HEAD "1 :x,A\n2 :x,B\n", true, STORE_OK, 1275660208, 25022, 2, 0, "x,B,U=2", 2 },
	{ HEAD "1 :x,A\n2 :x,B\n", true, STORE_OK, 1275660208, 25022, 2, 0, "x,C", 0 },
	{ "1 77 4\n1 1.a\n3 2.b:2,S\n", true, STORE_OK, 77, 4, 2, 0, "1.a", 1 },
	{ "1 77 4\n3 2.b\n1 1.a\n3 3.c\n", false, STORE_OK, 77, 4, 2, 1, "1.a,S=9", 1 },
	{ "3 N3\n", true, STORE_CORRUPT, 0, 0, 0, 0, NULL, 0 },
	{ "3 V1 N1\n", false, STORE_CORRUPT, 0, 0, 0, 0, NULL, 0 },
	{ "4 V1\n", true, STORE_CORRUPT, 0, 0, 0, 0, NULL, 0 },
	{ "3 V1", true, STORE_CORRUPT, 0, 0, 0, 0, NULL, 0 },
	{ "", true, STORE_CORRUPT, 0, 0, 0, 0, NULL, 0 },
};

static void
lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
		struct buf text = { 0 };
		struct uidlist list = { 0 };
		const struct uidlist_entry *entry;

		buf_adds(&text, LISTS[i].text);
		assert_int_equal((LISTS[i].dovecot ? uidlist_parse_dovecot : uidlist_parse_courier)(
				     &text, &list),
		    LISTS[i].err);
		assert_int_equal(list.uid_validity, LISTS[i].validity);
		assert_int_equal(list.next_uid, LISTS[i].next);
		assert_int_equal(list.count, LISTS[i].count);
		assert_int_equal(list.skipped_lines, LISTS[i].skipped);
		if (LISTS[i].find != NULL) {
			entry = uidlist_find(&list, str_from(LISTS[i].find));
			assert_int_equal(entry != NULL ? entry->uid : 0, LISTS[i].uid);
		}
		uidlist_free(&list);
	}
}

static void
sizes(void **state)
{
	const struct uidlist_entry *entry;
	struct buf text = { 0 };
	struct uidlist list;

	(void)state;
	buf_adds(&text, HEAD "1 W20 S10 Pzz :1.a\n2 W3 :2.b,S=5,W=6\n3 :3.c\n");
	assert_int_equal(uidlist_parse_dovecot(&text, &list), STORE_OK);
	entry = uidlist_find(&list, STR("1.a"));
	assert_true(entry->size == 10 && entry->crlf_size == 20);
	entry = uidlist_find(&list, STR("2.b"));
	assert_true(entry->size == 5 && entry->crlf_size == 6);
	entry = uidlist_find(&list, STR("3.c"));
	assert_true(entry->size == MAILDIR_SIZE_UNKNOWN);
	assert_string_equal(list.guid, "3085f01b7f11094c501100008c4a11c1");
	uidlist_free(&list);
}

static void
append(void **state)
{
	struct uidlist_entry more[2] = { { .uid = 30, .base = STR("3.c,S=1,U=30") },
		{ .uid = 31, .base = STR("4.d") } };
	struct testdir t;
	char *text;
	int fd;

	(void)state;
	testdir_open(&t);
	fd = t.home->fd;
	assert_int_equal(uidlist_append(fd, more, 2, 100), STORE_NOT_FOUND);
	testdir_write(fd, "dovecot-uidlist", HEAD "25 :1.a\n");
	assert_int_equal(uidlist_append(fd, more, 2, 100), STORE_OK);
	text = testdir_read(fd, "dovecot-uidlist");
	assert_string_equal(text, HEAD "25 :1.a\n30 :3.c,S=1,U=30\n31 :4.d\n");
	free(text);
	assert_int_equal(uidlist_append(fd, more + 1, 1, 100), STORE_CHANGED);
	testdir_write(fd, "dovecot-uidlist", HEAD "25 :1.a\n26 :torn");
	assert_int_equal(uidlist_append(fd, more, 1, 100), STORE_OK);
	text = testdir_read(fd, "dovecot-uidlist");
	assert_string_equal(text, HEAD "25 :1.a\n26 :torn\n30 :3.c,S=1,U=30\n");
	free(text);
	testdir_write(fd, "dovecot-uidlist", "1 7 1\n");
	assert_int_equal(uidlist_append(fd, more, 1, 100), STORE_OK);
	text = testdir_read(fd, "dovecot-uidlist");
	assert_string_equal(text, "1 7 1\n30 3.c,S=1,U=30\n");
	free(text);
	testdir_write(fd, "dovecot-uidlist.lock", "1:elsewhere");
	assert_int_equal(uidlist_append(fd, more + 1, 1, 20), STORE_BUSY);
	testdir_close(&t);
}

#define DOVECOT_CONF                                                                               \
	"base_dir = %s/run\nstate_dir = %s/run\nlog_path = %s/log\nssl = no\n"                     \
	"mail_location = maildir:%s/example.org/ann\n"                                             \
	"namespace inbox {\n  inbox = yes\n  separator = /\n}\n"

/* The UIDs that the installed Dovecot shows after `command`, as "1 7 "; it will not run as root. */
static char *
dovecot_uids(const struct testdir *t, const char *command)
{
	char *line = mem_printf("chown -R nobody:nogroup %s; %s sh -c '%s "
				"doveadm -c %s/dovecot.conf fetch uid all' 2>&1",
	    t->path,
	    geteuid() == 0 ? "setpriv --reuid=nobody --regid=nogroup --clear-groups "
			     "env USER=nobody"
			   : "env",
	    command, t->path);
	struct buf uids = { 0 };
	char word[256];
	FILE *out;

	setenv("HOME", t->path, 1);
	setenv("CONF", t->path, 1);
	out = popen(line, "r");
	assert_non_null(out);
	while (fscanf(out, "%255s", word) == 1)
		if (strcmp(word, "uid:") != 0)
			buf_printf(&uids, "%s ", word);
	pclose(out);
	free(line);
	return buf_take(&uids);
}

static void
expect_uids(const struct testdir *t, const char *command, const char *expected)
{
	char *uids = dovecot_uids(t, command);

	assert_string_equal(uids, expected);
	free(uids);
}

/* The way back: Dovecot serves the UIDs that we gave, with its index and without, and goes on above
 * them.  Against the real one, where it is installed. */
static void
dovecot_believes(void **state)
{
	static const char SAVE[] =
	    "printf \"a: b\\n\\nx\\n\" | doveadm -c $CONF/dovecot.conf save;";
	struct uidlist_entry ours[] = { { .uid = 7, .base = STR("2.b,S=8,W=11,U=7") },
		{ .uid = 9, .base = STR("3.c,S=8,W=11,U=9") } };
	struct testdir t;
	char *conf;
	int root;

	(void)state;
	if (access("/usr/bin/doveadm", X_OK) != 0 || access("/usr/bin/setpriv", X_OK) != 0)
		skip();
	testdir_open(&t);
	root = store_root_fd(t.root);
	conf = mem_printf(DOVECOT_CONF, t.path, t.path, t.path, t.path);
	testdir_write(root, "dovecot.conf", conf);
	testdir_write_at(t.home->fd, "cur", "1.a:2,", "a: b\n\nx\n");
	expect_uids(&t, "", "1 ");
	testdir_write_at(t.home->fd, "cur", "2.b,S=8,W=11,U=7:2,S", "a: b\n\nx\n");
	testdir_write_at(t.home->fd, "cur", "3.c,S=8,W=11,U=9:2,", "a: b\n\nx\n");
	assert_int_equal(uidlist_append(t.home->fd, ours, ARRAY_LEN(ours), 1000), STORE_OK);
	expect_uids(&t, "", "1 7 9 ");
	expect_uids(&t, "rm -f $CONF/example.org/ann/dovecot.index*;", "1 7 9 ");
	expect_uids(&t, SAVE, "1 7 9 10 ");
	free(conf);
	testdir_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(sizes),
		cmocka_unit_test(append),
		cmocka_unit_test(dovecot_believes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
