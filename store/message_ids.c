#include "store/message_ids.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/sort_keys.h"

_Static_assert(MESSAGE_ID_BYTES == SORT_ID_BYTES, "a thread id is the hash of a Message-ID");

struct message_digest {
	EVP_MD_CTX *ctx;
	bool cr; /* the last byte, held back until it is known what follows */
};

struct message_digest *
message_digest_new(void)
{
	struct message_digest *d = mem_zalloc(sizeof(*d));

	d->ctx = EVP_MD_CTX_new();
	if (d->ctx == NULL || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
		abort();
	return d;
}

static void
update(struct message_digest *d, const char *bytes, size_t len)
{
	if (len > 0 && EVP_DigestUpdate(d->ctx, bytes, len) != 1)
		abort();
}

void
message_digest_feed(struct message_digest *d, const void *bytes, size_t len)
{
	const char *p = bytes, *end = p + len, *from = p;

	if (len == 0)
		return;
	if (d->cr && *p != '\n')
		update(d, "\r", 1);
	d->cr = false;
	while ((p = memchr(p, '\r', (size_t)(end - p))) != NULL) {
		if (p + 1 < end && p[1] != '\n') {
			p++;
			continue;
		}
		update(d, from, (size_t)(p - from));
		d->cr = p + 1 == end;
		from = ++p;
	}
	update(d, from, (size_t)(end - from));
}

void
message_digest_finish(struct message_digest *d, unsigned char id_out[MESSAGE_ID_BYTES])
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	if (d->cr)
		update(d, "\r", 1);
	if (EVP_DigestFinal_ex(d->ctx, hash, NULL) != 1)
		abort();
	memcpy(id_out, hash, MESSAGE_ID_BYTES);
	message_digest_free(d);
}

void
message_digest_free(struct message_digest *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

void
message_thread_id(const struct mime_message *m, struct message_ids *ids)
{
	static const struct mime_fields NONE = { 0 };
	const struct mime_fields *fields = m->root->fields != NULL ? m->root->fields : &NONE;
	const struct str places[] = { fields->references, fields->field[MIME_IN_REPLY_TO],
		fields->field[MIME_MESSAGE_ID] };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct cursor c = cursor_from(places[i]);

		if (places[i].p != NULL && sort_keys_next_id(&c, ids->thread))
			return;
	}
	memcpy(ids->thread, ids->email, sizeof(ids->thread));
}

void
message_id_text(
    char kind, const unsigned char id[MESSAGE_ID_BYTES], char text_out[MESSAGE_ID_TEXT_BYTES])
{
	static const char DIGITS[] = "0123456789abcdef";

	*text_out++ = kind;
	for (size_t i = 0; i < MESSAGE_ID_BYTES; i++) {
		*text_out++ = DIGITS[id[i] >> 4];
		*text_out++ = DIGITS[id[i] & 15];
	}
	*text_out = '\0';
}

bool
message_id_parse(char kind, struct str text, unsigned char id_out[MESSAGE_ID_BYTES])
{
	if (text.len != MESSAGE_ID_TEXT_BYTES - 1 || text.p[0] != kind)
		return false;
	for (size_t i = 0; i < MESSAGE_ID_BYTES; i++) {
		char high = text.p[1 + 2 * i], low = text.p[2 + 2 * i];

		/* Ids are case-sensitive. */
		if (hex_value(high) < 0 || hex_value(low) < 0 || ascii_lower(high) != high ||
		    ascii_lower(low) != low)
			return false;
		id_out[i] = (unsigned char)(hex_value(high) << 4 | hex_value(low));
	}
	return true;
}
