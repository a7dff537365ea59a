#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imapd/store_plan.h"

static const struct store_case {
	const char *text;
	bool ok;
	enum flags_mode mode;
	bool silent;
	unsigned flags;
	const char *keywords;    /* with blanks between */
	int64_t unchanged_since; /* -1: none */
} CASES[] = {
	{ " FLAGS (\\Seen)", true, FLAGS_REPLACE, false, MESSAGE_SEEN, "", -1 },
	{ " +flags (\\Deleted)", true, FLAGS_ADD, false, MESSAGE_DELETED, "", -1 },
	{ " -FLAGS.SILENT (\\Draft $Junk)", true, FLAGS_REMOVE, true, MESSAGE_DRAFT, "$Junk", -1 },
	{ " +FLAGS \\Seen", true, FLAGS_ADD, false, MESSAGE_SEEN, "", -1 },
	{ " +FLAGS \\Seen $a b", true, FLAGS_ADD, false, MESSAGE_SEEN, "$a b", -1 },
	{ " FLAGS.SILENT ()", true, FLAGS_REPLACE, true, 0, "", -1 },
	{ " (UNCHANGEDSINCE 12) FLAGS (\\Seen)", true, FLAGS_REPLACE, false, MESSAGE_SEEN, "", 12 },
	{ " (unchangedsince 0) +FLAGS.SILENT (x)", true, FLAGS_ADD, true, 0, "x", 0 },
	{ " FLAGS (\\Recent)", false, 0, false, 0, "", -1 },
	{ " FLAGS (\\*)", false, 0, false, 0, "", -1 },
	{ " FLAGS (\\Recent)", false, 0, false, 0, "", -1 },
	{ " FLAGS", false, 0, false, 0, "", -1 },
	{ " FLAGS (\\Seen) x", false, 0, false, 0, "", -1 },
	{ " FLAGS (\\Seen", false, 0, false, 0, "", -1 },
	{ " FLAGS.LOUD (\\Seen)", false, 0, false, 0, "", -1 },
	{ " *FLAGS (\\Seen)", false, 0, false, 0, "", -1 },
	{ " (UNCHANGEDSINCE) FLAGS (\\Seen)", false, 0, false, 0, "", -1 },
	{ " (NOSUCH 1) FLAGS (\\Seen)", false, 0, false, 0, "", -1 },
	{ " (UNCHANGEDSINCE 1)FLAGS (\\Seen)", false, 0, false, 0, "", -1 },
	{ "FLAGS (\\Seen)", false, 0, false, 0, "", -1 },
	{ "", false, 0, false, 0, "", -1 },
};

static void
check(const struct store_case *k, const struct store_plan *plan)
{
	const struct flags_change *change = &plan->change;
	struct buf keywords = { 0 };

	for (size_t i = 0; i < change->keyword_count; i++) {
		buf_adds(&keywords, i > 0 ? " " : "");
		buf_adds(&keywords, change->keywords[i]);
	}
	assert_string_equal(buf_cstr(&keywords), k->keywords);
	buf_free(&keywords);
	assert_int_equal(change->mode, k->mode);
	assert_int_equal(change->flags, k->flags);
	assert_int_equal(plan->silent, k->silent);
	assert_int_equal(change->has_unchanged_since, k->unchanged_since >= 0);
	if (k->unchanged_since >= 0)
		assert_int_equal(change->unchanged_since, k->unchanged_since);
}

static void
items_parse(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct cursor c = cursor_from(str_from(CASES[i].text));
		struct store_plan plan;
		bool ok = store_plan_parse(&c, &a, &plan);

		if (ok != CASES[i].ok)
			fail_msg("%s: %s", CASES[i].text, ok ? "taken" : "refused");
		if (ok)
			check(&CASES[i], &plan);
		arena_reset(&a);
	}
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(items_parse) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
