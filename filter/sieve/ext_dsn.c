#include "filter/sieve/ext_dsn.h"

#include <inttypes.h>

#include "filter/sieve/date_part.h"
#include "store/date.h"

/* --- envelope-dsn, §3; RFC 3461 has the parameters ------------------------------------------------ */

static bool
is_no_comma(char c)
{
	return c != ',';
}

/* Each keyword of NOTIFY is a value of its own. */
static bool
match_notify(struct sieve_matcher *m)
{
	const char *list = m->r->message->dsn_notify;
	struct cursor c = cursor_from(str_from(list != NULL ? list : ""));

	while (!cursor_at_end(&c)) {
		struct str word = cursor_take_while(&c, is_no_comma);

		cursor_take(&c, ',');
		if (word.len > 0 && sieve_match_value(m, word))
			return true;
	}
	return false;
}

static bool
match_text(struct sieve_matcher *m, const char *text)
{
	return text != NULL && sieve_match_value(m, str_from(text));
}

static bool
match_orcpt(struct sieve_matcher *m)
{
	return match_text(m, m->r->message->orig_rcpt);
}

static bool
match_ret(struct sieve_matcher *m)
{
	return match_text(m, m->r->message->dsn_ret);
}

static bool
match_envid(struct sieve_matcher *m)
{
	return match_text(m, m->r->message->envid);
}

/* --- envelope-deliverby, §5 ----------------------------------------------------------------------- */

/* by-value = by-time ";" by-mode [by-trace], RFC 2852 §4; mode[0] is N or R, then perhaps T. */
static bool
deliver_by(const struct sieve_run *r, int64_t *seconds_out, const char **mode_out)
{
	const char *value = r->message->deliver_by;
	bool negative;
	struct cursor c;
	uint64_t n;

	if (value == NULL)
		return false;
	c = cursor_from(str_from(value));
	negative = cursor_take(&c, '-');
	if (!negative)
		cursor_take(&c, '+');
	if (!cursor_take_u64(&c, &n) || n > 999999999 || !cursor_take(&c, ';'))
		return false;
	*seconds_out = negative ? -(int64_t)n : (int64_t)n;
	*mode_out = c.p;
	return true;
}

static bool
match_bytimerelative(struct sieve_matcher *m)
{
	const char *mode;
	int64_t seconds;

	return deliver_by(m->r, &seconds, &mode) &&
	       match_text(m, arena_printf(m->r->arena, "%" PRId64, seconds));
}

static bool
match_bytimeabsolute(struct sieve_matcher *m)
{
	const struct sieve_arg *zone = sieve_tag(m->call, SIEVE_TAG_ZONE);
	struct sieve_run *r = m->r;
	struct buf b = { 0 };
	const char *mode;
	int64_t seconds;
	int zone_min;
	bool done;

	if (!deliver_by(r, &seconds, &mode))
		return false;
	if (zone == NULL || !sieve_zone_parse(sieve_expand(r, &zone->strings[0]), &zone_min))
		zone_min = date_local_zone_min(r->now + seconds);
	sieve_date_part_print(&b, sieve_date_part_find(STR("iso8601")), r->now + seconds, zone_min);
	done = sieve_match_value(m, sieve_copy(r, (struct str){ b.data, b.len }));
	buf_free(&b);
	return done;
}

static bool
match_bymode(struct sieve_matcher *m)
{
	const char *mode;
	int64_t seconds;

	return deliver_by(m->r, &seconds, &mode) && mode[0] != '\0' &&
	       sieve_match_value(m, (struct str){ mode, 1 });
}

static bool
match_bytrace(struct sieve_matcher *m)
{
	const char *mode;
	int64_t seconds;

	return deliver_by(m->r, &seconds, &mode) && mode[0] != '\0' && mode[1] != '\0' &&
	       sieve_match_value(m, (struct str){ mode + 1, 1 });
}

