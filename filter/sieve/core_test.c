/* What the core of Sieve does beside RFC 5228's own examples (sieve_test.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/glob.h"
#include "filter/sieve/sieve_test_tool.h"

#define VARIABLES "require [\"variables\", \"fileinto\"];\n"
#define FLAGS     "require [\"imap4flags\", \"variables\", \"fileinto\"];\n"

static bool
go_on(void *arg, size_t bytes)
{
	(void)arg, (void)bytes;
	return true;
}

static void
test_glob(void **state)
{
	static const struct {
		const char *pattern, *value;
		bool match;
		const char *first, *second; /* captures */
	} TESTS[] = {
		{ "", "", true, NULL, NULL },
		{ "*", "", true, "", NULL },
		{ "a*c", "abc", true, "b", NULL },
		{ "a*c", "abcd", false, NULL, NULL },
		{ "*-*", "a-b-c", true, "a", "b-c" }, /* as short as it can be */
		{ "?*", "xyz", true, "x", "yz" },
		{ "*?", "xyz", true, "xy", "z" },
		{ "*b?d", "abcdbed", true, "abcd", "e" },
		{ "\\*a", "*a", true, NULL, NULL },
		{ "\\\\?", "\\x", true, "x", NULL },
		{ "a\\", "a\\", true, NULL, NULL }, /* nothing to escape */
		{ "ab*ba", "aba", false, NULL, NULL },
		{ "?", "\xc3\xa9", true, "\xc3\xa9", NULL },
	};
	struct arena arena = { 0 };
	struct str spans[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TESTS); i++) {
		struct sieve_glob_watch watch = { .go_on = go_on };
		size_t count;
		struct sieve_glob *g = sieve_glob_new(&arena, str_from(TESTS[i].pattern), true);

		assert_int_equal(
		    sieve_glob_match(g, str_from(TESTS[i].value), spans, 8, &count, &watch),
		    TESTS[i].match);
		if (TESTS[i].first != NULL)
			assert_true(count > 1 && str_eq(spans[1], str_from(TESTS[i].first)));
		if (TESTS[i].second != NULL)
			assert_true(count > 2 && str_eq(spans[2], str_from(TESTS[i].second)));
	}
	arena_free(&arena);
}

