/* size <":over" / ":under"> <limit: number>, RFC 5228 §5.9: the size of the message as it is now. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

static const struct sieve_tag_spec SIZE_TAGS[] = {
	{ .name = "over", .id = SIEVE_TAG_OVER, .group = SIEVE_GROUP_OWN },
	{ .name = "under", .id = SIEVE_TAG_UNDER, .group = SIEVE_GROUP_OWN },
	{ 0 },
};

static bool
size_check(struct sieve_check *c, struct sieve_call *call)
{
	if (call->tag_count == 0)
		return sieve_check_error(c, call->line, "size needs :over or :under");
	return true;
}

static bool
size_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	uint64_t size = sieve_message_bytes(r).len, limit = call->args[0]->number;

	*truth_out = sieve_tag(call, SIEVE_TAG_OVER) != NULL ? size > limit : size < limit;
	return true;
}

const struct sieve_spec SIEVE_SIZE_SPECS[] = {
	{ .name = "size",
	    .kind = SIEVE_TEST,
	    .tags = { SIZE_TAGS },
	    .args = { SIEVE_NUMBER },
	    .check = size_check,
	    .test = size_test },
	{ 0 },
};
