#include "imapd/context.h"
#include "imapd/parse.h"
#include "imapd/response.h"
#include "imapd/session.h"

/* CANCELUPDATE ends contexts, by the tags of the commands that made them.  RFC 5267 §4.3.5. */
static enum imap_result
cancelupdate_run(struct imap_session *s, struct imap_request *req)
{
	bool unknown = false;
	struct str tag;

	do {
		if (!imap_arg_sp(req) || !imap_parse_quoted(&req->args, req->arena, &tag))
			return imap_bad(req, "Expected a tag in quotes");
		unknown |= !context_cancel(s, tag);
	} while (!cursor_at_end(&req->args));
	return unknown ? imap_no(req, NULL, "No such context") : IMAP_OK;
}

const struct imap_command imap_cmd_cancelupdate = {
	.name = "CANCELUPDATE",
	.rfc = "RFC 5267 4.3.5",
	.states = IMAP_SELECTED,
	.run = cancelupdate_run,
};
