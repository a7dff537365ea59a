/* The message as the script has it at the moment: fields that may have been changed, a body that may have
 * been replaced, and what both mean. */
#include <stdlib.h>

#include "filter/sieve/run_internal.h"
#include "filter/sieve/sieve.h"
#include "store/address.h"
#include "store/compose.h"
#include "store/mime.h"
#include "store/mime_read.h"

#define DECODE_WORK 8  /* decoding a byte costs as much as reading that many */
#define FIELD_WORK  32 /* looking at a field's name costs as much as reading that many bytes */

/* A parsed structure of the message, and what was read of its parts.  They are kept until the run ends,
 * for a loop may still be in one that was made before a change. */
struct sieve_mime {
	struct mime_message *message;
	struct str bytes;
	struct sieve_mime *next;
	struct sieve_fields *headers;   /* of all parts, depth first; NULL: nobody has asked */
	const struct mime_part **parts; /* whose they are */
};

static struct sieve_field *
field_new(struct sieve_run *r, const struct header_field *from)
{
	struct sieve_field *f = arena_zalloc(r->arena, sizeof(*f));

	f->name = from->name;
	f->value = from->value;
	f->raw = from->raw;
	return f;
}

static void
field_append(struct sieve_fields *fields, struct sieve_field *f)
{
	f->prev = fields->last;
	if (fields->last != NULL)
		fields->last->next = f;
	else
		fields->first = f;
	fields->last = f;
	fields->count++;
}

struct sieve_fields
sieve_fields_of(struct sieve_run *r, struct str header_block)
{
	struct sieve_fields fields = { 0 };
	size_t count;
	const struct header_field *list = view_fields(r->arena, header_block, &count);

	for (size_t i = 0; i < count; i++)
		field_append(&fields, field_new(r, &list[i]));
	return fields;
}

bool
sieve_message_open(struct sieve_run *r)
{
	struct sieve_field *fields;
	size_t used = r->arena->used_bytes;

	if (!view_open(&r->view, r->message, r->arena))
		return false;
	fields = arena_zalloc(r->arena, (r->view.field_count + 1) * sizeof(*fields));
	for (size_t i = 0; i < r->view.field_count; i++) {
		fields[i].name = r->view.fields[i].name;
		fields[i].value = r->view.fields[i].value;
		fields[i].raw = r->view.fields[i].raw;
		field_append(&r->header, &fields[i]);
	}
	/* a message with many fields is not the script's fault */
	r->private->memory_at_start += r->arena->used_bytes - used;
	r->private->body = r->view.body;
	r->private->bytes = r->view.all;
	return true;
}

void
sieve_message_close(struct sieve_run *r)
{
	struct sieve_mime *next;

	for (struct sieve_mime *m = r->private->mimes; m != NULL; m = next) {
		next = m->next;
		mime_message_free(m->message);
	}
	view_close(&r->view);
}

struct sieve_field *
sieve_field_next(
    const struct sieve_fields *fields, const struct sieve_field *after, struct str name)
{
	struct sieve_field *f = after == NULL ? fields->first : after->next;

	while (f != NULL && !(f->name.len == name.len && str_eq_nocase(f->name, name)))
		f = f->next;
	return f;
}

/* A fold by a tab counts as one by a blank, as people see it: scripts are written that way. */
static struct str
folds_to_blanks(struct str value, struct buf *copy)
{
	const char *end = value.p + value.len;

	if (str_find(value, STR("\n\t")) == SIZE_MAX)
		return value;
	for (const char *p = value.p; p < end; p++)
		buf_addc(copy, *p == '\t' && p > value.p && p[-1] == '\n' ? ' ' : *p);
	return (struct str){ copy->data, copy->len };
}

struct str
sieve_field_text(struct sieve_run *r, struct sieve_field *field)
{
	struct buf b = { 0 }, copy = { 0 };

	if (field->text.p != NULL)
		return field->text;
	header_decode(&b, folds_to_blanks(field->value, &copy));
	field->text = str_trim((struct str){ b.data != NULL ? b.data : "", b.len });
	field->text.p = arena_strndup(r->arena, field->text.p, field->text.len);
	buf_free(&b);
	buf_free(&copy);
	return field->text;
}

struct address *
sieve_field_addresses(struct sieve_run *r, struct sieve_field *field)
{
	if (!field->addresses_known) {
		field->addresses = address_parse(r->arena, field->value);
		field->addresses_known = true;
	}
	return field->addresses;
}

/* --- changes --- */

static void
header_touched(struct sieve_run *r)
{
	r->private->header_changed = true;
	r->private->edit_stale = r->private->bytes_stale = true;
}

