/* ${name{…}{…}}: the items of string expansion, and those that are refused. */
#include "filter/exim/digests.h"
#include "filter/exim/expand.h"
#include "filter/exim/lex.h"
#include "filter/exim/numbers.h"
#include "filter/exim/regex.h"

static bool
args(struct exim_expansion *e, const char *name, bool skip, unsigned count, struct str *out)
{
	for (unsigned i = 0; i < count; i++) {
		if (!exim_expand_more(e))
			return exim_expand_fail(
			    e, "Not enough arguments for '%s' (min is %u)", name, count);
		if (!exim_expand_arg(e, skip, &out[i]))
			return false;
	}
	return true;
}

/* ${if condition {yes}{no}}; what a match captured is gone behind it. */
static bool
item_if(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct exim_captures saved;
	bool yes = false;

	exim_captures_save(e->x, &saved);
	if (!exim_expand_condition(e, skip, &yes) ||
	    !exim_expand_yesno(e, skip, yes, "if", STR("true"), out))
		return false;
	exim_captures_restore(e->x, &saved);
	return true;
}

/* yes and no with $value set for yes */
static bool
yesno_value(struct exim_expansion *e, bool skip, bool found, const char *name, struct str value,
    struct exim_text *out)
{
	struct str before = e->x->value;

	if (!skip && found)
		e->x->value = value;
	if (!exim_expand_yesno(e, skip, found, name, value, out))
		return false;
	e->x->value = before;
	return true;
}

/* The n-th field, where any of the separators parts two; counted from the end if n < 0, all if 0. */
static bool
numbered_field(struct str text, struct str separators, int64_t n, struct str *out)
{
	int64_t count = 1, at = 1;
	size_t start = 0;

	if (n == 0) {
		*out = text;
		return true;
	}
	for (size_t i = 0; i < text.len; i++)
		if (separators.len > 0 && memchr(separators.p, text.p[i], separators.len) != NULL)
			count++;
	if (n < 0)
		n = count + n + 1;
	if (n < 1 || n > count)
		return false;
	for (size_t i = 0; i <= text.len; i++) {
		if (i < text.len && (separators.len == 0 ||
					memchr(separators.p, text.p[i], separators.len) == NULL))
			continue;
		if (at++ == n) {
			*out = (struct str){ text.p + start, i - start };
			return true;
		}
		start = i + 1;
	}
	return false;
}

static bool
is_key_byte(char ch)
{
	return ch != '=' && !ascii_is_space(ch);
}

static bool
is_plain_byte(char ch)
{
	return !ascii_is_space(ch);
}

/* "a=1 b = 'two' c="three words"": the value of a key, case not minded. */
static bool
keyed_field(struct exim_expansion *e, struct str key, struct str text, struct str *out)
{
	struct cursor c = cursor_from(text);

	for (;;) {
		struct exim_text value = { .arena = &e->x->scratch };
		struct str name;

		cursor_take_while(&c, ascii_is_space);
		if (cursor_at_end(&c))
			return false;
		name = cursor_take_while(&c, is_key_byte);
		cursor_take_while(&c, ascii_is_space);
		if (cursor_take(&c, '='))
			cursor_take_while(&c, ascii_is_space);
		if (cursor_take(&c, '"')) {
			while (!cursor_at_end(&c) && *c.p != '"') {
				if (*c.p == '\\' && cursor_left(&c) > 1) {
					c.p++;
					exim_text_char(&value, exim_escape(&c));
				} else {
					exim_text_char(&value, *c.p++);
				}
			}
			cursor_take(&c, '"');
		} else {
			exim_text_str(&value, cursor_take_while(&c, is_plain_byte));
		}
		*out = exim_text_get(&value);
		if (str_eq_nocase(name, key))
			return true;
	}
}

static bool
is_number(struct str s)
{
	struct cursor c = cursor_from(s);

	cursor_take(&c, '-');
	return cursor_take_while(&c, ascii_is_digit).len > 0 && cursor_at_end(&c);
}

