#include "imapd/commands.h"
#include "imapd/response.h"
#include "imapd/session.h"

/* STARTTLS.  RFC 9051 §6.2.1; the connection starts TLS when the reply has been sent, and ends if the
 * client has sent anything behind the command in the clear (§11.1). */
static enum imap_result
starttls_run(struct imap_session *s, struct imap_request *req)
{
	if (!imap_arg_end(req))
		return IMAP_BAD;
	s->start_tls = true;
	return imap_ok(req, NULL, "Begin TLS now");
}

const struct imap_command imap_cmd_starttls = {
	.name = "STARTTLS",
	.rfc = "RFC 9051 6.2.1",
	.states = IMAP_CLEAR,
	.run = starttls_run,
};