bool
sieve_field_add(struct sieve_run *r, unsigned line, struct str name, struct str value, bool last)
{
	struct sieve_field *f = arena_zalloc(r->arena, sizeof(*f));
	struct buf b = { 0 };

	if (!sieve_is_field_name(name))
		return sieve_run_error(r, line, "'%.*s' is no name of a header field",
		    name.len > 60 ? 60 : (int)name.len, name.p);
	compose_text_field(&b, sieve_cstr(r, name), value, "\n");
	f->raw = (struct str){ arena_strndup(r->arena, b.data, b.len), b.len };
	buf_free(&b);
	f->name = (struct str){ f->raw.p, name.len };
	f->value = (struct str){ f->raw.p + name.len + 1, f->raw.len - name.len - 1 };
	if (f->value.len > 0 && f->value.p[f->value.len - 1] == '\n')
		f->value.len--;
	header_touched(r);
	if (last || r->header.first == NULL) {
		field_append(&r->header, f);
		return true;
	}
	f->next = r->header.first;
	f->next->prev = f;
	r->header.first = f;
	r->header.count++;
	return true;
}

void
sieve_field_remove(struct sieve_run *r, struct sieve_field *field)
{
	if (field->prev != NULL)
		field->prev->next = field->next;
	else
		r->header.first = field->next;
	if (field->next != NULL)
		field->next->prev = field->prev;
	else
		r->header.last = field->prev;
	header_touched(r);
}

void
sieve_body_set(struct sieve_run *r, struct str body)
{
	r->private->body = body;
	r->private->body_changed = true;
	r->private->edit_stale = r->private->bytes_stale = true;
}

struct str
sieve_body(struct sieve_run *r)
{
	return r->private->body;
}

/* All fields with LF line ends; the last one gets one if it has none. */
static struct str
header_text(struct sieve_run *r)
{
	size_t len = 0;
	char *text, *to;

	for (const struct sieve_field *f = r->header.first; f != NULL; f = f->next)
		len += f->raw.len + 1;
	to = text = arena_alloc(&r->private->contents, len + 1);
	for (const struct sieve_field *f = r->header.first; f != NULL; f = f->next) {
		for (size_t i = 0; i < f->raw.len; i++)
			if (f->raw.p[i] != '\r' || i + 1 == f->raw.len || f->raw.p[i + 1] != '\n')
				*to++ = f->raw.p[i];
		if (f->raw.len > 0 && to[-1] != '\n')
			*to++ = '\n';
	}
	*to = '\0';
	return (struct str){ text, (size_t)(to - text) };
}

/* In the arena that outlives the run; a large message is not the script's fault. */
static struct str
keep_text(struct sieve_run *r, struct str text)
{
	size_t used = r->arena->used_bytes;
	struct str kept = { arena_strndup(r->arena, text.p != NULL ? text.p : "", text.len),
		text.len };

	r->private->memory_at_start += r->arena->used_bytes - used;
	r->private->kept_bytes += text.len;
	return kept;
}

const struct filter_edit *
sieve_message_edit(struct sieve_run *r)
{
	struct sieve_private *p = r->private;
	struct filter_edit *edit;

	if (!p->edit_stale)
		return p->edit;
	edit = arena_zalloc(r->arena, sizeof(*edit));
	edit->header = sieve_copy(r, header_text(r));
	if (p->body_changed)
		edit->body = keep_text(r, p->body);
	p->edit = edit;
	p->edit_stale = false;
	return edit;
}

struct str
sieve_message_bytes(struct sieve_run *r)
{
	struct sieve_private *p = r->private;
	struct str header;
	char *all;

	if (!p->bytes_stale)
		return p->bytes;
	header = header_text(r);
	all = arena_alloc(&p->contents, header.len + 1 + p->body.len + 1);
	if (header.len > 0)
		memcpy(all, header.p, header.len);
	all[header.len] = '\n';
	if (p->body.len > 0)
		memcpy(all + header.len + 1, p->body.p, p->body.len);
	all[header.len + 1 + p->body.len] = '\0';
	p->bytes = (struct str){ all, header.len + 1 + p->body.len };
	p->bytes_stale = false;
	return p->bytes;
}

/* --- structure --- */

const struct mime_message *
sieve_message_mime(struct sieve_run *r)
{
	return sieve_mime_of(r, sieve_message_bytes(r));
}

static struct sieve_mime *
mime_of(struct sieve_run *r, struct str bytes)
{
	struct sieve_mime *m = r->private->mimes;

	while (m != NULL && (m->bytes.p != bytes.p || m->bytes.len != bytes.len))
		m = m->next;
	if (m != NULL)
		return m;
	m = arena_alloc(r->arena, sizeof(*m));
	*m = (struct sieve_mime){
		.message = mime_parse(bytes), .bytes = bytes, .next = r->private->mimes
	};
	r->private->mimes = m;
	sieve_run_work(r, 0, bytes.len);
	return m;
}

const struct mime_message *
sieve_mime_of(struct sieve_run *r, struct str bytes)
{
	return mime_of(r, bytes)->message;
}

