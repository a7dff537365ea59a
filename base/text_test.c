#include "base/buf.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

static void
test_sizes(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t bytes;
	} CASES[] = {
		{ "0", true, 0 },
		{ "1000", true, 1000 },
		{ "10K", true, 10 * KIB },
		{ "500M", true, 500 * MIB },
		{ "500m", true, 500 * MIB },
		{ "2G", true, 2 * GIB },
		{ "1T", true, TIB },
		{ "1.5G", true, GIB + GIB / 2 },
		{ "0.5M", true, MIB / 2 },
		{ "1.25K", true, KIB + KIB / 4 },
		{ "0.001K", true, 1 }, /* rounded down */
		{ "2.0G", true, 2 * GIB },
		{ "1.5", false, 0 }, /* half a byte */
		{ "1.", false, 0 },
		{ "1.G", false, 0 },
		{ ".5G", false, 0 },
		{ "1.5.5G", false, 0 },
		{ "1.0001G", false, 0 },
		{ "1,5G", false, 0 },
		{ "2GB", false, 0 },
		{ "2 G", false, 0 },
		{ "-1", false, 0 },
		{ "", false, 0 },
		{ "G", false, 0 },
		{ "8T", false, 0 }, /* more than is asked for */
		{ "99999999999T", false, 0 },
		{ "18446744073709551615T", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		uint64_t bytes = 0;

		assert_int_equal(text_size(str_from(CASES[i].text), 4 * TIB, &bytes), CASES[i].ok);
		if (CASES[i].ok)
			assert_int_equal(bytes, CASES[i].bytes);
	}
}

static void
numbers_are_decimal(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} CASES[] = {
		{ 0, "0" },
		{ 9, "9" },
		{ 10, "10" },
		{ 4294967295U, "4294967295" },
		{ UINT64_MAX, "18446744073709551615" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf b = { 0 };

		buf_number(&b, CASES[i].n);
		assert_string_equal(buf_cstr(&b), CASES[i].text);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(numbers_are_decimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
