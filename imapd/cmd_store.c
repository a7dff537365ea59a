#include "imapd/fetch_run.h"
#include "imapd/imapsieve.h"
#include "imapd/messages.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/store_plan.h"

struct store_state {
	struct fetch_plan plan;
	struct fetch_run *run; /* says the flags of messages that had them already */
	const char *modified;  /* "MODIFIED 7,9", or NULL */
};

static void
store_state_free(void *arg)
{
	struct store_state *st = arg;

	fetch_run_free(st->run);
}

/* MODIFIED SP set: what UNCHANGEDSINCE left untouched, as numbers of the command's own kind,
 * RFC 7162 §3.1.3 */
static const char *
modified_code(struct imap_session *s, struct imap_request *req, const struct uidset *failed)
{
	struct uidset seqs = { 0 };
	struct buf code = { 0 };
	const char *text;

	if (uidset_is_empty(failed))
		return NULL;
	if (!req->uid)
		messages_to_seqs(s->box, failed, &seqs);
	buf_adds(&code, "MODIFIED ");
	uidset_format(req->uid ? failed : &seqs, &code);
	text = arena_strdup(req->arena, buf_cstr(&code));
	buf_free(&code);
	uidset_free(&seqs);
	return text;
}

static enum imap_result
store_step(struct imap_session *s, struct imap_request *req, struct store_state *st)
{
	if (fetch_run_step(st->run) == FETCH_MORE)
		return IMAP_MORE;
	if (st->modified != NULL)
		return imap_ok(req, st->modified, "Conditional STORE failed for some messages");
	if (st->run->vanished && !req->uid)
		return imap_no(req, "EXPUNGEISSUED", "Some messages have been expunged");
	(void)s;
	return IMAP_OK;
}

/* The messages that changed are reported by the session's next update, with their new
 * mod-sequences.  The rest of those asked for are reported here: without .SILENT a client expects
 * to hear the flags of each. */
static enum imap_result
store_report(struct imap_session *s, struct imap_request *req, const struct store_plan *plan,
    struct uidset *uids, const struct flags_result *result)
{
	struct store_state *st = arena_zalloc(req->arena, sizeof(*st));

	st->modified = modified_code(s, req, &result->failed);
	uidset_subtract(uids, &result->failed);
	uidset_subtract(uids, &result->changed);
	if (plan->silent) {
		s->silent_store = true;
		uidset_clear(uids);
	}
	/* with CONDSTORE always, RFC 7162 §3.2.4; with UIDONLY it stands in front */
	if ((req->uid || imap_enabled(s, IMAP_ENABLED_CONDSTORE)) &&
	    !imap_enabled(s, IMAP_ENABLED_UIDONLY))
		fetch_plan_add(&st->plan, req->arena, "UID");
	fetch_plan_add(&st->plan, req->arena, "FLAGS");
	if ((s->enabled & IMAP_ENABLED_CONDSTORE) != 0)
		fetch_plan_add(&st->plan, req->arena, "MODSEQ");
	st->run = fetch_run_new(s, req->arena, &st->plan, uids);
	req->state = st;
	req->state_free = store_state_free;
	return store_step(s, req, st);
}

/* RFC 4314 §4: what there is no right for stays as it is; false where that is all that was asked. */
static bool
limit_to_rights(const struct imap_session *s, struct flags_change *change)
{
	unsigned allowed = imap_flags_allowed(s->rights);
	bool none = change->flags == 0 && change->keyword_count == 0;

	change->kept_flags = MESSAGE_FLAGS_ALL & ~allowed;
	change->keeps_keywords = (s->rights & ACL_WRITE) == 0;
	if (change->mode == FLAGS_REPLACE || none)
		return allowed != 0;
	return (change->flags & allowed) != 0 ||
	       (change->keyword_count > 0 && !change->keeps_keywords);
}

static enum imap_result
store_start(struct imap_session *s, struct imap_request *req, struct uidset *uids)
{
	struct flags_result result = { 0 };
	enum imap_result reply;
	struct store_plan plan;
	enum store_err err;

	if (!store_plan_parse(&req->args, req->arena, &plan))
		return imap_bad(req, "STORE items not understood");
	if (plan.change.has_unchanged_since)
		messages_enable_condstore(s);
	if (s->read_only)
		return imap_no(req, NULL, "The mailbox is selected read-only");
	if (!limit_to_rights(s, &plan.change))
		return imap_no(req, "NOPERM", "You have no right to change these flags");
	if (plan.beyond)
		return imap_finish(req, STORE_LIMIT);
	messages_keep_limit(s, req, uids);
	imap_sieve_flags_begin(s, uids, &plan.change);
	err = mailbox_store_flags(s->box, uids, &plan.change, &result);
	imap_sieve_flags_end(s, &result.changed);
	reply =
	    err == STORE_OK ? store_report(s, req, &plan, uids, &result) : imap_finish(req, err);
	uidset_free(&result.changed);
	uidset_free(&result.failed);
	return reply;
}

/* STORE changes flags.  RFC 9051 §6.4.6, RFC 7162 §3.1.3. */
static enum imap_result
store_command(struct imap_session *s, struct imap_request *req)
{
	struct uidset uids = { 0 };
	enum imap_result result;

	if (req->state != NULL)
		return store_step(s, req, req->state);
	result = messages_arg_set(s, req, &uids) ? store_start(s, req, &uids) : IMAP_BAD;
	uidset_free(&uids);
	return result;
}

const struct imap_command imap_cmd_store = {
	.name = "STORE",
	.rfc = "RFC 9051 6.4.6",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID | IMAP_CMD_KEEPS_NUMBERS,
	.run = store_command,
};
