#include "store/base_subject.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct {
	const char *value, *base;
	bool reply;
} CASES[] = {
	{ "", "", false }, { "   ", "", false }, { "hello", "hello", false },
	{ "Re: hello", "hello", true }, { "RE:hello", "hello", true },
	{ "re : hello", "hello", true }, { "Re[2]: hello", "hello", true },
	{ "Re [2] : hello", "hello", true }, /* blob takes the blanks behind it */
	{ "Fw: hello", "hello", true }, { "FWD: hello", "hello", true },
	{ "fwde: hello", "fwde: hello", false }, { "Re: Re: Fwd: hello", "hello", true },
	{ "[list] hello", "hello", false }, { "[list] Re: hello", "hello", true },
	{ "Re: [list] hello", "hello", true }, { "Re: [list] Re: hello", "hello", true },
	{ "[a] [b] Re: [c] [d] hello", "hello", true },
	{ "[a] [b] [c]", "[c]", false }, /* the last blob is the subject if there is no other */
	{ "[a]", "[a]", false }, { "Re: [a]", "[a]", true }, { "[a] Re:", "", true },
	{ "[a]b", "b", false }, { "[a [b] c", "[a [b] c", false }, /* no "[" in a blob */
	{ "hello (fwd)", "hello", true }, { "hello(FWD) (fwd)  ", "hello", true },
	{ "(fwd)", "", true }, { "[Fwd: hello]", "hello", true },
	{ "[fwd: Re: hello (fwd)] (fwd)", "hello", true },
	{ "[fwd: [fwd: [list] hello]]", "hello", true }, { "[fwd: hello", "[fwd: hello", false },
	{ "[Fwd:]", "", true }, { "Re: [fwd: hello]", "hello", true },
	{ "[list] [fwd: hello]", "hello", true }, /* the last blob stays, and then is a forward */
	{ "hello [fwd: you]", "hello [fwd: you]", false },
	{ "two\r\n  lines\tand\t\ttabs", "two lines and tabs", false },
	{ "=?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=",
	    "Gr\xc3\xbc\xc3\x9f"
	    "e",
	    true },
	{ "=?utf-8?q?Re:?= =?utf-8?q?_hello?=", "hello", true },
	{ "Re: =?utf-8?b?W2xpc3RdIGhlbGxv?=", "hello", true },
	{ "AW: hello", "AW: hello", false }, /* translations are not removed, RFC 5256 §7 */
};

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf b = { 0 };
		struct str base;
		bool reply;

		base_subject_normal(&b, str_from(CASES[i].value));
		base = base_subject((struct str){ b.data, b.len }, &reply);
		if (!str_eq(base, str_from(CASES[i].base)) || reply != CASES[i].reply)
			fail_msg(
			    "\"%s\": \"%.*s\" %d", CASES[i].value, (int)base.len, base.p, reply);
		buf_free(&b);
	}
}

/* Long chains of prefixes take linear time: this would not end otherwise. */
static void
test_long(void **state)
{
	static const char *const PIECES[] = { "[a]", "Re:", "[a]Re:", "[fwd:", "[a] x", "(fwd)" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PIECES); i++) {
		struct buf b = { 0 };
		bool reply;

		while (b.len < 1000 * 1000)
			buf_adds(&b, PIECES[i]);
		base_subject((struct str){ b.data, b.len }, &reply);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
