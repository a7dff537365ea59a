#include "net/frame.h"

#include <string.h>

#include "base/mem.h"

void
frame_reset(struct frame *f)
{
	if (f->text.data != NULL)
		mem_wipe(f->text.data, f->text.cap);
	buf_free(&f->text);
	*f = (struct frame){ 0 };
}

/* Keeps the beginning of the first line, which says what command it was. */
static void
refuse(struct frame *f, enum frame_excess why)
{
	const char *lf = f->text.len > 0 ? memchr(f->text.data, '\n', f->text.len) : NULL;
	size_t keep = lf != NULL ? (size_t)(lf - f->text.data) : f->text.len;

	if (keep > 0 && f->text.data[keep - 1] == '\r')
		keep--;
	if (f->too_big == FRAME_FITS)
		f->too_big = why;
	f->text.len = keep < FRAME_KEPT ? keep : FRAME_KEPT;
	f->tail_len = 0;
}

static enum frame_event
skip_literal(struct frame *f, const struct frame_rules *rules, uint64_t size)
{
	if (size > rules->drain_bytes)
		return FRAME_HOPELESS;
	f->literal.size_bytes = size;
	f->state = size > 0 ? FRAME_SKIP_LITERAL : FRAME_SKIP_LINE;
	f->tail_len = 0;
	return FRAME_NEED_INPUT;
}

static enum frame_event
skip_announced(struct frame *f, const struct frame_rules *rules, const struct frame_literal *lit)
{
	if (!lit->nonsync)
		return FRAME_REFUSED; /* the client waits for our "+", which never comes */
	return skip_literal(f, rules, lit->size_bytes);
}

/* A whole line is in `text` from line_start on, without its CRLF: is there a literal to come? */
static enum frame_event
line_done(struct frame *f, const struct frame_rules *rules)
{
	struct frame_literal *lit = &f->literal;
	struct str line;
	size_t start;

	if (f->text.len == f->line_start)
		return FRAME_COMMAND;
	line = (struct str){ f->text.data + f->line_start, f->text.len - f->line_start };
	if (!rules->announces(line, lit, &start))
		return FRAME_COMMAND;
	start += f->line_start;
	if (rules->streams != NULL &&
	    rules->streams((struct str){ f->text.data, start }, f->streamed)) {
		f->text.len = start;
		f->streamed = true;
		return FRAME_STREAM;
	}
	if (lit->size_bytes > rules->literal_bytes - f->literal_bytes ||
	    (lit->nonsync && lit->size_bytes > rules->nonsync_bytes)) {
		refuse(f, FRAME_LITERAL_TOO_BIG);
		return skip_announced(f, rules, lit);
	}
	buf_adds(&f->text, "\r\n");
	f->literal_bytes += (uint32_t)lit->size_bytes;
	f->state = lit->size_bytes > 0 ? FRAME_IN_LITERAL : FRAME_IN_LINE;
	f->line_start = (uint32_t)f->text.len;
	return lit->nonsync ? FRAME_NEED_INPUT : FRAME_CONTINUE;
}

/* One line, or what there is of it.  A bare LF ends a line too. */
static enum frame_event
feed_line(struct frame *f, const struct frame_rules *rules, const char *bytes, size_t len,
    size_t *consumed_out)
{
	const char *lf = memchr(bytes, '\n', len);
	size_t take = lf != NULL ? (size_t)(lf - bytes) : len;

	if (f->text.len - f->literal_bytes + take > rules->line_bytes) {
		buf_add(&f->text, bytes, take < FRAME_KEPT ? take : FRAME_KEPT);
		refuse(f, FRAME_LINE_TOO_LONG);
		f->state = FRAME_SKIP_LINE;
		*consumed_out = 0;
		return FRAME_NEED_INPUT;
	}
	buf_add(&f->text, bytes, take);
	*consumed_out = take + (lf != NULL);
	if (lf == NULL)
		return FRAME_NEED_INPUT;
	if (f->text.len > f->line_start && f->text.data[f->text.len - 1] == '\r')
		f->text.len--;
	return line_done(f, rules);
}

static void
feed_literal(struct frame *f, const char *bytes, size_t len, size_t *consumed_out)
{
	size_t take = f->literal.size_bytes < len ? (size_t)f->literal.size_bytes : len;

	buf_add(&f->text, bytes, take);
	f->literal.size_bytes -= take;
	*consumed_out = take;
	if (f->literal.size_bytes == 0) {
		f->state = FRAME_IN_LINE;
		f->line_start = (uint32_t)f->text.len;
	}
}

/* Keeps the end of a line that is skipped, to see whether it announces a literal. */
static void
keep_tail(struct frame *f, const char *bytes, size_t len)
{
	size_t keep = f->tail_len;

	if (len > sizeof(f->tail)) {
		bytes += len - sizeof(f->tail);
		len = sizeof(f->tail);
	}
	if (keep > sizeof(f->tail) - len) {
		keep = sizeof(f->tail) - len;
		memmove(f->tail, f->tail + (f->tail_len - keep), keep);
	}
	memcpy(f->tail + keep, bytes, len);
	f->tail_len = (unsigned char)(keep + len);
}

static enum frame_event
feed_skip_line(struct frame *f, const struct frame_rules *rules, const char *bytes, size_t len,
    size_t *consumed_out)
{
	const char *lf = memchr(bytes, '\n', len);
	size_t take = lf != NULL ? (size_t)(lf - bytes) : len;
	struct frame_literal lit;
	size_t start;

	keep_tail(f, bytes, take);
	*consumed_out = take + (lf != NULL);
	if (lf == NULL)
		return FRAME_NEED_INPUT;
	if (f->tail_len > 0 && f->tail[f->tail_len - 1] == '\r')
		f->tail_len--;
	if (!rules->announces((struct str){ f->tail, f->tail_len }, &lit, &start))
		return FRAME_REFUSED;
	return skip_announced(f, rules, &lit);
}

static void
feed_skip_literal(struct frame *f, size_t len, size_t *consumed_out)
{
	size_t take = f->literal.size_bytes < len ? (size_t)f->literal.size_bytes : len;

	f->literal.size_bytes -= take;
	*consumed_out = take;
	if (f->literal.size_bytes == 0)
		f->state = FRAME_SKIP_LINE;
}

enum frame_event
frame_feed(struct frame *f, const struct frame_rules *rules, const char *bytes, size_t len,
    size_t *consumed_out)
{
	enum frame_event event = FRAME_NEED_INPUT;
	size_t at = 0;

	while (event == FRAME_NEED_INPUT && at < len) {
		const char *p = bytes + at;
		size_t left = len - at, taken = 0;

		switch (f->state) {
		case FRAME_IN_LINE: event = feed_line(f, rules, p, left, &taken); break;
		case FRAME_IN_LITERAL: feed_literal(f, p, left, &taken); break;
		case FRAME_SKIP_LINE: event = feed_skip_line(f, rules, p, left, &taken); break;
		case FRAME_SKIP_LITERAL: feed_skip_literal(f, left, &taken); break;
		}
		at += taken;
	}
	*consumed_out = at;
	return event;
}

void
frame_resume(struct frame *f)
{
	buf_reset(&f->text);
	f->state = FRAME_IN_LINE;
	f->line_start = 0;
	f->literal_bytes = 0;
}

bool
frame_skip(struct frame *f, const struct frame_rules *rules, uint64_t size_bytes)
{
	return skip_literal(f, rules, size_bytes) == FRAME_NEED_INPUT;
}
