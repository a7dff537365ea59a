#include <stdlib.h>

#include "imapd/commands.h"
#include "imapd/imapd.h"
#include "imapd/login.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "net/sasl.h"
#include "store/auth.h"

/* The whole look-up runs as for SASL PLAIN, without its framing. */
static enum imap_result
try_login(struct imap_session *s, struct imap_request *req, const char *user, struct str password)
{
	struct account_row row = { 0 };
	struct buf login = { 0 }, note = { 0 };
	const struct sasl_service *sasl = s->imapd->sasl;
	enum sasl_verdict verdict =
	    sasl->backend->verify_password(sasl->arg, user, password, s->peer, &login, &note);
	struct imap_identity who = { user, "LOGIN", { note.data, note.len } };
	enum imap_result result;

	if (verdict == SASL_VERDICT_OK &&
	    auth_account(s->imapd->auth, (struct str){ login.data, login.len }, &row) == STORE_OK) {
		result = imap_login(s, req, &row, &who);
	} else if (verdict == SASL_VERDICT_DENIED) {
		result = imap_login_failed(s, req, &who, false);
	} else {
		result = imap_no(req, "UNAVAILABLE", "Logins cannot be checked now, try again");
	}
	account_row_free(&row);
	buf_free(&login);
	buf_free(&note);
	return result;
}

/* LOGIN.  RFC 9051 §6.2.3. */
static enum imap_result
login_run(struct imap_session *s, struct imap_request *req)
{
	char *user;
	struct str password;

	if (s->state == IMAP_CLEAR)
		return imap_no(req, "PRIVACYREQUIRED", "STARTTLS first");
	if (!imap_arg_cstring(req, SASL_USER_MAX_BYTES, &user) ||
	    !imap_arg_astring(req, &password) || !imap_arg_end(req))
		return IMAP_BAD;
	if (password.len > SASL_PASSWORD_MAX_BYTES)
		return imap_bad(req, "Password too long");
	return try_login(s, req, user, password);
}

const struct imap_command imap_cmd_login = {
	.name = "LOGIN",
	.rfc = "RFC 9051 6.2.3",
	.states = IMAP_CLEAR | IMAP_UNAUTHENTICATED,
	.flags = IMAP_CMD_LOGIN,
	.run = login_run,
};
