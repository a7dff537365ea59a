/* Header text, charsets, case folding, addresses and what is composed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/address.h"
#include "store/casefold.h"
#include "store/charset.h"
#include "store/compose.h"
#include "store/header.h"

static const struct {
	const char *raw, *text;
} DECODED[] = {
	{ "plain", "plain" },
	{ " one\n two\r\n\tthree ", "one two three" },
	{ "=?utf-8?q?gr=C3=BC=C3=9Fe?=", "gr\xC3\xBC\xC3\x9F"
					 "e" },
	{ "=?UTF-8?B?w7w=?=", "\xC3\xBC" },
	{ "=?utf-8?b?w7w?=", "\xC3\xBC" }, /* no padding */
	{ "=?iso-8859-1?Q?a_b=FC?= tail", "a b\xC3\xBC tail" },
	{ "a =?utf-8?q?b?= =?utf-8?q?c?= d", "a bc d" },
	{ "=?utf-8?q?b?=\n =?iso-8859-1?q?=FC?=", "b\xC3\xBC" },
	{ "=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "\xC3\xBC" },   /* a character cut in two */
	{ "=?utf-8?B?w?= =?utf-8?B?7w=?=", "\xEF\xBF\xBD" }, /* cut within a base64 group */
	{ "=?utf-8*en?q?x?=", "x" },
	{ "=?x-no-such?q?x=20?= y", "=?x-no-such?q?x=20?= y" },
	{ "=?utf-8?x?y?=", "=?utf-8?x?y?=" },
	{ "=?utf-8?q?with blank?=", "with blank" },
	{ "=?utf-8?q?a?b?=", "=?utf-8?q?a?b?=" }, /* encoded-text has no "?" */
	{ "=?utf-8?q?gr=C3=BC x =?utf-8?q?=C3=BC?=",
	    "=?utf-8?q?gr=C3=BC x \xC3\xBC" }, /* one without an end */
	{ "=?utf-8?q?", "=?utf-8?q?" },
	{ "=?utf-8?q?x?", "=?utf-8?q?x?" },
	{ "=?utf-8?q?a=0Ab?=", "a b" }, /* no hidden line ends */
	{ "gr\xC3\xBC", "gr\xC3\xBC" },
	{ "gr\xFC\xFE x", "gr\xEF\xBF\xBD x" },
	{ "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\xE6\x97\xA5\xE6\x9C\xAC" },
	{ "=?", "=?" },
	{ "", "" },
};

static void
test_decode(void **state)
{
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(DECODED); i++) {
		buf_reset(&out);
		header_decode(&out, str_from(DECODED[i].raw));
		assert_string_equal(buf_cstr(&out), DECODED[i].text);
	}
	buf_free(&out);
}

static const struct {
	const char *charset, *bytes, *text; /* text NULL: not known */
} CHARSETS[] = {
	{ "us-ascii", "abc", "abc" },
	{ "", "\xC3\xBC", "\xC3\xBC" },
	{ "\"UTF-8\"", "\xC3\xBC", "\xC3\xBC" },
	{ "ISO-8859-1", "\xFC\x80", "\xC3\xBC\xE2\x82\xAC" }, /* as windows-1252 */
	{ "iso-8859-8-i", "\xE0", "\xD7\x90" },
	{ "ks_c_5601-1987", "\xB0\xA1", "\xEA\xB0\x80" },
	{ "cp-1252", "\x80", "\xE2\x82\xAC" },
	{ "windows-1251", "\xC0", "\xD0\x90" },
	{ "x-sjis", "\x93\xFA", "\xE6\x97\xA5" },
	{ "gb2312", "\xD6\xD0", "\xE4\xB8\xAD" },
	{ "unicode-1-1-utf-7", "+AOQ-", "\xC3\xA4" },
	{ "koi8-r", "\xC1", "\xD0\xB0" },
	{ "no-such-charset", "x", NULL },
	{ "utf-8//IGNORE", "x", NULL },
};

static void
test_charsets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CHARSETS); i++) {
		struct buf out = { 0 };
		struct charset *c;

		assert_int_equal(charset_to_utf8(&out, str_from(CHARSETS[i].charset),
				     str_from(CHARSETS[i].bytes)),
		    CHARSETS[i].text != NULL);
		if (CHARSETS[i].text == NULL)
			continue;
		assert_string_equal(buf_cstr(&out), CHARSETS[i].text);
		buf_reset(&out); /* byte by byte gives the same */
		c = charset_open(str_from(CHARSETS[i].charset));
		for (const char *s = CHARSETS[i].bytes; *s != '\0'; s++)
			charset_feed(c, &out, s, 1);
		charset_finish(c, &out);
		charset_close(c);
		assert_string_equal(buf_cstr(&out), CHARSETS[i].text);
		buf_free(&out);
	}
}

