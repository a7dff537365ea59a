#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

/* RFC 5228's own examples and rules, section by section. */
static void
test_base(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "", .expect = "keep implicit" },
		{ .script = "keep;", .expect = "keep" },
		{ .script = "discard;", .expect = "discard" },
		{ .script = "stop; discard;", .expect = "keep implicit" },
		{ .script = "require \"fileinto\";\n"
			    "if header :contains \"subject\" \"present\" { fileinto \"Gifts\"; }",
		    .expect = "fileinto \"Gifts\"" },
		{ .script = "require [\"fileinto\"]; if false { keep; } elsif true { fileinto "
			    "\"a\"; } else { discard; }",
		    .expect = "fileinto \"a\"" },
		{ .script = "redirect \"bart@example.com\";",
		    .expect = "redirect \"bart@example.com\"" },
		{ .script = "redirect \"a@b.c\"; redirect \"a@B.C\";",
		    .expect = "redirect \"a@b.c\"" },
		{ .script = "redirect \"a@b.c\"; redirect \"A@b.c\";",
		    .expect = "redirect \"a@b.c\"\nredirect \"A@b.c\"" },
		{ .script = "redirect \"a@b. c (d) e\";",
		    .expect = "compile error line 1",
		    .error_begins = true },
		{ .script = "redirect \"nobody\";",
		    .expect = "compile error line 1",
		    .error_begins = true },
		{ .script = "fileinto \"x\";",
		    .expect = "compile error line 1: fileinto needs require \"fileinto\"" },
		{ .script = "\nif false { frobnicate; }",
		    .expect = "compile error line 2: unknown command 'frobnicate'" },
		{ .script = "keep; require \"fileinto\";",
		    .expect = "compile error line 1",
		    .error_begins = true },
		{ .script = "else { keep; }",
		    .expect = "compile error line 1",
		    .error_begins = true },
		{ .script = "keep", .expect = "compile error line 1", .error_begins = true },
		{ .script = "if size :over 100K { discard; }", .expect = "keep implicit" },
		{ .script = "if size :under 1M { discard; }", .expect = "discard" },
		{ .script = "if not exists [\"From\", \"X-Caffeine\"] { discard; }",
		    .expect = "keep implicit" },
		{ .script = "if header :is \"x-caffeine\" [\"\"] { discard; }",
		    .expect = "keep implicit" },
		{ .script = "if header :matches \"x-caffeine\" \"C?H10*\" { discard; }",
		    .expect = "discard" },
		{ .script = "if address :is :domain \"from\" \"Desert.example.ORG\" { discard; }",
		    .expect = "discard" },
		{ .script = "if address :localpart \"from\" \"coyote\" { discard; }",
		    .expect = "discard" },
		{ .script = "require \"envelope\"; if envelope :all :is \"from\" "
			    "\"sender@example.org\" { discard; }",
		    .expect = "discard" },
		{ .script = "if anyof (false, not false) { if allof(true, true) { discard; } }",
		    .expect = "discard" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
