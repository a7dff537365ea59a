#include "imapd/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"

#define MANY 100000

/* A message: its id ("" none), references, subject and date; ids are one letter each. */
struct row {
	const char *id, *references, *subject;
	bool reply;
	int64_t date_s;
};

static void
hash_of(char letter, unsigned char *id)
{
	memset(id, letter, SORT_ID_BYTES);
}

static void
add_row(struct thread *t, uint32_t number, const struct row *row)
{
	unsigned char id[SORT_ID_BYTES], refs[26][SORT_ID_BYTES];
	struct sort_keys keys = { .reply = row->reply, .references = refs[0] };

	keys.text[SORT_TEXT_SUBJECT] = str_from(row->subject);
	if (row->id[0] != '\0') {
		hash_of(row->id[0], id);
		keys.id = id;
	}
	for (const char *r = row->references; *r != '\0'; r++)
		hash_of(*r, refs[keys.reference_count++]);
	assert_true(thread_add(t, number, row->date_s, &keys));
}

/* Up to eight messages, numbered from 1. */
static const struct {
	const char *references, *refs; /* the answers */
	struct row rows[8];
} CASES[] = {
	{ "", "", { { 0 } } },
	{ " (1)", " (1)", { { "a", "", "x", false, 1 } } },
	{ " (1 2 (3)(4))", " (1 2 (3)(4))",
	    { { "a", "", "x", false, 1 }, { "b", "a", "x", true, 2 }, { "c", "ab", "x", true, 3 },
		{ "d", "ab", "x", true, 4 } } },
	/* siblings by date, then by place */
	{ " (1 (4)(2)(3))", " (1 (4)(2)(3))",
	    { { "a", "", "x", false, 1 }, { "b", "a", "x", true, 5 }, { "c", "a", "x", true, 5 },
		{ "d", "a", "x", true, 2 } } },
	/* two answers to a message that is not there; one is led to the top */
	{ " ((1)(2))", " ((1)(2))", { { "a", "z", "x", true, 1 }, { "b", "z", "y", true, 2 } } },
	{ " (1)", " (1)", { { "a", "z", "x", true, 1 } } },
	/* dummies within: z above y above 1 and 2 */
	{ " ((1)(2))", " ((1)(2))", { { "a", "zy", "x", true, 1 }, { "b", "zy", "y", true, 2 } } },
	{ " (3 (1)(2))", " (3 (1)(2))",
	    { { "a", "zy", "x", true, 4 }, { "b", "zy", "y", true, 5 },
		{ "z", "", "q", false, 3 } } },
	/* loops: of oneself, of two, of three */
	{ " (1)", " (1)", { { "a", "a", "x", true, 1 } } },
	{ " (2 1)", " (2 1)", { { "a", "b", "x", true, 1 }, { "b", "a", "y", true, 2 } } },
	{ " (3 2 1)", " (3 2 1)",
	    { { "a", "b", "x", true, 1 }, { "b", "c", "y", true, 2 },
		{ "c", "a", "z", true, 3 } } },
	/* a second message with an id is one without */
	{ " (1 3)(2)", " (2)(1 3)",
	    { { "a", "", "x", false, 1 }, { "a", "", "y", false, 2 },
		{ "b", "a", "z", true, 3 } } },
	/* what a message says of itself counts more than what was said before of it */
	{ " (3 2 1)", " (3 2 1)",
	    { { "c", "ab", "x", true, 1 }, { "b", "d", "y", true, 4 },
		{ "d", "", "z", false, 3 } } },
	/* step 5: of one subject */
	{ " ((1)(2))", " (1)(2)", { { "a", "", "x", false, 1 }, { "b", "", "x", false, 2 } } },
	{ " (2 1)", " (1)(2)", { { "a", "", "x", true, 1 }, { "b", "", "x", false, 2 } } },
	{ " ((1)(2))", " (1)(2)", { { "a", "", "x", true, 1 }, { "b", "", "x", true, 2 } } },
	{ " (1)(2)", " (1)(2)", { { "a", "", "", true, 1 }, { "b", "", "", true, 2 } } },
	{ " ((1)(2)(3))", " ((1)(2))(3)",
	    { { "a", "z", "x", true, 1 }, { "b", "z", "y", true, 2 },
		{ "c", "", "x", false, 3 } } },
	/* two dummies of one subject are one */
	{ " ((1)(2)(3)(4))", " ((1)(2))((3)(4))",
	    { { "a", "z", "x", true, 1 }, { "b", "z", "p", true, 2 }, { "c", "y", "x", true, 3 },
		{ "d", "y", "q", true, 4 } } },
	{ " ((1)(2)(3))", " (1)(2)(3)",
	    { { "a", "", "x", false, 1 }, { "b", "", "x", false, 2 }, { "c", "", "x", true, 3 } } },
	/* REFS: the youngest message decides */
	{ " (1 3)(2)", " (2)(1 3)",
	    { { "a", "", "x", false, 1 }, { "b", "", "y", false, 2 },
		{ "c", "a", "x", true, 3 } } },
};

