#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/date.h"

static const struct {
	const char *text;
	bool good;
	int64_t time;
	int zone;
} MAIL[] = {
	{ "Sat, 01 Nov 2025 10:00:00 +0100", true, 1761987600, 60 },
	{ "1 Nov 2025 10:00:00 +0100 (CET)", true, 1761987600, 60 },
	{ "Sat,  1 Nov 2025\r\n 09:00 GMT", true, 1761987600, 0 },
	{ "Sat, 1 Nov 25 09:00:00 UT", true, 1761987600, 0 },
	{ "1 (x) Nov 125 09 : 00 : 00 Z", true, 1761987600, 0 },
	{ "Sat, 1 Nov 2025 04:00:00 EST", true, 1761987600, -300 },
	{ "Sat, 1-Nov-2025 09:00:00 -0000", true, 1761987600, 0 },
	{ "Sat Nov  1 09:00:00 2025", true, 1761987600, 0 },
	{ "Sat, 1 November 2025 09:00:00 what", true, 1761987600, 0 },
	{ "29 Feb 2024 00:00:00 +0000", true, 1709164800, 0 },
	{ "31 Dec 1998 23:59:60 +0000", true, 915148799, 0 },
	{ "29 Feb 2023 00:00:00 +0000", false, 0, 0 },
	{ "32 Jan 2023 00:00:00 +0000", false, 0, 0 },
	{ "1 Nov 2025 24:00:00 +0000", false, 0, 0 },
	{ "18 Jul 0102 19:51:35 -0100", false, 0, 0 },
	{ "31 Dec 1899 23:59:59 +0000", false, 0, 0 },
	{ "1 Jan 1900 00:00:00 +0000", true, -2208988800, 0 },
	{ "yesterday", false, 0, 0 },
	{ "", false, 0, 0 },
};

static const struct {
	const char *text;
	bool good;
	int64_t time;
	int zone;
} IMAP[] = {
	{ "17-Jul-1996 02:44:25 -0700", true, 837596665, -420 },
	{ " 7-Jul-1996 02:44:25 +0000", true, 836707465, 0 },
	{ "7-Jul-1996 02:44:25 +0000", true, 836707465, 0 },
	{ "17-July-1996 02:44:25 -0700", false, 0, 0 },
	{ "17-Jul-1996 02:44:25", false, 0, 0 },
	{ "17-Jul-1996 2:44:25 -0700", false, 0, 0 },
	{ "17-Jul-96 02:44:25 -0700", false, 0, 0 },
	{ "17-Jul-1996 02:44:25 -0700 ", false, 0, 0 },
};

static void
test_dates(void **state)
{
	int64_t time = 0, day;
	int zone = 0;
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(MAIL); i++) {
		if (date_parse_rfc5322(str_from(MAIL[i].text), &time, &zone) != MAIL[i].good)
			fail_msg("%s", MAIL[i].text);
		if (MAIL[i].good && (time != MAIL[i].time || zone != MAIL[i].zone))
			fail_msg("%s: %lld %d", MAIL[i].text, (long long)time, zone);
	}
	for (size_t i = 0; i < ARRAY_LEN(IMAP); i++) {
		if (date_parse_imap(str_from(IMAP[i].text), &time, &zone) != IMAP[i].good)
			fail_msg("%s", IMAP[i].text);
		if (IMAP[i].good && (time != IMAP[i].time || zone != IMAP[i].zone))
			fail_msg("%s: %lld %d", IMAP[i].text, (long long)time, zone);
	}
	date_print_rfc5322(&out, 1761987600, 60);
	assert_string_equal(buf_cstr(&out), "Sat, 01 Nov 2025 10:00:00 +0100");
	buf_reset(&out);
	date_print_imap(&out, 837596665, -420);
	assert_string_equal(buf_cstr(&out), "17-Jul-1996 02:44:25 -0700");
	buf_reset(&out);
	assert_true(date_parse_imap_day(STR("1-Feb-1994"), &day));
	date_print_imap_day(&out, day);
	assert_string_equal(buf_cstr(&out), "1-Feb-1994");
	assert_int_equal(date_day(-1, 0), -1);
	assert_int_equal(date_day(0, -60), -1);
	assert_false(date_parse_imap_day(STR("1-Foo-1994"), &day));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_dates) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
