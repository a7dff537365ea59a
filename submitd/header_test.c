#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "submitd/header.h"

#define FULL "Date: d\r\nMessage-ID: <m@x>\r\nFrom: a@b\r\n"

struct mend_case {
	const char *in, *out; /* out: behind the Received field */
};

static const struct mend_case CASES[] = {
	{ FULL "\r\nbody\r\n", FULL "\r\nbody\r\n" },
	{ FULL "Bcc: x@y,\r\n z@y\r\nTo: q\r\n\r\n", FULL "To: q\r\n\r\n" },
	{ FULL "resent-bcc : x@y\r\n\r\n", FULL "\r\n" },
	/* letter case, and a field that only starts alike */
	{ "DATE: d\r\nmessage-id: <m@x>\r\nFROM: a@b\r\nBccs: x\r\n\r\n",
	    "DATE: d\r\nmessage-id: <m@x>\r\nFROM: a@b\r\nBccs: x\r\n\r\n" },
	/* nothing of the body is a header */
	{ FULL "\r\nBcc: stays\r\n", FULL "\r\nBcc: stays\r\n" },
	/* the blank line was forgotten */
	{ FULL "just text\r\n", FULL "\r\njust text\r\n" },
	/* no line end at the end */
	{ FULL "To: q", FULL "To: q\r\n\r\n" },
	{ "Date: d\r\nMessage-ID: <m@x>\r\n\r\nb",
	    "From: ann@example.org\r\nDate: d\r\nMessage-ID: <m@x>\r\n\r\nb" },
};

static void
mend(const char *in, size_t step, struct buf *out)
{
	struct header_mender m = { 0 };
	struct header_facts facts = { .hostname = "h",
		.helo = "c",
		.peer = "192.0.2.1",
		.with = "ESMTPSA",
		.account = "ann@example.org",
		.id = "i",
		.now = 1700000000 };
	size_t len = strlen(in);

	header_begin(&m, &facts);
	for (size_t at = 0; at < len; at += step)
		assert_true(header_feed(
		    &m, (struct str){ in + at, len - at < step ? len - at : step }, out));
	header_finish(&m, out);
	header_end(&m);
}

static void
test_mend(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		for (size_t step = 1; step < 200; step += 7) {
			struct buf out = { 0 };
			const char *text, *rest;

			mend(CASES[i].in, step, &out);
			text = buf_cstr(&out);
			assert_int_equal(
			    strncmp(text, "Received: from c ([192.0.2.1])\r\n", 32), 0);
			rest = strstr(text, "\tid i;\r\n\t");
			assert_non_null(rest);
			rest = strstr(rest + 9, "\r\n");
			assert_string_equal(rest + 2, CASES[i].out);
			buf_free(&out);
		}
	}
}

static void
test_adds_what_is_missing(void **state)
{
	struct buf out = { 0 };

	(void)state;
	mend("just a body\r\n", 100, &out);
	assert_non_null(strstr(buf_cstr(&out), "\r\nDate: Tue, 14 Nov 2023 "));
	assert_non_null(strstr(buf_cstr(&out), "\r\nMessage-ID: <"));
	assert_non_null(strstr(buf_cstr(&out), "\r\nFrom: ann@example.org\r\n\r\njust a body\r\n"));
	buf_free(&out);
}

static void
test_too_large(void **state)
{
	struct header_mender m = { 0 };
	struct header_facts facts = {
		.hostname = "h", .helo = "c", .peer = "p", .with = "w", .account = "a", .id = "i"
	};
	char *line = mem_alloc(HEADER_MAX_BYTES);
	struct buf out = { 0 };

	(void)state;
	memset(line, 'x', HEADER_MAX_BYTES);
	memcpy(line, "A: ", 3);
	header_begin(&m, &facts);
	assert_true(header_feed(&m, (struct str){ line, HEADER_MAX_BYTES }, &out));
	assert_false(header_feed(&m, (struct str){ line + 3, 1 }, &out));
	header_end(&m);
	buf_free(&out);
	free(line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mend),
		cmocka_unit_test(test_adds_what_is_missing),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
