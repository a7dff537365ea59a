/* Scripts and messages made to take all time and memory there is: each ends as filter.h promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

#define FROM "From: a@example.org\n"

/* head + count times each + tail; a "%" in `each` becomes the number. */
static char *
many(const char *head, const char *each, size_t count, const char *tail)
{
	struct buf b = { 0 };

	buf_adds(&b, head);
	for (size_t i = 0; i < count; i++)
		for (const char *p = each; *p != '\0'; p++)
			if (*p == '%')
				buf_printf(&b, "%zu", i);
			else
				buf_addc(&b, *p);
	buf_adds(&b, tail);
	return buf_take(&b);
}

/* Both texts are freed. */
static void
expect(char *script, char *message, const char *text)
{
	sieve_test_expect(&(struct sieve_test){
	    .script = script, .message = message, .expect = text, .error_begins = true });
	free(script);
	free(message);
}

/* No backtracking, so no limit of PCRE2 is met: each place is the start of a scan to the end. */
static void
test_regex_scans(void **state)
{
	(void)state;
	expect(strdup("require \"regex\"; if header :regex \"subject\" \"[ab]*[cd]\" { keep; }"),
	    many(FROM "Subject: ", "aaaaaaaaaa", 100000, "\n\nbody\n"),
	    "run error line 1: the script takes too long");
}

static void
test_regex_memory(void **state)
{
	(void)state;
	expect(many("require \"regex\"; if header :regex \"subject\" [\"x\"",
		   ",\"(((((((a{9}){9}){9}){7})))%)\"", 20000, "] { keep; }"),
	    NULL, "compile error line 1: the regular expression is wrong: all together");
	expect(many("require [\"regex\", \"variables\"]; set \"x\" \"((((a{9}){9}){9}){7}\"; set "
		    "\"x\" \"${x})\";",
		   "if header :regex \"subject\" \"${x}\" { keep; }", 10000, ""),
	    NULL, "run error line 1: the regular expressions are too large together");
	expect(many("require \"regex\"; if header :regex \"subject\" \"", "aaaaaaaaaa", 4000,
		   "\" { keep; }"),
	    NULL, "compile error line 1: the regular expression is wrong");
}

/* A long piece with a "?" that is nearly everywhere. */
static void
test_glob(void **state)
{
	(void)state;
	expect(many("if header :matches \"subject\" \"*", "aaaaaaaaaa", 40000, "?b*\" { keep; }"),
	    many(FROM "Subject: ", "aaaaaaaaaa", 100000, "\n\nbody\n"),
	    "run error line 1: the script takes too long");
	/* many stars are no work at all */
	expect(many("if header :matches \"subject\" \"", "*a", 100000, "*b\" { discard; }"),
	    many(FROM "Subject: ", "aaaaaaaaaa", 100000, "\n\nbody\n"), "keep implicit");
}

static void
test_many_keys(void **state)
{
	(void)state;
	expect(many("require \"body\"; if body :raw :contains [\"b\"", ",\"b%\"", 80000,
		   "] { keep; }"),
	    many(FROM "\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 200000, ""),
	    "run error line 1: the script takes too long");
}

static void
test_expansion_memory(void **state)
{
	static const char *const TESTS[] = { ",\"${a}${a}${a}\"", ",\"${a}\"" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TESTS); i++) {
		char *head = many("require \"variables\"; set \"a\" \"", "aaaaaaaaaa", 6500,
		    "\"; if header :matches \"subject\" [\"x\"");

		expect(many(head, TESTS[i], 50000, "] { keep; }"), NULL,
		    i == 0 ? "run error line 0: the script needs too much memory"
			   : "run error line 1: the script needs too much memory");
		free(head);
	}
}

/* Fields of parts are read once, however many ask. */
static void
test_parts(void **state)
{
	char *message =
	    many(FROM "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n",
		"--B\nX-A: %\n\nhello\n", 5000, "--B--\n");

	(void)state;
	expect(strdup("require [\"mime\", \"foreverypart\"]; foreverypart { if header :mime "
		      ":anychild :is \"x-a\" \"4999\" { discard; stop; } }"),
	    message, "discard");
}

/* A body that is looked at many times is not kept each time. */
static void
test_body_often(void **state)
{
	(void)state;
	expect(many("require \"body\";", "if body :contains \"z%\" { discard; }", 60, ""),
	    many(FROM "\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 32768, ""), "keep implicit");
}

/* Compiling takes time by the length of the text. */
static void
test_long_lists(void **state)
{
	(void)state;
	expect(many("if not anyof(true", ",true", 190000, ") { discard; }"), NULL, "keep implicit");
	expect(
	    many("require \"ihave\"; if anyof(ihave \"x\"", ",ihave\"x\"", 90000, ") { discard; }"),
	    NULL, "keep implicit");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regex_scans),
		cmocka_unit_test(test_regex_memory),
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_expansion_memory),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_body_often),
		cmocka_unit_test(test_long_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
