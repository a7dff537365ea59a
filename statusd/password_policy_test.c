#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "statusd/password_policy.h"

#define MIN 10

static void
test_verdicts(void **state)
{
	static const struct {
		const char *fresh;
		enum password_policy verdict;
	} CASES[] = {
		{ "correct horse", PASSWORD_POLICY_OK },
		{ "0123456789", PASSWORD_POLICY_OK },
		{ "012345678", PASSWORD_POLICY_SHORT },
		{ "", PASSWORD_POLICY_SHORT },
		{ "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa9",
		    PASSWORD_POLICY_SHORT }, /* 5 letters */
		{ "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa9 abcd", PASSWORD_POLICY_OK },
		{ "\xf0\x9f\x90\x8e\xf0\x9f\x94\x8b\xf0\x9f\x93\x8e horses and so on",
		    PASSWORD_POLICY_OK },
		{ "the old one!", PASSWORD_POLICY_SAME },
		{ "Ann.Smith@example.org", PASSWORD_POLICY_ADDRESS },
		{ "ann.SMITH.x", PASSWORD_POLICY_OK },
		{ "example.org", PASSWORD_POLICY_ADDRESS },
		{ "aaaaaaaaaaaaaaaa", PASSWORD_POLICY_MONOTONE },
		{ "abcabcabcabc", PASSWORD_POLICY_MONOTONE },
		{ "abcdabcdabcd", PASSWORD_POLICY_OK },
		{ "line one\nline two", PASSWORD_POLICY_CHARACTERS },
		{ "not UTF-8: \xff\xfe", PASSWORD_POLICY_CHARACTERS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		enum password_policy got = password_policy_check(str_from(CASES[i].fresh),
		    STR("the old one!"), STR("ann.smith@example.org"), MIN);

		if (got != CASES[i].verdict)
			fail_msg("case %zu: %d", i, (int)got);
	}
}

static void
test_long(void **state)
{
	char text[513];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "bcde", 4);
	assert_int_equal(password_policy_check((struct str){ text, 512 }, STR(""), STR(""), MIN),
	    PASSWORD_POLICY_OK);
	assert_int_equal(password_policy_check((struct str){ text, 513 }, STR(""), STR(""), MIN),
	    PASSWORD_POLICY_LONG);
}

/* Each verdict has its sentence. */
static void
test_explanations(void **state)
{
	(void)state;
	for (unsigned i = 1; i < PASSWORD_POLICY_COUNT; i++) {
		struct buf out = { 0 };

		password_policy_explain(i, 12, &out);
		assert_int_equal(out.data[out.len - 1], '.');
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_explanations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
