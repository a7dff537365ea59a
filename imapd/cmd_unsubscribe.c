#include "imapd/commands.h"
#include "imapd/notify.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "store/account.h"

/* UNSUBSCRIBE.  RFC 9051 §6.3.8. */
static enum imap_result
unsubscribe_run(struct imap_session *s, struct imap_request *req)
{
	struct imap_place place;
	enum store_err err;

	if (!imap_arg_place(s, req, &place) || !imap_arg_end(req))
		return IMAP_BAD;
	err = account_unsubscribe(s->acct, place.shown);
	if (err == STORE_OK)
		imap_notify_own_name(s, place.shown);
	return imap_finish(req, err);
}

const struct imap_command imap_cmd_unsubscribe = {
	.name = "UNSUBSCRIBE",
	.rfc = "RFC 9051 6.3.8",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = unsubscribe_run,
};
