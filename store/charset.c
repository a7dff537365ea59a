#include "store/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

#include "base/mem.h"

#define CHARSET_NAME_MAX_BYTES 64
#define CUT_MAX_BYTES          32 /* of a character (with escape sequences) cut between two calls */
#define REPLACEMENT            0xFFFDu

struct charset {
	iconv_t iconv;
	bool plain; /* UTF-8 or us-ascii */
	bool bad;   /* the last byte was unreadable: one U+FFFD for the run */
	size_t cut_len;
	char cut[CUT_MAX_BYTES];
};

/* Names of mail that iconv does not know, or knows as something narrower than what senders mean. */
static const struct {
	const char *name, *iconv;
} ALIASES[] = {
	{ "iso-8859-1",
	    "windows-1252" }, /* as every client reads it: C1 controls are never meant */
	{ "latin1", "windows-1252" },
	{ "iso_8859-1", "windows-1252" },
	{ "iso8859-1", "windows-1252" },
	{ "iso-8859-6-i", "iso-8859-6" },
	{ "iso-8859-6-e", "iso-8859-6" },
	{ "iso-8859-8-i", "windows-1255" },
	{ "iso-8859-8-e", "windows-1255" },
	{ "iso-8859-8", "windows-1255" },
	{ "iso-8859-9", "windows-1254" },
	{ "ks_c_5601-1987", "cp949" },
	{ "ks_c_5601-1989", "cp949" },
	{ "ks_c_5601", "cp949" },
	{ "ksc5601", "cp949" },
	{ "korean", "cp949" },
	{ "euc-kr", "cp949" },
	{ "gb2312", "gb18030" },
	{ "gb_2312-80", "gb18030" },
	{ "gbk", "gb18030" },
	{ "x-gbk", "gb18030" },
	{ "cn-gb", "gb18030" },
	{ "hz", "hz-gb-2312" },
	{ "x-sjis", "cp932" },
	{ "shift_jis", "cp932" },
	{ "shift-jis", "cp932" },
	{ "ms_kanji", "cp932" },
	{ "windows-31j", "cp932" },
	{ "x-euc-jp", "euc-jp" },
	{ "iso-2022-jp", "iso-2022-jp-2" },
	{ "x-big5", "big5-hkscs" },
	{ "big5", "big5-hkscs" },
	{ "cn-big5", "big5-hkscs" },
	{ "unicode-1-1-utf-7", "utf-7" },
	{ "unicode-1-1", "utf-16be" },
	{ "x-mac-roman", "macintosh" },
	{ "mac", "macintosh" },
	{ "x-mac-cyrillic", "mac-cyrillic" },
	{ "tis-620", "cp874" },
	{ "iso-8859-11", "cp874" },
	{ "windows-874", "cp874" },
	{ "x-unknown", "us-ascii" },
	{ "unknown-8bit", "us-ascii" },
	{ "unknown", "us-ascii" },
	{ "default", "us-ascii" },
	{ "_iso-2022-jp$esc", "iso-2022-jp-2" },
};

static bool
is_plain(const char *name)
{
	static const char *const PLAIN[] = { "", "us-ascii", "utf-8", "utf8", "ascii", "x-utf-8",
		"ansi_x3.4-1968", "iso646-us", "us", "csascii", "binary" };

	for (size_t i = 0; i < ARRAY_LEN(PLAIN); i++)
		if (strcmp(name, PLAIN[i]) == 0)
			return true;
	return false;
}

/* The lower-case name without quotes and blanks; false if it cannot be a charset's. */
static bool
clean_name(struct str name, char out[CHARSET_NAME_MAX_BYTES])
{
	size_t len = 0;

	for (size_t i = 0; i < name.len; i++) {
		char ch = ascii_lower(name.p[i]);

		if (ch == '"' || ch == '\'' || ascii_is_space(ch))
			continue;
		if (!ascii_is_alnum(ch) && strchr("-_.:+()$", ch) == NULL)
			return false; /* also '/', with which iconv's options begin */
		if (ch == '\0' || len + 1 >= CHARSET_NAME_MAX_BYTES)
			return false;
		out[len++] = ch;
	}
	out[len] = '\0';
	return true;
}

