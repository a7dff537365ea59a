/* Conditions of ${if, ${filter, forany and forall. */
#include "filter/exim/addresses.h"
#include "filter/exim/expand.h"
#include "filter/exim/headers.h"
#include "filter/exim/ip.h"
#include "filter/exim/match.h"
#include "filter/exim/numbers.h"
#include "filter/exim/regex.h"

#define ARGUMENTS_MAX 2

struct test {
	const char *name;
	unsigned arguments; /* strings in braces, expanded */
	bool (*run)(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out);
	/* instead, for what is no list of strings */
	bool (*parse)(struct exim_expansion *e, const struct test *t, bool skip, bool *out);
	int sign; /* of comparisons: which outcome */
	bool or_equal, nocase;
	const char *refused;
};

static int
order_bytes(struct str a, struct str b, bool nocase)
{
	size_t n = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < n; i++) {
		unsigned char p = (unsigned char)(nocase ? ascii_lower(a.p[i]) : a.p[i]);
		unsigned char q = (unsigned char)(nocase ? ascii_lower(b.p[i]) : b.p[i]);

		if (p != q)
			return p < q ? -1 : 1;
	}
	return a.len < b.len ? -1 : a.len > b.len;
}

static bool
compare_strings(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	int sign = order_bytes(a[0], a[1], t->nocase);

	(void)e;
	*out = sign == 0 ? t->or_equal : sign == t->sign;
	return true;
}

static bool
number(struct exim_expansion *e, struct str s, int64_t *out)
{
	struct str trimmed = str_trim(s);

	if (exim_number_decimal(s, out))
		return true;
	return exim_expand_fail(e,
	    trimmed.len > 0 && (ascii_is_digit(trimmed.p[0]) || trimmed.p[0] == '-')
		? "invalid integer \"%.60s\""
		: "integer expected but \"%.60s\" found",
	    s.p);
}

static bool
compare_numbers(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	int64_t m, n;

	if (!number(e, a[0], &m) || !number(e, a[1], &n))
		return false;
	*out = m == n ? t->or_equal : (m < n ? -1 : 1) == t->sign;
	return true;
}

/* bool is strict about its words, bool_lax takes everything but "", no, false and 0 for true. */
static bool
test_bool(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	struct str s = str_trim(a[0]);
	struct cursor c = cursor_from(s);
	bool lax = t->nocase;
	int64_t n;

	cursor_take(&c, '-');
	*out = false;
	if (lax) {
		*out = s.len > 0 && !str_eq(s, STR("0")) && !str_eq_nocase(s, STR("no")) &&
		       !str_eq_nocase(s, STR("false"));
		return true;
	}
	if (s.len == 0 || str_eq_nocase(s, STR("no")) || str_eq_nocase(s, STR("false")))
		return true;
	*out = true;
	if (str_eq_nocase(s, STR("yes")) || str_eq_nocase(s, STR("true")))
		return true;
	if (cursor_take_while(&c, ascii_is_digit).len > 0 && cursor_at_end(&c) &&
	    exim_number_decimal(s, &n)) {
		*out = n != 0;
		return true;
	}
	return exim_expand_fail(e, "unrecognised boolean value \"%.60s\"", s.p);
}

static bool
test_match(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	(void)t;
	return exim_match(e->x, a[0], a[1], false, out);
}

static bool
test_inlist(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	struct exim_list list = { .at = cursor_from(a[1]) };
	struct str item;

	*out = false;
	while (!*out && exim_list_next(&e->x->scratch, &list, &item)) {
		if (!exim_step(e->x))
			return false;
		*out = order_bytes(a[0], item, t->nocase) == 0;
	}
	return true;
}

static bool
test_isip(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	struct exim_ip ip;

	(void)e;
	*out = exim_ip_parse(a[0], false, &ip) && (t->sign == 0 || (int)ip.len == t->sign);
	return true;
}

static bool
test_first_delivery(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	/* Exim says no while it tests a filter; in a delivery this is the first attempt. */
	(void)e, (void)t, (void)a;
	*out = true;
	return true;
}

static bool
test_match_domain(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	(void)t;
	return exim_match_domain(e->x, a[0], a[1], out);
}

static bool
test_match_local_part(
    struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	(void)t;
	return exim_match_local_part(e->x, a[0], a[1], out);
}

static bool
test_match_address(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	(void)t;
	return exim_match_address(e->x, a[0], a[1], out);
}

static bool
test_match_ip(struct exim_expansion *e, const struct test *t, const struct str *a, bool *out)
{
	(void)t;
	return exim_match_ip(e->x, a[0], a[1], out);
}

