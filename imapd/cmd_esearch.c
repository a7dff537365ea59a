#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "imapd/context.h"
#include "imapd/mailbox_scope.h"
#include "imapd/messages.h"
#include "imapd/parse.h"
#include "imapd/progress.h"
#include "imapd/response.h"
#include "imapd/searching.h"
#include "imapd/session.h"

#define ESEARCH_FILTERS_MAX 100 /* in one command */

/* One ESEARCH: mailbox after mailbox, each with the program parsed anew, since a search uses its plan up. */
struct esearch {
	struct search_plan returns; /* only its return options */
	struct str program;
	int64_t now_s;
	bool selected; /* the selected mailbox is asked for as such */
	bool others;   /* and mailboxes by name or their like */
	struct mailbox_scope scope;
	size_t at;

	/* the mailbox in hand */
	struct context *context; /* of the selected mailbox, until it is searched; or NULL */
	bool running;
	struct mailbox *opened; /* ours to close; NULL: it is the selected one */
	struct arena arena;
	struct search_plan plan;
	struct search_run *run;
	struct search_result result;
};

static void
end_mailbox(struct esearch *st)
{
	search_run_free(st->run);
	search_result_clear(&st->result);
	search_unbind(&st->plan);
	mailbox_close(st->opened);
	arena_reset(&st->arena);
	st->run = NULL;
	st->opened = NULL;
	st->plan = (struct search_plan){ 0 };
	st->running = false;
}

static void
state_free(void *arg)
{
	struct esearch *st = arg;

	end_mailbox(st);
	context_free(st->context);
	arena_free(&st->arena);
}

/* --- arguments --------------------------------------------------------------------------------- */

struct sources {
	struct mailbox_filter filters[ESEARCH_FILTERS_MAX];
	size_t count;
};

/* esearch-source-opts = "IN" SP "(" source-mbox [SP "(" scope-options ")"] ")"; no scope options are defined.
 * source-mbox = filter-mailboxes *(SP filter-mailboxes), RFC 7377 §4 */
static bool
parse_sources(struct imap_session *s, struct imap_request *req, struct sources *sources)
{
	struct cursor at = req->args, *c = &req->args;

	if (!imap_parse_sp(&at) || !cursor_take_nocase(&at, STR("IN (")))
		return true;
	*c = at;
	do {
		if (sources->count == ESEARCH_FILTERS_MAX ||
		    !imap_parse_mailbox_filter(c, req->arena, !imap_utf8_names(s),
			MAILBOX_FILTERS_ESEARCH, &sources->filters[sources->count++]))
			return false;
	} while (imap_parse_sp(c));
	return cursor_take(c, ')');
}

static bool
parse(struct imap_session *s, struct imap_request *req, struct esearch *st, struct sources *sources)
{
	if (!parse_sources(s, req, sources) || !search_parse_returns(&req->args, &st->returns) ||
	    !imap_parse_sp(&req->args))
		return false;
	st->program = (struct str){ req->args.p, cursor_left(&req->args) };
	st->selected = sources->count == 0;
	for (size_t i = 0; i < sources->count; i++) {
		if (sources->filters[i].kind == MAILBOX_FILTER_SELECTED)
			st->selected = true;
		else
			st->others = true;
	}
	return true;
}

/* The program is looked at before anything is opened. */
static enum imap_result
check_program(struct imap_session *s, struct imap_request *req, struct esearch *st)
{
	struct cursor c = cursor_from(st->program);
	struct search_plan plan = { .returns = st->returns.returns, .root = { .op = SEARCH_AND } };
	enum search_parsed parsed;

	parsed = search_parse_program(&c, req->arena, st->now_s, SEARCH_CHARSET_OPTIONAL, &plan);
	if (parsed != SEARCH_PARSED)
		return searching_refuse(s, req, &st->returns, parsed);
	if (plan.names_charset && imap_enabled(s, IMAP_ENABLED_UTF8)) /* RFC 6855 §3 */
		return imap_bad(req, "No CHARSET once UTF8=ACCEPT is enabled");
	if (plan.uses_numbers && imap_enabled(s, IMAP_ENABLED_UIDONLY))
		return imap_uid_required(req);
	req->keeps_numbers = plan.uses_numbers;
	if (plan.uses_modseq)
		messages_enable_condstore(s);
	return IMAP_OK;
}

