#include "imapd/messages.h"

#include <inttypes.h>
#include <stdlib.h>

#include "imapd/imapd.h"
#include "imapd/response.h"

/* --- sets -------------------------------------------------------------------------------------- */

static int
range_order(const void *a, const void *b)
{
	const struct imap_range *x = a, *y = b;

	return x->low < y->low ? -1 : x->low > y->low;
}

/* The ranges may come in any order; sorted first, so that each is added at the end. */
static void
add_ranges(struct uidset *to, const struct imap_sequence_set *set, uint32_t largest)
{
	struct imap_range *r;

	if (set->count == 0)
		return;
	r = mem_realloc_array(NULL, set->count, sizeof(*r));
	for (size_t i = 0; i < set->count; i++)
		r[i] = imap_range_resolve(set->ranges[i], largest);
	qsort(r, set->count, sizeof(*r), range_order);
	for (size_t i = 0; i < set->count; i++)
		uidset_add_range(to, r[i].low, r[i].high);
	free(r);
}

static bool
resolve_seqs(
    const struct mailbox *box, const struct imap_sequence_set *set, struct uidset *uids_out)
{
	uint32_t messages = uidset_count(mailbox_view(box));
	struct uidset seqs = { 0 };
	bool ok;

	if (messages == 0)
		return false;
	add_ranges(&seqs, set, messages);
	ok = mailbox_seqs_to_uids(box, &seqs, uids_out);
	uidset_free(&seqs);
	return ok;
}

bool
messages_resolve_in(const struct mailbox *box, const struct uidset *saved,
    const struct imap_sequence_set *set, bool uid, struct uidset *uids_out)
{
	const struct uidset *view = mailbox_view(box);

	if (set->saved) {
		if (saved != NULL)
			uidset_copy(uids_out, saved);
	} else if (!uid) {
		return resolve_seqs(box, set, uids_out);
	} else if (!uidset_is_empty(view)) {
		add_ranges(uids_out, set, uidset_last(view));
	}
	uidset_intersect(uids_out, view);
	return true;
}

bool
messages_resolve(const struct imap_session *s, const struct imap_sequence_set *set, bool uid,
    struct uidset *uids_out)
{
	return messages_resolve_in(s->box, s->search_saved, set, uid, uids_out);
}

bool
messages_arg_set_raw(struct imap_session *s, struct imap_request *req,
    struct imap_sequence_set *set_out, struct uidset *uids_out)
{
	if (!imap_arg_sp(req) || !imap_parse_sequence_set(&req->args, req->arena, set_out)) {
		imap_bad(req, "Expected a message set");
		return false;
	}
	if (messages_resolve(s, set_out, req->uid, uids_out))
		return true;
	imap_bad(req, "Message number beyond the mailbox");
	return false;
}

bool
messages_arg_set(struct imap_session *s, struct imap_request *req, struct uidset *uids_out)
{
	struct imap_sequence_set set;

	return messages_arg_set_raw(s, req, &set, uids_out);
}

void
messages_known_uids(
    const struct imap_session *s, const struct imap_sequence_set *set, struct uidset *uids_out)
{
	struct mailbox_facts facts;

	mailbox_facts(s->box, &facts);
	if (set->saved && s->search_saved != NULL)
		uidset_copy(uids_out, s->search_saved);
	else if (!set->saved && facts.uidnext > 1)
		add_ranges(uids_out, set, facts.uidnext - 1);
}

void
messages_to_seqs(const struct mailbox *box, const struct uidset *uids, struct uidset *seqs_out)
{
	struct uidset in_view = { 0 };

	uidset_copy(&in_view, uids);
	uidset_intersect(&in_view, mailbox_view(box));
	for (size_t i = 0; i < in_view.run_count; i++) {
		const struct uid_run *r = &in_view.runs[i];
		uint32_t seq = mailbox_uid_to_seq(box, r->first);

		uidset_add_range(seqs_out, seq, seq + (r->last - r->first));
	}
	uidset_free(&in_view);
}

static int
uid_order(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void
messages_add_all(struct uidset *to, const uint32_t *uids, uint32_t count)
{
	uint32_t *sorted = mem_realloc_array(NULL, count + (size_t)1, sizeof(*sorted));

	if (count > 0)
		memcpy(sorted, uids, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), uid_order);
	for (uint32_t i = 0; i < count; i++)
		uidset_add(to, sorted[i]);
	free(sorted);
}

/* The first run that has a member above `after`. */
static size_t
run_above(const struct uidset *set, uint32_t after)
{
	size_t low = 0, high = set->run_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (set->runs[mid].last > after)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

void
messages_slice(const struct uidset *set, uint32_t after, uint32_t max, struct uidset *slice_out)
{
	uidset_clear(slice_out);
	for (size_t i = run_above(set, after); i < set->run_count && max > 0; i++) {
		const struct uid_run *r = &set->runs[i];
		uint32_t first = r->first > after ? r->first : after + 1;
		uint32_t last = r->last - first < max ? r->last : first + (max - 1);

		uidset_add_range(slice_out, first, last);
		max -= last - first + 1;
	}
}

void
messages_slice_below(
    const struct uidset *set, uint32_t below, uint32_t max, struct uidset *slice_out)
{
	uint32_t count = below == 0 ? uidset_count(set) : uidset_count_upto(set, below - 1);

	uidset_clear(slice_out);
	messages_slice(set, count > max ? uidset_nth(set, count - max) : 0,
	    count < max ? count : max, slice_out);
}

/* --- MESSAGELIMIT ------------------------------------------------------------------------------ */

uint32_t
messages_limit(const struct imap_session *s)
{
	return s->imapd != NULL ? s->imapd->message_limit : 0;
}

uint32_t
messages_save_limit(const struct imap_session *s)
{
	uint32_t all = messages_limit(s), saved = s->imapd != NULL ? s->imapd->save_limit : 0;

	return saved != 0 && (all == 0 || saved < all) ? saved : all;
}

void
messages_keep_limit(const struct imap_session *s, struct imap_request *req, struct uidset *uids)
{
	uint32_t limit = messages_limit(s), count = uidset_count(uids);

	if (limit == 0 || count <= limit)
		return;
	req->limited_uid = uidset_nth(uids, count - limit + 1);
	uidset_remove_range(uids, 1, req->limited_uid - 1);
	log_debug(s->log, "limit", "messages=%" PRIu32 " limit=%" PRIu32, count, limit);
}

enum imap_result
messages_refuse_limit(struct imap_request *req, uint32_t limit, uint32_t uid)
{
	struct buf code = { 0 };

	buf_printf(&code, "MESSAGELIMIT %" PRIu32, limit);
	if (uid != 0)
		buf_printf(&code, " %" PRIu32, uid);
	imap_no(req, buf_cstr(&code), "Too many messages for one command");
	buf_free(&code);
	return IMAP_NO;
}

/* --- CONDSTORE --------------------------------------------------------------------------------- */

void
messages_enable_condstore(struct imap_session *s)
{
	struct mailbox_facts facts;

	if ((s->enabled & IMAP_ENABLED_CONDSTORE) != 0)
		return;
	s->enabled |= IMAP_ENABLED_CONDSTORE;
	if (s->box == NULL)
		return;
	mailbox_facts(s->box, &facts);
	imap_untagged(s, "OK [HIGHESTMODSEQ %" PRIu64 "] Highest", facts.highestmodseq);
}
