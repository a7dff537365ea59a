#include "store/message_ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Clients keep these: they may never change.  The first half of what sha256sum says of the text with LF. */
static const struct {
	const char *bytes, *id;
} DIGESTS[] = {
	{ "", "Me3b0c44298fc1c149afbf4c8996fb924" },
	{ "abc", "Mba7816bf8f01cfea414140de5dae2223" },
	{ "a\nb\n", "M911169ddaaf146aff539f58c26c489af" },
	{ "a\r\nb\r\n", "M911169ddaaf146aff539f58c26c489af" },
	{ "a\nb\r\n", "M911169ddaaf146aff539f58c26c489af" },
	{ "a\rb\r", "M95214dcabd7c592744f2ed461262a22b" },
	{ "a\r\r\nb", "M18745f36a05e29072709042d6062ce54" },
};

static void
digest_of(const char *bytes, size_t piece, char *text_out)
{
	struct message_digest *d = message_digest_new();
	unsigned char id[MESSAGE_ID_BYTES];
	size_t len = strlen(bytes);

	for (size_t at = 0; at < len; at += piece)
		message_digest_feed(d, bytes + at, len - at < piece ? len - at : piece);
	message_digest_finish(d, id);
	message_id_text('M', id, text_out);
}

static void
email_ids(void **state)
{
	char text[MESSAGE_ID_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(DIGESTS); i++) {
		for (size_t piece = 1; piece <= 4; piece++) {
			digest_of(DIGESTS[i].bytes, piece, text);
			assert_string_equal(text, DIGESTS[i].id);
		}
	}
}

static const struct {
	const char *message;
	bool same; /* as the first */
} THREADS[] = {
	{ "Message-ID: <a@x>\n\n", true },
	{ "References: <a@x> <b@x>\nIn-Reply-To: <b@x>\nMessage-ID: <c@x>\n\n", true },
	{ "References: junk <a@x>\n\t<b@x>\n\n", true },
	{ "In-Reply-To: Your message <a@x> of today\nMessage-ID: <c@x>\n\n", true },
	{ "References: nothing\nIn-Reply-To: <a@x>\n\n", true },
	{ "Message-ID: <A@x>\n\n", false },
	{ "Message-ID: <b@x>\n\n", false },
	{ "Subject: a\n\n", false },
};

static void
thread_of(const char *message, char *text_out)
{
	struct mime_message *m = mime_parse(str_from(message));
	struct message_ids ids = { .email = { 1, 2, 3 } };

	message_thread_id(m, &ids);
	message_id_text('T', ids.thread, text_out);
	mime_message_free(m);
}

static void
thread_ids(void **state)
{
	char first[MESSAGE_ID_TEXT_BYTES], text[MESSAGE_ID_TEXT_BYTES];

	(void)state;
	thread_of(THREADS[0].message, first);
	assert_string_equal(first, "Tfc44dd7779bc6d8322588b0977628da6");
	for (size_t i = 0; i < ARRAY_LEN(THREADS); i++) {
		thread_of(THREADS[i].message, text);
		if ((strcmp(text, first) == 0) != THREADS[i].same)
			fail_msg("%s: %s", THREADS[i].message, text);
	}
	assert_string_equal(text, "T01020300000000000000000000000000"); /* the email id */
}

static void
texts(void **state)
{
	static const char GOOD[] = "M00112233445566778899aabbccddeeff";
	static const char *const BAD[] = { "", "M", "T00112233445566778899aabbccddeeff",
		"M00112233445566778899AABBCCDDEEFF", "M00112233445566778899aabbccddeef",
		"M00112233445566778899aabbccddeefff", "M00112233445566778899aabbccddeegg" };
	char text[MESSAGE_ID_TEXT_BYTES];
	unsigned char id[MESSAGE_ID_BYTES];

	(void)state;
	assert_true(message_id_parse('M', str_from(GOOD), id));
	message_id_text('M', id, text);
	assert_string_equal(text, GOOD);
	for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
		assert_false(message_id_parse('M', str_from(BAD[i]), id));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(email_ids),
		cmocka_unit_test(thread_ids), cmocka_unit_test(texts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
