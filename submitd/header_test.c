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
	{ FULL "mt-priority: 9\r\nTo: q\r\n\r\n", FULL "To: q\r\n\r\n" },
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

static bool
is_anns(void *arg, struct str address)
{
	(void)arg;
	return str_eq_nocase(address, STR("ann@example.org"));
}

/* `copy` may be NULL. */
static void
mend_both(const char *in, size_t step, enum from_policy policy, struct buf *out, struct buf *copy)
{
	struct header_mender m = { 0 };
	struct header_facts facts = { .hostname = "h",
		.helo = "c",
		.peer = "192.0.2.1",
		.with = "ESMTPSA",
		.account = "ann@example.org",
		.id = "i",
		.now = 1700000000,
		.from = { .policy = policy, .is_own = is_anns },
		.copy = copy };
	size_t len = strlen(in);

	header_begin(&m, &facts);
	for (size_t at = 0; at < len; at += step)
		assert_true(header_feed(
		    &m, (struct str){ in + at, len - at < step ? len - at : step }, out));
	header_finish(&m, out);
	assert_true(m.done && m.message_id.len > 0);
	header_end(&m);
}

static void
mend(const char *in, size_t step, struct buf *out)
{
	mend_both(in, step, FROM_OFF, out, NULL);
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
test_wishes(void **state)
{
	static const struct {
		const char *in;
		bool tls_optional, bulk;
	} ROWS[] = {
		{ FULL "\r\n", false, false },
		{ FULL "TLS-Required: No\r\n\r\n", true, false },
		{ FULL "tls-required:\r\n no \r\n\r\n", true, false },
		{ FULL "TLS-Required: Yes\r\n\r\n", false, false },
		{ FULL "\r\nTLS-Required: No\r\nList-Id: <a.b>\r\n", false, false },
		{ FULL "Precedence: Bulk\r\n\r\n", false, true },
		{ FULL "Precedence: first-class\r\n\r\n", false, false },
		{ FULL "List-ID: all <all.example.org>\r\n\r\n", false, true },
	};
	struct header_facts facts = { .hostname = "h",
		.helo = "c",
		.peer = "192.0.2.1",
		.with = "ESMTPSA",
		.account = "ann@example.org",
		.id = "i",
		.from = { .policy = FROM_OFF, .is_own = is_anns } };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		struct header_mender m = { 0 };
		struct buf out = { 0 };

		header_begin(&m, &facts);
		assert_true(header_feed(&m, str_from(ROWS[i].in), &out));
		header_finish(&m, &out);
		assert_int_equal(m.tls_optional, ROWS[i].tls_optional);
		assert_int_equal(m.bulk, ROWS[i].bulk);
		header_end(&m);
		buf_free(&out);
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
	buf_reset(&out);
	mend("", 100, &out);
	assert_non_null(strstr(buf_cstr(&out), "\r\nFrom: ann@example.org\r\n\r\n"));
	buf_free(&out);
}

/* The author's copy keeps what is hidden from the recipients. */
static void
test_copy(void **state)
{
	static const char REST[] = "To: q\r\n\r\nBcc: body\r\n";

	(void)state;
	for (size_t step = 1; step < 200; step += 7) {
		struct buf out = { 0 }, copy = { 0 };
		const char *at;

		mend_both(FULL "Bcc: x@y,\r\n z@y\r\nTo: q\r\n\r\nBcc: body\r\n", step, FROM_OFF,
		    &out, &copy);
		at = strstr(buf_cstr(&out), FULL);
		assert_non_null(at);
		assert_string_equal(at + strlen(FULL), REST);
		assert_int_equal(strncmp(buf_cstr(&copy), out.data, (size_t)(at - out.data)), 0);
		at = strstr(copy.data, FULL "Bcc: x@y,\r\n z@y\r\n");
		assert_non_null(at);
		assert_string_equal(at + strlen(FULL "Bcc: x@y,\r\n z@y\r\n"), REST);
		buf_free(&out);
		buf_free(&copy);
	}
}

static void
test_sender(void **state)
{
	struct buf out = { 0 };

	(void)state;
	mend_both("From: boss@x.org\r\nSender: pa@x.org\r\n (her)\r\nTo: q\r\n\r\n", 9,
	    FROM_ADD_SENDER, &out, NULL);
	assert_non_null(strstr(
	    buf_cstr(&out), "\r\nSender: ann@example.org\r\nFrom: boss@x.org\r\nTo: q\r\n\r\n"));
	buf_reset(&out);
	mend_both("Resent-To: q\r\nResent-Sender: pa@x.org\r\nResent-From: boss@x.org\r\n"
		  "Resent-Sender: old@x.org\r\n" FULL "Sender: pa@x.org\r\n\r\n",
	    200, FROM_ADD_SENDER, &out, NULL);
	assert_non_null(strstr(buf_cstr(&out),
	    "\r\nResent-Sender: ann@example.org\r\nResent-To: q\r\nResent-From: boss@x.org\r\n"
	    "Resent-Sender: old@x.org\r\n" FULL "Sender: pa@x.org\r\n\r\n"));
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
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_adds_what_is_missing),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
