#include "store/mailbox_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

/* Names and directories that lead to each other. */
static const struct {
	const char *name, *folder;
} PAIRS[] = {
	{ "INBOX", "" }, { "Sent", ".Sent" }, { "A/B/C", ".A.B.C" }, { "INBOX/kid", ".INBOX.kid" },
	{ "Entwürfe", ".Entw&APw-rfe" }, { "v1.2/x", ".v1&AC4-2.x" }, { "ä.ö", ".&AOQ-&AC4-&APY-" },
	{ "a&b", ".a&-b" }, { "&AC4-", ".&-AC4-" }, { "INBOXES", ".INBOXES" },
	{ "a/INBOX", ".a.INBOX" },
	/* what is not canonical on disk */
	{ "&=caf%E9", ".caf\xe9" }, { "&=café", ".café" }, { "&=inbox/kid", ".inbox.kid" },
	{ "&=INBOX", ".INBOX" }, { "A/&=/B", ".A..B" }, { "A/&=", ".A." }, { "&=/x", "..x" },
	{ "&=&AGE-", ".&AGE-" }, { "&=100%25&", ".100%&" },
	{ "&=&-=x", ".&-=x" }, /* its plain form would look raw */
	{ "&=%0A", ".\n" }, { "&=&AC8-", ".&AC8-" }, { "&=&AAo-", ".&AAo-" },
	{ "&=&AC4-", ".&AC4-" }, /* a level "." */
};

static void
pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++) {
		struct buf out = { 0 };

		assert_true(mailbox_name_from_folder(&out, str_from(PAIRS[i].folder)));
		assert_string_equal(buf_cstr(&out), PAIRS[i].name);
		buf_reset(&out);
		assert_int_equal(mailbox_name_to_folder(&out, str_from(PAIRS[i].name)), STORE_OK);
		assert_string_equal(buf_cstr(&out), PAIRS[i].folder);
		buf_free(&out);
	}
}

static const char *const NOT_FOLDERS[] = { ".", "..", "x", "cur", "..DOVECOT-TRASHED", ".a/b" };

/* No directory may be reached by these. */
static const char *const NOT_NAMES[] = {
	"",
	"/a",
	"a/",
	"a//b",
	".",
	"..",
	"a/../b",
	"a\nb",
	"a\xc2\x85",
	"\xff",
	"\xe2\x80\xa8",
	"\xef\xbb\xbfx",
	"&=Plain",
	"&=a.b",
	"&=%2F",
	"&=%4",
	"&=%zz",
	"&=%e9",
	"&=..",
};

static void
bad(void **state)
{
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(NOT_FOLDERS); i++)
		assert_false(mailbox_name_from_folder(&out, str_from(NOT_FOLDERS[i])));
	for (size_t i = 0; i < ARRAY_LEN(NOT_NAMES); i++) {
		if (mailbox_name_to_folder(&out, str_from(NOT_NAMES[i])) != STORE_INVALID)
			fail_msg("%s is %s", NOT_NAMES[i], buf_cstr(&out));
		assert_non_null(mailbox_name_problem(str_from(NOT_NAMES[i])));
		assert_int_equal(out.len, 0);
	}
	assert_non_null(mailbox_name_problem(STR("&=caf%E9")));
	assert_null(mailbox_name_problem(STR("inbox/kid")));
	buf_free(&out);
}

static void
lengths(void **state)
{
	char name[512];

	(void)state;
	memset(name, 'x', sizeof(name));
	assert_null(mailbox_name_problem((struct str){ name, MAILBOX_LEVEL_MAX_BYTES }));
	assert_non_null(mailbox_name_problem((struct str){ name, MAILBOX_LEVEL_MAX_BYTES + 1 }));
	name[100] = name[200] = '/';
	assert_null(mailbox_name_problem((struct str){ name, 254 }));
	assert_non_null(mailbox_name_problem((struct str){ name, 255 })); /* on disk: 256 */
}

/* Directories whose names are UTF-8; NULL: none of them. */
static void
utf8_folders(void **state)
{
	static const struct {
		const char *folder, *name;
	} ROWS[] = {
		{ ".Entw\xC3\xBCrfe", "Entw\xC3\xBCrfe" },
		{ ".R&D.\xC3\xBC.x", "R&D/\xC3\xBC/x" },
		{ ".Plain", NULL },
		{ ".\xC3", NULL },
		{ ".\xC3\xBC..x", NULL },
		{ ".\xC3\xBC\n", NULL },
		{ ".&=\xC3\xBC", NULL },
		{ ".inbox.\xC3\xBC", NULL },
		{ ".a/\xC3\xBC", NULL },
		{ "\xC3\xBC", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		struct buf out = { 0 };

		assert_int_equal(mailbox_name_from_utf8_folder(&out, str_from(ROWS[i].folder)),
		    ROWS[i].name != NULL);
		assert_string_equal(buf_cstr(&out), ROWS[i].name != NULL ? ROWS[i].name : "");
		buf_reset(&out);
		if (ROWS[i].name != NULL) {
			assert_true(mailbox_name_to_utf8_folder(&out, str_from(ROWS[i].name)));
			assert_string_equal(buf_cstr(&out), ROWS[i].folder);
		}
		buf_free(&out);
	}
}

static void
inbox(void **state)
{
	struct buf out = { 0 };

	(void)state;
	assert_true(mailbox_name_is_inbox("inBox"));
	assert_int_equal(mailbox_name_to_folder(&out, STR("inBox")), STORE_OK);
	assert_int_equal(out.len, 0);
	assert_int_equal(mailbox_name_to_folder(&out, STR("inbox/Kid")), STORE_OK);
	assert_string_equal(buf_cstr(&out), ".INBOX.Kid");
	assert_true(mailbox_name_is_below(STR("a/b"), STR("a")));
	assert_false(mailbox_name_is_below(STR("ab"), STR("a")));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs),
		cmocka_unit_test(bad),
		cmocka_unit_test(lengths),
		cmocka_unit_test(utf8_folders),
		cmocka_unit_test(inbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
