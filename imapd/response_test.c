#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "imapd/response.h"
#include "imapd/session.h"

static const struct {
	struct str in;
	const char *string, *astring;
} STRINGS[] = {
	{ { "abc", 3 }, "\"abc\"", "abc" },
	{ { "", 0 }, "\"\"", "\"\"" },
	{ { "a b", 3 }, "\"a b\"", "\"a b\"" },
	{ { "NIL", 3 }, "\"NIL\"", "\"NIL\"" }, /* an atom NIL would be nothing */
	{ { "a\"\\", 3 }, "\"a\\\"\\\\\"", "\"a\\\"\\\\\"" },
	{ { "a\nb", 3 }, "{3}\r\na\nb", "{3}\r\na\nb" },
	{ { "\xc3\xa4", 2 }, "{2}\r\n\xc3\xa4", "{2}\r\n\xc3\xa4" },
};

static void
test_strings(void **state)
{
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(STRINGS); i++) {
		imap_out_string(&out, STRINGS[i].in);
		assert_string_equal(buf_cstr(&out), STRINGS[i].string);
		buf_reset(&out);
		imap_out_astring(&out, STRINGS[i].in);
		assert_string_equal(buf_cstr(&out), STRINGS[i].astring);
		buf_reset(&out);
	}
	imap_out_nstring(&out, (struct str){ NULL, 0 });
	assert_string_equal(buf_cstr(&out), "NIL");
	buf_reset(&out);
	imap_out_string(&out, (struct str){ "a\0b", 3 });
	assert_memory_equal(out.data, "~{3}\r\na\0b", 9); /* NULs only in a literal8 */
	buf_free(&out);
}

static const struct {
	int64_t t;
	const char *text;
} TIMES[] = {
	{ 0, "\"01-Jan-1970 00:00:00 +0000\"" }, { 837596665, "\"17-Jul-1996 09:44:25 +0000\"" },
	{ -1, "\"31-Dec-1969 23:59:59 +0000\"" },
	{ INT64_MAX, "\"01-Jan-1970 00:00:00 +0000\"" }, /* no year of four digits */
};

static void
test_times(void **state)
{
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TIMES); i++) {
		buf_reset(&out);
		imap_out_date_time(&out, TIMES[i].t);
		assert_string_equal(buf_cstr(&out), TIMES[i].text);
	}
	buf_free(&out);
}

static const struct {
	const char *name, *rev1, *rev2;
} MAILBOXES[] = {
	{ "INBOX", "INBOX", "\"INBOX\"" },
	{ "a b", "\"a b\"", "\"a b\"" },
	{ "a&b", "a&-b", "\"a&b\"" },
	{ "Entw\xc3\xbcrfe", "Entw&APw-rfe", "\"Entw\xc3\xbcrfe\"" },
	{ "a*", "\"a*\"", "\"a*\"" },
};

static void
test_mailboxes(void **state)
{
	struct imap_session s = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(MAILBOXES); i++) {
		s.enabled = 0;
		imap_out_mailbox(&s, MAILBOXES[i].name);
		assert_string_equal(buf_cstr(&s.out), MAILBOXES[i].rev1);
		buf_reset(&s.out);
		s.enabled = IMAP_ENABLED_REV2;
		imap_out_mailbox(&s, MAILBOXES[i].name);
		assert_string_equal(buf_cstr(&s.out), MAILBOXES[i].rev2);
		buf_reset(&s.out);
	}
	buf_free(&s.out);
}

/* Every error of the store has an answer. */
static void
test_finish(void **state)
{
	struct arena a = { 0 };
	struct imap_request req = { .arena = &a };

	(void)state;
	assert_int_equal(imap_finish(&req, STORE_OK), IMAP_OK);
	for (unsigned e = STORE_OK + 1; e < STORE_ERR_COUNT; e++) {
		assert_int_equal(imap_finish(&req, (enum store_err)e), IMAP_NO);
		assert_non_null(req.code);
		assert_non_null(req.text);
	}
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_mailboxes),
		cmocka_unit_test(test_finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