/* def:name: is the variable there and not empty? */
static bool
parse_def(struct exim_expansion *e, const struct test *t, bool skip, bool *out)
{
	const char *start;
	struct str name, value;

	(void)t;
	if (!cursor_take(&e->at, ':'))
		return exim_expand_fail(e, "\":\" expected after \"def\"");
	start = e->at.p;
	while (!cursor_at_end(&e->at) && (ascii_is_alnum(*e->at.p) || *e->at.p == '_'))
		e->at.p++;
	name = (struct str){ start, (size_t)(e->at.p - start) };
	if (exim_header_prefix(name) > 0) {
		while (!cursor_at_end(&e->at) && *e->at.p != ':' && !ascii_is_space(*e->at.p))
			e->at.p++;
		name = (struct str){ start, (size_t)(e->at.p - start) };
		cursor_take(&e->at, ':');
	}
	/* A header counts as there even if it is empty. */
	if (exim_header_prefix(name) > 0) {
		name.p += exim_header_prefix(name);
		name.len -= (size_t)(name.p - start);
		*out = !skip && exim_header(e->x, name, EXIM_HEADER_RAW).len > 0;
		return true;
	}
	if (!exim_variable(e->x, name, skip, &value))
		return e->x->over_limit
			   ? false
			   : exim_expand_fail(e, "unknown variable name \"%.*s\" after \"def:\"",
				 (int)(name.len < 100 ? name.len : 100), name.p);
	*out = value.len > 0;
	return true;
}

/* and{{…}{…}}, or{{…}{…}}: what is not needed is read over. */
static bool
parse_group(struct exim_expansion *e, const struct test *t, bool skip, bool *out)
{
	bool stop = t->or_equal, one = false;

	if (!exim_expand_more(e))
		return exim_expand_fail(e, "missing { after \"%s\"", t->name);
	e->at.p++;
	*out = !stop;
	while (exim_expand_more(e)) {
		bool needed = !skip && *out != stop;

		e->at.p++;
		if (!exim_expand_condition(e, !needed, &one))
			return false;
		if (needed)
			*out = one;
		exim_expand_blanks(e);
		if (!cursor_take(&e->at, '}'))
			return exim_expand_fail(
			    e, "missing } at end of condition inside \"%s\" group", t->name);
	}
	return cursor_take(&e->at, '}') ||
	       exim_expand_fail(e, "missing } at end of \"%s\"", t->name);
}

/* forany{list}{condition}, forall{list}{condition}; in an empty list neither holds. */
static bool
parse_loop(struct exim_expansion *e, const struct test *t, bool skip, bool *out)
{
	struct exim_expansion start, at;
	struct str list_text, item, before = e->x->item;
	struct exim_list list;

	if (!exim_expand_arg(e, skip, &list_text))
		return false;
	if (!exim_expand_more(e))
		return exim_expand_fail(e, "missing { for second part of \"%s\"", t->name);
	e->at.p++;
	start = *e;
	if (!exim_expand_condition(e, true, out))
		return false;
	exim_expand_blanks(e);
	if (!cursor_take(&e->at, '}'))
		return exim_expand_fail(e, "missing } at end of condition inside \"%s\"", t->name);
	*out = false;
	if (skip)
		return true;
	list = (struct exim_list){ .at = cursor_from(list_text) };
	while (exim_list_next(&e->x->scratch, &list, &item)) {
		at = start;
		e->x->item = item;
		if (!exim_step(e->x) || !exim_expand_condition(&at, false, out))
			return false;
		if (*out == t->or_equal)
			break;
	}
	e->x->item = before;
	return true;
}

#define SERVER "it is not for users' filters"

