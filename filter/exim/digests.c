#include "filter/exim/digests.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static void
add_hex(struct exim_text *out, const unsigned char *bytes, size_t len, bool upper)
{
	for (size_t i = 0; i < len; i++)
		exim_text_printf(out, upper ? "%02X" : "%02x", bytes[i]);
}

void
exim_digest(struct exim_text *out, const char *name, struct str text, bool upper)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (EVP_Digest(text.p, text.len, digest, &len, EVP_get_digestbyname(name), NULL) == 1)
		add_hex(out, digest, len, upper);
}

bool
exim_hmac(struct exim_text *out, struct str algorithm, struct str secret, struct str text)
{
	const EVP_MD *md = str_eq(algorithm, STR("md5"))    ? EVP_md5()
			   : str_eq(algorithm, STR("sha1")) ? EVP_sha1()
							    : NULL;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (md == NULL)
		return false;
	if (HMAC(md, secret.p, (int)secret.len, (const unsigned char *)text.p, text.len, digest,
		&len) != NULL)
		add_hex(out, digest, len, false);
	return true;
}

/* The letters in Exim's order, in which t and s have changed places. */
static const char LETTERS[] = "abcdefghijklmnopqrtsuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

void
exim_hash(struct exim_text *out, struct str text, int64_t length, int64_t letters)
{
	size_t want = (size_t)length;
	char *folded;

	if (length < 0 || text.len <= want) {
		exim_text_str(out, text);
		return;
	}
	if (letters > (int64_t)sizeof(LETTERS) - 1)
		letters = sizeof(LETTERS) - 1;
	if (want == 0 || letters <= 0)
		return;
	folded = arena_strndup(out->arena, text.p, want);
	for (size_t i = want; i < text.len; i++) {
		unsigned char ch = (unsigned char)text.p[i];
		unsigned shift = (ch + i) & 7;

		folded[(i - want) % want] ^= (char)(ch << shift | ch >> (8 - shift));
	}
	for (size_t i = 0; i < want; i++)
		exim_text_char(out, LETTERS[(unsigned char)folded[i] % (unsigned)letters]);
}

uint64_t
exim_nhash(struct str text)
{
	static const unsigned char PRIMES[] = { 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47,
		53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113 };
	size_t at = 0;
	uint64_t total = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (at == 0)
			at = sizeof(PRIMES);
		total += (uint64_t)PRIMES[--at] * (unsigned char)text.p[i];
	}
	return total;
}
