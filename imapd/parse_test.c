#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdio.h>

#include "base/buf.h"
#include "imapd/parse.h"

/* Each rule is called with the whole input; what it leaves unread counts too. */
static const struct {
	const char *in;
	bool ok;
	const char *text; /* what it matched */
	const char *rest;
} ASTRINGS[] = {
	{ "INBOX rest", true, "INBOX", " rest" },
	{ "a]b", true, "a]b", "" }, /* resp-specials are fine in an astring */
	{ "a%b", true, "a", "%b" }, { "\"a b\" c", true, "a b", " c" },
	{ "\"a\\\"b\\\\\"", true, "a\"b\\", "" }, { "\"\"", true, "", "" },
	{ "{3}\r\nabcd", true, "abc", "d" }, { "{3+}\r\nabc", true, "abc", "" },
	{ "{3}\nabc", true, "abc", "" }, /* bare LF, as the framing takes it */
	{ "{0}\r\n", true, "", "" },
	{ "\"\xc3\xa4\"", true, "\xc3\xa4", "" }, /* UTF-8 in a quoted string */
	{ "\"\xc3\"", false, NULL, NULL }, { "\"a", false, NULL, NULL },
	{ "\"a\\", false, NULL, NULL }, { "\"a\r\nb\"", false, NULL, NULL },
	{ "{4}\r\nabc", false, NULL, NULL }, /* shorter than announced */
	{ "{3}abc", false, NULL, NULL }, { "{99999999999999999999}\r\n", false, NULL, NULL },
	{ "{-1}\r\n", false, NULL, NULL }, { "{}\r\n", false, NULL, NULL },
	{ "~{3}\r\nabc", true, "~",
	    "{3}\r\nabc" }, /* "~" is an atom character; literal8 is no astring */
	{ "", false, NULL, NULL }, { "(", false, NULL, NULL },
	{ "\xc3\xa4", false, NULL, NULL }, /* 8 bit needs quotes */
};

static void
test_astring(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ASTRINGS); i++) {
		struct cursor c = cursor_from(str_from(ASTRINGS[i].in));
		struct arena a = { 0 };
		struct str text;
		bool ok = imap_parse_astring(&c, &a, &text);

		print_message("%s\n", ASTRINGS[i].in);
		assert_int_equal(ok, ASTRINGS[i].ok);
		if (ok) {
			assert_true(str_eq(text, str_from(ASTRINGS[i].text)));
			assert_string_equal(c.p, ASTRINGS[i].rest);
		}
		arena_free(&a);
	}
}

static const struct {
	const char *line;
	bool ok, nonsync, binary;
	uint64_t size;
	size_t start;
} ANNOUNCEMENTS[] = {
	{ "a LOGIN {5}", true, false, false, 5, 8 },
	{ "a LOGIN {5+}", true, true, false, 5, 8 },
	{ "a APPEND x ~{5}", true, false, true, 5, 11 },
	{ "a APPEND x ~{5+}", true, true, true, 5, 11 },
	{ "{0}", true, false, false, 0, 0 },
	{ "a {9223372036854775807}", true, false, false, INT64_MAX, 2 },
	{ "a {9223372036854775808}", false, false, false, 0, 0 },
	{ "a {5-}", false, false, false, 0, 0 }, /* an early form of LITERAL- */
	{ "a {5} ", false, false, false, 0, 0 },
	{ "a {5", false, false, false, 0, 0 },
	{ "a 5}", false, false, false, 0, 0 },
	{ "}", false, false, false, 0, 0 },
	{ "a {x}", false, false, false, 0, 0 },
};

static void
test_announcement(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ANNOUNCEMENTS); i++) {
		struct imap_literal lit;
		size_t start;
		bool ok = imap_line_ends_in_literal(str_from(ANNOUNCEMENTS[i].line), &lit, &start);

		print_message("%s\n", ANNOUNCEMENTS[i].line);
		assert_int_equal(ok, ANNOUNCEMENTS[i].ok);
		if (!ok)
			continue;
		assert_int_equal(lit.size_bytes, ANNOUNCEMENTS[i].size);
		assert_int_equal(lit.nonsync, ANNOUNCEMENTS[i].nonsync);
		assert_int_equal(lit.binary, ANNOUNCEMENTS[i].binary);
		assert_int_equal(start, ANNOUNCEMENTS[i].start);
	}
}

