/* debug_log of vnd.dovecot.debug: a line for whoever looks for a mistake in the script. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

static bool
debug_log_run(struct sieve_run *r, const struct sieve_call *call)
{
	sieve_log(r, call->line, sieve_expand(r, &call->args[0]->strings[0]));
	return !sieve_run_failed(r);
}

const struct sieve_spec SIEVE_DEBUG_SPECS[] = {
	{ .name = "debug_log",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_DOVECOT_DEBUG,
	    .args = { SIEVE_STRING },
	    .run = debug_log_run },
	{ 0 },
};
