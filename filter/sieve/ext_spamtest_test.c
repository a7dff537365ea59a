#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

/* RFC 5235 §2: 1 is clear, 10 is spam; what scanners write. */
static void
test_scale(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: +++++\n\n",
		    .expect = "fileinto \"5\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: +++++\n\n",
		    .expect = "fileinto \"50\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 0\n\n",
		    .expect = "fileinto \"1\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 0\n\n",
		    .expect = "fileinto \"0\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: -3.2\n\n",
		    .expect = "fileinto \"1\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: -3.2\n\n",
		    .expect = "fileinto \"0\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 5\n\n",
		    .expect = "fileinto \"5\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 5\n\n",
		    .expect = "fileinto \"50\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 7.5\n\n",
		    .expect = "fileinto \"7\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 7.5\n\n",
		    .expect = "fileinto \"75\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 9.99\n\n",
		    .expect = "fileinto \"9\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 9.99\n\n",
		    .expect = "fileinto \"99\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 10\n\n",
		    .expect = "fileinto \"10\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 10\n\n",
		    .expect = "fileinto \"100\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 12.5\n\n",
		    .expect = "fileinto \"10\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 12.5\n\n",
		    .expect = "fileinto \"100\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 7.5 / 15\n\n",
		    .expect = "fileinto \"5\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 7.5 / 15\n\n",
		    .expect = "fileinto \"50\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 5.5 (+++++)\n\n",
		    .expect = "fileinto \"5\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 5.5 (+++++)\n\n",
		    .expect = "fileinto \"55\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: default: False [2.30 / 15.00]; X\n\n",
		    .expect = "fileinto \"2\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: default: False [2.30 / 15.00]; X\n\n",
		    .expect = "fileinto \"15\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: *\n\n",
		    .expect = "fileinto \"1\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: *\n\n",
		    .expect = "fileinto \"10\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: +3\n\n",
		    .expect = "fileinto \"3\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: +3\n\n",
		    .expect = "fileinto \"30\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 99999999999999999999999\n\n",
		    .expect = "fileinto \"10\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: 99999999999999999999999\n\n",
		    .expect = "fileinto \"100\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: unknown\n\n",
		    .expect = "fileinto \"0\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: unknown\n\n",
		    .expect = "fileinto \"0\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: \n\n",
		    .expect = "fileinto \"0\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: \n\n",
		    .expect = "fileinto \"0\"" },
		{ .script = "require [\"spamtest\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: -\n\n",
		    .expect = "fileinto \"0\"" },
		{ .script = "require [\"spamtestplus\", \"variables\", \"fileinto\"];\n"
			    "if spamtest :percent :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Spam-Score: -\n\n",
		    .expect = "fileinto \"0\"" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 5235 §2.3: whether it was tested at all. */
static void
test_counts(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"spamtestplus\", \"relational\", "
			    "\"comparator-i;ascii-numeric\"];\n"
			    "if spamtest :percent :count \"eq\" \"0\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"spamtestplus\", \"relational\", "
			    "\"comparator-i;ascii-numeric\"];\n"
			    "if spamtest :count \"eq\" \"0\" { discard; }",
		    .expect = "discard" },
		{ .script = "require [\"spamtestplus\", \"relational\", "
			    "\"comparator-i;ascii-numeric\"];\n"
			    "if spamtest :count \"eq\" \"1\" { discard; }",
		    .message = "X-Spam-Score: 3\n\n",
		    .expect = "discard" },
		{ .script = "require [\"spamtestplus\", \"relational\", "
			    "\"comparator-i;ascii-numeric\"];\n"
			    "if spamtest :value \"eq\" :comparator \"i;ascii-numeric\" \"0\" { "
			    "discard; }",
		    .expect = "discard" },
		{ .script = "require [\"spamtestplus\", \"relational\", "
			    "\"comparator-i;ascii-numeric\"];\n"
			    "if spamtest :percent :value \"gt\" :comparator \"i;ascii-numeric\" "
			    "\"37\" { discard; }",
		    .message = "X-Spam-Score: 3.8\n\n",
		    .expect = "discard" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 5235 §3. */
static void
test_virus(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"virustest\", \"variables\", \"fileinto\"];\n"
			    "if virustest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Virus-Score: 1\n\n",
		    .expect = "fileinto \"1\"" },
		{ .script = "require [\"virustest\", \"variables\", \"fileinto\"];\n"
			    "if virustest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Virus-Score: 3\n\n",
		    .expect = "fileinto \"3\"" },
		{ .script = "require [\"virustest\", \"variables\", \"fileinto\"];\n"
			    "if virustest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Virus-Score: 5\n\n",
		    .expect = "fileinto \"5\"" },
		{ .script = "require [\"virustest\", \"variables\", \"fileinto\"];\n"
			    "if virustest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Virus-Score: 9\n\n",
		    .expect = "fileinto \"5\"" },
		{ .script = "require [\"virustest\", \"variables\", \"fileinto\"];\n"
			    "if virustest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Virus-Score: 0\n\n",
		    .expect = "fileinto \"0\"" },
		{ .script = "require [\"virustest\", \"variables\", \"fileinto\"];\n"
			    "if virustest :matches \"*\" { fileinto \"${1}\"; }",
		    .message = "X-Virus-Score: ?\n\n",
		    .expect = "fileinto \"0\"" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 5235 §2.2. */
static void
test_errors(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"spamtest\";\n"
			    "if spamtest :percent \"5\" { discard; }",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "if spamtest \"5\" { discard; }",
		    .expect = "compile error line 1",
		    .error_begins = true },
		{ .script = "require \"spamtest\";\n"
			    "if virustest \"5\" { discard; }",
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
		cmocka_unit_test(test_scale),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_virus),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
