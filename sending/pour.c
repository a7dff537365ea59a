#include "sending/pour.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"
#include "filter/view.h"
#include "sending/trace.h"

/* The content from `at` to its end. */
static enum store_err
pour_rest(const struct content *content, uint64_t at, const struct pour_sink *sink)
{
	struct buf piece = { 0 };
	enum store_err err = STORE_OK;

	while (err == STORE_OK && at < content->size_bytes) {
		buf_reset(&piece);
		err = content_read(content, at, CONTENT_COPY_BYTES, &piece);
		if (err == STORE_OK)
			err = sink->write(sink->arg, piece.data, piece.len);
		at += piece.len;
	}
	buf_free(&piece);
	return err;
}

static enum store_err
pour_as_it_came(const struct content *content, struct str top, const struct pour_sink *sink)
{
	struct buf piece = { 0 }, head = { 0 };
	size_t at = 0;
	enum store_err err = content_read(content, 0, CONTENT_MEMORY_BYTES, &piece);

	buf_add(&head, top.p, top.len);
	if (err == STORE_OK) {
		at = trace_copy_header(&head, (struct str){ piece.data, piece.len });
		err = sink->write(sink->arg, head.data, head.len);
	}
	if (err == STORE_OK)
		err = sink->write(sink->arg, piece.data + at, piece.len - at);
	at = piece.len;
	buf_free(&piece);
	buf_free(&head);
	return err == STORE_OK ? pour_rest(content, at, sink) : err;
}

/* Where the body starts, as filters see it. */
static bool
find_body(const struct content *content, uint64_t *offset_out)
{
	struct filter_message message = { .fd = content->fd,
		.bytes = { content->memory.data, content->memory.len } };
	struct arena arena = { 0 };
	struct view view;
	bool ok = view_open(&view, &message, &arena);

	if (ok) {
		*offset_out = (uint64_t)(view.body.p - view.all.p);
		view_close(&view);
	}
	arena_free(&arena);
	return ok;
}

static enum store_err
pour_edited(const struct content *content, const struct filter_edit *edit, struct str top,
    const struct pour_sink *sink)
{
	struct buf head = { 0 };
	uint64_t at = 0;
	enum store_err err;

	if (edit->body.p == NULL && !find_body(content, &at))
		return STORE_IO;
	buf_add(&head, top.p, top.len);
	trace_copy_header(&head, edit->header);
	if (head.len > 0 && head.data[head.len - 1] != '\n')
		buf_addc(&head, '\n');
	buf_addc(&head, '\n');
	err = sink->write(sink->arg, head.data, head.len);
	buf_free(&head);
	if (err != STORE_OK)
		return err;
	return edit->body.p != NULL ? sink->write(sink->arg, edit->body.p, edit->body.len)
				    : pour_rest(content, at, sink);
}

enum store_err
pour_message(const struct content *content, const struct filter_edit *edit, struct str top,
    const struct pour_sink *sink)
{
	return edit != NULL ? pour_edited(content, edit, top, sink)
			    : pour_as_it_came(content, top, sink);
}

static enum store_err
digest_write(void *arg, const void *bytes, size_t len)
{
	EVP_MD_CTX *ctx = arg;

	return EVP_DigestUpdate(ctx, bytes, len) == 1 ? STORE_OK : STORE_IO;
}

enum store_err
pour_digest(const struct content *content, char digest_out[POUR_DIGEST_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct pour_sink sink = { digest_write, ctx };
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct buf hex = { 0 };
	unsigned len = 0;
	enum store_err err = STORE_IO;

	if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1)
		err = pour_message(content, NULL, STR(""), &sink);
	if (err == STORE_OK && EVP_DigestFinal_ex(ctx, digest, &len) != 1)
		err = STORE_IO;
	EVP_MD_CTX_free(ctx);
	if (err != STORE_OK)
		return err;
	hex_encode(&hex, digest, len);
	memcpy(digest_out, buf_cstr(&hex), POUR_DIGEST_BYTES);
	buf_free(&hex);
	return STORE_OK;
}
