#include "filter/exim/numbers.h"

#include <limits.h>

static void
blanks(struct cursor *c)
{
	cursor_take_while(c, ascii_is_space);
}

static int
digit_of(int ch)
{
	return ch < 0 ? -1 : hex_value((char)ch);
}

/* Digits with C's prefixes (base 0) or in base 10; saturates.  False if there is no digit. */
static bool
take_digits(struct cursor *c, unsigned base, uint64_t *out)
{
	const char *start = c->p;
	uint64_t n = 0;

	if (base == 0) {
		base = 10;
		if (cursor_left(c) > 2 && c->p[0] == '0' && (c->p[1] | 0x20) == 'x' &&
		    hex_value(c->p[2]) >= 0) {
			base = 16;
			c->p += 2;
		} else if (cursor_peek(c) == '0') {
			base = 8;
		}
	}
	for (;;) {
		int d = digit_of(cursor_peek(c));

		if (d < 0 || (unsigned)d >= base)
			break;
		if (__builtin_mul_overflow(n, base, &n) ||
		    __builtin_add_overflow(n, (unsigned)d, &n))
			n = UINT64_MAX;
		c->p++;
	}
	*out = n;
	return c->p > start;
}

static int64_t
with_sign(uint64_t n, bool negative)
{
	if (n > INT64_MAX)
		return negative ? INT64_MIN : INT64_MAX;
	return negative ? -(int64_t)n : (int64_t)n;
}

static bool
take_signed(struct cursor *c, unsigned base, int64_t *out)
{
	bool negative = false;
	uint64_t n;

	blanks(c);
	if (cursor_take(c, '-'))
		negative = true;
	else
		cursor_take(c, '+');
	if (!take_digits(c, base, &n))
		return false;
	*out = with_sign(n, negative);
	return true;
}

bool
exim_number_c(struct str s, int64_t *out)
{
	struct cursor c = cursor_from(s);

	while (cursor_left(&c) >= 2 && c.p[0] == '-' && c.p[1] == '-')
		c.p += 2;
	*out = 0;
	if (cursor_at_end(&c))
		return true;
	return take_signed(&c, 0, out) && cursor_at_end(&c);
}

static int64_t
times(int64_t n, int64_t factor)
{
	int64_t product;

	if (__builtin_mul_overflow(n, factor, &product))
		return n < 0 ? INT64_MIN : INT64_MAX;
	return product;
}

bool
exim_number_filter(struct str s, int64_t *out)
{
	struct cursor c = cursor_from(s);

	if (!take_signed(&c, 0, out))
		return false;
	if (cursor_take(&c, 'k') || cursor_take(&c, 'K'))
		*out = times(*out, 1024);
	if (cursor_take(&c, 'm') || cursor_take(&c, 'M'))
		*out = times(*out, 1024 * 1024);
	blanks(&c);
	*out = *out > INT_MAX ? INT_MAX : *out < INT_MIN ? INT_MIN : *out;
	return cursor_at_end(&c);
}

bool
exim_number_decimal(struct str s, int64_t *out)
{
	struct cursor c = cursor_from(s);

	*out = 0;
	blanks(&c);
	if (cursor_at_end(&c))
		return true;
	if (!take_signed(&c, 10, out))
		return false;
	if (cursor_take(&c, 'k') || cursor_take(&c, 'K'))
		*out = times(*out, 1024);
	else if (cursor_take(&c, 'm') || cursor_take(&c, 'M'))
		*out = times(*out, 1024 * 1024);
	else if (cursor_take(&c, 'g') || cursor_take(&c, 'G'))
		*out = times(*out, 1024 * 1024 * 1024);
	blanks(&c);
	return cursor_at_end(&c);
}

/* --- eval: binary operators by how tightly they bind --- */

#define EVAL_DEPTH_MAX 100

struct eval {
	struct cursor at;
	bool decimal;
	unsigned depth;
	const char *why;
};

static bool eval_level(struct eval *v, unsigned level, int64_t *out);

static bool
eval_error(struct eval *v, const char *why)
{
	v->why = why;
	return false;
}

