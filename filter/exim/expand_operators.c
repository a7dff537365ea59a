/* ${name:text}: the operators of string expansion, and those that are refused. */
#include "filter/exim/addresses.h"
#include "filter/exim/digests.h"
#include "filter/exim/expand.h"
#include "filter/exim/ip.h"
#include "filter/exim/numbers.h"
#include "filter/exim/words.h"
#include "store/charset.h"

#define OPERATOR(name)                                                                             \
	static bool op_##name(struct exim_expansion *e, struct str text, struct exim_text *out)

/* --- letters and lengths --- */

OPERATOR(lc)
{
	(void)e;
	for (size_t i = 0; i < text.len; i++)
		exim_text_char(out, ascii_lower(text.p[i]));
	return true;
}

OPERATOR(uc)
{
	(void)e;
	for (size_t i = 0; i < text.len; i++)
		exim_text_char(out, ascii_upper(text.p[i]));
	return true;
}

OPERATOR(strlen)
{
	(void)e;
	exim_text_printf(out, "%zu", text.len);
	return true;
}

bool
exim_op_length(struct exim_expansion *e, struct str text, struct exim_text *out)
{
	if (e->number_count == 0) { /* ${length:…} is ${strlen:…} */
		exim_text_printf(out, "%zu", text.len);
		return true;
	}
	if (e->numbers[0] < 0)
		return exim_expand_fail(e,
		    "\"%lld\" is not a positive number (in \"length\" expansion)",
		    (long long)e->numbers[0]);
	if ((uint64_t)e->numbers[0] < text.len)
		text.len = (size_t)e->numbers[0];
	exim_text_str(out, text);
	return true;
}

/* The start counts from the end if it is negative; the length then goes to the left of the text as well. */
bool
exim_op_substr(struct exim_expansion *e, struct str text, struct exim_text *out)
{
	int64_t start = e->number_count > 0 ? e->numbers[0] : 0, len = (int64_t)text.len;
	int64_t want = e->number_count > 1 ? e->numbers[1] : -1;

	if (want < 0) /* the rest; with a negative start, what is before it */
		want = start < 0 ? 0 : len;
	if (start < 0 && e->number_count < 2) {
		want = len + start;
		start = 0;
	} else if (start < 0) {
		start += len;
		if (start < 0) {
			want += start;
			start = 0;
		}
	}
	if (start > len)
		start = len;
	if (want < 0)
		want = 0;
	if (want > len - start)
		want = len - start;
	exim_text_add(out, text.p + start, (size_t)want);
	return true;
}

bool
exim_op_hash(struct exim_expansion *e, struct str text, struct exim_text *out)
{
	exim_hash(out, text, e->number_count > 0 ? e->numbers[0] : 0,
	    e->number_count > 1 ? e->numbers[1] : 26);
	return true;
}

bool
exim_op_nhash(struct exim_expansion *e, struct str text, struct exim_text *out)
{
	int64_t a = e->number_count > 0 ? e->numbers[0] : 0;
	int64_t b = e->number_count > 1 ? e->numbers[1] : 1;
	uint64_t total = exim_nhash(text);

	if (a <= 0 || b <= 0 || a > INT32_MAX || b > INT32_MAX)
		return exim_expand_fail(e, "nhash needs positive numbers");
	total %= (uint64_t)a * (uint64_t)b;
	if (e->number_count > 1)
		exim_text_printf(out, "%llu/%llu", (unsigned long long)(total / (uint64_t)b),
		    (unsigned long long)(total % (uint64_t)b));
	else
		exim_text_printf(out, "%llu", (unsigned long long)total);
	return true;
}

/* --- addresses --- */

OPERATOR(address)
{
	struct str address;
	const char *why;

	if (exim_address(&e->x->scratch, text, &address, &why))
		exim_text_str(out, address);
	return true;
}

