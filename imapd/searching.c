#include "imapd/searching.h"

#include <inttypes.h>
#include <time.h>

#include "imapd/messages.h"
#include "imapd/progress.h"
#include "imapd/response.h"

void
searching_free(struct searching *st)
{
	context_free(st->context);
	search_run_free(st->run);
	sort_run_free(st->sort_run);
	search_result_clear(&st->result);
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

static bool
saves(const struct search_plan *plan)
{
	return (plan->returns & SEARCH_RETURN_SAVE) != 0;
}

static void
save_nothing(struct imap_session *s, const struct search_plan *plan)
{
	static const struct uidset NONE = { 0 };

	if (saves(plan))
		save_result(s, &NONE);
}

enum imap_result
searching_fail(struct imap_session *s, struct imap_request *req, const struct search_plan *plan,
    enum store_err err)
{
	save_nothing(s, plan);
	if (err == STORE_LIMIT && saves(plan))
		return imap_no(req, "NOTSAVED", "Beyond a limit of this server, nothing is saved");
	return imap_finish(req, err);
}

enum imap_result
searching_refuse(struct imap_session *s, struct imap_request *req, const struct search_plan *plan,
    enum search_parsed parsed)
{
	if (parsed == SEARCH_BEYOND)
		return searching_fail(s, req, plan, STORE_LIMIT);
	if (parsed != SEARCH_CHARSET)
		return imap_bad(req, "Search not understood");
	save_nothing(s, plan);
	return imap_no(req, "BADCHARSET (US-ASCII UTF-8 ISO-8859-1 ISO-8859-15 WINDOWS-1252)",
	    "Charset not known");
}

/* --- starting ---------------------------------------------------------------------------------- */

enum imap_result
searching_start(struct imap_session *s, struct imap_request *req, struct searching *st,
    enum search_charset charset)
{
	struct str program = { req->args.p, cursor_left(&req->args) };
	int64_t now_s = time(NULL);
	enum search_parsed parsed;

	if ((st->plan.returns & SEARCH_RETURN_UPDATE) != 0 && context_tag_is_used(s, req->tag))
		return imap_bad(req, "Tag reuse");
	parsed = search_parse_program(&req->args, req->arena, now_s, charset, &st->plan);
	if (st->plan.names_charset && imap_enabled(s, IMAP_ENABLED_UTF8)) /* RFC 6855 §3 */
		return imap_bad(req, "No CHARSET once UTF8=ACCEPT is enabled");
	if (parsed != SEARCH_PARSED)
		return searching_refuse(s, req, &st->plan, parsed);
	if (st->sort.by_relevancy && !st->plan.uses_fuzzy)
		return imap_bad(req, "RELEVANCY needs a FUZZY key");
	if (st->plan.uses_numbers && imap_enabled(s, IMAP_ENABLED_UIDONLY))
		return imap_uid_required(req);
	req->keeps_numbers = st->plan.uses_numbers;
	if (!search_bind(&st->plan, s->box, s->search_saved))
		return searching_fail(s, req, &st->plan, STORE_LIMIT);
	if ((st->plan.returns & SEARCH_RETURN_UPDATE) != 0)
		st->context = context_new(
		    s, req->tag, program, charset, now_s, st->sorted ? &st->sort : NULL);
	context_wants(st->context, st->plan.update_atts);
	if (st->plan.uses_modseq)
		messages_enable_condstore(s);
	st->run = search_run_new(s->box, &st->plan, NULL);
	if (!st->sorted) /* SORT has its keys in the index, RFC 9738 §3.3 */
		search_run_limit(st->run, messages_limit(s));
	st->result.box = s->box;
	st->result.plan = &st->plan;
	st->result.run = st->run;
	st->result.uid = req->uid;
	st->state = SEARCHING_FIND;
	return IMAP_OK;
}

/* --- running ----------------------------------------------------------------------------------- */

static enum store_err
finish(struct imap_session *s, struct searching *st)
{
	struct uidset returned = { 0 };
	enum store_err err = search_result_finish(&st->result);

	if (err == STORE_OK && saves(&st->plan)) {
		search_result_returned(&st->result, &returned);
		save_result(s, &returned);
		uidset_free(&returned);
	}
	st->state = SEARCHING_DONE;
	return err;
}

static enum store_err
step_find(struct imap_session *s, struct imap_request *req, struct searching *st)
{
	uint64_t at, goal;
	enum store_err err;
	bool done;

	err = search_run_step(st->run, &done);
	if (err != STORE_OK)
		return err;
	if (!done) {
		search_run_progress(st->run, &at, &goal);
		imap_progress(s, req, at, goal);
		return STORE_OK;
	}
	req->limited_uid = search_run_limited_uid(st->run);
	uidset_copy(&st->result.found, search_run_found(st->run));
	if (!st->sorted)
		return finish(s, st);
	st->sort_run = sort_run_new(s->box, &st->sort, &st->result.found);
	sort_run_found_by(st->sort_run, st->run);
	st->state = SEARCHING_SORT;
	return STORE_OK;
}

/* Messages that have gone since they were found are no results. */
static void
take_order(struct searching *st)
{
	struct search_result *r = &st->result;
	uint32_t count, found = uidset_count(&r->found);

	r->order = sort_run_take(st->sort_run, &count);
	sort_run_free(st->sort_run);
	st->sort_run = NULL;
	if (count == found)
		return;
	uidset_clear(&r->found);
	messages_add_all(&r->found, r->order, count);
}

static enum store_err
step_sort(struct imap_session *s, struct imap_request *req, struct searching *st)
{
	enum store_err err;
	uint64_t at, goal;
	bool done;

	err = sort_run_step(st->sort_run, &done);
	if (err != STORE_OK)
		return err;
	if (!done) {
		sort_run_progress(st->sort_run, &at, &goal);
		imap_progress(s, req, at, goal);
		return STORE_OK;
	}
	take_order(st);
	return finish(s, st);
}

/* Behind the result, whose changes are told from now on. */
void
searching_keep(struct imap_session *s, struct imap_request *req, struct searching *st)
{
	struct context *c = st->context;

	st->context = NULL;
	if (c != NULL)
		context_open(s, c, &st->result, search_correlator(req->arena, req->tag));
}

enum imap_result
searching_step(struct imap_session *s, struct imap_request *req, struct searching *st)
{
	enum store_err err = STORE_OK;

	if (st->state == SEARCHING_FIND)
		err = step_find(s, req, st);
	else if (st->state == SEARCHING_SORT)
		err = step_sort(s, req, st);
	if (err != STORE_OK)
		return searching_fail(s, req, &st->plan, err);
	return st->state == SEARCHING_DONE ? IMAP_OK : IMAP_MORE;
}

enum imap_result
searching_send_numbers(struct imap_session *s, struct searching *st, const char *name)
{
	const struct search_result *r = &st->result;
	uint32_t count = uidset_count(&r->found);

	if (st->sent == 0)
		buf_printf(&s->out, "* %s", name);
	for (; st->sent < count; st->sent++) {
		if (imap_out_full(s))
			return IMAP_MORE;
		buf_addc(&s->out, ' ');
		buf_number(&s->out, search_result_number(r, search_result_at(r, st->sent)));
	}
	if (r->modseq != 0)
		buf_printf(&s->out, " (MODSEQ %" PRIu64 ")", r->modseq);
	buf_adds(&s->out, "\r\n");
	return IMAP_OK;
}