/* number [KMG] / "(" expression ")" / "-" … / "~" … */
static bool
eval_operand(struct eval *v, int64_t *out)
{
	uint64_t n;
	bool negative;

	if (++v->depth > EVAL_DEPTH_MAX)
		return eval_error(v, "expression is nested too deeply");
	blanks(&v->at);
	if (cursor_take(&v->at, '~')) {
		if (!eval_operand(v, out))
			return false;
		*out = ~*out;
	} else if (cursor_peek(&v->at) == '-' || cursor_peek(&v->at) == '+') {
		negative = *v->at.p++ == '-';
		if (!eval_operand(v, out))
			return false;
		if (negative)
			*out = (int64_t)(0 - (uint64_t)*out);
	} else if (cursor_take(&v->at, '(')) {
		if (!eval_level(v, 0, out))
			return false;
		if (!cursor_take(&v->at, ')'))
			return eval_error(v, "expecting closing parenthesis");
	} else {
		if (!ascii_is_digit((char)cursor_peek(&v->at)) ||
		    !take_digits(&v->at, v->decimal ? 10 : 0, &n))
			return eval_error(v, "expecting number or opening parenthesis");
		*out = with_sign(n, false);
		if (cursor_take(&v->at, 'k') || cursor_take(&v->at, 'K'))
			*out = times(*out, 1024);
		else if (cursor_take(&v->at, 'm') || cursor_take(&v->at, 'M'))
			*out = times(*out, 1024 * 1024);
		else if (cursor_take(&v->at, 'g') || cursor_take(&v->at, 'G'))
			*out = times(*out, 1024 * 1024 * 1024);
	}
	blanks(&v->at);
	v->depth--;
	return true;
}

static bool
divide(struct eval *v, char op, int64_t *a, int64_t b)
{
	if (b == 0)
		return eval_error(v, op == '/' ? "divide by zero" : "modulo by zero");
	if (*a == INT64_MIN && b == -1)
		*a = op == '/' ? INT64_MAX : 0;
	else
		*a = op == '/' ? *a / b : *a % b;
	return true;
}

static bool
apply(struct eval *v, char op, int64_t *a, int64_t b)
{
	unsigned by = (unsigned)b & 63;

	switch (op) {
	case '|': *a |= b; break;
	case '^': *a ^= b; break;
	case '&': *a &= b; break;
	case '<': *a = (int64_t)((uint64_t)*a << by); break;
	case '>': *a >>= by; break;
	case '+':
		if (__builtin_add_overflow(*a, b, a))
			return eval_error(v, "overflow in addition");
		break;
	case '-':
		if (__builtin_sub_overflow(*a, b, a))
			return eval_error(v, "overflow in subtraction");
		break;
	case '*':
		if (__builtin_mul_overflow(*a, b, a))
			return eval_error(v, "overflow in multiplication");
		break;
	default: return divide(v, op, a, b);
	}
	return true;
}

/* "|" and "^" bind least, then "&", "<<" and ">>", "+" and "-", then "*", "/" and "%". */
static const char *const LEVELS[] = { "|", "^", "&", "<>", "+-", "*/%" };

static bool
eval_level(struct eval *v, unsigned level, int64_t *out)
{
	int64_t b;

	if (level == ARRAY_LEN(LEVELS))
		return eval_operand(v, out);
	if (!eval_level(v, level + 1, out))
		return false;
	for (;;) {
		int ch = cursor_peek(&v->at);

		if (ch <= 0 || strchr(LEVELS[level], ch) == NULL)
			return true;
		if (ch == '<' || ch == '>') {
			if (cursor_left(&v->at) < 2 || v->at.p[1] != ch)
				return true;
			v->at.p++;
		}
		v->at.p++;
		if (!eval_level(v, level + 1, &b) || !apply(v, (char)ch, out, b))
			return false;
	}
}

bool
exim_eval(struct str s, bool decimal, int64_t *out, const char **why_out)
{
	struct eval v = { cursor_from(s), decimal, 0, NULL };
	bool ok = eval_level(&v, 0, out);

	if (ok && !cursor_at_end(&v.at)) {
		v.why = "expecting operator";
		ok = false;
	}
	*why_out = v.why;
	return ok;
}

static const struct {
	char letter;
	uint64_t seconds;
} UNITS[] = { { 'w', 7 * 86400 }, { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };

bool
exim_time_parse(struct str s, uint64_t *seconds_out)
{
	struct cursor c = cursor_from(s);
	uint64_t n;

	*seconds_out = 0;
	if (s.len == 0)
		return false;
	while (!cursor_at_end(&c)) {
		size_t i = 0;

		if (!cursor_take_u64(&c, &n))
			return false;
		while (i < ARRAY_LEN(UNITS) && cursor_peek(&c) != UNITS[i].letter)
			i++;
		if (i == ARRAY_LEN(UNITS) && !cursor_at_end(&c))
			return false;
		if (!cursor_at_end(&c))
			c.p++;
		if (__builtin_mul_overflow(n, i < ARRAY_LEN(UNITS) ? UNITS[i].seconds : 1, &n) ||
		    __builtin_add_overflow(*seconds_out, n, seconds_out))
			return false;
	}
	return true;
}

void
exim_time_print(struct exim_text *out, uint64_t seconds)
{
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
		uint64_t n = seconds / UNITS[i].seconds;

		seconds %= UNITS[i].seconds;
		if (n == 0 && (any || UNITS[i].letter != 's'))
			continue;
		exim_text_printf(out, "%llu%c", (unsigned long long)n, UNITS[i].letter);
		any = true;
	}
}
