/* The push parser.  It sees lines: bytes of a chunk when the line lies within one, else collected in
 * `line` (in a body only lines that may be boundaries, and no more of them than a boundary needs).
 * All extents are differences of three running counts: bytes, bare LFs, LFs. */
#include "store/mime.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/header.h"
#include "store/mime_params.h"

#define FEED_BYTES        65536 /* pread size of mime_parse_fd() */
#define BOUNDARY_LINE_MAX 1024  /* bytes of a line that are compared with boundaries */
#define FRAMES_MAX        (MIME_DEPTH_MAX + 1)

struct counts {
	uint64_t bytes, bare_lfs, lines;
};

struct frame { /* a part that is open */
	struct mime_part *part;
	struct str boundary; /* p NULL: none, or its end was seen */
	struct counts header_start, body_start;
	struct mime_part **next_child;
};

struct mime_parser {
	struct mime_message *m;
	size_t depth;
	size_t boundaries; /* frames with one */
	bool in_header;
	struct counts at;        /* at the start of the current line */
	struct counts before_lf; /* before the line end that precedes it */
	struct buf line;         /* what is kept of a line that began in an earlier chunk */
	uint64_t line_bytes;     /* of it that have gone by; 0: at a line start */
	bool line_keep, last_was_cr;
	struct buf header; /* the current part's header block */
	struct buf scratch;
	struct buf
	    lists[MIME_ENVELOPE_FIELDS]; /* of this header: what several fields make together */
	struct frame frames[FRAMES_MAX]; /* set as they are opened */
};

static void
begin_part(struct mime_parser *p)
{
	struct frame *parent = p->depth > 0 ? &p->frames[p->depth - 1] : NULL;
	struct frame *f = &p->frames[p->depth++];
	struct mime_part *part = arena_zalloc(&p->m->arena, sizeof(*part));

	*f =
	    (struct frame){ .part = part, .header_start = p->at, .next_child = &part->first_child };
	if (parent != NULL) {
		part->parent = parent->part;
		parent->part->child_count++;
		*parent->next_child = part;
		parent->next_child = &part->next;
	} else {
		p->m->root = part;
	}
	part->info = arena_zalloc(&p->m->arena, sizeof(*part->info));
	if (parent == NULL || (parent->part->flags & MIME_PART_MESSAGE) != 0)
		part->fields = arena_zalloc(&p->m->arena, sizeof(*part->fields));
	p->m->part_count++;
	p->in_header = true;
	buf_reset(&p->header);
}

static bool
may_begin_part(struct mime_parser *p)
{
	if (p->depth < MIME_DEPTH_MAX && p->m->part_count < MIME_PARTS_MAX)
		return true;
	p->m->opaque = true;
	return false;
}

struct mime_parser *
mime_parser_new(void)
{
	struct mime_parser *p = mem_alloc(sizeof(*p));

	memset(p, 0, offsetof(struct mime_parser, frames));
	p->m = mem_zalloc(sizeof(*p->m));
	begin_part(p);
	return p;
}

void
mime_parser_free(struct mime_parser *p)
{
	if (p == NULL)
		return;
	mime_message_free(p->m);
	buf_free(&p->line);
	buf_free(&p->header);
	buf_free(&p->scratch);
	for (size_t i = 0; i < MIME_ENVELOPE_FIELDS; i++)
		buf_free(&p->lists[i]);
	free(p);
}

void
mime_message_free(struct mime_message *m)
{
	if (m == NULL)
		return;
	arena_free(&m->arena);
	free(m);
}

/* --- header fields --- */

/* The scratch text with U+FFFD for each NUL. */
static struct str
without_nuls(struct mime_parser *p)
{
	struct buf b = { 0 };
	struct str kept;

	for (size_t i = 0; i < p->scratch.len; i++)
		if (p->scratch.data[i] == '\0')
			buf_adds(&b, "\xEF\xBF\xBD");
		else
			buf_addc(&b, p->scratch.data[i]);
	kept = (struct str){ arena_strndup(&p->m->arena, b.data, b.len), b.len };
	buf_free(&b);
	return kept;
}

static struct str
unfolded(struct mime_parser *p, struct str value)
{
	buf_reset(&p->scratch);
	header_unfold(&p->scratch, value);
	if (p->scratch.len == 0)
		return STR("");
	for (char *cr = p->scratch.data, *end = cr + p->scratch.len;
	     (cr = memchr(cr, '\r', (size_t)(end - cr))) != NULL;)
		*cr = ' '; /* that is no line end is a blank */
	if (memchr(p->scratch.data, '\0', p->scratch.len) != NULL)
		return without_nuls(p);
	return (struct str){ arena_strndup(&p->m->arena, p->scratch.data, p->scratch.len),
		p->scratch.len };
}

