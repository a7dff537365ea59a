#include "imapd/commands.h"
#include "imapd/imapd.h"
#include "imapd/login.h"
#include "imapd/parse.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "net/sasl.h"
#include "store/auth.h"

static void
state_free(void *state)
{
	sasl_session_free(state);
}

static struct imap_identity
identity_of(const struct sasl_session *sasl)
{
	return (struct imap_identity){ sasl_session_user(sasl), sasl_session_mechanism(sasl),
		sasl_session_note(sasl) };
}

static enum imap_result
authenticated(struct imap_session *s, struct imap_request *req, struct sasl_session *sasl)
{
	struct account_row row = { 0 };
	enum store_err err = auth_account(s->imapd->auth, str_from(sasl_session_login(sasl)), &row);
	struct imap_identity who = identity_of(sasl);
	enum imap_result result;

	if (err == STORE_OK)
		result = imap_login(s, req, &row, &who);
	else
		result = imap_no(req, "UNAVAILABLE", "The account cannot be opened now");
	account_row_free(&row);
	return result;
}

static enum imap_result
answer(struct imap_session *s, struct imap_request *req, enum sasl_status status,
    struct buf *challenge)
{
	struct sasl_session *sasl = req->state;
	struct imap_identity who = identity_of(sasl);

	switch (status) {
	case SASL_STATUS_MORE:
		buf_printf(&s->out, "+ %s\r\n", buf_cstr(challenge));
		return IMAP_WAIT;
	case SASL_STATUS_DONE: return authenticated(s, req, sasl);
	case SASL_STATUS_DENIED: return imap_login_failed(s, req, &who, false);
	case SASL_STATUS_NOT_AUTHORIZED: return imap_login_failed(s, req, &who, true);
	case SASL_STATUS_TEMPFAIL:
		return imap_no(req, "UNAVAILABLE", "Logins cannot be checked now, try again");
	case SASL_STATUS_CANCELLED: return imap_bad(req, "Cancelled");
	case SASL_STATUS_TOO_LONG: return imap_bad(req, "Line too long");
	case SASL_STATUS_MALFORMED: break;
	}
	return imap_bad(req, "Not a valid answer of this mechanism");
}

/* authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] */
static enum imap_result
begin(struct imap_session *s, struct imap_request *req, struct buf *challenge)
{
	struct str mechanism, initial = { NULL, 0 };

	if (!imap_arg_atom(req, &mechanism))
		return IMAP_BAD;
	if (imap_parse_sp(&req->args)) {
		initial = (struct str){ req->args.p, cursor_left(&req->args) };
		req->args.p = req->args.end;
	}
	if (s->channel != NULL)
		req->state = sasl_session_new(s->imapd->sasl, s->channel, mechanism);
	if (req->state == NULL)
		return imap_no(req, "CANNOT", "No such mechanism");
	req->state_free = state_free;
	return answer(s, req,
	    sasl_session_start(req->state, initial.p != NULL ? &initial : NULL, challenge),
	    challenge);
}

/* AUTHENTICATE, with an initial response (RFC 4959).  RFC 9051 §6.2.2. */
static enum imap_result
authenticate_run(struct imap_session *s, struct imap_request *req)
{
	struct buf challenge = { 0 };
	enum imap_result result;

	if (s->state == IMAP_CLEAR)
		return imap_no(req, "PRIVACYREQUIRED", "STARTTLS first");
	if (req->state == NULL)
		result = begin(s, req, &challenge);
	else
		result = answer(
		    s, req, sasl_session_next(req->state, req->line, &challenge), &challenge);
	buf_free(&challenge);
	return result;
}

const struct imap_command imap_cmd_authenticate = {
	.name = "AUTHENTICATE",
	.rfc = "RFC 9051 6.2.2",
	.states = IMAP_CLEAR | IMAP_UNAUTHENTICATED,
	.flags = IMAP_CMD_LOGIN,
	.run = authenticate_run,
};
