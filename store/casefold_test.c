/* i;unicode-casemap over all of Unicode, against what Python's unicodedata knows of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/casefold.h"
#include "store/charset.h"

/* RFC 5051 §2, step 2, by the data itself: code point and normal form in hexadecimal, of every character that
 * has one.  str.title() knows the special cases of several characters too (ß: Ss), which UnicodeData.txt does not. */
static const char TABLE[] = "/usr/bin/python3 -c '\n"
			    "import sys, unicodedata as u\n"
			    "print(u.unidata_version)\n"
			    "for code in range(0x110000):\n"
			    "    c = chr(code)\n"
			    "    if 0xD800 <= code < 0xE000 or u.category(c) == \"Cn\": continue\n"
			    "    t = c.title() if len(c.title()) == 1 else c\n"
			    "    print(\"%X\" % code, u.normalize(\"NFKD\", t).encode().hex())\n"
			    "'";

static void
test_all_characters(void **state)
{
	FILE *table = popen(TABLE, "r");
	struct buf out = { 0 }, hex = { 0 };
	char in[5], want[128], version[32];
	unsigned code;
	size_t count = 0, differ = 0;

	(void)state;
	assert_non_null(table);
	assert_int_equal(fscanf(table, "%31s", version), 1);
	while (fscanf(table, "%X %127s", &code, want) == 2) {
		struct buf one = { 0 };

		utf8_encode(&one, code);
		assert_true(one.len < sizeof(in));
		buf_reset(&out);
		buf_reset(&hex);
		casefold_all(&out, (struct str){ one.data, one.len });
		buf_free(&one);
		for (size_t i = 0; i < out.len; i++)
			buf_printf(&hex, "%02x", (unsigned)(unsigned char)out.data[i]);
		count++;
		if (strcmp(buf_cstr(&hex), want) != 0) {
			printf("U+%04X: %s, not %s (Unicode %s)\n", code, buf_cstr(&hex), want,
			    version);
			differ++;
		}
	}
	assert_int_equal(pclose(table), 0);
	buf_free(&out);
	buf_free(&hex);
	assert_true(count > 140000);
	assert_int_equal(differ, 0);
}

static const struct {
	const char *a, *b;
	bool same;
} PAIRS[] = {
	{ "stra\xC3\x9F"
	  "e",
	    "STRA\xC3\x9F"
	    "E",
	    true },
	{ "stra\xC3\x9F"
	  "e",
	    "STRASSE", false },               /* no character's own titlecase */
	{ "\xCF\x82", "\xCF\x83", true },     /* both sigmas are Σ */
	{ "\xC3\x85", "\xE2\x84\xAB", true }, /* Å, Ångström sign */
	{ "\xEF\xBC\xA1", "a", true },        /* a wide A */
	{ "\xC7\x86", "\xC7\x84", true },     /* ǆ Ǆ */
	{ "\xEF\xAC\x81", "fi", false },      /* ﬁ becomes small letters, RFC 5051 §2 */
	{ "\xC4\xB1", "i", true },            /* ı and i have one capital letter */
	{ "\xC4\xB0", "i", false },           /* İ is I with a dot */
	{ "a\xCC\x88\xCC\xA3", "a\xCC\xA3\xCC\x88", false },  /* marks are not put in order */
	{ "\xEA\xB0\x80", "\xE1\x84\x80\xE1\x85\xA1", true }, /* Hangul */
	{ "\xC3\xA4\xFF", "\xC3\x84\xEF\xBF\xBD", true },
};

static void
test_pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++)
		if (casefold_eq(str_from(PAIRS[i].a), str_from(PAIRS[i].b)) != PAIRS[i].same)
			fail_msg("%s %s", PAIRS[i].a, PAIRS[i].b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_characters),
		cmocka_unit_test(test_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
