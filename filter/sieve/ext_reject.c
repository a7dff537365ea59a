/* reject and ereject, RFC 5429: the sender is told that the message is not wanted.  A message is either
 * refused or delivered (§2.4); which of the two forms a refusal takes is for delivery to decide. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

static bool
reject_add(struct sieve_run *r, const struct sieve_call *call, bool ereject)
{
	struct filter_action *a = sieve_action_add(r, call, FILTER_REJECT);

	if (a == NULL)
		return false;
	a->reject.reason = sieve_expand_cstr(r, &call->args[0]->strings[0]);
	a->reject.ereject = ereject;
	sieve_cancel_keep(r);
	return !sieve_run_failed(r);
}

static bool
reject_run(struct sieve_run *r, const struct sieve_call *call)
{
	return reject_add(r, call, false);
}

static bool
ereject_run(struct sieve_run *r, const struct sieve_call *call)
{
	return reject_add(r, call, true);
}

const struct sieve_spec SIEVE_REJECT_SPECS[] = {
	{ .name = "reject",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_REJECT,
	    .args = { SIEVE_STRING },
	    .run = reject_run },
	{ .name = "ereject",
	    .kind = SIEVE_ACTION,
	    .cap = SIEVE_CAP_EREJECT,
	    .args = { SIEVE_STRING },
	    .run = ereject_run },
	{ 0 },
};
