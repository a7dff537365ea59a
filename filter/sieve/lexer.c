#include "filter/sieve/lexer.h"

#include <stdarg.h>
#include <stdio.h>

static void __attribute__((format(printf, 3, 4)))
lexer_error(struct sieve_lexer *lx, unsigned line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(lx->error->text, sizeof(lx->error->text), fmt, args);
	va_end(args);
	lx->error->line = line;
	lx->error->kind = FILTER_ERROR_COMPILE;
	lx->token = SIEVE_TOKEN_ERROR;
}

/* octet-not-crlf = %x01-09 / …: no NUL, not even in comments.  RFC 5228 §8.1. */
static bool
lexer_nul(struct sieve_lexer *lx)
{
	lexer_error(lx, lx->line, "a script must not have NUL bytes");
	return false;
}

/* bracket-comment = "/" "*" … "*" "/"; it does not nest.  RFC 5228 §8.1. */
static bool
skip_bracket_comment(struct sieve_lexer *lx)
{
	unsigned line = lx->line;

	for (lx->in.p += 2; lx->in.p < lx->in.end; lx->in.p++) {
		if (*lx->in.p == '\n')
			lx->line++;
		if (*lx->in.p == '\0')
			return lexer_nul(lx);
		if (*lx->in.p == '*' && lx->in.p + 1 < lx->in.end && lx->in.p[1] == '/') {
			lx->in.p += 2;
			return true;
		}
	}
	lexer_error(lx, line, "the comment that starts here is not closed");
	return false;
}

/* white-space = 1*(SP / CRLF / HTAB) / comment; a lone LF ends a line too. */
static bool
skip_white_space(struct sieve_lexer *lx)
{
	struct str ignored;

	for (;;) {
		switch (cursor_peek(&lx->in)) {
		case '\n':
			lx->line++;
			lx->in.p++;
			break;
		case ' ':
		case '\t':
		case '\r': lx->in.p++; break;
		case '#':
			cursor_take_line(&lx->in, &ignored);
			if (ignored.len > 0 && memchr(ignored.p, '\0', ignored.len) != NULL)
				return lexer_nul(lx);
			lx->line++;
			break;
		case '/':
			if (cursor_left(&lx->in) < 2 || lx->in.p[1] != '*')
				return true;
			if (!skip_bracket_comment(lx))
				return false;
			break;
		default: return true;
		}
	}
}

static bool
is_identifier_start(char c)
{
	return ascii_is_alpha(c) || c == '_';
}

static bool
is_identifier(char c)
{
	return ascii_is_alnum(c) || c == '_';
}

static void
take_text(struct sieve_lexer *lx, struct buf *b)
{
	lx->text.len = b->len;
	lx->text.p = arena_strndup(lx->arena, b->data != NULL ? b->data : "", b->len);
	lx->token = SIEVE_TOKEN_TEXT;
	if (memchr(lx->text.p, '\0', lx->text.len) != NULL)
		lexer_error(lx, lx->token_line, "a string must not have NUL bytes");
	else if (!text_is_utf8(lx->text))
		lexer_error(lx, lx->token_line, "the string is not valid UTF-8");
	buf_free(b);
}

/* quoted-string, RFC 5228 §2.4.2: a backslash makes the next byte itself. */
static void
lex_quoted(struct sieve_lexer *lx)
{
	struct buf b = { 0 };
	const char *p = ++lx->in.p;

	for (; p < lx->in.end && *p != '"'; p++) {
		if (*p == '\\' && p + 1 < lx->in.end)
			p++;
		if (*p == '\r' && p + 1 < lx->in.end && p[1] == '\n')
			continue;
		if (*p == '\n') {
			lx->line++;
			buf_addc(&b, '\r');
		}
		buf_addc(&b, *p);
	}
	lx->in.p = p;
	if (p == lx->in.end) {
		buf_free(&b);
		lexer_error(lx, lx->token_line, "the string that starts here is not closed");
		return;
	}
	lx->in.p++;
	take_text(lx, &b);
}

/* multi-line = "text:" *(SP / HTAB) (hash-comment / CRLF) *(literal / dotstart) "." CRLF, RFC 5228 §8.1.
 * The last CRLF may be missing at the end of the script. */
