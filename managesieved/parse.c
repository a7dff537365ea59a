#include "managesieved/parse.h"

bool
msieve_parse_sp(struct cursor *c)
{
	return cursor_take(c, ' ');
}

/* ATOM-CHAR: any CHAR but ( ) { SP CTL " \ */
static bool
is_atom_char(char c)
{
	return c > ' ' && c < 0x7f && strchr("(){\"\\", c) == NULL;
}

bool
msieve_parse_atom(struct cursor *c, struct str *atom_out)
{
	*atom_out = cursor_take_while(c, is_atom_char);
	return atom_out->len > 0;
}

bool
msieve_parse_number(struct cursor *c, uint32_t *n_out)
{
	bool zero = cursor_peek(c) == '0';
	const char *from = c->p;

	return cursor_take_u32(c, n_out) && (!zero || c->p == from + 1);
}

/* quoted = DQUOTE *1024QUOTED-CHAR DQUOTE; a backslash before anything but DQUOTE and itself is none. */
static bool
parse_quoted(struct cursor *c, struct arena *a, struct str *text_out)
{
	const char *from, *p;
	char *text;
	size_t len = 0;

	if (!cursor_take(c, '"'))
		return false;
	from = c->p;
	for (p = from; p < c->end && *p != '"'; p++) {
		if (*p == '\\' && (++p == c->end || (*p != '"' && *p != '\\')))
			return false;
		if (*p == '\0' || *p == '\r' || *p == '\n')
			return false;
	}
	if (p == c->end)
		return false;
	text = arena_alloc(a, (size_t)(p - from) + 1);
	for (const char *q = from; q < p; q++) {
		q += *q == '\\';
		text[len++] = *q;
	}
	text[len] = '\0';
	c->p = p + 1;
	*text_out = (struct str){ text, len };
	return text_is_utf8(*text_out);
}

static bool
is_digit(char c)
{
	return ascii_is_digit(c);
}

/* "{" number ["+"] "}"; a number beyond all bounds is UINT64_MAX, so that it is refused as too big and its
 * octets are not taken for commands. */
static bool
parse_announcement(struct cursor *c, uint64_t *size_out)
{
	struct str digits;

	if (!cursor_take(c, '{'))
		return false;
	digits = cursor_take_while(c, is_digit);
	if (digits.len == 0)
		return false;
	if (!text_u64(digits, UINT64_MAX, size_out))
		*size_out = UINT64_MAX;
	cursor_take(c, '+');
	return cursor_take(c, '}');
}

/* literal-c2s = "{" number "+}" CRLF *OCTET */
static bool
parse_literal(struct cursor *c, struct str *text_out)
{
	uint64_t size;

	if (!parse_announcement(c, &size))
		return false;
	cursor_take(c, '\r');
	if (!cursor_take(c, '\n') || size > cursor_left(c))
		return false;
	*text_out = (struct str){ c->p, (size_t)size };
	c->p += size;
	return true;
}

bool
msieve_parse_string(struct cursor *c, struct arena *a, struct str *text_out)
{
	return cursor_peek(c) == '{' ? parse_literal(c, text_out) : parse_quoted(c, a, text_out);
}

bool
msieve_line_announces(struct str line, struct frame_literal *lit_out, size_t *start_out)
{
	struct cursor c;
	size_t start = line.len;

	if (line.len == 0 || line.p[line.len - 1] != '}')
		return false;
	while (start > 0 && line.p[start - 1] != '{')
		start--;
	if (start == 0 || (start > 1 && line.p[start - 2] != ' '))
		return false;
	*start_out = start - 1;
	*lit_out = (struct frame_literal){ .nonsync = true };
	c = (struct cursor){ line.p + start - 1, line.p + line.len };
	return parse_announcement(&c, &lit_out->size_bytes) && cursor_at_end(&c);
}
