/* One run of a filter: what all parts of the interpreter share.  Functions that can fail give false and have
 * said why with exim_fail(); the run ends then, without actions. */
#ifndef FILTER_EXIM_RUN_H
#define FILTER_EXIM_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "filter/exim/tree.h"
#include "filter/filter.h"
#include "filter/view.h"

#define EXIM_NUMBERS          10
#define EXIM_CAPTURES_MAX     100
#define EXIM_RESULT_MAX_BYTES (1024 * 1024) /* of one expanded string */
#define EXIM_BODY_VISIBLE     500           /* bytes of $message_body */
#define EXIM_LOG_MAX_BYTES    (64 * 1024)   /* of testprint */

struct exim_run {
	const struct filter_message *message;
	const struct filter_run_options *options;
	struct filter_result *result;
	struct filter_error *error;
	struct arena *arena;  /* of what stays until the run ends, and of the result */
	struct arena scratch; /* of the command or condition at hand */
	struct view view;
	unsigned line; /* of the command or condition at hand */
	bool finished;
	bool delivered; /* a significant command has been obeyed */
	bool not_sent;  /* the command at hand was skipped: no replies to bounces */
	bool tempfail;
	int64_t now;

	/* what the filter can change */
	int64_t numbers[EXIM_NUMBERS];
	struct str captures[EXIM_CAPTURES_MAX];
	size_t capture_count;
	struct str thisaddress;
	struct str item, value; /* of list items in expansion */
	const char *charset;    /* of $h_ */

	/* made from the message when first asked for */
	struct str local_part, domain, suffix;
	struct str original_local_part, original_domain;

	/* bounds */
	unsigned steps, steps_at_clock;
	uint64_t work_bytes; /* since the clocks were looked at */
	int64_t wall_start_ns, cpu_start_ns;
	bool over_limit;
};

/* False; a macro so that compilers see that. */
#define exim_fail(x, ...) (exim_fail_set((x), __VA_ARGS__), false)
void exim_fail_set(struct exim_run *x, enum filter_error_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Counts one step of work; false when a bound of the run is met. */
bool exim_step(struct exim_run *x);
/* The same for work that is no step but takes time by the bytes it reads. */
bool exim_work(struct exim_run *x, size_t bytes);

/* Expands a value of the command at hand; `what` names it in an error ("save command"). */
bool exim_value(struct exim_run *x, struct str text, const char *what, struct str *out);

bool exim_condition(struct exim_run *x, const struct exim_condition *c, bool *out);
bool exim_personal(struct exim_run *x, const struct exim_condition *c, bool *out);
bool exim_run_commands(struct exim_run *x, const struct exim_command *commands);

/* A new action of the command, or NULL: there are too many. */
struct filter_action *exim_action(
    struct exim_run *x, const struct exim_command *command, enum filter_action_kind kind);

void exim_trace(struct exim_run *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
