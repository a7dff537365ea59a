#include "imapd/commands.h"
#include "imapd/place.h"
#include "imapd/quota.h"
#include "imapd/response.h"
#include "imapd/session.h"

/* GETQUOTAROOT.  RFC 9208 §4.1.2: a mailbox that does not count has no root. */
static enum imap_result
getquotaroot_run(struct imap_session *s, struct imap_request *req)
{
	struct account_quota q;
	enum store_err err;
	struct imap_place place;
	enum imap_result result;
	bool limited;

	if (!imap_arg_place(s, req, &place) || !imap_arg_end(req))
		return IMAP_BAD;
	if (!imap_place_may(req, &place, ACL_READ, &result))
		return result;
	err = account_quota(place.acct, &q);
	if (err != STORE_OK)
		return imap_finish(req, err);
	limited = imap_quota_is_limited(&q) && account_quota_counts(place.acct, place.name);
	buf_adds(&s->out, "* QUOTAROOT ");
	imap_out_mailbox(s, place.shown);
	if (limited)
		imap_out_quota_root(s, place.acct);
	buf_adds(&s->out, "\r\n");
	return imap_finish(
	    req, limited ? imap_send_quota(s, place.acct, false, &limited) : STORE_OK);
}

const struct imap_command imap_cmd_getquotaroot = {
	.name = "GETQUOTAROOT",
	.rfc = "RFC 9208 4.1.2",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = getquotaroot_run,
};
