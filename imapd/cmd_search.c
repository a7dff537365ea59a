#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "imapd/messages.h"
#include "imapd/progress.h"
#include "imapd/response.h"
#include "imapd/search_run.h"

struct search_state {
	struct search_plan plan;
	struct search_run *run;
	bool found; /* the run is over, its result is being sent */
	bool head_sent;
	uint32_t sent_uid; /* SEARCH: all found up to it are sent */
	uint64_t modseq;   /* highest of what is returned; 0: none or not asked */
};

static void
search_state_free(void *arg)
{
	struct search_state *st = arg;

	search_run_free(st->run);
	search_unbind(&st->plan);
}

/* --- "$", RFC 9051 §6.4.4.1 -------------------------------------------------------------------- */

static void
save_result(struct imap_session *s, const struct uidset *uids)
{
	if (s->search_saved == NULL)
		s->search_saved = mem_zalloc(sizeof(*s->search_saved));
	uidset_copy(s->search_saved, uids);
}

/* What MIN, MAX, ALL and COUNT leave of the result: with only MIN or MAX or both, these messages;
 * table of RFC 9051 §6.4.4.4. */
static void
returned_uids(const struct search_plan *plan, const struct uidset *found, struct uidset *out)
{
	unsigned ends = SEARCH_RETURN_MIN | SEARCH_RETURN_MAX;

	if ((plan->returns & ends) == 0 ||
	    (plan->returns & (SEARCH_RETURN_ALL | SEARCH_RETURN_COUNT)) != 0) {
		uidset_copy(out, found);
		return;
	}
	if ((plan->returns & SEARCH_RETURN_MIN) != 0)
		uidset_add(out, uidset_first(found));
	if ((plan->returns & SEARCH_RETURN_MAX) != 0)
		uidset_add(out, uidset_last(found));
}

/* A search that is refused empties "$" if it was to be saved there. */
static enum imap_result
refuse(struct imap_session *s, const struct search_plan *plan, enum imap_result result)
{
	static const struct uidset NONE = { 0 };

	if ((plan->returns & SEARCH_RETURN_SAVE) != 0)
		save_result(s, &NONE);
	return result;
}

/* --- answers ----------------------------------------------------------------------------------- */

/* mod-sequence of the answer: the highest of the messages it returns, RFC 7162 §3.1.5, §3.1.10 */
static enum store_err
find_modseq(struct imap_session *s, struct search_state *st, const struct uidset *returned)
{
	struct mailbox_query query = { .within = returned };
	struct uidset uids = { 0 };
	enum store_err err;

	if (!st->plan.uses_modseq || uidset_is_empty(returned))
		return STORE_OK;
	err = mailbox_find(s->box, &query, &uids, &st->modseq);
	uidset_free(&uids);
	return err;
}

static void
out_number(struct imap_session *s, bool uid, const char *name, uint32_t n)
{
	if (n != 0)
		buf_printf(&s->out, " %s %" PRIu32, name, uid ? n : mailbox_uid_to_seq(s->box, n));
}

static void
out_all(struct imap_session *s, bool uid, const struct uidset *found)
{
	struct uidset seqs = { 0 };

	if (uidset_is_empty(found))
		return;
	buf_adds(&s->out, " ALL ");
	if (!uid)
		messages_to_seqs(s->box, found, &seqs);
	uidset_format(uid ? found : &seqs, &s->out);
	uidset_free(&seqs);
}

/* esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data), RFC 9051 §9 */
static void
send_esearch(struct imap_session *s, struct imap_request *req, struct search_state *st)
{
	const struct uidset *found = search_run_found(st->run);
	unsigned returns = st->plan.has_return ? st->plan.returns : SEARCH_RETURN_ALL;

	if (returns == SEARCH_RETURN_SAVE)
		return;
	buf_adds(&s->out, "* ESEARCH (TAG ");
	imap_out_string(&s->out, req->tag);
	buf_adds(&s->out, req->uid ? ") UID" : ")");
	if ((returns & SEARCH_RETURN_MIN) != 0)
		out_number(s, req->uid, "MIN", uidset_first(found));
	if ((returns & SEARCH_RETURN_MAX) != 0)
		out_number(s, req->uid, "MAX", uidset_last(found));
	if ((returns & SEARCH_RETURN_ALL) != 0)
		out_all(s, req->uid, found);
	if ((returns & SEARCH_RETURN_COUNT) != 0)
		buf_printf(&s->out, " COUNT %" PRIu32, uidset_count(found));
	if (st->modseq != 0)
		buf_printf(&s->out, " MODSEQ %" PRIu64, st->modseq);
	buf_adds(&s->out, "\r\n");
}

