#include "imapd/frame.h"

#include <string.h>

static const char TOO_LONG[] = "Command line too long";
static const char TOO_BIG[] = "Literal too big";

struct str
imap_frame_tag(struct str text)
{
	struct cursor c = cursor_from(text);
	struct str tag;

	return imap_parse_tag(&c, &tag) && cursor_peek(&c) == ' ' && tag.len <= 256 ? tag
										    : STR("*");
}

void
imap_frame_reset(struct imap_frame *f)
{
	buf_free(&f->text);
	*f = (struct imap_frame){ 0 };
}

/* append = "APPEND" SP mailbox 1*append-message: does a literal that is announced at `start` carry a
 * message?  It does when the mailbox's name is complete before it. */
static bool
is_append_data(const struct imap_frame *f, size_t start)
{
	struct cursor c = { f->text.data, f->text.data + start };
	struct arena a = { 0 };
	struct str word;
	bool data;

	if (f->in_append)
		return true;
	if (!imap_parse_tag(&c, &word) || !imap_parse_sp(&c) ||
	    !cursor_take_nocase(&c, STR("APPEND")) || !imap_parse_sp(&c))
		return false;
	data = imap_parse_astring(&c, &a, &word) && imap_parse_sp(&c);
	arena_free(&a);
	return data;
}

/* Drops what is kept but the first line's beginning, which holds the tag. */
static void
refuse(struct imap_frame *f, const char *why)
{
	const char *space = f->text.len > 0 ? memchr(f->text.data, ' ', f->text.len) : NULL;

	if (f->why == NULL)
		f->why = why;
	f->text.len = space != NULL ? (size_t)(space - f->text.data) + 1 : 0;
}

static enum imap_frame_event
skip_announced(struct imap_frame *f, const struct imap_literal *lit)
{
	if (!lit->nonsync)
		return FRAME_REFUSED; /* the client waits for our "+", which never comes */
	if (lit->size_bytes > IMAP_DRAIN_MAX_BYTES)
		return FRAME_HOPELESS;
	f->literal_left = lit->size_bytes;
	f->state = FRAME_SKIP_LITERAL;
	f->tail_len = 0;
	return FRAME_NEED_INPUT;
}

/* A whole line is in `text` from line_start on, without its CRLF: is there a literal to come? */
static enum imap_frame_event
line_done(struct imap_frame *f, const struct imap_frame_limits *limits)
{
	struct imap_literal *lit = &f->literal;
	struct str line;
	size_t start;

	if (f->text.len == f->line_start)
		return FRAME_COMMAND;
	line = (struct str){ f->text.data + f->line_start, f->text.len - f->line_start };
	if (!imap_line_ends_in_literal(line, lit, &start))
		return FRAME_COMMAND;
	start += f->line_start;
	if (limits->append && is_append_data(f, start)) {
		f->text.len = start;
		f->in_append = true;
		return FRAME_APPEND;
	}
	if (lit->size_bytes > limits->literal_bytes - f->literal_bytes ||
	    (lit->nonsync && lit->size_bytes > limits->nonsync_bytes)) {
		refuse(f, TOO_BIG);
		return skip_announced(f, lit);
	}
	buf_adds(&f->text, "\r\n");
	f->literal_left = lit->size_bytes;
	f->literal_bytes += (size_t)lit->size_bytes;
	f->state = FRAME_IN_LITERAL;
	return lit->nonsync ? FRAME_NEED_INPUT : FRAME_CONTINUE;
}

/* One line, or what there is of it.  A bare LF ends a line too. */
static enum imap_frame_event
feed_line(struct imap_frame *f, const struct imap_frame_limits *limits, const char *bytes,
    size_t len, size_t *consumed_out)
{
	const char *lf = memchr(bytes, '\n', len);
	size_t take = lf != NULL ? (size_t)(lf - bytes) : len;

	if (f->text.len - f->literal_bytes + take > limits->line_bytes) {
		buf_add(&f->text, bytes, take < 512 ? take : 512); /* for the tag */
		refuse(f, TOO_LONG);
		f->state = FRAME_SKIP_LINE;
		f->tail_len = 0;
		*consumed_out = 0;
		return FRAME_NEED_INPUT;
	}
	buf_add(&f->text, bytes, take);
	*consumed_out = take + (lf != NULL);
	if (lf == NULL)
		return FRAME_NEED_INPUT;
	if (f->text.len > f->line_start && f->text.data[f->text.len - 1] == '\r')
		f->text.len--;
	return line_done(f, limits);
}

