#include "imapd/fetch_run.h"
#include "imapd/messages.h"
#include "imapd/response.h"

/* PARTIAL leaves those at some places of the set; before CHANGEDSINCE does, RFC 9394 §3.3, §3.4. */
static void
keep_partial(const struct fetch_plan *plan, struct uidset *uids)
{
	struct uidset kept = { 0 };
	uint32_t from, to;

	if (!plan->has_partial)
		return;
	imap_partial_bounds(&plan->partial, uidset_count(uids), &from, &to);
	if (from < to)
		uidset_add_range(&kept, uidset_nth(uids, from + 1), uidset_nth(uids, to));
	uidset_intersect(uids, &kept);
	uidset_free(&kept);
}

/* CHANGEDSINCE leaves those with a higher mod-sequence, RFC 7162 §3.1.4.1. */
static enum store_err
keep_changed(struct imap_session *s, const struct fetch_plan *plan, struct uidset *uids)
{
	struct mailbox_query query = { .within = uids, .modseq_min = plan->changed_since + 1 };
	struct uidset changed = { 0 };
	enum store_err err;

	if (!plan->has_changed_since || uidset_is_empty(uids))
		return STORE_OK;
	err = mailbox_find(s->box, &query, &changed, NULL);
	uidset_swap(uids, &changed);
	uidset_free(&changed);
	return err;
}

/* A message that has gone is an error only where the client named it by its number: a UID that
 * is not there is ignored without any error, RFC 9051 §6.4.9. */
static enum imap_result
fetch_reply(struct imap_session *s, struct imap_request *req, const struct fetch_run *run)
{
	if (run->seen_changed)
		s->silent_store = true;
	if (run->failed)
		return imap_no(req, "UNAVAILABLE", "Some messages could not be read");
	if (run->unknown_cte)
		return imap_no(
		    req, "UNKNOWN-CTE", "A part has an encoding this server does not know");
	if (run->vanished && !req->uid)
		return imap_no(req, "EXPUNGEISSUED", "Some messages have been expunged");
	return IMAP_OK;
}

static enum imap_result
fetch_step(struct imap_session *s, struct imap_request *req, struct fetch_run *run)
{
	switch (fetch_run_step(run)) {
	case FETCH_MORE: return IMAP_MORE;
	case FETCH_DONE: break;
	case FETCH_BROKEN:
		s->broken = true;
		s->state = IMAP_LOGOUT;
		return IMAP_NO;
	}
	return fetch_reply(s, req, run);
}

/* VANISHED only with UID and only once QRESYNC is enabled, RFC 7162 §3.2.6. */
static bool
may_ask_vanished(const struct imap_session *s, const struct imap_request *req)
{
	return req->uid && imap_enabled(s, IMAP_ENABLED_QRESYNC);
}

/* Before any FETCH response, RFC 7162 §3.2.6. */
static enum store_err
send_vanished(
    struct imap_session *s, const struct imap_sequence_set *set, const struct fetch_plan *plan)
{
	struct uidset known = { 0 }, gone = { 0 };
	enum store_err err;

	messages_known_uids(s, set, &known);
	err = mailbox_expunged_since(s->box, plan->changed_since, &known, &gone, NULL);
	if (err == STORE_OK)
		imap_send_vanished(s, true, &gone);
	uidset_free(&known);
	uidset_free(&gone);
	return err;
}

static enum imap_result
fetch_start(struct imap_session *s, struct imap_request *req, const struct imap_sequence_set *set,
    struct uidset *uids)
{
	struct fetch_plan *plan = arena_alloc(req->arena, sizeof(*plan));
	struct fetch_run *run;
	enum store_err err;

	if (!fetch_plan_parse(&req->args, req->arena, plan))
		return imap_bad(req, "FETCH items not understood");
	if (plan->vanished && !may_ask_vanished(s, req))
		return imap_bad(req, "VANISHED is for UID FETCH, once QRESYNC is enabled");
	if (plan->has_partial && !req->uid)
		return imap_bad(req, "PARTIAL is for UID FETCH");
	keep_partial(plan, uids);
	if (plan->has_partial && messages_limit(s) != 0 && uidset_count(uids) > messages_limit(s))
		return messages_refuse_limit(req, messages_limit(s), 0);
	messages_keep_limit(s, req, uids);
	if (req->uid && !imap_enabled(s, IMAP_ENABLED_UIDONLY))
		fetch_plan_add(plan, req->arena, "UID");
	if ((plan->needs & FETCH_NEEDS_MODSEQ) != 0)
		messages_enable_condstore(s);
	err = plan->vanished ? send_vanished(s, set, plan) : STORE_OK;
	if (err == STORE_OK)
		err = keep_changed(s, plan, uids);
	if (err != STORE_OK)
		return imap_finish(req, err);
	run = fetch_run_new(s, req->arena, plan, uids);
	run->downwards = req->limited_uid != 0;
	req->state = run;
	req->state_free = fetch_run_free;
	return fetch_step(s, req, req->state);
}

/* FETCH returns what messages are and hold.  RFC 9051 §6.4.5, RFC 3501 §6.4.5. */
static enum imap_result
fetch_command(struct imap_session *s, struct imap_request *req)
{
	struct imap_sequence_set set;
	struct uidset uids = { 0 };
	enum imap_result result;

	if (req->state != NULL)
		return fetch_step(s, req, req->state);
	if (!messages_arg_set_raw(s, req, &set, &uids)) {
		uidset_free(&uids);
		return IMAP_BAD;
	}
	result = fetch_start(s, req, &set, &uids);
	uidset_free(&uids);
	return result;
}

const struct imap_command imap_cmd_fetch = {
	.name = "FETCH",
	.rfc = "RFC 9051 6.4.5",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID | IMAP_CMD_KEEPS_NUMBERS,
	.run = fetch_command,
};
