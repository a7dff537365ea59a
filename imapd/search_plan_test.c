#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imapd/search_plan.h"

#define NOW 1000000000 /* 2001-09-09 01:46:40 UTC */
#define DAY 86400

/* --- parsing: the tree as text ----------------------------------------------------------------- */

static void dump(const struct search_plan *plan, const struct search_node *node, struct buf *out);

/* Keys are kept in reverse; shown as they came. */
static void
dump_children(const struct search_plan *plan, const struct search_node *child, struct buf *out)
{
	if (child == NULL)
		return;
	dump_children(plan, child->next, out);
	buf_addc(out, ' ');
	dump(plan, child, out);
}

static void
dump_range(const char *name, const struct search_node *node, struct buf *out)
{
	buf_printf(out, "%s", name);
	if (node->range.low != INT64_MIN)
		buf_printf(out, ">=%" PRId64, node->range.low);
	if (node->range.high != INT64_MAX)
		buf_printf(out, "<%" PRId64, node->range.high);
}

static void
dump_set(const struct search_node *node, struct buf *out)
{
	buf_adds(out, node->set.uid ? "uid:" : "seq:");
	if (node->set.wire.saved)
		buf_addc(out, '$');
	for (size_t i = 0; i < node->set.wire.count; i++)
		buf_printf(out, i > 0 ? ",%" PRIu32 "-%" PRIu32 : "%" PRIu32 "-%" PRIu32,
		    node->set.wire.ranges[i].low, node->set.wire.ranges[i].high);
}

static void
dump_string(const struct search_key *key, struct buf *out)
{
	static const char *const WHERE[] = { "header", "addresses", "body", "text" };

	buf_printf(out, "%s:%.*s:%.*s", WHERE[key->where], (int)key->header.len,
	    key->header.len > 0 ? key->header.p : "", (int)key->text.len, key->text.p);
}

static void
dump(const struct search_plan *plan, const struct search_node *node, struct buf *out)
{
	static const char *const LISTS[] = { "(and", "(or", "(not" };

	switch (node->op) {
	case SEARCH_AND:
	case SEARCH_OR:
	case SEARCH_NOT:
		buf_adds(out, LISTS[node->op]);
		dump_children(plan, node->children, out);
		buf_addc(out, ')');
		break;
	case SEARCH_FLAGS_SET: buf_printf(out, "+%u", node->flags); break;
	case SEARCH_FLAGS_CLEAR: buf_printf(out, "-%u", node->flags); break;
	case SEARCH_KEYWORD: buf_printf(out, "kw:%s", node->keyword.name); break;
	case SEARCH_SET: dump_set(node, out); break;
	case SEARCH_INTERNAL: dump_range("date", node, out); break;
	case SEARCH_SENT: dump_range("sent", node, out); break;
	case SEARCH_SAVED: dump_range("saved", node, out); break;
	case SEARCH_EMAILID:
	case SEARCH_THREADID:
		buf_printf(out, "%s:%s", node->op == SEARCH_EMAILID ? "email" : "thread",
		    node->object.possible ? "id" : "none");
		break;
	case SEARCH_LARGER: buf_printf(out, "larger:%" PRIu64, node->number); break;
	case SEARCH_SMALLER: buf_printf(out, "smaller:%" PRIu64, node->number); break;
	case SEARCH_MODSEQ: buf_printf(out, "modseq:%" PRIu64, node->number); break;
	case SEARCH_STRING: dump_string(&plan->keys[node->key], out); break;
	}
}

