#include "filter/sieve/match.h"

#include <inttypes.h>
#include <stdio.h>

#include "filter/regex.h"
#include "filter/sieve/glob.h"
#include "filter/sieve/program.h"
#include "filter/sieve/run.h"
#include "filter/sieve/run_internal.h"

#define REGEX_COMPILE_WORK 256 /* a byte of a pattern costs as much as reading that many */

enum relation { REL_NONE, REL_GT, REL_GE, REL_LT, REL_LE, REL_EQ, REL_NE };

/* A key made ready.  Of a constant it is made once, while checking. */
struct sieve_key {
	struct str text;
	struct str normal; /* the comparator's normal form; of a pattern too */
	struct sieve_glob *glob;
	struct sieve_regex *regex;
};

struct sieve_match {
	enum sieve_tag how; /* SIEVE_TAG_IS … SIEVE_TAG_LIST */
	enum relation relation;
	const struct sieve_comparator *comparator;
	const struct sieve_arg *arg;
	struct sieve_key *constant; /* NULL: there are variables in the keys */
	bool captures;              /* somebody may read ${1} */
};

static bool
check_comparator(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	const struct sieve_comparator *comparator;
	struct str name = arg->strings[0].text;

	(void)call;
	if (!sieve_is_constant(&arg->strings[0]))
		return sieve_check_error(c, arg->line, "a comparator's name must be written out");
	comparator = sieve_comparator_find(name);
	if (comparator == NULL)
		return sieve_check_error(c, arg->line, "unknown comparator \"%.*s\"",
		    name.len > 60 ? 60 : (int)name.len, name.p);
	if (!sieve_capability_always(comparator->cap) && !sieve_check_has(c, comparator->cap))
		return sieve_check_error(c, arg->line, "comparator \"%s\" needs require \"%s\"",
		    comparator->name, sieve_capability_name(comparator->cap));
	return true;
}

const struct sieve_tag_spec SIEVE_MATCH_TAGS[] = {
	{ .name = "comparator",
	    .id = SIEVE_TAG_COMPARATOR,
	    .value = SIEVE_STRING,
	    .check = check_comparator },
	{ .name = "is", .id = SIEVE_TAG_IS, .group = SIEVE_GROUP_MATCH },
	{ .name = "contains", .id = SIEVE_TAG_CONTAINS, .group = SIEVE_GROUP_MATCH },
	{ .name = "matches", .id = SIEVE_TAG_MATCHES, .group = SIEVE_GROUP_MATCH },
	{ .name = "count",
	    .id = SIEVE_TAG_COUNT,
	    .cap = SIEVE_CAP_RELATIONAL,
	    .value = SIEVE_STRING,
	    .group = SIEVE_GROUP_MATCH },
	{ .name = "value",
	    .id = SIEVE_TAG_VALUE,
	    .cap = SIEVE_CAP_RELATIONAL,
	    .value = SIEVE_STRING,
	    .group = SIEVE_GROUP_MATCH },
	{ .name = "regex",
	    .id = SIEVE_TAG_REGEX,
	    .cap = SIEVE_CAP_REGEX,
	    .group = SIEVE_GROUP_MATCH },
	{ .name = "list",
	    .id = SIEVE_TAG_LIST,
	    .cap = SIEVE_CAP_EXTLISTS,
	    .group = SIEVE_GROUP_MATCH },
	{ 0 },
};

/* --- checking --- */

/* relational-match = "gt" / "ge" / "lt" / "le" / "eq" / "ne", RFC 5231 §4 */
static bool
check_relation(struct sieve_check *c, const struct sieve_arg *arg, enum relation *relation_out)
{
	static const char *const NAMES[] = { "", "gt", "ge", "lt", "le", "eq", "ne" };
	struct str name = arg->strings[0].text;

	for (unsigned i = REL_GT; i <= REL_NE; i++)
		if (sieve_is_constant(&arg->strings[0]) &&
		    str_eq_nocase(name, str_from(NAMES[i]))) {
			*relation_out = (enum relation)i;
			return true;
		}
	return sieve_check_error(
	    c, arg->line, "a relation is one of gt, ge, lt, le, eq, ne (RFC 5231)");
}

static struct str
normal_form(struct arena *a, const struct sieve_comparator *comparator, struct str s)
{
	struct buf b = { 0 };

	if (comparator->normal == NULL)
		return s;
	comparator->normal(&b, s);
	s = (struct str){ arena_strndup(a, b.data != NULL ? b.data : "", b.len), b.len };
	buf_free(&b);
	return s;
}