/* "* SEARCH 2 84 882 (MODSEQ 917162500)", RFC 3501 §7.2.5 and RFC 7162 §3.1.5; in pieces */
static enum imap_result
send_search(struct imap_session *s, struct imap_request *req, struct search_state *st)
{
	const struct uidset *found = search_run_found(st->run);
	uint32_t uid;

	if (!st->head_sent)
		buf_adds(&s->out, "* SEARCH");
	st->head_sent = true;
	while ((uid = uidset_next(found, st->sent_uid)) != 0) {
		if (imap_out_full(s))
			return IMAP_MORE;
		buf_printf(&s->out, " %" PRIu32, req->uid ? uid : mailbox_uid_to_seq(s->box, uid));
		st->sent_uid = uid;
	}
	if (st->modseq != 0)
		buf_printf(&s->out, " (MODSEQ %" PRIu64 ")", st->modseq);
	buf_adds(&s->out, "\r\n");
	return IMAP_OK;
}

static enum imap_result
send_result(struct imap_session *s, struct imap_request *req, struct search_state *st)
{
	if (!st->plan.has_return && !imap_rev2(s))
		return send_search(s, req, st);
	send_esearch(s, req, st);
	return IMAP_OK;
}

/* --- running ----------------------------------------------------------------------------------- */

static enum store_err
finish_run(struct imap_session *s, struct search_state *st)
{
	struct uidset returned = { 0 };
	enum store_err err;

	returned_uids(&st->plan, search_run_found(st->run), &returned);
	err = find_modseq(s, st, &returned);
	if (err == STORE_OK && (st->plan.returns & SEARCH_RETURN_SAVE) != 0)
		save_result(s, &returned);
	uidset_free(&returned);
	st->found = true;
	return err;
}

static enum imap_result
search_step(struct imap_session *s, struct imap_request *req, struct search_state *st)
{
	enum store_err err;
	uint64_t at, goal;
	bool done;

	if (!st->found) {
		err = search_run_step(st->run, &done);
		if (err == STORE_OK && !done) {
			search_run_progress(st->run, &at, &goal);
			imap_progress(s, req, at, goal);
			return IMAP_MORE;
		}
		if (err == STORE_OK)
			err = finish_run(s, st);
		if (err != STORE_OK)
			return refuse(s, &st->plan, imap_finish(req, err));
	}
	return send_result(s, req, st);
}

static enum imap_result
search_start(struct imap_session *s, struct imap_request *req, struct search_state *st)
{
	switch (search_plan_parse(&req->args, req->arena, time(NULL), &st->plan)) {
	case SEARCH_PARSED: break;
	case SEARCH_SYNTAX: return imap_bad(req, "Search not understood");
	case SEARCH_CHARSET:
		return refuse(s, &st->plan,
		    imap_no(req, "BADCHARSET (US-ASCII UTF-8 ISO-8859-1 ISO-8859-15 WINDOWS-1252)",
			"Charset not known"));
	}
	if (st->plan.uses_numbers && imap_enabled(s, IMAP_ENABLED_UIDONLY))
		return refuse(s, &st->plan, imap_uid_required(req));
	req->keeps_numbers = st->plan.uses_numbers;
	search_bind(&st->plan, s);
	if (st->plan.uses_modseq)
		messages_enable_condstore(s);
	st->run = search_run_new(s->box, &st->plan, NULL);
	return search_step(s, req, st);
}

/* SEARCH finds messages.  RFC 9051 §6.4.4; the answer is ESEARCH where RETURN or IMAP4rev2 asks for
 * it and SEARCH otherwise, RFC 3501 §6.4.4. */
static enum imap_result
search_command(struct imap_session *s, struct imap_request *req)
{
	struct search_state *st = req->state;

	if (st != NULL)
		return search_step(s, req, st);
	st = arena_zalloc(req->arena, sizeof(*st));
	req->state = st;
	req->state_free = search_state_free;
	return search_start(s, req, st);
}

const struct imap_command imap_cmd_search = {
	.name = "SEARCH",
	.rfc = "RFC 9051 6.4.4",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID | IMAP_CMD_KEEPS_NUMBERS,
	.run = search_command,
};