static const struct parse_case {
	const char *text;
	const char *tree; /* NULL: a syntax error; "?": an unknown charset */
} PARSE_CASES[] = {
	{ " ALL", "(and (and))" },
	{ " all", "(and (and))" },
	{ " SEEN UNSEEN", "(and +8 -8)" },
	{ " ANSWERED FLAGGED DELETED DRAFT RECENT", "(and +1 +2 +4 +16 +32)" },
	{ " UNANSWERED UNFLAGGED UNDELETED UNDRAFT OLD", "(and -1 -2 -4 -16 -32)" },
	{ " NEW", "(and (and +32 -8))" },
	{ " NOT SEEN", "(and (not +8))" },
	{ " OR SEEN (FLAGGED DRAFT)", "(and (or +8 (and +2 +16)))" },
	{ " NOT NOT ALL", "(and (not (not (and))))" },
	{ " (SEEN)", "(and (and +8))" },
	{ " ((SEEN))", "(and (and (and +8)))" },
	{ " KEYWORD $Junk UNKEYWORD foo", "(and kw:$Junk (not kw:foo))" },
	{ " KEYWORD \\Seen", NULL },
	{ " 1,3:5,*", "(and seq:1-1,3-5,4294967295-4294967295)" },
	{ " 2:*", "(and seq:2-4294967295)" },
	{ " UID 5:2", "(and uid:2-5)" },
	{ " $ SMALLER 4096", "(and seq:$ smaller:4096)" },
	{ " UID $", "(and uid:$)" },
	{ " 0", NULL },
	{ " UID 0", NULL },
	{ " UID", NULL },
	{ " EMAILID M00112233445566778899aabbccddeeff", "(and email:id)" },
	{ " EMAILID M00112233445566778899AABBCCDDEEFF", "(and email:none)" }, /* case counts */
	{ " EMAILID T00112233445566778899aabbccddeeff", "(and email:none)" },
	{ " THREADID T00112233445566778899aabbccddeeff", "(and thread:id)" },
	{ " THREADID x_-9", "(and thread:none)" },
	{ " THREADID", NULL },
	{ " THREADID ", NULL },
	{ " EMAILID x.y", NULL },
	{ " SAVEDBEFORE 2-Jan-1970", "(and saved<86400)" },
	{ " SAVEDSINCE 2-Jan-1970 SAVEDATESUPPORTED", "(and saved>=86400 (and))" },
	{ " SAVEDATE 2-Jan-1970", NULL },
	{ " BEFORE 2-Jan-1970", "(and date<86400)" },
	{ " ON 2-Jan-1970", "(and date>=86400<172800)" },
	{ " SINCE \"2-Jan-1970\"", "(and date>=86400)" },
	{ " SENTBEFORE 2-Jan-1970", "(and sent<1)" },
	{ " SENTON 02-jan-1970", "(and sent>=1<2)" },
	{ " SENTSINCE 2-Jan-1970", "(and sent>=1)" },
	{ " SINCE 32-Jan-1970", NULL },
	{ " SINCE 1-Foo-1970", NULL },
	{ " SINCE", NULL },
	{ " OLDER 10", "(and date<999999991)" },
	{ " YOUNGER 10", "(and date>=999999990)" },
	{ " YOUNGER 0", NULL },
	{ " LARGER 0 SMALLER 9223372036854775807", "(and larger:0 smaller:9223372036854775807)" },
	{ " LARGER x", NULL },
	{ " MODSEQ 620162338", "(and modseq:620162338)" },
	{ " MODSEQ \"/flags/\\\\draft\" all 620162338", "(and modseq:620162338)" },
	{ " MODSEQ \"/flags/\\\\draft\" none 620162338", NULL },
	{ " MODSEQ 0", "(and modseq:0)" },
	{ " FROM \"Smith\" TO ann", "(and addresses:From:Smith addresses:To:ann)" },
	{ " CC a BCC b SUBJECT c", "(and addresses:Cc:a addresses:Bcc:b header:Subject:c)" },
	{ " HEADER X-Y \"\"", "(and header:X-Y:)" },
	{ " HEADER X-Y", NULL },
	{ " BODY {5}\r\nhello TEXT x", "(and body::hello text::x)" },
	{ " TEXT", NULL },
	{ " CHARSET UTF-8 TEXT {2}\r\n\xc3\xa4", "(and text::\xc3\xa4)" },
	{ " CHARSET ISO-8859-1 TEXT {1}\r\n\xe4", "(and text::\xc3\xa4)" },
	{ " CHARSET us-ascii ALL", "(and (and))" },
	{ " CHARSET \"utf-8\" ALL", "(and (and))" },
	{ " CHARSET nosuch ALL", "?" },
	{ " CHARSET UTF-8", NULL },
	{ " CHARSET", NULL },
	{ " RETURN () ALL", "(and (and))" },
	{ " RETURN (MIN MAX ALL COUNT SAVE) 1", "(and seq:1-1)" },
	{ " return (min) charset utf-8 all", "(and (and))" },
	{ " RETURN (NOSUCH) ALL", NULL },
	{ " RETURN (PARTIAL) ALL", NULL },
	{ " RETURN (PARTIAL 1:2 ALL) ALL", NULL },
	{ " RETURN (ALL PARTIAL 1:2) ALL", NULL },
	{ " RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL", NULL },
	{ " RETURN (PARTIAL 1:*) ALL", NULL },
	{ " RETURN (MIN MAX ALL", NULL },
	{ " RETURN MIN ALL", NULL },
	{ " RETURN ()", NULL },
	{ " NOSUCH", NULL },
	{ " OR SEEN", NULL },
	{ " NOT", NULL },
	{ " ()", NULL },
	{ " (SEEN", NULL },
	{ " SEEN)", NULL },
	{ " SEEN ", NULL },
	{ " ", NULL },
	{ "", NULL },
};

