#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

static enum filter_answer
is_seen(void *arg, const char *key)
{
	(void)arg, (void)key;
	return FILTER_YES;
}

static enum filter_answer
is_broken(void *arg, const char *key)
{
	(void)arg, (void)key;
	return FILTER_FAILED;
}

static const struct filter_surroundings SEEN = { .remembered = is_seen };
static const struct filter_surroundings BROKEN = { .remembered = is_broken };
static const char WITH_ID[] = "Message-ID: <1@a>\nX-Id:  7\n\nbody\n";

/* RFC 7352 §3: nothing was seen before. */
static void
test_first(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"duplicate\";\n"
			    "if duplicate { discard; }",
		    .message = WITH_ID,
		    .expect = "keep implicit\n"
			      "remember \"0::<1@a>\" seconds=604800" },
		/* no Message-ID: no duplicate, and nothing to remember */
		{ .script = "require \"duplicate\";\n"
			    "if duplicate { discard; }",
		    .expect = "keep implicit" },
		{ .script =
			"require \"duplicate\";\n"
			"if duplicate :header \"x-id\" :handle \"h\" :seconds 1800 { discard; }",
		    .message = WITH_ID,
		    .expect = "keep implicit\n"
			      "remember \"1:h:7\" seconds=1800" },
		{ .script = "require [\"duplicate\", \"variables\"];\n"
			    "set \"i\" \"a\";\n"
			    "if duplicate :uniqueid \"${i}b\" :last { discard; }",
		    .expect = "keep implicit\n"
			      "remember \"0::ab\" seconds=604800" },
		/* one answer and one memory in a run */
		{ .script = "require \"duplicate\";\n"
			    "if anyof(duplicate, duplicate :seconds 1000000) { discard; }",
		    .message = WITH_ID,
		    .expect = "keep implicit\n"
			      "remember \"0::<1@a>\" seconds=1000000" },
		{ .script = "require \"duplicate\";\n"
			    "if duplicate :seconds 4294967295 { discard; }",
		    .message = WITH_ID,
		    .expect = "keep implicit\n"
			      "remember \"0::<1@a>\" seconds=7776000" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 7352 §3.3: the time counts from the first one, with :last from the latest. */
static void
test_again(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"duplicate\";\n"
			    "if duplicate { discard; }",
		    .message = WITH_ID,
		    .around = &SEEN,
		    .expect = "discard" },
		{ .script = "require \"duplicate\";\n"
			    "if duplicate :last { discard; }",
		    .message = WITH_ID,
		    .around = &SEEN,
		    .expect = "discard\n"
			      "remember \"0::<1@a>\" seconds=604800" },
		{ .script = "require \"duplicate\";\n"
			    "if duplicate { discard; }",
		    .message = WITH_ID,
		    .around = &BROKEN,
		    .expect = "tempfail line 2",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 7352 §3. */
static void
test_errors(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "if duplicate { discard; }",
		    .expect = "compile error line 1",
		    .error_begins = true },
		{ .script = "require \"duplicate\";\n"
			    "if duplicate :header \"a\" :uniqueid \"b\" { discard; }",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"duplicate\";\n"
			    "if duplicate \"a\" { discard; }",
		    .expect = "compile error line 2",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
