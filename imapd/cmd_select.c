/* SELECT and EXAMINE. */
#include <inttypes.h>

#include "imapd/messages.h"
#include "imapd/place.h"
#include "imapd/response.h"

/* select-params = SP "(" select-param *(SP select-param) ")", RFC 4466 §2.1; the only one is
 * CONDSTORE, RFC 7162 §3.1.8 */
static bool
arg_params(struct imap_request *req, bool *condstore_out)
{
	struct cursor *c = &req->args;

	*condstore_out = false;
	if (cursor_at_end(c))
		return true;
	if (!imap_parse_sp(c) || !cursor_take(c, '('))
		return false;
	do {
		if (!cursor_take_nocase(c, STR("CONDSTORE")))
			return false;
	} while (cursor_take(c, ' '));
	*condstore_out = true;
	return cursor_take(c, ')');
}

/* What SELECT says of a mailbox, RFC 9051 §6.3.2; UNSEEN and RECENT only RFC 3501 §6.3.1, LIST only
 * RFC 9051; HIGHESTMODSEQ RFC 7162 §3.1.2.1 */
static void
send_facts(struct imap_session *s, const char *shown)
{
	struct mailbox_facts f;

	mailbox_facts(s->box, &f);
	imap_send_flags(s);
	imap_untagged(s, "%" PRIu32 " EXISTS", f.messages);
	if (!imap_rev2(s)) {
		imap_untagged(s, "%" PRIu32 " RECENT", f.recent);
		if (f.first_unseen_seq != 0)
			imap_untagged(
			    s, "OK [UNSEEN %" PRIu32 "] First unseen", f.first_unseen_seq);
	}
	imap_untagged(s, "OK [UIDVALIDITY %" PRIu32 "] UIDs valid", f.uidvalidity);
	imap_untagged(s, "OK [UIDNEXT %" PRIu32 "] Predicted next UID", f.uidnext);
	imap_untagged(s, "OK [HIGHESTMODSEQ %" PRIu64 "] Highest", f.highestmodseq);
	if (imap_rev2(s)) {
		buf_adds(&s->out, "* LIST () \"/\" ");
		imap_out_mailbox(s, shown);
		buf_adds(&s->out, "\r\n");
	}
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
run(struct imap_session *s, struct imap_request *req, bool read_only)
{
	struct imap_place place;
	enum imap_result result;
	enum store_err err;
	bool condstore;

	if (!imap_arg_place(s, req, &place))
		return IMAP_BAD;
	if (!arg_params(req, &condstore) || !imap_arg_end(req))
		return imap_bad(req, "Parameters not understood");
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
	if (condstore)
		s->enabled |= IMAP_ENABLED_CONDSTORE;
	send_facts(s, place.shown);
	return imap_ok(req, read_only ? "READ-ONLY" : "READ-WRITE", "Mailbox selected");
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
