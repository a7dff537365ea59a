#include "imapd/qresync.h"

#include "imapd/messages.h"
#include "imapd/response.h"

/* --- the parameter ----------------------------------------------------------------------------- */

/* A set of numbers: neither "*" nor "$", RFC 7162 §7. */
static bool
parse_known(struct cursor *c, struct arena *a, struct imap_sequence_set *set_out)
{
	if (!imap_parse_sequence_set(c, a, set_out) || set_out->saved)
		return false;
	for (size_t i = 0; i < set_out->count; i++)
		if (set_out->ranges[i].high == IMAP_SEQ_STAR)
			return false;
	return true;
}

static bool
is_ascending(const struct imap_sequence_set *set, uint64_t *count_out)
{
	uint32_t last = 0;

	*count_out = 0;
	for (size_t i = 0; i < set->count; i++) {
		if (set->ranges[i].low <= last)
			return false;
		last = set->ranges[i].high;
		*count_out += (uint64_t)last - set->ranges[i].low + 1;
	}
	return true;
}

/* seq-match-data = "(" known-sequence-set SP known-uid-set ")": as many of the one as of the other */
static bool
parse_match(struct cursor *c, struct arena *a, struct qresync *q)
{
	uint64_t seqs, uids;

	q->has_match = true;
	return cursor_take(c, '(') && parse_known(c, a, &q->match_seqs) && imap_parse_sp(c) &&
	       parse_known(c, a, &q->match_uids) && cursor_take(c, ')') &&
	       is_ascending(&q->match_seqs, &seqs) && is_ascending(&q->match_uids, &uids) &&
	       seqs == uids;
}

bool
qresync_parse(struct cursor *c, struct arena *a, struct qresync *q_out)
{
	*q_out = (struct qresync){ 0 };
	if (!cursor_take(c, '(') || !imap_parse_nz_number(c, &q_out->uidvalidity) ||
	    !imap_parse_sp(c) || !imap_parse_nz_number64(c, &q_out->modseq))
		return false;
	if (cursor_take(c, ')'))
		return true;
	if (!imap_parse_sp(c))
		return false;
	if (cursor_peek(c) != '(') {
		q_out->has_known = true;
		if (!parse_known(c, a, &q_out->known))
			return false;
		if (cursor_take(c, ')'))
			return true;
		if (!imap_parse_sp(c))
			return false;
	}
	return parse_match(c, a, q_out) && cursor_take(c, ')');
}

/* --- match data -------------------------------------------------------------------------------- */

/* UID of the message with this number; beyond the last one higher than any. */
static uint64_t
uid_at(const struct uidset *view, uint64_t seq)
{
	return seq <= uidset_count(view) ? uidset_nth(view, (uint32_t)seq) : UINT64_MAX;
}

/* Of the pairs (seq + i, uid + i), i < count, the highest UID that is right.  From one message to the next UIDs grow by
 * one or more, so the pairs that are right stand together. */
static uint32_t
matched_in_run(const struct uidset *view, uint32_t seq, uint32_t uid, uint32_t count)
{
	uint32_t low = 0, high = count; /* the first pair whose message has a higher UID */

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (uid_at(view, (uint64_t)seq + mid) > (uint64_t)uid + mid)
			high = mid;
		else
			low = mid + 1;
	}
	if (low == 0 || uid_at(view, (uint64_t)seq + low - 1) != (uint64_t)uid + low - 1)
		return 0;
	return uid + low - 1;
}

uint32_t
qresync_matched_uid(const struct qresync *q, const struct uidset *view)
{
	uint32_t matched = 0, seq_at = 0, uid_in = 0; /* taken of the ranges in hand */
	size_t i = 0, k = 0;

	while (q->has_match && i < q->match_seqs.count && k < q->match_uids.count) {
		const struct imap_range *seqs = &q->match_seqs.ranges[i];
		const struct imap_range *uids = &q->match_uids.ranges[k];
		uint32_t seqs_left = seqs->high - seqs->low - seq_at; /* and one */
		uint32_t uids_left = uids->high - uids->low - uid_in;
		uint32_t more = seqs_left < uids_left ? seqs_left : uids_left;
		uint32_t found =
		    matched_in_run(view, seqs->low + seq_at, uids->low + uid_in, more + 1);

		if (found != 0)
			matched = found;
		seq_at += more + 1;
		uid_in += more + 1;
		if (more == seqs_left) {
			i++;
			seq_at = 0;
		}
		if (more == uids_left) {
			k++;
			uid_in = 0;
		}
	}
	return matched;
}

/* --- the answer -------------------------------------------------------------------------------- */

/* What is remembered is said as it was; match data is for the rest, which would be long, RFC 7162 §5.3. */
static enum store_err
send_vanished(struct imap_session *s, const struct qresync *q, const struct uidset *known)
{
	uint32_t matched = qresync_matched_uid(q, mailbox_view(s->box));
	struct uidset gone = { 0 };
	bool exact = false;
	enum store_err err = mailbox_expunged_since(s->box, q->modseq, known, &gone, &exact);

	if (!exact && matched != 0)
		uidset_remove_range(&gone, 1, matched);
	if (err == STORE_OK)
		imap_send_vanished(s, true, &gone);
	uidset_free(&gone);
	return err;
}

/* UIDs are said even where UIDONLY says them already: RFC 7162 §3.2.5.1 wants them. */
static enum store_err
begin_fetch(struct imap_session *s, struct arena *a, const struct qresync *q,
    const struct uidset *known, struct fetch_run **run_out)
{
	struct mailbox_query query = { .within = known, .modseq_min = q->modseq + 1 };
	struct fetch_plan *plan = arena_zalloc(a, sizeof(*plan));
	struct uidset changed = { 0 };
	enum store_err err = mailbox_find(s->box, &query, &changed, NULL);

	fetch_plan_add(plan, a, "UID");
	fetch_plan_add(plan, a, "FLAGS");
	fetch_plan_add(plan, a, "MODSEQ");
	if (err == STORE_OK && !uidset_is_empty(&changed))
		*run_out = fetch_run_new(s, a, plan, &changed);
	uidset_free(&changed);
	return err;
}

enum store_err
qresync_begin(
    struct imap_session *s, struct arena *a, const struct qresync *q, struct fetch_run **run_out)
{
	struct uidset known = { 0 };
	struct mailbox_facts facts;
	enum store_err err;

	*run_out = NULL;
	mailbox_facts(s->box, &facts);
	if (facts.uidvalidity != q->uidvalidity)
		return STORE_OK;
	if (q->has_known)
		messages_known_uids(s, &q->known, &known);
	else if (facts.uidnext > 1)
		uidset_add_range(&known, 1, facts.uidnext - 1);
	err = send_vanished(s, q, &known);
	if (err == STORE_OK)
		err = begin_fetch(s, a, q, &known, run_out);
	uidset_free(&known);
	return err;
}
