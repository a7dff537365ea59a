#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/blanks.h"

static const struct {
	const char *text, *want;
} CASES[] = {
	{ "a NOOP", "a NOOP" },
	{ "a NOOP  ", "a NOOP" },
	{ "a  SELECT   INBOX ", "a SELECT INBOX" },
	{ "a FETCH 1 ( FLAGS  UID )", "a FETCH 1 (FLAGS UID)" },
	{ "a FETCH 1 BODY[HEADER.FIELDS ( From  To )]", "a FETCH 1 BODY[HEADER.FIELDS (From To)]" },
	{ "a STORE 1 FLAGS ( )", "a STORE 1 FLAGS ()" },
	{ "a LOGIN  \"a  ( b \\\"  \" x", "a LOGIN \"a  ( b \\\"  \" x" },
	{ "a LOGIN {5}\r\na  ( \"b  c\"", "a LOGIN {5}\r\na  ( \"b  c\"" },
	{ "a LOGIN  {3+}\r\n a   ~{2}\r\n   x", "a LOGIN {3+}\r\n a  ~{2}\r\n   x" },
	{ "a LOGIN {9}\r\nshort  x", "a LOGIN {9}\r\nshort x" }, /* not a literal */
	{ "a SEARCH  SUBJECT \"open  ", "a SEARCH SUBJECT \"open  " },
	{ "a {}\r\n  x", "a {}\r\n x" },
	{ "", "" },
	{ "  ", "" },
};

static void
test_cases(void **state)
{
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct str got = imap_squeeze_blanks(&arena, str_from(CASES[i].text));

		if (!str_eq(got, str_from(CASES[i].want)))
			fail_msg("%s: %.*s", CASES[i].text, (int)got.len, got.p);
	}
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
