#include "filter/sieve/edit_part.h"

#include "filter/sieve/check.h"
#include "filter/sieve/run_internal.h"
#include "store/address.h"
#include "store/mime.h"
#include "store/mime_read.h"

/* --- entities --------------------------------------------------------------------------------- */

/* Script texts have CRLF, messages LF. */
static struct str
with_lf(struct arena *a, struct str text)
{
	char *copy = arena_alloc(a, text.len + 1), *to = copy;

	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] != '\r' || i + 1 == text.len || text.p[i + 1] != '\n')
			*to++ = text.p[i];
	*to = '\0';
	return (struct str){ copy, (size_t)(to - copy) };
}

static bool
is_field_line(struct str line, bool first)
{
	const char *colon = memchr(line.p, ':', line.len);

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return !first;
	return colon != NULL &&
	       sieve_is_field_name((struct str){ line.p, (size_t)(colon - line.p) });
}

bool
sieve_entity_parse(struct arena *a, struct str text, struct sieve_entity *entity_out)
{
	struct str all = with_lf(a, text), line;
	struct cursor c = cursor_from(all);
	bool first = true;

	for (;; first = false) {
		size_t at = (size_t)(c.p - all.p);

		if (!cursor_take_line(&c, &line))
			return false; /* no blank line */
		if (line.len == 0) {
			entity_out->header = (struct str){ all.p, at };
			entity_out->body = (struct str){ c.p, cursor_left(&c) };
			return true;
		}
		if (!is_field_line(line, first))
			return false;
	}
}

void
sieve_entity_text(struct arena *a, struct str text, struct sieve_entity *entity_out)
{
	entity_out->body = with_lf(a, text);
	entity_out->header = STR("Content-Type: text/plain; charset=utf-8\n"
				 "Content-Transfer-Encoding: 8bit\n");
}

bool
sieve_is_mailbox_list(struct arena *scratch, struct str text)
{
	const struct address *list;

	if (memchr(text.p, '\r', text.len) != NULL || memchr(text.p, '\n', text.len) != NULL)
		return false;
	list = address_parse(scratch, text);
	for (const struct address *m = list; m != NULL; m = m->next)
		if (m->broken || m->domain.p == NULL)
			return false;
	return list != NULL;
}

struct str
sieve_boundary(struct arena *a, struct str one, struct str other)
{
	for (unsigned n = 0;; n++) {
		struct str b = str_from(arena_printf(a, "=_enclosed_%u", n));

		if (str_find(one, b) == SIZE_MAX && str_find(other, b) == SIZE_MAX)
			return b;
	}
}

/* Where large texts are: bounded by the message's size, not by the script's memory. */
static struct str
content_of(struct sieve_run *r, struct buf *b)
{
	struct str text = { arena_strndup(&r->private->contents, b->len > 0 ? b->data : "", b->len),
		b->len };

	buf_free(b);
	return text;
}

struct str
sieve_enclosing_body(
    struct sieve_run *r, struct str boundary, const struct sieve_entity *text, struct str message)
{
	struct buf b = { 0 };

	buf_printf(&b, "--%.*s\n%.*s\n", (int)boundary.len, boundary.p, (int)text->header.len,
	    text->header.p);
	buf_add(&b, text->body.p, text->body.len);
	buf_printf(&b,
	    "\n--%.*s\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\n",
	    (int)boundary.len, boundary.p);
	buf_add(&b, message.p, message.len);
	buf_printf(&b, "\n--%.*s--\n", (int)boundary.len, boundary.p);
	return content_of(r, &b);
}

struct unenclosed {
	const struct filter_edit *edit; /* NULL: the message as it came */
};

void
sieve_edit_enclosing(struct sieve_run *r)
{
	struct unenclosed *before;

	if (r->slots[SIEVE_CAP_ENCLOSE] != NULL)
		return;
	before = arena_alloc(r->arena, sizeof(*before));
	before->edit = sieve_message_edit(r);
	r->slots[SIEVE_CAP_ENCLOSE] = before;
}

