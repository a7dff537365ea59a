#include "filter/sieve/comparator.h"

#include "base/mem.h"
#include "store/casefold.h"

static int
compare_octets(struct str a, struct str b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.p, b.p, len) : 0;

	if (order != 0 || a.len == b.len)
		return order;
	return a.len < b.len ? -1 : 1;
}

/* To upper case: "_" sorts behind letters, RFC 4790 §9.2.1. */
static void
normal_ascii(struct buf *out, struct str s)
{
	char *to;

	if (s.len == 0)
		return;
	buf_reserve(out, s.len);
	to = out->data + out->len;
	for (size_t i = 0; i < s.len; i++)
		to[i] = ascii_upper(s.p[i]);
	out->len += s.len;
}

/* The digits at the start without leading zeros; none: positive infinity.  RFC 4790 §9.1.1. */
static struct str
numeric(struct str s, bool *infinite_out)
{
	struct cursor c = cursor_from(s);
	struct str digits = cursor_take_while(&c, ascii_is_digit);

	*infinite_out = digits.len == 0;
	while (digits.len > 0 && *digits.p == '0')
		digits.p++, digits.len--;
	return digits;
}

static int
compare_numeric(struct str a, struct str b)
{
	bool a_infinite, b_infinite;

	a = numeric(a, &a_infinite);
	b = numeric(b, &b_infinite);
	if (a_infinite || b_infinite)
		return (int)a_infinite - (int)b_infinite;
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return compare_octets(a, b);
}

const struct sieve_comparator SIEVE_ASCII_CASEMAP = {
	.name = "i;ascii-casemap",
	.cap = SIEVE_CAP_COMPARATOR_ASCII_CASEMAP,
	.substrings = true,
	.ignores_case = true,
	.same_length = true,
	.normal = normal_ascii,
	.compare = compare_octets,
	.equal = str_eq_nocase,
};
static const struct sieve_comparator OCTET = {
	.name = "i;octet",
	.cap = SIEVE_CAP_COMPARATOR_OCTET,
	.substrings = true,
	.same_length = true,
	.compare = compare_octets,
	.equal = str_eq,
};
static const struct sieve_comparator ASCII_NUMERIC = {
	.name = "i;ascii-numeric",
	.cap = SIEVE_CAP_COMPARATOR_ASCII_NUMERIC,
	.same_length = true,
	.compare = compare_numeric,
};
static const struct sieve_comparator UNICODE_CASEMAP = {
	.name = "i;unicode-casemap",
	.cap = SIEVE_CAP_COMPARATOR_UNICODE_CASEMAP,
	.substrings = true,
	.ignores_case = true,
	.normal = casefold_all,
	.compare = compare_octets,
};

const struct sieve_comparator *
sieve_comparator_find(struct str name)
{
	static const struct sieve_comparator *const ALL[] = {
		&SIEVE_ASCII_CASEMAP,
		&OCTET,
		&ASCII_NUMERIC,
		&UNICODE_CASEMAP,
	};

	for (size_t i = 0; i < ARRAY_LEN(ALL); i++)
		if (str_eq(name, str_from(ALL[i]->name)))
			return ALL[i];
	return NULL;
}
