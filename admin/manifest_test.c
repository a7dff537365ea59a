/* Manifests as text, what is damaged in them, and how messages are found again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/manifest.h"

#define HEX "00000000000000000000000000000000000000000000000000000000000000ff"

static void
add(struct manifest *m, const char *path, uint64_t size, int64_t mtime_ns, uint64_t inode,
    int64_t born_ns)
{
	struct manifest_entry e = { .digest.bytes[31] = 0xff,
		.size = size,
		.mtime_ns = mtime_ns,
		.inode = inode,
		.born_ns = born_ns,
		.path = path };

	manifest_add(m, &e);
}

static void
round_trip(void **state)
{
	static const char TEXT[] =
	    "sanger-manifest 1\n"
	    "taken 1795247697\n" HEX " 12 1795247697.000000001 77.5 cur/1.M2.host,U=1:2,S\n" HEX
	    " 0 -2.500000000 - .A\\\\B/new/odd\\nname\n"
	    "end 2\n";
	struct manifest m = { .taken_s = 1795247697 }, again;
	struct buf text = { 0 };
	size_t line;

	(void)state;
	add(&m, "cur/1.M2.host,U=1:2,S", 12, INT64_C(1795247697000000001), 77, 5);
	add(&m, ".A\\B/new/odd\nname", 0, INT64_C(-1500000000), 0, 0);
	manifest_format(&text, &m);
	assert_string_equal(buf_cstr(&text), TEXT);
	assert_true(manifest_parse((struct str){ text.data, text.len }, true, &again, &line));
	assert_int_equal(again.count, 2);
	assert_int_equal(again.taken_s, 1795247697);
	assert_string_equal(again.entries[1].path, ".A\\B/new/odd\nname");
	assert_int_equal(again.entries[1].mtime_ns, INT64_C(-1500000000));
	assert_memory_equal(&again.entries[0].digest, &m.entries[0].digest, FILE_DIGEST_BYTES);
	manifest_free(&again);
	manifest_free(&m);
	buf_free(&text);
}

static void
damaged(void **state)
{
#define TOP "sanger-manifest 1\ntaken 5\n"
	static const struct {
		const char *text;
		size_t line; /* where it is said to be damaged */
		size_t kept; /* entries taken from a run that was stopped */
	} CASES[] = {
		{ "", 1, 0 },
		{ "sanger-manifest 2\n", 1, 0 },
		{ "sanger-manifest 1\ntook 5\n", 2, 0 },
		{ TOP, 2, 0 }, /* no end */
		{ TOP "end 1\n", 3, 0 },
		{ TOP HEX " 1 1.000000000 - cur/a\nend 1\nmore\n", 4, 1 },
		{ TOP HEX " 1 1.000000000 - cur/a\nend 2\n", 4, 1 },
		{ TOP HEX " 1 1.000000000 - cur/a\n" HEX " 1 1.0000", 4, 1 }, /* cut off */
		{ TOP HEX " 1 1.000000000 - cur/a", 3, 0 },
		{ TOP "zz" HEX " 1 1.000000000 - cur/a\nend 1\n", 3, 0 },
		{ TOP HEX " 1 1.0 - cur/a\nend 1\n", 3, 0 }, /* nine digits */
		{ TOP HEX " -1 1.000000000 - cur/a\nend 1\n", 3, 0 },
		{ TOP HEX " 1 1.000000000 - ../a\nend 1\n", 3, 0 }, /* nothing leads out */
		{ TOP HEX " 1 1.000000000 - /a\nend 1\n", 3, 0 },
		{ TOP HEX " 1 1.000000000 - a/../b\nend 1\n", 3, 0 },
		{ TOP HEX " 1 1.000000000 - a//b\nend 1\n", 3, 0 },
		{ TOP HEX " 1 1.000000000 - \nend 1\n", 3, 0 },
		{ TOP HEX " 1 1.000000000 - a\\xb\nend 1\n", 3, 0 },
		{ TOP HEX " 1 99999999999999.000000000 - a\nend 1\n", 3, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct manifest m;
		size_t line;

		assert_false(manifest_parse(str_from(CASES[i].text), true, &m, &line));
		assert_int_equal(line, CASES[i].line);
		assert_int_equal(m.count, 0);
		manifest_parse(str_from(CASES[i].text), false, &m, &line);
		assert_int_equal(m.count, CASES[i].kept);
		manifest_free(&m);
	}
}

static void
messages(void **state)
{
	static const struct {
		const char *path, *folder, *unique; /* folder NULL: no message */
	} CASES[] = {
		{ "cur/1.M2.host,S=5,U=1:2,S", "", "1.M2.host" },
		{ "new/1.M2.host", "", "1.M2.host" },
		{ ".Sent/cur/1.M2.host:2,", ".Sent/", "1.M2.host" },
		{ "sanger-mailbox", NULL, NULL },
		{ ".Sent/dovecot-uidlist", NULL, NULL },
		{ "tmp/1.M2.host", NULL, NULL },
		{ ".Sent", NULL, NULL },
		{ "curious/1", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct str folder, unique;
		bool is = manifest_path_is_message(CASES[i].path, &folder, &unique);

		assert_int_equal(is, CASES[i].folder != NULL);
		if (is && CASES[i].folder != NULL) {
			assert_true(str_eq(folder, str_from(CASES[i].folder)));
			assert_true(str_eq(unique, str_from(CASES[i].unique)));
		}
	}
}

/* By name under other flags, by source under another name and folder; another size or time is another message. */
static void
finding(void **state)
{
	struct manifest m = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		char path[64];

		snprintf(path, sizeof(path), ".A/cur/%d.M1.host:2,", i);
		add(&m, path, 10, i, (uint64_t)i + 1, 99);
	}
	assert_non_null(manifest_find_message(&m, STR(".A/"), STR("7.M1.host"), 10, 7));
	assert_null(manifest_find_message(&m, STR(".A/"), STR("7.M1.host"), 11, 7));
	assert_null(manifest_find_message(&m, STR(".A/"), STR("7.M1.host"), 10, 8));
	assert_null(manifest_find_message(&m, STR(""), STR("7.M1.host"), 10, 7));
	assert_string_equal(manifest_find_source(&m, 8, 99, 10, 7)->path, ".A/cur/7.M1.host:2,");
	assert_null(manifest_find_source(&m, 8, 98, 10, 7)); /* the number was used again */
	assert_null(manifest_find_source(&m, 8, 0, 10, 7));
	assert_non_null(manifest_find_path(&m, ".A/cur/999.M1.host:2,"));
	assert_null(manifest_find_path(&m, ".A/cur/999.M1.host:2,S"));
	manifest_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(damaged),
		cmocka_unit_test(messages),
		cmocka_unit_test(finding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