static iconv_t
open_cp(const char *name)
{
	const char *digits = name;
	char cp[CHARSET_NAME_MAX_BYTES + 2] = "cp";

	if (strncmp(name, "windows", 7) == 0)
		digits += 7;
	else if (strncmp(name, "cp", 2) == 0)
		digits += 2;
	else if (strncmp(name, "ibm", 3) == 0)
		digits += 3;
	else if (strncmp(name, "x-cp", 4) == 0)
		digits += 4;
	else
		return (iconv_t)-1;
	while (*digits == '-' || *digits == '_')
		digits++;
	strcpy(cp + 2, digits);
	return iconv_open("UTF-8", cp);
}

static iconv_t
open_iconv(const char *name)
{
	iconv_t cd;

	for (size_t i = 0; i < ARRAY_LEN(ALIASES); i++)
		if (strcmp(name, ALIASES[i].name) == 0) {
			name = ALIASES[i].iconv;
			break;
		}
	cd = iconv_open("UTF-8", name);
	return cd != (iconv_t)-1 ? cd : open_cp(name);
}

struct charset *
charset_open(struct str name)
{
	char clean[CHARSET_NAME_MAX_BYTES];
	struct charset *c;
	iconv_t cd = (iconv_t)-1;
	bool plain;

	if (!clean_name(name, clean))
		return NULL;
	plain = is_plain(clean) || strncmp(clean, "unknown", 7) == 0 ||
		strcmp(clean, "x-unknown") == 0 || strcmp(clean, "default") == 0;
	if (!plain && (cd = open_iconv(clean)) == (iconv_t)-1)
		return NULL;
	c = mem_zalloc(sizeof(*c));
	c->plain = plain;
	c->iconv = cd;
	return c;
}

void
charset_close(struct charset *c)
{
	if (c == NULL)
		return;
	if (!c->plain)
		iconv_close(c->iconv);
	free(c);
}

bool
charset_known(struct str name)
{
	struct charset *c = charset_open(name);

	charset_close(c);
	return c != NULL;
}

int
utf8_decode(const char *s, size_t len, uint32_t *code_out)
{
	static const uint32_t LEAST[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)s[0];
	int need = first < 0x80   ? 1
		   : first < 0xC2 ? 0
		   : first < 0xE0 ? 2
		   : first < 0xF0 ? 3
		   : first < 0xF5 ? 4
				  : 0;
	uint32_t code;

	if (need <= 1) {
		*code_out = first;
		return need;
	}
	code = first & (0x7Fu >> need);
	for (int i = 1; i < need; i++) {
		unsigned char ch;

		if ((size_t)i >= len)
			return -1;
		ch = (unsigned char)s[i];
		if ((ch & 0xC0) != 0x80)
			return 0;
		code = code << 6 | (ch & 0x3F);
		if (i == 1 && need == 3 && (code < 0x20 || (code >= 0x360 && code < 0x380)))
			return 0; /* overlong or a surrogate, also if the rest is not there yet */
		if (i == 1 && need == 4 && (code < 0x10 || code >= 0x110))
			return 0;
	}
	if (code < LEAST[need])
		return 0;
	*code_out = code;
	return need;
}

void
utf8_encode(struct buf *out, uint32_t code)
{
	char s[4];
	size_t len;

	if (code < 0x80) {
		buf_addc(out, (char)code);
		return;
	}
	len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (size_t i = len - 1; i > 0; i--) {
		s[i] = (char)(0x80 | (code & 0x3F));
		code >>= 6;
	}
	s[0] = (char)(0xF00u >> len | code);
	buf_add(out, s, len);
}

/* How many bytes at s are ASCII. */
static size_t
ascii_run(const char *s, size_t len)
{
	size_t i = 0;
	uint64_t word;

	for (; i + 8 <= len; i += 8) {
		memcpy(&word, s + i, 8);
		if ((word & 0x8080808080808080u) != 0)
			break;
	}
	while (i < len && (unsigned char)s[i] < 0x80)
		i++;
	return i;
}

