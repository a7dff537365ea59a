/* body, RFC 5173: :raw is the body as it stands, :content the decoded parts of some types, :text (the default)
 * the decoded text parts, with HTML without its markup. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"
#include "store/html_text.h"
#include "store/mime.h"

#define GROUP_TRANSFORM SIEVE_GROUP_OWN
#define DECODE_WORK     8 /* decoding and converting a byte costs as much as reading that many */

static const struct sieve_tag_spec BODY_TAGS[] = {
	{ .name = "raw", .id = SIEVE_TAG_RAW, .group = GROUP_TRANSFORM },
	{ .name = "content",
	    .id = SIEVE_TAG_CONTENT,
	    .value = SIEVE_STRINGS,
	    .group = GROUP_TRANSFORM },
	{ .name = "text", .id = SIEVE_TAG_TEXT, .group = GROUP_TRANSFORM },
	{ 0 },
};

struct body {
	struct sieve_matcher m;
	struct str bytes;
	const struct str *types; /* NULL: text */
	size_t type_count;
};

/* Is the part of a type "text/plain", "text", or any ("")?  RFC 5173 §5.2: of what cannot be a type
 * ("/a", "a/b/c") there are no parts. */
static bool
is_of_type(const struct mime_part *part, struct str type)
{
	const char *slash = type.len > 0 ? memchr(type.p, '/', type.len) : NULL;
	size_t len;

	if (type.len == 0)
		return true;
	if (slash == NULL)
		return str_eq_nocase(type, part->type);
	len = (size_t)(slash - type.p);
	return str_eq_nocase((struct str){ type.p, len }, part->type) &&
	       str_eq_nocase((struct str){ slash + 1, type.len - len - 1 }, part->subtype);
}

static bool
is_wanted(const struct body *b, const struct mime_part *part)
{
	if (b->types == NULL)
		return (part->flags & MIME_PART_TEXT) != 0 &&
		       (part->flags & (MIME_PART_MULTIPART | MIME_PART_MESSAGE)) == 0;
	for (size_t i = 0; i < b->type_count; i++)
		if (is_of_type(part, b->types[i]))
			return true;
	return false;
}

static struct str
span(const struct body *b, uint64_t from, uint64_t to)
{
	return (struct str){ b->bytes.p + from, to > from ? (size_t)(to - from) : 0 };
}

/* Of a multipart the prologue and the epilogue, RFC 5173 §5.2. */
static bool
match_around(struct body *b, const struct mime_part *part)
{
	const struct mime_part *last = part->first_child;
	uint64_t end = part->body.offset + part->body.size;
	struct str prologue = span(b, part->body.offset, end), epilogue = { "", 0 };
	size_t boundary;

	if (last != NULL) {
		prologue = span(b, part->body.offset, last->header.offset);
		while (last->next != NULL)
			last = last->next;
		epilogue = span(b, last->body.offset + last->body.size, end);
		boundary = str_find(epilogue, STR("\n--"));
		if (boundary != SIZE_MAX) { /* the last boundary's line is no text */
			const char *lf;

			epilogue.p += boundary + 1;
			epilogue.len -= boundary + 1;
			lf = memchr(epilogue.p, '\n', epilogue.len);
			epilogue = lf == NULL ? (struct str){ "", 0 }
					      : span(b, (uint64_t)(lf + 1 - b->bytes.p), end);
		}
		for (boundary = prologue.len; boundary-- > 0;) { /* nor is the first one's */
			struct str rest = { prologue.p + boundary, prologue.len - boundary };

			if (str_has_prefix(rest, STR("--")) &&
			    (boundary == 0 || prologue.p[boundary - 1] == '\n')) {
				prologue.len = boundary;
				break;
			}
		}
	}
	return sieve_match_value(&b->m, prologue) || sieve_match_value(&b->m, epilogue);
}

static bool
match_html(struct body *b, struct str html)
{
	struct buf text = { 0 };
	bool done;

	html_text(&text, html);
	done =
	    sieve_match_value(&b->m, (struct str){ text.data != NULL ? text.data : "", text.len });
	buf_free(&text);
	return done;
}

static bool
match_content(struct body *b, const struct mime_part *part)
{
	struct buf content = { 0 };
	struct str text;
	bool done;

	if ((part->flags & MIME_PART_MULTIPART) != 0)
		return match_around(b, part);
	if ((part->flags & MIME_PART_MESSAGE) != 0 && part->first_child != NULL)
		return sieve_match_value(
		    &b->m, span(b, part->first_child->header.offset,
			       part->first_child->header.offset + part->first_child->header.size));
	if (!sieve_run_work(b->m.r, b->m.call->line, DECODE_WORK * (size_t)part->body.size))
		return true;
	text = sieve_part_read(b->bytes, part, &content);
	done = b->types == NULL && str_eq_nocase(part->subtype, STR("html"))
		   ? match_html(b, text)
		   : sieve_match_value(&b->m, text);
	buf_free(&content);
	return done;
}

static bool
match_part(struct body *b, const struct mime_part *part)
{
	if (!sieve_run_step(b->m.r, b->m.call->line, 1))
		return true;
	if (is_wanted(b, part) && match_content(b, part))
		return true;
	for (const struct mime_part *p = part->first_child; p != NULL; p = p->next)
		if (match_part(b, p))
			return true;
	return false;
}

static bool
body_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	const struct sieve_arg *content = sieve_tag(call, SIEVE_TAG_CONTENT);
	struct body b = { .bytes = { NULL, 0 } };
	struct str *types;

	sieve_match_begin(&b.m, r, call);
	if (sieve_tag(call, SIEVE_TAG_RAW) != NULL) {
		if (sieve_body(r).len > 0)
			sieve_match_value(&b.m, sieve_body(r));
		return sieve_match_end(&b.m, truth_out);
	}
	if (content != NULL) {
		types = arena_alloc(r->arena, (content->count + 1) * sizeof(*types));
		for (size_t i = 0; i < content->count; i++)
			types[i] = sieve_expand(r, &content->strings[i]);
		b.types = types;
		b.type_count = content->count;
	}
	b.bytes = sieve_message_bytes(r);
	match_part(&b, sieve_message_mime(r)->root);
	return sieve_match_end(&b.m, truth_out);
}

const struct sieve_spec SIEVE_BODY_SPECS[] = {
	{ .name = "body",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_BODY,
	    .tags = { SIEVE_MATCH_TAGS, BODY_TAGS },
	    .args = { SIEVE_STRINGS },
	    .keys_arg = 1,
	    .no_captures = true,
	    .test = body_test },
	{ 0 },
};
