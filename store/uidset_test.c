#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/uidset.h"

static void
expect(const struct uidset *s, const char *text)
{
	struct buf b = { 0 };

	uidset_format(s, &b);
	assert_string_equal(buf_cstr(&b), text);
	buf_free(&b);
}

static struct uidset
set(const char *text)
{
	struct uidset s = { 0 };

	if (*text != '\0')
		assert_true(uidset_parse(&s, str_from(text)));
	return s;
}

static void
test_algebra(void **state)
{
	static const struct {
		const char *a, *b, *both, *common, *rest;
	} CASES[] = {
		{ "", "", "", "", "" },
		{ "1:5", "", "1:5", "", "1:5" },
		{ "", "3", "3", "", "" },
		{ "1:5", "3", "1:5", "3", "1:2,4:5" },
		{ "1:3", "4:6", "1:6", "", "1:3" }, /* neighbours join */
		{ "1:10", "2:3,5,9:20", "1:20", "2:3,5,9:10", "1,4,6:8" },
		{ "1,3,5,7", "2,4,6", "1:7", "", "1,3,5,7" },
		{ "1,3,5,7", "1:7", "1:7", "1,3,5,7", "" },
		{ "5:6,8:9", "1:20", "1:20", "5:6,8:9", "" },
		{ "4294967290:4294967295", "4294967295", "4294967290:4294967295", "4294967295",
		    "4294967290:4294967294" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct uidset a = set(CASES[i].a), b = set(CASES[i].b), s = { 0 };

		uidset_copy(&s, &a);
		uidset_union(&s, &b);
		expect(&s, CASES[i].both);
		uidset_copy(&s, &a);
		uidset_intersect(&s, &b);
		expect(&s, CASES[i].common);
		uidset_copy(&s, &a);
		uidset_subtract(&s, &b);
		expect(&s, CASES[i].rest);
		uidset_free(&a);
		uidset_free(&b);
		uidset_free(&s);
	}
}

static void
test_parse(void **state)
{
	static const struct {
		const char *in, *out; /* out NULL: refused */
	} CASES[] = {
		{ "1", "1" },
		{ "5:1", "1:5" }, /* ends may come swapped */
		{ "9,1,2", "1:2,9" },
		{ "1:3,2:9", "1:9" },
		{ "", NULL },
		{ "0", NULL },
		{ "1,", NULL },
		{ "1:*", NULL },
		{ "1:2:3", NULL },
		{ "4294967296", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct uidset s = { 0 };

		assert_int_equal(uidset_parse(&s, str_from(CASES[i].in)), CASES[i].out != NULL);
		expect(&s, CASES[i].out != NULL ? CASES[i].out : "");
		uidset_free(&s);
	}
}

/* All operations against a plain array of booleans. */
static void
test_random(void **state)
{
	enum { N = 200, ROUNDS = 20000 };
	bool model[N + 2] = { false };
	struct uidset s = { 0 }, t = { 0 };
	struct buf blob = { 0 };
	uint32_t seed = 7;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t a, b, n = 0;

		seed = seed * 1664525 + 1013904223;
		a = 1 + (seed >> 8) % N;
		b = a + (seed >> 20) % 5;
		if (b > N)
			b = N;
		for (uint32_t u = a; u <= b; u++)
			model[u] = (seed >> 30) < 2;
		if ((seed >> 30) < 2)
			uidset_add_range(&s, a, b);
		else
			uidset_remove_range(&s, a, b);
		for (uint32_t u = 1; u <= N; u++) {
			assert_int_equal(uidset_contains(&s, u), model[u]);
			n += model[u];
			assert_int_equal(uidset_count_upto(&s, u), n);
			assert_int_equal(uidset_rank(&s, u), model[u] ? n : 0);
			if (model[u])
				assert_int_equal(uidset_nth(&s, n), u);
		}
		assert_int_equal(uidset_count(&s), n);
		assert_int_equal(uidset_nth(&s, n + 1), 0);
		for (uint32_t u = uidset_next(&s, 0); u != 0; u = uidset_next(&s, u), n--)
			assert_true(model[u]);
		assert_int_equal(n, 0);
		for (size_t i = 1; i < s.run_count; i++)
			assert_true(s.runs[i].first > s.runs[i - 1].last + 1);
		buf_reset(&blob);
		uidset_pack(&s, &blob);
		assert_true(uidset_unpack(&t, blob.data, blob.len));
		assert_true(uidset_eq(&s, &t));
	}
	uidset_free(&s);
	uidset_free(&t);
	buf_free(&blob);
}

static void
test_unpack_refuses(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} CASES[] = {
		{ "\x01", 1 },                     /* half a pair */
		{ "\x00\x00", 2 },                 /* 0 is no UID */
		{ "\x05\x00\x01\x00", 4 },         /* touching runs */
		{ "\x80", 1 },                     /* an open varint */
		{ "\x80\x00\x00", 3 },             /* an overlong one */
		{ "\xff\xff\xff\xff\x0f\x01", 6 }, /* beyond 32 bits */
		{ "\xff\xff\xff\xff\x7f\x00", 6 },
	};
	struct uidset s = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		assert_false(uidset_unpack(&s, CASES[i].bytes, CASES[i].len));
		assert_true(uidset_is_empty(&s));
	}
	uidset_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algebra),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_unpack_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