/* What a pattern is compared in: a form that keeps "*", "?" and "\" apart from text. */
static bool
key_make(struct sieve_key *key, const struct sieve_match *m, struct arena *a,
    struct sieve_regexes *regexes, struct str text, char *why, size_t why_size)
{
	*key = (struct sieve_key){ .text = text, .normal = text };
	if (m->how == SIEVE_TAG_REGEX) {
		key->regex =
		    sieve_regex_new(regexes, text, m->comparator->ignores_case, why, why_size);
		return key->regex != NULL;
	}
	if (m->how == SIEVE_TAG_LIST)
		return true;
	key->normal = normal_form(a, m->comparator, text);
	if (m->how == SIEVE_TAG_MATCHES)
		key->glob = sieve_glob_new(a, key->normal, !m->comparator->same_length);
	return true;
}

static bool
check_keys(struct sieve_check *c, struct sieve_match *m)
{
	struct arena *a = sieve_check_arena(c);
	char why[160];

	for (size_t i = 0; i < m->arg->count; i++)
		if (!sieve_is_constant(&m->arg->strings[i]))
			return true;
	m->constant = arena_zalloc(a, (m->arg->count + 1) * sizeof(*m->constant));
	for (size_t i = 0; i < m->arg->count; i++)
		if (!key_make(&m->constant[i], m, a, &c->program->regexes, m->arg->strings[i].text,
			why, sizeof(why)))
			return sieve_check_error(
			    c, m->arg->line, "the regular expression is wrong: %s", why);
	return true;
}

/* Which of SIEVE_MATCH_TAGS was given. */
static const struct sieve_arg *
how_tag(const struct sieve_call *call)
{
	for (size_t i = 0; i < call->tag_count; i++)
		if (call->tags[i].tag >= SIEVE_TAG_IS && call->tags[i].tag <= SIEVE_TAG_LIST)
			return &call->tags[i];
	return NULL;
}

bool
sieve_match_check(struct sieve_check *c, struct sieve_call *call)
{
	struct sieve_match *m = arena_zalloc(sieve_check_arena(c), sizeof(*m));
	const struct sieve_arg *how = how_tag(call), *name = sieve_tag(call, SIEVE_TAG_COMPARATOR);

	call->match = m;
	m->how = how != NULL ? how->tag : SIEVE_TAG_IS;
	m->comparator =
	    name != NULL ? sieve_comparator_find(name->strings[0].text) : &SIEVE_ASCII_CASEMAP;
	m->arg = call->args[call->spec->keys_arg - 1];
	m->captures = sieve_check_has(c, SIEVE_CAP_VARIABLES) && !call->spec->no_captures;
	if ((m->how == SIEVE_TAG_CONTAINS || m->how == SIEVE_TAG_MATCHES ||
		m->how == SIEVE_TAG_REGEX) &&
	    !m->comparator->substrings)
		return sieve_check_error(c, call->line, "comparator \"%s\" cannot do :%s",
		    m->comparator->name, how->tag_spec->name);
	if (how != NULL && how->type == SIEVE_STRING && !check_relation(c, how, &m->relation))
		return false;
	return check_keys(c, m);
}

/* --- running --- */

void
sieve_match_begin_keys(struct sieve_matcher *m, struct sieve_run *r, const struct sieve_call *call,
    const struct str *texts, size_t count)
{
	struct sieve_key *keys = arena_alloc(r->arena, (count + 1) * sizeof(*keys));
	char why[160];

	*m = (struct sieve_matcher){
		.r = r, .call = call, .match = call->match, .keys = keys, .key_count = count
	};
	for (size_t i = 0; i < count; i++) {
		if (!key_make(&keys[i], m->match, r->arena, sieve_run_regexes(r), texts[i], why,
			sizeof(why)))
			sieve_trace(r, call->line, "  the regular expression is wrong: %s", why);
		if (sieve_run_regexes(r)->bytes > FILTER_REGEX_BYTES)
			sieve_run_error(
			    r, call->line, "the regular expressions are too large together");
		if (!sieve_run_work(r, call->line, REGEX_COMPILE_WORK * texts[i].len)) {
			m->failed = true;
			m->key_count = 0;
			return;
		}
	}
}

void
sieve_match_begin(struct sieve_matcher *m, struct sieve_run *r, const struct sieve_call *call)
{
	const struct sieve_arg *arg = call->match->arg;
	struct str *texts;

	if (call->match->constant == NULL) {
		texts = arena_alloc(r->arena, (arg->count + 1) * sizeof(*texts));
		for (size_t i = 0; i < arg->count; i++)
			texts[i] = sieve_expand(r, &arg->strings[i]);
		sieve_match_begin_keys(m, r, call, texts, arg->count);
		return;
	}
	*m = (struct sieve_matcher){
		.r = r,
		.call = call,
		.match = call->match,
		.keys = call->match->constant,
		.key_count = arg->count,
	};
}

