/* ihave and error, RFC 5463. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

/* ihave <capabilities: string-list>: decided while compiling; if it holds, it is a require. */
static bool
ihave_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_arg *names = call->args[0];

	call->constant = SIEVE_ALWAYS;
	for (size_t i = 0; i < names->count; i++) {
		if (!sieve_is_constant(&names->strings[i]))
			return sieve_check_error(
			    c, call->line, "the names of ihave must be written out");
		if (sieve_capability_find(names->strings[i].text) == SIEVE_CAP_NONE)
			call->constant = SIEVE_NEVER;
	}
	for (size_t i = 0; i < names->count && call->constant == SIEVE_ALWAYS; i++)
		sieve_check_enable(c, sieve_capability_find(names->strings[i].text));
	return true;
}

static bool
ihave_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	(void)r;
	*truth_out = call->constant == SIEVE_ALWAYS;
	return true;
}

/* error <message: string>, RFC 5463 §5 */
static bool
error_run(struct sieve_run *r, const struct sieve_call *call)
{
	return sieve_run_error(
	    r, call->line, "%s", sieve_expand_cstr(r, &call->args[0]->strings[0]));
}

const struct sieve_spec SIEVE_IHAVE_SPECS[] = {
	{ .name = "ihave",
	    .kind = SIEVE_TEST,
	    .cap = SIEVE_CAP_IHAVE,
	    .args = { SIEVE_STRINGS },
	    .check = ihave_check,
	    .test = ihave_test },
	{ .name = "error",
	    .kind = SIEVE_CONTROL,
	    .cap = SIEVE_CAP_IHAVE,
	    .args = { SIEVE_STRING },
	    .run = error_run },
	{ 0 },
};
