#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "admin/imap_reply.h"
#include "store/account.h"
#include "store/mailbox.h"

struct wire {
	struct str text;
	size_t piece; /* so many bytes at a time */
	struct buf body;
	uint64_t announced;
};

static ssize_t
on_read(void *arg, void *bytes, size_t size)
{
	struct wire *w = arg;
	size_t n = w->text.len < w->piece ? w->text.len : w->piece;

	n = n < size ? n : size;
	if (n > 0)
		memcpy(bytes, w->text.p, n);
	w->text.p += n;
	w->text.len -= n;
	return (ssize_t)n;
}

static bool
on_body_begin(void *arg, uint64_t size)
{
	((struct wire *)arg)->announced = size;
	return true;
}

static bool
on_body(void *arg, const char *bytes, size_t len)
{
	buf_add(&((struct wire *)arg)->body, bytes, len);
	return true;
}

/* All replies, each ended by '|', and the messages' bytes behind '#'; then how it ended. */
static char *
read_all(const char *text, size_t piece)
{
	static const char *const ENDS[] = { "ok", "lost", "stopped", "bad" };
	struct wire w = { .text = str_from(text), .piece = piece };
	struct imap_reader *r = mem_zalloc(sizeof(*r));
	struct buf line = { 0 }, out = { 0 };
	const char *why;
	enum imap_read got;

	r->source = (struct imap_source){ on_read, on_body_begin, on_body, &w };
	while ((got = imap_reader_next(r, &line, &why)) == IMAP_READ_OK) {
		for (size_t i = 0; i < line.len; i++)
			buf_addc(&out, line.data[i] == IMAP_REPLY_BODY ? '@' : line.data[i]);
		buf_addc(&out, '|');
	}
	buf_printf(&out, "#%.*s#%s", (int)w.body.len, w.body.len > 0 ? w.body.data : "", ENDS[got]);
	buf_free(&w.body);
	buf_free(&line);
	free(r);
	return buf_take(&out);
}

