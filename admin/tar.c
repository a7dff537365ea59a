#include "admin/tar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define BLOCK      512
#define COPY_BYTES ((size_t)64 * 1024)

struct header {
	char name[TAR_NAME_MAX], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char link[100], magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155];
	char rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

static bool
write_all(struct tar *t, const void *bytes, size_t len)
{
	for (const char *p = bytes; len > 0;) {
		ssize_t n = write(t->fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
		t->bytes += (uint64_t)n;
	}
	return true;
}

static bool
write_header(
    struct tar *t, const char *name, char type, unsigned mode, int64_t mtime, uint64_t size)
{
	struct header h = { .type = type, .magic = "ustar", .version = { '0', '0' } };
	size_t len = strlen(name);
	unsigned sum = 0;
	char text[24];

	if (len > TAR_NAME_MAX || size > TAR_MEMBER_MAX) {
		errno = EOVERFLOW;
		return false;
	}
	memcpy(h.name, name, len);
	snprintf(h.mode, sizeof(h.mode), "%07o", mode);
	snprintf(h.uid, sizeof(h.uid), "%07o", 0U);
	snprintf(h.gid, sizeof(h.gid), "%07o", 0U);
	snprintf(text, sizeof(text), "%011llo", (unsigned long long)size);
	memcpy(h.size, text, sizeof(h.size));
	snprintf(text, sizeof(text), "%011llo",
	    mtime > 0 && (uint64_t)mtime <= TAR_MEMBER_MAX ? (unsigned long long)mtime : 0);
	memcpy(h.mtime, text, sizeof(h.mtime));
	memset(h.checksum, ' ', sizeof(h.checksum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((const unsigned char *)&h)[i];
	snprintf(h.checksum, sizeof(h.checksum), "%06o", sum);
	return write_all(t, &h, sizeof(h));
}

bool
tar_directory(struct tar *t, const char *name, int64_t mtime)
{
	return write_header(t, name, '5', 0755, mtime, 0);
}

bool
tar_file(struct tar *t, const char *name, int64_t mtime, int fd, uint64_t size)
{
	static const char ZEROS[BLOCK];
	char *bytes;
	uint64_t at = 0;
	ssize_t n = 1;

	if (!write_header(t, name, '0', 0644, mtime, size))
		return false;
	bytes = mem_alloc(COPY_BYTES);
	while (at < size) {
		size_t want = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;

		n = pread(fd, bytes, want, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0 || !write_all(t, bytes, (size_t)n)) {
			free(bytes);
			return false;
		}
		at += (uint64_t)n;
	}
	free(bytes);
	return write_all(t, ZEROS, (size_t)((BLOCK - size % BLOCK) % BLOCK));
}

bool
tar_end(struct tar *t)
{
	static const char ZEROS[2 * BLOCK];

	return write_all(t, ZEROS, sizeof(ZEROS));
}
