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
	.streams = imap_frame_streams,
};

const struct frame_rules *
imap_frame_rules(bool logged_in)
{
	return logged_in ? &LOGGED_IN : &BEFORE_LOGIN;
}

/* Takes the cursor behind tag SP ("APPEND" / ["UID" SP] "REPLACE" SP seq-number) SP mailbox SP. */
static bool
skip_target(struct cursor *c)
{
	struct arena a = { 0 };
	struct str word;
	uint32_t number;
	bool ok;

	if (!imap_parse_tag(c, &word) || !imap_parse_sp(c))
		return false;
	if (cursor_take_nocase(c, STR("APPEND"))) {
		ok = true;
	} else {
		if (cursor_take_nocase(c, STR("UID")) && !imap_parse_sp(c))
			return false;
		ok = cursor_take_nocase(c, STR("REPLACE")) && imap_parse_sp(c) &&
		     imap_parse_seq_number(c, &number);
	}
	ok = ok && imap_parse_sp(c) && imap_parse_astring(c, &a, &word) && imap_parse_sp(c);
	arena_free(&a);
	return ok;
}

/* Ends it in "URL" SP, with a blank or parenthesis in front?  The literal then is an astring. */
static bool
ends_in_url(struct cursor c)
{
	static const size_t LEN = 5;

	if (cursor_left(&c) < LEN || (c.end[-5] != ' ' && c.end[-5] != '('))
		return false;
	return str_eq_nocase((struct str){ c.end - 4, 4 }, STR("URL "));
}

bool
imap_frame_streams(struct str text, bool behind)
{
	struct cursor c = cursor_from(text);

	if (!behind && !skip_target(&c))
		return false;
	return !ends_in_url(c);
}

struct str
imap_frame_tag(struct str text)
{
	struct cursor c = cursor_from(text);
	struct str tag;

	return imap_parse_tag(&c, &tag) && cursor_peek(&c) == ' ' && tag.len <= 256 ? tag
										    : STR("*");
}