static void
keys_parse(void **state)
{
	struct arena a = { 0 };
	struct buf tree = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PARSE_CASES); i++) {
		const struct parse_case *k = &PARSE_CASES[i];
		struct cursor c = cursor_from(str_from(k->text));
		struct search_plan plan;
		enum search_parsed r = search_plan_parse(&c, &a, NOW, &plan);

		buf_reset(&tree);
		if (r == SEARCH_PARSED)
			dump(&plan, &plan.root, &tree);
		else
			buf_adds(&tree, r == SEARCH_CHARSET ? "?" : "syntax");
		assert_string_equal(buf_cstr(&tree), k->tree != NULL ? k->tree : "syntax");
		arena_reset(&a);
	}
	buf_free(&tree);
	arena_free(&a);
}

static const struct {
	const char *text;
	bool has_return;
	unsigned returns;
} RETURN_CASES[] = {
	{ " ALL", false, 0 },
	{ " RETURN () ALL", true, SEARCH_RETURN_ALL },
	{ " RETURN (SAVE) ALL", true, SEARCH_RETURN_SAVE },
	{ " RETURN (COUNT MIN) ALL", true, SEARCH_RETURN_COUNT | SEARCH_RETURN_MIN },
	{ " RETURN (ALL MAX) ALL", true, SEARCH_RETURN_ALL | SEARCH_RETURN_MAX },
	{ " RETURN (PARTIAL 5:1 MIN) ALL", true, SEARCH_RETURN_PARTIAL | SEARCH_RETURN_MIN },
	{ " RETURN (partial -1:-9) ALL", true, SEARCH_RETURN_PARTIAL },
	{ " RETURN (UPDATE) ALL", true, SEARCH_RETURN_UPDATE },
	{ " RETURN (UPDATE CONTEXT) ALL", true, SEARCH_RETURN_UPDATE | SEARCH_RETURN_CONTEXT },
	{ " RETURN (CONTEXT) ALL", true, SEARCH_RETURN_CONTEXT | SEARCH_RETURN_ALL },
};

static void
returns_parse(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(RETURN_CASES); i++) {
		struct cursor c = cursor_from(str_from(RETURN_CASES[i].text));
		struct search_plan plan;

		assert_int_equal(search_plan_parse(&c, &a, NOW, &plan), SEARCH_PARSED);
		assert_int_equal(plan.has_return, RETURN_CASES[i].has_return);
		assert_int_equal(plan.returns, RETURN_CASES[i].returns);
	}
	arena_free(&a);
}

static enum search_parsed
parse_nested(const char *open, int depth, const char *close)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	enum search_parsed r;
	struct search_plan plan;
	struct cursor c;

	buf_addc(&text, ' ');
	for (int i = 0; i < depth; i++)
		buf_adds(&text, open);
	buf_adds(&text, "ALL");
	for (int i = 0; i < depth; i++)
		buf_adds(&text, close);
	c = cursor_from((struct str){ text.data, text.len });
	r = search_plan_parse(&c, &a, NOW, &plan);
	buf_free(&text);
	arena_free(&a);
	return r;
}

static void
depth_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(parse_nested("(", SEARCH_DEPTH_MAX, ")"), SEARCH_PARSED);
	assert_int_equal(parse_nested("(", SEARCH_DEPTH_MAX + 1, ")"), SEARCH_BEYOND);
	assert_int_equal(parse_nested("NOT ", SEARCH_DEPTH_MAX, ""), SEARCH_PARSED);
	assert_int_equal(parse_nested("NOT ", SEARCH_DEPTH_MAX + 1, ""), SEARCH_BEYOND);
	assert_int_equal(parse_nested("OR SEEN ", 20000, ""), SEARCH_BEYOND);
}