static void
test_casefold(void **state)
{
	(void)state;
	assert_true(casefold_eq(STR("Hello"), STR("hELLO")));
	assert_true(casefold_eq(STR("\xC3\x84"), STR("a\xCC\x88"))); /* Ä: composed or not */
	assert_true(casefold_eq(STR("\xCE\xA3"), STR("\xCF\x83")));  /* sigma */
	assert_true(casefold_eq(STR("\xEF\xAC\x81"), STR("\xEF\xAC\x81")));
	assert_false(casefold_eq(STR("a"), STR("\xC3\xA4")));
	assert_true(casefold_eq(STR("\xFF\xFE"), STR("\xEF\xBF\xBD")));
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *list, *first; /* NULL: none */
	} FIRST[] = {
		{ "Ann <ann@example.org>, b@c.d", "ann@example.org" },
		{ "Group:;, x@y.z", "x@y.z" },
		{ "Joe Average, x@y.z", "x@y.z" },
		{ "\"a b\"@c.d", "\"a b\"@c.d" },
		{ "a . b @ c . d", "a.b@c.d" },
		{ "<@r,@s:a@b.c>", "a@b.c" },
		{ "<>", NULL },
		{ "", NULL },
	};
	static const struct {
		const char *addr;
		bool valid;
	} VALID[] = {
		{ "ann@example.org", true },
		{ "\"a b\"@example.org", true },
		{ "a@[192.0.2.1]", true },
		{ "j\xC3\xB6rg@example.org", true },
		{ "", false },
		{ "ann", false },
		{ "<ann@example.org>", false },
		{ "ann@example.org ", false },
		{ "ann@example.org, b@c.d", false },
		{ "a b@c.d", false },
		{ "ann@example..org", false },
		{ "ann@example.org\r\nX: y", false },
		{ "(c)ann@example.org", false },
		{ "a..b@c.d", false },
	};
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(FIRST); i++) {
		buf_reset(&out);
		assert_int_equal(
		    address_first(str_from(FIRST[i].list), &out), FIRST[i].first != NULL);
		if (FIRST[i].first != NULL)
			assert_string_equal(buf_cstr(&out), FIRST[i].first);
	}
	for (size_t i = 0; i < ARRAY_LEN(VALID); i++)
		if (address_is_valid(str_from(VALID[i].addr)) != VALID[i].valid)
			fail_msg("%s", VALID[i].addr);
	buf_free(&out);
}

static void
test_compose(void **state)
{
	static const char LONG[] =
	    "Gr\xC3\xBC\xC3\x9F"
	    "e an alle, die dies lesen, und noch sehr viel mehr "
	    "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E Text, der nicht in eine Zeile passt";
	struct buf out = { 0 }, back = { 0 };
	struct buf other = { 0 };

	(void)state;
	compose_text_field(&out, "Subject", STR("hello world"), "\n");
	assert_string_equal(buf_cstr(&out), "Subject: hello world\n");
	buf_reset(&out);
	compose_text_field(&out, "Subject", STR("a\r\nBcc: x@y.z"), "\n");
	assert_string_equal(buf_cstr(&out), "Subject: a  Bcc: x@y.z\n");
	buf_reset(&out);
	compose_text_field(&out, "Subject", str_from(LONG), "\r\n");
	for (const char *s = buf_cstr(&out), *e; (e = strstr(s, "\r\n")) != NULL; s = e + 2)
		assert_true(e - s <= 78);
	header_decode(&back, (struct str){ out.data + 8, out.len - 8 });
	assert_string_equal(buf_cstr(&back), LONG);
	buf_reset(&out);
	compose_encode_phrase(&out, STR("Doe, \"J\""));
	assert_string_equal(buf_cstr(&out), "\"Doe, \\\"J\\\"\"");
	assert_false(compose_header_is_safe(STR("a\nb")));
	assert_true(compose_header_is_safe(STR("a\tb")));
	assert_true(compose_header_name_is_valid(STR("X-Y")));
	assert_false(compose_header_name_is_valid(STR("X Y")));
	buf_reset(&out);
	compose_message_id(&out, "h.example");
	compose_message_id(&other, "h.example");
	assert_string_not_equal(buf_cstr(&out), buf_cstr(&other));
	buf_free(&out);
	buf_free(&other);
	buf_free(&back);
}

struct part_case {
	const char *text,
	    *part; /* behind the fields; NULL: what it is is said by `encoded` alone */
	bool encoded;
};

static const struct part_case PARTS[] = {
	{ "plain\n", "plain\n", false },
	{ "", "\n", false },
	{ "no end", "no end\n", false },
	{ "two\r\nlines\r\n", "two\nlines\n", false },
	{ "f\xC3\xBCr = 1 \n", "f=C3=BCr =3D 1=20\n", true },
	/* 75 bytes and the "=" of a soft line end */
	{ "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234\n",
	    "012345678901234567890123456789012345678901234567890123456789012345678901234=\n"
	    "5678901234\n",
	    true },
};

static void
test_text_part(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
		struct buf out = { 0 };
		const char *blank;

		compose_text_part(&out, str_from(PARTS[i].text));
		blank = strstr(buf_cstr(&out), "\n\n");
		assert_non_null(blank);
		assert_string_equal(blank + 2, PARTS[i].part);
		assert_int_equal(
		    strstr(buf_cstr(&out), "quoted-printable") != NULL, PARTS[i].encoded);
		buf_free(&out);
	}
}

static void
test_address_field(void **state)
{
	struct buf out = { 0 };

	(void)state;
	assert_true(compose_address_field(&out, "To",
	    STR("\"Doe, J\" <j@x>, \xC3\x84nn <a@x>,\r\nBcc: b@x, nonsense, c@x"), "\n"));
	assert_string_equal(buf_cstr(&out),
	    "To: \"Doe, J\" <j@x>, =?utf-8?B?w4Rubg==?= <a@x>, b@x, c@x\n"); /* one field */
	buf_reset(&out);
	assert_false(compose_address_field(&out, "To", STR("nobody"), "\n"));
	assert_int_equal(out.len, 0);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_charsets),
		cmocka_unit_test(test_casefold),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_compose),
		cmocka_unit_test(test_text_part),
		cmocka_unit_test(test_address_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