static bool
address_half(struct exim_expansion *e, struct str text, struct exim_text *out, bool domain)
{
	struct str address, half[2];
	const char *why;

	if (!exim_address(&e->x->scratch, text, &address, &why))
		return true;
	exim_address_split(address, &half[0], &half[1]);
	exim_text_str(out, half[domain]);
	return true;
}

OPERATOR(domain)
{
	return address_half(e, text, out, true);
}

OPERATOR(local_part)
{
	return address_half(e, text, out, false);
}

/* ${addresses:>& list}: joined by & instead of a colon */
OPERATOR(addresses)
{
	struct cursor c = cursor_from(text);
	struct str member, address;
	char separator = ':';
	const char *why;
	bool first = true;

	cursor_take_while(&c, ascii_is_space);
	if (cursor_take(&c, '>') && !cursor_at_end(&c))
		separator = *c.p++;
	while (exim_address_next(&c, &member)) {
		if (!exim_step(e->x))
			return false;
		if (!exim_address(&e->x->scratch, member, &address, &why))
			continue;
		exim_list_add(out, address, separator, first);
		first = false;
	}
	return true;
}

/* --- quoting --- */

static bool
is_plain_word(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.p[i]) && strchr("_-.", text.p[i]) == NULL)
			return false;
	return text.len > 0;
}

OPERATOR(quote)
{
	(void)e;
	if (is_plain_word(text)) {
		exim_text_str(out, text);
		return true;
	}
	exim_text_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		char ch = text.p[i];

		if (ch == '\n' || ch == '\r') {
			exim_text_str(out, ch == '\n' ? STR("\\n") : STR("\\r"));
			continue;
		}
		if (ch == '"' || ch == '\\')
			exim_text_char(out, '\\');
		exim_text_char(out, ch);
	}
	exim_text_char(out, '"');
	return true;
}

/* Where a dot may stand, and what RFC 5322's atoms may hold, needs no quotes. */
OPERATOR(quote_local_part)
{
	bool plain = text.len > 0;

	(void)e;
	for (size_t i = 0; i < text.len && plain; i++)
		plain = ascii_is_alnum(text.p[i]) || (text.p[i] & 0x80) != 0 ||
			(text.p[i] != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", text.p[i]) != NULL) ||
			(text.p[i] == '.' && i > 0 && i + 1 < text.len);
	if (plain) {
		exim_text_str(out, text);
		return true;
	}
	exim_text_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\' || text.p[i] == '\n' || text.p[i] == '\r')
			exim_text_char(out, '\\');
		exim_text_char(out, text.p[i]);
	}
	exim_text_char(out, '"');
	return true;
}

/* Whatever is neither letter nor digit could mean something in a pattern. */
OPERATOR(rxquote)
{
	(void)e;
	for (size_t i = 0; i < text.len; i++) {
		if (!ascii_is_alnum(text.p[i]) && (text.p[i] & 0x80) == 0)
			exim_text_char(out, '\\');
		exim_text_char(out, text.p[i]);
	}
	return true;
}

static void
escape(struct exim_text *out, struct str text, bool only_8bit)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char ch = (unsigned char)text.p[i];
		static const char FROM[] = "\b\n\r\v\f", TO[] = "bnrvf";
		const char *at = ch != '\0' && !only_8bit ? strchr(FROM, ch) : NULL;

		if (only_8bit ? ch < 0x80 : (ch >= ' ' && ch < 127) || ch == '\t')
			exim_text_char(out, (char)ch);
		else if (at != NULL && ch < 0x80)
			exim_text_printf(out, "\\%c", TO[at - FROM]);
		else
			exim_text_printf(out, "\\%03o", ch);
	}
}

OPERATOR(escape)
{
	(void)e;
	escape(out, text, false);
	return true;
}

OPERATOR(escape8bit)
{
	(void)e;
	escape(out, text, true);
	return true;
}

OPERATOR(hexquote)
{
	(void)e;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char ch = (unsigned char)text.p[i];

		if (ch >= 0x21 && ch <= 0x7e)
			exim_text_char(out, (char)ch);
		else
			exim_text_printf(out, "\\x%02x", ch);
	}
	return true;
}

