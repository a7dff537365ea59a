#include "submitd/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static char ANN[] = "ann@example.org", NOBODY[] = "";

/* The time is 1000; the next attempt would be at 2000. */
static const struct case_ {
	char *sender;
	char mode;
	int64_t deliver_by;
	char counts_as;
	bool returns, is_late;
	int64_t look;
} CASES[] = {
	{ ANN, 0, 0, 0, false, false, 2000 },
	{ ANN, 'R', 1500, 'R', false, false, 1500 },
	{ ANN, 'R', 1000, 'R', true, false, 2000 }, /* no second is left */
	{ ANN, 'R', 999, 'R', true, false, 2000 },
	{ ANN, 'R', 3000, 'R', false, false, 2000 },
	{ ANN, 'N', 1500, 'N', false, false, 1500 },
	{ ANN, 'N', 1000, 'N', false, true, 2000 },
	{ ANN, 'N', -5, 'N', false, true, 2000 },
	{ NOBODY, 'R', 1500, 'N', false, false, 1500 },
	{ NOBODY, 'R', 999, 'N', false, true, 2000 }, /* a bounce goes back to nobody */
	{ NOBODY, 0, 0, 0, false, false, 2000 },
};

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		const struct case_ *t = &CASES[i];
		struct spool_message msg = {
			.sender = t->sender, .by_mode = t->mode, .deliver_by = t->deliver_by
		};

		assert_int_equal(deadline_mode(&msg), t->counts_as);
		assert_int_equal(deadline_returns(&msg, 1000), t->returns);
		assert_int_equal(deadline_is_late(&msg, 1000), t->is_late);
		assert_int_equal(deadline_no_later(&msg, 1000, 2000), t->look);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
