/* Requests and answers of both protocols, whole, in pieces and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lda/lookup_protocol.h"

static const struct {
	const char *bytes;
	enum lookup_read read;
	const char *map, *key;
	size_t used; /* 0: all */
} REQUESTS[] = {
	{ "26:recipients ann@example.org,", LOOKUP_READ_YES, "recipients", "ann@example.org", 0 },
	{ "26:recipients ann@example.org,1:x,", LOOKUP_READ_YES, "recipients", "ann@example.org",
	    30 },
	{ "11:m two words,", LOOKUP_READ_YES, "m", "two words", 0 },
	{ "get ann@example.org\n", LOOKUP_READ_YES, "", "ann@example.org", 0 },
	{ "get a%20b%25%C3%a9\n", LOOKUP_READ_YES, "", "a b%\xc3\xa9", 0 },
	{ "get x\nget y\n", LOOKUP_READ_YES, "", "x", 6 },
	{ "", LOOKUP_READ_MORE, NULL, NULL, 0 },
	{ "2", LOOKUP_READ_MORE, NULL, NULL, 0 },
	{ "26:recip", LOOKUP_READ_MORE, NULL, NULL, 0 },
	{ "26:recipients ann@example.org", LOOKUP_READ_MORE, NULL, NULL, 0 },
	{ "get ann", LOOKUP_READ_MORE, NULL, NULL, 0 },
	{ "4:none,", LOOKUP_READ_BAD, NULL, NULL, 0 },
	{ "2:a ,", LOOKUP_READ_BAD, NULL, NULL, 0 },
	{ "2: a,", LOOKUP_READ_BAD, NULL, NULL, 0 },
	{ "0:,", LOOKUP_READ_BAD, NULL, NULL, 0 },
	{ "5:a b\rc,", LOOKUP_READ_BAD, NULL, NULL, 0 },
	{ "put a b\n", LOOKUP_READ_BAD, NULL, NULL, 0 },
	{ "get \n", LOOKUP_READ_BAD, NULL, NULL, 0 },
	{ "get %0a\n", LOOKUP_READ_BAD, NULL, NULL, 0 },
	{ "get %4\n", LOOKUP_READ_BAD, NULL, NULL, 0 },
	{ "get a%zz\n", LOOKUP_READ_BAD, NULL, NULL, 0 },
	{ "3:abcd", LOOKUP_READ_END, NULL, NULL, 0 },
	{ "3;abc,", LOOKUP_READ_END, NULL, NULL, 0 },
	{ "03:a b,", LOOKUP_READ_END, NULL, NULL, 0 },
	{ "99999:", LOOKUP_READ_END, NULL, NULL, 0 },
	{ "9999:", LOOKUP_READ_END, NULL, NULL, 0 },
	{ "EHLO x\r\n", LOOKUP_READ_END, NULL, NULL, 0 },
};

static void
test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(REQUESTS); i++) {
		struct str bytes = str_from(REQUESTS[i].bytes);
		struct lookup_request r;
		size_t used, want = REQUESTS[i].used > 0 ? REQUESTS[i].used : bytes.len;

		if (lookup_request_read(bytes, &r, &used) != REQUESTS[i].read)
			fail_msg("%s", REQUESTS[i].bytes);
		if (REQUESTS[i].read == LOOKUP_READ_YES || REQUESTS[i].read == LOOKUP_READ_BAD)
			assert_int_equal(used, want);
		if (REQUESTS[i].key == NULL)
			continue;
		assert_string_equal(r.map, REQUESTS[i].map);
		assert_string_equal(r.key, REQUESTS[i].key);
		for (size_t len = 0; len < want; len++) { /* each byte less is too little */
			bytes.len = len;
			assert_int_equal(lookup_request_read(bytes, &r, &used), LOOKUP_READ_MORE);
		}
	}
}

static void
test_limits(void **state)
{
	char *text = mem_alloc(LOOKUP_REQUEST_MAX_BYTES + 10);
	struct lookup_request r;
	size_t used;

	(void)state;
	memset(text, 'a', LOOKUP_REQUEST_MAX_BYTES + 10);
	memcpy(text, "get ", 4);
	assert_int_equal(
	    lookup_request_read((struct str){ text, LOOKUP_REQUEST_MAX_BYTES + 1 }, &r, &used),
	    LOOKUP_READ_END);
	text[4 + LOOKUP_KEY_MAX_BYTES] = '\n';
	assert_int_equal(
	    lookup_request_read((struct str){ text, 5 + LOOKUP_KEY_MAX_BYTES }, &r, &used),
	    LOOKUP_READ_YES);
	text[4 + LOOKUP_KEY_MAX_BYTES] = 'a';
	text[5 + LOOKUP_KEY_MAX_BYTES] = '\n';
	assert_int_equal(
	    lookup_request_read((struct str){ text, 6 + LOOKUP_KEY_MAX_BYTES }, &r, &used),
	    LOOKUP_READ_BAD);
	free(text);
}

static const struct {
	enum lookup_protocol protocol;
	enum lookup_result result;
	const char *text, *want;
} ANSWERS[] = {
	{ LOOKUP_SOCKETMAP, LOOKUP_FOUND, "ann@example.org", "18:OK ann@example.org," },
	{ LOOKUP_SOCKETMAP, LOOKUP_NOT_FOUND, "not found", "9:NOTFOUND ," },
	{ LOOKUP_SOCKETMAP, LOOKUP_TEMPORARY, "later", "10:TEMP later," },
	{ LOOKUP_SOCKETMAP, LOOKUP_REFUSED, "no", "7:PERM no," },
	{ LOOKUP_TCP_TABLE, LOOKUP_FOUND, "ann@example.org", "200 ann@example.org\n" },
	{ LOOKUP_TCP_TABLE, LOOKUP_FOUND, "a %\n\xc3\xa9", "200 a%20%25%0A%C3%A9\n" },
	{ LOOKUP_TCP_TABLE, LOOKUP_NOT_FOUND, "not found", "500 not%20found\n" },
	{ LOOKUP_TCP_TABLE, LOOKUP_TEMPORARY, "later", "400 later\n" },
};

static void
test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ANSWERS); i++) {
		struct buf out = { 0 };

		lookup_answer_write(&out, ANSWERS[i].protocol, ANSWERS[i].result, ANSWERS[i].text);
		assert_string_equal(buf_cstr(&out), ANSWERS[i].want);
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