static const struct {
	const char *in;
	bool ok;
	const char *ranges; /* low-high, … */
} SETS[] = {
	{ "1", true, "1-1" },
	{ "3:*", true, "3-*" },
	{ "*", true, "*-*" },
	{ "*:4", true, "4-*" },
	{ "5:1", true, "1-5" }, /* ends may come swapped */
	{ "1,3:4,9", true, "1-1,3-4,9-9" },
	{ "4294967295", true, "4294967294-4294967294" },
	{ "$", true, "$" },
	{ "0", false, NULL }, /* nz-number starts at 1 */
	{ "0:4", false, NULL },
	{ "1,", false, NULL },
	{ ",1", false, NULL },
	{ "1:", false, NULL },
	{ "4294967296", false, NULL },
	{ "", false, NULL },
	{ "a", false, NULL },
};

static void
show_number(struct buf *out, uint32_t n)
{
	if (n == IMAP_SEQ_STAR)
		buf_addc(out, '*');
	else
		buf_printf(out, "%u", n);
}

static void
test_sequence_set(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(SETS); i++) {
		struct cursor c = cursor_from(str_from(SETS[i].in));
		struct arena a = { 0 };
		struct imap_sequence_set set;
		struct buf shown = { 0 };
		bool ok = imap_parse_sequence_set(&c, &a, &set);

		print_message("%s\n", SETS[i].in);
		assert_int_equal(ok, SETS[i].ok);
		if (ok) {
			if (set.saved)
				buf_addc(&shown, '$');
			for (size_t r = 0; r < set.count; r++) {
				buf_adds(&shown, r > 0 ? "," : "");
				show_number(&shown, set.ranges[r].low);
				buf_addc(&shown, '-');
				show_number(&shown, set.ranges[r].high);
			}
			assert_string_equal(buf_cstr(&shown), SETS[i].ranges);
		}
		buf_free(&shown);
		arena_free(&a);
	}
}

static const struct {
	struct imap_range in;
	uint32_t largest;
	struct imap_range out;
} RESOLVED[] = {
	{ { 3, 5 }, 9, { 3, 5 } },
	{ { 3, IMAP_SEQ_STAR }, 9, { 3, 9 } },
	{ { 12, IMAP_SEQ_STAR }, 9, { 9, 12 } }, /* RFC 9051 §9: contains the largest */
	{ { IMAP_SEQ_STAR, IMAP_SEQ_STAR }, 9, { 9, 9 } },
};

static void
test_resolve(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(RESOLVED); i++) {
		struct imap_range r = imap_range_resolve(RESOLVED[i].in, RESOLVED[i].largest);

		assert_int_equal(r.low, RESOLVED[i].out.low);
		assert_int_equal(r.high, RESOLVED[i].out.high);
	}
}

static const struct {
	const char *in;
	bool ok;
	int64_t value;
} DATES[] = {
	{ "1-Jan-1970", true, 0 },
	{ "\"2-Jan-1970\"", true, 1 },
	{ "31-Dec-1969", true, -1 },
	{ "29-Feb-2024", true, 19782 },
	{ "29-FEB-2000", true, 11016 },
	{ "1-Mar-2000", true, 11017 },
	{ "29-Feb-1900", false, 0 },
	{ "29-Feb-2023", false, 0 },
	{ "0-Jan-2020", false, 0 },
	{ "32-Jan-2020", false, 0 },
	{ "1-Foo-2020", false, 0 },
	{ "1-Jan-20", false, 0 },
	{ "\"1-Jan-2020", false, 0 },
}, TIMES[] = {
	{ "\" 1-Jan-1970 00:00:00 +0000\"", true, 0 },
	{ "\"01-Jan-1970 01:00:00 +0100\"", true, 0 },
	{ "\"1-Jan-1970 00:00:00 -0130\"", true, 5400 },
	{ "\"17-Jul-1996 02:44:25 -0700\"", true, 837596665 },
	{ "\"31-Dec-2016 23:59:60 +0000\"", true, 1483228800 },
	{ "\"17-Jul-1996 24:00:00 +0000\"", false, 0 },
	{ "\"17-Jul-1996 02:60:00 +0000\"", false, 0 },
	{ "\"17-Jul-1996 02:44:25\"", false, 0 },
	{ "17-Jul-1996 02:44:25 -0700", false, 0 },
	{ "\"17-Jul-1996 02:44:25 -0700", false, 0 },
};

