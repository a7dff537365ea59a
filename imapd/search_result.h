/* What a searching command (SEARCH, SORT; each mailbox of a search over several) found in one mailbox, and its ESEARCH
 * response: RFC 4731, RFC 5267 §3 and §4.4, RFC 9394, RFC 9051 §7.3.4.
 *
 *	search_bind(&plan, box, saved);
 *	run = search_run_new(box, &plan, NULL);  search_run_step(run, &done) …  until it is done
 *	uidset_copy(&r.found, search_run_found(run));
 *	search_result_finish(&r);
 *	search_out_esearch(s, &r, correlator);
 *	search_result_clear(&r);  search_run_free(run);  search_unbind(&plan); */
#ifndef IMAPD_SEARCH_RESULT_H
#define IMAPD_SEARCH_RESULT_H

#include "imapd/search_plan.h"
#include "store/err.h"

struct imap_session;

/* Set box, plan and uid; zero-initialise the rest. */
struct search_result {
	struct mailbox *box;
	const struct search_plan *plan; /* its return options */
	bool uid;                       /* UIDs are said, not sequence numbers */
	struct uidset found;
	uint32_t *order;              /* `found` in the order of SORT, owned; NULL: mailbox order */
	uint64_t modseq;              /* highest of what is returned; 0: none, or not asked */
	const struct search_run *run; /* of RELEVANCY; NULL where that is not asked */
};

void search_result_clear(struct search_result *r);
/* The n-th result, from 0, as a UID. */
uint32_t search_result_at(const struct search_result *r, uint32_t n);
/* What MIN, MAX, PARTIAL, ALL and COUNT leave: what is saved as "$" and whose mod-sequences count; tables of RFC 9051
 * §6.4.4.4 and RFC 9394 §3.2.  Added to the empty *uids_out. */
void search_result_returned(const struct search_result *r, struct uidset *uids_out);
/* Call it when all is found (and ordered): looks up the mod-sequence if the search asks for one. */
enum store_err search_result_finish(struct search_result *r);
/* The number that is said for a UID. */
uint32_t search_result_number(const struct search_result *r, uint32_t uid);

/* "* ESEARCH (TAG "a1") UID COUNT 5 ALL 4:19,21,28" CRLF; `correlator` is what stands in the parentheses.  Nothing for
 * RETURN (SAVE) alone. */
void search_out_esearch(
    struct imap_session *s, const struct search_result *r, struct str correlator);
/* "TAG "a1"", in `a`. */
struct str search_correlator(struct arena *a, struct str tag);

#endif