static void
test_reader(void **state)
{
	static const struct {
		const char *text, *want;
	} CASES[] = {
		{ "* OK hi\r\nA1 OK\r\n", "* OK hi|A1 OK|##lost" },
		{ "* OK hi\n", "* OK hi|##lost" }, /* LF alone */
		{ "* LIST () \"/\" {3}\r\na\"b\r\nA OK\r\n",
		    "* LIST () \"/\" {3}\r\na\"b|A OK|##lost" },
		{ "* 1 FETCH (UID 5 BODY[] {4}\r\n)\r\n{ FLAGS ())\r\n",
		    "* 1 FETCH (UID 5 BODY[] @ FLAGS ())|#)\r\n{#lost" },
		{ "* 1 FETCH (body[header] ~{3}\r\nabc UID 5)\r\n",
		    "* 1 FETCH (body[header] @ UID 5)|#abc#lost" },
		{ "* 1 FETCH (BODY[]<0> {3+}\r\nabc)\r\n", "* 1 FETCH (BODY[]<0> @)|#abc#lost" },
		{ "* 1 FETCH (BODY[] {3}\r\nabc BODY[] {1}\r\nx)\r\n",
		    "* 1 FETCH (BODY[] @ BODY[] {1}\r\nx)|#abc#lost" },
		{ "* 1 FETCH (BODY[] {3}\r\nab", "#ab#lost" },
		{ "* 1 FETCH (BODY[] {9999999999}\r\nab", "##bad" },
		{ "* 1 FETCH (BODY[] {99999999999999999999}\r\nab", "##bad" },
		{ "* LIST {999999}\r\nab", "##bad" },
		{ "* OK \1\r\n", "##bad" },
		{ "* OK {}\r\n* OK {a}\r\n* OK 5}\r\n", "* OK {}|* OK {a}|* OK 5}|##lost" },
		{ "", "##lost" },
		{ "\r\n\r\n", "||##lost" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
		for (size_t piece = 1; piece < 100; piece += 33) {
			char *got = read_all(CASES[i].text, piece);

			if (strcmp(got, CASES[i].want) != 0)
				fail_msg("case %zu: %s", i, got);
			free(got);
		}
}

static void
test_endless_line(void **state)
{
	char *text = mem_alloc(IMAP_REPLY_MAX_BYTES + 100), *got;

	(void)state;
	memset(text, 'x', IMAP_REPLY_MAX_BYTES + 99);
	text[IMAP_REPLY_MAX_BYTES + 99] = '\0';
	got = read_all(text, 10000);
	assert_string_equal(got, "##bad");
	free(got);
	free(text);
}

static void
test_replies(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		enum imap_reply_kind kind;
		unsigned value; /* status or number */
		const char *code, *name, *rest;
	} CASES[] = {
		{ "A1 OK done", true, IMAP_REPLY_TAGGED, IMAP_STATUS_OK, "", "", "done" },
		{ "A1 no [ALERT x] why", true, IMAP_REPLY_TAGGED, IMAP_STATUS_NO, "ALERT x", "",
		    "why" },
		{ "A1 OK", true, IMAP_REPLY_TAGGED, IMAP_STATUS_OK, "", "", "" },
		{ "A1 WHAT", false, 0, 0, "", "", "" },
		{ "A1", false, 0, 0, "", "", "" },
		{ "", false, 0, 0, "", "", "" },
		{ "+", true, IMAP_REPLY_CONTINUE, 0, "", "", "" },
		{ "+ go", true, IMAP_REPLY_CONTINUE, 0, "", "", "go" },
		{ "* BYE x", true, IMAP_REPLY_STATUS, IMAP_STATUS_BYE, "", "BYE", "x" },
		{ "* OK [UIDNEXT 5] x", true, IMAP_REPLY_STATUS, IMAP_STATUS_OK, "UIDNEXT 5", "OK",
		    "x" },
		{ "* OK [UIDNEXT 5", true, IMAP_REPLY_STATUS, IMAP_STATUS_OK, "", "OK",
		    "[UIDNEXT 5" },
		{ "* 12 EXISTS", true, IMAP_REPLY_NUMBER, 12, "", "EXISTS", "" },
		{ "* 99999999999 EXISTS", false, 0, 0, "", "", "" },
		{ "* 12", false, 0, 0, "", "", "" },
		{ "* LIST () NIL x", true, IMAP_REPLY_OTHER, 0, "", "LIST", "() NIL x" },
		{ "*", false, 0, 0, "", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct imap_reply r;
		bool ok = imap_reply_parse(str_from(CASES[i].text), &r);

		assert_int_equal(ok, CASES[i].ok);
		if (!ok)
			continue;
		assert_int_equal(r.kind, CASES[i].kind);
		assert_int_equal(
		    r.kind == IMAP_REPLY_NUMBER ? r.number : (unsigned)r.status, CASES[i].value);
		assert_true(str_eq(r.code, str_from(CASES[i].code)));
		assert_true(r.kind == IMAP_REPLY_TAGGED || str_eq(r.name, str_from(CASES[i].name)));
		assert_true(str_eq(r.rest, str_from(CASES[i].rest)));
	}
}

static void
test_fetched(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint32_t uid;
		unsigned flags, keywords, body;
		int64_t date;
		uint64_t size;
	} CASES[] = {
		{ "(UID 5)", true, 5, 0, 0, IMAP_BODY_NONE, 0, 0 },
		{ "(FLAGS (\\Seen \\recent a $b \\Odd) UID 5 RFC822.SIZE 12)", true, 5,
		    MESSAGE_SEEN, 2, 0, 0, 12 },
		{ "(INTERNALDATE \"01-Jan-1970 01:00:00 +0000\" UID 1)", true, 1, 0, 0, 0, 3600,
		    0 },
		{ "(INTERNALDATE \"yesterday\" UID 1)", true, 1, 0, 0, 0, 0, 0 },
		{ "(UID 5 BODY[] \001)", true, 5, 0, 0, IMAP_BODY_SINK, 0, 0 },
		{ "(UID 5 BODY[] NIL)", true, 5, 0, 0, IMAP_BODY_NIL, 0, 0 },
		{ "(BODY[HEADER] \"a\\\"b\" UID 5)", true, 5, 0, 0, IMAP_BODY_TEXT, 0, 0 },
		{ "(UID 5 MODSEQ (12) X (a (b \"c)\" {1}\r\n)) NIL) ENVELOPE (\"x\" NIL))", true, 5,
		    0, 0, 0, 0, 0 },
		{ "( UID 5 )", true, 5, 0, 0, 0, 0, 0 },
		{ "()", true, 0, 0, 0, 0, 0, 0 },
		{ "(UID 0)", false, 0, 0, 0, 0, 0, 0 },
		{ "(UID 5", false, 0, 0, 0, 0, 0, 0 },
		{ "(UID x)", false, 0, 0, 0, 0, 0, 0 },
		{ "(UID 99999999999)", false, 0, 0, 0, 0, 0, 0 },
		{ "(FLAGS \\Seen)", false, 0, 0, 0, 0, 0, 0 },
		{ "(BODY[] \"a)", false, 0, 0, 0, 0, 0, 0 },
		{ "(BODY[] \001 BODY[] \001)", false, 0, 0, 0, 0, 0, 0 },
		{ "(BODY[ \001)", false, 0, 0, 0, 0, 0, 0 },
		{ "(X {5}\r\nab)", false, 0, 0, 0, 0, 0, 0 },
		{ "", false, 0, 0, 0, 0, 0, 0 },
	};
	char deep[300] = "(X ";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct arena arena = { 0 };
		struct imap_fetched f;
		bool ok = imap_fetched_parse(str_from(CASES[i].text), &arena, &f);

		if (ok != CASES[i].ok)
			fail_msg("case %zu: %s", i, CASES[i].text);
		if (ok) {
			assert_int_equal(f.uid, CASES[i].uid);
			assert_int_equal(f.flags, CASES[i].flags);
			assert_int_equal(f.keyword_count, CASES[i].keywords);
			assert_int_equal(f.body_kind, CASES[i].body);
			assert_int_equal(f.has_date ? f.date_s : 0, CASES[i].date);
			assert_int_equal(f.size_bytes, CASES[i].size);
		}
		arena_free(&arena);
	}
	memset(deep + 3, '(', 200);
	assert_false(
	    imap_fetched_parse(str_from(deep), &(struct arena){ 0 }, &(struct imap_fetched){ 0 }));
}