/* --- numbers --- */

static bool
evaluate(struct exim_expansion *e, struct str text, struct exim_text *out, bool decimal)
{
	const char *why;
	int64_t n;

	if (!exim_eval(text, decimal, &n, &why))
		return exim_expand_fail(e, "error in expression evaluation: %s", why);
	exim_text_printf(out, "%lld", (long long)n);
	return true;
}

OPERATOR(eval)
{
	return evaluate(e, text, out, false);
}

OPERATOR(eval10)
{
	return evaluate(e, text, out, true);
}

OPERATOR(time_interval)
{
	uint64_t seconds;

	if (!text_u64(text, UINT32_MAX, &seconds))
		return exim_expand_fail(e,
		    "string \"%.50s\" is not a positive number in \"time_interval\" operator",
		    text.p);
	exim_time_print(out, seconds);
	return true;
}

OPERATOR(time_eval)
{
	uint64_t seconds;

	if (!ascii_is_digit(text.p[0]) || ascii_is_digit(text.p[text.len - 1]) ||
	    !exim_time_parse(text, &seconds))
		return exim_expand_fail(e,
		    "string \"%.50s\" is not an Exim time interval in \"time_eval\" operator",
		    text.p);
	exim_text_printf(out, "%llu", (unsigned long long)seconds);
	return true;
}

static const char DIGITS_62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char DIGITS_32[] = "abcdefghijklmnopqrstuvwxyz234567";

/* Six digits of base 62, Exim's old message numbers. */
OPERATOR(base62)
{
	char digits[7] = "000000";
	uint64_t n;

	if (!text_u64(text, UINT64_MAX, &n))
		return exim_expand_fail(e,
		    "argument for base62 operator is \"%.50s\", which is not a decimal number",
		    text.p);
	for (int i = 5; i >= 0; i--, n /= 62)
		digits[i] = DIGITS_62[n % 62];
	exim_text_add(out, digits, 6);
	return true;
}

static bool
from_base(struct exim_expansion *e, struct str text, struct exim_text *out, const char *digits,
    const char *name)
{
	uint64_t n = 0, base = strlen(digits);

	for (size_t i = 0; i < text.len; i++) {
		const char *at = text.p[i] != '\0' ? strchr(digits, text.p[i]) : NULL;

		if (at == NULL)
			return exim_expand_fail(e,
			    "argument for %s operator is \"%.50s\", which is not a base %u number",
			    name, text.p, (unsigned)base);
		n = n * base + (uint64_t)(at - digits);
	}
	exim_text_printf(out, "%llu", (unsigned long long)n);
	return true;
}

OPERATOR(base62d)
{
	return from_base(e, text, out, DIGITS_62, "base62d");
}

OPERATOR(base32)
{
	char digits[16];
	size_t at = sizeof(digits);
	uint64_t n;

	if (!text_u64(text, UINT64_MAX, &n))
		return exim_expand_fail(e,
		    "argument for base32 operator is \"%.50s\", which is not a decimal number",
		    text.p);
	for (; n > 0; n /= 32)
		digits[--at] = DIGITS_32[n % 32];
	exim_text_add(out, digits + at, sizeof(digits) - at);
	return true;
}

OPERATOR(base32d)
{
	return from_base(e, text, out, DIGITS_32, "base32d");
}

OPERATOR(listcount)
{
	struct exim_list list = { .at = cursor_from(text) };
	struct str item;
	size_t count = 0;

	while (exim_list_next(&e->x->scratch, &list, &item)) {
		if (!exim_step(e->x))
			return false;
		count++;
	}
	exim_text_printf(out, "%zu", count);
	return true;
}

/* --- digests and encodings --- */

OPERATOR(md5)
{
	(void)e;
	exim_digest(out, "MD5", text, false);
	return true;
}

OPERATOR(sha1)
{
	(void)e;
	exim_digest(out, "SHA1", text, true);
	return true;
}

