#include "store/maildir_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

#define NONE MAILDIR_SIZE_UNKNOWN
#define FS   (MAILDIR_FLAGGED | MAILDIR_SEEN)

static const struct {
	const char *name, *unique, *stem;
	uint64_t size, crlf_size;
	uint32_t uid, flags, keywords;
	const char *changed; /* with UID 7, flags FS, keyword b */
} NAMES[] = {
	{ "1.M2P3Q4.h,S=10,W=12,U=5:2,S", "1.M2P3Q4.h", "1.M2P3Q4.h,S=10,W=12", 10, 12, 5,
	    MAILDIR_SEEN, 0, "1.M2P3Q4.h,S=10,W=12,U=7:2,FSb" },
	{ "1.h", "1.h", "1.h", NONE, NONE, 0, 0, 0, "1.h,U=7:2,FSb" },
	{ "1.h:2,", "1.h", "1.h", NONE, NONE, 0, 0, 0, "1.h,U=7:2,FSb" },
	{ "1.h,Z=1,U=9,Q:2,DXac", "1.h", "1.h,Z=1,Q", NONE, NONE, 9, MAILDIR_DRAFT, 5,
	    "1.h,Z=1,Q,U=7:2,FSXb" },
	{ "1.h:1,junk", "1.h", "1.h", NONE, NONE, 0, 0, 0, "1.h,U=7:2,FSb" },
	{ "1.h:2,S,note", "1.h", "1.h", NONE, NONE, 0, MAILDIR_SEEN, 0, "1.h,U=7:2,FSb,note" },
	{ "1.h,S=x,W=-1,U=4294967296", "1.h", "1.h,S=x,W=-1", NONE, NONE, 0, 0, 0,
	    "1.h,S=x,W=-1,U=7:2,FSb" },
	{ "1.h,,S=3,", "1.h", "1.h,,S=3,", 3, NONE, 0, 0, 0, "1.h,,S=3,,U=7:2,FSb" },
	{ "noise", "noise", "noise", NONE, NONE, 0, 0, 0, "noise,U=7:2,FSb" },
};

static void
names(void **state)
{
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		struct maildir_name name;

		assert_true(maildir_name_parse(str_from(NAMES[i].name), &name));
		assert_true(str_eq(name.unique, str_from(NAMES[i].unique)));
		assert_true(name.size == NAMES[i].size);
		assert_true(name.crlf_size == NAMES[i].crlf_size);
		assert_int_equal(name.uid, NAMES[i].uid);
		assert_int_equal(name.flags, NAMES[i].flags);
		assert_int_equal(name.keywords, NAMES[i].keywords);
		buf_reset(&out);
		maildir_name_stem(&out, &name);
		assert_string_equal(buf_cstr(&out), NAMES[i].stem);
		buf_reset(&out);
		assert_true(maildir_name_change(&out, &name, 7, FS, 2));
		assert_string_equal(buf_cstr(&out), NAMES[i].changed);
	}
	buf_free(&out);
}

static void
limits(void **state)
{
	char longest[300];
	struct maildir_name name;
	struct buf out = { 0 };

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_true(maildir_name_parse((struct str){ longest, 255 }, &name));
	assert_false(maildir_name_change(&out, &name, 1, 0, 0));
	assert_int_equal(out.len, 0);
	assert_false(maildir_name_parse((struct str){ longest, 256 }, &name));
	assert_false(maildir_name_parse(STR(""), &name));
	assert_false(maildir_name_parse(STR(".hidden"), &name));
	assert_false(maildir_name_parse(STR("a/b"), &name));
	maildir_name_new(&out, 1, 2, UINT32_MAX, true, 63, (1u << 26) - 1);
	assert_true(out.len <= MAILDIR_NAME_MAX_BYTES);
	assert_true(maildir_name_parse((struct str){ out.data, out.len }, &name));
	assert_int_equal(name.uid, UINT32_MAX);
	assert_int_equal(name.flags, 63);
	assert_int_equal(name.keywords, (1u << 26) - 1);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(limits) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
