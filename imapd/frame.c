#include "imapd/frame.h"

#include "imapd/parse.h"
#include "imapd/session.h"

#define IMAP_DRAIN_MAX_BYTES ((uint64_t)1 << 30) /* a refused literal that is read and dropped */

bool
imap_frame_announces(struct str line, struct frame_literal *lit_out, size_t *start_out)
{
	struct imap_literal lit;

	if (!imap_line_ends_in_literal(line, &lit, start_out))
		return false;
	*lit_out = (struct frame_literal){ lit.size_bytes, lit.nonsync, lit.binary };
	return true;
}

static const struct frame_rules BEFORE_LOGIN = {
	.line_bytes = IMAP_LINE_LOGIN_MAX_BYTES,
	.literal_bytes = IMAP_LINE_LOGIN_MAX_BYTES,
	.nonsync_bytes = IMAP_LITERAL_MINUS_BYTES,
	.drain_bytes = IMAP_DRAIN_MAX_BYTES,
	.announces = imap_frame_announces,
};

static const struct frame_rules LOGGED_IN = {
	.line_bytes = IMAP_LINE_MAX_BYTES,
	.literal_bytes = IMAP_LITERAL_MAX_BYTES,
	.nonsync_bytes = IMAP_LITERAL_MAX_BYTES,
	.drain_bytes = IMAP_DRAIN_MAX_BYTES,
	.announces = imap_frame_announces,
	.streams = imap_frame_is_append,
};

const struct frame_rules *
imap_frame_rules(bool logged_in)
{
	return logged_in ? &LOGGED_IN : &BEFORE_LOGIN;
}

bool
imap_frame_is_append(struct str text)
{
	struct cursor c = cursor_from(text);
	struct arena a = { 0 };
	struct str word;
	bool data;

	if (!imap_parse_tag(&c, &word) || !imap_parse_sp(&c) ||
	    !cursor_take_nocase(&c, STR("APPEND")) || !imap_parse_sp(&c))
		return false;
	data = imap_parse_astring(&c, &a, &word) && imap_parse_sp(&c);
	arena_free(&a);
	return data;
}

struct str
imap_frame_tag(struct str text)
{
	struct cursor c = cursor_from(text);
	struct str tag;

	return imap_parse_tag(&c, &tag) && cursor_peek(&c) == ' ' && tag.len <= 256 ? tag
										    : STR("*");
}
