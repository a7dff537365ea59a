#include "imapd/commands.h"
#include "imapd/quota.h"
#include "imapd/response.h"
#include "imapd/session.h"

/* GETQUOTAROOT.  RFC 9208 §4.1.2: a mailbox that does not count has no root. */
static enum imap_result
getquotaroot_run(struct imap_session *s, struct imap_request *req)
{
	struct account_quota q;
	enum store_err err;
	bool limited;
	char *name;

	if (!imap_arg_mailbox(s, req, &name) || !imap_arg_end(req))
		return IMAP_BAD;
	err = account_quota(s->acct, &q);
	if (err != STORE_OK)
		return imap_finish(req, err);
	limited =
	    (q.limit_bytes > 0 || q.limit_messages > 0) && account_quota_counts(s->acct, name);
	buf_adds(&s->out, "* QUOTAROOT ");
	imap_out_mailbox(s, name);
	buf_adds(&s->out, limited ? " \"\"\r\n" : "\r\n");
	return imap_finish(req, limited ? imap_send_quota(s, &limited) : STORE_OK);
}

const struct imap_command imap_cmd_getquotaroot = {
	.name = "GETQUOTAROOT",
	.rfc = "RFC 9208 4.1.2",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = getquotaroot_run,
};
