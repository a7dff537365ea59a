#include "base/text.h"

bool
str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool
str_has_prefix(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq((struct str){ s.p, prefix.len }, prefix);
}

bool
str_eq_nocase(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

bool
str_has_prefix_nocase(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq_nocase((struct str){ s.p, prefix.len }, prefix);
}

size_t
str_find(struct str hay, struct str needle)
{
	const char *at;

	if (needle.len == 0)
		return 0;
	if (hay.len < needle.len)
		return SIZE_MAX;
	at = memmem(hay.p, hay.len, needle.p, needle.len);
	return at != NULL ? (size_t)(at - hay.p) : SIZE_MAX;
}

struct str
str_trim(struct str s)
{
	while (s.len > 0 && ascii_is_space(s.p[0])) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && ascii_is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}

char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

char
ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

bool
ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
ascii_is_alnum(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

bool
ascii_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

bool
ascii_eq_nocase(const char *a, const char *b)
{
	return str_eq_nocase(str_from(a), str_from(b));
}

void
ascii_lower_all(char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s[i] = ascii_lower(s[i]);
}

int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
text_u64(struct str s, uint64_t max, uint64_t *value_out)
{
	struct cursor c = cursor_from(s);

	return cursor_take_u64(&c, value_out) && cursor_at_end(&c) && *value_out <= max;
}

/* The part behind the point, of `factor` bytes, rounded down; at most three decimals. */
static bool
size_decimals(struct str digits, uint64_t factor, uint64_t *bytes_out)
{
	uint64_t thousandths = 0;

	if (digits.len > 3)
		return false;
	for (size_t i = 0; i < 3; i++)
		thousandths =
		    thousandths * 10 + (i < digits.len ? (uint64_t)(digits.p[i] - '0') : 0);
	*bytes_out = factor * thousandths / 1000;
	return true;
}

bool
text_size(struct str s, uint64_t max, uint64_t *bytes_out)
{
	static const char UNITS[] = "KMGT";
	struct cursor c = cursor_from(s);
	struct str decimals = { NULL, 0 };
	uint64_t value, factor = 1, part;
	const char *unit;

	if (!cursor_take_u64(&c, &value))
		return false;
	if (cursor_take(&c, '.')) {
		decimals = cursor_take_while(&c, ascii_is_digit);
		if (decimals.len == 0 || cursor_at_end(&c)) /* there is no half byte */
			return false;
	}
	if (!cursor_at_end(&c)) {
		unit = strchr(UNITS, ascii_upper(*c.p));
		if (unit == NULL || *unit == '\0')
			return false;
		c.p++;
		factor = UINT64_C(1) << (10 * (unit - UNITS + 1));
	}
	if (!size_decimals(decimals, factor, &part) ||
	    __builtin_mul_overflow(value, factor, &value) ||
	    __builtin_add_overflow(value, part, &value))
		return false;
	*bytes_out = value;
	return cursor_at_end(&c) && value <= max;
}

/* The length of the UTF-8 sequence at p, or 0.  UTF8-2 to UTF8-4 of RFC 3629 §4. */
static size_t
utf8_sequence(const unsigned char *p, size_t left)
{
	unsigned char b = p[0];
	size_t len = b < 0x80 ? 1 : b < 0xC2 ? 0 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : b < 0xF5 ? 4 : 0;

	if (len == 0 || len > left)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	if ((b == 0xE0 && p[1] < 0xA0) || (b == 0xED && p[1] > 0x9F) ||
	    (b == 0xF0 && p[1] < 0x90) || (b == 0xF4 && p[1] > 0x8F))
		return 0;
	return len;
}

bool
text_is_utf8(struct str s)
{
	size_t step;

	for (size_t i = 0; i < s.len; i += step) {
		step = utf8_sequence((const unsigned char *)s.p + i, s.len - i);
		if (step == 0)
			return false;
	}
	return true;
}

/* U+200E, U+200F, U+2028-U+202E, U+2066-U+2069: what they do reaches beyond themselves. */
static bool
is_layout(const unsigned char *c)
{
	return c[0] == 0xE2 && ((c[1] == 0x80 && (c[2] == 0x8E || c[2] == 0x8F ||
						     (c[2] >= 0xA8 && c[2] <= 0xAE))) ||
				   (c[1] == 0x81 && c[2] >= 0xA6 && c[2] <= 0xA9));
}

size_t
text_visible(const char *s)
{
	const unsigned char *c = (const unsigned char *)s;
	size_t len = utf8_sequence(c, strnlen(s, 4));

	if (len == 0 || (len == 1 && (*c < 0x20 || *c == 0x7F)) ||
	    (len == 2 && *c == 0xC2 && c[1] < 0xA0) || (len == 3 && is_layout(c)))
		return 0;
	return len;
}

static const char BASE64_ALPHABET[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct buf *out, const void *bytes, size_t len)
{
	const unsigned char *in = bytes;

	buf_reserve(out, (len + 2) / 3 * 4);
	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		unsigned v = (unsigned)in[i] << 16;

		v |= have > 1 ? (unsigned)in[i + 1] << 8 : 0;
		v |= have > 2 ? (unsigned)in[i + 2] : 0;
		buf_addc(out, BASE64_ALPHABET[v >> 18]);
		buf_addc(out, BASE64_ALPHABET[(v >> 12) & 63]);
		buf_addc(out, have > 1 ? BASE64_ALPHABET[(v >> 6) & 63] : '=');
		buf_addc(out, have > 2 ? BASE64_ALPHABET[v & 63] : '=');
	}
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool
base64_decode(struct buf *out, struct str in)
{
	if (in.len % 4 != 0)
		return false;
	for (size_t i = 0; i < in.len; i += 4) {
		bool last = i + 4 == in.len;
		int pad = !last ? 0 : in.p[i + 2] == '=' ? 2 : in.p[i + 3] == '=' ? 1 : 0;
		unsigned v = 0;

		if (pad == 2 && in.p[i + 3] != '=')
			return false;
		for (int j = 0; j < 4 - pad; j++) {
			int digit = base64_value(in.p[i + (size_t)j]);

			if (digit < 0)
				return false;
			v |= (unsigned)digit << (18 - 6 * j);
		}
		for (int j = 0; j < 3 - pad; j++)
			buf_addc(out, (char)(v >> (16 - 8 * j)));
	}
	return true;
}

void
hex_encode(struct buf *out, const void *bytes, size_t len)
{
	static const char DIGITS[] = "0123456789abcdef";
	const unsigned char *in = bytes;

	for (size_t i = 0; i < len; i++) {
		buf_addc(out, DIGITS[in[i] >> 4]);
		buf_addc(out, DIGITS[in[i] & 15]);
	}
}

bool
hex_decode(struct buf *out, struct str in)
{
	if (in.len % 2 != 0)
		return false;
	for (size_t i = 0; i < in.len; i += 2) {
		int high = hex_value(in.p[i]), low = hex_value(in.p[i + 1]);

		if (high < 0 || low < 0)
			return false;
		buf_addc(out, (char)(high << 4 | low));
	}
	return true;
}

bool
cursor_take(struct cursor *c, char ch)
{
	if (c->p == c->end || *c->p != ch)
		return false;
	c->p++;
	return true;
}

bool
cursor_take_nocase(struct cursor *c, struct str word)
{
	if (!str_has_prefix_nocase((struct str){ c->p, cursor_left(c) }, word))
		return false;
	c->p += word.len;
	return true;
}

struct str
cursor_take_while(struct cursor *c, bool (*accept)(char c))
{
	const char *from = c->p;

	while (c->p < c->end && accept(*c->p))
		c->p++;
	return (struct str){ from, (size_t)(c->p - from) };
}

bool
cursor_take_line(struct cursor *c, struct str *line_out)
{
	const char *end;

	if (cursor_at_end(c))
		return false;
	end = memchr(c->p, '\n', cursor_left(c));
	*line_out = (struct str){ c->p, (size_t)((end != NULL ? end : c->end) - c->p) };
	c->p = end != NULL ? end + 1 : c->end;
	return true;
}

bool
cursor_take_u64(struct cursor *c, uint64_t *value_out)
{
	const char *from = c->p;
	uint64_t value = 0;

	for (; c->p < c->end && ascii_is_digit(*c->p); c->p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*c->p - '0'), &value)) {
			c->p = from;
			return false;
		}
	}
	*value_out = value;
	return c->p > from;
}

bool
cursor_take_u32(struct cursor *c, uint32_t *value_out)
{
	const char *from = c->p;
	uint64_t value;

	if (!cursor_take_u64(c, &value))
		return false;
	if (value > UINT32_MAX) {
		c->p = from;
		return false;
	}
	*value_out = (uint32_t)value;
	return true;
}
