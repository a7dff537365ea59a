/* What the core's files share of a run; extensions need none of it. */
#ifndef FILTER_SIEVE_RUN_INTERNAL_H
#define FILTER_SIEVE_RUN_INTERNAL_H

#include <time.h>

#include "filter/sieve/program.h"
#include "filter/sieve/run.h"

/* The variables of one script while it runs. */
struct sieve_scope {
	const struct sieve_program *program;
	const char *name;   /* of an included script; NULL: the first */
	struct str **cells; /* by the program's number: its own or a global one */
	struct str match[SIEVE_MATCH_VARIABLES];
	size_t match_count;
	struct sieve_scope *outer;
};

struct sieve_global {
	struct str name, value;
	struct sieve_global *next;
};

struct sieve_private {
	enum filter_status status;
	struct filter_error *error;
	struct sieve_scope *scope;
	struct sieve_global *globals;
	struct sieve_regexes regexes;
	struct buf scratch;
	struct buf log;
	struct arena contents; /* decoded parts: bounded by the message, not by the run's memory */
	uint64_t kept_bytes;   /* of bodies in the run's arena: likewise */
	uint64_t steps, memory_at_start, next_clock;
	uint64_t work_bytes; /* since the clock was looked at */
	struct timespec wall_start, cpu_start;
	bool keep_cancelled;
	/* the message as it is now */
	bool header_changed, body_changed; /* since it came */
	bool edit_stale, bytes_stale;      /* since the last … was made */
	const struct filter_edit *edit;
	struct str body, bytes;
	struct sieve_mime *mimes;
};

struct sieve_regexes *sieve_run_regexes(struct sieve_run *r); /* that end with the run */
struct buf *sieve_run_scratch(struct sieve_run *r);
/* The message as edited so far; NULL: as it came. */
const struct filter_edit *sieve_message_edit(struct sieve_run *r);
bool sieve_message_open(struct sieve_run *r); /* false: it cannot be read */
void sieve_message_close(struct sieve_run *r);
/* The implicit keep, if it stands; then the result is complete. */
bool sieve_actions_end(struct sieve_run *r);

#endif