/* ${extract{key}{text}…} or ${extract{number}{separators}{text}…} */
static bool
item_extract(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str key, second, text, value = { "", 0 };
	bool found = false;
	int64_t n = 0;

	if (!args(e, "extract", skip, 1, &key))
		return false;
	if (!exim_expand_more(e))
		return exim_expand_fail(e, "missing '{' for arg 2 of extract");
	if (!exim_expand_arg(e, skip, &second))
		return false;
	key = str_trim(key);
	if (skip) {
		/* Two or three strings before yes and no; what is left over does not matter here. */
		for (int i = 0; i < 3 && exim_expand_more(e); i++)
			if (!exim_expand_arg(e, true, &text))
				return false;
		if (cursor_peek(&e->at) == 'f' && cursor_left(&e->at) >= 4)
			e->at.p += 4;
		return true;
	}
	if (key.len == 0)
		return exim_expand_fail(e, "first argument of \"extract\" must not be empty");
	if (!is_number(key)) {
		found = keyed_field(e, key, second, &value);
	} else {
		if (!args(e, "extract", skip, 1, &text))
			return false;
		if (!exim_number_decimal(key, &n))
			return exim_expand_fail(
			    e, "first argument of \"extract\" must be a number");
		found = numbered_field(text, second, n, &value);
	}
	return yesno_value(e, skip, found, "extract", value, out);
}

static bool
item_listextract(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str a[2], item, value = { "", 0 };
	int64_t n = 0, count = 0;
	bool found = false;

	if (!args(e, "listextract", skip, 2, a))
		return false;
	if (!skip && (!is_number(str_trim(a[0])) || !exim_number_decimal(a[0], &n)))
		return exim_expand_fail(e, "first argument of \"listextract\" must be numeric");
	if (n < 0) {
		struct exim_list all = { .at = cursor_from(a[1]) };

		while (exim_list_next(&e->x->scratch, &all, &item))
			count++;
		n = count + n + 1;
	}
	if (!skip && n > 0) {
		struct exim_list list = { .at = cursor_from(a[1]) };

		while (exim_list_next(&e->x->scratch, &list, &item)) {
			if (!exim_step(e->x))
				return false;
			if (--n > 0)
				continue;
			value = item;
			found = true;
			break;
		}
	}
	return yesno_value(e, skip, found, "listextract", value, out);
}

static bool
item_listquote(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str a[2];

	if (!args(e, "listquote", skip, 2, a))
		return false;
	if (skip)
		return true;
	if (a[0].len == 0)
		return exim_expand_fail(e, "listquote needs a separator");
	exim_list_add(out, a[1], a[0].p[0], true);
	return true;
}

/* --- loops over lists --- */

static struct exim_expansion
at_body(struct exim_expansion *e, struct str body)
{
	return (struct exim_expansion){ .x = e->x, .at = cursor_from(body), .depth = e->depth };
}

static bool
expand_body(struct exim_expansion *e, struct str body, struct str *out)
{
	struct exim_expansion inner = at_body(e, body);
	struct exim_text text = { .arena = &e->x->scratch };

	if (!exim_step(e->x) || !exim_expand_part(&inner, false, false, &text))
		return false;
	*out = exim_text_get(&text);
	return true;
}

static bool
add_item(
    struct exim_expansion *e, struct exim_text *out, struct str item, char separator, bool *first)
{
	exim_list_add(out, item, separator, *first);
	*first = false;
	if (out->len <= EXIM_RESULT_MAX_BYTES)
		return true;
	e->x->over_limit = true;
	return exim_fail(e->x, FILTER_ERROR_RUNTIME, "an expanded string is larger than %d bytes",
	    EXIM_RESULT_MAX_BYTES);
}

static bool
item_filter(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str list_text, item, before = e->x->item;
	struct exim_expansion start, end = { 0 };
	bool first = true, yes = false;

	if (!args(e, "filter", skip, 1, &list_text))
		return false;
	if (!exim_expand_more(e))
		return exim_expand_fail(e, "missing '{' for second arg of filter");
	e->at.p++;
	start = *e;
	/* Once without effect: this finds the end, and what is wrong even in an empty list. */
	if (!exim_expand_condition(e, true, &yes))
		return false;
	exim_expand_blanks(e);
	if (!cursor_take(&e->at, '}'))
		return exim_expand_fail(e, "missing } at end of condition inside \"filter\"");
	if (skip)
		return true;
	for (struct exim_list list = { .at = cursor_from(list_text) };
	     exim_list_next(&e->x->scratch, &list, &item);) {
		end = start;
		e->x->item = item;
		if (!exim_step(e->x) || !exim_expand_condition(&end, false, &yes))
			return false;
		if (yes && !add_item(e, out, item, list.separator, &first))
			return false;
	}
	e->x->item = before;
	return true;
}

