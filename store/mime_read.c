#include "store/mime_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/header.h"

/* pread that goes on after a signal; the end of the file within the range is EIO. */
static ssize_t
read_at(int fd, void *bytes, size_t len, uint64_t at)
{
	ssize_t n;

	do
		n = pread(fd, bytes, len, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n == 0 && len > 0) {
		errno = EIO;
		return -1;
	}
	return n;
}

/* The next bytes of the range, of a file or of memory. */
static ssize_t
read_here(const struct mime_reader *r, void *bytes, size_t len)
{
	if (r->memory == NULL)
		return read_at(r->fd, bytes, len, r->at);
	memcpy(bytes, r->memory + r->at, len);
	return (ssize_t)len;
}

void
mime_reader_open(struct mime_reader *r, int fd, const struct mime_extent *range)
{
	*r = (struct mime_reader){
		.fd = fd,
		.convert = range->size != range->virtual_size,
		.at = range->offset,
		.end = range->offset + range->size,
	};
}

struct mime_extent
mime_part_extent(const struct mime_part *part)
{
	struct mime_extent e = part->header;

	e.size += part->body.size;
	e.virtual_size += part->body.virtual_size;
	e.lines += part->body.lines;
	return e;
}

static size_t
left(const struct mime_reader *r, size_t most)
{
	uint64_t n = r->end - r->at;

	return n < most ? (size_t)n : most;
}

/* Reads up to len bytes in CRLF space.  As the file has no more bytes than that, one read is enough for
 * the rest of a range that fits. */
static ssize_t
read_converted(struct mime_reader *r, char *to, size_t len)
{
	char from[MIME_READ_BUFFER_BYTES];
	size_t given = 0, used = 0, room;
	ssize_t n;

	if (r->lf_pending) {
		r->lf_pending = false;
		r->last_was_cr = false;
		to[given++] = '\n';
		r->at++;
		if (given == len || r->at == r->end)
			return (ssize_t)given;
	}
	room = len - given < sizeof(from) ? len - given : sizeof(from);
	n = read_here(r, from, left(r, room));
	if (n < 0)
		return given > 0 ? (ssize_t)given : -1;
	while (used < (size_t)n && given < len) {
		char *lf = memchr(from + used, '\n', (size_t)n - used);
		size_t run = (size_t)((lf != NULL ? lf : from + n) - (from + used));

		if (run > len - given)
			run = len - given;
		memcpy(to + given, from + used, run);
		given += run;
		used += run;
		if (run > 0)
			r->last_was_cr = to[given - 1] == '\r';
		if (given == len || used == (size_t)n)
			break;
		if (!r->last_was_cr)
			to[given++] = '\r';
		if (given == len) {
			r->lf_pending = true;
			break;
		}
		to[given++] = '\n';
		r->last_was_cr = false;
		used++;
	}
	r->at += used;
	return (ssize_t)given;
}

ssize_t
mime_reader_read(struct mime_reader *r, void *bytes, size_t len)
{
	ssize_t n = 0;

	if (len == 0 || r->at == r->end)
		return 0;
	if (r->convert) {
		n = read_converted(r, bytes, len);
	} else {
		n = read_here(r, bytes, left(r, len));
		r->at += n > 0 ? (uint64_t)n : 0;
	}
	r->virtual_at += n > 0 ? (uint64_t)n : 0;
	return n;
}

bool
mime_reader_skip(struct mime_reader *r, uint64_t bytes)
{
	char *chunk;
	ssize_t n = 1;

	if (!r->convert) {
		uint64_t most = r->end - r->at, step = bytes < most ? bytes : most;

		r->at += step;
		r->virtual_at += step;
		return true;
	}
	chunk = mem_alloc(MIME_READ_BUFFER_BYTES);
	while (bytes > 0 && n > 0) {
		n = mime_reader_read(r, chunk,
		    bytes < MIME_READ_BUFFER_BYTES ? (size_t)bytes : MIME_READ_BUFFER_BYTES);
		bytes -= n > 0 ? (uint64_t)n : 0;
	}
	free(chunk);
	return n >= 0;
}

uint64_t
mime_partial_size(uint64_t virtual_size, uint64_t offset, uint64_t count)
{
	if (offset >= virtual_size)
		return 0;
	return count < virtual_size - offset ? count : virtual_size - offset;
}

/* The header's bytes as they stand. */
static bool
read_header(struct buf *out, int fd, const struct mime_part *part)
{
	uint64_t size = part->header.size;
	size_t done = 0;

	if (size > MIME_HEADER_MAX_BYTES)
		size = MIME_HEADER_MAX_BYTES;
	buf_reserve(out, (size_t)size);
	while (done < size) {
		ssize_t n = read_at(
		    fd, out->data + out->len, (size_t)size - done, part->header.offset + done);

		if (n < 0)
			return false;
		out->len += (size_t)n;
		done += (size_t)n;
	}
	return true;
}

static void
add_crlf(struct buf *out, struct str s)
{
	const char *p = s.p, *end = s.p + s.len, *lf;

	while (p < end && (lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		buf_add(out, p, (size_t)(lf - p));
		buf_adds(out, lf > p && lf[-1] == '\r' ? "\n" : "\r\n");
		p = lf + 1;
	}
	buf_add(out, p, (size_t)(end - p));
}

bool
mime_header_read(struct buf *out, int fd, const struct mime_part *part)
{
	struct buf raw = { 0 };
	bool good = read_header(&raw, fd, part);

	if (good && raw.len > 0)
		add_crlf(out, (struct str){ raw.data, raw.len });
	buf_free(&raw);
	return good;
}

static bool
is_among(struct str name, const struct str *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq_nocase(name, names[i]))
			return true;
	return false;
}

bool
mime_header_fields(struct buf *out, int fd, const struct mime_part *part, const struct str *names,
    size_t name_count, bool negate)
{
	struct buf raw = { 0 };
	struct header_field h;
	struct cursor c;
	bool good = read_header(&raw, fd, part);

	if (good) {
		bool cut = raw.len < part->header.size;

		c = cursor_from((struct str){ raw.data != NULL ? raw.data : "", raw.len });
		while (header_next(&c, &h))
			if ((header_has_colon(&h) && is_among(h.name, names, name_count)) !=
			    negate) {
				add_crlf(out, h.raw);
				if (cut && h.raw.p[h.raw.len - 1] != '\n')
					buf_adds(out, "\r\n");
			}
		if (cut ||
		    !cursor_at_end(&c)) /* at the blank line: where there is none, none is shown */
			buf_adds(out, "\r\n");
	}
	buf_free(&raw);
	return good;
}
