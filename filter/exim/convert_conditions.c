#include <stdio.h>

#include "filter/exim/convert_internal.h"
#include "filter/exim/numbers.h"
#include "filter/exim/text.h"

/* What a condition looks at, as Sieve names it. */
enum subject_kind { HEADERS, ENVELOPE_FROM, SIZE };
struct subject {
	enum subject_kind kind;
	struct str names[16];
	size_t name_count;
	const char *part; /* of an address: ":domain " …, or "" */
};

static bool
is_header_name(char ch)
{
	return ch > ' ' && ch < 127 && ch != ':';
}

/* $h_a: $h_b:, … and nothing else but blanks and commas between them.  Not $rh_, which Sieve decodes. */
static bool
header_names(struct str value, struct subject *s)
{
	static const char *const PREFIXES[] = { "$h_", "$header_", "$bh_", "$bheader_" };
	struct cursor c = cursor_from(value);

	s->name_count = 0;
	while (!cursor_at_end(&c)) {
		struct str left = { c.p, cursor_left(&c) };
		size_t prefix = 0;

		if (s->name_count > 0 && (ascii_is_space(*c.p) || *c.p == ',')) {
			c.p++;
			continue;
		}
		for (size_t i = 0; i < ARRAY_LEN(PREFIXES); i++)
			if (str_has_prefix(left, str_from(PREFIXES[i])))
				prefix = strlen(PREFIXES[i]);
		if (prefix == 0 || s->name_count == ARRAY_LEN(s->names))
			return false;
		c.p += prefix;
		s->names[s->name_count] = cursor_take_while(&c, is_header_name);
		if (s->names[s->name_count++].len == 0)
			return false;
		cursor_take(&c, ':');
	}
	s->kind = HEADERS;
	return s->name_count > 0;
}

static const struct {
	const char *variable;
	enum subject_kind kind;
	const char *part;
} VARIABLES[] = {
	{ "$sender_address", ENVELOPE_FROM, "" },
	{ "$return_path", ENVELOPE_FROM, "" },
	{ "$sender_address_local_part", ENVELOPE_FROM, ":localpart " },
	{ "$sender_address_domain", ENVELOPE_FROM, ":domain " },
	{ "$message_size", SIZE, "" },
};

static bool
find_subject(struct str value, struct subject *s)
{
	value = str_trim(value);
	for (size_t i = 0; i < ARRAY_LEN(VARIABLES); i++)
		if (str_eq(value, str_from(VARIABLES[i].variable))) {
			s->kind = VARIABLES[i].kind;
			s->part = VARIABLES[i].part;
			return true;
		}
	return header_names(value, s);
}

static void
add_names(struct buf *out, const struct subject *s)
{
	if (s->kind == ENVELOPE_FROM) {
		buf_adds(out, "\"from\"");
		return;
	}
	if (s->name_count > 1)
		buf_addc(out, '[');
	for (size_t i = 0; i < s->name_count; i++) {
		if (i > 0)
			buf_adds(out, ", ");
		convert_string(out, s->names[i]);
	}
	if (s->name_count > 1)
		buf_addc(out, ']');
}

/* A text as a pattern of :matches in which it means itself. */
static void
add_glob(struct buf *out, struct str s, bool star_before, bool star_behind)
{
	struct buf glob = { 0 };

	if (star_before)
		buf_addc(&glob, '*');
	for (size_t i = 0; i < s.len; i++) {
		if (strchr("*?\\", s.p[i]) != NULL)
			buf_addc(&glob, '\\');
		buf_addc(&glob, s.p[i]);
	}
	if (star_behind)
		buf_addc(&glob, '*');
	convert_string(out, (struct str){ glob.data, glob.len });
	buf_free(&glob);
}

/* Only what extended regular expressions of POSIX (the regex draft) and PCRE2 read alike. */
static bool
is_portable_regex(struct str s)
{
	for (size_t i = 0; i + 1 < s.len; i++) {
		if (s.p[i] == '(' && s.p[i + 1] == '?')
			return false;
		if (strchr("*+?}", s.p[i]) != NULL && (s.p[i + 1] == '?' || s.p[i + 1] == '+'))
			return false;
		if (s.p[i] == '\\') {
			if (ascii_is_alnum(s.p[i + 1]))
				return false;
			i++;
		}
	}
	return s.len > 0 && s.p[s.len - 1] != '\n';
}

