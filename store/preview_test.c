#include "store/preview.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

#define ALTERNATIVE "Content-Type: multipart/alternative; boundary=b\n\n"
#define MIXED       "Content-Type: multipart/mixed; boundary=b\n\n"
#define HTML        "Content-Type: text/html\n\n<p>html text</p>\n"
#define PLAIN       "Content-Type: text/plain\n\nplain text\n"

static const struct {
	const char *message, *preview;
} MESSAGES[] = {
	{ "", "" },
	{ "Subject: a\n\n", "" },
	{ "\nHello   there,\r\n\r\nthis is\ta text.\n", "Hello there, this is a text." },
	/* what is quoted is left out, a signature is not; if all is quoted it is shown as that */
	{ "\none\n> quoted\n>> more\ntwo\n-- \nAnn\n", "one two -- Ann" },
	{ "\n> quoted line\n> > more\n", ">quoted line more" },
	{ "\n>\n>\n", "" },
	{ "\na > b\n", "a > b" },
	/* control characters are nothing, other blanks are characters */
	{ "\na\x01"
	  "b\x7f"
	  "c \xe2\x80\xa8 d\xc2\xa0"
	  "e\xef\xbb\xbf"
	  "f\xc2\x85"
	  "g\n",
	    "abc \xe2\x80\xa8 d\xc2\xa0"
	    "efg" },
	/* encodings and charsets */
	{ "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: "
	  "quoted-printable\n\nGr=FC=DFe =\nan alle\n",
	    "Grüße an alle" },
	{ "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: "
	  "base64\n\nR3LDvMOfZQ==\n",
	    "Grüße" },
	{ "Content-Transfer-Encoding: x-unknown\n\ntext\n", "" },
	/* pages */
	{ "Content-Type: text/html\n\n<style>p{}</style><p>One <b>t</b>wo &amp; &euro;</p>"
	  "<blockquote>said\nbefore</blockquote><div>three</div>\n",
	    "One t wo & € three" },
	{ "Content-Type: text/html\n\n<blockquote>only\nquoted</blockquote>\n", ">only quoted" },
	/* the first text; of alternatives the plain one */
	{ ALTERNATIVE "--b\n" PLAIN "--b\n" HTML "--b--\n", "plain text" },
	{ ALTERNATIVE "--b\n" HTML "--b\n" PLAIN "--b--\n", "plain text" },
	{ MIXED "--b\n" HTML "--b\n" PLAIN "--b--\n", "html text" },
	{ MIXED "--b\nContent-Type: image/png\n\nxx\n--b\n" PLAIN "--b--\n", "plain text" },
	{ MIXED "--b\n" ALTERNATIVE "--b--\n", "" },
	{ MIXED "--b\nContent-Type: text/plain\n\n\n--b\n" PLAIN "--b--\n", "" },
	{ MIXED "--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner\n--b--\n", "" },
	/* encrypted mail has no text */
	{ "Content-Type: multipart/encrypted; boundary=b\n\n--b\n" PLAIN "--b--\n", "" },
	{ "Content-Type: application/pkcs7-mime\n\nMIIB\n", "" },
	{ "\n-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n", "" },
	{ "\nSee below\n-----BEGIN PGP MESSAGE-----\n", "See below -----BEGIN PGP MESSAGE-----" },
};

static char *
preview_of(const char *text, size_t len)
{
	struct mime_message *m = mime_parse((struct str){ text, len });
	FILE *f = tmpfile();
	struct buf out = { 0 };

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fflush(f), 0);
	preview_make(&out, fileno(f), m);
	fclose(f);
	mime_message_free(m);
	return buf_take(&out);
}

static void
messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(MESSAGES); i++) {
		char *preview = preview_of(MESSAGES[i].message, strlen(MESSAGES[i].message));

		if (strcmp(preview, MESSAGES[i].preview) != 0)
			fail_msg("%s\nwanted: %s\ngot:    %s", MESSAGES[i].message,
			    MESSAGES[i].preview, preview);
		free(preview);
	}
}

/* 200 characters, whole ones, also where the text is read in pieces. */
static void
long_texts(void **state)
{
	static const char *const WORDS[] = { "x", "ä", "€", "😀", "a ", "ä\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
		struct buf text = { 0 }, wanted = { 0 };
		size_t bytes = strcspn(WORDS[i], " \n"),
		       words = bytes < strlen(WORDS[i]) ? 100 : 200;
		char *preview;

		buf_adds(&text, "Content-Type: text/plain; charset=utf-8\n\n");
		for (size_t n = 0; n < 3000; n++)
			buf_adds(&text, "> \n");
		for (size_t n = 0; n < 3000; n++)
			buf_adds(&text, WORDS[i]);
		for (size_t n = 0; n < words; n++) {
			buf_add(&wanted, WORDS[i], bytes);
			if (words == 100)
				buf_addc(&wanted, ' ');
		}
		preview = preview_of(text.data, text.len);
		assert_string_equal(preview, buf_cstr(&wanted));
		free(preview);
		buf_free(&text);
		buf_free(&wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(messages),
		cmocka_unit_test(long_texts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
