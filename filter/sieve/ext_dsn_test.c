#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

static const struct filter_message DSN = {
	.sender = "a@b.example",
	.rcpt = "c@d.example",
	.orig_rcpt = "rfc822;x@example.com",
	.dsn_notify = "SUCCESS,DELAY",
	.dsn_ret = "HDRS",
	.envid = "id 7",
	.deliver_by = "120;RT",
	.now = 1700000000,
};

/* RFC 6009 §3 and §5. */
static void
test_envelope(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope \"notify\" \"SUCCESS\" { discard; }",
		    .envelope = &DSN,
		    .expect = "discard" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope :count \"eq\" :comparator \"i;ascii-numeric\" \"notify\" "
			    "\"2\" { discard; }",
		    .envelope = &DSN,
		    .expect = "discard" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope \"notify\" \"NEVER\" { discard; }",
		    .envelope = &DSN,
		    .expect = "keep implicit" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope :matches \"orcpt\" \"rfc822;*@example.com\" { discard; }",
		    .envelope = &DSN,
		    .expect = "discard" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope \"ret\" \"HDRS\" { discard; }",
		    .envelope = &DSN,
		    .expect = "discard" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope :is \"envid\" \"id 7\" { discard; }",
		    .envelope = &DSN,
		    .expect = "discard" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope \"bytimerelative\" \"120\" { discard; }",
		    .envelope = &DSN,
		    .expect = "discard" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope :contains \"bytimerelative\" \"-\" { discard; }",
		    .envelope = &DSN,
		    .expect = "keep implicit" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope :zone \"+0000\" \"bytimeabsolute\" "
			    "\"2023-11-14T22:15:20Z\" { discard; }",
		    .envelope = &DSN,
		    .expect = "discard" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope \"bymode\" \"R\" { discard; }",
		    .envelope = &DSN,
		    .expect = "discard" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope \"bytrace\" \"T\" { discard; }",
		    .envelope = &DSN,
		    .expect = "discard" },
		/* nothing was given */
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope :matches [\"notify\", \"orcpt\", \"ret\", \"envid\", "
			    "\"bytimerelative\", \"bytimeabsolute\", \"bymode\", \"bytrace\"] "
			    "\"*\" { discard; }",
		    .expect = "keep implicit" },
		{ .script = "require [\"envelope\", \"envelope-dsn\", \"envelope-deliverby\", "
			    "\"relational\", \"comparator-i;ascii-numeric\"];\n"
			    "if envelope :domain \"envid\" \"x\" { discard; }",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"envelope\";\n"
			    "if envelope \"envid\" \"x\" { discard; }",
		    .expect = "compile error line 2",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 6009 §4 and §6. */
static void
test_redirect(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :notify \"NEVER\" :ret \"hdrs\" \"a@b.example\";",
		    .expect = "redirect \"a@b.example\" notify=NEVER ret=HDRS" },
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :notify \"success,failure\" \"a@b.example\";",
		    .expect = "redirect \"a@b.example\" notify=SUCCESS,FAILURE" },
		{ .script =
			"require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			"redirect :bytimerelative 600 :bymode \"return\" :bytrace \"a@b.example\";",
		    .expect = "redirect \"a@b.example\" by=600;RT" },
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :bytimeabsolute \"2023-11-14T22:14:20Z\" \"a@b.example\";",
		    .expect = "redirect \"a@b.example\" by=60;N" },
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :bytimeabsolute \"2023-11-15T00:14:20+02:00\" :bymode "
			    "\"notify\" \"a@b.example\";",
		    .expect = "redirect \"a@b.example\" by=60;N" },
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :notify \"NEVER,SUCCESS\" \"a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :notify \"\" \"a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :ret \"all\" \"a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :bymode \"return\" \"a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :bytimerelative 1 :bytimeabsolute \"2023-11-14T22:14:20Z\" "
			    "\"a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :bytimeabsolute \"tomorrow\" \"a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "redirect :notify \"NEVER\" \"a@b.example\";",
		    .expect = "compile error line 1",
		    .error_begins = true },
		{ .script = "require [\"redirect-dsn\", \"redirect-deliverby\", \"variables\"];\n"
			    "redirect :ret \"${x}\" \"a@b.example\";",
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
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_redirect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