static void
check(enum thread_algorithm algorithm, const struct row *rows, const char *expected)
{
	struct thread *t = thread_new(algorithm);
	struct buf out = { 0 };

	for (uint32_t n = 0; n < 8 && rows[n].id != NULL; n++)
		add_row(t, n + 1, &rows[n]);
	thread_out(t, &out);
	assert_string_equal(buf_cstr(&out), expected);
	buf_free(&out);
	thread_free(t);
}

static void
test_references(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		check(THREAD_REFERENCES, CASES[i].rows, CASES[i].references);
		check(THREAD_REFS, CASES[i].rows, CASES[i].refs);
	}
}

static void
test_ordered_subject(void **state)
{
	static const struct row ROWS[8] = {
		{ "a", "", "tea", false, 5 },
		{ "b", "", "milk", false, 4 },
		{ "c", "", "tea", true, 3 },
		{ "d", "", "", true, 9 },
		{ "e", "", "tea", false, 7 },
		{ "f", "", "", true, 8 },
	};

	(void)state;
	check(THREAD_ORDEREDSUBJECT, ROWS, " (3 (1)(5))(2)(6 4)");
	check(THREAD_ORDEREDSUBJECT, &ROWS[6], "");
}

/* --- many messages: neither the stack nor the clock runs out ----------------------------------- */

static void
number_id(uint32_t n, unsigned char *id)
{
	memset(id, 0, SORT_ID_BYTES);
	memcpy(id, &n, sizeof(n));
}

/* The n-th message refers to those numbers (0: none). */
static size_t
run_many(enum thread_algorithm algorithm, void (*refers)(uint32_t n, uint32_t *refs))
{
	struct thread *t = thread_new(algorithm);
	struct buf out = { 0 };
	size_t len;

	for (uint32_t n = 1; n <= MANY; n++) {
		unsigned char id[SORT_ID_BYTES], ids[4][SORT_ID_BYTES];
		struct sort_keys keys = { .id = id, .references = ids[0], .reply = true };
		uint32_t refs[4] = { 0 };

		keys.text[SORT_TEXT_SUBJECT] = STR("SUBJECT");
		number_id(n, id);
		refers(n, refs);
		for (size_t i = 0; i < 4 && refs[i] != 0; i++)
			number_id(refs[i], ids[keys.reference_count++]);
		assert_true(thread_add(t, n, n, &keys));
	}
	thread_out(t, &out);
	len = out.len;
	for (size_t i = 0, depth = 0; i < out.len; i++) {
		depth += out.data[i] == '(';
		assert_true(out.data[i] != ')' || depth > 0);
		depth -= out.data[i] == ')';
	}
	buf_free(&out);
	thread_free(t);
	return len;
}

static void
chain(uint32_t n, uint32_t *refs)
{
	refs[0] = n - 1;
}

static void
backwards(uint32_t n, uint32_t *refs)
{
	refs[0] = n + 1;
}

static void
ring(uint32_t n, uint32_t *refs)
{
	refs[0] = n % MANY + 1;
}

static void
comb(uint32_t n, uint32_t *refs)
{
	refs[0] = n > 2 ? n - 2 + n % 2 : 0;
}

/* Each message first hangs another's tree under the end of a long chain, then under its own. */
static void
spiteful(uint32_t n, uint32_t *refs)
{
	if (n <= MANY / 2) {
		refs[0] = n - 1;
		return;
	}
	refs[0] = n % 2 == 0 ? MANY / 2 : MANY + n;
	refs[1] = n % 2 == 0 ? MANY + n - 1 : 2 * MANY + n;
	refs[2] = n % 3 == 0 ? 1 + n % (MANY / 2) : 0;
}

static void
nobody(uint32_t n, uint32_t *refs)
{
	for (uint32_t i = 0; i < 4; i++)
		refs[i] = MANY + 4 * n + i;
}

static void
test_many(void **state)
{
	static void (*const SHAPES[])(
	    uint32_t n, uint32_t * refs) = { chain, backwards, ring, comb, spiteful, nobody };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(SHAPES); i++) {
		assert_true(run_many(THREAD_REFERENCES, SHAPES[i]) > MANY * 2);
		assert_true(run_many(THREAD_REFS, SHAPES[i]) > MANY * 2);
	}
	assert_true(run_many(THREAD_ORDEREDSUBJECT, chain) > MANY * 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_ordered_subject),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
