/* header and exists, RFC 5228 §5.7 and §5.5. */
#include "filter/sieve/ext_mime.h"
#include "filter/sieve/index_tags.h"
#include "filter/sieve/specs.h"

static bool
names_check(struct sieve_check *c, struct sieve_call *call)
{
	return sieve_mime_check(c, call) && sieve_check_tested_names(c, call->args[0]);
}

static bool
match_field(struct sieve_matcher *m, struct sieve_field *field)
{
	if (m->call->tag_count > 0 && sieve_mime_has_option(m->call))
		return sieve_mime_match(m, m->call, field);
	return sieve_match_value(
	    m, sieve_match_counts(m) ? (struct str){ "", 0 } : sieve_field_text(m->r, field));
}

static bool
header_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	return sieve_match_fields(r, call, match_field, truth_out);
}

static bool
exists_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	const struct sieve_arg *names = call->args[0];

	*truth_out = true;
	for (size_t i = 0; i < names->count && *truth_out; i++) {
		struct sieve_walk walk;

		sieve_walk_begin(&walk, r, call, sieve_expand(r, &names->strings[i]));
		*truth_out = sieve_walk_next(&walk) != NULL;
	}
	return true;
}

const struct sieve_spec SIEVE_HEADER_SPECS[] = {
	{ .name = "header",
	    .kind = SIEVE_TEST,
	    .tags = { SIEVE_MATCH_TAGS, SIEVE_INDEX_TAGS, SIEVE_MIME_TAGS, SIEVE_MIME_OPTION_TAGS },
	    .args = { SIEVE_STRINGS, SIEVE_STRINGS },
	    .keys_arg = 2,
	    .check = names_check,
	    .test = header_test },
	{ .name = "exists",
	    .kind = SIEVE_TEST,
	    .tags = { SIEVE_MIME_TAGS },
	    .args = { SIEVE_STRINGS },
	    .check = names_check,
	    .test = exists_test },
	{ 0 },
};
