#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

static const char SMALL[] = "A: 1\nX: one\nX: two\nX: three\nReceived: r\n\nbody\n";

static const char *const PROTECTED[] = { "A", "Subject", NULL };
static struct filter_settings protecting = { .protected_headers = PROTECTED };
static const struct filter_surroundings PROTECTING = { .settings = &protecting };

/* RFC 5293 §4. */
static void
test_add(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"editheader\";\n"
			    "addheader \"X-Hello\" \"World\";",
		    .message = SMALL,
		    .expect = "keep implicit edited\n"
			      "> X-Hello: World\n"
			      "> A: 1\n"
			      "> X: one\n"
			      "> X: two\n"
			      "> X: three\n"
			      "> Received: r",
		    .edited = true },
		{ .script = "require \"editheader\";\n"
			    "addheader :last \"X-Hello\" \"World\";",
		    .message = SMALL,
		    .expect = "keep implicit edited\n"
			      "> A: 1\n"
			      "> X: one\n"
			      "> X: two\n"
			      "> X: three\n"
			      "> Received: r\n"
			      "> X-Hello: World",
		    .edited = true },
		{ .script = "require \"editheader\";\n"
			    "addheader \"Subject\" \"café\";\n"
			    "if header \"subject\" \"café\" { keep; }",
		    .message = SMALL,
		    .expect = "keep edited" },
		/* §3: seen by what is behind it */
		{ .script = "require [\"editheader\", \"fileinto\"];\n"
			    "fileinto \"before\";\n"
			    "addheader \"X-Hello\" \"World\";\n"
			    "fileinto \"after\";\n"
			    "if header \"x-hello\" \"world\" { keep; }",
		    .message = SMALL,
		    .expect = "fileinto \"before\"\n"
			      "fileinto \"after\" edited\n"
			      "keep edited" },
		{ .script = "require \"editheader\";\n"
			    "addheader \"X Hello\" \"World\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"editheader\", \"variables\"];\n"
			    "addheader \"${n}\" \"World\";",
		    .expect = "run error line 2",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 5293 §5. */
static void
test_delete(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"editheader\";\n"
			    "deleteheader \"x\";",
		    .message = SMALL,
		    .expect = "keep implicit edited\n"
			      "> A: 1\n"
			      "> Received: r",
		    .edited = true },
		{ .script = "require \"editheader\";\n"
			    "deleteheader :index 2 \"X\";",
		    .message = SMALL,
		    .expect = "keep implicit edited\n"
			      "> A: 1\n"
			      "> X: one\n"
			      "> X: three\n"
			      "> Received: r",
		    .edited = true },
		{ .script = "require \"editheader\";\n"
			    "deleteheader :index 1 :last \"X\";",
		    .message = SMALL,
		    .expect = "keep implicit edited\n"
			      "> A: 1\n"
			      "> X: one\n"
			      "> X: two\n"
			      "> Received: r",
		    .edited = true },
		{ .script = "require \"editheader\";\n"
			    "deleteheader :contains \"X\" [\"tw\", \"thr\"];",
		    .message = SMALL,
		    .expect = "keep implicit edited\n"
			      "> A: 1\n"
			      "> X: one\n"
			      "> Received: r",
		    .edited = true },
		/* the first is another one */
		{ .script = "require \"editheader\";\n"
			    "deleteheader :index 1 :contains \"X\" \"two\";",
		    .message = SMALL,
		    .expect = "keep implicit" },
		{ .script = "require \"editheader\";\n"
			    "deleteheader :is \"X\" \"none\";",
		    .message = SMALL,
		    .expect = "keep implicit" },
		{ .script =
			"require [\"editheader\", \"relational\", "
			"\"comparator-i;ascii-numeric\"];\n"
			"deleteheader :value \"ge\" :comparator \"i;ascii-numeric\" \"A\" \"1\";",
		    .message = SMALL,
		    .expect = "keep implicit edited\n"
			      "> X: one\n"
			      "> X: two\n"
			      "> X: three\n"
			      "> Received: r",
		    .edited = true },
		{ .script = "require \"editheader\";\n"
			    "addheader \"X\" \"new\";\n"
			    "deleteheader :index 1 \"X\";\n"
			    "if exists \"X\" { discard; }",
		    .message = SMALL,
		    .expect = "discard edited" },
		{ .script = "require \"editheader\";\n"
			    "deleteheader :last \"X\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"editheader\";\n"
			    "deleteheader :index 0 \"X\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"editheader\";\n"
			    "deleteheader;",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"editheader\";\n"
			    "deleteheader \"X\" \"y\" \"z\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 5293 §6: what must not change, does not, without an error. */
static void
test_protected(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"editheader\";\n"
			    "deleteheader \"Received\";",
		    .message = SMALL,
		    .expect = "keep implicit" },
		{ .script = "require \"editheader\";\n"
			    "deleteheader \"auto-submitted\";",
		    .message = SMALL,
		    .expect = "keep implicit" },
		{ .script =
			"require \"editheader\";\n"
			"deleteheader \"x-sanger-redirected\";", /* two scripts could play ball */
		    .message = "X-Sanger-Redirected: a@example.org\n\nbody\n",
		    .expect = "keep implicit" },
		{ .script = "require \"editheader\";\n"
			    "deleteheader \"A\"; addheader \"a\" \"2\";",
		    .message = SMALL,
		    .around = &PROTECTING,
		    .expect = "keep implicit" },
		{ .script = "require \"editheader\";\n"
			    "addheader \"Subject\" \"2\";\n"
			    "deleteheader \"subject\";",
		    .message = SMALL,
		    .around = &PROTECTING,
		    .expect = "keep implicit edited\n"
			      "> A: 1\n"
			      "> X: one\n"
			      "> X: two\n"
			      "> X: three\n"
			      "> Received: r",
		    .edited = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_protected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
