#include "admin/arf.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "base/buf.h"
#include "store/header.h"
#include "store/mime.h"
#include "store/mime_read.h"

#define VALUES_MAX 50 /* of a field that may stand several times */

/* --- fields -------------------------------------------------------------------------------------- */

/* "rfc822; <ann@example.org>", "dns; mx.example.net": without the type and the brackets. */
static struct str
strip(struct str v)
{
	static const struct str TYPES[] = { { "rfc822;", 7 }, { "dns;", 4 }, { "smtp;", 5 } };

	v = str_trim(v);
	for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
		if (str_has_prefix_nocase(v, TYPES[i]))
			v = str_trim((struct str){ v.p + TYPES[i].len, v.len - TYPES[i].len });
	if (v.len >= 2 && v.p[0] == '<' && v.p[v.len - 1] == '>')
		v = (struct str){ v.p + 1, v.len - 2 };
	return v;
}

/* All fields of that name, decoded, joined; NULL: none, or empty. */
static const char *
take(struct arf_report *r, struct str block, const char *name, bool bare)
{
	struct cursor c = cursor_from(block);
	struct header_field field;
	struct buf all = { 0 }, one = { 0 };
	const char *value = NULL;
	unsigned n = 0;

	while (n < VALUES_MAX && all.len < ARF_VALUE_MAX_BYTES && header_next(&c, &field)) {
		struct str text;

		if (!str_eq_nocase(field.name, str_from(name)))
			continue;
		buf_reset(&one);
		header_decode(&one, field.value);
		text = (struct str){ one.data, one.len };
		text = bare ? strip(text) : str_trim(text);
		if (text.len == 0)
			continue;
		if (n++ > 0)
			buf_adds(&all, ", ");
		buf_add(&all, text.p, text.len);
	}
	if (all.len > ARF_VALUE_MAX_BYTES)
		all.len = ARF_VALUE_MAX_BYTES;
	for (size_t i = 0; i < all.len; i++) /* a decoded word may hold anything */
		if ((unsigned char)all.data[i] < ' ' || all.data[i] == 0x7f)
			all.data[i] = ' ';
	if (all.len > 0)
		value = arena_strndup(&r->arena, all.data, all.len);
	buf_free(&all);
	buf_free(&one);
	return value;
}

/* The first of several fields that is there. */
static const char *
take_any(struct arf_report *r, struct str block, const char *const *names, bool bare)
{
	const char *value = NULL;

	for (size_t i = 0; value == NULL && names[i] != NULL; i++)
		value = take(r, block, names[i], bare);
	return value;
}

/* --- parts --------------------------------------------------------------------------------------- */

static bool
is_type(const struct mime_part *part, const char *type, const char *subtype)
{
	return str_eq_nocase(part->type, str_from(type)) &&
	       str_eq_nocase(part->subtype, str_from(subtype));
}

/* In document order.  Parts lie at most MIME_DEPTH_MAX deep; those within a reported message are not the report's. */
static const struct mime_part *
find_part(const struct mime_part *part, const char *type, const char *subtype)
{
	const struct mime_part *found = NULL;

	if (is_type(part, type, subtype))
		return part;
	if ((part->flags & MIME_PART_MULTIPART) == 0)
		return NULL;
	for (const struct mime_part *p = part->first_child; p != NULL && found == NULL; p = p->next)
		found = find_part(p, type, subtype);
	return found;
}

static void
decode_body(struct buf *out, struct str message, const struct mime_part *part)
{
	struct mime_decoder *d = mime_decoder_open_bytes(message, part, MIME_DECODE_CTE);
	char bytes[4096];
	ssize_t n;

	if (d == NULL)
		return;
	while (
	    out->len < ARF_PART_MAX_BYTES && (n = mime_decoder_read(d, bytes, sizeof(bytes))) > 0)
		buf_add(out, bytes, (size_t)n);
	mime_decoder_close(d);
}

static struct str
span(struct str message, const struct mime_extent *e)
{
	size_t offset = e->offset < message.len ? (size_t)e->offset : message.len;
	size_t left = message.len - offset, size = e->size < left ? (size_t)e->size : left;

	return (struct str){ message.p + offset,
		size < ARF_PART_MAX_BYTES ? size : ARF_PART_MAX_BYTES };
}

static void
take_reported(struct arf_report *r, struct str header)
{
	static const char *const RECIPIENTS[] = { "Envelope-To", "X-Original-To", "Delivered-To",
		"X-Original-Recipient", "To", NULL };

	r->message_id = take(r, header, "Message-ID", true);
	r->from = take(r, header, "From", false);
	r->subject = take(r, header, "Subject", false);
	r->date = take(r, header, "Date", false);
	if (r->recipient == NULL)
		r->recipient = take_any(r, header, RECIPIENTS, true);
}

/* The reported message, or its header as text. */
static void
find_reported(struct arf_report *r, struct str message, const struct mime_part *root)
{
	const struct mime_part *part = find_part(root, "message", "rfc822");
	struct buf text = { 0 };

	if (part == NULL)
		part = find_part(root, "message", "global");
	if (part != NULL && part->first_child != NULL) {
		take_reported(r, span(message, &part->first_child->header));
		return;
	}
	if (part == NULL)
		part = find_part(root, "text", "rfc822-headers");
	if (part == NULL)
		part = find_part(root, "message", "global-headers");
	if (part == NULL)
		return;
	decode_body(&text, message, part);
	take_reported(r, (struct str){ text.data, text.len });
	buf_free(&text);
}

enum arf_result
arf_read(struct str message, struct arf_report *r)
{
	static const char *const ARRIVAL[] = { "Arrival-Date", "Received-Date", NULL };
	const struct mime_part *part;
	struct mime_message *m;
	struct buf fields = { 0 };
	struct str block;
	enum arf_result result = ARF_NONE;

	*r = (struct arf_report){ 0 };
	if (message.len > ARF_MESSAGE_MAX_BYTES)
		message.len = ARF_MESSAGE_MAX_BYTES;
	m = mime_parse(message);
	part = find_part(m->root, "message", "feedback-report");
	if (part == NULL)
		goto out;
	decode_body(&fields, message, part);
	block = (struct str){ fields.data, fields.len };
	r->type = take(r, block, "Feedback-Type", true);
	result = r->type != NULL ? ARF_OK : ARF_BROKEN;
	r->recipient = take(r, block, "Original-Rcpt-To", true);
	r->sender = take(r, block, "Original-Mail-From", true);
	r->source_ip = take(r, block, "Source-IP", true);
	r->reporter = take(r, block, "Reporting-MTA", true);
	r->user_agent = take(r, block, "User-Agent", false);
	r->arrival_date = take_any(r, block, ARRIVAL, false);
	r->incidents = take(r, block, "Incidents", false);
	find_reported(r, message, m->root);
	if (r->reporter == NULL)
		r->reporter = take(r, span(message, &m->root->header), "From", false);
out:
	buf_free(&fields);
	mime_message_free(m);
	return result;
}

void
arf_report_free(struct arf_report *r)
{
	arena_free(&r->arena);
	*r = (struct arf_report){ 0 };
}