/* The test that compares, with `test` in front ("header ", "address :all ", "envelope "). */
static bool
add_comparison(struct conversion *c, struct buf *out, const struct exim_condition *cond,
    const struct subject *s, const char *test, struct str value)
{
	const char *comparator = cond->exact ? ":comparator \"i;octet\" " : "";

	if (s->name_count > 1 && s->kind == HEADERS && strcmp(test, "header ") == 0) {
		bool blank = cond->kind != EXIM_CONTAINS || value.len == 0;

		for (size_t i = 0; i < value.len; i++)
			blank = blank || ascii_is_space(value.p[i]) || value.p[i] == ',';
		if (blank)
			return convert_problem(c, cond->line,
			    "several headers in one string can only be searched for a word");
	}
	buf_adds(out, test);
	if (value.len == 0 && cond->kind == EXIM_IS && s->kind == HEADERS) {
		buf_printf(out, ":matches "); /* negated by the caller: nothing but "" */
		add_names(out, s);
		buf_adds(out, " \"?*\"");
		return true;
	}
	buf_printf(out, "%s%s",
	    cond->kind == EXIM_CONTAINS  ? ":contains "
	    : cond->kind == EXIM_IS      ? ":is "
	    : cond->kind == EXIM_MATCHES ? ":regex "
					 : ":matches ",
	    comparator);
	add_names(out, s);
	buf_addc(out, ' ');
	if (cond->kind == EXIM_BEGINS || cond->kind == EXIM_ENDS)
		add_glob(out, value, cond->kind == EXIM_ENDS, cond->kind == EXIM_BEGINS);
	else
		convert_string(out, value);
	return true;
}

static bool
convert_size(
    struct conversion *c, struct buf *out, const struct exim_condition *cond, struct str value)
{
	int64_t n;

	if ((cond->kind != EXIM_ABOVE && cond->kind != EXIM_BELOW) ||
	    !exim_number_filter(value, &n) || n < 0)
		return convert_problem(
		    c, cond->line, "$message_size can only be above or below a number");
	buf_printf(
	    out, "size %s %lld", cond->kind == EXIM_ABOVE ? ":over" : ":under", (long long)n);
	return true;
}

/* A op B, where A is something that Sieve can name and B is the same for every message. */
static bool
convert_comparison(struct conversion *c, struct buf *out, const struct exim_condition *cond)
{
	struct subject s = { .part = "" };
	struct str value;

	if (!find_subject(cond->a, &s))
		return convert_problem(c, cond->line,
		    "\"%.*s\" is nothing that a test of Sieve can look at",
		    (int)(cond->a.len < 100 ? cond->a.len : 100), cond->a.p);
	if (!convert_literal(c, cond->b, &value))
		return convert_problem(
		    c, cond->line, "what is compared with depends on the message");
	if (s.kind == SIZE)
		return convert_size(c, out, cond, value);
	if (cond->kind == EXIM_ABOVE || cond->kind == EXIM_BELOW)
		return convert_problem(
		    c, cond->line, "above and below can only be asked of $message_size");
	if (cond->kind == EXIM_CONTAINS && value.len == 0) {
		buf_adds(out, cond->exact ? "true" : "false");
		return true;
	}
	if (cond->kind == EXIM_MATCHES) {
		if (!is_portable_regex(value))
			return convert_problem(c, cond->line,
			    "the pattern \"%.100s\" is more than :regex can do", value.p);
		c->needs |= NEEDS_REGEX;
	}
	if (s.kind == ENVELOPE_FROM) {
		c->needs |= NEEDS_ENVELOPE;
		buf_printf(out, "envelope %s", s.part);
		return add_comparison(c, out, cond, &s, "", value);
	}
	if (cond->kind == EXIM_IS && value.len == 0)
		buf_adds(out, "not ");
	return add_comparison(c, out, cond, &s, "header ", value);
}

