/* SORT's criteria and the sorting: RFC 5256 §3, RFC 5957 (DISPLAYFROM, DISPLAYTO).
 *
 * Texts are compared by i;unicode-casemap, in the form that the index keeps; equal messages stay in the order of the
 * mailbox. */
#ifndef IMAPD_SORT_H
#define IMAPD_SORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "store/mailbox.h"

#define SORT_CRITERIA_MAX   12 /* as many keys as there are, or more; one said again is ignored */
#define SORT_TEXT_MAX_TOTAL (64 * 1024 * 1024) /* of the texts of one sort; beyond: NO [LIMIT] */

struct sort_row;
struct sort_plan {
	struct {
		const struct sort_row *row;
		bool reverse;
	} list[SORT_CRITERIA_MAX];
	size_t count;
	bool by_relevancy; /* RFC 6203 §6: needs a fuzzy key */
};

/* sort-criteria = "(" sort-criterion *(SP sort-criterion) ")" */
bool sort_plan_parse(struct cursor *c, struct sort_plan *plan_out);

/* A sort under way.  `plan` and `uids` outlive it. */
struct search_run;
struct sort_run;
struct sort_run *sort_run_new(
    struct mailbox *box, const struct sort_plan *plan, const struct uidset *uids);
/* Who found the messages, and says how relevant they are; it outlives the sort. */
void sort_run_found_by(struct sort_run *run, const struct search_run *search);
void sort_run_free(struct sort_run *run); /* NULL is fine */
/* A slice of work.  STORE_OK with *done_out false: call again.  STORE_LIMIT: the texts are too long in all. */
enum store_err sort_run_step(struct sort_run *run, bool *done_out);
/* How many messages are known, of how many; for imap_progress(). */
void sort_run_progress(const struct sort_run *run, uint64_t *done_out, uint64_t *goal_out);
/* When it is done: the UIDs in order, without those of messages that are gone; the caller's to free. */
uint32_t *sort_run_take(struct sort_run *run, uint32_t *count_out);

#endif
