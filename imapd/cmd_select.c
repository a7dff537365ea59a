/* SELECT and EXAMINE. */
#include <inttypes.h>

#include "imapd/messages.h"
#include "imapd/place.h"
#include "imapd/qresync.h"
#include "imapd/response.h"
#include "imapd/search_builder.h"

struct select_params {
	bool condstore; /* RFC 7162 §3.1.8 */
	bool has_qresync;
	struct qresync qresync; /* RFC 7162 §3.2.5 */
};

static bool
parse_param(struct imap_request *req, struct select_params *p)
{
	struct cursor *c = &req->args;

	if (cursor_take_nocase(c, STR("CONDSTORE"))) {
		p->condstore = true;
		return true;
	}
	p->has_qresync = true;
	return cursor_take_nocase(c, STR("QRESYNC")) && imap_parse_sp(c) &&
	       qresync_parse(c, req->arena, &p->qresync);
}

/* select-params = SP "(" select-param *(SP select-param) ")", RFC 4466 §2.1 */
static bool
arg_params(struct imap_request *req, struct select_params *p_out)
{
	struct cursor *c = &req->args;

	*p_out = (struct select_params){ 0 };
	if (cursor_at_end(c))
		return true;
	if (!imap_parse_sp(c) || !cursor_take(c, '('))
		return false;
	do {
		if (!parse_param(req, p_out))
			return false;
	} while (cursor_take(c, ' '));
	return cursor_take(c, ')');
}

/* What SELECT says of a mailbox, RFC 9051 §6.3.2; UNSEEN and RECENT only RFC 3501 §6.3.1, LIST only
 * RFC 9051; HIGHESTMODSEQ RFC 7162 §3.1.2.1 */
static void
send_facts(struct imap_session *s, const struct imap_place *place)
{
	struct mailbox_facts f;

	mailbox_facts(s->box, &f);
	imap_send_flags(s);
	imap_untagged(s, "%" PRIu32 " EXISTS", f.messages);
	if (!imap_rev2(s)) {
		imap_untagged(s, "%" PRIu32 " RECENT", f.recent);
		if (f.first_unseen_seq != 0 && !imap_enabled(s, IMAP_ENABLED_UIDONLY))
			imap_untagged(
			    s, "OK [UNSEEN %" PRIu32 "] First unseen", f.first_unseen_seq);
	}
	buf_adds(&s->out, "* OK [");
	imap_out_mailbox_id(&s->out, f.id);
	buf_adds(&s->out, "] Its id\r\n");
	imap_untagged(s, "OK [UIDVALIDITY %" PRIu32 "] UIDs valid", f.uidvalidity);
	imap_untagged(s, "OK [UIDNEXT %" PRIu32 "] Predicted next UID", f.uidnext);
	imap_untagged(s, "OK [HIGHESTMODSEQ %" PRIu64 "] Highest", f.highestmodseq);
	if (imap_rev2(s))
		imap_send_list(s, "", place->shown, place->written);
}

/* The mailbox selected before is left even if the new one cannot be opened, RFC 9051 §6.3.2. */
static void
leave_selected(struct imap_session *s)
{
	if (s->box == NULL)
		return;
	imap_deselect(s);
	imap_untagged(s, "OK [CLOSED] Previous mailbox closed");
}

/* Who has none of these gets READ-ONLY, RFC 4314 §5.2. */
#define CHANGES (ACL_SEEN | ACL_WRITE | ACL_INSERT | ACL_DELETE_MESSAGES | ACL_EXPUNGE)

static enum imap_result
selected(struct imap_session *s, struct imap_request *req)
{
	return imap_ok(req, s->read_only ? "READ-ONLY" : "READ-WRITE", "Mailbox selected");
}

/* The rest of the answer to QRESYNC, in steps.  That something of it could not be read must be said: a client that heard OK
 * would take HIGHESTMODSEQ for what it knows. */
static enum imap_result
resync_step(struct imap_session *s, struct imap_request *req, struct fetch_run *fetch)
{
	if (fetch_run_step(fetch) == FETCH_MORE)
		return IMAP_MORE;
	if (!fetch->failed)
		return selected(s, req);
	imap_deselect(s);
	return imap_no(req, "UNAVAILABLE", "What has changed could not be read");
}

static enum imap_result
resync(struct imap_session *s, struct imap_request *req, const struct qresync *q)
{
	struct fetch_run *fetch;
	enum store_err err = qresync_begin(s, req->arena, q, &fetch);

	if (err != STORE_OK) {
		imap_deselect(s);
		return imap_finish(req, err);
	}
	if (fetch == NULL)
		return selected(s, req);
	req->state = fetch;
	req->state_free = fetch_run_free;
	return resync_step(s, req, fetch);
}

/* RFC 7162 §3.2.5, RFC 9586 §3.7 */
static const char *
params_problem(const struct imap_session *s, const struct select_params *p)
{
	if (p->has_qresync && !imap_enabled(s, IMAP_ENABLED_QRESYNC))
		return "ENABLE QRESYNC first";
	if (p->has_qresync && p->qresync.has_match && imap_enabled(s, IMAP_ENABLED_UIDONLY))
		return "No message numbers once UIDONLY is enabled";
	return NULL;
}

static enum imap_result
run(struct imap_session *s, struct imap_request *req, bool read_only)
{
	struct select_params params;
	struct imap_place place;
	enum imap_result result;
	const char *problem;
	enum store_err err;

	if (req->state != NULL)
		return resync_step(s, req, req->state);
	if (!imap_arg_place(s, req, &place))
		return IMAP_BAD;
	if (!arg_params(req, &params) || !imap_arg_end(req))
		return imap_bad(req, "Parameters not understood");
	problem = params_problem(s, &params);
	if (problem != NULL)
		return imap_bad(req, problem);
	leave_selected(s);
	if (!imap_place_may(req, &place, ACL_READ, &result))
		return result;
	read_only = read_only || (place.rights & CHANGES) == 0;
	err = mailbox_open(place.acct, place.name, read_only, &s->box);
	if (err != STORE_OK) {
		s->box = NULL;
		return imap_finish(req, err);
	}
	s->rights = place.rights;
	s->read_only = read_only;
	s->state = IMAP_SELECTED;
	if (params.condstore)
		s->enabled |= IMAP_ENABLED_CONDSTORE;
	imap_search_look(s);
	send_facts(s, &place);
	return params.has_qresync ? resync(s, req, &params.qresync) : selected(s, req);
}

/* SELECT opens a mailbox for reading and writing.  RFC 9051 §6.3.2, RFC 3501 §6.3.1. */
static enum imap_result
select_command(struct imap_session *s, struct imap_request *req)
{
	return run(s, req, false);
}

/* EXAMINE opens it for reading: nothing in it changes.  RFC 9051 §6.3.3. */
static enum imap_result
examine_command(struct imap_session *s, struct imap_request *req)
{
	return run(s, req, true);
}

const struct imap_command imap_cmd_select = {
	.name = "SELECT",
	.rfc = "RFC 9051 6.3.2",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.flags = IMAP_CMD_NO_UPDATES,
	.run = select_command,
};

const struct imap_command imap_cmd_examine = {
	.name = "EXAMINE",
	.rfc = "RFC 9051 6.3.3",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.flags = IMAP_CMD_NO_UPDATES,
	.run = examine_command,
};
