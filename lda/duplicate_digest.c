#include <openssl/evp.h>
#include <stdlib.h>

#include "lda/duplicates.h"

static void
add(EVP_MD_CTX *ctx, const void *bytes, size_t len)
{
	if (EVP_DigestUpdate(ctx, bytes, len) != 1)
		abort(); /* never: nothing of it can fail */
}

/* Without the CRs, which differ by the way a message comes. */
static void
add_lines(EVP_MD_CTX *ctx, struct str text)
{
	while (text.len > 0) {
		const char *cr = memchr(text.p, '\r', text.len);
		size_t len = cr != NULL ? (size_t)(cr - text.p) : text.len;

		add(ctx, text.p, len);
		len += cr != NULL;
		text.p += len;
		text.len -= len;
	}
}

/* In one order, whatever theirs is; folding counts as it stands. */
static void
add_fields(EVP_MD_CTX *ctx, const struct view *message)
{
	static const char *const NAMES[] = { "Message-ID", "From", "To", "Cc", "Subject", "Date",
		"Content-Type", "Content-Transfer-Encoding" };

	for (size_t n = 0; n < ARRAY_LEN(NAMES); n++)
		for (size_t i = 0; i < message->field_count; i++) {
			const struct header_field *f = &message->fields[i];

			if (!str_eq_nocase(f->name, str_from(NAMES[n])))
				continue;
			add(ctx, NAMES[n], strlen(NAMES[n]) + 1);
			add_lines(ctx, str_trim(f->value));
			add(ctx, "", 1);
		}
}

static bool
has_id(const struct view *message)
{
	for (size_t i = 0; i < message->field_count; i++)
		if (str_eq_nocase(message->fields[i].name, STR("Message-ID")) &&
		    str_trim(message->fields[i].value).len > 0)
			return true;
	return false;
}

bool
duplicate_digest(const struct view *message, char digest_out[POUR_DIGEST_BYTES])
{
	unsigned char hash[32];
	struct buf hex = { 0 };
	EVP_MD_CTX *ctx;

	if (!has_id(message))
		return false;
	ctx = EVP_MD_CTX_new();
	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		abort();
	add_fields(ctx, message);
	add_lines(ctx, message->body);
	if (EVP_DigestFinal_ex(ctx, hash, NULL) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
	hex_encode(&hex, hash, sizeof(hash));
	memcpy(digest_out, buf_cstr(&hex), POUR_DIGEST_BYTES);
	buf_free(&hex);
	return true;
}
