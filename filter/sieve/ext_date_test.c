#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

static const char TWO[] = "Received: from a by b; Tue, 4 Nov 2025 05:02:03 -0500 (EST)\n"
			  "Received: from c by d;\n Mon, 3 Nov 2025 01:02:03 +0000\n"
			  "To: b@c.example\n"
			  "To: d@e.example\n"
			  "X: a\n"
			  "X: b\n"
			  "\n";

/* RFC 5260 §4.2; the message is of Tue, 1 Apr 1997 09:06:31 -0800. */
static void
test_parts(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"year\" \"1997\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"month\" \"04\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"day\" \"01\" { discard; }",
		    .expect = "discard" },
		{ .script =
			"require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			"if date :originalzone :is \"date\" \"date\" \"1997-04-01\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"julian\" \"50539\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"hour\" \"09\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"minute\" \"06\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"second\" \"31\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"time\" \"09:06:31\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"iso8601\" "
			    "\"1997-04-01T09:06:31-08:00\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"std11\" \"Tue, 01 Apr 1997 "
			    "09:06:31 -0800\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"zone\" \"-0800\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"weekday\" \"2\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"YEAR\" \"1997\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :zone \"+0000\" :is \"date\" \"iso8601\" "
			    "\"1997-04-01T17:06:31Z\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :zone \"+0530\" :is \"date\" \"iso8601\" "
			    "\"1997-04-01T22:36:31+05:30\" { discard; }",
		    .expect = "discard" },
		{ .script =
			"require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			"if date :zone \"+1200\" :is \"date\" \"date\" \"1997-04-02\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"Received\" \"hour\" \"09\" { discard; }",
		    .expect = "discard" },
		/* an unknown part has no value */
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :is \"date\" \"century\" \"19\" { discard; }",
		    .expect = "keep implicit" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :is \"subject\" \"year\" \"\" { discard; }",
		    .expect = "keep implicit" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :count \"eq\" \"subject\" \"year\" \"0\" { discard; }",
		    .expect = "discard" },
		{ .script =
			"require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			"if allof(date :originalzone :value \"ge\" \"date\" \"hour\" \"09\", date "
			":originalzone :value \"lt\" \"date\" \"hour\" \"17\") { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :matches \"date\" \"std11\" \"*, *\" { fileinto "
			    "\"${1}\"; }",
		    .expect = "fileinto \"Tue\"" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 5260 §5; it is 2023-11-14T22:13:20Z. */
static void
test_current(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if currentdate :zone \"+0000\" :is \"iso8601\" "
			    "\"2023-11-14T22:13:20Z\" { discard; }",
		    .expect = "discard" },
		{ .script =
			"require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			"if currentdate :zone \"+0200\" :is \"date\" \"2023-11-15\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if allof(currentdate :value \"ge\" \"date\" \"2007-06-30\", "
			    "currentdate :value \"le\" \"date\" \"2007-07-07\") { discard; }",
		    .expect = "keep implicit" },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if currentdate :is [\"year\"] \"2023\" { discard; }",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if currentdate :originalzone \"year\" \"2023\" { discard; }",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"date\", \"relational\", \"fileinto\", \"variables\"];\n"
			    "if date :originalzone :zone \"+0000\" \"date\" \"year\" \"2023\" { "
			    "discard; }",
		    .expect = "compile error line 2",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 5260 §6. */
static void
test_index(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"date\", \"index\"];\n"
			    "if date :index 1 :last :originalzone \"received\" \"hour\" \"01\" { "
			    "discard; }",
		    .message = TWO,
		    .expect = "discard" },
		{ .script =
			"require [\"date\", \"index\"];\n"
			"if date :index 2 :originalzone \"received\" \"hour\" \"05\" { discard; }",
		    .message = TWO,
		    .expect = "keep implicit" },
		{ .script = "require [\"index\"];\n"
			    "if header :index 1 \"x\" \"a\" { discard; }",
		    .message = TWO,
		    .expect = "discard" },
		{ .script = "require [\"index\"];\n"
			    "if header :index 1 :last \"x\" \"a\" { discard; }",
		    .message = TWO,
		    .expect = "keep implicit" },
		{ .script = "require [\"index\"];\n"
			    "if header :index 2 :last \"x\" \"a\" { discard; }",
		    .message = TWO,
		    .expect = "discard" },
		{ .script = "require [\"index\"];\n"
			    "if header :index 3 \"x\" \"*\" { discard; }",
		    .message = TWO,
		    .expect = "keep implicit" },
		{ .script = "require [\"index\"];\n"
			    "if address :last :index 1 \"to\" \"d@e.example\" { discard; }",
		    .message = TWO,
		    .expect = "discard" },
		{ .script = "require [\"index\"];\n"
			    "if header :last \"x\" \"a\" { discard; }",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"index\"];\n"
			    "if header :index 0 \"x\" \"a\" { discard; }",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "if header :index 1 \"x\" \"a\" { discard; }",
		    .expect = "compile error line 1",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_current),
		cmocka_unit_test(test_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
