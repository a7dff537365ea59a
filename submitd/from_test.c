#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "submitd/from.h"

/* ann has an alias; everything else is somebody else's. */
static bool
is_anns(void *arg, struct str address)
{
	(void)arg;
	return str_eq_nocase(address, STR("ann@example.org")) ||
	       str_eq_nocase(address, STR("info@example.org")) ||
	       str_eq_nocase(address, STR("\"a b\"@example.org"));
}

struct from_case {
	const char *header;
	bool refused; /* FROM_REFUSE */
	const char
	    *add_sender; /* FROM_ADD_SENDER: d drop, a add, D and A the same of Resent-Sender */
};

static const struct from_case CASES[] = {
	{ "From: ann@example.org\r\n", false, "" },
	{ "FROM : Ann <ANN@example.org>\r\n", false, "" },
	{ "From: \"the boss, boss@x.org\" <info@example.org>\r\n", false, "" },
	{ "From: =?utf-8?q?boss=40x=2Eorg?= <info@example.org>\r\n", false, "" },
	{ "From: \"a b\"@example.org\r\n", false, "" },
	{ "From: (boss@x.org) ann@example.org (boss@x.org)\r\n", false, "" },
	{ "From: Ann\r\n <ann@\r\n example.org>\r\n", false, "" },
	{ "To: q@x.org\r\n", false, "" }, /* From is added */
	{ "From: boss@x.org\r\n", true, "a" },
	{ "From: Boss <boss@x.org>\r\nSender: ann@example.org\r\n", true, "" },
	{ "From: Boss <boss@x.org>\r\nSender: pa@x.org\r\n", true, "da" },
	{ "From: ann@example.org\r\nSender: boss@x.org\r\n", true, "d" },
	{ "From: ann@example.org\r\nSender: info@example.org\r\n", false, "" },
	{ "From: ann@example.org\r\nSender: ann@example.org\r\nSender: ann@example.org\r\n", true,
	    "d" },
	{ "From: ann@example.org\r\nSender: ann@example.org, info@example.org\r\n", true, "d" },
	/* several */
	{ "From: ann@example.org, info@example.org\r\nSender: ann@example.org\r\n", false, "" },
	{ "From: ann@example.org, boss@x.org\r\n", true, "a" },
	{ "From: ann@example.org\r\nTo: q\r\nFrom: ann@example.org\r\n", true, "a" },
	{ "From: ann@example.org\r\nfrom: boss@x.org\r\n", true, "a" },
	/* groups, RFC 6854 */
	{ "From: us: ann@example.org;\r\n", false, "" },
	{ "From: us: ann@example.org, boss@x.org;\r\n", true, "a" },
	{ "From: The Boss:;\r\n", true, "a" },
	{ "From: us: ann@example.org, boss@x.org\r\n", true, "a" },
	/* what one reader takes for this and another for that */
	{ "From: ann@example.org <boss@x.org>\r\n", true, "a" },
	{ "From: boss@x.org <ann@example.org>\r\n", true, "a" },
	{ "From: ann@example.org boss@x.org\r\n", true, "a" },
	{ "From: ann@example.org; boss@x.org\r\n", true, "a" },
	{ "From: <@x.org:ann@example.org>\r\n", true, "a" },
	{ "From: <ann@example.org\r\n", true, "a" },
	{ "From: us: ann@example.org <boss@x.org>;\r\n", true, "a" },
	{ "From: ann\r\n", true, "a" },
	{ "From:\r\n", true, "a" },
	{ "From: =?utf-8?q?ann=40example=2Eorg?=\r\n", true, "a" },
	/* sent on, RFC 5322 §3.6.6: Sender of the original is not ours to mend */
	{ "Resent-From: ann@example.org\r\nFrom: boss@x.org\r\nSender: pa@x.org\r\n", true, "" },
	{ "Resent-From: boss@x.org\r\nFrom: ann@example.org\r\n", true, "A" },
	{ "Resent-From: ann@example.org\r\nResent-Sender: boss@x.org\r\n"
	  "From: ann@example.org\r\n",
	    true, "D" },
	{ "Resent-From: info@example.org\r\nResent-From: boss@x.org\r\nFrom: ann@example.org\r\n",
	    false, "" },
};

static void
judge(const char *header, enum from_policy policy, struct from_verdict *v)
{
	struct from_check check = { .policy = policy, .is_own = is_anns };

	from_judge(&check, str_from(header), v);
}

static void
test_judge(void **state)
{
	struct from_verdict v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf did = { 0 };

		judge(CASES[i].header, FROM_OFF, &v);
		assert_false(v.refused || v.add_sender || v.drop_sender);
		judge(CASES[i].header, FROM_REFUSE, &v);
		if (v.refused != CASES[i].refused)
			fail_msg("%s: %s", CASES[i].header, v.why);
		assert_int_equal(v.refused, *v.why != '\0');
		judge(CASES[i].header, FROM_ADD_SENDER, &v);
		assert_false(v.refused);
		if (v.drop_sender)
			buf_addc(&did, 'd');
		if (v.add_sender)
			buf_addc(&did, 'a');
		if (v.drop_resent_sender)
			buf_addc(&did, 'D');
		if (v.add_resent_sender)
			buf_addc(&did, 'A');
		if (strcmp(buf_cstr(&did), CASES[i].add_sender) != 0)
			fail_msg("%s: %s", CASES[i].header, buf_cstr(&did));
		buf_free(&did);
	}
}

static void
test_says_why(void **state)
{
	struct from_verdict v;

	(void)state;
	judge("From: Boss\r\n\t<boss@x.org>\r\n", FROM_REFUSE, &v);
	assert_string_equal(v.why, "From: Boss?<boss@x.org> is not an address of yours");
	judge("From: b\xFFss@x.org\r\n", FROM_REFUSE, &v);
	assert_string_equal(v.why, "From: what it says is not an address of yours");
	judge("From: ann@example.org\r\nResent-From: boss@x.org\r\n", FROM_REFUSE, &v);
	assert_string_equal(v.why, "Resent-From: boss@x.org is not an address of yours");
	/* RFC 5322 §3.6.2: several authors need a Sender */
	judge("From: ann@example.org, info@example.org\r\n", FROM_REFUSE, &v);
	assert_false(v.refused);
	assert_true(v.add_sender);
}

static void
test_bounds(void **state)
{
	struct buf header = { 0 };
	struct from_verdict v;

	(void)state;
	buf_adds(&header, "From: ann@example.org");
	for (size_t i = 1; i < FROM_ADDRESSES_MAX; i++)
		buf_adds(&header, ", ann@example.org");
	judge(buf_cstr(&header), FROM_REFUSE, &v);
	assert_false(v.refused);
	buf_adds(&header, ", ann@example.org");
	judge(buf_cstr(&header), FROM_REFUSE, &v);
	assert_true(v.refused);
	buf_reset(&header);
	buf_adds(&header, "From: ann@example.org (");
	for (size_t i = 0; i < FROM_FIELD_MAX; i++)
		buf_addc(&header, 'x');
	buf_adds(&header, ")\r\n");
	judge(buf_cstr(&header), FROM_REFUSE, &v);
	assert_true(v.refused);
	assert_in_range(strlen(v.why), 200, 300);
	buf_free(&header);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_says_why),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