/* RFC 5229's examples. */
static void
test_variables(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = VARIABLES "set \"company\" \"ACME\"; fileinto \"a&${company}.${b}x\";",
		    .expect = "fileinto \"a&ACME.x\"" },
		{ .script = VARIABLES "set \"a\" \"juMBlEd lETteRS\"; set :upperfirst :lower \"b\" "
				      "\"${a}\"; fileinto \"${b}\";",
		    .expect = "fileinto \"Jumbled letters\"" },
		{ .script =
			VARIABLES "set :quotewildcard \"b\" \"Rock*\"; set :length \"c\" \"${b}\"; "
				  "fileinto \"${b}${c}\";",
		    .expect = "fileinto \"Rock\\*6\"" },
		{ .script = VARIABLES "if header :matches \"subject\" \"I*a *for*\" { fileinto "
				      "\"${2}|${0}|${9}\"; }",
		    .expect = "fileinto \"present |I have a present for you|\"" },
		{ .script = VARIABLES "fileinto \"${&}${a$${}\";",
		    .expect = "fileinto \"${&}${a$${}\"" },
		{ .script = VARIABLES "set \"1\" \"x\";",
		    .expect = "compile error line 2: '1' is no name of a variable" },
		{ .script = VARIABLES "fileinto \"${what.ever}\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "set \"a\" \"b\";",
		    .expect = "compile error line 1: set needs require \"variables\"" },
		{ .script = "require \"fileinto\"; fileinto \"${a}\";",
		    .expect = "fileinto \"${a}\"" },
		{ .script = VARIABLES "set :lower :upper \"a\" \"b\";",
		    .expect = "compile error line 2: set: :lower and :upper exclude each other" },
		{ .script = VARIABLES "if string :is \"${unset}\" \"\" { fileinto \"x\"; }",
		    .expect = "fileinto \"x\"" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

static void
test_flags(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script =
			FLAGS "setflag [\"\\\\Seen\", \"$Work foo\"]; addflag \"FOO \\\\Recent\";",
		    .expect = "keep flags=\\Seen $Work foo implicit" },
		{ .script = FLAGS "setflag \"a b\"; removeflag \"A\"; if hasflag \"b\" { keep; }",
		    .expect = "keep flags=b" },
		{ .script = FLAGS "setflag \"v\" \"\\\\flagged\"; fileinto :flags \"${v}\" \"x\";",
		    .expect = "fileinto \"x\" flags=\\Flagged" },
		{ .script = FLAGS "setflag \"a\"; if hasflag :contains \"v\" \"a\" { discard; }",
		    .expect = "keep flags=a implicit" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

static void
test_actions(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script =
			"require [\"copy\", \"fileinto\"]; fileinto :copy \"a\"; redirect :copy "
			"\"x@y.org\";",
		    .expect = "fileinto \"a\"\nredirect \"x@y.org\"\nkeep implicit" },
		{ .script = "require \"fileinto\"; fileinto \"a\"; fileinto \"a\"; keep; keep; "
			    "fileinto "
			    "\"inbox\";",
		    .expect = "fileinto \"a\"\nkeep" },
		{ .script = "redirect \"a@x.org\"; redirect \"b@x.org\"; redirect \"c@x.org\"; "
			    "redirect "
			    "\"d@x.org\"; redirect \"e@x.org\";",
		    .expect = "run error line 1: there are more than 4 redirects" },
		{ .script = "require \"ihave\"; if not ihave \"x-none\" { error \"what\"; }",
		    .expect = "run error line 1: what" },
		{ .script = "require \"ihave\"; if ihave \"x-none\" { x_none :a \"b\" { keep; } } "
			    "elsif true { discard; }",
		    .expect = "discard" },
		{ .script = "require \"ihave\"; if allof (ihave \"fileinto\", true) { fileinto "
			    "\"a\"; }",
		    .expect = "fileinto \"a\"" },
		{ .script = "require [\"encoded-character\", \"fileinto\"]; fileinto "
			    "\"${unicode:e9 }${hex:41 42}${hex:4g}\";",
		    .expect = "fileinto \"\xc3\xa9"
			      "AB${hex:4g}\"" },
		{ .script = "require \"relational\"; if header :count \"ge\" \"received\" \"1\" { "
			    "discard; }",
		    .expect = "discard" },
		{ .script = "require [\"relational\", \"comparator-i;ascii-numeric\"]; if header "
			    ":value "
			    "\"gt\" :comparator \"i;ascii-numeric\" \"x-none\" \"1\" { discard; }",
		    .expect = "keep implicit" },
		{ .script = "require [\"regex\", \"variables\", \"fileinto\"]; if header :regex "
			    "\"subject\" \"a (pre.*nt)\" { fileinto \"${1}\"; }",
		    .expect = "fileinto \"present\"" },
		{ .script = "require \"regex\"; if header :regex \"subject\" \"(\" { keep; }",
		    .expect = "compile error line 1: the regular expression is wrong",
		    .error_begins = true },
		{ .script =
			"require [\"subaddress\", \"envelope\", \"fileinto\"]; if envelope :detail "
			"\"to\" \"box\" { fileinto \"b\"; }",
		    .rcpt = "a+box@example.org",
		    .expect = "fileinto \"b\"" },
		{ .script = "require \"body\"; if body :contains \"anvil thing\" { discard; }",
		    .expect = "discard" },
		{ .script = "require \"body\"; if body :content \"text/html\" :contains \"b\" { "
			    "discard; }",
		    .expect = "keep implicit" },
		{ .script = "require \"ihave\"; if allof (ihave \"fileinto\", false) { discard; }",
		    .expect = "keep implicit" },
		{ .script = "require \"ihave\"; if allof (ihave \"fileinto\", false) { discard; } "
			    "else { fileinto \"a\"; }",
		    .expect = "fileinto \"a\"" },
		{ .script = "require \"ihave\"; if anyof (ihave \"x-none\", true) { discard; }",
		    .expect = "discard" },
		{ .script = "require \"ihave\"; if anyof (ihave \"x-none\", not ihave \"x-no\") { "
			    "discard; } else { x_none; }",
		    .expect = "discard" },
		{ .script =
			"require \"ihave\"; if allof (true, ihave \"x-none\", x_none) { x_none; }",
		    .expect = "keep implicit" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

static void
test_syntax_errors(void **state)
{
	static const char *const SCRIPTS[] = {
		"keep",
		"keep }",
		"if true { keep;",
		"keep \"a\";",
		"\"keep\";",
		"if true;",
		"if { keep; }",
		"keep :copy;",
		"redirect [\"a@b.c\"];",
		"if size 5 { }",
		"if size :over :under 5 { }",
		"if size :over 99999999999999999999 { }",
		"if header :is \"a\" { }",
		"if header \"a\" :is \"b\" { }",
		"if header :is :contains \"a\" \"b\" { }",
		"if header :comparator \"x\" \"a\" \"b\" { }",
		"require \"nothing\";",
		"if not (true) { }",
		"if allof true { }",
		"/* keep;",
		"redirect \"a",
		"text:\na\n",
		"if true { } keep; else { }",
		"if true { } else { } elsif true { }",
		"stop { }",
		"require [];;",
		"if header :comparator \"i;ascii-numeric\" \"a\" \"b\" { }",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(SCRIPTS); i++)
		sieve_test_expect(&(struct sieve_test){
		    .script = SCRIPTS[i], .expect = "compile error line ", .error_begins = true });
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_syntax_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
