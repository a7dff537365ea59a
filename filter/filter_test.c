#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "filter/filter.h"

static void
test_default_keeps(void **state)
{
	struct filter_message message = { .fd = -1, .sender = "", .rcpt = "a@b", .account = "a@b" };
	struct filter_result result;
	struct filter_error error;
	struct arena arena = { 0 };

	(void)state;
	assert_int_equal(
	    filter_run(filter_default(), &message, NULL, &arena, &result, &error), FILTER_OK);
	assert_int_equal(result.action_count, 1);
	assert_int_equal(result.actions[0].kind, FILTER_KEEP);
	assert_null(result.actions[0].store.mailbox);
	arena_free(&arena);
}

static void
test_unknown_language_is_an_error(void **state)
{
	struct filter *filter = NULL;
	struct filter_error error;

	(void)state;
	assert_int_equal(
	    filter_compile(STR("do what I mean"), &filter, &error, NULL), FILTER_COMPILE_ERROR);
	assert_null(filter);
	assert_true(error.text[0] != '\0');
}

static void
test_too_large_is_an_error(void **state)
{
	struct filter *filter = NULL;
	struct filter_error error;
	char *text = mem_zalloc(FILTER_TEXT_MAX_BYTES + 1);

	(void)state;
	assert_int_equal(
	    filter_compile((struct str){ text, FILTER_TEXT_MAX_BYTES + 1 }, &filter, &error, NULL),
	    FILTER_COMPILE_ERROR);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_keeps),
		cmocka_unit_test(test_unknown_language_is_an_error),
		cmocka_unit_test(test_too_large_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