OPERATOR(sha256)
{
	(void)e;
	exim_digest(out, "SHA256", text, true);
	return true;
}

static bool
sized_digest(struct exim_expansion *e, struct str text, struct exim_text *out, const char *family)
{
	long long bits = e->number_count > 0 ? (long long)e->numbers[0] : 256;

	if (bits != 224 && bits != 256 && bits != 384 && bits != 512)
		return exim_expand_fail(e, "bad sha digest size %lld", bits);
	exim_digest(out, arena_printf(&e->x->scratch, "%s%lld", family, bits), text, true);
	return true;
}

OPERATOR(sha2)
{
	return sized_digest(e, text, out, "SHA");
}

OPERATOR(sha3)
{
	return sized_digest(e, text, out, "SHA3-");
}

static void
add_base64(struct exim_text *out, struct str bytes)
{
	struct buf encoded = { 0 };

	base64_encode(&encoded, bytes.p, bytes.len);
	exim_text_add(out, encoded.data, encoded.len);
	buf_free(&encoded);
}

OPERATOR(base64)
{
	(void)e;
	add_base64(out, text);
	return true;
}

OPERATOR(base64d)
{
	struct buf bytes = { 0 };
	bool ok = base64_decode(&bytes, text);

	if (ok)
		exim_text_add(out, bytes.data, bytes.len);
	buf_free(&bytes);
	return ok || exim_expand_fail(
			 e, "string \"%.50s\" is not well-formed for \"base64d\" operator", text.p);
}

OPERATOR(hex2b64)
{
	struct buf bytes = { 0 };
	bool ok = hex_decode(&bytes, text);

	if (ok)
		add_base64(out, (struct str){ bytes.data, bytes.len });
	buf_free(&bytes);
	if (ok)
		return true;
	return exim_expand_fail(e,
	    text.len % 2 != 0 ? "\"%.50s\" contains an odd number of characters"
			      : "\"%.50s\" is not a hex string",
	    text.p);
}

OPERATOR(rfc2047)
{
	(void)e;
	exim_words_encode(out, text, "UTF-8");
	return true;
}

OPERATOR(rfc2047d)
{
	exim_words_decode(out, text, e->x->charset);
	return true;
}

/* UTF-8 to Latin-1; what that has not is an underscore. */
OPERATOR(from_utf8)
{
	(void)e;
	for (size_t i = 0; i < text.len;) {
		uint32_t code = 0;
		int n = utf8_decode(text.p + i, text.len - i, &code);

		if (n <= 0) {
			exim_text_char(out, text.p[i++]);
			continue;
		}
		exim_text_char(out, code < 256 ? (char)code : '_');
		i += (size_t)n;
	}
	return true;
}

OPERATOR(utf8clean)
{
	(void)e;
	for (size_t i = 0; i < text.len;) {
		uint32_t code;
		int n = utf8_decode(text.p + i, text.len - i, &code);

		if (n <= 0) {
			exim_text_char(out, '?');
			i++;
			continue;
		}
		exim_text_add(out, text.p + i, (size_t)n);
		i += (size_t)n;
	}
	return true;
}

/* --- IP addresses --- */

OPERATOR(mask)
{
	struct exim_ip ip;

	if (!exim_ip_parse(text, true, &ip))
		return exim_expand_fail(e, "\"%.60s\" is not an IP address", text.p);
	if (ip.mask_bits < 0)
		return exim_expand_fail(e, "missing mask value in \"%.60s\"", text.p);
	exim_ip_apply_mask(&ip);
	exim_ip_print(out, &ip, '.');
	exim_text_printf(out, "/%d", ip.mask_bits);
	return true;
}

static bool
parse_ip(struct exim_expansion *e, struct str text, struct exim_ip *ip)
{
	return exim_ip_parse(text, false, ip) ||
	       exim_expand_fail(e, "\"%.60s\" is not an IP address", text.p);
}

OPERATOR(ipv6denorm)
{
	struct exim_ip ip;

	if (!parse_ip(e, text, &ip))
		return false;
	exim_ip_print(out, &ip, ':');
	return true;
}