/* What the state and the return options rule out, RFC 7377 §2.2. */
static enum imap_result
check_sources(struct imap_session *s, struct imap_request *req, const struct esearch *st)
{
	if (st->selected && s->box == NULL)
		return imap_bad(req, "Select a mailbox first");
	if (st->others && (st->returns.returns & SEARCH_RETURN_SAVE) != 0)
		return imap_bad(req, "SAVE is for the selected mailbox alone");
	if ((st->returns.returns & SEARCH_RETURN_UPDATE) == 0)
		return IMAP_OK;
	if (s->box == NULL)
		return imap_bad(req, "UPDATE is for the selected mailbox");
	return context_tag_is_used(s, req->tag) ? imap_bad(req, "Tag reuse") : IMAP_OK;
}

static const char *
selected_shown(struct imap_session *s, struct arena *a)
{
	struct account *acct = mailbox_account(s->box);

	return acct == s->acct
		   ? mailbox_name(s->box)
		   : imap_place_shown(s, a, account_address(acct), mailbox_name(s->box));
}

/* The selected mailbox is the first if it is asked for, and then not searched twice. */
static enum store_err
find_mailboxes(
    struct imap_session *s, struct imap_request *req, struct esearch *st, struct sources *sources)
{
	struct imap_place *all;
	size_t count = 0;
	enum store_err err = STORE_OK;

	if (st->others)
		err =
		    mailbox_scope_find(s, req->arena, sources->filters, sources->count, &st->scope);
	if (err != STORE_OK || !st->selected)
		return err;
	all = arena_alloc(req->arena, (st->scope.count + 1) * sizeof(*all));
	all[count++] = (struct imap_place){ .acct = mailbox_account(s->box),
		.name = mailbox_name(s->box),
		.shown = selected_shown(s, req->arena),
		.rights = s->rights };
	for (size_t i = 0; i < st->scope.count; i++)
		if (!imap_place_is_selected(s, &st->scope.places[i]))
			all[count++] = st->scope.places[i];
	st->scope = (struct mailbox_scope){ all, count };
	return STORE_OK;
}

/* --- one mailbox ------------------------------------------------------------------------------- */

/* A mailbox that is gone by now is none of those asked for. */
static enum store_err
begin_mailbox(struct imap_session *s, struct esearch *st)
{
	const struct imap_place *place = &st->scope.places[st->at];
	struct cursor c = cursor_from(st->program);
	struct mailbox *box = s->box;
	bool selected = imap_place_is_selected(s, place);
	enum store_err err = STORE_OK;

	if (!selected && !imap_place_still(s, place->shown, place->acct, ACL_READ))
		return STORE_NOT_FOUND;
	if (!selected) {
		err = mailbox_open(place->acct, place->name, true, &st->opened);
		box = st->opened;
	}
	if (err != STORE_OK)
		return err;
	st->plan = (struct search_plan){ .root = { .op = SEARCH_AND },
		.has_return = true,
		.returns = st->returns.has_return ? st->returns.returns : SEARCH_RETURN_ALL,
		.partial = st->returns.partial };
	search_parse_program(&c, &st->arena, st->now_s, SEARCH_CHARSET_OPTIONAL, &st->plan);
	if (!search_bind(&st->plan, box, selected ? s->search_saved : NULL))
		return STORE_LIMIT;
	st->run = search_run_new(box, &st->plan, NULL);
	st->result =
	    (struct search_result){ .box = box, .plan = &st->plan, .uid = true, .run = st->run };
	st->running = true;
	return STORE_OK;
}

/* one-correlator = ("TAG" SP tag-string) / ("MAILBOX" SP astring) / ("UIDVALIDITY" SP nz-number), RFC 7377 §4 */
static struct str
correlator(struct imap_session *s, struct imap_request *req, struct esearch *st)
{
	struct str tag = search_correlator(&st->arena, req->tag), text;
	struct mailbox_facts facts;
	struct buf b = { 0 }, out = s->out;

	mailbox_facts(st->result.box, &facts);
	buf_add(&b, tag.p, tag.len);
	buf_adds(&b, " MAILBOX ");
	s->out = (struct buf){ 0 };
	imap_out_mailbox(s, st->scope.places[st->at].shown);
	buf_add(&b, s->out.data, s->out.len);
	buf_free(&s->out);
	s->out = out;
	buf_printf(&b, " UIDVALIDITY %" PRIu32, facts.uidvalidity);
	text = (struct str){ arena_strndup(&st->arena, b.data, b.len), b.len };
	buf_free(&b);
	return text;
}

static void
save_result(struct imap_session *s, const struct esearch *st)
{
	struct uidset returned = { 0 };

	search_result_returned(&st->result, &returned);
	if (s->search_saved == NULL)
		s->search_saved = mem_zalloc(sizeof(*s->search_saved));
	uidset_copy(s->search_saved, &returned);
	uidset_free(&returned);
}

