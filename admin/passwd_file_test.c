#include "admin/passwd_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

static void
add(struct buf *out, const char *title, struct str s)
{
	buf_printf(out, "%s", title);
	buf_add(out, s.p, s.len);
}

static void
test_lines(void **state)
{
	static const struct {
		const char *line, *want; /* NULL: nothing to read */
	} CASES[] = {
		{ "", NULL },
		{ "   ", NULL },
		{ "# a comment", NULL },
		{ "ann:{SSHA}x", "u=ann p={SSHA}x g= e=" },
		{ "ann@example.org:x:1000:1000:Ann Smith:/home/ann:/bin/sh\r",
		    "u=ann@example.org p=x g=Ann Smith e=" },
		{ "ann:x:::::", "u=ann p=x g= e=" },
		{ "ann:x::::::userdb_quota_rule=*:storage=5G",
		    "u=ann p=x g= e=userdb_quota_rule=*:storage=5G" },
		{ "ann", "u=ann p= g= e=" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct passwd_line p;
		struct buf out = { 0 };
		bool ok = passwd_line_split(str_from(CASES[i].line), &p);

		assert_int_equal(ok, CASES[i].want != NULL);
		if (ok) {
			add(&out, "u=", p.user);
			add(&out, " p=", p.password);
			add(&out, " g=", p.gecos);
			add(&out, " e=", p.extra);
			assert_string_equal(buf_cstr(&out), CASES[i].want);
		}
		buf_free(&out);
	}
}

static void
test_extras(void **state)
{
	struct cursor c = cursor_from(STR("  nologin a=b=c  d= "));
	struct str key, value;

	(void)state;
	assert_true(passwd_extra_next(&c, &key, &value));
	assert_true(str_eq(key, STR("nologin")));
	assert_null(value.p);
	assert_true(passwd_extra_next(&c, &key, &value));
	assert_true(str_eq(key, STR("a")) && str_eq(value, STR("b=c")));
	assert_true(passwd_extra_next(&c, &key, &value));
	assert_true(str_eq(key, STR("d")) && value.p != NULL && value.len == 0);
	assert_false(passwd_extra_next(&c, &key, &value));
}

static void
test_quota(void **state)
{
	static const struct {
		const char *rule;
		bool ok;
		uint64_t bytes, messages;
	} CASES[] = {
		{ "*:storage=5G", true, UINT64_C(5) << 30, 0 },
		{ "*:storage=500MB", true, UINT64_C(500) << 20, 0 },
		{ "*:storage=1048576", true, UINT64_C(1) << 30, 0 }, /* kilobytes */
		{ "*:bytes=1048576", true, UINT64_C(1) << 20, 0 },
		{ "*:bytes=2G:messages=1000", true, UINT64_C(2) << 30, 1000 },
		{ "*:messages=10", true, 0, 10 },
		{ "Trash:storage=+10%", false, 0, 0 },
		{ "*:storage=+10%", false, 0, 0 },
		{ "*:ignore", false, 0, 0 },
		{ "*", false, 0, 0 },
		{ "", false, 0, 0 },
		{ "*:storage=99999999999999999999", false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		uint64_t bytes, messages;
		bool ok = passwd_quota_rule(str_from(CASES[i].rule), &bytes, &messages);

		assert_int_equal(ok, CASES[i].ok);
		if (!ok)
			continue;
		assert_int_equal(bytes, CASES[i].bytes);
		assert_int_equal(messages, CASES[i].messages);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_extras),
		cmocka_unit_test(test_quota),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
