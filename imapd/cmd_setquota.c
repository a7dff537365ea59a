#include "imapd/commands.h"
#include "imapd/response.h"
#include "imapd/session.h"

/* SETQUOTA.  RFC 9208 §4.1.3: the administrator's alone (mailadmin account set --quota), so QUOTASET
 * is not advertised. */
static enum imap_result
setquota_run(struct imap_session *s, struct imap_request *req)
{
	struct str root;

	(void)s;
	if (!imap_arg_astring(req, &root) || !imap_arg_sp(req))
		return IMAP_BAD;
	return imap_no(req, "NOPERM", "Only the administrator sets quotas");
}

const struct imap_command imap_cmd_setquota = {
	.name = "SETQUOTA",
	.rfc = "RFC 9208 4.1.3",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = setquota_run,
};
