#include "imapd/commands.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/account.h"

/* UNSUBSCRIBE.  RFC 9051 §6.3.8. */
static enum imap_result
unsubscribe_run(struct imap_session *s, struct imap_request *req)
{
	struct imap_place place;

	if (!imap_arg_place(s, req, &place) || !imap_arg_end(req))
		return IMAP_BAD;
	return imap_finish(req, account_unsubscribe(s->acct, place.shown));
}

const struct imap_command imap_cmd_unsubscribe = {
	.name = "UNSUBSCRIBE",
	.rfc = "RFC 9051 6.3.8",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = unsubscribe_run,
};