const struct sieve_envelope_part SIEVE_DSN_PARTS[] = {
	{ "notify", SIEVE_CAP_ENVELOPE_DSN, match_notify },
	{ "orcpt", SIEVE_CAP_ENVELOPE_DSN, match_orcpt },
	{ "ret", SIEVE_CAP_ENVELOPE_DSN, match_ret },
	{ "envid", SIEVE_CAP_ENVELOPE_DSN, match_envid },
	{ "bytimerelative", SIEVE_CAP_ENVELOPE_DELIVERBY, match_bytimerelative },
	{ "bytimeabsolute", SIEVE_CAP_ENVELOPE_DELIVERBY, match_bytimeabsolute },
	{ "bymode", SIEVE_CAP_ENVELOPE_DELIVERBY, match_bymode },
	{ "bytrace", SIEVE_CAP_ENVELOPE_DELIVERBY, match_bytrace },
	{ 0 },
};

const struct sieve_tag_spec SIEVE_DSN_ENVELOPE_TAGS[] = {
	{ .name = "zone",
	    .id = SIEVE_TAG_ZONE,
	    .cap = SIEVE_CAP_ENVELOPE_DELIVERBY,
	    .value = SIEVE_STRING },
	{ 0 },
};

/* --- redirect-dsn, §4 ----------------------------------------------------------------------------- */

/* "NEVER", or some of the others with commas between them; RFC 3461 §4.1. */
static bool
is_notify(struct str text)
{
	static const char *const WORDS[] = { "SUCCESS", "FAILURE", "DELAY" };
	struct cursor c = cursor_from(text);

	if (str_eq_nocase(text, STR("NEVER")))
		return true;
	do {
		struct str word = cursor_take_while(&c, is_no_comma);
		bool known = false;

		for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
			known = known || str_eq_nocase(word, str_from(WORDS[i]));
		if (!known)
			return false;
	} while (cursor_take(&c, ','));
	return true;
}

static bool
is_ret(struct str text)
{
	return str_eq_nocase(text, STR("FULL")) || str_eq_nocase(text, STR("HDRS"));
}

static bool
is_mode(struct str text)
{
	return str_eq_nocase(text, STR("notify")) || str_eq_nocase(text, STR("return"));
}

static bool
is_moment(struct str text)
{
	int64_t time;

	return sieve_iso8601_parse(text, &time);
}

struct dsn_rule {
	enum sieve_tag tag;
	bool (*is)(struct str text);
};
static const struct dsn_rule RULES[] = {
	{ SIEVE_TAG_REDIRECT_NOTIFY, is_notify },
	{ SIEVE_TAG_RET, is_ret },
	{ SIEVE_TAG_BYMODE, is_mode },
	{ SIEVE_TAG_BYTIMEABSOLUTE, is_moment },
};

static bool
is_right(enum sieve_tag tag, struct str text)
{
	for (size_t i = 0; i < ARRAY_LEN(RULES); i++)
		if (RULES[i].tag == tag)
			return RULES[i].is(text);
	return true;
}

static bool
check_value(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	struct str text = arg->strings[0].text;

	if (!sieve_is_constant(&arg->strings[0]) || is_right(arg->tag, text))
		return true;
	return sieve_check_error(c, arg->line, "%s: '%.*s' cannot follow :%s", call->spec->name,
	    text.len > 60 ? 60 : (int)text.len, text.p, arg->tag_spec->name);
}

/* :bymode and :bytrace say how the time is meant, so there must be one. */
static bool
check_time(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	if (sieve_tag(call, SIEVE_TAG_BYTIMERELATIVE) == NULL &&
	    sieve_tag(call, SIEVE_TAG_BYTIMEABSOLUTE) == NULL)
		return sieve_check_error(
		    c, arg->line, "%s: :%s needs a time", call->spec->name, arg->tag_spec->name);
	return arg->type == SIEVE_NOTHING || check_value(c, call, arg);
}

