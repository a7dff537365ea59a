#include "store/casefold.h"

#include <unicase.h>
#include <uninorm.h>

#include "store/charset.h"

#define REPLACEMENT 0xFFFDu

/* Hangul syllables and everything else that uc_decomposition() knows, all the way down (RFC 5051 §2, 2.b). */
static void
decompose(struct buf *out, uint32_t code)
{
	ucs4_t parts[UC_DECOMPOSITION_MAX_LENGTH];
	int tag, n = uc_decomposition(code, &tag, parts);

	if (n <= 0) {
		utf8_encode(out, code);
		return;
	}
	for (int i = 0; i < n; i++)
		decompose(out, parts[i]);
}

static void
fold_ascii(struct buf *out, const char *s, size_t len)
{
	char *to;

	buf_reserve(out, len);
	to = out->data + out->len;
	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)s[i];

		to[i] = (char)(ch - ((unsigned)(ch - 'a') < 26u ? 32 : 0));
	}
	out->len += len;
}

/* Gives back how many bytes at the end are a cut character. */
static size_t
fold(struct casefold *cf, struct buf *out, const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t start = i;
		uint32_t code;
		int n;

		while (i < len && (unsigned char)s[i] < 0x80)
			i++;
		if (i > start) {
			fold_ascii(out, s + start, i - start);
			cf->bad = false;
			continue;
		}
		n = utf8_decode(s + i, len - i, &code);
		if (n < 0)
			return len - i;
		if (n > 0)
			decompose(out, uc_totitle(code));
		else if (!cf->bad)
			utf8_encode(out, REPLACEMENT);
		cf->bad = n == 0;
		i += n > 0 ? (size_t)n : 1;
	}
	return 0;
}

void
casefold_feed(struct casefold *cf, struct buf *out, const void *bytes, size_t len)
{
	const char *s = bytes;
	size_t rest;

	while (cf->cut_len > 0 && len > 0) {
		size_t have = cf->cut_len;

		cf->cut[have++] = *s++;
		len--;
		rest = fold(cf, out, cf->cut, have);
		memmove(cf->cut, cf->cut + have - rest, rest);
		cf->cut_len = (unsigned char)rest;
	}
	if (len == 0)
		return;
	rest = fold(cf, out, s, len);
	memcpy(cf->cut, s + len - rest, rest);
	cf->cut_len = (unsigned char)rest;
}

void
casefold_finish(struct casefold *cf, struct buf *out)
{
	if (cf->cut_len > 0 && !cf->bad)
		utf8_encode(out, REPLACEMENT);
	*cf = (struct casefold){ 0 };
}

void
casefold_all(struct buf *out, struct str text)
{
	struct casefold cf = { 0 };

	casefold_feed(&cf, out, text.p, text.len);
	casefold_finish(&cf, out);
}

bool
casefold_eq(struct str a, struct str b)
{
	struct buf x = { 0 }, y = { 0 };
	bool same;

	casefold_all(&x, a);
	casefold_all(&y, b);
	same = x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
	buf_free(&x);
	buf_free(&y);
	return same;
}