static const struct test TESTS[] = {
	{ .name = "acl", .refused = SERVER },
	{ .name = "and", .parse = parse_group },
	{ .name = "bool", .arguments = 1, .run = test_bool },
	{ .name = "bool_lax", .arguments = 1, .run = test_bool, .nocase = true },
	{ .name = "crypteq", .refused = SERVER },
	{ .name = "def", .parse = parse_def },
	{ .name = "eq", .arguments = 2, .run = compare_strings, .or_equal = true },
	{ .name = "eqi", .arguments = 2, .run = compare_strings, .or_equal = true, .nocase = true },
	{ .name = "exists", .refused = "a filter reads no files" },
	{ .name = "first_delivery", .run = test_first_delivery },
	{ .name = "forall", .parse = parse_loop },
	{ .name = "forany", .parse = parse_loop, .or_equal = true },
	{ .name = "ge", .arguments = 2, .run = compare_strings, .sign = 1, .or_equal = true },
	{ .name = "gei",
	    .arguments = 2,
	    .run = compare_strings,
	    .sign = 1,
	    .or_equal = true,
	    .nocase = true },
	{ .name = "gt", .arguments = 2, .run = compare_strings, .sign = 1 },
	{ .name = "gti", .arguments = 2, .run = compare_strings, .sign = 1, .nocase = true },
	{ .name = "inbound_srs", .refused = SERVER },
	{ .name = "inlist", .arguments = 2, .run = test_inlist },
	{ .name = "inlisti", .arguments = 2, .run = test_inlist, .nocase = true },
	{ .name = "isip", .arguments = 1, .run = test_isip },
	{ .name = "isip4", .arguments = 1, .run = test_isip, .sign = 4 },
	{ .name = "isip6", .arguments = 1, .run = test_isip, .sign = 16 },
	{ .name = "ldapauth", .refused = SERVER },
	{ .name = "le", .arguments = 2, .run = compare_strings, .sign = -1, .or_equal = true },
	{ .name = "lei",
	    .arguments = 2,
	    .run = compare_strings,
	    .sign = -1,
	    .or_equal = true,
	    .nocase = true },
	{ .name = "lt", .arguments = 2, .run = compare_strings, .sign = -1 },
	{ .name = "lti", .arguments = 2, .run = compare_strings, .sign = -1, .nocase = true },
	{ .name = "match", .arguments = 2, .run = test_match },
	{ .name = "match_address", .arguments = 2, .run = test_match_address },
	{ .name = "match_domain", .arguments = 2, .run = test_match_domain },
	{ .name = "match_ip", .arguments = 2, .run = test_match_ip },
	{ .name = "match_local_part", .arguments = 2, .run = test_match_local_part },
	{ .name = "or", .parse = parse_group, .or_equal = true },
	{ .name = "pam", .refused = SERVER },
	{ .name = "pwcheck", .refused = SERVER },
	{ .name = "queue_running", .refused = SERVER },
	{ .name = "radius", .refused = SERVER },
	{ .name = "saslauthd", .refused = SERVER },
	{ .name = "<", .arguments = 2, .run = compare_numbers, .sign = -1 },
	{ .name = "<=", .arguments = 2, .run = compare_numbers, .sign = -1, .or_equal = true },
	{ .name = "=", .arguments = 2, .run = compare_numbers, .or_equal = true },
	{ .name = "==", .arguments = 2, .run = compare_numbers, .or_equal = true },
	{ .name = ">", .arguments = 2, .run = compare_numbers, .sign = 1 },
	{ .name = ">=", .arguments = 2, .run = compare_numbers, .sign = 1, .or_equal = true },
};

static const struct test *
find_test(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(TESTS); i++)
		if (str_eq(name, str_from(TESTS[i].name)))
			return &TESTS[i];
	return NULL;
}

static bool
is_sign(char ch)
{
	return ch == '<' || ch == '=' || ch == '>';
}

static bool
is_name_byte(char ch)
{
	return ascii_is_alnum(ch) || ch == '_';
}

/* Over the arguments of a test that is refused but not reached. */
static bool
skip_arguments(struct exim_expansion *e)
{
	struct str ignored;

	while (exim_expand_more(e))
		if (!exim_expand_arg(e, true, &ignored))
			return false;
	return true;
}

static bool
run_test(struct exim_expansion *e, const struct test *t, bool skip, bool *out)
{
	static const char *const NTH[] = { "1st", "2nd" };
	struct str a[ARGUMENTS_MAX] = { { "", 0 }, { "", 0 } };

	if (t->refused != NULL) {
		if (skip)
			return skip_arguments(e);
		return exim_fail(e->x, FILTER_ERROR_FORBIDDEN,
		    "condition \"%s\" is not permitted: %s", t->name, t->refused);
	}
	if (t->parse != NULL)
		return t->parse(e, t, skip, out);
	for (unsigned i = 0; i < t->arguments && i < ARGUMENTS_MAX; i++) {
		if (!exim_expand_more(e))
			return exim_expand_fail(
			    e, "missing %s string in {} after \"%s\"", NTH[i], t->name);
		if (!exim_expand_arg(e, skip, &a[i]))
			return false;
	}
	return skip || t->run(e, t, a, out);
}

bool
exim_expand_condition(struct exim_expansion *e, bool skip, bool *yes_out)
{
	const struct test *t;
	bool negated = false;
	struct str name;

	if (++e->depth > EXIM_EXPAND_DEPTH_MAX) {
		e->x->over_limit = true;
		return exim_fail(
		    e->x, FILTER_ERROR_RUNTIME, "string expansion is nested too deeply");
	}
	exim_expand_blanks(e);
	while (cursor_take(&e->at, '!')) {
		negated = !negated;
		exim_expand_blanks(e);
	}
	name = cursor_take_while(
	    &e->at, !cursor_at_end(&e->at) && is_sign(*e->at.p) ? is_sign : is_name_byte);
	if (name.len == 0)
		return exim_expand_fail(e, "condition name expected, but found \"%.*s\"",
		    (int)(cursor_left(&e->at) < 10 ? cursor_left(&e->at) : 10), e->at.p);
	t = find_test(name);
	if (t == NULL)
		return exim_expand_fail(e, "unknown condition \"%.*s\"",
		    (int)(name.len < 100 ? name.len : 100), name.p);
	*yes_out = false;
	if (!run_test(e, t, skip, yes_out))
		return false;
	*yes_out ^= negated;
	e->depth--;
	return true;
}
