#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "admin/mbox.h"
#include "store/mailbox.h"

static ssize_t
read_text(void *arg, void *bytes, size_t size, uint64_t at)
{
	const struct str *text = arg;
	size_t n = at < text->len ? text->len - (size_t)at : 0;

	n = n < size ? n : size;
	n = n < 7 ? n : 7; /* cut wherever it hurts */
	memcpy(bytes, text->p + (n > 0 ? at : 0), n);
	return (ssize_t)n;
}

static bool
add(void *arg, const char *bytes, size_t len)
{
	buf_add(arg, bytes, len);
	return true;
}

/* All messages, each as "{flags:keywords:date}text". */
static char *
read_all(struct str text)
{
	const struct mbox_source source = { read_text, &text };
	struct mbox *m = mbox_new(&source);
	struct mbox_message info = { 0 };
	struct buf out = { 0 }, one = { 0 };
	enum mbox_result got;

	while ((got = mbox_next(m, add, &one, &info)) == MBOX_MESSAGE) {
		buf_printf(&out, "{%u:", info.flags);
		for (size_t i = 0; i < info.keyword_count; i++)
			buf_printf(&out, "%.*s,", (int)info.keywords[i].len, info.keywords[i].p);
		buf_printf(&out, ":%lld%s}", (long long)info.date_s, info.expunged ? ":gone" : "");
		buf_add(&out, one.data != NULL ? one.data : "", one.len);
		buf_reset(&one);
	}
	assert_true(got == MBOX_END || got == MBOX_NONE);
	if (got == MBOX_NONE)
		buf_adds(&out, "none");
	mbox_message_free(&info);
	mbox_free(m);
	buf_free(&one);
	return buf_take(&out);
}

#define F "From a@b Thu Nov 20 10:00:00 2025\n" /* 1763632800 */
#define D "1763632800}"

static void
test_reading(void **state)
{
	static const struct {
		const char *text, *want;
	} CASES[] = {
		{ "", "" },
		{ "\n\n", "" },
		{ "no mbox\n", "none" },
		{ F "S: x\n\nbody\n", "{0::" D "S: x\n\nbody\n" },
		{ F "S: x\n\nbody\n\n", "{0::" D "S: x\n\nbody\n" },
		{ F "S: x\n\nbody", "{0::" D "S: x\n\nbody" },
		{ "\n" F "S: x\n\nbody\n\n" F "S: y\n\n\n",
		    "{0::" D "S: x\n\nbody\n{0::" D "S: y\n\n" },
		{ F "S: x\n\n" F "S: y\n\nz\n",
		    "{0::" D "S: x\n\n{0::" D "S: y\n\nz\n" }, /* no body, one empty line */
		{ F "S: x\n\nb\n\n\n\n" F "\ny\n\n", "{0::" D "S: x\n\nb\n\n\n{0::" D "\ny\n" },
		/* text that only looks like it */
		{ F "\na\n" F "\n", "{0::" D "\na\n" F },
		{ F "\na\n\nFrom here on\n", "{0::" D "\na\n\nFrom here on\n" },
		{ F "\n>From a\n>>From b\n>Fromage\nFrom: c\n",
		    "{0::" D "\nFrom a\n>From b\n>Fromage\nFrom: c\n" },
		{ F ">From x\nS: y\n\nz\n", "{0::" D ">From x\nS: y\n\nz\n" },
		/* CRLF */
		{ "From a Thu Nov 20 10:00:00 2025\r\nS: x\r\nStatus: R\r\n\r\nb\r\n\r\nFrom a Thu "
		  "Nov 20 10:00:00 2025\r\n\r\ny\r\n",
		    "{8::" D "S: x\r\n\r\nb\r\n{0::" D "\r\ny\r\n" },
		/* flags */
		{ F "Status: RO\nX-Status: AF\nX-Keywords: a b  c\n d\nX-UID: 7\nS: x\n\n",
		    "{11:a,b,c,:" D "S: x\n\n" },
		{ F "X-Status: DT\nstatus : O\nX-IMAPbase: 1 2\n  3\nS: x\n\n",
		    "{20::" D "S: x\n\n" },
		{ F "X-Mozilla-Status: 0005\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys: $label1  "
		    " \nS: x\n\n",
		    "{10:$label1,:" D "S: x\n\n" },
		{ F "X-Mozilla-Status: 0009\n\n", "{8::1763632800:gone}\n" },
		/* Content-Length */
		{ F "Content-Length: 5\n\na\n\nb\n\n\n" F "\nx\n",
		    "{0::" D "\na\n\nb\n{0::" D "\nx\n" },
		{ F "Content-Length: 36\n\n" F ">\n\n" F "\nx\n",
		    "{0::" D "\n" F ">\n{0::" D "\nx\n" },
		{ F "Content-Length: 3\n\nabcdef\n\n" F "\nx\n",
		    "{0::" D "\nabcdef\n{0::" D "\nx\n" },
		{ F "Content-Length: 999999\n\nabc\n\n" F "\nx\n",
		    "{0::" D "\nabc\n{0::" D "\nx\n" },
		{ F "Content-Length: 99999999999999999999\n\nabc\n", "{0::" D "\nabc\n" },
		/* no empty line behind the header */
		{ F "S: x\n", "{0::" D "S: x\n" },
		{ F, "{0::" D },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		char *got = read_all(str_from(CASES[i].text));

		if (strcmp(got, CASES[i].want) != 0)
			fail_msg("case %zu: %s\ninstead of %s", i, got, CASES[i].want);
		free(got);
	}
}

