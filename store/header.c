#include "store/header.h"

#include <string.h>

#include "base/mem.h"
#include "store/charset.h"

static const char *
line_end(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	return lf != NULL ? lf + 1 : end;
}

static struct str
without_eol(const char *p, const char *end)
{
	if (end > p && end[-1] == '\n')
		end--;
	if (end > p && end[-1] == '\r')
		end--;
	return (struct str){ p, (size_t)(end - p) };
}

bool
header_next(struct cursor *c, struct header_field *field_out)
{
	const char *start = c->p, *first_end, *end, *colon, *name_end;
	struct str first;

	if (start == c->end)
		return false;
	first_end = line_end(start, c->end);
	first = without_eol(start, first_end);
	if (first.len == 0)
		return false;
	end = first_end;
	while (end < c->end && (*end == ' ' || *end == '\t') && end[-1] == '\n')
		end = line_end(end, c->end);
	colon = memchr(first.p, ':', first.len);
	name_end = colon != NULL ? colon : first.p + first.len;
	while (name_end > start && (name_end[-1] == ' ' || name_end[-1] == '\t'))
		name_end--;
	field_out->name = (struct str){ start, (size_t)(name_end - start) };
	field_out->value = colon != NULL ? without_eol(colon + 1, end) : (struct str){ first.p, 0 };
	field_out->raw = (struct str){ start, (size_t)(end - start) };
	c->p = end;
	return true;
}

bool
header_find(struct str block, const char *name, struct header_field *field_out)
{
	struct cursor c = cursor_from(block);
	struct str wanted = str_from(name);

	while (header_next(&c, field_out))
		if (str_eq_nocase(field_out->name, wanted))
			return true;
	return false;
}

/* `blanks`: a tab that begins a folded line is as good as a blank. */
static void
unfold(struct buf *out, struct str value, bool blanks)
{
	const char *p, *end, *lf, *stop;

	value = str_trim(value);
	p = value.p;
	end = p + value.len;
	while (p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		stop = lf != NULL ? lf : end;
		buf_add(out, p,
		    (size_t)(stop - p) - (lf != NULL && stop > p && stop[-1] == '\r' ? 1 : 0));
		p = lf != NULL ? lf + 1 : end;
		if (blanks && p < end && *p == '\t') {
			buf_addc(out, ' ');
			p++;
		}
	}
}

void
header_unfold(struct buf *out, struct str value)
{
	unfold(out, value, false);
}

/* encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?=", RFC 2047 §2 and
 * RFC 2231 §5.  Blanks in the text are accepted: many senders do not encode them.  A "?" is not: it ends
 * the text, so that a word without an end hides no other, and costs no look at all that follows. */
struct encoded_word {
	struct str charset, text;
	bool base64;
	const char *end;
};

static bool
parse_encoded_word(const char *p, const char *end, struct encoded_word *w)
{
	const char *charset = p + 2, *q, *text, *star;

	if (end - p < 8 || p[0] != '=' || p[1] != '?')
		return false;
	q = memchr(charset, '?', (size_t)(end - charset));
	if (q == NULL || q == charset || end - q < 3 || q[2] != '?')
		return false;
	if (ascii_lower(q[1]) != 'q' && ascii_lower(q[1]) != 'b')
		return false;
	w->base64 = ascii_lower(q[1]) == 'b';
	star = memchr(charset, '*', (size_t)(q - charset));
	w->charset = (struct str){ charset, (size_t)((star != NULL ? star : q) - charset) };
	for (const char *s = w->charset.p; s < w->charset.p + w->charset.len; s++)
		if (ascii_is_space(*s))
			return false;
	text = q + 3;
	q = memchr(text, '?', (size_t)(end - text));
	if (q == NULL || q + 1 == end || q[1] != '=')
		return false;
	w->text = (struct str){ text, (size_t)(q - text) };
	w->end = q + 2;
	return true;
}

static void
decode_q(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char ch = text.p[i];

		if (ch == '=' && i + 2 < text.len && hex_value(text.p[i + 1]) >= 0 &&
		    hex_value(text.p[i + 2]) >= 0) {
			ch = (char)(hex_value(text.p[i + 1]) * 16 + hex_value(text.p[i + 2]));
			i += 2;
		} else if (ch == '_') {
			ch = ' ';
		}
		buf_addc(out, ch);
	}
}

/* Base64 as it comes: what is not of the alphabet is passed over, padding may be missing. */
static void
decode_b(struct buf *out, struct str text)
{
	static const char ALPHABET[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, have = 0;

	for (size_t i = 0; i < text.len; i++) {
		const char *at = text.p[i] != '\0' ? strchr(ALPHABET, text.p[i]) : NULL;

		if (at == NULL)
			continue;
		bits = bits << 6 | (unsigned)(at - ALPHABET);
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_addc(out, (char)(bits >> have & 0xff));
		}
	}
}

/* Decodes a run of encoded words of one charset, so that characters cut between them join. */
static const char *
decode_run(struct buf *out, struct encoded_word w, const char *end)
{
	struct buf bytes = { 0 };
	struct encoded_word next;
	struct charset *cs = charset_open(w.charset);

	for (;;) {
		const char *p = w.end;

		(w.base64 ? decode_b : decode_q)(&bytes, w.text);
		while (p < end && ascii_is_space(*p))
			p++;
		if (!parse_encoded_word(p, end, &next) || !str_eq_nocase(next.charset, w.charset))
			break;
		w = next;
	}
	charset_feed(cs, out, bytes.data, bytes.len);
	charset_finish(cs, out);
	charset_close(cs);
	buf_free(&bytes);
	return w.end;
}

/* Line ends and NULs that hide in encoded words are no line ends of the field. */
static void
blank_controls(struct buf *out, size_t from)
{
	for (size_t i = from; i < out->len; i++)
		if (out->data[i] == '\n' || out->data[i] == '\r' || out->data[i] == '\0')
			out->data[i] = ' ';
}

static void
decode_words(struct buf *out, const char *p, const char *end)
{
	struct encoded_word w;
	const char *plain = p; /* what is not yet given out */
	bool after_word = false;

	while (p < end) {
		const char *q = memchr(p, '=', (size_t)(end - p));
		const char *blank;

		if (q == NULL)
			break;
		if (!parse_encoded_word(q, end, &w) || !charset_known(w.charset)) {
			p = q + 1;
			continue;
		}
		for (blank = plain; blank < q && ascii_is_space(*blank);)
			blank++;
		if (!after_word || blank != q)
			utf8_repair(out, (struct str){ plain, (size_t)(q - plain) });
		p = plain = decode_run(out, w, end);
		after_word = true;
	}
	utf8_repair(out, (struct str){ plain, (size_t)(end - plain) });
}

void
header_decode(struct buf *out, struct str value)
{
	struct buf flat = { 0 };
	size_t from = out->len;

	unfold(&flat, value, true);
	if (flat.len > 0)
		decode_words(out, flat.data, flat.data + flat.len);
	blank_controls(out, from);
	buf_free(&flat);
}

void
header_skip_cfws(struct cursor *c)
{
	int depth = 0;

	for (; c->p < c->end; c->p++) {
		if (*c->p == '(')
			depth++;
		else if (*c->p == ')' && depth > 0)
			depth--;
		else if (*c->p == '\\' && depth > 0 && c->p + 1 < c->end)
			c->p++;
		else if (depth == 0 && !ascii_is_space(*c->p))
			return;
	}
}
