#include "imapd/commands.h"
#include "imapd/session.h"

/* LOGOUT.  RFC 9051 §6.1.3: BYE comes before the tagged OK. */
static enum imap_result
logout_run(struct imap_session *s, struct imap_request *req)
{
	if (!imap_arg_end(req))
		return IMAP_BAD;
	imap_deselect(s);
	imap_bye(s, NULL, "Good bye");
	return IMAP_OK;
}

const struct imap_command imap_cmd_logout = {
	.name = "LOGOUT",
	.rfc = "RFC 9051 6.1.3",
	.states = IMAP_ANY_STATE,
	.flags = IMAP_CMD_NO_UPDATES,
	.run = logout_run,
};
