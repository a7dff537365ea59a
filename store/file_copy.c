#include "store/file_copy.h"

#include <errno.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"

#define CHUNK_BYTES (256 * 1024)

static EVP_MD_CTX *
digest_new(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		abort(); /* no memory */
	return ctx;
}

static void
digest_end(EVP_MD_CTX *ctx, struct file_digest *digest_out)
{
	if (EVP_DigestFinal_ex(ctx, digest_out->bytes, NULL) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
}

static bool
write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/* Reads from_fd to its end; to_fd -1: only to look at it. */
static enum store_err
pour(int from_fd, int to_fd, uint64_t *size_out, struct file_digest *digest_out)
{
	EVP_MD_CTX *ctx = digest_new();
	char *chunk = mem_alloc(CHUNK_BYTES);
	enum store_err err = STORE_OK;
	off_t at = 0;

	while (err == STORE_OK) {
		ssize_t n = pread(from_fd, chunk, CHUNK_BYTES, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = dir_err(errno);
		if (n <= 0)
			break;
		EVP_DigestUpdate(ctx, chunk, (size_t)n);
		if (to_fd >= 0 && !write_all(to_fd, chunk, (size_t)n))
			err = dir_err(errno);
		at += n;
	}
	*size_out = (uint64_t)at;
	free(chunk);
	digest_end(ctx, digest_out);
	return err;
}

enum store_err
file_copy(int from_fd, int to_fd, bool *clone, uint64_t *size_out, struct file_digest *digest_out)
{
	if (clone != NULL && *clone) {
		*clone = ioctl(to_fd, FICLONE, from_fd) == 0;
		if (*clone) /* of the copy: that is what is kept */
			return pour(to_fd, -1, size_out, digest_out);
	}
	return pour(from_fd, to_fd, size_out, digest_out);
}

enum store_err
file_digest_fd(int fd, uint64_t *size_out, struct file_digest *digest_out)
{
	return pour(fd, -1, size_out, digest_out);
}

void
file_digest_str(struct str bytes, struct file_digest *digest_out)
{
	EVP_MD_CTX *ctx = digest_new();

	EVP_DigestUpdate(ctx, bytes.p, bytes.len);
	digest_end(ctx, digest_out);
}

bool
file_digest_eq(const struct file_digest *a, const struct file_digest *b)
{
	return memcmp(a->bytes, b->bytes, FILE_DIGEST_BYTES) == 0;
}
