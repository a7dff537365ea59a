/* Control commands of RFC 5228 §3: require, if, elsif, else, stop. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

/* require <capabilities: string-list>, RFC 5228 §3.2 */
static bool
require_check(struct sieve_check *c, struct sieve_call *call)
{
	const struct sieve_arg *names = call->args[0];

	if (sieve_check_began(c))
		return sieve_check_error(
		    c, call->line, "require must stand before all other commands");
	for (size_t i = 0; i < names->count; i++) {
		struct str name = names->strings[i].text;
		enum sieve_cap cap = sieve_capability_find(name);

		if (cap == SIEVE_CAP_NONE)
			return sieve_check_error(c, call->line,
			    "this server has no extension \"%.*s\"",
			    name.len > 80 ? 80 : (int)name.len, name.p);
		sieve_check_enable(c, cap);
	}
	return true;
}

/* if <test> block, elsif <test> block, else block: RFC 5228 §3.1 */
static bool
if_run(struct sieve_run *r, const struct sieve_call *call)
{
	for (; call != NULL; call = call->otherwise) {
		bool truth = true;

		if (call->tests != NULL && !sieve_run_test(r, call->tests, &truth))
			return false;
		if (truth)
			return sieve_run_block(r, call->block);
	}
	return true;
}

/* stop, RFC 5228 §3.3 */
static bool
stop_run(struct sieve_run *r, const struct sieve_call *call)
{
	sieve_trace(r, call->line, "stop");
	r->flow = SIEVE_STOP;
	return true;
}

const struct sieve_spec SIEVE_CONTROL_SPECS[] = {
	{ .name = "require",
	    .kind = SIEVE_CONTROL,
	    .args = { SIEVE_STRINGS },
	    .check = require_check },
	{ .name = "if",
	    .kind = SIEVE_CONTROL,
	    .tests = SIEVE_ONE_TEST,
	    .block = true,
	    .chain = SIEVE_CHAIN_IF,
	    .run = if_run },
	{ .name = "elsif",
	    .kind = SIEVE_CONTROL,
	    .tests = SIEVE_ONE_TEST,
	    .block = true,
	    .chain = SIEVE_CHAIN_ELSIF,
	    .run = if_run },
	{ .name = "else",
	    .kind = SIEVE_CONTROL,
	    .block = true,
	    .chain = SIEVE_CHAIN_ELSE,
	    .run = if_run },
	{ .name = "stop", .kind = SIEVE_CONTROL, .run = stop_run },
	{ 0 },
};
