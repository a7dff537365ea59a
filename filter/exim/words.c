#include "filter/exim/words.h"

#include <errno.h>
#include <iconv.h>

#define WORD_MAX_BYTES 75 /* RFC 2047 §2 */

struct word {
	struct str charset, text;
	bool base64;
	const char *end;
};

/* "=?" charset ["*" language] "?" B or Q "?" text "?=" at p */
static bool
parse_word(const char *p, const char *end, struct word *w)
{
	const char *q, *text, *star;

	if (end - p < 8 || p[0] != '=' || p[1] != '?')
		return false;
	q = memchr(p + 2, '?', (size_t)(end - p - 2));
	if (q == NULL || q == p + 2 || end - q < 4 || q[2] != '?' || strchr("bBqQ", q[1]) == NULL ||
	    q[1] == '\0')
		return false;
	w->base64 = (q[1] | 0x20) == 'b';
	star = memchr(p + 2, '*', (size_t)(q - p - 2));
	w->charset = (struct str){ p + 2, (size_t)((star != NULL ? star : q) - p - 2) };
	text = q + 3;
	q = memchr(text, '?', (size_t)(end - text));
	if (q == NULL || end - q < 2 || q[1] != '=')
		return false;
	w->text = (struct str){ text, (size_t)(q - text) };
	w->end = q + 2;
	return true;
}

static bool
decode_q(struct exim_text *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char ch = text.p[i];

		if (ch == '=') {
			if (i + 2 >= text.len || hex_value(text.p[i + 1]) < 0 ||
			    hex_value(text.p[i + 2]) < 0)
				return false;
			ch = (char)(hex_value(text.p[i + 1]) * 16 + hex_value(text.p[i + 2]));
			i += 2;
		} else if (ch == '_') {
			ch = ' ';
		} else if (ch == ' ' || ch == '\t') {
			return false;
		}
		exim_text_char(out, ch);
	}
	return true;
}

static bool
decode_b(struct exim_text *out, struct str text)
{
	struct buf bytes = { 0 };
	bool ok = base64_decode(&bytes, text);

	if (ok)
		exim_text_add(out, bytes.data, bytes.len);
	buf_free(&bytes);
	return ok;
}

/* The bytes in the other charset; what cannot be converted, and all of an unknown charset, as it is. */
static void
convert(struct exim_text *out, struct str bytes, struct str from, const char *to)
{
	char *name, *in = arena_strndup(out->arena, bytes.p, bytes.len);
	size_t in_left = bytes.len;
	iconv_t cd;

	name = arena_strndup(out->arena, from.p, from.len);
	if (ascii_eq_nocase(name, to) || (cd = iconv_open(to, name)) == (iconv_t)-1) {
		exim_text_str(out, bytes);
		return;
	}
	while (in_left > 0) {
		char some[512], *p = some;
		size_t left = sizeof(some), r = iconv(cd, &in, &in_left, &p, &left);

		exim_text_add(out, some, sizeof(some) - left);
		if (r != (size_t)-1 || errno == E2BIG)
			continue;
		exim_text_char(out, *in++);
		in_left--;
	}
	iconv_close(cd);
}

static bool
decode_word(struct exim_text *out, const struct word *w, const char *charset)
{
	struct exim_text bytes = { .arena = out->arena };
	size_t from = out->len;

	if (!(w->base64 ? decode_b : decode_q)(&bytes, w->text))
		return false;
	if (charset == NULL)
		exim_text_str(out, exim_text_get(&bytes));
	else
		convert(out, exim_text_get(&bytes), w->charset, charset);
	for (size_t i = from; i < out->len; i++)
		if (out->p[i] == '\0')
			out->p[i] = '?';
	return true;
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && ascii_is_space(*p))
		p++;
	return p;
}

void
exim_words_decode(struct exim_text *out, struct str text, const char *charset)
{
	const char *p = text.p, *end = text.p + text.len;
	struct exim_text ignored;
	struct word w, next;

	while (p < end) {
		const char *start = memchr(p, '=', (size_t)(end - p));

		if (start == NULL)
			break;
		exim_text_add(out, p, (size_t)(start - p));
		p = start;
		if (!parse_word(p, end, &w) || !decode_word(out, &w, charset)) {
			exim_text_char(out, *p++);
			continue;
		}
		p = w.end;
		ignored = (struct exim_text){ .arena = out->arena };
		if (parse_word(skip_space(p, end), end, &next) &&
		    (next.base64 ? decode_b : decode_q)(&ignored, next.text))
			p = skip_space(p, end);
	}
	exim_text_add(out, p, (size_t)(end - p));
}

static bool
needs_encoding(unsigned char ch)
{
	return ch < 32 || ch > 126;
}

void
exim_words_encode(struct exim_text *out, struct str text, const char *charset)
{
	bool plain = str_find(text, STR("=?")) == SIZE_MAX;
	size_t start;

	for (size_t i = 0; plain && i < text.len; i++)
		plain = !needs_encoding((unsigned char)text.p[i]);
	if (plain) {
		exim_text_str(out, text);
		return;
	}
	start = out->len;
	exim_text_printf(out, "=?%.40s?Q?", charset);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char ch = (unsigned char)text.p[i];
		bool boundary = (ch & 0xc0) != 0x80; /* characters of UTF-8 stay whole */

		if (boundary && out->len - start > WORD_MAX_BYTES - 14) {
			exim_text_printf(out, "?= =?%.40s?Q?", charset);
			start = out->len;
		}
		if (ch == ' ')
			exim_text_char(out, '_');
		else if (needs_encoding(ch) || strchr("?=()<>@,;:\\\".[]_", ch) != NULL)
			exim_text_printf(out, "=%02X", ch);
		else
			exim_text_char(out, (char)ch);
	}
	exim_text_printf(out, "?=");
}
