#include "submitd/pause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct case_ {
	uint64_t first, most;
	unsigned failures;
	uint32_t dice;
	uint64_t pause;
} CASES[] = {
	{ 60, 3600, 1, 0, 60 },
	{ 60, 3600, 2, 0, 120 },
	{ 60, 3600, 6, 0, 1920 },
	{ 60, 3600, 7, 0, 3600 }, /* not 3840 */
	{ 60, 3600, 1000000, 0, 3600 },
	{ 60, 3600, 1, UINT32_MAX, 45 }, /* by chance: a quarter less, never more */
	{ 60, 3600, 7, UINT32_MAX, 2700 },
	{ 60, 3600, 7, UINT32_MAX / 2, 3151 },
	{ 7200, 3600, 1, 0, 3600 }, /* the most is the most, also of the first */
	{ 1, 1, 5, UINT32_MAX, 1 },
	{ 30000, 300000, 4, 0, 240000 }, /* a relay's, in milliseconds */
	{ 30000, 300000, 5, 0, 300000 },
	{ UINT64_C(1) << 60, UINT64_C(1) << 60, 3, UINT32_MAX,
	    (UINT64_C(1) << 60) - (UINT64_C(1) << 58) },
};

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		const struct case_ *t = &CASES[i];

		assert_int_equal(pause_after(t->first, t->most, t->failures, t->dice), t->pause);
	}
}

static void
test_dice_stays_in_bounds(void **state)
{
	bool differs = false;
	uint32_t last = pause_dice();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint32_t dice = pause_dice();
		uint64_t pause = pause_after(60, 3600, 3, dice);

		assert_true(pause >= 180 && pause <= 240);
		differs |= dice != last;
	}
	assert_true(differs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_dice_stays_in_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