static const struct {
	struct str name;
	bool many; /* several are one list */
} ENVELOPE_FIELDS[MIME_ENVELOPE_FIELDS] = {
	[MIME_DATE] = { STR("Date"), false },
	[MIME_SUBJECT] = { STR("Subject"), false },
	[MIME_FROM] = { STR("From"), true },
	[MIME_SENDER] = { STR("Sender"), true },
	[MIME_REPLY_TO] = { STR("Reply-To"), true },
	[MIME_TO] = { STR("To"), true },
	[MIME_CC] = { STR("Cc"), true },
	[MIME_BCC] = { STR("Bcc"), true },
	[MIME_IN_REPLY_TO] = { STR("In-Reply-To"), false },
	[MIME_MESSAGE_ID] = { STR("Message-ID"), false },
};

/* Several fields of addresses are one list, each ended by a NUL.  A header may have a hundred thousand. */
static void
add_to_list(struct mime_parser *p, size_t i, struct str *field, struct str value)
{
	struct str now = unfolded(p, value);

	if (now.len > 0 && p->lists[i].len > 0)
		buf_addc(&p->lists[i], '\0');
	buf_add(&p->lists[i], now.p, now.len);
	if (field->p == NULL)
		*field = STR("");
}

static void
keep_lists(struct mime_parser *p, struct mime_fields *fields)
{
	for (size_t i = 0; i < MIME_ENVELOPE_FIELDS; i++) {
		const struct buf *list = &p->lists[i];

		if (list->len > 0)
			fields->field[i] =
			    (struct str){ arena_strndup(&p->m->arena, list->data, list->len),
				    list->len };
		buf_reset(&p->lists[i]);
	}
}

static void
envelope_field(struct mime_parser *p, struct mime_fields *fields, const struct header_field *h)
{
	for (size_t i = 0; i < MIME_ENVELOPE_FIELDS; i++) {
		if (!str_eq_nocase(h->name, ENVELOPE_FIELDS[i].name))
			continue;
		if (ENVELOPE_FIELDS[i].many)
			add_to_list(p, i, &fields->field[i], h->value);
		else
			fields->field[i] = unfolded(p, h->value);
		return;
	}
	if (str_eq_nocase(h->name, STR("References")))
		fields->references = unfolded(p, h->value);
}

static void
keep_first(struct mime_parser *p, struct str *field, struct str value)
{
	if (field->p == NULL)
		*field = unfolded(p, value);
}

static void
content_field(struct mime_parser *p, struct mime_part *part, const struct header_field *h)
{
	struct mime_info *info = part->info;
	struct arena *arena = &p->m->arena;
	struct str name = { h->name.p + 8, h->name.len - 8 };

	if (str_eq_nocase(name, STR("Type"))) {
		if (part->type.p == NULL && !mime_parse_type(arena, h->value, part, info))
			part->type = part->subtype = STR(""); /* settled in set_type() */
	} else if (str_eq_nocase(name, STR("Transfer-Encoding"))) {
		if (info->encoding.p == NULL)
			info->encoding = mime_parse_encoding(arena, h->value);
	} else if (str_eq_nocase(name, STR("Disposition"))) {
		if (info->disposition_param_count ==
		    0) /* the last; the first with parameters ends that */
			mime_parse_disposition(arena, h->value, info);
	} else if (str_eq_nocase(name, STR("Language"))) {
		if (info->language_count == 0)
			mime_parse_languages(arena, h->value, info);
	} else if (str_eq_nocase(name, STR("ID"))) {
		keep_first(p, &info->id, h->value);
	} else if (str_eq_nocase(name, STR("Description"))) {
		keep_first(p, &info->description, h->value);
	} else if (str_eq_nocase(name, STR("MD5"))) {
		keep_first(p, &info->md5, h->value);
	} else if (str_eq_nocase(name, STR("Location"))) {
		keep_first(p, &info->location, h->value);
	}
}