static void
test_dates(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(DATES); i++) {
		struct cursor c = cursor_from(str_from(DATES[i].in));
		int32_t days;
		bool ok = imap_parse_date(&c, &days) && cursor_at_end(&c);

		print_message("%s\n", DATES[i].in);
		assert_int_equal(ok, DATES[i].ok);
		if (ok)
			assert_int_equal(days, DATES[i].value);
	}
	for (size_t i = 0; i < ARRAY_LEN(TIMES); i++) {
		struct cursor c = cursor_from(str_from(TIMES[i].in));
		int64_t t;
		bool ok = imap_parse_date_time(&c, &t) && cursor_at_end(&c);

		print_message("%s\n", TIMES[i].in);
		assert_int_equal(ok, TIMES[i].ok);
		if (ok)
			assert_int_equal(t, TIMES[i].value);
	}
}

static const struct {
	const char *in;
	bool list_ok, store_ok;
	unsigned bits;
	const char *keywords;
} FLAGS[] = {
	{ "()", true, true, 0, "" },
	{ "(\\Seen \\deleted)", true, true, MESSAGE_SEEN | MESSAGE_DELETED, "" },
	{ "\\Seen \\Flagged", false, true, MESSAGE_SEEN | MESSAGE_FLAGGED, "" },
	{ "($Junk $junk todo)", true, true, 0, "$Junk todo" }, /* each once, first spelling */
	{ "(\\Recent)", false, false, 0, "" },                 /* the server's alone */
	{ "(\\Foo \\Seen)", true, true, MESSAGE_SEEN, "" },    /* no flag of ours: passed over */
	{ "(\\*)", false, false, 0, "" },
	{ "(\\Seen", false, false, 0, "" },
	{ "(\\Seen )", false, false, 0, "" },
	{ "( \\Seen)", false, false, 0, "" },
	{ "", false, false, 0, "" },
};

static bool
flags_equal(const struct imap_flags *f, unsigned bits, const char *keywords)
{
	struct buf names = { 0 };
	bool equal;

	for (size_t i = 0; i < f->keyword_count; i++)
		buf_printf(&names, "%s%s", i > 0 ? " " : "", f->keywords[i]);
	equal = f->bits == bits && strcmp(buf_cstr(&names), keywords) == 0;
	buf_free(&names);
	return equal;
}

static void
test_flags(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(FLAGS); i++) {
		struct cursor c = cursor_from(str_from(FLAGS[i].in));
		struct arena a = { 0 };
		struct imap_flags flags;
		bool ok = imap_parse_flag_list(&c, &a, &flags) && cursor_at_end(&c);

		print_message("%s\n", FLAGS[i].in);
		assert_int_equal(ok, FLAGS[i].list_ok);
		if (ok)
			assert_true(flags_equal(&flags, FLAGS[i].bits, FLAGS[i].keywords));
		c = cursor_from(str_from(FLAGS[i].in));
		ok = imap_parse_store_flags(&c, &a, &flags) && cursor_at_end(&c);
		assert_int_equal(ok, FLAGS[i].store_ok);
		if (ok)
			assert_true(flags_equal(&flags, FLAGS[i].bits, FLAGS[i].keywords));
		arena_free(&a);
	}
}

static const struct {
	const char *in;
	bool ok;
	uint64_t value;
} NUMBERS[] = {
	{ "0", true, 0 },
	{ "4294967296", true, 4294967296 },
	{ "9223372036854775807", true, INT64_MAX },
	{ "9223372036854775808", false, 0 },
	{ "", false, 0 },
	{ "-1", false, 0 },
};

static void
test_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
		struct cursor c = cursor_from(str_from(NUMBERS[i].in));
		struct cursor again = c;
		uint64_t n;

		assert_int_equal(imap_parse_number64(&c, &n), NUMBERS[i].ok);
		if (NUMBERS[i].ok)
			assert_int_equal(n, NUMBERS[i].value);
		assert_int_equal(
		    imap_parse_nz_number64(&again, &n), NUMBERS[i].ok && NUMBERS[i].value != 0);
	}
}

static const struct {
	const char *in;
	bool ok;
	const char *tag;
} TAGS[] = {
	{ "a1 NOOP", true, "a1" },
	{ "A.B]}~ NOOP", true, "A.B]}~" },
	{ "+ NOOP", false, NULL },
	{ "* NOOP", false, NULL },
	{ " NOOP", false, NULL },
	{ "", false, NULL },
};

static void
test_tags(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TAGS); i++) {
		struct cursor c = cursor_from(str_from(TAGS[i].in));
		struct str tag;
		bool ok = imap_parse_tag(&c, &tag);

		assert_int_equal(ok, TAGS[i].ok);
		if (ok)
			assert_true(str_eq(tag, str_from(TAGS[i].tag)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_astring),
		cmocka_unit_test(test_announcement),
		cmocka_unit_test(test_sequence_set),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