const struct filter_edit *
sieve_edit_unenclosed(struct sieve_run *r)
{
	const struct unenclosed *before = r->slots[SIEVE_CAP_ENCLOSE];

	return before != NULL ? before->edit : sieve_message_edit(r);
}

/* --- parts ------------------------------------------------------------------------------------ */

/* A part that has become another text. */
struct replaced {
	struct replaced *next; /* further on in the document */
	struct mime_extent extent;
	struct str text;
};

/* A text in which parts are replaced: the message, or what a part has been replaced with and is
 * changed within. */
struct document {
	struct document *next;
	struct str bytes;
	struct replaced *parts; /* in their order, none within another */
	struct document *outer; /* where it stands for the part `at`; NULL: it is the message */
	const struct mime_part *at;
};

static struct document *
document_of(struct sieve_run *r, const struct sieve_part *part)
{
	struct document *d = r->slots[SIEVE_CAP_REPLACE];

	while (d != NULL && d->bytes.p != part->within.p)
		d = d->next;
	if (d != NULL)
		return d;
	d = arena_zalloc(r->arena, sizeof(*d));
	d->bytes = part->within;
	for (const struct sieve_part *o = part->outer; o != NULL; o = o->outer)
		if (o->bytes.p == d->bytes.p && o->within.p != d->bytes.p) {
			d->outer = document_of(r, o);
			d->at = o->at;
			break;
		}
	d->next = r->slots[SIEVE_CAP_REPLACE];
	r->slots[SIEVE_CAP_REPLACE] = d;
	return d;
}

static void
put(struct sieve_run *r, struct document *d, const struct mime_part *at, struct str text)
{
	struct mime_extent extent = mime_part_extent(at);
	struct replaced **link = &d->parts, *made;

	while (*link != NULL && (*link)->extent.offset < extent.offset)
		link = &(*link)->next;
	made = arena_zalloc(r->arena, sizeof(*made));
	made->extent = extent;
	made->text = text;
	made->next = *link;
	while (made->next != NULL && made->next->extent.offset < extent.offset + extent.size)
		made->next = made->next->next;
	*link = made;
}

static struct str
spliced(struct sieve_run *r, const struct document *d)
{
	struct buf b = { 0 };
	uint64_t at = 0;
	struct str text;

	for (const struct replaced *p = d->parts; p != NULL; p = p->next) {
		buf_add(&b, d->bytes.p + at, p->extent.offset - at);
		buf_add(&b, p->text.p, p->text.len);
		at = p->extent.offset + p->extent.size;
	}
	buf_add(&b, d->bytes.p + at, d->bytes.len - at);
	text = content_of(r, &b);
	return text;
}

/* Does it stand for all of the message? */
static bool
is_whole(const struct document *d)
{
	return d->outer == NULL || (d->at->parent == NULL && is_whole(d->outer));
}

bool
sieve_part_is_message(const struct sieve_part *part)
{
	return part->at->parent == NULL && part->outer == NULL;
}

bool
sieve_part_set(struct sieve_run *r, unsigned line, const struct sieve_entity *entity)
{
	struct document *d = document_of(r, r->part);
	struct buf b = { 0 };
	struct str text;

	buf_add(&b, entity->header.p, entity->header.len);
	buf_addc(&b, '\n');
	buf_add(&b, entity->body.p, entity->body.len);
	text = content_of(r, &b);
	if (!sieve_run_step(r, line, 1 + (unsigned)(d->bytes.len / 1024)))
		return false;
	if (!sieve_part_is_message(r->part)) {
		put(r, d, r->part->at, text);
		for (; !is_whole(d); d = d->outer)
			put(r, d->outer, d->at, spliced(r, d));
		struct str whole = spliced(r, d);
		size_t body = (size_t)sieve_mime_of(r, d->bytes)->root->body.offset;

		sieve_body_set(r, (struct str){ whole.p + body, whole.len - body });
	}
	r->part->bytes = text;
	r->part->mime = sieve_mime_of(r, text)->root;
	return true;
}