OPERATOR(ipv6norm)
{
	struct exim_ip ip;

	if (!parse_ip(e, text, &ip))
		return false;
	exim_ip_print_short(out, &ip);
	return true;
}

OPERATOR(reverse_ip)
{
	struct exim_ip ip;

	if (!parse_ip(e, text, &ip))
		return false;
	exim_ip_print_reverse(out, &ip);
	return true;
}

#define SERVER "it is not for users' filters"

static const struct exim_operator OPERATORS[] = {
	{ .name = "address", .apply = op_address },
	{ .name = "addresses", .apply = op_addresses },
	{ .name = "base32", .apply = op_base32 },
	{ .name = "base32d", .apply = op_base32d },
	{ .name = "base62", .apply = op_base62 },
	{ .name = "base62d", .apply = op_base62d },
	{ .name = "base64", .apply = op_base64 },
	{ .name = "base64d", .apply = op_base64d },
	{ .name = "domain", .apply = op_domain },
	{ .name = "escape", .apply = op_escape },
	{ .name = "escape8bit", .apply = op_escape8bit },
	{ .name = "eval", .apply = op_eval },
	{ .name = "eval10", .apply = op_eval10 },
	{ .name = "expand", .refused = "what comes out of mail is not expanded again" },
	{ .name = "from_utf8", .apply = op_from_utf8 },
	{ .name = "h", .apply = exim_op_hash, .numbers = true },
	{ .name = "hash", .apply = exim_op_hash, .numbers = true },
	{ .name = "hex2b64", .apply = op_hex2b64 },
	{ .name = "hexquote", .apply = op_hexquote },
	{ .name = "ipv6denorm", .apply = op_ipv6denorm },
	{ .name = "ipv6norm", .apply = op_ipv6norm },
	{ .name = "l", .apply = exim_op_length, .numbers = true },
	{ .name = "lc", .apply = op_lc },
	{ .name = "length", .apply = exim_op_length, .numbers = true },
	{ .name = "listcount", .apply = op_listcount },
	{ .name = "listnamed", .refused = SERVER },
	{ .name = "local_part", .apply = op_local_part },
	{ .name = "mask", .apply = op_mask },
	{ .name = "md5", .apply = op_md5 },
	{ .name = "nh", .apply = exim_op_nhash, .numbers = true },
	{ .name = "nhash", .apply = exim_op_nhash, .numbers = true },
	{ .name = "quote", .apply = op_quote },
	{ .name = "quote_local_part", .apply = op_quote_local_part },
	{ .name = "randint", .refused = "what a filter does must not depend on chance" },
	{ .name = "reverse_ip", .apply = op_reverse_ip },
	{ .name = "rfc2047", .apply = op_rfc2047 },
	{ .name = "rfc2047d", .apply = op_rfc2047d },
	{ .name = "rxquote", .apply = op_rxquote },
	{ .name = "s", .apply = exim_op_substr, .numbers = true },
	{ .name = "sha1", .apply = op_sha1 },
	{ .name = "sha2", .apply = op_sha2, .numbers = true },
	{ .name = "sha256", .apply = op_sha256 },
	{ .name = "sha3", .apply = op_sha3, .numbers = true },
	{ .name = "stat", .refused = "a filter reads no files" },
	{ .name = "str2b64", .apply = op_base64 },
	{ .name = "strlen", .apply = op_strlen },
	{ .name = "substr", .apply = exim_op_substr, .numbers = true },
	{ .name = "time_eval", .apply = op_time_eval },
	{ .name = "time_interval", .apply = op_time_interval },
	{ .name = "uc", .apply = op_uc },
	{ .name = "utf8clean", .apply = op_utf8clean },
};

const struct exim_operator *
exim_operator_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(OPERATORS); i++)
		if (str_eq(name, str_from(OPERATORS[i].name)))
			return &OPERATORS[i];
	return NULL;
}