/* Nothing is said of a mailbox in which nothing was found, RFC 7377 §2.1. */
static enum store_err
finish_mailbox(struct imap_session *s, struct imap_request *req, struct esearch *st)
{
	enum store_err err;

	uidset_copy(&st->result.found, search_run_found(st->run));
	err = search_result_finish(&st->result);
	if (err == STORE_OK && (st->returns.returns & SEARCH_RETURN_SAVE) != 0)
		save_result(s, st);
	if (err == STORE_OK && !uidset_is_empty(&st->result.found))
		search_out_esearch(s, &st->result, correlator(s, req, st));
	if (err == STORE_OK && st->context != NULL && st->opened == NULL) {
		context_open(s, st->context, &st->result, correlator(s, req, st));
		st->context = NULL;
	}
	return err;
}

static enum store_err
step_mailbox(struct imap_session *s, struct imap_request *req, struct esearch *st)
{
	enum store_err err;
	bool done = false;

	err = st->running ? STORE_OK : begin_mailbox(s, st);
	if (err == STORE_OK)
		err = search_run_step(st->run, &done);
	if (err == STORE_OK && !done)
		return STORE_OK;
	if (err == STORE_OK)
		err = finish_mailbox(s, req, st);
	end_mailbox(st);
	st->at++;
	return err == STORE_NOT_FOUND || err == STORE_INVALID ? STORE_OK : err;
}

/* --- the command ------------------------------------------------------------------------------- */

static enum imap_result
step(struct imap_session *s, struct imap_request *req, struct esearch *st)
{
	enum store_err err;

	if (st->at == st->scope.count)
		return IMAP_OK;
	/* as before any command on the selected mailbox; this one may also be said without one */
	if (imap_place_is_selected(s, &st->scope.places[st->at]) && !imap_selected_is_open(s)) {
		imap_bye(s, NULL, "The selected mailbox is not shared any more");
		return imap_no(req, NULL, "Not any more");
	}
	err = step_mailbox(s, req, st);
	if (err != STORE_OK)
		return searching_fail(s, req, &st->returns, err);
	imap_progress(s, req, st->at, st->scope.count);
	return st->at == st->scope.count ? IMAP_OK : IMAP_MORE;
}

/* UPDATE is for the selected mailbox alone, RFC 7377 §2.2: where that is not searched, nothing is kept up. */
static void
begin_context(struct imap_session *s, struct imap_request *req, struct esearch *st)
{
	for (size_t i = 0; i < st->scope.count && st->context == NULL; i++)
		if (imap_place_is_selected(s, &st->scope.places[i]))
			st->context = context_new(
			    s, req->tag, st->program, SEARCH_CHARSET_OPTIONAL, st->now_s, NULL);
	if (st->context == NULL)
		context_refuse(s, req->tag, "Only the selected mailbox is kept up");
	context_wants(st->context, st->returns.update_atts);
}

static enum imap_result
start(struct imap_session *s, struct imap_request *req, struct esearch *st)
{
	struct sources *sources = arena_zalloc(req->arena, sizeof(*sources));
	enum imap_result result;
	enum store_err err;

	if (!parse(s, req, st, sources))
		return imap_bad(req, "Search not understood");
	st->now_s = time(NULL);
	result = check_sources(s, req, st);
	if (result == IMAP_OK)
		result = check_program(s, req, st);
	if (result != IMAP_OK)
		return result;
	err = find_mailboxes(s, req, st, sources);
	if (err != STORE_OK)
		return imap_finish(req, err);
	if ((st->returns.returns & SEARCH_RETURN_UPDATE) != 0)
		begin_context(s, req, st);
	return step(s, req, st);
}

/* ESEARCH searches several mailboxes, none of which has to be selected.  RFC 7377. */
static enum imap_result
esearch_run(struct imap_session *s, struct imap_request *req)
{
	struct esearch *st = req->state;

	if (st != NULL)
		return step(s, req, st);
	req->state = st = arena_zalloc(req->arena, sizeof(*st));
	req->state_free = state_free;
	return start(s, req, st);
}

const struct imap_command imap_cmd_esearch = {
	.name = "ESEARCH",
	.rfc = "RFC 7377 2",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.flags = IMAP_CMD_UID | IMAP_CMD_KEEPS_NUMBERS | IMAP_CMD_NUMBERLESS,
	.run = esearch_run,
};