static void
test_lists(void **state)
{
	struct arena arena = { 0 };
	struct imap_listed l;
	struct imap_namespace spaces[IMAP_NAMESPACES_MAX];
	size_t count;

	(void)state;
	assert_true(imap_listed_parse(
	    STR("(\\HasNoChildren \\Sent \\Subscribed) \".\" \"a \\\"b\\\"\""), &arena, &l));
	assert_string_equal(l.name, "a \"b\"");
	assert_int_equal(l.delimiter, '.');
	assert_true(l.subscribed && l.uses == 1u << SPECIAL_SENT && !l.noselect);
	assert_true(imap_listed_parse(
	    STR("(\\NoSelect) NIL {3}\r\na b (\"CHILDINFO\" (\"SUBSCRIBED\"))"), &arena, &l));
	assert_string_equal(l.name, "a b");
	assert_true(l.noselect && l.delimiter == '\0');
	assert_true(imap_listed_parse(STR("() \"\\\\\" INBOX"), &arena, &l));
	assert_int_equal(l.delimiter, '\\');
	assert_false(imap_listed_parse(STR("() \"ab\" INBOX"), &arena, &l));
	assert_false(imap_listed_parse(STR("() \"/\" \"\""), &arena, &l));
	assert_false(imap_listed_parse(STR("() \"/\""), &arena, &l));
	assert_false(imap_listed_parse(STR("\"/\" x"), &arena, &l));
	assert_true(imap_namespaces_parse(
	    STR("((\"INBOX.\" \".\")(\"x\" NIL \"EXT\" (\"a\" \"b\"))) NIL ((\"shared/\" \"/\"))"),
	    &arena, spaces, &count));
	assert_int_equal(count, 3);
	assert_string_equal(spaces[0].prefix, "INBOX.");
	assert_true(spaces[1].personal && !spaces[2].personal);
	assert_false(imap_namespaces_parse(STR("((\"a\"))"), &arena, spaces, &count));
	assert_false(imap_namespaces_parse(STR("NIL NIL"), &arena, spaces, &count));
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_endless_line),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_fetched),
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
