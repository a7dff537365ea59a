#include "store/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "store/folder.h"
#include "store/maildir_testdir.h"

static const char *const TRASH[] = { "Trash", NULL };
static const struct quota_rules RULES = { .limit_bytes = 1000, .excluded = TRASH };

static const struct {
	const char *text;
	bool good;
	uint64_t limit, bytes, count, messages;
} TEXTS[] = {
	{ "1000S\n10 1\n5 1\n-10 -1\n", true, 1000, 5, 1, 0 },
	{ "1000S,50C\n", true, 1000, 0, 0, 50 },
	{ "50C\n7 1\n", true, 0, 7, 1, 50 },
	{ "1000S,50\n", false, 0, 0, 0, 0 },
	{ "  0S\n", false, 0, 0, 0, 0 },
	{ "0S\n    12    3\n", true, 0, 12, 3, 0 }, /* Dovecot pads */
	{ "1000S\n10 1\n-20 -1\n", false, 0, 0, 0, 0 },
	{ "1000S\n10 1", false, 0, 0, 0, 0 },
	{ "1000S\n9223372036854775807 1\n1 1\n", false, 0, 0, 0, 0 },
	{ "1000X\n", false, 0, 0, 0, 0 },
	{ "", false, 0, 0, 0, 0 },
};

static void
texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
		struct quota_usage usage = { 0 };
		struct quota_limits limits;

		assert_int_equal(
		    quota_parse(str_from(TEXTS[i].text), &limits, &usage), TEXTS[i].good);
		if (!TEXTS[i].good)
			continue;
		assert_int_equal(limits.bytes, TEXTS[i].limit);
		assert_int_equal(limits.messages, TEXTS[i].messages);
		assert_int_equal(usage.bytes, TEXTS[i].bytes);
		assert_int_equal(usage.count, TEXTS[i].count);
	}
}

static void
check_usage(const struct home *home, uint64_t bytes, uint64_t count)
{
	struct quota_usage usage;

	assert_int_equal(quota_usage(home, &RULES, &usage), STORE_OK);
	assert_int_equal(usage.bytes, bytes);
	assert_int_equal(usage.count, count);
}

static void
usage(void **state)
{
	struct timespec old[2] = { { .tv_sec = time(NULL) - 2000 },
		{ .tv_sec = time(NULL) - 2000 } };
	struct maildir dir;
	struct testdir t;
	char *text;

	(void)state;
	testdir_open(&t);
	assert_int_equal(quota_add(t.home, &RULES, "INBOX", 5, 1), STORE_OK); /* no file yet */
	testdir_write_at(t.home->fd, "cur", "1.a,S=300:2,ST", "");
	testdir_write_at(t.home->fd, "new", "2.b", "seven..");
	assert_int_equal(folder_create(t.home, "Trash"), STORE_OK);
	assert_int_equal(maildir_open(t.home, "Trash", &dir), STORE_OK);
	testdir_write(dir.cur_fd, "3.c,S=500:2,S", "");
	maildir_close(&dir);
	check_usage(t.home, 307, 2);
	assert_int_equal(quota_add(t.home, &RULES, "INBOX", 100, 1), STORE_OK);
	assert_int_equal(quota_add(t.home, &RULES, "Trash", 100, 1), STORE_OK);
	assert_int_equal(quota_add(t.home, &RULES, "Trash/x", 100, 1), STORE_OK);
	check_usage(t.home, 407, 3);
	text = testdir_read(t.home->fd, "maildirsize");
	assert_string_equal(text, "1000S\n307 2\n100 1\n");
	free(text);
	/* Over the limit: believed for 15 minutes. */
	assert_int_equal(quota_add(t.home, &RULES, "INBOX", 5000, 1), STORE_OK);
	check_usage(t.home, 5407, 4);
	assert_int_equal(utimensat(t.home->fd, "maildirsize", old, 0), 0);
	check_usage(t.home, 307, 2);
	/* Damaged, for other limits, or too large: counted anew. */
	testdir_write(t.home->fd, "maildirsize", "rubbish");
	check_usage(t.home, 307, 2);
	testdir_write(t.home->fd, "maildirsize", "2000S\n1 1\n");
	check_usage(t.home, 307, 2);
	for (int i = 0; i < 1300; i++)
		assert_int_equal(quota_add(t.home, &RULES, "INBOX", 1, 0), STORE_OK);
	check_usage(t.home, 307, 2);
	testdir_close(&t);
}

static void
allows(void **state)
{
	(void)state;
	assert_true(quota_allows(&RULES, &(struct quota_usage){ 999, 1 }));
	assert_false(quota_allows(&RULES, &(struct quota_usage){ 1000, 1 }));
	assert_true(quota_allows(&(struct quota_rules){ 0 }, &(struct quota_usage){ 1000, 1 }));
	assert_true(quota_allows(
	    &(struct quota_rules){ .limit_messages = 2 }, &(struct quota_usage){ 9, 1 }));
	assert_false(quota_allows(
	    &(struct quota_rules){ .limit_messages = 2 }, &(struct quota_usage){ 0, 2 }));
}

static const struct {
	uint64_t limit_bytes, limit_messages, bytes, count, percent;
} PERCENTS[] = {
	{ 0, 0, 1000, 1000, 0 },
	{ 1000, 0, 799, 5, 79 },
	{ 1000, 0, 800, 5, 80 },
	{ 1000, 10, 100, 9, 90 },
	{ 1000, 10, 950, 9, 95 },
	{ 3, 0, 3, 0, 100 },
	{ 3, 0, 7, 0, 233 },
	{ UINT64_MAX, 0, UINT64_MAX - 1, 0, 99 },
	{ UINT64_MAX, 0, UINT64_MAX, 0, 100 },
	{ 1, 0, UINT64_MAX, 0, UINT64_MAX },
};

static void
percents(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PERCENTS); i++)
		assert_int_equal(quota_percent(&(struct quota_rules){ PERCENTS[i].limit_bytes,
						   PERCENTS[i].limit_messages, NULL },
				     &(struct quota_usage){ PERCENTS[i].bytes, PERCENTS[i].count }),
		    PERCENTS[i].percent);
}

/* A limit of messages stands in the file, and another one has it counted anew. */
static void
message_limit(void **state)
{
	struct quota_rules rules = { .limit_bytes = 1000, .limit_messages = 2 };
	struct quota_usage usage;
	struct testdir t;
	char *text;

	(void)state;
	testdir_open(&t);
	testdir_write_at(t.home->fd, "cur", "1.a,S=300:2,S", "");
	assert_int_equal(quota_usage(t.home, &rules, &usage), STORE_OK);
	assert_true(quota_allows(&rules, &usage));
	assert_int_equal(quota_add(t.home, &rules, "INBOX", 1, 1), STORE_OK);
	assert_int_equal(quota_usage(t.home, &rules, &usage), STORE_OK);
	assert_false(quota_allows(&rules, &usage));
	text = testdir_read(t.home->fd, "maildirsize");
	assert_string_equal(text, "1000S,2C\n300 1\n1 1\n");
	free(text);
	rules.limit_messages = 5;
	assert_int_equal(quota_usage(t.home, &rules, &usage), STORE_OK);
	assert_int_equal(usage.count, 1);
	text = testdir_read(t.home->fd, "maildirsize");
	assert_string_equal(text, "1000S,5C\n300 1\n");
	free(text);
	testdir_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(usage),
		cmocka_unit_test(allows),
		cmocka_unit_test(percents),
		cmocka_unit_test(message_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