struct str
sieve_part_read(struct str bytes, const struct mime_part *part, struct buf *out)
{
	struct mime_decoder *d = mime_decoder_open_bytes(bytes, part, MIME_DECODE_UTF8);
	char chunk[8192];
	ssize_t n;

	if (d == NULL) /* an unknown encoding: as it stands */
		return (struct str){ bytes.p + part->body.offset, (size_t)part->body.size };
	while ((n = mime_decoder_read(d, chunk, sizeof(chunk))) > 0)
		buf_add(out, chunk, (size_t)n);
	mime_decoder_close(d);
	return (struct str){ out->data != NULL ? out->data : "", out->len };
}

struct str
sieve_part_content(struct sieve_run *r, struct str bytes, const struct mime_part *part)
{
	struct buf b = { 0 };
	struct str content = sieve_part_read(bytes, part, &b);

	sieve_run_work(r, 0, DECODE_WORK * (size_t)part->body.size);
	if (b.data != NULL)
		content.p = arena_strndup(&r->private->contents, content.p, content.len);
	buf_free(&b);
	return content;
}

/* --- which fields a test looks at --- */

static void
add_headers(struct sieve_run *r, struct sieve_mime *m, const struct mime_part *part, size_t *count)
{
	m->parts[*count] = part;
	m->headers[(*count)++] = sieve_fields_of(
	    r, (struct str){ m->bytes.p + part->header.offset, (size_t)part->header.size });
	for (const struct mime_part *p = part->first_child; p != NULL; p = p->next)
		add_headers(r, m, p, count);
}

/* Once for a structure; many parts are not the script's fault. */
static void
read_headers(struct sieve_run *r, struct sieve_mime *m)
{
	size_t used = r->arena->used_bytes, count = 0;

	m->headers = arena_alloc(r->arena, (m->message->part_count + 1) * sizeof(*m->headers));
	m->parts = arena_alloc(r->arena, (m->message->part_count + 1) * sizeof(*m->parts));
	add_headers(r, m, m->message->root, &count);
	if (m->bytes.p == r->view.all.p) /* of the message as it came */
		r->private->memory_at_start += r->arena->used_bytes - used;
}

static size_t
parts_below(const struct mime_part *part)
{
	size_t count = 1;

	for (const struct mime_part *p = part->first_child; p != NULL; p = p->next)
		count += parts_below(p);
	return count;
}

const struct sieve_fields *
sieve_mime_headers(struct sieve_run *r, bool anychild, size_t *count_out)
{
	const struct mime_part *part;
	struct sieve_mime *m;
	size_t at = 0;

	*count_out = 1;
	if (r->part == NULL && !anychild)
		return &r->header;
	m = mime_of(r, r->part != NULL ? r->part->bytes : sieve_message_bytes(r));
	part = r->part != NULL ? r->part->mime : m->message->root;
	if (m->headers == NULL)
		read_headers(r, m);
	while (at < m->message->part_count && m->parts[at] != part)
		at++;
	if (at == m->message->part_count)
		*count_out = 0;
	else if (anychild)
		*count_out = parts_below(part);
	sieve_run_work(r, 0, sizeof(*m->parts) * (at + *count_out));
	return &m->headers[at];
}

void
sieve_walk_begin(
    struct sieve_walk *w, struct sieve_run *r, const struct sieve_call *call, struct str name)
{
	*w = (struct sieve_walk){
		.r = r, .call = call, .name = name, .headers = &r->header, .header_count = 1
	};
	if (!sieve_run_step(r, call->line, 1)) /* a name is a string of the list */
		w->header_count = 0;
	else if (sieve_tag(call, SIEVE_TAG_MIME) != NULL)
		w->headers = sieve_mime_headers(
		    r, sieve_tag(call, SIEVE_TAG_ANYCHILD) != NULL, &w->header_count);
}

/* The only field of a header that :index and :last leave, RFC 5260 §6; NULL: there is none. */
static struct sieve_field *
field_at_index(const struct sieve_walk *w, const struct sieve_fields *fields, uint64_t index)
{
	bool last = sieve_tag(w->call, SIEVE_TAG_LAST) != NULL;
	struct sieve_field *f = last ? fields->last : fields->first;

	for (; f != NULL; f = last ? f->prev : f->next)
		if (str_eq_nocase(f->name, w->name) && --index == 0)
			return f;
	return NULL;
}

struct sieve_field *
sieve_walk_next(struct sieve_walk *w)
{
	const struct sieve_arg *index =
	    w->call->tag_count > 0 ? sieve_tag(w->call, SIEVE_TAG_INDEX) : NULL;

	for (; w->header_at < w->header_count; w->header_at++, w->at = NULL) {
		const struct sieve_fields *fields = &w->headers[w->header_at];

		if (index != NULL) {
			if (w->at != NULL)
				continue;
			w->at = field_at_index(w, fields, index->number);
		} else {
			w->at = sieve_field_next(fields, w->at, w->name);
		}
		if (w->at != NULL)
			return w->at;
		if (!sieve_run_work(w->r, w->call->line, FIELD_WORK * (1 + fields->count)))
			w->header_at = w->header_count - 1;
	}
	return NULL;
}
