/* A script's strings: encoded characters undone, variables found. */
#include "filter/sieve/program.h"
#include "filter/sieve/run.h"
#include "store/charset.h"

bool
sieve_is_constant(const struct sieve_string *s)
{
	return s->pieces == NULL;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_hex(char c)
{
	return hex_value(c) >= 0;
}

static bool
is_identifier(char c)
{
	return ascii_is_alnum(c) || c == '_';
}

/* hex-pair-seq or unicode-hex-seq up to "}", RFC 5228 §2.4.2.4.  False: it is not one, and stays. */
static bool
decode_sequence(struct cursor *c, bool unicode, struct buf *out, bool *bad_out)
{
	size_t count = 0;

	for (;; count++) {
		uint32_t code = 0;
		struct str digits;

		cursor_take_while(c, is_blank);
		if (cursor_take(c, '}'))
			return count > 0;
		digits = cursor_take_while(c, is_hex);
		if (digits.len == 0 || (!unicode && digits.len > 2))
			return false;
		for (size_t i = 0; i < digits.len; i++)
			code =
			    code > 0x10ffff ? code : code * 16 + (uint32_t)hex_value(digits.p[i]);
		if (!unicode)
			buf_addc(out, (char)code);
		else if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
			*bad_out = true;
		else
			utf8_encode(out, code);
	}
}

/* "${hex:40}" and "${unicode:40}", RFC 5228 §2.4.2.4. */
static bool
decode_characters(struct sieve_check *c, unsigned line, struct str text, struct str *text_out)
{
	struct cursor in = cursor_from(text);
	struct buf out = { 0 };
	bool bad = false;

	while (!cursor_at_end(&in)) {
		struct cursor ahead = in;
		size_t len = out.len;
		bool unicode;

		if (cursor_take(&ahead, '$') && cursor_take(&ahead, '{') &&
		    ((unicode = cursor_take_nocase(&ahead, STR("unicode:"))) ||
			cursor_take_nocase(&ahead, STR("hex:")))) {
			if (decode_sequence(&ahead, unicode, &out, &bad)) {
				in = ahead;
				continue;
			}
			out.len = len;
		}
		buf_addc(&out, *in.p++);
	}
	text_out->len = out.len;
	text_out->p = arena_strndup(&c->program->arena, out.data != NULL ? out.data : "", out.len);
	buf_free(&out);
	if (bad)
		return sieve_check_error(c, line, "an encoded character is not in Unicode");
	if (memchr(text_out->p, '\0', text_out->len) != NULL)
		return sieve_check_error(c, line, "an encoded character is NUL");
	return true;
}

static unsigned
variable_find(const struct sieve_program *p, struct str name, bool global)
{
	for (unsigned i = 0; i < p->variable_count; i++) {
		const struct sieve_variable *v = &p->variables[i];

		if (str_eq_nocase(v->name, name) && (global ? v->global : v->plain))
			return i;
	}
	return UINT32_MAX;
}

static bool
variable_add(struct sieve_check *c, unsigned line, struct str name, bool global, unsigned *out)
{
	struct sieve_program *p = c->program;
	char *copy;

	*out = variable_find(p, name, global);
	if (*out != UINT32_MAX)
		return true;
	if (name.len > SIEVE_VARIABLE_NAME_MAX)
		return sieve_check_error(
		    c, line, "the name of variable '%.64s…' is too long", name.p);
	if (p->variable_count == SIEVE_VARIABLES_MAX)
		return sieve_check_error(c, line, "the script has too many variables");
	copy = arena_strndup(&p->arena, name.p, name.len);
	ascii_lower_all(copy, name.len);
	p->variables[p->variable_count] = (struct sieve_variable){
		.name = { copy, name.len }, .global = global, .plain = !global
	};
	*out = p->variable_count++;
	return true;
}

static bool
is_variable_name(struct str name)
{
	struct cursor c = cursor_from(name);

	return name.len > 0 && !ascii_is_digit(*name.p) &&
	       cursor_take_while(&c, is_identifier).len == name.len;
}

bool
sieve_check_variable(struct sieve_check *c, unsigned line, struct str name, unsigned *variable_out)
{
	struct str plain = name;
	bool global =
	    sieve_check_has(c, SIEVE_CAP_INCLUDE) && str_has_prefix_nocase(name, STR("global."));

	if (global)
		plain = (struct str){ name.p + 7, name.len - 7 };
	if (!is_variable_name(plain))
		return sieve_check_error(
		    c, line, "'%.*s' is no name of a variable", (int)name.len, name.p);
	return variable_add(c, line, plain, global, variable_out);
}

bool
sieve_check_variable_arg(struct sieve_check *c, const struct sieve_arg *arg, unsigned *variable_out)
{
	if (!sieve_is_constant(&arg->strings[0]))
		return sieve_check_error(
		    c, arg->line, "the name of a variable must be written out");
	return sieve_check_variable(c, arg->line, arg->strings[0].text, variable_out);
}

bool
sieve_check_global(struct sieve_check *c, unsigned line, struct str name)
{
	struct sieve_program *p = c->program;
	unsigned old = variable_find(p, name, false), number;

	if (!is_variable_name(name))
		return sieve_check_error(
		    c, line, "'%.*s' is no name of a variable", (int)name.len, name.p);
	if (old != UINT32_MAX && !p->variables[old].global)
		return sieve_check_error(c, line,
		    "variable '%.*s' is used before it is made global", (int)name.len, name.p);
	if (!variable_add(c, line, name, true, &number))
		return false;
	p->variables[number].plain = true;
	return true;
}

/* What "${" and "}" enclose, as a piece.  *is_out false: it is no variable, and stays as text. */
static bool
compile_reference(
    struct sieve_check *c, unsigned line, struct str name, struct sieve_piece *piece, bool *is_out)
{
	struct cursor in = cursor_from(name);
	struct str space = { NULL, 0 }, word;
	uint64_t number;

	*is_out = false;
	if (name.len > 0 && ascii_is_digit(*name.p)) {
		struct str digits = cursor_take_while(&in, ascii_is_digit);

		if (!cursor_at_end(&in))
			return true;
		*is_out = true;
		if (!text_u64(digits, SIEVE_MATCH_VARIABLES - 1, &number))
			return sieve_check_error(c, line, "there is no match variable ${%.*s}",
			    digits.len > 20 ? 20 : (int)digits.len, digits.p);
		*piece =
		    (struct sieve_piece){ .kind = SIEVE_PIECE_MATCH, .number = (unsigned)number };
		return true;
	}
	word = cursor_take_while(&in, is_identifier);
	if (cursor_take(&in, '.')) {
		space = word;
		word = (struct str){ in.p, cursor_left(&in) };
		while (!cursor_at_end(&in) && (is_identifier(*in.p) || *in.p == '.'))
			in.p++;
		if (!is_variable_name(space))
			return true;
	}
	if (!cursor_at_end(&in) || word.len == 0 || ascii_is_digit(*word.p))
		return true;
	*is_out = true;
	piece->kind = SIEVE_PIECE_VARIABLE;
	if (space.p == NULL ||
	    (sieve_check_has(c, SIEVE_CAP_INCLUDE) && str_eq_nocase(space, STR("global"))))
		return sieve_check_variable(c, line, name, &piece->number);
	piece->kind = SIEVE_PIECE_OTHER;
	piece->space = sieve_namespace_find(space);
	piece->text = word;
	if (piece->space == NULL || !sieve_check_has(c, piece->space->cap))
		return sieve_check_error(c, line,
		    "variables of '%.*s' are not known here; is a require missing?", (int)space.len,
		    space.p);
	return piece->space->check(c, line, word);
}

/* The pieces of a text with variables; counts alone while `pieces` is NULL. */
static bool
compile_pieces(struct sieve_check *c, unsigned line, struct str text, struct sieve_piece *pieces,
    size_t *count_out, bool *variables_out)
{
	const char *end = text.p + text.len, *start = text.p;
	size_t n = 0;

	*variables_out = false;
	for (const char *p = text.p; p + 1 < end; p++) {
		struct sieve_piece piece = { 0 };
		const char *close;
		bool is = false;

		if (p[0] != '$' || p[1] != '{')
			continue;
		for (close = p + 2; close < end && (is_identifier(*close) || *close == '.');)
			close++;
		if (close == end || *close != '}')
			continue;
		if (!compile_reference(
			c, line, (struct str){ p + 2, (size_t)(close - p - 2) }, &piece, &is))
			return false;
		if (!is)
			continue;
		*variables_out = true;
		if (p > start && pieces != NULL)
			pieces[n] = (struct sieve_piece){ .text = { start, (size_t)(p - start) } };
		n += p > start;
		if (pieces != NULL)
			pieces[n] = piece;
		n++;
		start = close + 1;
		p = close;
	}
	if (start < end && pieces != NULL)
		pieces[n] = (struct sieve_piece){ .text = { start, (size_t)(end - start) } };
	*count_out = n + (start < end);
	return true;
}

bool
sieve_string_compile(
    struct sieve_check *c, unsigned line, struct str text, struct sieve_string *string_out)
{
	struct sieve_piece *pieces;
	bool variables = false;
	size_t count = 0;

	text.p = arena_strndup(&c->program->arena, text.p, text.len);
	*string_out = (struct sieve_string){ .text = text };
	if (str_find(text, STR("${")) == SIZE_MAX)
		return true;
	if (sieve_check_has(c, SIEVE_CAP_ENCODED_CHARACTER) &&
	    !decode_characters(c, line, text, &string_out->text))
		return false;
	if (!sieve_check_has(c, SIEVE_CAP_VARIABLES))
		return true;
	if (!compile_pieces(c, line, string_out->text, NULL, &count, &variables))
		return false;
	if (!variables)
		return true;
	pieces = arena_alloc(&c->program->arena, count * sizeof(*pieces));
	if (!compile_pieces(c, line, string_out->text, pieces, &count, &variables))
		return false;
	string_out->pieces = pieces;
	string_out->piece_count = count;
	return true;
}