static enum imap_frame_event
feed_literal(struct imap_frame *f, const char *bytes, size_t len, size_t *consumed_out)
{
	size_t take = f->literal_left < len ? (size_t)f->literal_left : len;

	buf_add(&f->text, bytes, take);
	f->literal_left -= take;
	*consumed_out = take;
	if (f->literal_left == 0) {
		f->state = FRAME_IN_LINE;
		f->line_start = f->text.len;
	}
	return FRAME_NEED_INPUT;
}

/* Keeps the end of a line that is skipped, to see whether it announces a literal. */
static void
keep_tail(struct imap_frame *f, const char *bytes, size_t len)
{
	size_t room = sizeof(f->tail) - f->tail_len;

	if (len >= sizeof(f->tail)) {
		memcpy(f->tail, bytes + len - sizeof(f->tail), sizeof(f->tail));
		f->tail_len = sizeof(f->tail);
		return;
	}
	if (len > room) {
		memmove(f->tail, f->tail + (len - room), f->tail_len - (len - room));
		f->tail_len -= len - room;
	}
	memcpy(f->tail + f->tail_len, bytes, len);
	f->tail_len += len;
}

static enum imap_frame_event
feed_skip_line(struct imap_frame *f, const char *bytes, size_t len, size_t *consumed_out)
{
	const char *lf = memchr(bytes, '\n', len);
	size_t take = lf != NULL ? (size_t)(lf - bytes) : len;
	struct imap_literal lit;
	size_t start;

	keep_tail(f, bytes, take);
	*consumed_out = take + (lf != NULL);
	if (lf == NULL)
		return FRAME_NEED_INPUT;
	if (f->tail_len > 0 && f->tail[f->tail_len - 1] == '\r')
		f->tail_len--;
	if (!imap_line_ends_in_literal((struct str){ f->tail, f->tail_len }, &lit, &start))
		return FRAME_REFUSED;
	return skip_announced(f, &lit);
}

static enum imap_frame_event
feed_skip_literal(struct imap_frame *f, size_t len, size_t *consumed_out)
{
	size_t take = f->literal_left < len ? (size_t)f->literal_left : len;

	f->literal_left -= take;
	*consumed_out = take;
	if (f->literal_left == 0) {
		f->state = FRAME_SKIP_LINE;
		f->tail_len = 0;
	}
	return FRAME_NEED_INPUT;
}

enum imap_frame_event
imap_frame_feed(struct imap_frame *f, const struct imap_frame_limits *limits, const char *bytes,
    size_t len, size_t *consumed_out)
{
	enum imap_frame_event event = FRAME_NEED_INPUT;
	size_t at = 0;

	while (event == FRAME_NEED_INPUT && at < len) {
		size_t taken = 0;

		switch (f->state) {
		case FRAME_IN_LINE:
			event = feed_line(f, limits, bytes + at, len - at, &taken);
			break;
		case FRAME_IN_LITERAL: event = feed_literal(f, bytes + at, len - at, &taken); break;
		case FRAME_SKIP_LINE:
			event = feed_skip_line(f, bytes + at, len - at, &taken);
			break;
		case FRAME_SKIP_LITERAL: event = feed_skip_literal(f, len - at, &taken); break;
		}
		at += taken;
	}
	*consumed_out = at;
	return event;
}

void
imap_frame_resume(struct imap_frame *f)
{
	buf_reset(&f->text);
	f->state = FRAME_IN_LINE;
	f->line_start = 0;
	f->literal_bytes = 0;
}

bool
imap_frame_skip(struct imap_frame *f)
{
	f->why = "";
	return skip_announced(f, &f->literal) == FRAME_NEED_INPUT;
}
