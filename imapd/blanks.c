#include "imapd/blanks.h"

#include <string.h>

/* Behind the quoted string that begins at p; the end if it is not closed. */
static const char *
skip_quoted(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '"')
			return p + 1;
		if (*p == '\\' && p + 1 < end)
			p++;
	}
	return end;
}

/* literal = "{" number ["+"] "}" CRLF *CHAR8, RFC 9051 §9: behind it, or p where there is none. */
static const char *
skip_literal(const char *p, const char *end)
{
	const char *s = p + 1;
	size_t len = 0;

	while (s < end && *s >= '0' && *s <= '9' && len < SIZE_MAX / 100)
		len = len * 10 + (size_t)(*s++ - '0');
	if (s == p + 1)
		return p;
	if (s < end && *s == '+')
		s++;
	if (end - s < 3 || memcmp(s, "}\r\n", 3) != 0 || (size_t)(end - s) - 3 < len)
		return p;
	return s + 3 + len;
}

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && *p == ' ')
		p++;
	return p;
}

static bool
is_tidy(struct str text)
{
	return memmem(text.p, text.len, "  ", 2) == NULL &&
	       memmem(text.p, text.len, "( ", 2) == NULL &&
	       memmem(text.p, text.len, " )", 2) == NULL &&
	       (text.len == 0 || text.p[text.len - 1] != ' ');
}

struct str
imap_squeeze_blanks(struct arena *arena, struct str text)
{
	const char *p = text.p, *end = text.p + text.len;
	char *out, *to;

	if (text.len == 0 || is_tidy(text))
		return text;
	out = to = arena_alloc(arena, text.len + 1);
	while (p < end) {
		const char *next = *p == '"'   ? skip_quoted(p, end)
				   : *p == '{' ? skip_literal(p, end)
					       : p;

		if (next > p) {
			memcpy(to, p, (size_t)(next - p));
			to += next - p;
			p = next;
		} else if (*p == ' ') {
			p = skip_blanks(p, end);
			if (p < end && *p != ')' && (to == out || to[-1] != '('))
				*to++ = ' ';
		} else {
			*to++ = *p++;
		}
	}
	*to = '\0';
	return (struct str){ out, (size_t)(to - out) };
}