/* The default types of RFC 2045 §5.2 and RFC 2046 §5.1.5; §5.2 also for what cannot be read. */
static void
set_type(struct mime_part *part)
{
	bool digest = part->parent != NULL && (part->parent->flags & MIME_PART_MULTIPART) != 0 &&
		      str_eq_nocase(part->parent->subtype, STR("digest"));

	if (part->type.p == NULL || part->type.len == 0) {
		digest = digest && part->type.p == NULL;
		part->type = digest ? STR("message") : STR("text");
		part->subtype = digest ? STR("rfc822") : STR("plain");
	}
	if (str_eq_nocase(part->type, STR("text")))
		part->flags |= MIME_PART_TEXT;
	else if (str_eq_nocase(part->type, STR("multipart")))
		part->flags |= MIME_PART_MULTIPART;
	else if (str_eq_nocase(part->type, STR("message")) &&
		 (str_eq_nocase(part->subtype, STR("rfc822")) ||
		     str_eq_nocase(part->subtype, STR("global"))))
		part->flags |= MIME_PART_MESSAGE;
	if ((part->flags & MIME_PART_TEXT) != 0) {
		part->charset = mime_param(part->info->params, part->info->param_count, "charset");
		if (part->charset.p == NULL)
			part->charset = STR("");
	}
	if ((part->flags & MIME_PART_MULTIPART) == 0)
		part->cte = mime_cte_from_name(part->info->encoding);
	/* A message in a transfer encoding (RFC 2046 §5.2.1 forbids it) is still looked into as it stands. */
}

static void
parse_header(struct mime_parser *p, struct mime_part *part)
{
	struct cursor c = { p->header.data, p->header.data };
	struct header_field h;

	if (p->header.len > 0)
		c.end = p->header.data + p->header.len;
	while (header_next(&c, &h)) {
		if (!header_has_colon(&h))
			continue;
		if (h.name.len > 8 && str_has_prefix_nocase(h.name, STR("Content-")))
			content_field(p, part, &h);
		else if (part->fields != NULL)
			envelope_field(p, part->fields, &h);
	}
	if (part->fields != NULL)
		keep_lists(p, part->fields);
	set_type(part);
}

/* --- the tree --- */

static struct mime_extent
between(struct counts a, struct counts b)
{
	uint64_t size = b.bytes - a.bytes;

	return (
	    struct mime_extent){ a.bytes, size, size + b.bare_lfs - a.bare_lfs, b.lines - a.lines };
}

static struct str
boundary_of(struct mime_part *part)
{
	struct str b = mime_param(part->info->params, part->info->param_count, "boundary");

	if (b.len > BOUNDARY_LINE_MAX - 8)
		b.len = BOUNDARY_LINE_MAX - 8;
	while (b.len > 0 && (b.p[b.len - 1] == ' ' || b.p[b.len - 1] == '\t'))
		b.len--; /* RFC 2046 §5.1.1: does not end with a blank; gateways strip them */
	return b;
}

/* The header ended before p->at: what kind of body follows? */
static void
end_header(struct mime_parser *p)
{
	struct frame *f = &p->frames[p->depth - 1];
	struct mime_part *part = f->part;

	parse_header(p, part);
	part->header = between(f->header_start, p->at);
	f->body_start = p->at;
	p->in_header = false;
	if ((part->flags & MIME_PART_MULTIPART) != 0 && may_begin_part(p)) {
		f->boundary = boundary_of(part);
		if (f->boundary.p != NULL)
			p->boundaries++;
	} else if ((part->flags & MIME_PART_MESSAGE) != 0) {
		if (may_begin_part(p)) {
			begin_part(p);
		} else { /* clients expect an envelope of message/rfc822 */
			part->flags &= ~MIME_PART_MESSAGE;
			part->type = STR("application");
			part->subtype = STR("octet-stream");
		}
	}
}

/* Closes the parts above `depth`; their bodies end before the line end in front of the boundary. */
static void
close_to(struct mime_parser *p, size_t depth, struct counts end)
{
	struct counts innermost;

	while (p->in_header)
		end_header(p); /* may open the message within */
	innermost = p->frames[p->depth - 1].body_start;
	if (innermost.bytes > end.bytes)
		end = innermost; /* the line end belongs to the header */
	while (p->depth > depth) {
		struct frame *f = &p->frames[--p->depth];

		f->part->body = between(f->body_start, end);
		if (f->boundary.p != NULL)
			p->boundaries--;
	}
}

/* Is the line that of a boundary?  The innermost counts, and the longest: one may begin with
 * another, and lines may have anything behind the boundary. */
static struct frame *
find_boundary(struct mime_parser *p, struct str line, bool *last_out)
{
	struct frame *best = NULL;

	if (line.len > BOUNDARY_LINE_MAX)
		line.len = BOUNDARY_LINE_MAX;
	while (line.len > 0 && ascii_is_space(line.p[line.len - 1]))
		line.len--;
	if (line.len < 2 || line.p[0] != '-' || line.p[1] != '-')
		return NULL;
	line.p += 2;
	line.len -= 2;
	for (size_t i = p->depth; i-- > 0;) {
		struct frame *f = &p->frames[i];

		if (f->boundary.p == NULL || !str_has_prefix(line, f->boundary) ||
		    (best != NULL && best->boundary.len >= f->boundary.len))
			continue;
		best = f;
		if (f->boundary.len == line.len || (f->boundary.len + 2 == line.len &&
						       memcmp(line.p + line.len - 2, "--", 2) == 0))
			break;
	}
	if (best != NULL) {
		struct str rest = { line.p + best->boundary.len, line.len - best->boundary.len };

		*last_out = str_has_prefix(rest, STR("--"));
	}
	return best;
}

