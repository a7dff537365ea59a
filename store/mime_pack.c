/* The part table as bytes.  Format: version byte, flags byte (1: opaque), part count, then the parts in preorder, each
 *   flags, cte, child count, offset within the parent's body (root: 0), then of header and of body
 *   (which lies directly behind it) size, virtual size less size, lines; type, subtype, charset as length and bytes.
 * Numbers are LEB128. */
#include "store/mime.h"

#define FLAG_OPAQUE    1u
#define PART_FLAGS     (MIME_PART_MULTIPART | MIME_PART_MESSAGE | MIME_PART_TEXT | MIME_PART_NULS)
#define TEXT_MAX_BYTES 255
#define OFFSET_MAX     ((uint64_t)1 << 62)

static void
put(struct buf *out, uint64_t n)
{
	while (n >= 0x80) {
		buf_addc(out, (char)(n | 0x80));
		n >>= 7;
	}
	buf_addc(out, (char)n);
}

static void
put_text(struct buf *out, struct str s)
{
	size_t len = s.len > TEXT_MAX_BYTES ? TEXT_MAX_BYTES : s.len;

	put(out, len);
	buf_add(out, s.p, len);
}

static void
put_extent(struct buf *out, const struct mime_extent *e)
{
	put(out, e->size);
	put(out, e->virtual_size - e->size);
	put(out, e->lines);
}

static void
put_part(struct buf *out, const struct mime_part *part)
{
	uint64_t base = part->parent != NULL ? part->parent->body.offset : 0;

	put(out, part->flags);
	put(out, part->cte);
	put(out, part->child_count);
	put(out, part->header.offset - base);
	put_extent(out, &part->header);
	put_extent(out, &part->body);
	put_text(out, part->type);
	put_text(out, part->subtype);
	put_text(out, part->charset);
	for (const struct mime_part *child = part->first_child; child != NULL; child = child->next)
		put_part(out, child);
}

void
mime_pack(struct buf *out, const struct mime_message *m)
{
	buf_addc(out, MIME_PACK_VERSION);
	buf_addc(out, m->opaque ? FLAG_OPAQUE : 0);
	put(out, m->part_count);
	put_part(out, m->root);
}

static bool
get(struct cursor *c, uint64_t max, uint64_t *n_out)
{
	uint64_t n = 0;

	for (unsigned shift = 0; shift < 63 && c->p < c->end; shift += 7) {
		unsigned char ch = (unsigned char)*c->p++;

		n |= (uint64_t)(ch & 0x7f) << shift;
		if (ch < 0x80) {
			*n_out = n;
			return n <= max;
		}
	}
	return false;
}

static bool
get_text(struct cursor *c, struct arena *arena, struct str *s_out)
{
	uint64_t len;

	if (!get(c, TEXT_MAX_BYTES, &len) || len > cursor_left(c))
		return false;
	*s_out = (struct str){ arena_strndup(arena, c->p, (size_t)len), (size_t)len };
	c->p += len;
	return true;
}

/* An extent of at most `room` bytes: each LF adds at most one to the virtual size. */
static bool
get_extent(struct cursor *c, uint64_t offset, uint64_t room, struct mime_extent *e)
{
	uint64_t more;

	e->offset = offset;
	if (!get(c, room, &e->size) || !get(c, e->size, &more) || !get(c, e->size, &e->lines))
		return false;
	e->virtual_size = e->size + more;
	return more <= e->lines;
}

static struct mime_part *
get_part(struct cursor *c, struct mime_message *m, struct mime_part *parent, uint32_t count,
    size_t depth)
{
	struct mime_part *part, **next;
	uint64_t base = 0, room = OFFSET_MAX, flags, cte, children, offset;

	if (m->part_count >= count || depth >= MIME_DEPTH_MAX)
		return NULL;
	if (parent != NULL) {
		base = parent->body.offset;
		room = parent->body.size;
	}
	part = arena_zalloc(&m->arena, sizeof(*part));
	m->part_count++;
	part->parent = parent;
	if (!get(c, PART_FLAGS, &flags) || !get(c, MIME_CTE_UNKNOWN, &cte) ||
	    !get(c, count, &children) || !get(c, parent != NULL ? room : 0, &offset))
		return NULL;
	part->flags = (unsigned)flags;
	part->cte = (enum mime_cte)cte;
	part->child_count = (uint32_t)children;
	room -= offset;
	if (!get_extent(c, base + offset, room, &part->header) ||
	    !get_extent(
		c, base + offset + part->header.size, room - part->header.size, &part->body) ||
	    !get_text(c, &m->arena, &part->type) || !get_text(c, &m->arena, &part->subtype) ||
	    !get_text(c, &m->arena, &part->charset))
		return NULL;
	if ((part->flags & MIME_PART_MESSAGE) != 0
		? part->child_count != 1
		: part->child_count > 0 && (part->flags & MIME_PART_MULTIPART) == 0)
		return NULL;
	next = &part->first_child;
	for (uint32_t i = 0; i < part->child_count; i++) {
		*next = get_part(c, m, part, count, depth + 1);
		if (*next == NULL)
			return NULL;
		next = &(*next)->next;
	}
	return part;
}

struct mime_message *
mime_unpack(struct str blob)
{
	struct cursor c = cursor_from(blob);
	struct mime_message *m;
	uint64_t count;
	char version, flags;

	if (cursor_left(&c) < 3)
		return NULL;
	version = *c.p++;
	flags = *c.p++;
	if (version != MIME_PACK_VERSION || !get(&c, MIME_PARTS_MAX, &count))
		return NULL;
	m = mem_zalloc(sizeof(*m));
	m->opaque = ((unsigned char)flags & FLAG_OPAQUE) != 0;
	m->root = get_part(&c, m, NULL, (uint32_t)count, 0);
	if (m->root != NULL && m->part_count == count && cursor_at_end(&c))
		return m;
	mime_message_free(m);
	return NULL;
}