/* --- evaluation -------------------------------------------------------------------------------- */

/* Keyword "yes" is 3, others are unknown; sets name UIDs as they stand. */
static void
bind(struct search_node *node)
{
	if (node->op == SEARCH_KEYWORD)
		node->keyword.index = strcmp(node->keyword.name, "yes") == 0 ? 3 : -1;
	if (node->op == SEARCH_SET)
		for (size_t i = 0; i < node->set.wire.count; i++)
			uidset_add_range(&node->set.uids, node->set.wire.ranges[i].low,
			    node->set.wire.ranges[i].high);
	for (struct search_node *child = node->children; child != NULL; child = child->next)
		bind(child);
}

/* UID 7, \Seen \Recent yes, 1000 bytes, 2001-09-09, mod-sequence 50; sent on day 100 */
static const struct message ROW = { .seq = 7,
	.uid = 7,
	.flags = MESSAGE_SEEN | MESSAGE_RECENT,
	.keywords = { { 1 << 3 } },
	.modseq = 50,
	.internaldate_s = NOW,
	.size_bytes = 1000,
	.disk_bytes = 990 };

#define N SEARCH_NO
#define Y SEARCH_YES
#define U SEARCH_UNKNOWN

static const struct eval_case {
	const char *text;
	enum search_truth row;    /* knowing the row only */
	enum search_truth parsed; /* and the sent date, day 100 */
	enum search_truth all;    /* and texts: "yes" is in the message, others are not */
} EVAL_CASES[] = {
	{ " ALL", Y, Y, Y },
	{ " SEEN", Y, Y, Y },
	{ " UNSEEN", N, N, N },
	{ " RECENT", Y, Y, Y },
	{ " OLD", N, N, N },
	{ " NEW", N, N, N },
	{ " NOT FLAGGED", Y, Y, Y },
	{ " KEYWORD yes", Y, Y, Y },
	{ " UNKEYWORD yes", N, N, N },
	{ " KEYWORD no", N, N, N },
	{ " UNKEYWORD no", Y, Y, Y },
	{ " UID 1:9", Y, Y, Y },
	{ " UID 8", N, N, N },
	{ " LARGER 999 SMALLER 1001", Y, Y, Y },
	{ " LARGER 1000", N, N, N },
	{ " SMALLER 1000", N, N, N },
	{ " ON 9-Sep-2001", Y, Y, Y },
	{ " BEFORE 9-Sep-2001", N, N, N },
	{ " BEFORE 10-Sep-2001", Y, Y, Y },
	{ " SINCE 9-Sep-2001", Y, Y, Y },
	{ " SINCE 10-Sep-2001", N, N, N },
	{ " OLDER 1", N, N, N },
	{ " YOUNGER 1", Y, Y, Y },
	{ " MODSEQ 50", Y, Y, Y },
	{ " MODSEQ 51", N, N, N },
	{ " SENTON 11-Apr-1970", U, Y, Y }, /* day 100 */
	{ " SENTBEFORE 11-Apr-1970", U, N, N },
	{ " SENTSINCE 11-Apr-1970", U, Y, Y },
	{ " NOT SENTON 11-Apr-1970", U, N, N },
	{ " TEXT yes", U, U, Y },
	{ " TEXT no", U, U, N },
	{ " NOT TEXT no", U, U, Y },
	{ " UNSEEN TEXT yes", N, N, N }, /* decided without the text */
	{ " OR SEEN TEXT no", Y, Y, Y }, /* likewise */
	{ " OR UNSEEN TEXT yes", U, U, Y },
	{ " TEXT yes SENTON 1-Jan-2000", U, N, N },
	{ " OR TEXT no SENTON 11-Apr-1970", U, Y, Y },
	{ " NOT (SEEN TEXT yes)", U, U, N },
	{ " NOT (UNSEEN TEXT yes)", Y, Y, Y },
	{ " TEXT yes BODY no", U, U, N },
	{ " OR TEXT no BODY yes", U, U, Y },
};

