/* A SEARCH under way, in slices of time, so that a search through a hundred thousand bodies keeps no
 * pool thread from other sessions for long.
 *
 * First the index answers what it can in one query, and search.db says which messages cannot have a text; what is left
 * is evaluated on rows, then with the header fields that the index keeps; only then are messages opened whose text decides. */
#ifndef IMAPD_SEARCH_RUN_H
#define IMAPD_SEARCH_RUN_H

#include "imapd/search_plan.h"
#include "store/err.h"

#define SEARCH_SLICE_MS   50 /* of work between two chances for others */
#define SEARCH_SLICE_ROWS 256
#define SEARCH_PROPOSALS  16 /* texts of a program about which search.db is asked */
#define SEARCH_READ_MAX   15 /* so many messages are read without asking */

struct search_run;

/* `plan` must be bound (search_bind()) and outlive the run.  `source` NULL: the mailbox's own, search.db. */
struct search_run *search_run_new(
    struct mailbox *box, struct search_plan *plan, const struct search_candidates *source);
void search_run_free(struct search_run *run); /* NULL is fine */

/* Before the first step: no more than the last `limit` messages of those that could be found are looked at (0: all).  Down to
 * which UID, once the first step is over; 0: all were.  RFC 9738 §3.1. */
void search_run_limit(struct search_run *run, uint32_t limit);
uint32_t search_run_limited_uid(const struct search_run *run);

/* A slice of work.  STORE_OK with *done_out false: call again. */
enum store_err search_run_step(struct search_run *run, bool *done_out);
/* How many messages are decided, of how many; for imap_progress().  goal 0: not known yet. */
void search_run_progress(const struct search_run *run, uint64_t *done_out, uint64_t *goal_out);
/* How relevant a message that was found is to the fuzzy keys of the program, 1 to 100, RFC 6203 §4; 0: it was not found,
 * or there are none. */
unsigned search_run_relevancy(const struct search_run *run, uint32_t uid);
/* The UIDs found so far, ascending; all once it is done. */
const struct uidset *search_run_found(const struct search_run *run);

#endif