const struct sieve_tag_spec SIEVE_DSN_REDIRECT_TAGS[] = {
	{ .name = "notify",
	    .id = SIEVE_TAG_REDIRECT_NOTIFY,
	    .cap = SIEVE_CAP_REDIRECT_DSN,
	    .value = SIEVE_STRING,
	    .check = check_value },
	{ .name = "ret",
	    .id = SIEVE_TAG_RET,
	    .cap = SIEVE_CAP_REDIRECT_DSN,
	    .value = SIEVE_STRING,
	    .check = check_value },
	{ .name = "bytimerelative",
	    .id = SIEVE_TAG_BYTIMERELATIVE,
	    .cap = SIEVE_CAP_REDIRECT_DELIVERBY,
	    .value = SIEVE_NUMBER,
	    .group = SIEVE_GROUP_OWN },
	{ .name = "bytimeabsolute",
	    .id = SIEVE_TAG_BYTIMEABSOLUTE,
	    .cap = SIEVE_CAP_REDIRECT_DELIVERBY,
	    .value = SIEVE_STRING,
	    .group = SIEVE_GROUP_OWN,
	    .check = check_value },
	{ .name = "bymode",
	    .id = SIEVE_TAG_BYMODE,
	    .cap = SIEVE_CAP_REDIRECT_DELIVERBY,
	    .value = SIEVE_STRING,
	    .check = check_time },
	{ .name = "bytrace",
	    .id = SIEVE_TAG_BYTRACE,
	    .cap = SIEVE_CAP_REDIRECT_DELIVERBY,
	    .check = check_time },
	{ 0 },
};

/* A tag's text in upper case; NULL: not given.  False: it says nothing that can be. */
static bool
take_word(
    struct sieve_run *r, const struct sieve_call *call, enum sieve_tag tag, const char **word_out)
{
	const struct sieve_arg *arg = sieve_tag(call, tag);
	struct str text;
	char *word;

	*word_out = NULL;
	if (arg == NULL)
		return true;
	text = sieve_expand(r, &arg->strings[0]);
	if (sieve_run_failed(r))
		return false;
	if (!is_right(tag, text))
		return sieve_run_error(r, call->line, "redirect: '%.*s' cannot follow :%s",
		    text.len > 60 ? 60 : (int)text.len, text.p, arg->tag_spec->name);
	*word_out = word = arena_strndup(r->arena, text.p, text.len);
	for (; *word != '\0'; word++)
		*word = ascii_upper(*word);
	return true;
}

/* The time that is left, RFC 2852 §4: at most nine digits. */
static bool
take_time(struct sieve_run *r, const struct sieve_call *call, struct filter_redirect *redirect)
{
	const struct sieve_arg *relative = sieve_tag(call, SIEVE_TAG_BYTIMERELATIVE);
	const char *moment;
	int64_t time;

	if (!take_word(r, call, SIEVE_TAG_BYTIMEABSOLUTE, &moment))
		return false;
	redirect->by_given = relative != NULL || moment != NULL;
	if (relative != NULL)
		redirect->by_seconds =
		    relative->number > 999999999 ? 999999999 : (int64_t)relative->number;
	if (moment != NULL && sieve_iso8601_parse(str_from(moment), &time))
		redirect->by_seconds = time - r->now > 999999999 ? 999999999 : time - r->now;
	return true;
}

bool
sieve_dsn_redirect(
    struct sieve_run *r, const struct sieve_call *call, struct filter_redirect *redirect)
{
	const char *mode;

	if (!take_word(r, call, SIEVE_TAG_REDIRECT_NOTIFY, &redirect->notify) ||
	    !take_word(r, call, SIEVE_TAG_RET, &redirect->ret) ||
	    !take_word(r, call, SIEVE_TAG_BYMODE, &mode) || !take_time(r, call, redirect))
		return false;
	if (redirect->by_given)
		redirect->by_mode = mode != NULL ? mode[0] : 'N';
	redirect->by_trace = sieve_tag(call, SIEVE_TAG_BYTRACE) != NULL;
	return true;
}
