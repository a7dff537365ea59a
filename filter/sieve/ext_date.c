/* date and currentdate, RFC 5260 §4 and §5. */
#include "filter/sieve/date_part.h"
#include "filter/sieve/index_tags.h"
#include "filter/sieve/specs.h"
#include "store/date.h"

/* The clock that is shown: of :zone, of the date itself, or ours (§4.1). */
static int
shown_zone_min(struct sieve_run *r, const struct sieve_call *call, int64_t time, int original_min)
{
	const struct sieve_arg *zone = sieve_tag(call, SIEVE_TAG_ZONE);
	int zone_min;

	if (sieve_tag(call, SIEVE_TAG_ORIGINALZONE) != NULL)
		return original_min;
	if (zone != NULL && sieve_zone_parse(sieve_expand(r, &zone->strings[0]), &zone_min))
		return zone_min;
	return date_local_zone_min(time);
}

static bool
match_moment(
    struct sieve_matcher *m, const struct sieve_date_part *part, int64_t time, int original_min)
{
	struct buf b = { 0 };
	bool done;

	sieve_date_part_print(&b, part, time, shown_zone_min(m->r, m->call, time, original_min));
	done = sieve_match_value(m, sieve_copy(m->r, (struct str){ b.data, b.len }));
	buf_free(&b);
	return done;
}

/* A date stands alone (Date), or behind the last semicolon (Received): §4. */
static bool
match_field(struct sieve_matcher *m, const struct sieve_date_part *part, struct sieve_field *field)
{
	struct str text = sieve_field_text(m->r, field);
	const char *semicolon = memrchr(text.p, ';', text.len);
	int64_t time;
	int zone_min;

	if (semicolon != NULL)
		text = (struct str){ semicolon + 1, (size_t)(text.p + text.len - semicolon) - 1 };
	return date_parse_rfc5322(str_trim(text), &time, &zone_min) &&
	       match_moment(m, part, time, zone_min);
}

static bool
date_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	struct str name = sieve_expand(r, &call->args[0]->strings[0]);
	const struct sieve_date_part *part =
	    sieve_date_part_find(sieve_expand(r, &call->args[1]->strings[0]));
	struct sieve_field *field;
	struct sieve_matcher m;
	struct sieve_walk walk;

	sieve_match_begin(&m, r, call);
	sieve_walk_begin(&walk, r, call, name);
	while (part != NULL && (field = sieve_walk_next(&walk)) != NULL)
		if (match_field(&m, part, field))
			break;
	return sieve_match_end(&m, truth_out);
}

static bool
currentdate_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	const struct sieve_date_part *part =
	    sieve_date_part_find(sieve_expand(r, &call->args[0]->strings[0]));
	struct sieve_matcher m;

	sieve_match_begin(&m, r, call);
	if (part != NULL)
		match_moment(&m, part, r->now, 0);
	return sieve_match_end(&m, truth_out);
}

/* --- their rows --------------------------------------------------------------------------------- */

static void
check_part(struct sieve_check *c, const struct sieve_arg *arg)
{
	const struct sieve_string *s = &arg->strings[0];

	if (sieve_is_constant(s) && sieve_date_part_find(s->text) == NULL)
		sieve_check_warn(c, arg->line, "a date has no part '%.*s'",
		    s->text.len > 60 ? 60 : (int)s->text.len, s->text.p);
}

static bool
date_check(struct sieve_check *c, struct sieve_call *call)
{
	check_part(c, call->args[1]);
	return sieve_check_tested_names(c, call->args[0]);
}

static bool
currentdate_check(struct sieve_check *c, struct sieve_call *call)
{
	check_part(c, call->args[0]);
	return true;
}

static bool
check_zone(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	const struct sieve_string *s = &arg->strings[0];
	int zone_min;

	if (sieve_is_constant(s) && !sieve_zone_parse(s->text, &zone_min))
		sieve_check_warn(c, arg->line,
		    "%s: '%.*s' of :zone is not like \"+0100\", so it is the server's",
		    call->spec->name, s->text.len > 60 ? 60 : (int)s->text.len, s->text.p);
	return true;
}

static const struct sieve_tag_spec ZONE_TAGS[] = {
	{ .name = "zone",
	    .id = SIEVE_TAG_ZONE,
	    .value = SIEVE_STRING,
	    .group = SIEVE_GROUP_OWN,
	    .check = check_zone },
	{ 0 },
};
static const struct sieve_tag_spec ORIGINALZONE_TAGS[] = {
	{ .name = "originalzone", .id = SIEVE_TAG_ORIGINALZONE, .group = SIEVE_GROUP_OWN },
	{ 0 },
};

const struct sieve_spec SIEVE_DATE_SPECS[] = {
	{ .name = "date",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_DATE,
	    .tags = { SIEVE_MATCH_TAGS, ZONE_TAGS, ORIGINALZONE_TAGS, SIEVE_INDEX_TAGS },
	    .args = { SIEVE_STRING, SIEVE_STRING, SIEVE_STRINGS },
	    .keys_arg = 3,
	    .check = date_check,
	    .test = date_test },
	{ .name = "currentdate",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_DATE,
	    .tags = { SIEVE_MATCH_TAGS, ZONE_TAGS },
	    .args = { SIEVE_STRING, SIEVE_STRINGS },
	    .keys_arg = 2,
	    .check = currentdate_check,
	    .test = currentdate_test },
	{ 0 },
};
