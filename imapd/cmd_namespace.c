#include "imapd/commands.h"
#include "imapd/place.h"
#include "imapd/response.h"

/* NAMESPACE.  RFC 9051 §6.3.10, RFC 2342: a personal namespace without a prefix, and that of other users' mailboxes. */
static enum imap_result
namespace_run(struct imap_session *s, struct imap_request *req)
{
	if (!imap_arg_end(req))
		return IMAP_BAD;
	imap_untagged(s, "NAMESPACE ((\"\" \"/\")) ((\"" IMAP_OTHER_USERS "/\" \"/\")) NIL");
	return IMAP_OK;
}

const struct imap_command imap_cmd_namespace = {
	.name = "NAMESPACE",
	.rfc = "RFC 9051 6.3.10",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = namespace_run,
};
