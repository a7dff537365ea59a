#include "store/keywords.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "store/maildir_testdir.h"

static const struct {
	const char *name;
	bool valid;
} NAMES[] = {
	{ "$Forwarded", true },
	{ "Work", true },
	{ "NonJunk.2", true },
	{ "", false },
	{ "two words", false },
	{ "\\Seen", false },
	{ "a]b", false },
	{ "caf\xc3\xa9", false },
};

static void
names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
		assert_int_equal(keyword_is_valid(str_from(NAMES[i].name)), NAMES[i].valid);
}

static void
letters(void **state)
{
	struct keywords k, again;
	struct testdir t;
	char name[16], *text;
	int letter;

	(void)state;
	testdir_open(&t);
	assert_int_equal(keywords_read(t.home->fd, &k), STORE_OK);
	testdir_write(t.home->fd, "dovecot-keywords", "0 foo\n26 far\nx y\n3 bar\n3 again\n");
	assert_int_equal(keywords_add(t.home->fd, &k, STR("FOO"), 100, &letter), STORE_OK);
	assert_int_equal(letter, 0);
	assert_int_equal(keywords_add(t.home->fd, &k, STR("new"), 100, &letter), STORE_OK);
	assert_int_equal(letter, 4);
	text = testdir_read(t.home->fd, "dovecot-keywords");
	assert_string_equal(text, "0 foo\n3 bar\n4 new\n");
	free(text);
	for (int i = 0; i < 23; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		assert_int_equal(
		    keywords_add(t.home->fd, &k, str_from(name), 100, &letter), STORE_OK);
	}
	assert_int_equal(keywords_add(t.home->fd, &k, STR("more"), 100, &letter), STORE_LIMIT);
	assert_int_equal(keywords_read(t.home->fd, &again), STORE_OK);
	for (int i = 0; i < KEYWORDS_LETTERS; i++)
		assert_string_equal(again.names[i], k.names[i]);
	keywords_free(&k);
	keywords_free(&again);
	testdir_close(&t);
}

static void
beyond(void **state)
{
	struct str names[] = { STR("one"), STR("two") };
	const struct keyword_entry *entry;
	struct keyword_list list, again;
	struct testdir t;
	char unique[16];

	(void)state;
	testdir_open(&t);
	assert_int_equal(keyword_list_read(t.home->fd, &list), STORE_OK);
	for (int i = 0; i < 40; i++) {
		snprintf(unique, sizeof(unique), "%d.h", i * 7 % 40);
		keyword_list_set(&list, str_from(unique), names, 1 + (size_t)i % 2);
	}
	keyword_list_set(&list, STR("7.h"), NULL, 0);
	assert_int_equal(keyword_list_write(t.home->fd, &list), STORE_OK);
	assert_int_equal(keyword_list_read(t.home->fd, &again), STORE_OK);
	assert_int_equal(again.count, 39);
	assert_null(keyword_list_find(&again, STR("7.h")));
	entry = keyword_list_find(&again, STR("21.h"));
	assert_int_equal(entry->name_count, 2);
	assert_string_equal(entry->names[1], "two");
	keyword_list_free(&again);
	keyword_list_free(&list);
	assert_int_equal(keyword_list_write(t.home->fd, &list), STORE_OK);
	assert_null(testdir_read(t.home->fd, "sanger-keywords"));
	testdir_close(&t);
}

static void
courier(void **state)
{
	const struct keyword_entry *entry;
	struct keyword_list list;
	struct testdir t;
	int fd;

	(void)state;
	testdir_open(&t);
	assert_int_equal(keyword_list_read_courier(t.home->fd, &list), STORE_OK);
	assert_int_equal(list.count, 0);
	assert_int_equal(dir_make(t.home->fd, "courierimapkeywords"), STORE_OK);
	assert_int_equal(dir_open(t.home->fd, "courierimapkeywords", &fd), STORE_OK);
	testdir_write(fd, ":list", "foo\nbar\n\n1.a,S=5:0 1\n2.b:1 9\n3.c:0\n");
	testdir_write(fd, "2.b", "new\n");
	testdir_write(fd, ".7.2.b", "old\n"); /* the one without a number is the newest */
	testdir_write(fd, ".5.3.c", "old\n");
	testdir_write(fd, ".6.3.c", "");
	assert_int_equal(keyword_list_read_courier(t.home->fd, &list), STORE_OK);
	assert_int_equal(list.count, 2);
	entry = keyword_list_find(&list, STR("1.a"));
	assert_int_equal(entry->name_count, 2);
	entry = keyword_list_find(&list, STR("2.b"));
	assert_int_equal(entry->name_count, 1);
	assert_string_equal(entry->names[0], "new");
	keyword_list_free(&list);
	close(fd);
	testdir_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(letters),
		cmocka_unit_test(beyond),
		cmocka_unit_test(courier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
