#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imapd/fetch_plan.h"

struct plan_case {
	const char *text;
	const char *labels; /* with ", " between; NULL: a syntax error */
	unsigned needs;
};

#define PARSED FETCH_NEEDS_PARSED
#define PARTS  FETCH_NEEDS_PARTS
#define FILE_  FETCH_NEEDS_FILE
#define SEEN   FETCH_SETS_SEEN
#define MODSEQ FETCH_NEEDS_MODSEQ

static const struct plan_case CASES[] = {
	{ " ALL", "FLAGS, INTERNALDATE, RFC822.SIZE, ENVELOPE", PARSED },
	{ " fast", "FLAGS, INTERNALDATE, RFC822.SIZE", 0 },
	{ " FULL", "FLAGS, INTERNALDATE, RFC822.SIZE, ENVELOPE, BODY", PARSED },
	{ " (ALL)", NULL, 0 }, /* macros stand alone */
	{ " (FLAGS FAST)", NULL, 0 },
	{ " FLAGS", "FLAGS", 0 },
	{ " (flags Uid)", "FLAGS, UID", 0 },
	{ " (FLAGS FLAGS UID FLAGS)", "FLAGS, UID", 0 }, /* each once */
	{ " ()", NULL, 0 },
	{ " (FLAGS )", NULL, 0 },
	{ " ( FLAGS)", NULL, 0 },
	{ " FLAGS UID", NULL, 0 },
	{ " (FLAGS", NULL, 0 },
	{ "FLAGS", NULL, 0 },
	{ " ", NULL, 0 },
	{ "", NULL, 0 },
	{ " NOSUCH", NULL, 0 },
	{ " FLAGS[]", NULL, 0 },
	{ " (ENVELOPE BODYSTRUCTURE BODY)", "ENVELOPE, BODYSTRUCTURE, BODY", PARSED },
	{ " RFC822", "RFC822", FILE_ | SEEN },
	{ " RFC822.HEADER", "RFC822.HEADER", FILE_ | PARTS },
	{ " RFC822.TEXT", "RFC822.TEXT", FILE_ | PARTS | SEEN },
	{ " RFC822.SIZE", "RFC822.SIZE", 0 },
	{ " BODY[]", "BODY[]", FILE_ | SEEN },
	{ " body.peek[]", "BODY[]", FILE_ },
	{ " BODY[]<0.1>", "BODY[]<0>", FILE_ | SEEN },
	{ " BODY[]<5.10>", "BODY[]<5>", FILE_ | SEEN },
	{ " BODY[]<9223372036854775807.9223372036854775807>", "BODY[]<9223372036854775807>",
	    FILE_ | SEEN },
	{ " BODY[]<9223372036854775808.1>", NULL, 0 },
	{ " BODY[]<5.0>", NULL, 0 }, /* nz-number64 */
	{ " BODY[]<5>", NULL, 0 },
	{ " BODY[]<.5>", NULL, 0 },
	{ " BODY[]<1.5", NULL, 0 },
	{ " BODY[1]", "BODY[1]", FILE_ | PARTS | SEEN },
	{ " BODY.PEEK[1.2.3]", "BODY[1.2.3]", FILE_ | PARTS },
	{ " BODY[0]", NULL, 0 },
	{ " BODY[1.]", NULL, 0 },
	{ " BODY[1..2]", NULL, 0 },
	{ " BODY[.1]", NULL, 0 },
	{ " BODY[1", NULL, 0 },
	{ " BODY[4294967296]", NULL, 0 },
	{ " BODY.PEEK[header]", "BODY[HEADER]", FILE_ | PARTS },
	{ " BODY.PEEK[TEXT]", "BODY[TEXT]", FILE_ | PARTS },
	{ " BODY.PEEK[1.TEXT]", "BODY[1.TEXT]", FILE_ | PARTS },
	{ " BODY.PEEK[1.MIME]", "BODY[1.MIME]", FILE_ | PARTS },
	{ " BODY.PEEK[MIME]", NULL, 0 }, /* only behind a part number */
	{ " BODY.PEEK[1MIME]", NULL, 0 },
	{ " BODY.PEEK[HEADER.FIELDS (Date From)]", "BODY[HEADER.FIELDS (Date From)]",
	    FILE_ | PARTS },
	{ " BODY.PEEK[2.HEADER.FIELDS.NOT (\"To\" \"a b\")]<3.4>",
	    "BODY[2.HEADER.FIELDS.NOT (To \"a b\")]<3>", FILE_ | PARTS },
	{ " BODY.PEEK[HEADER.FIELDS ({4}\r\nDate)]", "BODY[HEADER.FIELDS (Date)]", FILE_ | PARTS },
	{ " BODY.PEEK[HEADER.FIELDS ()]", NULL, 0 },
	{ " BODY.PEEK[HEADER.FIELDS]", NULL, 0 },
	{ " BODY.PEEK[HEADER (Date)]", NULL, 0 },
	{ " BODY.PEEK[HEADER.FIELDS (Date]", NULL, 0 },
	{ " BODY.PEEK[HEADER.FIELDS(Date)]", NULL, 0 },
	{ " BODY.PEEK", NULL, 0 },
	{ " BINARY[1]", "BINARY[1]", FILE_ | PARTS | SEEN },
	{ " BINARY.PEEK[1.2]<0.9>", "BINARY[1.2]<0>", FILE_ | PARTS },
	{ " BINARY.PEEK[]", "BINARY[]", FILE_ | PARTS },
	{ " BINARY.SIZE[1]", "BINARY.SIZE[1]", FILE_ | PARTS },
	{ " BINARY.SIZE[1]<0.1>", NULL, 0 }, /* a size has no parts */
	{ " BINARY[TEXT]", NULL, 0 },
	{ " BINARY[1.MIME]", NULL, 0 },
	{ " BINARY", NULL, 0 },
	{ " MODSEQ", "MODSEQ", MODSEQ },
	{ " FLAGS (CHANGEDSINCE 12)", "FLAGS, MODSEQ", MODSEQ },
	{ " (UID FLAGS) (changedsince 12)", "UID, FLAGS, MODSEQ", MODSEQ },
	{ " (FLAGS) (CHANGEDSINCE 0)", "FLAGS, MODSEQ", MODSEQ }, /* Thunderbird */
	{ " FLAGS (CHANGEDSINCE)", NULL, 0 },
	{ " FLAGS (NOSUCH 1)", NULL, 0 },
	{ " FLAGS ()", NULL, 0 },
	{ " FLAGS (CHANGEDSINCE 12) ", NULL, 0 },
};

