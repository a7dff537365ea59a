#include "imapd/response.h"
#include "imapd/searching.h"
#include "imapd/session.h"

static void
sort_free(void *arg)
{
	searching_free(arg);
}

static enum imap_result
sort_step(struct imap_session *s, struct imap_request *req, struct searching *st)
{
	enum imap_result result = searching_step(s, req, st);

	if (result != IMAP_OK)
		return result;
	if (!st->plan.has_return)
		return searching_send_numbers(s, st, "SORT");
	search_out_esearch(s, &st->result, search_correlator(req->arena, req->tag));
	searching_keep(s, req, st);
	return IMAP_OK;
}

/* SORT finds messages and says them in order.  RFC 5256 §3; with RETURN the answer is ESEARCH, RFC 5267 §3. */
static enum imap_result
sort_command(struct imap_session *s, struct imap_request *req)
{
	struct searching *st = req->state;
	enum imap_result result;

	if (st != NULL)
		return sort_step(s, req, st);
	req->state = st = arena_zalloc(req->arena, sizeof(*st));
	req->state_free = sort_free;
	if (!search_parse_returns(&req->args, &st->plan) || !imap_arg_sp(req) ||
	    !sort_plan_parse(&req->args, &st->sort) || !imap_arg_sp(req))
		return imap_bad(req, "Sort criteria not understood");
	st->sorted = true;
	result = searching_start(s, req, st, SEARCH_CHARSET_FIRST);
	return result == IMAP_OK ? sort_step(s, req, st) : result;
}

const struct imap_command imap_cmd_sort = {
	.name = "SORT",
	.rfc = "RFC 5256 3",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID | IMAP_CMD_KEEPS_NUMBERS,
	.run = sort_command,
};
