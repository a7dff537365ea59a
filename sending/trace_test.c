#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sending/trace.h"

struct copy_case {
	const char *in, *out;
	size_t used;
};

static const struct copy_case COPY_CASES[] = {
	{ "", "", 0 },
	{ "\r\nbody", "", 0 },
	{ "Subject: a\r\n\r\nbody", "Subject: a\r\n", 12 },
	{ "Return-Path: <a@b>\r\nTo: c\r\n\r\n", "To: c\r\n", 27 },
	{ "return-path : <a@b>\nTo: c\n\nReturn-Path: in the body\n", "To: c\n", 26 },
	/* a folded field goes with all its lines */
	{ "To: c\nEnvelope-to: a,\n\tb\nDelivery-date: x\nX: y\n\n", "To: c\nX: y\n", 47 },
	{ "Envelope-tom: stays\n\n", "Envelope-tom: stays\n", 20 },
	/* a message that is all header */
	{ "To: c\nDelivery-date: x", "To: c\n", 22 },
};

static void
test_copy_header(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(COPY_CASES); i++) {
		const struct copy_case *c = &COPY_CASES[i];
		struct buf out = { 0 };
		size_t used = trace_copy_header(&out, str_from(c->in));

		assert_string_equal(buf_cstr(&out), c->out);
		assert_int_equal(used, c->used);
		buf_free(&out);
	}
}

static void
test_headers(void **state)
{
	struct trace t = { .sender = "",
		.rcpt = "ann@example.org",
		.helo = "relay.example.net",
		.peer = "2001:db8::1",
		.hostname = "store.example.org",
		.with = "LMTPS",
		.tls = "TLSv1.3 X",
		.id = "1.2",
		.now = 1700000000 };
	struct buf out = { 0 };

	(void)state;
	trace_headers(&out, &t);
	assert_non_null(strstr(buf_cstr(&out), "Return-Path: <>\nEnvelope-to: ann@example.org\n"));
	assert_non_null(strstr(buf_cstr(&out),
	    "Received: from relay.example.net ([IPv6:2001:db8::1])\n\tby store.example.org with "
	    "LMTPS\n\t(TLSv1.3 X)\n\tid 1.2 for <ann@example.org>;\n\t"));
	buf_reset(&out);
	t.helo = NULL;
	trace_headers(&out, &t);
	assert_null(strstr(buf_cstr(&out), "Received:"));
	/* what goes on from here counts as a hop all the same */
	buf_reset(&out);
	t.with = t.tls = NULL;
	trace_received(&out, &t);
	assert_non_null(strstr(
	    buf_cstr(&out), "Received: by store.example.org\n\tid 1.2 for <ann@example.org>;\n\t"));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy_header),
		cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
