#include "filter/exim/addresses.h"

#include "filter/exim/text.h"
#include "store/header.h"

static bool
is_atom(char ch)
{
	return (unsigned char)ch > ' ' && ch != 127 && strchr("()<>@,;:\\\".[]", ch) == NULL;
}

static void
skip(struct cursor *c)
{
	header_skip_cfws(c);
}

/* quoted-string, RFC 5322 §3.2.4, with its quotes; false if it has no end. */
static bool
take_quoted(struct cursor *c, struct str *out)
{
	const char *start = c->p;

	for (c->p++; !cursor_at_end(c); c->p++) {
		if (*c->p == '"') {
			c->p++;
			*out = (struct str){ start, (size_t)(c->p - start) };
			return true;
		}
		if (*c->p == '\\' && cursor_left(c) > 1)
			c->p++;
	}
	return false;
}

/* word *("." word), blanks and comments around the dots. */
static bool
take_dotted(struct cursor *c, struct exim_text *out, bool quoted)
{
	struct str word;

	for (;;) {
		skip(c);
		if (quoted && cursor_peek(c) == '"') {
			if (!take_quoted(c, &word))
				return false;
		} else {
			word = cursor_take_while(c, is_atom);
			if (word.len == 0)
				return false;
		}
		exim_text_str(out, word);
		skip(c);
		if (!cursor_take(c, '.'))
			return true;
		exim_text_char(out, '.');
	}
}

/* domain, or a literal in square brackets */
static bool
take_domain(struct cursor *c, struct exim_text *out)
{
	const char *start, *end;

	skip(c);
	if (cursor_peek(c) != '[')
		return take_dotted(c, out, false);
	start = c->p;
	end = memchr(start, ']', cursor_left(c));
	if (end == NULL)
		return false;
	exim_text_add(out, start, (size_t)(end + 1 - start));
	c->p = end + 1;
	skip(c);
	return true;
}

/* "@a,@b:" of an obsolete route, which means nothing any more. */
static bool
skip_route(struct cursor *c)
{
	struct exim_text ignored;
	struct arena arena = { 0 };
	bool ok = true;

	while (ok && cursor_take(c, '@')) {
		ignored = (struct exim_text){ .arena = &arena };
		ok = take_domain(c, &ignored) && (cursor_take(c, ',') || cursor_peek(c) == ':');
		skip(c);
	}
	arena_free(&arena);
	return ok && cursor_take(c, ':');
}

/* "<" [route] local ["@" domain] ">" */
static const char *
take_angle(struct cursor *c, struct exim_text *out)
{
	c->p++;
	skip(c);
	if (cursor_peek(c) == '@' && !skip_route(c))
		return "malformed source route";
	if (!take_dotted(c, out, true))
		return "missing or malformed local part";
	if (cursor_take(c, '@')) {
		exim_text_char(out, '@');
		if (!take_domain(c, out))
			return "domain missing or malformed";
	}
	if (!cursor_take(c, '>'))
		return "'>' missing at end of address";
	skip(c);
	return NULL;
}

/* The words of a phrase, dots included, up to "<". */
static bool
skip_phrase(struct cursor *c)
{
	struct str word;

	for (;;) {
		skip(c);
		if (cursor_peek(c) == '<')
			return true;
		if (cursor_peek(c) == '"') {
			if (!take_quoted(c, &word))
				return false;
		} else if (!cursor_take(c, '.') && cursor_take_while(c, is_atom).len == 0) {
			return false;
		}
	}
}

static const char *
take_address(struct arena *a, struct cursor *c, struct exim_text *out)
{
	struct cursor start;

	skip(c);
	start = *c;
	if (cursor_at_end(c))
		return "empty address";
	if (cursor_peek(c) == '<')
		return take_angle(c, out);
	if (take_dotted(c, out, true) && (cursor_at_end(c) || cursor_peek(c) == '@')) {
		if (!cursor_take(c, '@'))
			return NULL;
		exim_text_char(out, '@');
		return take_domain(c, out) ? NULL : "domain missing or malformed";
	}
	*c = start;
	*out = (struct exim_text){ .arena = a };
	if (!skip_phrase(c))
		return "missing or malformed local part (expected word or \"<\")";
	return take_angle(c, out);
}

bool
exim_address(struct arena *a, struct str s, struct str *out, const char **why_out)
{
	struct cursor c = cursor_from(s);
	struct exim_text text = { .arena = a };

	*why_out = take_address(a, &c, &text);
	if (*why_out != NULL)
		return false;
	if (!cursor_at_end(&c)) {
		*why_out = arena_printf(a, "malformed address: %.*s may not follow %.*s",
		    (int)(cursor_left(&c) < 100 ? cursor_left(&c) : 100), c.p,
		    (int)(c.p - s.p < 100 ? c.p - s.p : 100), s.p);
		return false;
	}
	*out = exim_text_get(&text);
	return true;
}

/* A member ends at a comma or a semicolon; what a group's name and colon are is dropped. */
bool
exim_address_next(struct cursor *list, struct str *member_out)
{
	bool angle = false, literal = false;
	const char *start;

	while (!cursor_at_end(list) &&
	       (*list->p == ',' || *list->p == ';' || ascii_is_space(*list->p)))
		list->p++;
	if (cursor_at_end(list))
		return false;
	start = list->p;
	while (!cursor_at_end(list)) {
		char ch = *list->p;
		struct str quoted;

		if (ch == '(') {
			header_skip_cfws(list);
			continue;
		}
		if (ch == '"') {
			take_quoted(list, &quoted); /* without an end it goes to the end */
			continue;
		}
		if (ch == '<' || ch == '>')
			angle = ch == '<';
		else if (ch == '[' || ch == ']')
			literal = ch == '[';
		else if (ch == ':' && !angle && !literal)
			start = list->p + 1;
		else if ((ch == ',' && !angle) || (ch == ';' && !literal))
			break;
		list->p++;
	}
	*member_out = (struct str){ start, (size_t)(list->p - start) };
	if (!cursor_at_end(list))
		list->p++;
	return true;
}

void
exim_address_split(struct str address, struct str *local_out, struct str *domain_out)
{
	size_t at = address.len;

	while (at > 0 && address.p[at - 1] != '@' && address.p[at - 1] != '"')
		at--;
	if (at > 0 && address.p[at - 1] == '@') {
		*local_out = (struct str){ address.p, at - 1 };
		*domain_out = (struct str){ address.p + at, address.len - at };
	} else {
		*local_out = address;
		*domain_out = (struct str){ "", 0 };
	}
}