/* Copies what is UTF-8; gives back how many bytes at the end are a cut character. */
static size_t
copy_utf8(struct buf *out, const char *s, size_t len, bool *bad)
{
	size_t i = 0;

	while (i < len) {
		size_t run = ascii_run(s + i, len - i);
		uint32_t code;
		int n;

		if (run > 0) {
			buf_add(out, s + i, run);
			i += run;
			*bad = false;
			continue;
		}
		n = utf8_decode(s + i, len - i, &code);
		if (n < 0)
			return len - i;
		if (n > 0)
			buf_add(out, s + i, (size_t)n);
		else if (!*bad)
			utf8_encode(out, REPLACEMENT);
		*bad = n == 0;
		i += n > 0 ? (size_t)n : 1;
	}
	return 0;
}

void
utf8_repair(struct buf *out, struct str text)
{
	bool bad = false;

	if (copy_utf8(out, text.p, text.len, &bad) > 0 && !bad)
		utf8_encode(out, REPLACEMENT);
}

/* iconv over the bytes; gives back how many at the end are a cut character. */
static size_t
convert(struct charset *c, struct buf *out, const char *s, size_t len)
{
	char *in = (char *)(uintptr_t)s;
	size_t left = len;

	while (left > 0) {
		size_t room, was = left, rc;
		char *to;

		buf_reserve(out, left + 64);
		to = out->data + out->len;
		room = out->cap - out->len;
		rc = iconv(c->iconv, &in, &left, &to, &room);
		if (left < was)
			c->bad = false;
		out->len = (size_t)(to - out->data);
		if (rc != (size_t)-1 || errno == E2BIG)
			continue;
		if (errno == EINVAL)
			return left;
		if (!c->bad)
			utf8_encode(out, REPLACEMENT);
		c->bad = true;
		in++;
		left--;
	}
	return 0;
}

static size_t
convert_any(struct charset *c, struct buf *out, const char *s, size_t len)
{
	return c->plain ? copy_utf8(out, s, len, &c->bad) : convert(c, out, s, len);
}

void
charset_feed(struct charset *c, struct buf *out, const void *bytes, size_t len)
{
	const char *s = bytes;
	size_t rest;

	while (c->cut_len > 0 && len > 0) { /* byte by byte until the cut character is whole */
		size_t had = c->cut_len;

		c->cut[c->cut_len++] = *s++;
		len--;
		rest = convert_any(c, out, c->cut, c->cut_len);
		if (rest == CUT_MAX_BYTES || (rest > had && rest == sizeof(c->cut))) {
			utf8_encode(out, REPLACEMENT);
			rest = 0;
		}
		memmove(c->cut, c->cut + c->cut_len - rest, rest);
		c->cut_len = rest;
	}
	if (len == 0)
		return;
	rest = convert_any(c, out, s, len);
	if (rest > CUT_MAX_BYTES - 1) {
		utf8_encode(out, REPLACEMENT);
		rest = 0;
	}
	memcpy(c->cut, s + len - rest, rest);
	c->cut_len = rest;
}

void
charset_finish(struct charset *c, struct buf *out)
{
	if (c->cut_len > 0 && !c->bad)
		utf8_encode(out, REPLACEMENT);
	c->cut_len = 0;
	c->bad = false;
	if (!c->plain) {
		char tail[64], *to = tail;
		size_t room = sizeof(tail);

		iconv(c->iconv, NULL, NULL, &to,
		    &room); /* UTF-7 and others may hold something back */
		buf_add(out, tail, (size_t)(to - tail));
	}
}

bool
charset_to_utf8(struct buf *out, struct str charset, struct str text)
{
	struct charset *c = charset_open(charset);

	if (c == NULL)
		return false;
	charset_feed(c, out, text.p, text.len);
	charset_finish(c, out);
	charset_close(c);
	return true;
}