static void
test_from_lines(void **state)
{
	static const struct {
		const char *line;
		bool is;
		int64_t date;
	} CASES[] = {
		{ "From a@b Thu Nov 20 10:00:00 2025", true, 1763632800 },
		{ "From a@b  Thu Nov  6 10:00 2025", true, 1762423200 },
		{ "From a@b Thu Nov 20 10:00:00 +0200 2025", true, 1763625600 },
		{ "From a@b Thu Nov 20 10:00:00 2025 -0130", true, 1763638200 },
		{ "From a@b Thu Nov 20 10:00:00 CET 2025", true, 1763632800 },
		{ "From 1575647283484@xxx Thu Apr 11 10:00:00 +0000 2013", true, 1365674400 },
		{ "From - Thu, 20 Nov 2025 10:00:00 +0000", true, 1763632800 },
		{ "From ", true, -1 }, /* Thunderbird */
		{ "From \r", true, -1 },
		{ "From a b c Thu Nov 20 10:00:00 2025", true, 1763632800 },
		{ "From", false, -1 },
		{ "From: a@b Thu Nov 20 10:00:00 2025", false, -1 },
		{ "From here on", false, -1 },
		{ "From a@b Thu Nov 40 10:00:00 2025", false, -1 },
		{ "From a@b Thu Nov 20 10:00:00 1925", false, -1 },
		{ "From Mon to Fri", false, -1 },
		{ ">From a@b Thu Nov 20 10:00:00 2025", false, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		int64_t date;

		if (mbox_from_line(str_from(CASES[i].line), &date) != CASES[i].is ||
		    date != CASES[i].date)
			fail_msg("%s: %lld", CASES[i].line, (long long)date);
	}
}

/* What is written comes back as it was, flags and all. */
static void
test_round_trip(void **state)
{
	static const char *const TEXTS[] = { "S: x\n\nbody\n", "\nno header\n", "S: x\n\n",
		"S: x\n\nFrom here\n>From there\n\nFrom a@b Thu Nov 20 10:00:00 2025\n>\n\n\n",
		"S: x\r\n\r\nwith CR\r\n\r\nFrom a\r\n", "S: x\n folded\n\n\n\n\n" };
	static const char *const KEYWORDS[] = { "$Forwarded", "Work" };
	struct buf file = { 0 }, want = { 0 };
	struct mbox_writer w = { .write = add, .arg = &file };
	char *long_text = mem_alloc(300001), *got;

	(void)state;
	memset(long_text, 'x', 300000);
	memcpy(long_text, "S: x\n\n", 6);
	memcpy(long_text + 150000, "\nFrom y", 7);
	long_text[299999] = '\n';
	long_text[300000] = '\0';
	for (size_t i = 0; i <= ARRAY_LEN(TEXTS); i++) {
		const char *text = i < ARRAY_LEN(TEXTS) ? TEXTS[i] : long_text;
		const struct mbox_meta meta = { .sender = i == 1 ? "a b" : "x@y",
			.date_s = 1763632800,
			.flags = (unsigned)i * 5,
			.keywords = KEYWORDS,
			.keyword_count = i % 3,
			.uid = (uint32_t)i + 1,
			.uidvalidity = i == 0 ? 77 : 0,
			.uidnext = 9 };

		assert_true(mbox_write_begin(&w, &meta));
		for (size_t at = 0; at < strlen(text); at += 5)
			assert_true(mbox_write(
			    &w, text + at, strlen(text) - at < 5 ? strlen(text) - at : 5));
		assert_true(mbox_write_end(&w));
		buf_printf(&want, "{%u:%s%s:" D "%s", (unsigned)i * 5 & MESSAGE_FLAGS_ALL,
		    i % 3 > 0 ? "$Forwarded," : "", i % 3 > 1 ? "Work," : "", text);
	}
	got = read_all((struct str){ file.data, file.len });
	assert_string_equal(got, buf_cstr(&want));
	mbox_writer_free(&w);
	buf_free(&file);
	buf_free(&want);
	free(got);
	free(long_text);
}

/* Fields that would be taken for the file's are the file's. */
static void
test_fields_that_are_left_out(void **state)
{
	struct buf file = { 0 };
	struct mbox_writer w = { .write = add, .arg = &file };
	static const char TEXT[] =
	    "Status: R\nS: x\nContent-Length: 3\n more\nX-Keywords: a\n\nStatus: R\n";
	char *got;

	(void)state;
	assert_true(mbox_write_begin(&w, &(struct mbox_meta){ .date_s = 1763632800, .uid = 1 }));
	assert_true(mbox_write(&w, TEXT, sizeof(TEXT) - 1));
	assert_true(mbox_write_end(&w));
	got = read_all((struct str){ file.data, file.len });
	assert_string_equal(got, "{0::" D "S: x\n\nStatus: R\n");
	free(got);
	mbox_writer_free(&w);
	buf_free(&file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_from_lines),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_fields_that_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
