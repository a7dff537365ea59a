#include "sending/content.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void
content_init(struct content *c)
{
	*c = (struct content){ .fd = -1 };
}

static enum store_err
write_all(int fd, const char *bytes, size_t len)
{
	ssize_t done;

	for (; len > 0; bytes += done, len -= (size_t)done) {
		done = write(fd, bytes, len);
		if (done < 0 && errno == EINTR)
			done = 0;
		else if (done < 0)
			return store_err_from_errno(errno);
	}
	return STORE_OK;
}

static enum store_err
move_to_file(struct content *c, int dir_fd)
{
	enum store_err err;

	c->fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (c->fd < 0)
		return store_err_from_errno(errno);
	err = write_all(c->fd, c->memory.data, c->memory.len);
	buf_free(&c->memory);
	return err;
}

enum store_err
content_write(struct content *c, int dir_fd, const void *bytes, size_t len)
{
	enum store_err err = STORE_OK;

	if (c->fd < 0 && c->memory.len + len <= CONTENT_MEMORY_BYTES) {
		buf_add(&c->memory, bytes, len);
	} else {
		if (c->fd < 0)
			err = move_to_file(c, dir_fd);
		if (err == STORE_OK)
			err = write_all(c->fd, bytes, len);
	}
	if (err == STORE_OK)
		c->size_bytes += len;
	return err;
}

enum store_err
content_read(const struct content *c, uint64_t offset, size_t len, struct buf *out)
{
	ssize_t got;

	if (offset >= c->size_bytes)
		return STORE_OK;
	if (len > c->size_bytes - offset)
		len = (size_t)(c->size_bytes - offset);
	if (c->fd < 0) {
		buf_add(out, c->memory.data + offset, len);
		return STORE_OK;
	}
	buf_reserve(out, len);
	while (len > 0) {
		got = pread(c->fd, out->data + out->len, len, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return STORE_IO;
		out->len += (size_t)got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return STORE_OK;
}

void
content_reset(struct content *c)
{
	if (c->fd >= 0)
		close(c->fd);
	buf_free(&c->memory);
	content_init(c);
}
