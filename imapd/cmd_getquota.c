#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "imapd/commands.h"
#include "imapd/imapd.h"
#include "imapd/place.h"
#include "imapd/quota.h"
#include "imapd/response.h"
#include "imapd/session.h"

bool
imap_is_quota_admin(const struct imap_session *s)
{
	const struct config *c = s->imapd->config;

	for (size_t i = 0; s->user != NULL && i < config_count(c, "imapd.quota_admins"); i++)
		if (ascii_eq_nocase(config_string_at(c, "imapd.quota_admins", i), s->user))
			return true;
	return false;
}

bool
imap_quota_is_limited(const struct account_quota *q)
{
	return q->limit_bytes > 0 || q->limit_messages > 0 || q->limit_mailboxes > 0;
}

void
imap_out_quota_root(struct imap_session *s, struct account *acct)
{
	struct str root = acct == s->acct ? STR("") : str_from(account_address(acct));

	buf_addc(&s->out, ' ');
	imap_out_astring(&s->out, root);
}

static void
out_resource(struct buf *out, const char **blank, const char *name, uint64_t used, uint64_t limit)
{
	if (limit == 0)
		return;
	buf_printf(out, "%s%s %llu %llu", *blank, name, (unsigned long long)used,
	    (unsigned long long)limit);
	*blank = " ";
}

enum store_err
imap_send_quota(struct imap_session *s, struct account *acct, bool always, bool *limited_out)
{
	const char *blank = "";
	struct account_quota q;
	enum store_err err = account_quota(acct, &q);

	*limited_out = err == STORE_OK && imap_quota_is_limited(&q);
	if (err != STORE_OK || (!*limited_out && !always))
		return err;
	buf_adds(&s->out, "* QUOTA");
	imap_out_quota_root(s, acct);
	buf_adds(&s->out, " (");
	out_resource(
	    &s->out, &blank, "STORAGE", (q.used_bytes + 1023) / 1024, q.limit_bytes / 1024);
	out_resource(&s->out, &blank, "MESSAGE", q.used_messages, q.limit_messages);
	out_resource(&s->out, &blank, "MAILBOX", q.used_mailboxes, q.limit_mailboxes);
	buf_adds(&s->out, ")\r\n");
	return err;
}

enum store_err
imap_quota_account(struct imap_session *s, struct str root, struct account **acct_out)
{
	char *address;
	enum store_err err;

	*acct_out = s->acct;
	if (root.len == 0 || str_eq(root, str_from(account_address(s->acct))))
		return STORE_OK;
	*acct_out = NULL;
	if (!imap_is_quota_admin(s) || memchr(root.p, '\0', root.len) != NULL)
		return STORE_OK;
	address = mem_strndup(root.p, root.len);
	err = imap_other_account(s, address, acct_out);
	free(address);
	return err;
}

/* GETQUOTA.  RFC 9208 §4.1.1. */
static enum imap_result
getquota_run(struct imap_session *s, struct imap_request *req)
{
	struct account *acct = NULL;
	enum store_err err;
	struct str root;
	bool limited;

	if (!imap_arg_astring(req, &root) || !imap_arg_end(req))
		return IMAP_BAD;
	err = imap_quota_account(s, root, &acct);
	if (err == STORE_OK && acct == NULL)
		return imap_no(req, "NONEXISTENT", "No such quota root");
	if (err == STORE_OK)
		err = imap_send_quota(s, acct, imap_is_quota_admin(s), &limited);
	if (err == STORE_OK && !limited && !imap_is_quota_admin(s))
		return imap_no(req, "NONEXISTENT", "This account has no quota");
	return imap_finish(req, err);
}

const struct imap_command imap_cmd_getquota = {
	.name = "GETQUOTA",
	.rfc = "RFC 9208 4.1.1",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = getquota_run,
};
