#include "base/config.h"
#include "base/log.h"
#include "imapd/capability.h"
#include "imapd/commands.h"
#include "imapd/imapd.h"
#include "imapd/response.h"
#include "imapd/session.h"

bool
imap_may_unauthenticate(const struct imap_session *s)
{
	return config_bool(s->imapd->config, "imapd.unauthenticate");
}

/* UNAUTHENTICATE.  RFC 8437 §3: what the connection was is forgotten but for its TLS; there is no NO. */
static enum imap_result
unauthenticate_run(struct imap_session *s, struct imap_request *req)
{
	if (!imap_may_unauthenticate(s))
		return imap_bad(req, "Not offered here");
	if (!imap_arg_end(req))
		return IMAP_BAD;
	log_info(s->log, "unauthenticate", "user=%s", s->user);
	imap_session_unauthenticate(s);
	return imap_ok(req, NULL, "Log in again");
}

const struct imap_command imap_cmd_unauthenticate = {
	.name = "UNAUTHENTICATE",
	.rfc = "RFC 8437 3",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.flags = IMAP_CMD_NO_UPDATES | IMAP_CMD_MAY_UNPACK,
	.run = unauthenticate_run,
};
