#include "imapd/commands.h"
#include "imapd/session.h"

/* NOOP does nothing; what has changed is reported as after any command.  RFC 9051 §6.1.2.
 * A client that says it has nothing to do leaves time to look at the folder, once it has its reply. */
static enum imap_result
noop_run(struct imap_session *s, struct imap_request *req)
{
	s->verify = s->box != NULL;
	return imap_arg_end(req) ? IMAP_OK : IMAP_BAD;
}

const struct imap_command imap_cmd_noop = {
	.name = "NOOP",
	.rfc = "RFC 9051 6.1.2",
	.states = IMAP_ANY_STATE,
	.run = noop_run,
};
