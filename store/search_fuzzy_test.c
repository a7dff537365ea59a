#include "store/search_fuzzy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/casefold.h"

static const struct {
	const char *needle, *text;
	unsigned score; /* in a subject */
} CASES[] = {
	/* RFC 6203 §3 and §4 */
	{ "IMAP break", "IMAP break", 100 },
	{ "IMAP break", "broken IMAP", 0 }, /* "break" and "broken" have too little in common */
	{ "IMAP break", "breaks of imap", 90 },
	{ "Helo", "hello", 40 },
	{ "Helo", "help", 40 },
	{ "Helo", "world", 0 },
	/* words, in any order and anywhere */
	{ "one two", "two and one", 100 },
	{ "one two", "one", 0 },
	{ "one, two!", "(two) \"one\"", 100 },
	{ "able", "table", 60 },
	{ "tab", "table", 80 },
	{ "Muller", "M\xC3\xBCller", 100 },
	{ "m\xC3\xBCller", "Muller", 100 },
	{ "\xE6\x97\xA5\xE6\x9C\xAC", "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", 80 },
	/* errors: none in short words, one from 4 characters on, two from 9 */
	{ "cat", "cut", 0 },
	{ "cats", "bats", 40 },
	{ "cats", "cast", 0 },        /* no three of its characters stand together */
	{ "receive", "recieve", 40 }, /* two changed about are one */
	{ "reicieve", "receive", 0 },
	{ "administrator", "adminstrater", 15 },
	{ "administrator", "adminstratar", 15 },
	{ "administrator", "dministratar", 15 },
	{ "abcdefgh", "abcedfgh", 0 }, /* neither half is right */
	/* whatever stands in between */
	{ "a", "", 0 },
	{ "x", "\xff\xfe x", 100 },
};

static unsigned
score_of(const char *needle, const char *text, enum fuzzy_place place)
{
	struct fuzzy *f = fuzzy_new(str_from(needle));
	struct buf folded = { 0 }, plain = { 0 };
	unsigned score;

	assert_non_null(f);
	casefold_all(&folded, str_from(text));
	fuzzy_fold(&plain, (struct str){ folded.data, folded.len });
	fuzzy_begin(f);
	fuzzy_look(f, (struct str){ plain.data, plain.len }, place);
	score = fuzzy_score(f);
	buf_free(&folded);
	buf_free(&plain);
	fuzzy_free(f);
	return score;
}

static void
test_scores(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		unsigned score = score_of(CASES[i].needle, CASES[i].text, FUZZY_IN_SUBJECT);

		if (score != CASES[i].score)
			fail_msg("\"%s\" in \"%s\": %u", CASES[i].needle, CASES[i].text, score);
	}
	assert_int_equal(score_of("one", "one", FUZZY_IN_BODY), 70);
	assert_int_equal(score_of("one", "one", FUZZY_IN_HEADER), 80);
}

static void
test_no_words(void **state)
{
	(void)state;
	assert_null(fuzzy_new(STR("")));
	assert_null(fuzzy_new(STR(" -- !")));
	assert_null(fuzzy_new(STR("\xff\xff")));
}

static void
test_long_needles_are_cut(void **state)
{
	struct buf b = { 0 };
	struct fuzzy *f;

	(void)state;
	for (int i = 0; i < 2000; i++)
		buf_adds(&b, "x");
	for (int i = 0; i < 100; i++)
		buf_printf(&b, " w%d", i);
	f = fuzzy_new((struct str){ b.data, b.len });
	assert_int_equal(fuzzy_word_count(f), FUZZY_WORDS_MAX);
	fuzzy_free(f);
	buf_free(&b);
}

static void
test_pieces(void **state)
{
	static const struct {
		const char *word, *pieces;
	} WORDS[] = {
		{ "ab", "" },
		{ "abc", "ABC" },
		{ "abcd", "ABC BCD" },
		{ "abcde", "ABC BCD CDE" },
		{ "abcdefg", "ABC DEFG" },
		{ "abcdefghijk", "ABC DEFG HIJK" },
		{ "\xC3\xA4"
		  "bc",
		    "ABC" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
		struct fuzzy *f = fuzzy_new(str_from(WORDS[i].word));
		struct buf all = { 0 };
		struct str piece;

		for (size_t k = 0; fuzzy_piece(f, 0, k, &piece); k++)
			buf_printf(&all, k > 0 ? " %.*s" : "%.*s", (int)piece.len, piece.p);
		assert_string_equal(buf_cstr(&all), WORDS[i].pieces);
		assert_false(fuzzy_piece(f, 1, 0, &piece));
		buf_free(&all);
		fuzzy_free(f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scores),
		cmocka_unit_test(test_no_words),
		cmocka_unit_test(test_long_needles_are_cut),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
