#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sending/pour.h"

static enum store_err
collect(void *arg, const void *bytes, size_t len)
{
	buf_add(arg, bytes, len);
	return STORE_OK;
}

static enum store_err
refuse(void *arg, const void *bytes, size_t len)
{
	(void)arg, (void)bytes, (void)len;
	return STORE_FULL;
}

struct pour_case {
	const char *content, *header, *body; /* of the edit; NULL: none */
	const char *poured;                  /* behind "Top: x\n" */
};

static const struct pour_case CASES[] = {
	{ "Subject: a\r\n\r\nbody\r\n", NULL, NULL, "Subject: a\r\n\r\nbody\r\n" },
	{ "Return-path: <x>\nSubject: a\n\nbody", NULL, NULL, "Subject: a\n\nbody" },
	{ "", NULL, NULL, "" },
	/* edits; what earlier deliveries left goes here too */
	{ "Subject: a\r\n\r\nbody\r\n", "Subject: b\nEnvelope-to: x\n", NULL,
	    "Subject: b\n\nbody\r\n" },
	{ "Subject: a\n\nbody\n", "Subject: b", "new\n", "Subject: b\n\nnew\n" },
	{ "Subject: a\n\nbody\n", "", "", "\n" },
	{ "Subject: a\n", "Subject: b\n", NULL, "Subject: b\n\n" },
};

static void
test_pour(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		const struct pour_case *c = &CASES[i];
		struct filter_edit edit = { 0 };
		struct content content;
		struct buf out = { 0 };
		struct pour_sink sink = { collect, &out };

		content_init(&content);
		assert_int_equal(
		    content_write(&content, -1, c->content, strlen(c->content)), STORE_OK);
		if (c->header != NULL)
			edit.header = str_from(c->header);
		if (c->body != NULL)
			edit.body = str_from(c->body);
		assert_int_equal(pour_message(&content, c->header != NULL ? &edit : NULL,
				     STR("Top: x\n"), &sink),
		    STORE_OK);
		buf_consume(&out, strlen("Top: x\n"));
		assert_string_equal(buf_cstr(&out), c->poured);
		sink.write = refuse;
		assert_int_equal(pour_message(&content, NULL, STR("Top: x\n"), &sink), STORE_FULL);
		buf_free(&out);
		content_reset(&content);
	}
}

/* What a relay puts on top anew each time it comes does not make another message of it. */
static void
test_digest(void **state)
{
	static const char *const TEXTS[] = {
		"Return-path: <a@b>\nDelivery-date: now\nSubject: a\n\nbody\n",
		"Delivery-date: later\nSubject: a\n\nbody\n",
		"Subject: a\n\nanother\n",
	};
	char digests[ARRAY_LEN(TEXTS)][POUR_DIGEST_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
		struct content content;

		content_init(&content);
		assert_int_equal(content_write(&content, -1, TEXTS[i], strlen(TEXTS[i])), STORE_OK);
		assert_int_equal(pour_digest(&content, digests[i]), STORE_OK);
		content_reset(&content);
	}
	assert_string_equal(digests[0], digests[1]);
	assert_string_not_equal(digests[0], digests[2]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pour),
		cmocka_unit_test(test_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
