#include "imapd/partial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct {
	const char *text;
	bool ok;
	uint32_t count, from, to;
} CASES[] = {
	{ "1:500", true, 10, 0, 10 },
	{ "1:5", true, 10, 0, 5 },
	{ "5:1", true, 10, 0, 5 },
	{ "10:10", true, 10, 9, 10 },
	{ "11:20", true, 10, 0, 0 },
	{ "1:1", true, 0, 0, 0 },
	{ "-1:-3", true, 10, 7, 10 },
	{ "-3:-1", true, 10, 7, 10 },
	{ "-9:-20", true, 10, 0, 2 },
	{ "-11:-20", true, 10, 0, 0 },
	{ "-1:-4294967295", true, 10, 0, 10 },
	{ "1:4294967295", true, 10, 0, 10 },
	{ "0:1", false, 0, 0, 0 },
	{ "1:*", false, 0, 0, 0 },
	{ "1", false, 0, 0, 0 },
	{ "-1:1", false, 0, 0, 0 },
	{ "1:-1", false, 0, 0, 0 },
	{ "", false, 0, 0, 0 },
	{ "-", false, 0, 0, 0 },
	{ "1:4294967296", false, 0, 0, 0 },
};

static void
test_partial(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct cursor c = cursor_from(str_from(CASES[i].text));
		struct imap_partial p;
		struct buf out = { 0 };
		uint32_t from, to;

		assert_int_equal(imap_parse_partial(&c, &p), CASES[i].ok);
		if (!CASES[i].ok)
			continue;
		imap_partial_bounds(&p, CASES[i].count, &from, &to);
		if (from != CASES[i].from || to != CASES[i].to)
			fail_msg("%s: %u %u", CASES[i].text, from, to);
		imap_out_partial(&out, &p);
		assert_string_equal(buf_cstr(&out), CASES[i].text);
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_partial) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
