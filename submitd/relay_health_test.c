#include "submitd/relay_health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define PROBE_MS 1000

/* One relay's life: at that time it fails or is reached; then it is up, or to be left alone until then. */
static const struct event {
	uint64_t at_ms;
	bool fails, news;  /* news: it was not known */
	uint64_t until_ms; /* 0: it is up */
} LIFE[] = {
	{ 100, false, false, 0 }, { 200, true, true, 1200 },
	{ 300, true, false, 1200 }, /* another conversation that ends at the same time */
	{ 1199, true, false, 1200 }, { 1200, true, true, 3200 }, /* the probe: twice as long */
	{ 3200, true, true, 7200 }, { 7200, true, true, 15200 },
	{ 15200, true, true, 25200 },                             /* ten times, no more */
	{ 25200, true, true, 35200 }, { 35300, false, true, 0 },  /* back */
	{ 35400, false, false, 0 }, { 35500, true, true, 36500 }, /* and from the start */
};

static void
test_life(void **state)
{
	struct relay_health h = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(LIFE); i++) {
		const struct event *e = &LIFE[i];
		bool news = e->fails ? relay_health_fail(&h, e->at_ms, PROBE_MS, 0)
				     : relay_health_recover(&h);

		assert_int_equal(news, e->news);
		assert_int_equal(relay_health_is_up(&h), e->until_ms == 0);
		assert_false(relay_health_is_due(&h, e->until_ms - 1) && e->until_ms > 0);
		assert_int_equal(relay_health_is_due(&h, e->until_ms), e->until_ms > 0);
		h.probing = true; /* one at a time */
		assert_false(relay_health_is_due(&h, e->until_ms));
		h.probing = false;
	}
}

static void
test_pause_is_jittered(void **state)
{
	struct relay_health h = { 0 };

	(void)state;
	assert_true(relay_health_fail(&h, 0, PROBE_MS, UINT32_MAX));
	assert_int_equal(h.down_until_ms, 750);
}

/* u: up; d: down; D: down and due; p: due, and being probed.  The answers are places, '-' for none. */
static const struct choice {
	const char *list;
	unsigned tried;
	char take, probe;
} CHOICES[] = {
	{ "uu", 0, '0', '-' },
	{ "du", 0, '1', '-' },
	{ "Du", 0, '1', '0' }, /* the mail does not wait for the probe */
	{ "DDu", 0, '2', '0' },
	{ "pu", 0, '1', '-' },
	{ "uD", 0, '0', '-' }, /* a later one need not be probed */
	{ "dD", 0, '1', '-' }, /* none is up: the mail itself is the probe */
	{ "DD", 0, '0', '-' },
	{ "pD", 0, '1', '-' },
	{ "dd", 0, '-', '-' },
	{ "pp", 0, '-', '-' },
	{ "", 0, '-', '-' },
	{ "uu", 1, '1', '-' }, /* the first was tried */
	{ "uu", 3, '-', '-' },
	{ "Du", 1, '1', '-' },
	{ "Du", 2, '0', '-' },
	{ "duu", 2, '2', '-' },
};

static void
test_choices(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CHOICES); i++) {
		const struct choice *t = &CHOICES[i];
		size_t count = strlen(t->list), probe, place;
		struct relay_health all[4] = { 0 };
		const struct relay_health *list[4];

		for (size_t k = 0; k < count; k++) {
			all[k].failures = t->list[k] != 'u';
			all[k].down_until_ms = t->list[k] == 'd' ? 1001 : 1000;
			all[k].probing = t->list[k] == 'p';
			list[k] = &all[k];
		}
		place = relay_health_choose(list, count, t->tried, 1000, &probe);
		assert_int_equal(place, t->take == '-' ? count : (size_t)(t->take - '0'));
		assert_int_equal(probe, t->probe == '-' ? count : (size_t)(t->probe - '0'));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_pause_is_jittered),
		cmocka_unit_test(test_choices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