static void
lex_multi_line(struct sieve_lexer *lx)
{
	struct buf b = { 0 };
	struct str line;

	while (cursor_take(&lx->in, ' ') || cursor_take(&lx->in, '\t'))
		;
	if (!cursor_take_line(&lx->in, &line) ||
	    (line.len > 0 && line.p[0] != '#' && !str_eq(line, STR("\r")))) {
		lexer_error(lx, lx->line, "only a comment may follow \"text:\" on its line");
		return;
	}
	lx->line++;
	while (cursor_take_line(&lx->in, &line)) {
		lx->line++;
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		if (str_eq(line, STR("."))) {
			take_text(lx, &b);
			return;
		}
		if (str_has_prefix(line, STR("..")))
			line.p++, line.len--;
		buf_add(&b, line.p, line.len);
		buf_adds(&b, "\r\n");
	}
	buf_free(&b);
	lexer_error(
	    lx, lx->token_line, "the text that starts here has no line with a lone dot behind it");
}

/* number = 1*DIGIT [ QUANTIFIER ], RFC 5228 §8.1; we count to 2^64-1. */
static void
lex_number(struct sieve_lexer *lx)
{
	struct str digits = cursor_take_while(&lx->in, ascii_is_digit);
	unsigned shift = 0;
	bool fits;

	switch (cursor_peek(&lx->in)) {
	case 'k':
	case 'K': shift = 10; break;
	case 'm':
	case 'M': shift = 20; break;
	case 'g':
	case 'G': shift = 30; break;
	default: break;
	}
	if (shift > 0)
		lx->in.p++;
	fits = text_u64(digits, UINT64_MAX >> shift, &lx->number);
	lx->number <<= shift;
	lx->token = SIEVE_TOKEN_NUMBER;
	if (!fits)
		lexer_error(lx, lx->token_line, "the number is too large");
	else if (!cursor_at_end(&lx->in) && is_identifier(*lx->in.p))
		lexer_error(lx, lx->token_line, "a number is digits and one of K, M, G");
}

static void
lex_word(struct sieve_lexer *lx)
{
	lx->token = SIEVE_TOKEN_IDENTIFIER;
	lx->text = cursor_take_while(&lx->in, is_identifier);
	if (str_eq_nocase(lx->text, STR("text")) && cursor_take(&lx->in, ':'))
		lex_multi_line(lx);
}

static void
lex_tag(struct sieve_lexer *lx)
{
	lx->in.p++;
	lx->token = SIEVE_TOKEN_TAG;
	if (cursor_at_end(&lx->in) || !is_identifier_start(*lx->in.p))
		lexer_error(lx, lx->token_line, "a tag's name must follow \":\"");
	else
		lx->text = cursor_take_while(&lx->in, is_identifier);
}

static void
lex_other(struct sieve_lexer *lx, char c)
{
	if (c != '\0' && strchr("()[]{},;", c) != NULL) {
		lx->in.p++;
		lx->token = SIEVE_TOKEN_PUNCTUATION;
		lx->punctuation = c;
	} else if (c > ' ' && c < 127) {
		lexer_error(lx, lx->token_line, "unexpected character '%c'", c);
	} else {
		lexer_error(
		    lx, lx->token_line, "unexpected byte 0x%02x", (unsigned)(unsigned char)c);
	}
}

void
sieve_lexer_next(struct sieve_lexer *lx)
{
	char c;

	if (lx->token == SIEVE_TOKEN_ERROR || !skip_white_space(lx))
		return;
	lx->token_line = lx->line;
	lx->text = (struct str){ "", 0 };
	if (cursor_at_end(&lx->in)) {
		lx->token = SIEVE_TOKEN_END;
		return;
	}
	c = *lx->in.p;
	if (c == '"')
		lex_quoted(lx);
	else if (c == ':')
		lex_tag(lx);
	else if (ascii_is_digit(c))
		lex_number(lx);
	else if (is_identifier_start(c))
		lex_word(lx);
	else
		lex_other(lx, c);
}

void
sieve_lexer_open(
    struct sieve_lexer *lx, struct str text, struct arena *arena, struct filter_error *error_out)
{
	*lx = (struct sieve_lexer){
		.in = cursor_from(text),
		.arena = arena,
		.line = 1,
		.token = SIEVE_TOKEN_END,
		.error = error_out,
	};
	if (str_has_prefix(text, STR("\xef\xbb\xbf"))) /* Windows editors put it there */
		lx->in.p += 3;
	sieve_lexer_next(lx);
}
