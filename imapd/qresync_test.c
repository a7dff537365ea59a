#include "imapd/qresync.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *text;
	bool ok;
	const char *view;
	uint32_t matched; /* in a mailbox with these UIDs */
} CASES[] = {
	{ "(67890007 90060115194045000)", true, "1:9", 0 },
	{ "(67890007 90060115194045000 41:211,214:541)", true, "1:9", 0 },
	{ "(67890007 1 41,43:211,214:541 (1 1))", true, "1:9", 1 },
	{ "(1 1 (4,12 8,24))", true, "2,4,6,8:14,23", 8 }, /* RFC 7162 §3.2.5.2 */
	{ "(1 1 (4,12 8,24))", true, "2,4,6,8:15,24", 24 },
	{ "(1 1 (1:5 1:5))", true, "1:3,7:9", 3 },
	{ "(1 1 (1:5 1:3,7:8))", true, "1:3,7:9", 8 },
	{ "(1 1 (1,3:4 2,4:5))", true, "1:3,7:9", 0 },
	{ "(1 1 (1:2,4,5:6 1,2,7:9))", true, "1:3,7:9", 9 },
	{ "(1 1 (1:4294967294 1:4294967294))", true, "1:3,5", 3 },
	{ "(1 1 (1 7))", true, "", 0 },
	{ "(4294967295 9223372036854775807)", true, "", 0 },
	/* both ascending, as many of the one as of the other */
	{ "(1 1 (2,1 1,2))", false, "", 0 },
	{ "(1 1 (1:2 2,2))", false, "", 0 },
	{ "(1 1 (1:3 1:2))", false, "", 0 },
	{ "(1 1 (1:3 1:*))", false, "", 0 },
	{ "(1 1 (* 1))", false, "", 0 },
	{ "(1 1 ($ 1))", false, "", 0 },
	{ "(1 1 ())", false, "", 0 },
	{ "(1 1 (1))", false, "", 0 },
	{ "(1 1 *)", false, "", 0 },
	{ "(1 1 1:*)", false, "", 0 },
	{ "(1 1 $)", false, "", 0 },
	{ "(1 1 1:3 )", false, "", 0 },
	{ "(1 1 1:3  (1 1))", false, "", 0 },
	{ "(1 1 1:3 (1 1) 7)", false, "", 0 },
	{ "(1 1 (1 1)", false, "", 0 },
	{ "(0 1)", false, "", 0 },
	{ "(1 0)", false, "", 0 },
	{ "(1 9223372036854775808)", false, "", 0 },
	{ "(1)", false, "", 0 },
	{ "(1 1", false, "", 0 },
	{ "1 1", false, "", 0 },
	{ "()", false, "", 0 },
	{ "", false, "", 0 },
};

static void
take_view(const char *text, struct arena *a, struct uidset *view)
{
	struct cursor c = cursor_from(str_from(text));
	struct imap_sequence_set set;

	if (text[0] == '\0')
		return;
	assert_true(imap_parse_sequence_set(&c, a, &set));
	for (size_t i = 0; i < set.count; i++)
		uidset_add_range(view, set.ranges[i].low, set.ranges[i].high);
}

static void
test_parameter(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct cursor c = cursor_from(str_from(CASES[i].text));
		struct uidset view = { 0 };
		struct arena a = { 0 };
		struct qresync q;
		bool ok = qresync_parse(&c, &a, &q) && cursor_at_end(&c);

		if (ok != CASES[i].ok)
			fail_msg("%s", CASES[i].text);
		take_view(CASES[i].view, &a, &view);
		if (ok && qresync_matched_uid(&q, &view) != CASES[i].matched)
			fail_msg("%s in %s: %u", CASES[i].text, CASES[i].view,
			    qresync_matched_uid(&q, &view));
		uidset_free(&view);
		arena_free(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parameter) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
