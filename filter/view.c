#include "filter/view.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "store/mime.h"

/* The end of the header block: behind the line end of its last field; *body_out: behind the blank line. */
static size_t
header_end(struct str all, size_t *body_out)
{
	size_t max = all.len < VIEW_HEADER_MAX_BYTES ? all.len : VIEW_HEADER_MAX_BYTES;

	for (size_t at = 0; at < max;) {
		const char *lf = memchr(all.p + at, '\n', max - at);
		size_t blank = all.p[at] == '\r' && at + 1 < max ? at + 1 : at;

		if (all.p[blank] == '\n') {
			*body_out = blank + 1;
			return at;
		}
		if (lf == NULL)
			break;
		at = (size_t)(lf - all.p) + 1;
	}
	*body_out = max;
	return max;
}

struct header_field *
view_fields(struct arena *arena, struct str block, size_t *count_out)
{
	struct cursor c = cursor_from(block);
	struct header_field field, *fields;
	size_t count = 0, n = 0;

	while (count < VIEW_FIELDS_MAX && header_next(&c, &field))
		count++;
	fields = arena_alloc(arena, (count + 1) * sizeof(*fields));
	c = cursor_from(block);
	while (n < count && header_next(&c, &fields[n]))
		n++;
	*count_out = n;
	return fields;
}

static bool
map_file(struct view *v, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size < 0)
		return false;
	v->all = (struct str){ "", 0 };
	if (st.st_size == 0)
		return true;
	v->mapped_len = (size_t)st.st_size;
	v->mapped = mmap(NULL, v->mapped_len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (v->mapped == MAP_FAILED) {
		v->mapped = NULL;
		return false;
	}
	v->all = (struct str){ v->mapped, v->mapped_len };
	return true;
}

bool
view_open(struct view *v, const struct filter_message *message, struct arena *arena)
{
	size_t end, body;

	*v = (struct view){ .arena = arena, .all = message->bytes };
	if (v->all.p == NULL)
		v->all = (struct str){ "", 0 };
	if (message->fd >= 0 && !map_file(v, message->fd))
		return false;
	end = header_end(v->all, &body);
	v->header = (struct str){ v->all.p, end };
	v->body = (struct str){ v->all.p + body, v->all.len - body };
	v->fields = view_fields(arena, v->header, &v->field_count);
	return true;
}

void
view_close(struct view *v)
{
	mime_message_free(v->mime);
	v->mime = NULL;
	if (v->mapped != NULL)
		munmap(v->mapped, v->mapped_len);
	v->mapped = NULL;
}

const struct mime_message *
view_mime(struct view *v)
{
	if (v->mime == NULL)
		v->mime = mime_parse(v->all);
	return v->mime;
}
