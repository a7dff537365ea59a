#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/search_text.h"

static const char MESSAGE[] =
    "From: =?utf-8?q?J=C3=B6rg?= <j@x.y>\nSubject: Gr\xC3\xBC\xC3\x9F"
    "e\n aus Wien\nX-Empty:\n"
    "Content-Type: multipart/mixed; boundary=b\n\npreamble\n"
    "--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: "
    "quoted-printable\n\n"
    "Ein sch=F6=\nner Tag\n"
    "--b\nContent-Type: text/html\nContent-Transfer-Encoding: base64\nContent-Description: "
    "inneres\n\n"
    "PGI+ZmV0dDwvYj4=\n"
    "--b\nContent-Type: application/octet-stream\n\nbinarydata\n"
    "--b\nContent-Type: message/rfc822\n\nSubject: nested one\n\nnested body\n--b--\n";

static const struct {
	struct search_key key;
	bool match;
} CASES[] = {
	{ { SEARCH_HEADER, STR("Subject"), STR("GR\xC3\x9C") }, true },
	{ { SEARCH_HEADER, STR("subject"), STR("e aus w") }, true }, /* across the fold */
	{ { SEARCH_HEADER, STR("Subject"), STR("nested") }, false },
	{ { SEARCH_HEADER, STR("From"), STR("j\xC3\xB6rg <j@") }, true },
	{ { SEARCH_HEADER, STR("X-Empty"), STR("") }, true },
	{ { SEARCH_HEADER, STR("X-None"), STR("") }, false },
	{ { SEARCH_BODY, STR(""), STR("SCH\xC3\x96NER TAG") }, true },
	{ { SEARCH_BODY, STR(""), STR("<b>fett") }, true },
	{ { SEARCH_BODY, STR(""), STR("binarydata") }, false },
	{ { SEARCH_BODY, STR(""), STR("nested one") }, false }, /* a subject */
	{ { SEARCH_BODY, STR(""), STR("nested body") }, true },
	{ { SEARCH_BODY, STR(""), STR("inneres") }, false },
	{ { SEARCH_TEXT, STR(""), STR("inneres") }, true },
	{ { SEARCH_TEXT, STR(""), STR("nested one") }, true },
	{ { SEARCH_BODY, STR(""), STR("wien") }, false },
	{ { SEARCH_TEXT, STR(""), STR("wien") }, true },
	{ { SEARCH_TEXT, STR(""), STR("fett") }, true },
	{ { SEARCH_TEXT, STR(""), STR("nowhere") }, false },
	{ { SEARCH_TEXT, STR(""), STR("") }, true },
};

static int
file_of(struct str bytes)
{
	int fd = memfd_create("message", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.p, bytes.len), bytes.len);
	return fd;
}

static void
test_keys(void **state)
{
	struct search_key keys[ARRAY_LEN(CASES)];
	bool matched[ARRAY_LEN(CASES)], alone;
	struct mime_message *m = mime_parse(str_from(MESSAGE));
	int fd = file_of(str_from(MESSAGE));
	struct search_text *st;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		keys[i] = CASES[i].key;
		st = search_text_new(&keys[i], 1);
		assert_true(search_text_run(st, fd, m, &alone));
		if (alone != CASES[i].match)
			fail_msg("case %zu alone", i);
		search_text_free(st);
	}
	st = search_text_new(keys, ARRAY_LEN(CASES));
	for (int round = 0; round < 2; round++) {
		assert_true(search_text_run(st, fd, m, matched));
		for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
			if (matched[i] != CASES[i].match)
				fail_msg("case %zu", i);
	}
	search_text_free(st);
	mime_message_free(m);
	close(fd);
}

/* A needle is found wherever it lies, also across the ends of what is read at once. */
static void
test_chunk_ends(void **state)
{
	static const struct search_key KEY = { SEARCH_BODY, STR(""), STR("needle") };
	struct search_text *st = search_text_new(&KEY, 1);

	(void)state;
	for (size_t at = 32740; at < 32790; at++) {
		struct buf text = { 0 };
		struct mime_message *m;
		bool matched;
		int fd;

		buf_adds(&text, "Subject: x\n\n");
		for (size_t i = 0; i < at; i++)
			buf_addc(&text, i % 70 == 69 ? '\n' : 'x');
		buf_adds(&text, "Needle");
		for (size_t i = 0; i < 40000; i++)
			buf_addc(&text, 'y');
		m = mime_parse((struct str){ text.data, text.len });
		fd = file_of((struct str){ text.data, text.len });
		assert_true(search_text_run(st, fd, m, &matched));
		assert_true(matched);
		mime_message_free(m);
		buf_free(&text);
		close(fd);
	}
	search_text_free(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys),
		cmocka_unit_test(test_chunk_ends) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
