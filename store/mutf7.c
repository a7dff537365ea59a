#include "store/mutf7.h"

#include <stdint.h>
#include <string.h>

/* base64 of RFC 3501 §5.1.3: "," in place of "/", no padding. */
static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int
digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == ',' ? 63 : -1;
}

static bool
is_direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7E;
}

/* The next code point of well-formed UTF-8. */
static uint32_t
utf8_next(const unsigned char **p)
{
	uint32_t c = *(*p)++;
	int more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;

	c &= more == 0 ? 0x7F : 0x3Fu >> more;
	for (; more > 0; more--)
		c = c << 6 | (*(*p)++ & 0x3F);
	return c;
}

static void
utf8_add(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
	} else if (c < 0x800) {
		buf_addc(out, (char)(0xC0 | c >> 6));
		buf_addc(out, (char)(0x80 | (c & 0x3F)));
	} else if (c < 0x10000) {
		buf_addc(out, (char)(0xE0 | c >> 12));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3F)));
		buf_addc(out, (char)(0x80 | (c & 0x3F)));
	} else {
		buf_addc(out, (char)(0xF0 | c >> 18));
		buf_addc(out, (char)(0x80 | (c >> 12 & 0x3F)));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3F)));
		buf_addc(out, (char)(0x80 | (c & 0x3F)));
	}
}

/* Bits on their way into base64 digits. */
struct bits {
	uint32_t value;
	unsigned count;
};

static void
add_unit(struct buf *out, struct bits *bits, uint32_t unit)
{
	bits->value = bits->value << 16 | unit; /* at most 5 + 16 bits count */
	bits->count += 16;
	for (; bits->count >= 6; bits->count -= 6)
		buf_addc(out, ALPHABET[bits->value >> (bits->count - 6) & 63]);
}

/* One run of characters outside of printable ASCII: "&" base64 "-". */
static const unsigned char *
encode_run(struct buf *out, const unsigned char *p, const unsigned char *end)
{
	struct bits bits = { 0 };

	buf_addc(out, '&');
	while (p < end && !is_direct(*p)) {
		uint32_t c = utf8_next(&p);

		if (c >= 0x10000) {
			add_unit(out, &bits, 0xD800 + ((c - 0x10000) >> 10));
			c = 0xDC00 + ((c - 0x10000) & 0x3FF);
		}
		add_unit(out, &bits, c);
	}
	if (bits.count > 0)
		buf_addc(out, ALPHABET[bits.value << (6 - bits.count) & 63]);
	buf_addc(out, '-');
	return p;
}

bool
mutf7_encode(struct buf *out, struct str utf8)
{
	const unsigned char *p = (const unsigned char *)utf8.p, *end;

	if (utf8.len == 0)
		return true;
	end = p + utf8.len;
	if (!text_is_utf8(utf8) || memchr(utf8.p, '\0', utf8.len) != NULL)
		return false;
	while (p < end) {
		if (!is_direct(*p)) {
			p = encode_run(out, p, end);
			continue;
		}
		buf_addc(out, (char)*p);
		if (*p++ == '&')
			buf_addc(out, '-');
	}
	return true;
}

/* One UTF-16 unit behind another; *high holds a first surrogate that waits for its second. */
static bool
take_unit(struct buf *out, uint32_t unit, uint32_t *high)
{
	bool is_low = unit >= 0xDC00 && unit <= 0xDFFF;

	if ((*high != 0) != is_low)
		return false;
	if (is_low) {
		utf8_add(out, 0x10000 + ((*high - 0xD800) << 10) + (unit - 0xDC00));
		*high = 0;
	} else if (unit >= 0xD800 && unit <= 0xDBFF) {
		*high = unit;
	} else if (is_direct(unit) || unit == 0) {
		return false; /* has a shorter form, or is a NUL */
	} else {
		utf8_add(out, unit);
	}
	return true;
}

/* What stands between "&" and "-"; not empty. */
static bool
decode_run(struct buf *out, struct cursor *c)
{
	uint32_t value = 0, high = 0;
	unsigned count = 0;
	bool any = false;
	int digit;

	for (; !cursor_at_end(c) && (digit = digit_value(*c->p)) >= 0; c->p++) {
		value = value << 6 | (uint32_t)digit;
		count += 6;
		if (count >= 16) {
			count -= 16;
			if (!take_unit(out, value >> count & 0xFFFF, &high))
				return false;
			any = true;
		}
	}
	return any && high == 0 && count < 6 && (value & ((1u << count) - 1)) == 0 &&
	       cursor_take(c, '-');
}

bool
mutf7_decode(struct buf *out, struct str mutf7)
{
	struct cursor c = cursor_from(mutf7);
	size_t start = out->len;
	bool after_run = false;

	while (!cursor_at_end(&c)) {
		char ch = *c.p++;

		if (ch == '&' && cursor_take(&c, '-')) {
			buf_addc(out, '&');
			after_run = false;
		} else if (ch == '&') {
			if (after_run || !decode_run(out, &c))
				goto bad; /* two runs in a row are one run's longer form */
			after_run = true;
		} else if (is_direct((unsigned char)ch)) {
			buf_addc(out, ch);
			after_run = false;
		} else {
			goto bad;
		}
	}
	return true;
bad:
	out->len = start;
	return false;
}
