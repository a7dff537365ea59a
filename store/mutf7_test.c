#include "store/mutf7.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

/* Pairs that lead to each other. */
static const struct {
	const char *utf8, *mutf7;
} PAIRS[] = {
	{ "", "" },
	{ "INBOX", "INBOX" },
	{ "a&b", "a&-b" },
	{ "Entwürfe", "Entw&APw-rfe" },
	{ "日本語", "&ZeVnLIqe-" },
	{ "~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-" }, /* RFC 3501 §5.1.3 */
	{ "😀", "&2D3eAA-" },                                              /* a surrogate pair */
	{ "ä&ö", "&AOQ-&-&APY-" },
	{ "a\tb", "a&AAk-b" },
	{ "+,", "+," },
};

static const char *const BAD[] = {
	"&",
	"&AGE-",      /* 'a' needs no base64 */
	"&AOQ",       /* no end */
	"&AOQ-&APY-", /* one run cut in two */
	"&AOQAAA-",   /* a NUL behind it */
	"&AOR-",      /* bits left over that are not 0 */
	"&2D0-",      /* half a pair */
	"&3gA-",      /* the second half */
	"&2D0AYQ-",   /* half a pair, then 'a' */
	"&AO=-",
	"&/-",
	"caf\xc3\xa9",
	"a\tb",
};

static void
pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++) {
		struct buf out = { 0 };

		assert_true(mutf7_encode(&out, str_from(PAIRS[i].utf8)));
		assert_string_equal(buf_cstr(&out), PAIRS[i].mutf7);
		buf_reset(&out);
		assert_true(mutf7_decode(&out, str_from(PAIRS[i].mutf7)));
		assert_string_equal(buf_cstr(&out), PAIRS[i].utf8);
		buf_free(&out);
	}
}

static void
bad(void **state)
{
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
		if (mutf7_decode(&out, str_from(BAD[i])))
			fail_msg("%s", BAD[i]);
		assert_int_equal(out.len, 0);
	}
	assert_false(mutf7_encode(&out, STR("\xff")));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(pairs), cmocka_unit_test(bad) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
