#include "store/sort_keys.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/mime.h"

static void
pack(struct buf *out, const char *message)
{
	struct mime_message *m = mime_parse(str_from(message));

	sort_keys_pack(out, m);
	mime_message_free(m);
}

static const struct {
	const char *header;
	enum sort_text text;
	const char *value; /* in normal form */
} TEXTS[] = {
	{ "From: Ann <ann@example.org>\n", SORT_TEXT_FROM, "ANN" },
	{ "From: Ann <ann@example.org>\n", SORT_TEXT_DISPLAY_FROM, "ANN" },
	{ "From: ann@Example.org\n", SORT_TEXT_DISPLAY_FROM, "ANN@EXAMPLE.ORG" },
	{ "From: =?utf-8?q?Zo=C3=AB?= <a@b>\n", SORT_TEXT_DISPLAY_FROM, "ZOE\xcc\x88" },
	{ "From: \"\" <a@b>\n", SORT_TEXT_DISPLAY_FROM, "A@B" },
	{ "To: Friends: b@c, d@e;\n", SORT_TEXT_TO, "FRIENDS" }, /* as ENVELOPE shows a group */
	{ "To: Friends: b@c, d@e;\n", SORT_TEXT_DISPLAY_TO, "FRIENDS" },
	{ "Cc: x@y\nCc: z@y\n", SORT_TEXT_CC, "X" },
	{ "Cc:\nCc: z@y\n", SORT_TEXT_CC, "Z" },
	{ "X: y\n", SORT_TEXT_CC, "" },
	{ "Subject: Re: caf\xe9\n", SORT_TEXT_SUBJECT,
	    "\xff"
	    "caf\xe9" }, /* RFC 5255 §4.6 */
	{ "From: caf\xe9 <a@b>\n", SORT_TEXT_DISPLAY_FROM,
	    "\xff"
	    "caf\xe9" },
	{ "Subject: Re: stra\xc3\x9f"
	  "e\n",
	    SORT_TEXT_SUBJECT,
	    "STRA\xc3\x9f"
	    "E" },
};

static void
test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
		struct buf b = { 0 };
		struct sort_keys k;
		struct str got;

		pack(&b, TEXTS[i].header);
		assert_true(sort_keys_unpack((struct str){ b.data, b.len }, &k));
		got = k.text[TEXTS[i].text];
		if (!str_eq(got, str_from(TEXTS[i].value)))
			fail_msg("%zu %s: %.*s", i, TEXTS[i].header, (int)got.len, got.p);
		buf_free(&b);
	}
}

static const struct {
	const char *a, *b;
	bool same;
} IDS[] = {
	{ "<a@b>", "<a@b>", true },
	{ "<a@b>", "<A@b>", false }, /* letter case counts, RFC 5256 §3 REFERENCES */
	{ "<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>", "<01KF8JCEOCBS0045PS@xxx.yyy.com>", true },
	{ "<\"a\\b\"@c>", "<ab@c>", true },
	{ "< a@ b\n >", "<a@b>", true },
	{ "text <a@b> text", "<a@b>", true },
	{ "<a <a@b>", "<a@b>", true },
	{ "<nothing> <a@b>", "<a@b>", true },
	{ "<@> <a@b>", "<a@b>", true },
};

static void
test_ids(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(IDS); i++) {
		struct cursor a = cursor_from(str_from(IDS[i].a)),
			      b = cursor_from(str_from(IDS[i].b));
		unsigned char x[SORT_ID_BYTES], y[SORT_ID_BYTES];

		assert_true(sort_keys_next_id(&a, x));
		assert_true(sort_keys_next_id(&b, y));
		assert_int_equal(memcmp(x, y, sizeof(x)) == 0, IDS[i].same);
		assert_false(sort_keys_next_id(&a, x));
	}
}

static size_t
reference_count(const char *header)
{
	struct buf b = { 0 };
	struct sort_keys k;
	size_t n;

	pack(&b, header);
	assert_true(sort_keys_unpack((struct str){ b.data, b.len }, &k));
	n = k.reference_count + (k.id != NULL ? 10000 : 0);
	buf_free(&b);
	return n;
}

static void
test_references(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_int_equal(reference_count("References: <a@b> <c@d>\nIn-Reply-To: <e@f>\n"), 2);
	assert_int_equal(reference_count("References: none\nIn-Reply-To: <e@f> <g@h>\n"), 1);
	assert_int_equal(reference_count("Message-ID: <e@f>\n"), 10000);
	assert_int_equal(reference_count("Message-ID: e@f\n"), 0);
	buf_adds(&b, "References:");
	for (int i = 0; i < 5 * SORT_REFERENCES_MAX + 7; i++)
		buf_printf(&b, " <%d@b>\n", i);
	assert_int_equal(reference_count(buf_cstr(&b)), SORT_REFERENCES_MAX);
	buf_free(&b);
}

/* Any cut of a blob is damaged, and is taken for a message without a header. */
static void
test_damaged(void **state)
{
	struct buf b = { 0 };
	struct sort_keys k;

	(void)state;
	pack(&b, "From: a@b\nSubject: Re: x\nMessage-ID: <a@b>\nReferences: <c@d>\n\n");
	for (size_t n = 0; n < b.len; n++) {
		assert_false(sort_keys_unpack((struct str){ b.data, n }, &k));
		assert_int_equal(k.text[SORT_TEXT_SUBJECT].len, 0);
		assert_null(k.id);
	}
	buf_addc(&b, 0);
	assert_false(sort_keys_unpack((struct str){ b.data, b.len }, &k));
	buf_free(&b);
}

static void
test_long(void **state)
{
	struct buf b = { 0 }, out = { 0 };
	struct sort_keys k;

	(void)state;
	buf_adds(&b, "Subject: ");
	for (int i = 0; i < 100 * 1000; i++)
		buf_adds(&b, "\xc3\xa9");
	buf_adds(&b, "\n\n");
	pack(&out, buf_cstr(&b));
	assert_true(sort_keys_unpack((struct str){ out.data, out.len }, &k));
	assert_in_range(
	    k.text[SORT_TEXT_SUBJECT].len, SORT_TEXT_MAX_BYTES - 4, SORT_TEXT_MAX_BYTES);
	assert_true(text_is_utf8(k.text[SORT_TEXT_SUBJECT]));
	buf_free(&b);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