static bool
item_map(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str list_text, body, item, mapped, before = e->x->item;
	bool first = true;

	if (!args(e, "map", skip, 1, &list_text))
		return false;
	if (!exim_expand_more(e))
		return exim_expand_fail(e, "missing '{' for second arg of map");
	if (!exim_expand_raw(e, &body))
		return false;
	if (skip)
		return true;
	for (struct exim_list list = { .at = cursor_from(list_text) };
	     exim_list_next(&e->x->scratch, &list, &item);) {
		e->x->item = item;
		if (!expand_body(e, body, &mapped) ||
		    !add_item(e, out, mapped, list.separator, &first))
			return false;
	}
	e->x->item = before;
	return true;
}

static bool
item_reduce(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str a[2], body, item, before = e->x->item, value_before = e->x->value;

	if (!args(e, "reduce", skip, 2, a))
		return false;
	if (!exim_expand_more(e))
		return exim_expand_fail(e, "missing '{' for third arg of reduce");
	if (!exim_expand_raw(e, &body))
		return false;
	if (skip)
		return true;
	e->x->value = a[1];
	for (struct exim_list list = { .at = cursor_from(a[0]) };
	     exim_list_next(&e->x->scratch, &list, &item);) {
		e->x->item = item;
		if (!expand_body(e, body, &a[1]))
			return false;
		e->x->value = a[1];
	}
	exim_text_str(out, e->x->value);
	e->x->item = before;
	e->x->value = value_before;
	return true;
}

/* --- sort: by a comparison of the conditions --- */

static const struct comparison {
	const char *name;
	bool numeric, nocase;
	int sign; /* which outcome it asks for */
	bool or_equal;
} COMPARISONS[] = {
	{ "<", true, false, -1, false },
	{ "<=", true, false, -1, true },
	{ ">", true, false, 1, false },
	{ ">=", true, false, 1, true },
	{ "lt", false, false, -1, false },
	{ "le", false, false, -1, true },
	{ "lti", false, true, -1, false },
	{ "lei", false, true, -1, true },
	{ "gt", false, false, 1, false },
	{ "ge", false, false, 1, true },
	{ "gti", false, true, 1, false },
	{ "gei", false, true, 1, true },
};

struct sorted {
	struct str item, key;
};

static int
order_strings(struct str a, struct str b, bool nocase)
{
	size_t n = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < n; i++) {
		unsigned char p = (unsigned char)a.p[i], q = (unsigned char)b.p[i];

		if (nocase) {
			p = (unsigned char)ascii_lower((char)p);
			q = (unsigned char)ascii_lower((char)q);
		}
		if (p != q)
			return p < q ? -1 : 1;
	}
	return a.len < b.len ? -1 : a.len > b.len;
}

static bool
order(struct exim_expansion *e, const struct comparison *how, struct str a, struct str b, int *out)
{
	int64_t m, n;

	if (!exim_step(e->x))
		return false;
	if (!how->numeric) {
		*out = order_strings(a, b, how->nocase);
		return true;
	}
	if (!exim_number_decimal(a, &m) || !exim_number_decimal(b, &n))
		return exim_expand_fail(e, "integer expected in \"sort\"");
	*out = m < n ? -1 : m > n;
	return true;
}

/* Merges two sorted runs; equal ones stay in their order. */
static bool
merge_sort(struct exim_expansion *e, const struct comparison *how, struct sorted *s,
    struct sorted *spare, size_t count)
{
	for (size_t width = 1; width < count; width *= 2) {
		for (size_t lo = 0; lo < count; lo += 2 * width) {
			size_t mid = lo + width < count ? lo + width : count;
			size_t hi = lo + 2 * width < count ? lo + 2 * width : count;
			size_t i = lo, j = mid;

			for (size_t k = lo; k < hi; k++) {
				int sign = -1;

				if (i < mid && j < hi && !order(e, how, s[i].key, s[j].key, &sign))
					return false;
				if (i < mid && (j == hi || sign == how->sign || sign == 0))
					spare[k] = s[i++];
				else
					spare[k] = s[j++];
			}
		}
		memcpy(s, spare, count * sizeof(*s));
	}
	return true;
}

