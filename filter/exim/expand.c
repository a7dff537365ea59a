#include "filter/exim/expand.h"

#include <stdarg.h>
#include <stdio.h>

#include "filter/exim/lex.h"

void
exim_expand_fail_set(struct exim_expansion *e, const char *fmt, ...)
{
	char text[FILTER_ERROR_TEXT_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	exim_fail_set(e->x, FILTER_ERROR_EXPAND, "%s", text);
}

void
exim_expand_blanks(struct exim_expansion *e)
{
	cursor_take_while(&e->at, ascii_is_space);
}

bool
exim_expand_more(struct exim_expansion *e)
{
	exim_expand_blanks(e);
	return cursor_peek(&e->at) == '{';
}

bool
exim_expand_arg(struct exim_expansion *e, bool skip, struct str *out)
{
	struct exim_text text = { .arena = &e->x->scratch };

	if (!exim_expand_more(e))
		return exim_expand_fail(e, "missing or misplaced { or }");
	e->at.p++;
	if (!exim_expand_part(e, true, skip, &text))
		return false;
	if (!cursor_take(&e->at, '}'))
		return exim_expand_fail(e, "missing } at end of string");
	*out = exim_text_get(&text);
	return true;
}

bool
exim_expand_raw(struct exim_expansion *e, struct str *out)
{
	const char *start = e->at.p + 1;
	struct str ignored;

	if (!exim_expand_arg(e, true, &ignored))
		return false;
	*out = (struct str){ start, (size_t)(e->at.p - 1 - start) };
	return true;
}

static bool
take_fail(struct exim_expansion *e)
{
	struct cursor c = e->at;

	if (!str_eq(cursor_take_while(&c, ascii_is_alpha), STR("fail")))
		return false;
	e->at = c;
	return true;
}

bool
exim_expand_yesno(struct exim_expansion *e, bool skip, bool yes, const char *item, struct str value,
    struct exim_text *out)
{
	struct exim_text ignored = { .arena = &e->x->scratch };
	struct str text;

	if (!exim_expand_more(e)) {
		if (cursor_peek(&e->at) != '}')
			return exim_expand_fail(e,
			    "curly-bracket problem in conditional yes/no parsing: 'yes' part did "
			    "not start with '{'");
		if (yes && !skip)
			exim_text_str(out, value);
		return true;
	}
	if (!exim_expand_arg(e, skip || !yes, &text))
		return false;
	exim_text_str(yes && !skip ? out : &ignored, text);
	if (exim_expand_more(e)) {
		if (!exim_expand_arg(e, skip || yes, &text))
			return false;
		exim_text_str(!yes && !skip ? out : &ignored, text);
	} else if (take_fail(e) && !yes && !skip) {
		return exim_expand_fail(e, "\"%s\" failed and \"fail\" requested", item);
	}
	exim_expand_blanks(e);
	if (cursor_peek(&e->at) != '}')
		return exim_expand_fail(e,
		    "curly-bracket problem in conditional yes/no parsing: did not close with '}'");
	return true;
}

void
exim_captures_save(struct exim_run *x, struct exim_captures *saved_out)
{
	memcpy(saved_out->at, x->captures, x->capture_count * sizeof(x->captures[0]));
	saved_out->count = x->capture_count;
}

void
exim_captures_restore(struct exim_run *x, const struct exim_captures *saved)
{
	memcpy(x->captures, saved->at, saved->count * sizeof(x->captures[0]));
	x->capture_count = saved->count;
}

static bool
is_name_byte(char ch)
{
	return ascii_is_alnum(ch) || ch == '_';
}

static bool
is_operator_byte(char ch)
{
	return is_name_byte(ch) || ch == '-';
}

static bool
refused(struct exim_expansion *e, struct str name, const char *why)
{
	return exim_fail(e->x, FILTER_ERROR_FORBIDDEN, "\"%.*s\" is not permitted: %s",
	    (int)name.len, name.p, why);
}

/* Over what is refused but not reached: to the brace that closes it. */
static bool
skip_braces(struct exim_expansion *e)
{
	unsigned open = 0;

	for (; !cursor_at_end(&e->at); e->at.p++) {
		if (*e->at.p == '\\' && cursor_left(&e->at) > 1)
			e->at.p++;
		else if (*e->at.p == '{')
			open++;
		else if (*e->at.p == '}' && open-- == 0)
			return true;
	}
	return exim_expand_fail(e, "missing } at end of string");
}

static bool
expand_item(struct exim_expansion *e, const struct exim_item *item, struct str name, bool skip,
    struct exim_text *out)
{
	const char *outer = e->operator_name;
	bool ok;

	if (item->refused != NULL)
		return skip ? skip_braces(e) : refused(e, name, item->refused);
	e->operator_name = item->name;
	ok = item->expand(e, skip, out);
	e->operator_name = outer;
	if (!ok)
		return false;
	exim_expand_blanks(e);
	return cursor_peek(&e->at) == '}' ||
	       exim_expand_fail(e, "missing } at end of string - after \"%s\"", item->name);
}

/* The numbers of substr_-3_2. */
static bool
operator_numbers(struct exim_expansion *e, struct str name, struct str numbers)
{
	struct cursor c = cursor_from(numbers);

	e->number_count = 0;
	while (!cursor_at_end(&c) && e->number_count < ARRAY_LEN(e->numbers)) {
		bool negative = cursor_take(&c, '-');
		uint32_t n;

		if (!cursor_take_u32(&c, &n))
			return exim_expand_fail(
			    e, "non-digit after underscore in \"%.*s\"", (int)name.len, name.p);
		e->numbers[e->number_count++] = negative ? -(int64_t)n : (int64_t)n;
		if (!cursor_at_end(&c) && !cursor_take(&c, '_'))
			break;
	}
	return cursor_at_end(&c) ||
	       exim_expand_fail(e, "non-digit after underscore in \"%.*s\"", (int)name.len, name.p);
}

static bool
expand_operator(struct exim_expansion *e, struct str name, bool skip, struct exim_text *out)
{
	const struct exim_operator *operator= exim_operator_find(name);
	struct exim_text inner = { .arena = &e->x->scratch };
	const char *low = memchr(name.p, '_', name.len);
	struct str base = name;

	if (operator== NULL && low != NULL) {
		base.len = (size_t)(low - name.p);
		operator= exim_operator_find(base);
		if (operator!= NULL && !operator->numbers)
			operator= NULL;
	}
	if (operator== NULL)
		return exim_expand_fail(
		    e, "unknown expansion operator \"%.*s\"", (int)name.len, name.p);
	if (operator->refused != NULL)
		return skip ? skip_braces(e) : refused(e, name, operator->refused);
	e->at.p++; /* the colon */
	if (!exim_expand_part(e, true, skip, &inner))
		return false;
	if (cursor_peek(&e->at) != '}')
		return exim_expand_fail(e, "missing } at end of string");
	e->number_count = 0;
	if (base.len < name.len &&
	    !operator_numbers(
		e, name, (struct str){ name.p + base.len + 1, name.len - base.len - 1 }))
		return false;
	e->operator_name = operator->name;
	return skip || operator->apply(e, exim_text_get(&inner), out);
}

/* ${10} */
static bool
capture(struct exim_expansion *e, struct exim_text *out)
{
	struct exim_run *x = e->x;
	uint32_t n = 0;

	if (!cursor_take_u32(&e->at, &n))
		return exim_expand_fail(e, "number too large");
	if (n < x->capture_count)
		exim_text_str(out, x->captures[n]);
	return true;
}

/* ${…}: a number, an item, an operator or a variable. */
static bool
expand_braces(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	const struct exim_item *item;
	struct str name, value;
	int next;

	if (ascii_is_digit((char)cursor_peek(&e->at))) {
		if (!capture(e, out))
			return false;
		return cursor_take(&e->at, '}') || exim_expand_fail(e, "} expected after ${number");
	}
	if (!ascii_is_alpha((char)cursor_peek(&e->at)))
		return exim_expand_fail(e, "letter or digit expected after ${");
	name = cursor_take_while(&e->at, is_operator_byte);
	item = exim_item_find(name);
	next = cursor_peek(&e->at);
	if (item != NULL && next != ':' && next != '}') {
		if (!expand_item(e, item, name, skip, out))
			return false;
	} else if (next == ':') {
		if (!expand_operator(e, name, skip, out))
			return false;
	} else if (next == '}') {
		if (exim_header_prefix(name) > 0 || !exim_variable(e->x, name, skip, &value))
			return e->x->over_limit
				   ? false
				   : exim_expand_fail(e, "unknown variable in \"${%.*s}\"",
					 (int)name.len, name.p);
		exim_text_str(out, value);
	} else {
		return exim_expand_fail(e,
		    "\"${%.*s\" is not a known operator (or a } is missing in a variable "
		    "reference)",
		    (int)name.len, name.p);
	}
	e->at.p++;
	return true;
}

static bool
ends_header_name(char ch)
{
	return ch == ':' || ascii_is_space(ch);
}

/* $name; a header's name goes to the next colon, which is taken, or blank. */
static bool
expand_variable(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	const char *start = e->at.p;
	struct str name, value;

	name = cursor_take_while(&e->at, is_name_byte);
	if (exim_header_prefix(name) > 0) {
		while (!cursor_at_end(&e->at) && !ends_header_name(*e->at.p))
			e->at.p++;
		name = (struct str){ start, (size_t)(e->at.p - start) };
		cursor_take(&e->at, ':');
	}
	if (!exim_variable(e->x, name, skip, &value))
		return e->x->over_limit ? false
					: exim_expand_fail(e, "unknown variable name \"%.*s\"",
					      (int)(name.len < 100 ? name.len : 100), name.p);
	exim_text_str(out, value);
	return true;
}

static bool
expand_dollar(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	int next = cursor_peek(&e->at);
	bool ok;

	if (!exim_step(e->x))
		return false;
	if (next >= 0 && ascii_is_digit((char)next))
		return capture(e, out);
	if (next >= 0 && ascii_is_alpha((char)next))
		return expand_variable(e, skip, out);
	if (!cursor_take(&e->at, '{'))
		return exim_expand_fail(e, "$ not followed by letter, digit, or {");
	if (++e->depth > EXIM_EXPAND_DEPTH_MAX) {
		e->x->over_limit = true;
		return exim_fail(
		    e->x, FILTER_ERROR_RUNTIME, "string expansion is nested too deeply");
	}
	ok = expand_braces(e, skip, out);
	e->depth--;
	return ok;
}

/* Behind a backslash: \N…\N is copied as it is. */
static bool
expand_backslash(struct exim_expansion *e, struct exim_text *out)
{
	if (cursor_at_end(&e->at))
		return exim_expand_fail(e, "\\ at end of string");
	if (!cursor_take(&e->at, 'N')) {
		exim_text_char(out, exim_escape(&e->at));
		return true;
	}
	while (!cursor_at_end(&e->at)) {
		if (*e->at.p == '\\' && cursor_left(&e->at) > 1 && e->at.p[1] == 'N') {
			e->at.p += 2;
			break;
		}
		exim_text_char(out, *e->at.p++);
	}
	return true;
}

bool
exim_expand_part(struct exim_expansion *e, bool braced, bool skip, struct exim_text *out)
{
	while (!cursor_at_end(&e->at)) {
		char ch = *e->at.p;

		if (ch == '}' && braced)
			break;
		e->at.p++;
		if (ch == '\\') {
			if (!expand_backslash(e, out))
				return false;
		} else if (ch == '$') {
			if (!expand_dollar(e, skip, out))
				return false;
		} else {
			exim_text_char(out, ch);
		}
		if (out->len > EXIM_RESULT_MAX_BYTES) {
			e->x->over_limit = true;
			return exim_fail(e->x, FILTER_ERROR_RUNTIME,
			    "an expanded string is larger than %d bytes", EXIM_RESULT_MAX_BYTES);
		}
	}
	return true;
}

bool
exim_expand(struct exim_run *x, struct str text, struct str *out)
{
	struct exim_expansion e = { .x = x, .at = cursor_from(text) };
	struct exim_text result = { .arena = &x->scratch };

	if (!exim_expand_part(&e, false, false, &result))
		return false;
	*out = exim_text_get(&result);
	return true;
}

/* --- lists --- */

bool
exim_list_next(struct arena *a, struct exim_list *list, struct str *item_out)
{
	struct cursor *c = &list->at;
	struct exim_text item = { .arena = a };

	cursor_take_while(c, ascii_is_space);
	if (cursor_at_end(c))
		return false;
	if (list->separator == 0) {
		list->separator = ':';
		if (*c->p == '<' && cursor_left(c) > 1 && !ascii_is_alnum(c->p[1]) &&
		    c->p[1] != ' ' && (unsigned char)c->p[1] < 127) {
			list->separator = c->p[1];
			c->p += 2;
			cursor_take_while(c, ascii_is_space);
			if (cursor_at_end(c))
				return false;
		}
	}
	while (!cursor_at_end(c)) {
		char ch = *c->p++;

		if (ch == list->separator && (ch < ' ' || !cursor_take(c, ch)))
			break;
		exim_text_char(&item, ch);
	}
	*item_out = exim_text_get(&item);
	while (item_out->len > 0 && ascii_is_space(item_out->p[item_out->len - 1]))
		item_out->len--;
	item.p[item_out->len] = '\0';
	return true;
}

void
exim_list_add(struct exim_text *out, struct str item, char separator, bool first)
{
	if (!first)
		exim_text_char(out, separator);
	for (size_t i = 0; i < item.len; i++) {
		exim_text_char(out, item.p[i]);
		if (item.p[i] == separator)
			exim_text_char(out, separator);
	}
	/* An empty one needs something to be seen. */
	if (item.len == 0)
		exim_text_char(out, ' ');
}
