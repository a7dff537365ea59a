#include "imapd/search_result.h"

#include <inttypes.h>
#include <stdlib.h>

#include "imapd/messages.h"
#include "imapd/response.h"
#include "imapd/search_run.h"
#include "imapd/session.h"

#define ENDS (SEARCH_RETURN_MIN | SEARCH_RETURN_MAX)

void
search_result_clear(struct search_result *r)
{
	uidset_free(&r->found);
	free(r->order);
	*r = (struct search_result){ 0 };
}

uint32_t
search_result_at(const struct search_result *r, uint32_t n)
{
	return r->order != NULL ? r->order[n] : uidset_nth(&r->found, n + 1);
}

uint32_t
search_result_number(const struct search_result *r, uint32_t uid)
{
	return r->uid ? uid : mailbox_uid_to_seq(r->box, uid);
}

void
search_result_returned(const struct search_result *r, struct uidset *uids_out)
{
	unsigned returns = r->plan->returns;
	uint32_t count = uidset_count(&r->found), from, to;

	if ((returns & (ENDS | SEARCH_RETURN_PARTIAL)) == 0 ||
	    (returns & (SEARCH_RETURN_ALL | SEARCH_RETURN_COUNT)) != 0) {
		uidset_copy(uids_out, &r->found);
		return;
	}
	if (count == 0)
		return;
	if ((returns & SEARCH_RETURN_PARTIAL) != 0) {
		imap_partial_bounds(&r->plan->partial, count, &from, &to);
		if (r->order != NULL)
			messages_add_all(uids_out, r->order + from, to - from);
		else
			for (uint32_t i = from; i < to; i++)
				uidset_add(uids_out, uidset_nth(&r->found, i + 1));
	}
	if ((returns & SEARCH_RETURN_MIN) != 0)
		uidset_add(uids_out, search_result_at(r, 0));
	if ((returns & SEARCH_RETURN_MAX) != 0)
		uidset_add(uids_out, search_result_at(r, count - 1));
}

/* mod-sequence of the answer: the highest of the messages it returns, RFC 7162 §3.1.5, §3.1.10 */
enum store_err
search_result_finish(struct search_result *r)
{
	struct uidset returned = { 0 }, uids = { 0 };
	struct mailbox_query query = { .within = &returned };
	enum store_err err = STORE_OK;

	if (!r->plan->uses_modseq)
		return STORE_OK;
	search_result_returned(r, &returned);
	if (!uidset_is_empty(&returned))
		err = mailbox_find(r->box, &query, &uids, &r->modseq);
	uidset_free(&uids);
	uidset_free(&returned);
	return err;
}

/* --- ESEARCH ----------------------------------------------------------------------------------- */

static void
out_number(struct buf *out, const struct search_result *r, const char *name, uint32_t n)
{
	buf_printf(out, " %s %" PRIu32, name, search_result_number(r, search_result_at(r, n)));
}

/* Results from … to - 1 as a set in their order: what comes next by one in front of it is a range, and never is the
 * first number of a range the larger, RFC 5267 §3.2. */
static void
out_set(struct buf *out, const struct search_result *r, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to;) {
		uint32_t first = search_result_number(r, search_result_at(r, i)), last = first;

		buf_printf(out, i == from ? "%" PRIu32 : ",%" PRIu32, first);
		while (++i < to && search_result_number(r, search_result_at(r, i)) == last + 1)
			last++;
		if (last != first)
			buf_printf(out, ":%" PRIu32, last);
	}
}

/* All of a search's results: run by run, whatever their number. */
static void
out_all(struct buf *out, const struct search_result *r, uint32_t count)
{
	struct uidset seqs = { 0 };

	if (count == 0)
		return;
	buf_adds(out, " ALL ");
	if (r->order != NULL) {
		out_set(out, r, 0, count);
		return;
	}
	if (!r->uid)
		for (size_t i = 0; i < r->found.run_count; i++) {
			const struct uid_run *run = &r->found.runs[i];

			uidset_add_range(&seqs, mailbox_uid_to_seq(r->box, run->first),
			    mailbox_uid_to_seq(r->box, run->last));
		}
	uidset_format(r->uid ? &r->found : &seqs, out);
	uidset_free(&seqs);
}

/* ret-data-partial = "PARTIAL" SP "(" partial-range SP partial-results ")", RFC 9394 §4 */
static void
out_partial(struct buf *out, const struct search_result *r, uint32_t count)
{
	uint32_t from, to;

	imap_partial_bounds(&r->plan->partial, count, &from, &to);
	buf_adds(out, " PARTIAL (");
	imap_out_partial(out, &r->plan->partial);
	buf_addc(out, ' ');
	if (from == to)
		buf_adds(out, "NIL");
	out_set(out, r, from, to);
	buf_addc(out, ')');
}

/* "RELEVANCY" SP score-list: a score for each result, in their order; with PARTIAL and without ALL for those that it
 * gives.  RFC 6203 §4, §7. */
static void
out_relevancy(struct buf *out, const struct search_result *r, uint32_t count)
{
	uint32_t from = 0, to = count;

	if ((r->plan->returns & SEARCH_RETURN_PARTIAL) != 0)
		imap_partial_bounds(&r->plan->partial, count, &from, &to);
	buf_adds(out, " RELEVANCY (");
	for (uint32_t i = from; i < to; i++)
		buf_printf(out, i == from ? "%u" : " %u",
		    search_run_relevancy(r->run, search_result_at(r, i)));
	buf_addc(out, ')');
}

struct str
search_correlator(struct arena *a, struct str tag)
{
	struct buf b = { 0 };
	struct str text;

	buf_adds(&b, "TAG ");
	imap_out_string(&b, tag);
	text = (struct str){ arena_strndup(a, b.data, b.len), b.len };
	buf_free(&b);
	return text;
}

/* esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data), RFC 9051 §9 */
void
search_out_esearch(struct imap_session *s, const struct search_result *r, struct str correlator)
{
	unsigned returns = r->plan->has_return ? r->plan->returns : SEARCH_RETURN_ALL;
	uint32_t count = uidset_count(&r->found);
	struct buf *out = &s->out;

	if ((returns & ~(unsigned)SEARCH_RETURN_CONTEXT) == SEARCH_RETURN_SAVE)
		return;
	buf_adds(out, "* ESEARCH (");
	buf_add(out, correlator.p, correlator.len);
	buf_adds(out, r->uid ? ") UID" : ")");
	if ((returns & SEARCH_RETURN_MIN) != 0 && count > 0)
		out_number(out, r, "MIN", 0);
	if ((returns & SEARCH_RETURN_MAX) != 0 && count > 0)
		out_number(out, r, "MAX", count - 1);
	if ((returns & SEARCH_RETURN_ALL) != 0)
		out_all(out, r, count);
	if ((returns & SEARCH_RETURN_PARTIAL) != 0)
		out_partial(out, r, count);
	if ((returns & SEARCH_RETURN_RELEVANCY) != 0)
		out_relevancy(out, r, count);
	if ((returns & SEARCH_RETURN_COUNT) != 0)
		buf_printf(out, " COUNT %" PRIu32, count);
	if (r->modseq != 0)
		buf_printf(out, " MODSEQ %" PRIu64, r->modseq);
	buf_adds(out, "\r\n");
}
