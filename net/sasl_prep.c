#include "net/sasl_prep.h"

#include <stdlib.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "base/mem.h"

struct range {
	ucs4_t from, to;
};

/* C.1.2: spaces beyond ASCII, mapped to SPACE, RFC 4013 §2.1 */
static const struct range SPACES[] = {
	{ 0x00A0, 0x00A0 },
	{ 0x1680, 0x1680 },
	{ 0x2000, 0x200B },
	{ 0x202F, 0x202F },
	{ 0x205F, 0x205F },
	{ 0x3000, 0x3000 },
};

/* B.1: commonly mapped to nothing, RFC 4013 §2.1 */
static const struct range NOTHING[] = {
	{ 0x00AD, 0x00AD },
	{ 0x034F, 0x034F },
	{ 0x1806, 0x1806 },
	{ 0x180B, 0x180D },
	{ 0x200C, 0x200D },
	{ 0x2060, 0x2060 },
	{ 0xFE00, 0xFE0F },
	{ 0xFEFF, 0xFEFF },
};

/* C.2.1, C.2.2, C.3, C.4, C.6, C.7, C.8, C.9 of RFC 3454, sorted; RFC 4013 §2.3 */
static const struct range PROHIBITED[] = {
	{ 0x0000, 0x001F },
	{ 0x007F, 0x009F },
	{ 0x0340, 0x0341 },
	{ 0x06DD, 0x06DD },
	{ 0x070F, 0x070F },
	{ 0x180E, 0x180E },
	{ 0x200C, 0x200F },
	{ 0x2028, 0x202E },
	{ 0x2060, 0x2063 },
	{ 0x206A, 0x206F },
	{ 0x2FF0, 0x2FFB },
	{ 0xD800, 0xF8FF },
	{ 0xFDD0, 0xFDEF },
	{ 0xFEFF, 0xFEFF },
	{ 0xFFF9, 0xFFFF },
	{ 0x1D173, 0x1D17A },
	{ 0xE0001, 0xE0001 },
	{ 0xE0020, 0xE007F },
	{ 0xF0000, 0x10FFFF },
};

static bool
is_in(ucs4_t c, const struct range *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (c >= table[i].from && c <= table[i].to)
			return true;
	return false;
}

static bool
is_prohibited(ucs4_t c)
{
	return is_in(c, PROHIBITED, ARRAY_LEN(PROHIBITED)) || is_in(c, SPACES, ARRAY_LEN(SPACES)) ||
	       (c & 0xFFFE) == 0xFFFE;
}

static bool
is_right_to_left(ucs4_t c)
{
	int category = uc_bidi_category(c);

	return category == UC_BIDI_R || category == UC_BIDI_AL;
}

/* Bidirectional characters, RFC 3454 §6: with any of R or AL there is no L, and both ends are R or AL. */
static bool
directions_agree(const ucs4_t *text, size_t len)
{
	bool right = false, left = false;

	for (size_t i = 0; i < len; i++) {
		right = right || is_right_to_left(text[i]);
		left = left || uc_bidi_category(text[i]) == UC_BIDI_L;
	}
	return !right || (!left && is_right_to_left(text[0]) && is_right_to_left(text[len - 1]));
}

/* Mapping, RFC 3454 §3, in place */
static size_t
map(ucs4_t *text, size_t len)
{
	size_t to = 0;

	for (size_t i = 0; i < len; i++) {
		if (is_in(text[i], SPACES, ARRAY_LEN(SPACES)))
			text[to++] = ' ';
		else if (!is_in(text[i], NOTHING, ARRAY_LEN(NOTHING)))
			text[to++] = text[i];
	}
	return to;
}

static bool
is_plain_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return true;
}

static bool
prep_wide(ucs4_t *text, size_t len, struct buf *out)
{
	size_t normal_len = 0, utf8_len = 0;
	ucs4_t *normal;
	uint8_t *utf8;
	bool ok;

	len = map(text, len);
	if (len == 0)
		return false;
	normal = u32_normalize(UNINORM_NFKC, text, len, NULL, &normal_len);
	if (normal == NULL)
		return false;
	ok = normal_len > 0 && directions_agree(normal, normal_len);
	for (size_t i = 0; ok && i < normal_len; i++)
		ok = !is_prohibited(normal[i]);
	if (ok) {
		utf8 = u32_to_u8(normal, normal_len, NULL, &utf8_len);
		ok = utf8 != NULL;
		if (ok)
			buf_add(out, utf8, utf8_len);
		free(utf8);
	}
	free(normal);
	return ok;
}

bool
sasl_prep(struct str in, struct buf *out)
{
	size_t len = 0;
	ucs4_t *text;
	bool ok;

	if (in.len == 0 || !text_is_utf8(in))
		return false;
	if (is_plain_ascii(in)) {
		buf_add(out, in.p, in.len);
		return true;
	}
	text = u8_to_u32((const uint8_t *)in.p, in.len, NULL, &len);
	if (text == NULL)
		return false;
	ok = prep_wide(text, len, out);
	free(text);
	return ok;
}
