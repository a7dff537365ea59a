/* A message as a filter sees it: bytes that are there and cannot be changed.
 * The file is mapped, so nothing is read that nobody asks for.  Line ends are LF or CRLF, as they came. */
#ifndef FILTER_VIEW_H
#define FILTER_VIEW_H

#include <stdbool.h>

#include "base/mem.h"
#include "base/text.h"
#include "filter/filter.h"
#include "store/header.h"

#define VIEW_HEADER_MAX_BYTES (1024 * 1024) /* what is behind it is not shown as header */
#define VIEW_FIELDS_MAX       10000

struct mime_message;

struct view {
	struct str all;              /* the message */
	struct str header;           /* the header block without the blank line */
	struct str body;             /* what is behind the blank line */
	struct header_field *fields; /* in order, in the arena */
	size_t field_count;
	/* private */
	struct arena *arena;
	struct mime_message *mime;
	void *mapped;
	size_t mapped_len;
};

/* False: the file cannot be read (FILTER_TEMPFAIL).  view_close() ends it and all that points into the
 * message: copy into the arena what shall stay. */
bool view_open(struct view *v, const struct filter_message *message, struct arena *arena);
void view_close(struct view *v);

/* The header fields of any header block, at most VIEW_FIELDS_MAX. */
struct header_field *view_fields(struct arena *arena, struct str block, size_t *count_out);

/* The structure, parsed when first asked for; extents are offsets into `all`. */
const struct mime_message *view_mime(struct view *v);

#endif
