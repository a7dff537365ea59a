#include "filter/exim/lex.h"

#include <stdarg.h>
#include <stdio.h>

void
exim_syntax_error_set(struct exim_lex *l, const char *fmt, ...)
{
	va_list args;

	l->error->kind = FILTER_ERROR_SYNTAX;
	l->error->line = l->line;
	va_start(args, fmt);
	vsnprintf(l->error->text, sizeof(l->error->text), fmt, args);
	va_end(args);
}

void
exim_lex_skip(struct exim_lex *l)
{
	for (; !cursor_at_end(&l->at); l->at.p++) {
		if (*l->at.p == '#') {
			while (!cursor_at_end(&l->at) && *l->at.p != '\n')
				l->at.p++;
			if (cursor_at_end(&l->at))
				return;
		}
		if (!ascii_is_space(*l->at.p))
			return;
		if (*l->at.p == '\n')
			l->line++;
	}
}

bool
exim_lex_word(struct exim_lex *l, bool brackets, struct str *word_out)
{
	const char *start = l->at.p;

	while (!cursor_at_end(&l->at) && !ascii_is_space(*l->at.p)) {
		if (brackets && (*l->at.p == '(' || *l->at.p == ')')) {
			if (l->at.p == start)
				l->at.p++;
			break;
		}
		l->at.p++;
	}
	*word_out = (struct str){ start, (size_t)(l->at.p - start) };
	if (word_out->len > EXIM_WORD_MAX_BYTES)
		return exim_syntax_error(l,
		    "word is too long in line %u of filter file (max = %d chars)", l->line,
		    EXIM_WORD_MAX_BYTES);
	exim_lex_skip(l);
	return true;
}

char
exim_escape(struct cursor *c)
{
	static const char FROM[] = "nrtbfv", TO[] = "\n\r\t\b\f\v";
	const char *at;
	unsigned value = 0;
	char ch;

	if (cursor_at_end(c))
		return '\\';
	ch = *c->p++;
	at = ch != '\0' ? strchr(FROM, ch) : NULL;
	if (at != NULL)
		return TO[at - FROM];
	if (ch == 'x') {
		for (int n = 0; n < 2 && !cursor_at_end(c) && hex_value(*c->p) >= 0; n++)
			value = value * 16 + (unsigned)hex_value(*c->p++);
		return (char)value;
	}
	if (ch < '0' || ch > '7')
		return ch;
	value = (unsigned)(ch - '0');
	for (int n = 0; n < 2 && !cursor_at_end(c) && *c->p >= '0' && *c->p <= '7'; n++)
		value = value * 8 + (unsigned)(*c->p++ - '0');
	return (char)value;
}

/* `\`, blanks, a line end and the blanks that start the next line are nothing. */
static bool
skip_continuation(struct exim_lex *l)
{
	struct cursor c = l->at;

	while (cursor_peek(&c) == ' ' || cursor_peek(&c) == '\t' || cursor_peek(&c) == '\r')
		c.p++;
	if (!cursor_take(&c, '\n'))
		return false;
	while (cursor_peek(&c) == ' ' || cursor_peek(&c) == '\t')
		c.p++;
	l->at = c;
	l->line++;
	return true;
}

static bool
quoted_word(struct exim_lex *l, struct str *word_out)
{
	unsigned line = l->line;
	char word[EXIM_WORD_MAX_BYTES + 1];
	size_t len = 0;

	for (l->at.p++; !cursor_at_end(&l->at) && *l->at.p != '"';) {
		char ch = *l->at.p++;

		if (ch == '\n')
			break;
		if (ch == '\\') {
			if (cursor_at_end(&l->at))
				break;
			if (skip_continuation(l))
				continue;
			ch = exim_escape(&l->at);
		}
		if (len == EXIM_WORD_MAX_BYTES)
			return exim_syntax_error(l,
			    "string is too long in line %u of filter file (max = %d chars)", line,
			    EXIM_WORD_MAX_BYTES);
		word[len++] = ch;
	}
	if (cursor_at_end(&l->at) || *l->at.p != '"' || l->at.p[-1] == '\n')
		return exim_syntax_error(l, "quote missing at end of string in line %u", line);
	l->at.p++;
	*word_out = (struct str){ arena_strndup(l->arena, word, len), len };
	exim_lex_skip(l);
	return true;
}

bool
exim_lex_item(struct exim_lex *l, bool brackets, struct str *word_out)
{
	if (cursor_peek(&l->at) == '"')
		return quoted_word(l, word_out);
	return exim_lex_word(l, brackets, word_out);
}