static bool
item_sort(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str a[2], body, item, before = e->x->item;
	const struct comparison *how = NULL;
	struct exim_list list;
	struct sorted *s;
	size_t count = 0, n = 0;
	bool first = true;

	if (!args(e, "sort", skip, 2, a))
		return false;
	if (!exim_expand_more(e))
		return exim_expand_fail(e, "missing '{' for third arg of sort");
	if (!exim_expand_raw(e, &body))
		return false;
	if (skip)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(COMPARISONS); i++)
		if (str_eq(a[1], str_from(COMPARISONS[i].name)))
			how = &COMPARISONS[i];
	if (how == NULL)
		return exim_expand_fail(e, "comparator \"%.50s\" of sort is not known", a[1].p);
	list = (struct exim_list){ .at = cursor_from(a[0]) };
	while (exim_list_next(&e->x->scratch, &list, &item)) {
		if (!exim_step(e->x))
			return false;
		count++;
	}
	s = arena_alloc(&e->x->scratch, (2 * count + 1) * sizeof(*s));
	list = (struct exim_list){ .at = cursor_from(a[0]) };
	while (n < count && exim_list_next(&e->x->scratch, &list, &s[n].item)) {
		e->x->item = s[n].item;
		if (!expand_body(e, body, &s[n].key))
			return false;
		n++;
	}
	e->x->item = before;
	if (!merge_sort(e, how, s, s + count, count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!add_item(e, out, s[i].item, list.separator, &first))
			return false;
	return true;
}

/* --- pieces of strings --- */

/* ${length{n}{text}} and the like: the numbers come first. */
static bool
numbers_then_text(struct exim_expansion *e, const char *name, bool skip, unsigned numbers_max,
    struct str *text_out)
{
	struct str a[3];
	unsigned count = 0;

	while (count <= numbers_max && exim_expand_more(e))
		if (!exim_expand_arg(e, skip, &a[count++]))
			return false;
	if (count < 2)
		return exim_expand_fail(e, "Not enough arguments for '%s' (min is 2)", name);
	*text_out = a[count - 1];
	e->number_count = count - 1;
	for (unsigned i = 0; i + 1 < count && !skip; i++)
		if (!is_number(str_trim(a[i])) || !exim_number_decimal(a[i], &e->numbers[i]))
			return exim_expand_fail(
			    e, "\"%.50s\" is not a number (in \"%s\" expansion)", a[i].p, name);
	return true;
}

static bool
item_length(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str text;

	return numbers_then_text(e, "length", skip, 1, &text) &&
	       (skip || exim_op_length(e, text, out));
}

static bool
item_substr(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str text;

	return numbers_then_text(e, "substr", skip, 2, &text) &&
	       (skip || exim_op_substr(e, text, out));
}

static bool
item_hash(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str text;

	return numbers_then_text(e, "hash", skip, 2, &text) && (skip || exim_op_hash(e, text, out));
}

static bool
item_nhash(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str text;

	return numbers_then_text(e, "nhash", skip, 2, &text) &&
	       (skip || exim_op_nhash(e, text, out));
}

/* One replacement, with $0… of this match. */
static bool
replace(struct exim_expansion *e, struct exim_regex *r, struct str subject, struct str with,
    struct exim_text *out)
{
	struct exim_run *x = e->x;
	struct str text;

	x->capture_count = exim_regex_groups(r);
	if (x->capture_count > EXIM_CAPTURES_MAX)
		x->capture_count = EXIM_CAPTURES_MAX;
	for (size_t i = 0; i < x->capture_count; i++)
		x->captures[i] = exim_regex_group(r, subject, i);
	if (!expand_body(e, with, &text))
		return false;
	exim_text_str(out, text);
	if (out->len <= EXIM_RESULT_MAX_BYTES)
		return true;
	x->over_limit = true;
	return exim_fail(x, FILTER_ERROR_RUNTIME, "an expanded string is larger than %d bytes",
	    EXIM_RESULT_MAX_BYTES);
}

/* All matches from left to right; behind an empty one the next byte is copied if nothing else matches there. */
static bool
replace_all(struct exim_expansion *e, struct exim_regex *r, struct str subject, struct str with,
    struct exim_text *out)
{
	bool not_empty = false, found;
	size_t at = 0;

