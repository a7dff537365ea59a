#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

/* RFC 5429 §2: the reason is said, and nothing is kept. */
static void
test_reject(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"reject\";\n"
			    "if header :contains \"from\" \"coyote@desert.example.org\" {\n"
			    "    reject text:\n"
			    "I am not taking mail from you.\n"
			    ".\n"
			    ";\n"
			    "}",
		    .expect = "reject \"I am not taking mail from you.\r\n"
			      "\"" },
		{ .script = "require \"ereject\";\n"
			    "ereject \"no\";",
		    .expect = "ereject \"no\"" },
		{ .script = "require [\"reject\", \"variables\"];\n"
			    "set \"w\" \"why\";\n"
			    "reject \"${w}\";",
		    .expect = "reject \"why\"" },
		{ .script = "require [\"reject\", \"enotify\"];\n"
			    "notify \"mailto:a@b.example\";\n"
			    "reject \"no\";",
		    .expect = "notify \"mailto:a@b.example\" importance=2 to=a@b.example\n"
			      "reject \"no\"" },
		{ .script = "require \"reject\";\n"
			    "reject \"no\";\n"
			    "discard;",
		    .expect = "reject \"no\"\n"
			      "discard" },
		{ .script = "require [\"reject\", \"editheader\"];\n"
			    "addheader \"X\" \"y\";\n"
			    "reject \"no\";",
		    .expect = "reject \"no\" edited" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 5429 §2.4: what is refused is not delivered too. */
static void
test_conflicts(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"reject\";\n"
			    "keep;\n"
			    "reject \"no\";",
		    .expect = "run error line 3",
		    .error_begins = true },
		{ .script = "require \"reject\";\n"
			    "reject \"no\";\n"
			    "keep;",
		    .expect = "run error line 3",
		    .error_begins = true },
		{ .script = "require [\"reject\", \"fileinto\"];\n"
			    "reject \"no\";\n"
			    "fileinto \"A\";",
		    .expect = "run error line 3",
		    .error_begins = true },
		{ .script = "require [\"reject\", \"fileinto\", \"copy\"];\n"
			    "fileinto :copy \"A\";\n"
			    "reject \"no\";",
		    .expect = "run error line 3",
		    .error_begins = true },
		{ .script = "require \"reject\";\n"
			    "redirect \"a@b.example\";\n"
			    "reject \"no\";",
		    .expect = "run error line 3",
		    .error_begins = true },
		{ .script = "require \"reject\";\n"
			    "reject \"no\";\n"
			    "reject \"no\";",
		    .expect = "run error line 3",
		    .error_begins = true },
		{ .script = "require [\"reject\", \"ereject\"];\n"
			    "reject \"no\";\n"
			    "ereject \"no\";",
		    .expect = "run error line 3",
		    .error_begins = true },
		{ .script = "reject \"no\";",
		    .expect = "compile error line 1",
		    .error_begins = true },
		{ .script = "require \"reject\";\n"
			    "ereject \"no\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"reject\";\n"
			    "reject;",
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
		cmocka_unit_test(test_reject),
		cmocka_unit_test(test_conflicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
