#include "managesieved/frame.h"

#include <string.h>

#include "base/mem.h"
#include "managesieved/parse.h"

void
msieve_frame_reset(struct msieve_frame *f)
{
	if (f->text.data != NULL)
		mem_wipe(f->text.data, f->text.cap);
	buf_free(&f->text);
	*f = (struct msieve_frame){ 0 };
}

/* Keeps the beginning of the first line, which says what command it was. */
static void
refuse(struct msieve_frame *f, enum msieve_frame_excess why)
{
	const char *lf = f->text.len > 0 ? memchr(f->text.data, '\n', f->text.len) : NULL;
	size_t keep = lf != NULL ? (size_t)(lf - f->text.data) : f->text.len;

	if (keep > 0 && f->text.data[keep - 1] == '\r')
		keep--;
	if (!f->refused)
		f->too_big = why;
	f->refused = true;
	f->text.len = keep < MSIEVE_FRAME_KEPT ? keep : MSIEVE_FRAME_KEPT;
	f->tail_len = 0;
}

static enum msieve_frame_event
skip_literal(struct msieve_frame *f, const struct msieve_frame_limits *limits, uint64_t size)
{
	if (size > limits->drain_bytes)
		return FRAME_HOPELESS;
	f->literal_left = size;
	f->state = size > 0 ? FRAME_SKIP_LITERAL : FRAME_SKIP_LINE;
	f->tail_len = 0;
	return FRAME_NEED_INPUT;
}

/* A whole line is in `text` from line_start on, without its CRLF: is there a literal to come? */
static enum msieve_frame_event
line_done(struct msieve_frame *f, const struct msieve_frame_limits *limits)
{
	struct str line;
	uint64_t size;

	if (f->text.len == f->line_start)
		return FRAME_COMMAND;
	line = (struct str){ f->text.data + f->line_start, f->text.len - f->line_start };
	if (!msieve_line_announces(line, &size))
		return FRAME_COMMAND;
	if (size > limits->literal_bytes - f->literal_bytes) {
		refuse(f, FRAME_LITERAL_TOO_BIG);
		return skip_literal(f, limits, size);
	}
	buf_adds(&f->text, "\r\n");
	f->literal_left = size;
	f->literal_bytes += (size_t)size;
	f->state = size > 0 ? FRAME_IN_LITERAL : FRAME_IN_LINE;
	f->line_start = f->text.len;
	return FRAME_NEED_INPUT;
}

/* One line, or what there is of it.  A bare LF ends a line too. */
static enum msieve_frame_event
feed_line(struct msieve_frame *f, const struct msieve_frame_limits *limits, const char *bytes,
    size_t len, size_t *consumed_out)
{
	const char *lf = memchr(bytes, '\n', len);
	size_t take = lf != NULL ? (size_t)(lf - bytes) : len;

	if (f->text.len - f->literal_bytes + take > limits->line_bytes) {
		if (f->text.len == 0)
			buf_add(
			    &f->text, bytes, take < MSIEVE_FRAME_KEPT ? take : MSIEVE_FRAME_KEPT);
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
	return line_done(f, limits);
}

static void
feed_literal(struct msieve_frame *f, const char *bytes, size_t len, size_t *consumed_out)
{
	size_t take = f->literal_left < len ? (size_t)f->literal_left : len;

	buf_add(&f->text, bytes, take);
	f->literal_left -= take;
	*consumed_out = take;
	if (f->literal_left == 0) {
		f->state = FRAME_IN_LINE;
		f->line_start = f->text.len;
	}
}

/* Keeps the end of a line that is skipped, to see whether it announces a literal. */
static void
keep_tail(struct msieve_frame *f, const char *bytes, size_t len)
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

static enum msieve_frame_event
feed_skip_line(struct msieve_frame *f, const struct msieve_frame_limits *limits, const char *bytes,
    size_t len, size_t *consumed_out)
{
	const char *lf = memchr(bytes, '\n', len);
	size_t take = lf != NULL ? (size_t)(lf - bytes) : len;
	uint64_t size;

	keep_tail(f, bytes, take);
	*consumed_out = take + (lf != NULL);
	if (lf == NULL)
		return FRAME_NEED_INPUT;
	if (f->tail_len > 0 && f->tail[f->tail_len - 1] == '\r')
		f->tail_len--;
	if (!msieve_line_announces((struct str){ f->tail, f->tail_len }, &size))
		return FRAME_REFUSED;
	return skip_literal(f, limits, size);
}

static void
feed_skip_literal(struct msieve_frame *f, size_t len, size_t *consumed_out)
{
	size_t take = f->literal_left < len ? (size_t)f->literal_left : len;

	f->literal_left -= take;
	*consumed_out = take;
	if (f->literal_left == 0)
		f->state = FRAME_SKIP_LINE;
}

enum msieve_frame_event
msieve_frame_feed(struct msieve_frame *f, const struct msieve_frame_limits *limits,
    const char *bytes, size_t len, size_t *consumed_out)
{
	enum msieve_frame_event event = FRAME_NEED_INPUT;
	size_t at = 0;

	while (event == FRAME_NEED_INPUT && at < len) {
		const char *p = bytes + at;
		size_t left = len - at, taken = 0;

		switch (f->state) {
		case FRAME_IN_LINE: event = feed_line(f, limits, p, left, &taken); break;
		case FRAME_IN_LITERAL: feed_literal(f, p, left, &taken); break;
		case FRAME_SKIP_LINE: event = feed_skip_line(f, limits, p, left, &taken); break;
		case FRAME_SKIP_LITERAL: feed_skip_literal(f, left, &taken); break;
		}
		at += taken;
	}
	*consumed_out = at;
	return event;
}
