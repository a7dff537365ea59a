/* Matching: how a test compares values of the message with its keys.  RFC 5228 §2.7, RFC 5231,
 * RFC 5229 §3.2, RFC 6134 §2.7.1, draft-ietf-sieve-regex.
 *
 * A test whose row has keys_arg finds everything about the match in its call:
 *
 *	struct sieve_matcher m;
 *
 *	sieve_match_begin(&m, r, call);
 *	while (next value of the message)
 *		if (sieve_match_value(&m, value))
 *			break;
 *	return sieve_match_end(&m, truth_out);
 *
 * Values are UTF-8.  Match variables (${1}) are set by :matches and :regex where they match. */
#ifndef FILTER_SIEVE_MATCH_H
#define FILTER_SIEVE_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "filter/sieve/comparator.h"
#include "filter/sieve/spec.h"

struct sieve_field;
struct sieve_key;
struct sieve_matcher { /* of one test; on its stack */
	struct sieve_run *r;
	const struct sieve_call *call;
	const struct sieve_match *match;
	const struct sieve_key *keys;
	size_t key_count;
	uint64_t count; /* of values, for :count */
	bool truth, failed;
};

void sieve_match_begin(struct sieve_matcher *m, struct sieve_run *r, const struct sieve_call *call);
/* The same with other keys than those of the call. */
void sieve_match_begin_keys(struct sieve_matcher *m, struct sieve_run *r,
    const struct sieve_call *call, const struct str *texts, size_t count);
/* True: no more values are needed. */
bool sieve_match_value(struct sieve_matcher *m, struct str value);
/* Does the match only count?  Then the values' text does not matter. */
bool sieve_match_counts(const struct sieve_matcher *m);
/* What a test returns: false if the run has ended. */
bool sieve_match_end(struct sieve_matcher *m, bool *truth_out);

/* The whole of a test of header fields, whose first argument names them: each field of sieve_walk_next() (run.h) is
 * handed to `match`, until that says that no more are needed. */
typedef bool sieve_match_field_fn(struct sieve_matcher *m, struct sieve_field *field);
bool sieve_match_fields(struct sieve_run *r, const struct sieve_call *call,
    sieve_match_field_fn *match, bool *truth_out);

/* For the checker: makes call->match of tags and keys. */
bool sieve_match_check(struct sieve_check *c, struct sieve_call *call);

#endif