bool
sieve_match_counts(const struct sieve_matcher *m)
{
	return m->match->how == SIEVE_TAG_COUNT;
}

static bool
holds(enum relation relation, int order)
{
	switch (relation) {
	case REL_GT: return order > 0;
	case REL_GE: return order >= 0;
	case REL_LT: return order < 0;
	case REL_LE: return order <= 0;
	case REL_EQ: return order == 0;
	default: return order != 0;
	}
}

/* Where places of a normal form lie in the value itself: its characters are brought into that form one by
 * one until the place is reached.  Places that are asked for only grow. */
struct origin {
	const struct sieve_comparator *comparator;
	struct str value;
	size_t at;       /* in value */
	struct buf form; /* of value up to `at` */
};

static const char *
origin_of(struct origin *o, size_t place)
{
	while (o->form.len < place && o->at < o->value.len) {
		size_t next = o->at + 1;

		while (next < o->value.len && ((unsigned char)o->value.p[next] & 0xc0) == 0x80)
			next++;
		o->comparator->normal(&o->form, (struct str){ o->value.p + o->at, next - o->at });
		o->at = next;
	}
	return o->value.p + o->at;
}

/* Captures come in order, behind the whole, which is the value. */
static void
find_origins(const struct sieve_comparator *comparator, struct str value, struct str normal,
    struct str *spans, size_t count)
{
	struct origin o = { .comparator = comparator, .value = value };

	for (size_t i = 1; i < count; i++) {
		const char *start = origin_of(&o, (size_t)(spans[i].p - normal.p));
		const char *end = origin_of(&o, (size_t)(spans[i].p - normal.p) + spans[i].len);

		spans[i] = (struct str){ start, (size_t)(end - start) };
	}
	if (count > 0)
		spans[0] = value;
	buf_free(&o.form);
}

/* Matches are found in the normal form; what they stand for is in the value, RFC 5229 §3.2. */
static void
set_captures(
    struct sieve_matcher *m, struct str value, struct str normal, struct str *spans, size_t count)
{
	if (m->match->comparator->same_length)
		for (size_t i = 0; i < count; i++)
			spans[i].p = value.p + (spans[i].p - normal.p);
	else if (m->match->comparator->normal != NULL)
		find_origins(m->match->comparator, value, normal, spans, count);
	sieve_match_variables_set(m->r, spans, count);
}

/* Whoever reads long texts says so here: for sieve_glob_watch and filter_regex_watch. */
static bool
go_on(void *arg, size_t bytes)
{
	struct sieve_matcher *m = arg;

	if (!sieve_run_work(m->r, m->call->line, bytes))
		m->failed = true;
	return !m->failed;
}

static bool
match_glob(
    struct sieve_matcher *m, const struct sieve_key *key, struct str value, struct str normal)
{
	struct str spans[SIEVE_MATCH_VARIABLES];
	size_t count;
	struct sieve_glob_watch watch = { .go_on = go_on, .arg = m };
	const bool captures = m->match->captures;
	bool matched = sieve_glob_match(
	    key->glob, normal, captures ? spans : NULL, SIEVE_MATCH_VARIABLES, &count, &watch);

	if (matched && captures && !m->failed)
		set_captures(m, value, normal, spans, count);
	return matched && !m->failed;
}

static bool
match_regex(struct sieve_matcher *m, const struct sieve_key *key, struct str value)
{
	struct filter_regex_watch watch = { .go_on = go_on, .arg = m };
	struct str spans[SIEVE_MATCH_VARIABLES];
	size_t count;

	if (key->regex == NULL)
		return false; /* out of a variable, and wrong */
	switch (
	    sieve_regex_match(key->regex, value, &watch, spans, SIEVE_MATCH_VARIABLES, &count)) {
	case SIEVE_REGEX_NO: return false;
	case SIEVE_REGEX_YES:
		if (m->match->captures)
			sieve_match_variables_set(m->r, spans, count);
		return true;
	default:
		m->failed = true;
		return sieve_run_error(
		    m->r, m->call->line, "the regular expression takes too long for this message");
	}
}

