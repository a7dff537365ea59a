/* Several filters over one message, as if they were one: the administrator's before, the account's own (or the
 * default one), the administrator's after.
 *
 * 1. The next one runs only while the keep of the one before stands, implicit or explicit (as Pigeonhole does it); the
 *    last keep is the one that counts, with the flags of all.
 * 2. Everything else adds up: actions in the order in which they were asked for, memories, log lines.
 * 3. The next one sees the message as the one before has edited it.
 * 4. A step of the administrator's that fails is passed over: it has asked for nothing.  An own one that fails gives
 *    a keep, and nothing comes after it.  What the steps before it have asked for stands.
 *
 * Nothing is written; no store is needed. */
#ifndef FILTER_SEQUENCE_H
#define FILTER_SEQUENCE_H

#include "filter/filter.h"

#define FILTER_SEQUENCE_MAX 20 /* steps */

struct filter_step {
	const struct filter *filter;       /* NULL: it does not compile */
	const struct filter_error *broken; /* then this says why */
	const char *name;                  /* for logs; borrowed */
	bool own;                          /* the account's */
};

struct filter_failure {
	size_t step;
	struct filter_error error;
};

struct filter_sequence_result {
	struct filter_result result;
	size_t step_of[FILTER_ACTIONS_MAX]; /* which step asked for each of its actions */
	struct filter_failure failures[FILTER_SEQUENCE_MAX];
	size_t failure_count;
	/* The last step that ran (its discard, where there are no actions). */
	size_t last_step;
};

/* FILTER_OK, also with failures; FILTER_TEMPFAIL: try the delivery again later, the result is empty.  Strings live in
 * the arena; steps and message are borrowed as long as the result is used.  At least one step, at most
 * FILTER_SEQUENCE_MAX. */
enum filter_status filter_sequence_run(const struct filter_step *steps, size_t count,
    const struct filter_message *message, const struct filter_run_options *options,
    struct arena *arena, struct filter_sequence_result *result_out);

#endif
