#include "imapd/fetch_run.h"
#include "imapd/messages.h"
#include "imapd/response.h"

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

static enum imap_result
fetch_start(struct imap_session *s, struct imap_request *req, struct uidset *uids)
{
	struct fetch_plan *plan = arena_alloc(req->arena, sizeof(*plan));
	enum store_err err;

	if (!fetch_plan_parse(&req->args, req->arena, plan))
		return imap_bad(req, "FETCH items not understood");
	if (req->uid)
		fetch_plan_add(plan, req->arena, "UID");
	if ((plan->needs & FETCH_NEEDS_MODSEQ) != 0)
		messages_enable_condstore(s);
	err = keep_changed(s, plan, uids);
	if (err != STORE_OK)
		return imap_finish(req, err);
	req->state = fetch_run_new(s, req->arena, plan, uids);
	req->state_free = fetch_run_free;
	return fetch_step(s, req, req->state);
}

/* FETCH returns what messages are and hold.  RFC 9051 §6.4.5, RFC 3501 §6.4.5. */
static enum imap_result
fetch_command(struct imap_session *s, struct imap_request *req)
{
	struct uidset uids = { 0 };
	enum imap_result result;

	if (req->state != NULL)
		return fetch_step(s, req, req->state);
	if (!messages_arg_set(s, req, &uids)) {
		uidset_free(&uids);
		return IMAP_BAD;
	}
	result = fetch_start(s, req, &uids);
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
