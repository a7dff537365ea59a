/* Tests of tests: allof, anyof, not, true, false.  RFC 5228 §5.2, §5.3, §5.6, §5.8, §5.10. */
#include "filter/sieve/sieve.h"
#include "filter/sieve/specs.h"

static bool
allof_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	*truth_out = true;
	for (const struct sieve_call *t = call->tests; t != NULL && *truth_out; t = t->next)
		if (!sieve_run_test(r, t, truth_out))
			return false;
	return true;
}

static bool
anyof_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	*truth_out = false;
	for (const struct sieve_call *t = call->tests; t != NULL && !*truth_out; t = t->next)
		if (!sieve_run_test(r, t, truth_out))
			return false;
	return true;
}

static bool
not_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	if (!sieve_run_test(r, call->tests, truth_out))
		return false;
	*truth_out = !*truth_out;
	return true;
}

static bool
true_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	(void)r, (void)call;
	*truth_out = true;
	return true;
}

static bool
false_test(struct sieve_run *r, const struct sieve_call *call, bool *truth_out)
{
	(void)r, (void)call;
	*truth_out = false;
	return true;
}

/* --- what an ihave decides while compiling --- */

static enum sieve_constant
fold(const struct sieve_call *call, const struct sieve_call *last, enum sieve_constant decisive)
{
	if (call->tests == last || last->constant == decisive)
		return last->constant;
	return call->constant == last->constant ? last->constant : SIEVE_UNKNOWN;
}

static enum sieve_constant
allof_fold(const struct sieve_call *call, const struct sieve_call *last)
{
	return fold(call, last, SIEVE_NEVER);
}

static enum sieve_constant
anyof_fold(const struct sieve_call *call, const struct sieve_call *last)
{
	return fold(call, last, SIEVE_ALWAYS);
}

static enum sieve_constant
not_fold(const struct sieve_call *call, const struct sieve_call *last)
{
	(void)call;
	switch (last->constant) {
	case SIEVE_ALWAYS: return SIEVE_NEVER;
	case SIEVE_NEVER: return SIEVE_ALWAYS;
	default: return SIEVE_UNKNOWN;
	}
}

const struct sieve_spec SIEVE_LOGIC_SPECS[] = {
	{ .name = "allof",
	    .kind = SIEVE_TEST,
	    .tests = SIEVE_MANY_TESTS,
	    .fold = allof_fold,
	    .decisive = SIEVE_NEVER,
	    .test = allof_test },
	{ .name = "anyof",
	    .kind = SIEVE_TEST,
	    .tests = SIEVE_MANY_TESTS,
	    .fold = anyof_fold,
	    .decisive = SIEVE_ALWAYS,
	    .test = anyof_test },
	{ .name = "not",
	    .kind = SIEVE_TEST,
	    .tests = SIEVE_ONE_TEST,
	    .fold = not_fold,
	    .test = not_test },
	{ .name = "true", .kind = SIEVE_TEST, .test = true_test },
	{ .name = "false", .kind = SIEVE_TEST, .test = false_test },
	{ 0 },
};
