#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

static struct filter_settings no_minimum = { .vacation_max_seconds = 2592000 };
static const struct filter_surroundings ANY_TIME = { .settings = &no_minimum };

/* RFC 5230 §4: arguments, and what they come to. */
static void
test_vacation(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"vacation\";\n"
			    "vacation \"I am away.\";",
		    .expect =
			"vacation key=\"reason:b5ba924e2edf598d\" seconds=604800 \"I am away.\"\n"
			"keep implicit" },
		{ .script = "require \"vacation\";\n"
			    "if header :contains \"subject\" \"cyrus\" {\n"
			    "    vacation \"no\";\n"
			    "} else {\n"
			    "    vacation :handle \"a\" \"yes\";\n"
			    "}",
		    .expect = "vacation key=\"handle:a\" seconds=604800 \"yes\"\n"
			      "keep implicit" },
		{ .script = "require \"vacation\";\n"
			    "vacation :days 23 :addresses [\"tjs@example.edu\", "
			    "\"ts4z@landru.example.edu\"] :handle \"x\" \"gone\";",
		    .expect = "vacation key=\"handle:x\" seconds=1987200 "
			      "addresses=tjs@example.edu,ts4z@landru.example.edu \"gone\"\n"
			      "keep implicit" },
		{ .script = "require \"vacation\";\n"
			    "vacation :mime :handle \"x\" text:\n"
			    "Content-Type: text/html\n"
			    "\n"
			    "<p>gone\n"
			    ".\n"
			    ";",
		    .expect = "vacation key=\"handle:x\" seconds=604800 mime \"Content-Type: "
			      "text/html\r\n"
			      "\r\n"
			      "<p>gone\r\n"
			      "\"\n"
			      "keep implicit" },
		{ .script = "require \"vacation\";\n"
			    "vacation :subject \"Gone\" :from \"Tim <tim@example.edu>\" :handle "
			    "\"x\" \"b\"; discard;",
		    .expect = "vacation key=\"handle:x\" seconds=604800 subject=\"Gone\" "
			      "from=\"Tim <tim@example.edu>\" \"b\"\n"
			      "discard" },
		{ .script = "require \"vacation\";\n"
			    "vacation :handle \"x\" :addresses [\"Tim <tjs@example.edu>\", "
			    "\"nobody\"] \"b\";",
		    .expect = "vacation key=\"handle:x\" seconds=604800 "
			      "addresses=tjs@example.edu,nobody \"b\"\n"
			      "keep implicit" },
		{ .script = "require [\"vacation\", \"variables\"];\n"
			    "if header :matches \"subject\" \"*\" {\n"
			    "    vacation :handle \"x\" :subject \"Re: ${1}\" \"b\";\n"
			    "}",
		    .expect = "vacation key=\"handle:x\" seconds=604800 subject=\"Re: I have a "
			      "present for you\" \"b\"\n"
			      "keep implicit" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 5230 §4.1: days outside of the bounds are brought into them. */
static void
test_bounds(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"vacation\";\n"
			    "vacation :handle \"x\" :days 0 \"b\";",
		    .expect = "vacation key=\"handle:x\" seconds=86400 \"b\"\n"
			      "keep implicit" },
		{ .script = "require \"vacation\";\n"
			    "vacation :handle \"x\" :days 4000 \"b\";",
		    .expect = "vacation key=\"handle:x\" seconds=2592000 \"b\"\n"
			      "keep implicit" },
		{ .script = "require \"vacation\";\n"
			    "vacation :handle \"x\" :days 4294967295 \"b\";",
		    .expect = "vacation key=\"handle:x\" seconds=2592000 \"b\"\n"
			      "keep implicit" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 6131. */
static void
test_seconds(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"vacation-seconds\";\n"
			    "vacation :handle \"x\" :seconds 172800 \"b\";",
		    .expect = "vacation key=\"handle:x\" seconds=172800 \"b\"\n"
			      "keep implicit" },
		{ .script = "require \"vacation-seconds\";\n"
			    "vacation :handle \"x\" :seconds 1800 \"b\";",
		    .expect = "vacation key=\"handle:x\" seconds=86400 \"b\"\n"
			      "keep implicit" },
		{ .script = "require \"vacation-seconds\";\n"
			    "vacation :handle \"x\" :seconds 1800 \"b\";",
		    .around = &ANY_TIME,
		    .expect = "vacation key=\"handle:x\" seconds=1800 \"b\"\n"
			      "keep implicit" },
		/* 0: answers always */
		{ .script = "require \"vacation-seconds\";\n"
			    "vacation :handle \"x\" :seconds 0 \"b\";",
		    .around = &ANY_TIME,
		    .expect = "vacation seconds=0 \"b\"\n"
			      "keep implicit" },
		{ .script = "require \"vacation-seconds\";\n"
			    "vacation :handle \"x\" :days 0 \"b\";",
		    .around = &ANY_TIME,
		    .expect = "vacation key=\"handle:x\" seconds=86400 \"b\"\n"
			      "keep implicit" },
		{ .script = "require \"vacation\";\n"
			    "vacation :seconds 1 \"b\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"vacation-seconds\";\n"
			    "vacation :seconds 1 :days 1 \"b\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* What cannot be: compile errors, and those that only a run finds. */
static void
test_errors(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "vacation \"b\";",
		    .expect = "compile error line 1",
		    .error_begins = true },
		{ .script = "require \"vacation\";\n"
			    "vacation;",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"vacation\";\n"
			    "vacation [\"a\"];",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"vacation\";\n"
			    "vacation :from \"nobody\" \"b\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"vacation\";\n"
			    "vacation :from \"a@b.example, c@d.example\" \"b\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"vacation\", \"variables\"];\n"
			    "set \"f\" \"nobody\";\n"
			    "vacation :from \"${f}\" \"b\";",
		    .expect = "run error line 3",
		    .error_begins = true },
		/* RFC 5230 §4.7 */
		{ .script = "require \"vacation\";\n"
			    "vacation \"a\";\n"
			    "vacation \"b\";",
		    .expect = "run error line 3",
		    .error_begins = true },
		{ .script = "require [\"vacation\", \"reject\"];\n"
			    "vacation \"a\";\n"
			    "reject \"b\";",
		    .expect = "run error line 3",
		    .error_begins = true },
		{ .script = "require [\"vacation\", \"reject\"];\n"
			    "reject \"b\";\n"
			    "vacation \"a\";",
		    .expect = "run error line 3",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 8580 §3. */
static void
test_fcc(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"vacation\", \"fcc\"];\n"
			    "vacation :handle \"x\" :fcc \"INBOX.Sent\" \"b\";",
		    .expect = "vacation key=\"handle:x\" seconds=604800 fcc=INBOX.Sent \"b\"\n"
			      "keep implicit" },
		{ .script =
			"require [\"vacation\", \"fcc\", \"mailbox\", \"imap4flags\"];\n"
			"vacation :handle \"x\" :fcc \"Sent\" :create :flags [\"\\\\Seen\"] \"b\";",
		    .expect = "vacation key=\"handle:x\" seconds=604800 fcc=Sent create "
			      "flags=\\Seen \"b\"\n"
			      "keep implicit" },
		{ .script = "require [\"vacation\"];\n"
			    "vacation :fcc \"Sent\" \"b\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		/* a tag of a copy that is not made */
		{ .script = "require [\"vacation\", \"mailbox\"];\n"
			    "vacation :create \"b\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"vacation\", \"fcc\", \"variables\"];\n"
			    "vacation :fcc \"${nothing}\" \"b\";",
		    .expect = "run error line 2",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vacation),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_fcc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