static void
truths_hold(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(EVAL_CASES); i++) {
		const struct eval_case *k = &EVAL_CASES[i];
		struct cursor c = cursor_from(str_from(k->text));
		struct search_facts facts = { .row = &ROW };
		enum search_truth row, parsed, all;
		struct search_plan plan;
		enum search_truth matched[4];

		assert_int_equal(search_plan_parse(&c, &a, NOW, &plan), SEARCH_PARSED);
		bind(&plan.root);
		for (size_t m = 0; m < plan.key_count; m++)
			matched[m] = str_eq(plan.keys[m].text, STR("yes")) ? SEARCH_YES : SEARCH_NO;
		row = search_eval(&plan.root, &facts);
		facts.parsed = facts.has_sent_date = true;
		facts.sent_day = 100;
		parsed = search_eval(&plan.root, &facts);
		facts.matched = matched;
		all = search_eval(&plan.root, &facts);
		if (row != k->row || parsed != k->parsed || all != k->all)
			fail_msg("%s: %d %d %d", k->text, (int)row, (int)parsed, (int)all);
		search_unbind(&plan);
		arena_reset(&a);
	}
	arena_free(&a);
}

/* What is pushed to the index, and what is left. */
static const struct {
	const char *text;
	const char *rest;
} PUSH_CASES[] = {
	{ " ALL", "(and)" },
	{ " SEEN UNFLAGGED KEYWORD yes UID 1:9 SINCE 1-Jan-2000 LARGER 5 SMALLER 9 MODSEQ 4",
	    "(and)" },
	{ " NOT SEEN NOT UNFLAGGED UNKEYWORD yes UNKEYWORD no", "(and)" },
	{ " (SEEN (UNFLAGGED)) TEXT yes", "(and text::yes)" },
	{ " KEYWORD no", "(and kw:no)" }, /* finds nothing: the query cannot say so */
	{ " LARGER 0", "(and larger:0)" },
	{ " OR SEEN FLAGGED DRAFT", "(and (or +8 +2))" },
	{ " NOT (SEEN FLAGGED)", "(and (not (and +8 +2)))" },
	{ " SENTON 1-Jan-1970 SEEN", "(and sent>=0<1)" },
};

static void
index_gets_its_part(void **state)
{
	struct arena a = { 0 };
	struct buf tree = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PUSH_CASES); i++) {
		struct cursor c = cursor_from(str_from(PUSH_CASES[i].text));
		struct mailbox_query query = { 0 };
		struct uidset within = { 0 };
		struct search_plan plan;

		assert_int_equal(search_plan_parse(&c, &a, NOW, &plan), SEARCH_PARSED);
		bind(&plan.root);
		uidset_add_range(&within, 1, 100);
		search_push_down(&plan, &query, &within);
		buf_reset(&tree);
		dump(&plan, &plan.root, &tree);
		assert_string_equal(buf_cstr(&tree), PUSH_CASES[i].rest);
		uidset_free(&within);
		search_unbind(&plan);
		arena_reset(&a);
	}
	buf_free(&tree);
	arena_free(&a);
}

static void
query_is_the_conjunction(void **state)
{
	struct arena a = { 0 };
	struct cursor c =
	    cursor_from(str_from(" SEEN NOT FLAGGED KEYWORD yes UID 5:200 UID 1:50"
				 " SINCE 1-Jan-1970 SINCE 2-Jan-1970 BEFORE 9-Jan-1970"
				 " LARGER 5 LARGER 7 SMALLER 90 SMALLER 80 MODSEQ 4"));
	struct mailbox_query q = { 0 };
	struct uidset within = { 0 };
	struct search_plan plan;

	(void)state;
	assert_int_equal(search_plan_parse(&c, &a, NOW, &plan), SEARCH_PARSED);
	bind(&plan.root);
	uidset_add_range(&within, 1, 100);
	search_push_down(&plan, &q, &within);
	assert_int_equal(uidset_first(q.within), 5);
	assert_int_equal(uidset_last(q.within), 50);
	assert_int_equal(q.flags_set, MESSAGE_SEEN);
	assert_int_equal(q.flags_clear, MESSAGE_FLAGGED);
	assert_true(keyword_set_has(&q.keywords_set, 3));
	assert_true(q.has_since && q.since_s == DAY);
	assert_true(q.has_before && q.before_s == 8 * DAY);
	assert_true(q.larger_than == 7 && q.has_smaller && q.smaller_than == 80);
	assert_int_equal(q.modseq_min, 4);
	uidset_free(&within);
	search_unbind(&plan);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_parse),
		cmocka_unit_test(returns_parse),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(truths_hold),
		cmocka_unit_test(index_gets_its_part),
		cmocka_unit_test(query_is_the_conjunction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
