/* set and string, RFC 5229; :quoteregex, draft-ietf-sieve-regex; :encodeurl, RFC 5435 §6. */
#include <inttypes.h>
#include <stdio.h>

#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"
#include "store/charset.h"

/* Modifiers of one precedence exclude each other, RFC 5229 §4.1. */
#define GROUP_CASE  SIEVE_GROUP_OWN
#define GROUP_FIRST (SIEVE_GROUP_OWN + 1)
#define GROUP_QUOTE (SIEVE_GROUP_OWN + 2)

const struct sieve_tag_spec SIEVE_MODIFIER_TAGS[] = {
	{ .name = "lower", .id = SIEVE_TAG_LOWER, .group = GROUP_CASE },
	{ .name = "upper", .id = SIEVE_TAG_UPPER, .group = GROUP_CASE },
	{ .name = "lowerfirst", .id = SIEVE_TAG_LOWERFIRST, .group = GROUP_FIRST },
	{ .name = "upperfirst", .id = SIEVE_TAG_UPPERFIRST, .group = GROUP_FIRST },
	{ .name = "quotewildcard", .id = SIEVE_TAG_QUOTEWILDCARD, .group = GROUP_QUOTE },
	{ .name = "quoteregex",
	    .id = SIEVE_TAG_QUOTEREGEX,
	    .cap = SIEVE_CAP_REGEX,
	    .group = GROUP_QUOTE },
	{ .name = "encodeurl", .id = SIEVE_TAG_ENCODEURL, .cap = SIEVE_CAP_ENOTIFY },
	{ .name = "length", .id = SIEVE_TAG_LENGTH },
	{ 0 },
};

static void
case_all(struct buf *out, struct str s, char (*change)(char c))
{
	for (size_t i = 0; i < s.len; i++)
		buf_addc(out, change(s.p[i]));
}

static void
modify_lower(struct buf *out, struct str s)
{
	case_all(out, s, ascii_lower);
}

static void
modify_upper(struct buf *out, struct str s)
{
	case_all(out, s, ascii_upper);
}

static void
modify_lowerfirst(struct buf *out, struct str s)
{
	buf_add(out, s.p, s.len);
	if (s.len > 0)
		out->data[0] = ascii_lower(out->data[0]);
}

static void
modify_upperfirst(struct buf *out, struct str s)
{
	buf_add(out, s.p, s.len);
	if (s.len > 0)
		out->data[0] = ascii_upper(out->data[0]);
}

static void
quote(struct buf *out, struct str s, const char *special)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] != '\0' && strchr(special, s.p[i]) != NULL)
			buf_addc(out, '\\');
		buf_addc(out, s.p[i]);
	}
}

static void
modify_quotewildcard(struct buf *out, struct str s)
{
	quote(out, s, "*?\\");
}

static void
modify_quoteregex(struct buf *out, struct str s)
{
	quote(out, s, "\\^$.[]|()?*+{}");
}

/* All but the unreserved of RFC 3986 §2.3. */
static void
modify_encodeurl(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (ascii_is_alnum(c) || (c != '\0' && strchr("-._~", c) != NULL))
			buf_addc(out, c);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)c);
	}
}

/* In characters, not bytes. */
static void
modify_length(struct buf *out, struct str s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	buf_printf(out, "%" PRIu64, n);
}

/* From the highest precedence to the lowest. */
static const struct {
	enum sieve_tag tag;
	void (*modify)(struct buf *out, struct str s);
} MODIFIERS[] = {
	{ SIEVE_TAG_LOWER, modify_lower },
	{ SIEVE_TAG_UPPER, modify_upper },
	{ SIEVE_TAG_LOWERFIRST, modify_lowerfirst },
	{ SIEVE_TAG_UPPERFIRST, modify_upperfirst },
	{ SIEVE_TAG_QUOTEWILDCARD, modify_quotewildcard },
	{ SIEVE_TAG_QUOTEREGEX, modify_quoteregex },
	{ SIEVE_TAG_ENCODEURL, modify_encodeurl },
	{ SIEVE_TAG_LENGTH, modify_length },
};

struct str
sieve_modify(struct sieve_run *r, const struct sieve_call *call, struct str value)
{
	for (size_t i = 0; i < ARRAY_LEN(MODIFIERS) && call->tag_count > 0; i++) {
		struct buf out = { 0 };

		if (sieve_tag(call, MODIFIERS[i].tag) == NULL)
			continue;
		MODIFIERS[i].modify(&out, value);
		value = sieve_copy(r, (struct str){ out.data, out.len });
		buf_free(&out);
	}
	return value;
}

static bool
set_check(struct sieve_check *c, struct sieve_call *call)
{
	unsigned *variable = arena_alloc(sieve_check_arena(c), sizeof(*variable));

	call->data = variable;
	return sieve_check_variable_arg(c, call->args[0], variable);
}

static bool
set_run(struct sieve_run *r, const struct sieve_call *call)
{
	const unsigned *variable = call->data;
	struct str value = sieve_modify(r, call, sieve_expand(r, &call->args[1]->strings[0]));

	sieve_variable_set(r, *variable, value);
	if (r->tracing)
		sieve_trace(r, call->line, "set \"%.*s\" to \"%.*s\"",
		    (int)call->args[0]->strings[0].text.len, call->args[0]->strings[0].text.p,
		    value.len > 200 ? 200 : (int)value.len, value.p);
	return true;
}

/* string: its own strings against the keys; :count counts those that are not empty, RFC 5229 §5. */
static bool
string_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	const struct sieve_arg *source = call->args[0];
	struct sieve_matcher m;

	sieve_match_begin(&m, r, call);
	for (size_t i = 0; i < source->count; i++) {
		struct str value = sieve_expand(r, &source->strings[i]);

		if (sieve_match_counts(&m) && value.len == 0)
			continue;
		if (sieve_match_value(&m, value))
			break;
	}
	return sieve_match_end(&m, truth_out);
}

const struct sieve_spec SIEVE_VARIABLES_SPECS[] = {
	{ .name = "set",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_VARIABLES,
	    .tags = { SIEVE_MODIFIER_TAGS },
	    .args = { SIEVE_STRING, SIEVE_STRING },
	    .check = set_check,
	    .run = set_run },
	{ .name = "string",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_VARIABLES,
	    .tags = { SIEVE_MATCH_TAGS },
	    .args = { SIEVE_STRINGS, SIEVE_STRINGS },
	    .keys_arg = 2,
	    .test = string_test },
	{ 0 },
};
