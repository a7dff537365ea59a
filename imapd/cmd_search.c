#include "imapd/response.h"
#include "imapd/searching.h"
#include "imapd/session.h"

static void
search_free(void *arg)
{
	searching_free(arg);
}

static enum imap_result
search_step(struct imap_session *s, struct imap_request *req, struct searching *st)
{
	enum imap_result result = searching_step(s, req, st);

	if (result != IMAP_OK)
		return result;
	if (!st->plan.has_return && !imap_rev2(s))
		return searching_send_numbers(s, st, "SEARCH");
	search_out_esearch(s, &st->result, search_correlator(req->arena, req->tag));
	searching_keep(s, req, st);
	return IMAP_OK;
}

/* SEARCH finds messages.  RFC 9051 §6.4.4; the answer is ESEARCH where RETURN or IMAP4rev2 asks for
 * it and SEARCH otherwise, RFC 3501 §6.4.4. */
static enum imap_result
search_command(struct imap_session *s, struct imap_request *req)
{
	struct searching *st = req->state;
	enum imap_result result;

	if (st != NULL)
		return search_step(s, req, st);
	req->state = st = arena_zalloc(req->arena, sizeof(*st));
	req->state_free = search_free;
	if (!search_parse_returns(&req->args, &st->plan) || !imap_arg_sp(req))
		return imap_bad(req, "Search not understood");
	result = searching_start(s, req, st, SEARCH_CHARSET_OPTIONAL);
	return result == IMAP_OK ? search_step(s, req, st) : result;
}

const struct imap_command imap_cmd_search = {
	.name = "SEARCH",
	.rfc = "RFC 9051 6.4.4",
	.states = IMAP_SELECTED,
	.flags = IMAP_CMD_UID | IMAP_CMD_KEEPS_NUMBERS,
	.run = search_command,
};
