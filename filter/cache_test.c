#include "filter/cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Sieve texts that differ; each number another one. */
static struct str
text_of(char *room, size_t size, int number)
{
	snprintf(room, size, "# %d\nkeep;\n", number);
	return str_from(room);
}

static struct filter_cached *
get(struct filter_cache *c, int number)
{
	char text[32];
	struct filter_cached *cached;
	struct filter_error error;

	assert_int_equal(
	    filter_cache_get(c, text_of(text, sizeof(text), number), &cached, &error), FILTER_OK);
	assert_non_null(filter_cached_filter(cached));
	return cached;
}

static void
test_same_text_same_program(void **state)
{
	struct filter_cache *c = filter_cache_new(0, 0);
	struct filter_cached *a = get(c, 1), *b = get(c, 1), *other = get(c, 2);

	(void)state;
	assert_ptr_equal(filter_cached_filter(a), filter_cached_filter(b));
	assert_ptr_not_equal(filter_cached_filter(a), filter_cached_filter(other));
	filter_cache_release(c, a);
	filter_cache_release(c, b);
	filter_cache_release(c, other);
	filter_cache_release(c, NULL);
	filter_cache_free(c);
	filter_cache_free(NULL);
}

static void
test_bounds(void **state)
{
	struct filter_cache *few = filter_cache_new(2, 0), *small = filter_cache_new(0, 1);
	struct filter_cached *a, *b;
	const struct filter *program;

	(void)state;
	a = get(few, 1);
	program = filter_cached_filter(a);
	filter_cache_release(few, get(few, 2));
	filter_cache_release(few, get(few, 1)); /* used lately: 2 goes first */
	filter_cache_release(few, get(few, 3));
	b = get(few, 1);
	assert_ptr_equal(filter_cached_filter(b), program);
	filter_cache_release(few, b);
	filter_cache_release(few, get(few, 3));
	filter_cache_release(few, get(few, 4));
	assert_non_null(
	    filter_language_name(filter_cached_filter(a))); /* out of the table, still held */
	filter_cache_release(few, a);
	filter_cache_free(few);
	a = get(small, 1); /* does not fit at all, works all the same */
	filter_cache_release(small, a);
	filter_cache_free(small);
}

/* What counts is the program: a text of many short words makes a large one. */
static void
test_program_bytes(void **state)
{
	struct buf text = { 0 };
	struct filter_cached *a, *b;
	struct filter_cache *c;
	struct filter_error error;
	struct str s;

	(void)state;
	for (size_t i = 0; i < 20000; i++)
		buf_adds(&text, "stop;");
	s = (struct str){ text.data, text.len };
	c = filter_cache_new(0, 10 * text.len);
	assert_int_equal(filter_cache_get(c, s, &a, &error), FILTER_OK);
	assert_true(filter_bytes(filter_cached_filter(a)) > 10 * text.len);
	assert_int_equal(filter_cache_get(c, s, &b, &error), FILTER_OK);
	assert_ptr_not_equal(filter_cached_filter(a), filter_cached_filter(b));
	filter_cache_release(c, a);
	filter_cache_release(c, b);
	filter_cache_free(c);
	buf_free(&text);
}

static void
test_errors_are_kept(void **state)
{
	struct filter_cache *c = filter_cache_new(0, 0);
	struct filter_cached *cached;
	struct filter_error error;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    filter_cache_get(c, STR("keep;\nnonsense \"x\";\n"), &cached, &error),
		    FILTER_COMPILE_ERROR);
		assert_null(cached);
		assert_int_equal(error.line, 2);
		assert_true(error.text[0] != '\0');
	}
	filter_cache_free(c);
}

static void *
use_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		filter_cache_release(arg, get(arg, i % 7));
	return NULL;
}

static void
test_threads(void **state)
{
	struct filter_cache *c = filter_cache_new(3, 0);
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_many, c), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	filter_cache_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_text_same_program),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_program_bytes),
		cmocka_unit_test(test_errors_are_kept),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
