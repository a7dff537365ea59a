/* A SEARCH under way, in slices of time, so that a search through a hundred thousand bodies keeps no
 * pool thread from other sessions for long.
 *
 * First the index answers what it can in one query; what is left is evaluated on rows, then with the header
 * fields that the index keeps; only then are messages opened whose text decides. */
#ifndef IMAPD_SEARCH_RUN_H
#define IMAPD_SEARCH_RUN_H

#include "imapd/search_plan.h"
#include "store/err.h"

#define SEARCH_SLICE_MS   50 /* of work between two chances for others */
#define SEARCH_SLICE_ROWS 256

struct search_run;

/* `plan` must be bound (search_bind()) and outlive the run.  `source` may be NULL. */
struct search_run *search_run_new(
    struct mailbox *box, struct search_plan *plan, const struct search_candidates *source);
void search_run_free(struct search_run *run); /* NULL is fine */

/* A slice of work.  STORE_OK with *done_out false: call again. */
enum store_err search_run_step(struct search_run *run, bool *done_out);
/* How many messages are decided, of how many; for imap_progress().  goal 0: not known yet. */
void search_run_progress(const struct search_run *run, uint64_t *done_out, uint64_t *goal_out);
/* The UIDs found so far, ascending; all once it is done. */
const struct uidset *search_run_found(const struct search_run *run);

#endif
