#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "managesieved/parse.h"

static const struct {
	const char *in, *text; /* text NULL: no string */
	size_t rest;           /* bytes behind it */
} STRINGS[] = {
	{ "\"\"", "", 0 }, { "\"abc\" x", "abc", 2 }, { "\"a\\\"b\\\\c\"", "a\"b\\c", 0 },
	{ "\"a\\b\"", NULL, 0 }, /* only DQUOTE and the backslash may be escaped */
	{ "\"a\\", NULL, 0 }, { "\"abc", NULL, 0 }, { "\"a\rb\"", NULL, 0 },
	{ "\"a\nb\"", NULL, 0 }, { "\"\xc3\xa4\"", "\xc3\xa4", 0 }, { "\"\xff\"", NULL, 0 },
	{ "abc", NULL, 0 }, { "", NULL, 0 }, { "{3+}\r\nabcd", "abc", 1 },
	{ "{3}\r\nabc", "abc", 0 }, { "{3+}\nabc", "abc", 0 }, { "{0+}\r\n", "", 0 },
	{ "{4+}\r\nabc", NULL, 0 }, { "{3+}abc", NULL, 0 }, { "{+}\r\nabc", NULL, 0 },
	{ "{99999999999999999999999+}\r\nabc", NULL, 0 },
	{ "{2+}\r\n\xff\"", "\xff\"", 0 }, /* any octets */
};

static void
test_string(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(STRINGS); i++) {
		struct cursor c = cursor_from(str_from(STRINGS[i].in));
		struct str text;
		bool ok = msieve_parse_string(&c, &a, &text);

		print_message("%s\n", STRINGS[i].in);
		assert_int_equal(ok, STRINGS[i].text != NULL);
		if (!ok || STRINGS[i].text == NULL)
			continue;
		assert_true(str_eq(text, str_from(STRINGS[i].text)));
		assert_int_equal(cursor_left(&c), STRINGS[i].rest);
	}
	arena_free(&a);
}

static const struct {
	const char *in;
	bool ok;
	uint32_t n;
} NUMBERS[] = {
	{ "0", true, 0 },
	{ "7", true, 7 },
	{ "4294967295", true, UINT32_MAX },
	{ "4294967296", false, 0 },
	{ "007", false, 0 }, /* no leading zeros */
	{ "", false, 0 },
	{ "-1", false, 0 },
	{ "x", false, 0 },
};

static void
test_number(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
		struct cursor c = cursor_from(str_from(NUMBERS[i].in));
		uint32_t n;
		bool ok = msieve_parse_number(&c, &n);

		print_message("%s\n", NUMBERS[i].in);
		assert_int_equal(ok, NUMBERS[i].ok);
		if (ok)
			assert_int_equal(n, NUMBERS[i].n);
	}
}

static const struct {
	const char *line;
	bool announces;
	uint64_t size;
} LINES[] = {
	{ "PUTSCRIPT \"a\" {10+}", true, 10 },
	{ "PUTSCRIPT \"a\" {10}", true, 10 },
	{ "{0+}", true, 0 },
	{ "PUTSCRIPT \"a\" {10+} ", false, 0 },
	{ "PUTSCRIPT \"a {10+}\"", false, 0 },
	{ "PUTSCRIPT \"a\"{10+}", false, 0 }, /* no literal stands without a space before it */
	{ "PUTSCRIPT {x}", false, 0 },
	{ "PUTSCRIPT {}", false, 0 },
	{ "PUTSCRIPT {1+", false, 0 },
	{ "}", false, 0 },
	{ "x {99999999999999999999999+}", true, UINT64_MAX },
};

static void
test_announcement(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(LINES); i++) {
		struct frame_literal lit;
		size_t start;
		bool ok = msieve_line_announces(str_from(LINES[i].line), &lit, &start);

		print_message("%s\n", LINES[i].line);
		assert_int_equal(ok, LINES[i].announces);
		if (ok)
			assert_int_equal(lit.size_bytes, LINES[i].size);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_string),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_announcement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