static void
advance(struct mime_parser *p, uint64_t bytes, bool lf, bool crlf)
{
	p->before_lf = p->at;
	p->before_lf.bytes += bytes - (lf ? (crlf ? 2 : 1) : 0);
	p->at.bytes += bytes;
	p->at.bare_lfs += lf && !crlf;
	p->at.lines += lf;
}

static bool
on_boundary(struct mime_parser *p, struct str line, uint64_t bytes, bool lf, bool crlf)
{
	bool last = false;
	struct frame *f = find_boundary(p, line, &last);

	if (f == NULL)
		return false;
	close_to(p, (size_t)(f - p->frames) + 1, p->before_lf);
	advance(p, bytes, lf, crlf);
	p->in_header = false;
	if (last || !lf || !may_begin_part(p)) { /* without LF it may have been cut */
		f->boundary.p = NULL;
		p->boundaries--;
	} else {
		begin_part(p);
	}
	return true;
}

static void
mark_nuls(struct mime_parser *p, const char *bytes, size_t len)
{
	if (memchr(bytes, '\0', len) != NULL)
		p->frames[p->depth - 1].part->flags |= MIME_PART_NULS;
}

/* A whole line, or the last one without LF.  `line` may be cut if it is long; `bytes` is its length. */
static void
on_line(struct mime_parser *p, struct str line, uint64_t bytes, bool lf, bool crlf)
{
	bool blank = lf && bytes == (crlf ? 2u : 1u);

	if (p->boundaries > 0 && line.len > 1 && line.p[0] == '-' &&
	    on_boundary(p, line, bytes, lf, crlf))
		return;
	advance(p, bytes, lf, crlf);
	if (!p->in_header)
		return;
	if (blank) {
		end_header(p);
	} else if (p->header.len + line.len <= MIME_HEADER_MAX_BYTES) {
		buf_add(&p->header, line.p, line.len);
	} else {
		p->m->opaque = true;
	}
}

/* Lines of a body, as long as none begins like a boundary.  Gives back where it stopped. */
static const char *
skip_body(struct mime_parser *p, const char *s, const char *end)
{
	struct counts at = p->at, before = p->before_lf;
	const char *lf;

	while (s < end && (*s != '-' || p->boundaries == 0) &&
	       (lf = memchr(s, '\n', (size_t)(end - s))) != NULL) {
		bool crlf = lf > s && lf[-1] == '\r';

		before = at;
		before.bytes += (uint64_t)(lf - s) - crlf;
		at.bytes += (uint64_t)(lf - s) + 1;
		at.bare_lfs += !crlf;
		at.lines++;
		s = lf + 1;
	}
	p->at = at;
	p->before_lf = before;
	return s;
}

/* A piece of a line whose start or end lies in another chunk. */
static void
collect(struct mime_parser *p, const char *s, size_t len)
{
	size_t max = p->in_header ? MIME_HEADER_MAX_BYTES + 1 : BOUNDARY_LINE_MAX;

	if (p->line_bytes == 0)
		p->line_keep = p->in_header || (*s == '-' && p->boundaries > 0);
	if (p->line_keep && p->line.len < max)
		buf_add(&p->line, s, len < max - p->line.len ? len : max - p->line.len);
	p->line_bytes += len;
	p->last_was_cr = s[len - 1] == '\r';
}

static void
end_collected(struct mime_parser *p, bool lf, bool crlf)
{
	struct str line = { p->line.data, p->line.len };
	uint64_t bytes = p->line_bytes;

	p->line_bytes = 0;
	p->last_was_cr = false;
	on_line(p, line, bytes, lf, crlf);
	buf_reset(&p->line);
}