	while (at <= subject.len) {
		struct str whole;
		size_t start;

		if (!exim_regex_match(e->x, r, subject, at, not_empty, &found))
			return false;
		if (!found && !not_empty)
			break;
		if (!found) {
			if (at == subject.len)
				break;
			exim_text_char(out, subject.p[at++]);
			not_empty = false;
			continue;
		}
		whole = exim_regex_group(r, subject, 0);
		start =
		    whole.len > 0 || (whole.p >= subject.p && whole.p <= subject.p + subject.len)
			? (size_t)(whole.p - subject.p)
			: at;
		if (start < at) /* by \K in a look-behind */
			start = at;
		exim_text_add(out, subject.p + at, start - at);
		if (!replace(e, r, subject, with, out))
			return false;
		at = start + whole.len;
		not_empty = whole.len == 0;
	}
	if (at < subject.len)
		exim_text_add(out, subject.p + at, subject.len - at);
	return true;
}

/* ${sg{subject}{pattern}{replacement}} */
static bool
item_sg(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct exim_captures saved;
	struct exim_regex *r;
	struct str a[3];
	bool ok;

	if (!args(e, "sg", skip, 3, a))
		return false;
	if (skip)
		return true;
	r = exim_regex_open(e->x, a[1], false);
	if (r == NULL)
		return false;
	exim_captures_save(e->x, &saved);
	ok = replace_all(e, r, a[0], a[2], out);
	exim_captures_restore(e->x, &saved);
	exim_regex_close(r);
	return ok;
}

/* ${tr{subject}{from}{to}}: a short `to` goes on with its last byte. */
static bool
item_tr(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str a[3];
	char to[256];

	if (!args(e, "tr", skip, 3, a))
		return false;
	if (skip || a[2].len == 0) {
		exim_text_str(out, skip ? (struct str){ "", 0 } : a[0]);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(to); i++)
		to[i] = (char)i;
	for (size_t i = 0; i < a[1].len; i++)
		to[(unsigned char)a[1].p[i]] = a[2].p[i < a[2].len ? i : a[2].len - 1];
	for (size_t i = 0; i < a[0].len; i++)
		exim_text_char(out, to[(unsigned char)a[0].p[i]]);
	return true;
}

/* ${hmac{md5}{secret}{text}}, also sha1 */
static bool
item_hmac(struct exim_expansion *e, bool skip, struct exim_text *out)
{
	struct str a[3];

	if (!args(e, "hmac", skip, 3, a))
		return false;
	if (skip || exim_hmac(out, a[0], a[1], a[2]))
		return true;
	return exim_expand_fail(e, "hmac algorithm \"%.50s\" is not recognised", a[0].p);
}

#define PROGRAMS "a filter starts no programs"
#define FILES    "a filter reads no files"
#define LOOKUPS  "a filter looks nothing up"
#define SERVER   "it is not for users' filters"

static const struct exim_item ITEMS[] = {
	{ "acl", NULL, SERVER },
	{ "authresults", NULL, SERVER },
	{ "certextract", NULL, SERVER },
	{ "dlfunc", NULL, PROGRAMS },
	{ "env", NULL, SERVER },
	{ "extract", item_extract, NULL },
	{ "filter", item_filter, NULL },
	{ "hash", item_hash, NULL },
	{ "hmac", item_hmac, NULL },
	{ "if", item_if, NULL },
	{ "imapfolder", NULL, SERVER },
	{ "length", item_length, NULL },
	{ "listextract", item_listextract, NULL },
	{ "listquote", item_listquote, NULL },
	{ "lookup", NULL, LOOKUPS },
	{ "map", item_map, NULL },
	{ "nhash", item_nhash, NULL },
	{ "perl", NULL, PROGRAMS },
	{ "prvs", NULL, SERVER },
	{ "prvscheck", NULL, SERVER },
	{ "readfile", NULL, FILES },
	{ "readsocket", NULL, FILES },
	{ "reduce", item_reduce, NULL },
	{ "run", NULL, PROGRAMS },
	{ "sg", item_sg, NULL },
	{ "sort", item_sort, NULL },
	{ "srs_encode", NULL, SERVER },
	{ "substr", item_substr, NULL },
	{ "tr", item_tr, NULL },
};

const struct exim_item *
exim_item_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(ITEMS); i++)
		if (str_eq(name, str_from(ITEMS[i].name)))
			return &ITEMS[i];
	return NULL;
}