static bool
match_list(struct sieve_matcher *m, const struct sieve_key *key, struct str value)
{
	const struct filter_surroundings *around = m->r->around;
	const char *list = sieve_cstr(m->r, key->text);

	if (around->list_has == NULL)
		return false;
	switch (around->list_has(around->arg, list, value)) {
	case FILTER_NO: return false;
	case FILTER_YES:
		if (m->match->captures) /* RFC 6134 §2.8 */
			sieve_match_variables_set(m->r, &value, 1);
		return true;
	default:
		m->failed = true;
		return sieve_run_tempfail(m->r, m->call->line, "list \"%s\" cannot be read", list);
	}
}

static bool
match_key(struct sieve_matcher *m, const struct sieve_key *key, struct str value, struct str normal)
{
	const struct sieve_comparator *comparator = m->match->comparator;

	switch (m->match->how) {
	case SIEVE_TAG_CONTAINS: return str_find(normal, key->normal) != SIZE_MAX;
	case SIEVE_TAG_MATCHES: return match_glob(m, key, value, normal);
	case SIEVE_TAG_VALUE:
		return holds(m->match->relation, comparator->compare(normal, key->normal));
	case SIEVE_TAG_REGEX: return match_regex(m, key, value);
	case SIEVE_TAG_LIST: return match_list(m, key, value);
	default:
		return comparator->equal != NULL ? comparator->equal(value, key->text)
						 : comparator->compare(normal, key->normal) == 0;
	}
}

/* The form in which the value is compared: in a buffer that the next value overwrites. */
static struct str
value_normal(struct sieve_matcher *m, struct str value)
{
	const struct sieve_match *match = m->match;
	struct buf *scratch = sieve_run_scratch(m->r);

	if (match->comparator->normal == NULL || match->how == SIEVE_TAG_REGEX ||
	    match->how == SIEVE_TAG_LIST ||
	    (match->how == SIEVE_TAG_IS && match->comparator->equal != NULL))
		return value;
	buf_reset(scratch);
	buf_reserve(scratch, 1);
	match->comparator->normal(scratch, value);
	return (struct str){ scratch->data, scratch->len };
}

static void
trace_match(const struct sieve_matcher *m, const struct sieve_key *key, struct str value, bool yes)
{
	if (m->r->tracing)
		sieve_trace(m->r, m->call->line, "  \"%.*s\" %s \"%.*s\"",
		    value.len > 200 ? 200 : (int)value.len, value.p,
		    yes ? "matches" : "does not match",
		    key->text.len > 200 ? 200 : (int)key->text.len, key->text.p);
}

bool
sieve_match_value(struct sieve_matcher *m, struct str value)
{
	struct str normal;

	if (m->failed || m->truth)
		return true;
	if (sieve_match_counts(m)) {
		m->count++;
		return false;
	}
	if (!sieve_run_step(m->r, m->call->line, 1 + (unsigned)m->key_count)) {
		m->failed = true;
		return true;
	}
	normal = value_normal(m, value);
	for (size_t i = 0; i < m->key_count && !m->truth && go_on(m, value.len); i++) {
		m->truth = match_key(m, &m->keys[i], value, normal);
		trace_match(m, &m->keys[i], value, m->truth);
	}
	return m->truth || m->failed;
}

/* :count: the number as a string against the keys, RFC 5231 §4.2. */
static void
match_count(struct sieve_matcher *m)
{
	const struct sieve_comparator *comparator = m->match->comparator;
	char digits[24];
	struct str value = { digits, 0 };

	value.len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, m->count);
	for (size_t i = 0; i < m->key_count && !m->truth; i++) {
		m->truth = holds(m->match->relation, comparator->compare(value, m->keys[i].normal));
		trace_match(m, &m->keys[i], value, m->truth);
	}
}

bool
sieve_match_end(struct sieve_matcher *m, bool *truth_out)
{
	if (sieve_match_counts(m) && !m->failed)
		match_count(m);
	*truth_out = m->truth;
	return !m->failed && !sieve_run_failed(m->r);
}

bool
sieve_match_fields(struct sieve_run *r, const struct sieve_call *call, sieve_match_field_fn *match,
    bool *truth_out)
{
	const struct sieve_arg *names = call->args[0];
	struct sieve_matcher m;
	struct sieve_field *field;
	bool done = false;

	sieve_match_begin(&m, r, call);
	for (size_t i = 0; i < names->count && !done; i++) {
		struct sieve_walk walk;

		sieve_walk_begin(&walk, r, call, sieve_expand(r, &names->strings[i]));
		while (!done && (field = sieve_walk_next(&walk)) != NULL)
			done = match(&m, field);
	}
	return sieve_match_end(&m, truth_out);
}
