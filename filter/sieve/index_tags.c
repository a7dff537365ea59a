#include "filter/sieve/index_tags.h"

bool
sieve_check_index(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	if (arg->number == 0)
		return sieve_check_error(
		    c, arg->line, "%s: :index counts from 1", call->spec->name);
	return true;
}

bool
sieve_check_last(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg)
{
	if (sieve_tag(call, SIEVE_TAG_INDEX) == NULL)
		return sieve_check_error(c, arg->line, "%s: :last needs :index", call->spec->name);
	return true;
}

const struct sieve_tag_spec SIEVE_INDEX_TAGS[] = {
	{ .name = "index",
	    .id = SIEVE_TAG_INDEX,
	    .cap = SIEVE_CAP_INDEX,
	    .value = SIEVE_NUMBER,
	    .check = sieve_check_index },
	{ .name = "last", .id = SIEVE_TAG_LAST, .cap = SIEVE_CAP_INDEX, .check = sieve_check_last },
	{ 0 },
};
