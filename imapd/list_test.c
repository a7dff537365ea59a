#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "imapd/list.h"
#include "imapd/names.h"

static const struct {
	const char *pattern, *name;
	bool matches;
} PATTERNS[] = {
	{ "*", "a/b", true },
	{ "%", "a/b", false },
	{ "%", "a", true },
	{ "%/%", "a/b", true },
	{ "a/%", "a/b", true },
	{ "a/%", "a/b/c", false },
	{ "a/*", "a/b/c", true },
	{ "a/*", "a", false },
	{ "a*c", "a/b/c", true },
	{ "a%c", "a/b/c", false },
	{ "a%c", "abbc", true },
	{ "%%%*", "", true },
	{ "%*%", "a/b", true }, /* wildcards side by side: the widest counts */
	{ "*%*", "a/b", true },
	{ "%%", "a/b", false },
	{ "%%/%%*%", "a/b/c", true },
	{ "a%*c%%", "a/b/c", true },
	{ "b*%*", "a/b", false },
	{ "inbox", "INBOX", true }, /* in any letter case, RFC 9051 §5.1 */
	{ "InB*", "INBOX", true },
	{ "inbox/%", "INBOX/x", true },
	{ "inbox/X", "INBOX/x", false },
	{ "inboxes", "INBOXES", false }, /* that is another mailbox */
	{ "a", "A", false },
	{ "", "", true },
	{ "", "a", false },
};

static void
test_patterns(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PATTERNS); i++) {
		print_message("%s %s\n", PATTERNS[i].pattern, PATTERNS[i].name);
		assert_int_equal(imap_pattern_matches(PATTERNS[i].pattern, PATTERNS[i].name),
		    PATTERNS[i].matches);
	}
}

/* A pattern that makes matchers which try every way take years. */
static void
test_pattern_time(void **state)
{
	char pattern[512], name[512];

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(pattern); i++)
		pattern[i] = i % 2 == 0 ? '*' : 'a';
	pattern[sizeof(pattern) - 2] = 'b';
	pattern[sizeof(pattern) - 1] = '\0';
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_false(imap_pattern_matches(pattern, name));
}

/* As long as a command can be, against as many names as an account may have. */
static void
test_long_pattern(void **state)
{
	static const char *const PARTS[] = { "%*", "*a", "%a", "*" };
	char pattern[60 * 1024 + 1], name[201];
	bool all = true;

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
		size_t len = strlen(PARTS[i]);

		for (size_t at = 0; at + 1 < sizeof(pattern); at++)
			pattern[at] = PARTS[i][at % len];
		pattern[sizeof(pattern) - 1] = '\0';
		for (int k = 0; k < 100; k++)
			all = imap_pattern_matches(pattern, name) && all;
		assert_true(all == (strchr(PARTS[i], 'a') == NULL));
		all = true;
	}
}

static const struct {
	const char *wire;
	bool utf7;
	const char *name; /* NULL: refused */
} NAMES[] = {
	{ "Inbox", true, "INBOX" },
	{ "inbox/x", true, "INBOX/x" },
	{ "Entw&APw-rfe", true, "Entw\xc3\xbcrfe" },
	{ "a&-b", true, "a&b" },
	{ "a&b", true, NULL },
	{ "a&b", false, "a&b" },
	{ "Entw\xc3\xbcrfe", false, "Entw\xc3\xbcrfe" },
	{ "Entw\xc3\xbcrfe", true, NULL },
	{ "\xff", false, NULL },
	{ "a\tb", false, NULL },
};

static void
test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		struct arena a = { 0 };
		char *name;
		bool ok = imap_mailbox_from_wire(&a, NAMES[i].utf7, str_from(NAMES[i].wire), &name);

		print_message("%s\n", NAMES[i].wire);
		assert_int_equal(ok, NAMES[i].name != NULL);
		if (ok)
			assert_string_equal(name, NAMES[i].name);
		arena_free(&a);
	}
}

/* The mailboxes of the examples in RFC 5258 §5, with "/" between levels. */
static struct mailbox_info BOXES[] = {
	{ "INBOX", SPECIAL_NONE, MAILBOX_SUBSCRIBED },
	{ "Fruit", SPECIAL_NONE, MAILBOX_HAS_CHILDREN | MAILBOX_CHILD_SUBSCRIBED },
	{ "Fruit/Apple", SPECIAL_NONE, 0 },
	{ "Fruit/Banana", SPECIAL_NONE, MAILBOX_SUBSCRIBED },
	{ "Fruit/Peach", SPECIAL_NONE, MAILBOX_SUBSCRIBED | MAILBOX_NONEXISTENT },
	{ "Sent", SPECIAL_SENT, 0 },
	{ "Tofu", SPECIAL_NONE, 0 },
	{ "Vegetable", SPECIAL_NONE,
	    MAILBOX_SUBSCRIBED | MAILBOX_HAS_CHILDREN | MAILBOX_CHILD_SUBSCRIBED },
	{ "Vegetable/Broccoli", SPECIAL_NONE, MAILBOX_SUBSCRIBED },
	{ "gone/deep/x", SPECIAL_NONE, MAILBOX_SUBSCRIBED | MAILBOX_NONEXISTENT },
};

#define SUB LIST_SUBSCRIBED
#define REC LIST_RECURSIVEMATCH

static const struct {
	const char *pattern;
	unsigned select;
	const char *names; /* "+" behind a name: CHILDINFO; "-": not selected itself */
} LISTS[] = {
	{ "*", 0, "INBOX Fruit Fruit/Apple Fruit/Banana Sent Tofu Vegetable Vegetable/Broccoli " },
	{ "%", 0, "INBOX Fruit Sent Tofu Vegetable " },
	{ "*", SUB, "INBOX Fruit/Banana Fruit/Peach Vegetable Vegetable/Broccoli gone/deep/x " },
	{ "%", SUB, "INBOX Vegetable " },
	/* RFC 5258 §5 example 7: Fruit is named for what is below it, Vegetable for itself as well */
	{ "%", SUB | REC, "INBOX Fruit+- Vegetable+ gone+- " },
	/* nothing is hidden: no parents for their children's sake */
	{ "*", SUB | REC,
	    "INBOX Fruit/Banana Fruit/Peach Vegetable+ Vegetable/Broccoli gone/deep/x " },
	{ "Fruit", SUB | REC, "Fruit+- " },
	{ "gone/%", SUB | REC, "gone/deep+- " },
	{ "*", LIST_SPECIAL_USE, "Sent " },
	{ "*", LIST_SPECIAL_USE | SUB, "" },
};

static void
test_lists(void **state)
{
	const struct mailbox_list list = { .boxes = BOXES, .count = ARRAY_LEN(BOXES) };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
		struct list_query query = { &LISTS[i].pattern, 1, LISTS[i].select };
		struct arena a = { 0 };
		struct buf names = { 0 };
		struct list_item *items;
		size_t count;

		imap_list_select(&list, &query, &a, &items, &count);
		for (size_t n = 0; n < count; n++)
			buf_printf(&names, "%s%s%s ", items[n].name, items[n].childinfo ? "+" : "",
			    items[n].selected ? "" : "-");
		assert_string_equal(buf_cstr(&names), LISTS[i].names);
		buf_free(&names);
		arena_free(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_pattern_time),
		cmocka_unit_test(test_long_pattern),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