static void
labels_of(const struct fetch_plan *plan, struct buf *out)
{
	for (size_t i = 0; i < plan->item_count; i++) {
		if (i > 0)
			buf_adds(out, ", ");
		buf_add(out, plan->items[i].label.p, plan->items[i].label.len);
	}
}

static void
items_parse(void **state)
{
	struct arena a = { 0 };
	struct buf labels = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		const struct plan_case *k = &CASES[i];
		struct cursor c = cursor_from(str_from(k->text));
		struct fetch_plan plan;
		bool ok = fetch_plan_parse(&c, &a, &plan);

		if (ok != (k->labels != NULL))
			fail_msg("%s: %s", k->text, ok ? "taken" : "refused");
		if (!ok)
			continue;
		buf_reset(&labels);
		labels_of(&plan, &labels);
		assert_string_equal(buf_cstr(&labels), k->labels);
		if (plan.needs != k->needs)
			fail_msg("%s: needs %u, not %u", k->text, plan.needs, k->needs);
		arena_reset(&a);
	}
	buf_free(&labels);
	arena_free(&a);
}

/* Longer than any real command: a part number deeper than messages may be, more items than allowed. */
static void
bounds_hold(void **state)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct fetch_plan plan;
	struct cursor c;

	(void)state;
	buf_adds(&text, " BODY[1");
	for (int i = 0; i < FETCH_SECTION_DEPTH_MAX; i++)
		buf_adds(&text, ".1");
	buf_adds(&text, "]");
	c = cursor_from((struct str){ text.data, text.len });
	assert_false(fetch_plan_parse(&c, &a, &plan));

	buf_reset(&text);
	buf_adds(&text, " (BODY[1]");
	for (int i = 0; i < FETCH_ITEMS_MAX; i++)
		buf_adds(&text, " BODY[1]");
	buf_adds(&text, ")");
	c = cursor_from((struct str){ text.data, text.len });
	assert_false(fetch_plan_parse(&c, &a, &plan));
	buf_free(&text);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_parse),
		cmocka_unit_test(bounds_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
