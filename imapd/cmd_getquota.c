#include "imapd/commands.h"
#include "imapd/quota.h"
#include "imapd/response.h"
#include "imapd/session.h"

enum store_err
imap_send_quota(struct imap_session *s, struct account *acct, bool *limited_out)
{
	struct account_quota q;
	enum store_err err = account_quota(acct, &q);

	*limited_out = err == STORE_OK && (q.limit_bytes > 0 || q.limit_messages > 0);
	if (!*limited_out)
		return err;
	buf_adds(&s->out, "* QUOTA \"\" (");
	if (q.limit_bytes > 0)
		buf_printf(&s->out, "STORAGE %llu %llu%s",
		    (unsigned long long)((q.used_bytes + 1023) / 1024),
		    (unsigned long long)(q.limit_bytes / 1024), q.limit_messages > 0 ? " " : "");
	if (q.limit_messages > 0)
		buf_printf(&s->out, "MESSAGE %llu %llu", (unsigned long long)q.used_messages,
		    (unsigned long long)q.limit_messages);
	buf_adds(&s->out, ")\r\n");
	return err;
}

/* GETQUOTA.  RFC 9208 §4.1.1: the one quota root is "". */
static enum imap_result
getquota_run(struct imap_session *s, struct imap_request *req)
{
	enum store_err err;
	struct str root;
	bool limited;

	if (!imap_arg_astring(req, &root) || !imap_arg_end(req))
		return IMAP_BAD;
	if (root.len > 0)
		return imap_no(req, "NONEXISTENT", "No such quota root");
	err = imap_send_quota(s, s->acct, &limited);
	if (err == STORE_OK && !limited)
		return imap_no(req, "NONEXISTENT", "This account has no quota");
	return imap_finish(req, err);
}

const struct imap_command imap_cmd_getquota = {
	.name = "GETQUOTA",
	.rfc = "RFC 9208 4.1.1",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = getquota_run,
};