void
mime_parser_feed(struct mime_parser *p, const void *bytes, size_t len)
{
	const char *s = bytes, *end = s + len, *lf;
	bool nuls = len > 0 && memchr(bytes, '\0', len) != NULL;

	while (s < end) {
		if (p->line_bytes == 0 && !p->in_header && !nuls) {
			s = skip_body(p, s, end);
			if (s == end)
				break;
		}
		lf = memchr(s, '\n', (size_t)(end - s));
		if (nuls)
			mark_nuls(p, s, (size_t)((lf != NULL ? lf : end) - s));
		if (lf == NULL) {
			collect(p, s, (size_t)(end - s));
			break;
		}
		if (p->line_bytes == 0) {
			on_line(p, (struct str){ s, (size_t)(lf + 1 - s) }, (uint64_t)(lf + 1 - s),
			    true, lf > s && lf[-1] == '\r');
		} else {
			bool crlf = lf > s ? lf[-1] == '\r' : p->last_was_cr;

			collect(p, s, (size_t)(lf + 1 - s));
			end_collected(p, true, crlf);
		}
		s = lf + 1;
	}
}

struct mime_message *
mime_parser_finish(struct mime_parser *p)
{
	struct mime_message *m = p->m;

	if (p->line_bytes > 0)
		end_collected(p, false, false);
	close_to(p, 0, p->at);
	p->m = NULL;
	mime_parser_free(p);
	return m;
}

/* --- whole messages --- */

struct mime_message *
mime_parse_fd(int fd)
{
	return mime_parse_fd_with(fd, NULL, NULL);
}

struct mime_message *
mime_parse_fd_with(int fd, void (*seen)(void *arg, const void *bytes, size_t len), void *arg)
{
	struct mime_parser *p = mime_parser_new();
	char *chunk = mem_alloc(FEED_BYTES);
	off_t at = 0;
	ssize_t n;
	int err;

	while ((n = pread(fd, chunk, FEED_BYTES, at)) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0) {
			mime_parser_feed(p, chunk, (size_t)n);
			if (seen != NULL)
				seen(arg, chunk, (size_t)n);
			at += n;
		}
	}
	err = errno;
	free(chunk);
	if (n == 0)
		return mime_parser_finish(p);
	mime_parser_free(p);
	errno = err;
	return NULL;
}

struct mime_message *
mime_parse(struct str bytes)
{
	struct mime_parser *p = mime_parser_new();

	mime_parser_feed(p, bytes.p, bytes.len);
	return mime_parser_finish(p);
}

uint64_t
mime_message_size(const struct mime_message *m)
{
	return m->root->header.size + m->root->body.size;
}

uint64_t
mime_message_virtual_size(const struct mime_message *m)
{
	return m->root->header.virtual_size + m->root->body.virtual_size;
}

/* --- section numbers --- */

/* The part that BODY shows of a multipart without any: nothing. */
static const struct mime_part NO_PARTS = {
	.flags = MIME_PART_TEXT, .type = STR("text"), .subtype = STR("plain"), .charset = STR("")
};

/* RFC 9051 §6.4.5.1: the parts of a multipart have numbers; a message within is seen through, so
 * that n.m is a part of the message in part n; part 1 of what is not multipart is its own body. */
const struct mime_part *
mime_find_part(const struct mime_message *m, const uint32_t *numbers, size_t n)
{
	const struct mime_part *part = m->root;

	for (size_t i = 0; i < n; i++) {
		uint32_t want = numbers[i];

		if (i > 0 && (part->flags & MIME_PART_MESSAGE) != 0)
			part = part->first_child;
		else if (i > 0 && (part->flags & MIME_PART_MULTIPART) == 0)
			return NULL; /* a leaf has no parts below its number */
		if ((part->flags & MIME_PART_MULTIPART) == 0) {
			if (want != 1)
				return NULL;
			continue;
		}
		if (part->first_child == NULL)
			return i + 1 == n && want == 1 ? &NO_PARTS : NULL;
		for (part = part->first_child; part != NULL && want > 1; want--)
			part = part->next;
		if (part == NULL || want == 0)
			return NULL;
	}
	return part;
}

const struct mime_part *
mime_find_message(const struct mime_message *m, const uint32_t *numbers, size_t n)
{
	const struct mime_part *part = mime_find_part(m, numbers, n);

	if (n == 0 || part == NULL)
		return part;
	return (part->flags & MIME_PART_MESSAGE) != 0 ? part->first_child : NULL;
}

/* --- counting --- */

void
mime_crlf_count(struct mime_crlf_count *c, const void *bytes, size_t len)
{
	const char *s = bytes, *p = s, *end = s + len;
	uint64_t bare = 0;

	for (; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) {
		c->lines++;
		bare += !(p > s ? p[-1] == '\r' : c->last_was_cr);
		if (p + 1 == end) {
			p++;
			break;
		}
	}
	c->size += len;
	c->virtual_size += len + bare;
	if (len > 0)
		c->last_was_cr = s[len - 1] == '\r';
}
