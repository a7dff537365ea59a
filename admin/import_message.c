#include "admin/import_message.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define HASH_BYTES 4096

/* A hash over bytes without their CRs. */
struct lines_hash {
	crypto_hash_sha256_state state;
	size_t used;
	unsigned char bytes[HASH_BYTES];
};

struct import_message {
	int dir_fd, fd; /* fd -1: all is in memory */
	uint64_t size;
	struct buf memory;
	struct lines_hash whole, header;
	bool header_ended, line_empty;
};

static void
hash_begin(struct lines_hash *h)
{
	crypto_hash_sha256_init(&h->state);
	h->used = 0;
}

static void
hash_add(struct lines_hash *h, char c)
{
	if (h->used == HASH_BYTES) {
		crypto_hash_sha256_update(&h->state, h->bytes, h->used);
		h->used = 0;
	}
	h->bytes[h->used++] = (unsigned char)c;
}

static void
hash_end(const struct lines_hash *h, uint8_t digest_out[static IMPORT_DIGEST_BYTES])
{
	crypto_hash_sha256_state state = h->state;
	unsigned char out[crypto_hash_sha256_BYTES];

	crypto_hash_sha256_update(&state, h->bytes, h->used);
	crypto_hash_sha256_final(&state, out);
	memcpy(digest_out, out, IMPORT_DIGEST_BYTES);
}

struct import_message *
import_message_new(int dir_fd)
{
	struct import_message *m = mem_zalloc(sizeof(*m));

	m->dir_fd = dir_fd;
	m->fd = -1;
	import_message_begin(m);
	return m;
}

void
import_message_free(struct import_message *m)
{
	if (m == NULL)
		return;
	if (m->fd >= 0)
		close(m->fd);
	buf_free(&m->memory);
	free(m);
}

void
import_message_begin(struct import_message *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
	m->size = 0;
	buf_reset(&m->memory);
	hash_begin(&m->whole);
	hash_begin(&m->header);
	m->header_ended = false;
	m->line_empty = true;
}

static void
digest(struct import_message *m, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = bytes[i];

		if (c == '\r')
			continue;
		hash_add(&m->whole, c);
		if (m->header_ended)
			continue;
		if (c == '\n' && m->line_empty)
			m->header_ended = true;
		else
			hash_add(&m->header, c);
		m->line_empty = c == '\n';
	}
}

static bool
write_file(struct import_message *m, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(m->fd, bytes, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return true;
}

bool
import_message_write(struct import_message *m, const char *bytes, size_t len)
{
	digest(m, bytes, len);
	m->size += len;
	if (m->size <= IMPORT_MEMORY_BYTES) {
		buf_add(&m->memory, bytes, len);
		return true;
	}
	if (m->fd < 0) {
		m->fd = openat(m->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (m->fd < 0 || !write_file(m, m->memory.data, m->memory.len))
			return false;
	}
	return write_file(m, bytes, len);
}

uint64_t
import_message_size(const struct import_message *m)
{
	return m->size;
}

void
import_message_header_digest(
    struct import_message *m, uint8_t digest_out[static IMPORT_DIGEST_BYTES])
{
	hash_end(&m->header, digest_out);
}

void
import_message_digest(struct import_message *m, uint8_t digest_out[static IMPORT_DIGEST_BYTES])
{
	hash_end(&m->whole, digest_out);
}

bool
import_message_read(
    struct import_message *m, bool (*each)(void *arg, const char *bytes, size_t len), void *arg)
{
	char *bytes;
	uint64_t at = 0;
	bool ok = true;

	if (m->fd < 0)
		return m->memory.len == 0 || each(arg, m->memory.data, m->memory.len);
	bytes = mem_alloc(IMPORT_MEMORY_BYTES);
	while (ok && at < m->size) {
		ssize_t n = pread(m->fd, bytes, IMPORT_MEMORY_BYTES, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		ok = n > 0 && each(arg, bytes, (size_t)n);
		if (ok)
			at += (uint64_t)n;
	}
	free(bytes);
	return ok;
}