/* foranyaddress $h_to:,$h_cc: ($thisaddress …): :all of the addresses, any of which may match. */
static bool
convert_foranyaddress(struct conversion *c, struct buf *out, const struct exim_condition *cond)
{
	const struct exim_condition *inner = cond->left;
	bool any = inner->kind == EXIM_OR && !inner->negated;
	struct subject s = { .part = "" };
	struct str value;

	if (!header_names(str_trim(cond->a), &s))
		return convert_problem(
		    c, cond->line, "foranyaddress: the list is more than names of headers");
	if (any)
		buf_adds(out, "anyof(");
	for (const struct exim_condition *one = any ? inner->left : inner; one != NULL;
	     one = any ? one->next : NULL) {
		if (one->kind < EXIM_IS || one->kind > EXIM_MATCHES || one->negated ||
		    !str_eq(one->a, STR("$thisaddress")) || !convert_literal(c, one->b, &value) ||
		    value.len == 0 || (one->kind == EXIM_MATCHES && !is_portable_regex(value)))
			return convert_problem(c, cond->line,
			    "foranyaddress: the condition is more than one comparison of "
			    "$thisaddress");
		if (one->kind == EXIM_MATCHES)
			c->needs |= NEEDS_REGEX;
		add_comparison(c, out, one, &s, "address :all ", value);
		if (any && one->next != NULL)
			buf_adds(out, ", ");
	}
	if (any)
		buf_addc(out, ')');
	return true;
}

static bool
convert_personal(struct conversion *c, struct buf *out, const struct exim_condition *cond)
{
	struct buf own = { 0 };
	struct str alias;
	bool ok = true;

	buf_adds(&own, "[\"${me}\", \"${user}@${domain}\"");
	for (size_t i = 0; i < cond->alias_count; i++) {
		alias = cond->aliases[i];
		buf_adds(&own, ", ");
		convert_string(&own, alias);
		ok = ok && memchr(alias.p, '$', alias.len) == NULL;
	}
	buf_addc(&own, ']');
	if (ok) {
		c->needs |= NEEDS_ENVELOPE | NEEDS_VARIABLES | NEEDS_SUBADDRESS;
		c->personal = true;
		buf_printf(out,
		    "allof(not anyof(exists \"list-id\", exists \"list-help\", exists "
		    "\"list-subscribe\", exists \"list-unsubscribe\", exists \"list-post\", exists "
		    "\"list-owner\", exists \"list-archive\"), anyof(not exists "
		    "\"auto-submitted\", header :is \"auto-submitted\" \"no\"), address :is \"to\" "
		    "%s, not address :is \"from\" %s, not address :matches \"from\" "
		    "[\"server@*\", \"daemon@*\", \"root@*\", \"listserv@*\", \"majordomo@*\", "
		    "\"*-request@*\", \"owner-?*@*\"], not header :contains \"precedence\" "
		    "[\"bulk\", \"list\", \"junk\"], not envelope :is \"from\" \"\")",
		    buf_cstr(&own), buf_cstr(&own));
	}
	buf_free(&own);
	return ok || convert_problem(c, cond->line, "personal: an alias with a dollar sign");
}

static bool
convert_list(struct conversion *c, struct buf *out, const struct exim_condition *cond)
{
	buf_adds(out, cond->kind == EXIM_AND ? "allof(" : "anyof(");
	for (const struct exim_condition *part = cond->left; part != NULL; part = part->next) {
		if (!convert_condition(c, out, part))
			return false;
		if (part->next != NULL)
			buf_adds(out, ", ");
	}
	buf_addc(out, ')');
	return true;
}

bool
convert_condition(struct conversion *c, struct buf *out, const struct exim_condition *cond)
{
	if (cond->negated)
		buf_adds(out, "not ");
	switch (cond->kind) {
	case EXIM_AND:
	case EXIM_OR: return convert_list(c, out, cond);
	case EXIM_DELIVERED:
		return convert_problem(
		    c, cond->line, "delivered: Sieve does not know what it has done");
	case EXIM_ERROR_MESSAGE:
		c->needs |= NEEDS_ENVELOPE;
		buf_adds(out, "envelope :is \"from\" \"\"");
		return true;
	case EXIM_FIRST_DELIVERY: buf_adds(out, "true"); return true;
	case EXIM_MANUALLY_THAWED: buf_adds(out, "false"); return true;
	case EXIM_PERSONAL: return convert_personal(c, out, cond);
	case EXIM_FORANYADDRESS: return convert_foranyaddress(c, out, cond);
	default: return convert_comparison(c, out, cond);
	}
}
