#include <stdint.h>
#include <stdlib.h>

#include "managesieved/commands.h"
#include "managesieved/managesieved.h"
#include "managesieved/parse.h"
#include "managesieved/response.h"
#include "managesieved/session.h"
#include "net/addr.h"
#include "service/login.h"
#include "store/account_tenure.h"
#include "store/auth.h"

static void
state_free(void *state)
{
	sasl_session_free(state);
}

/* What a client sends here may be a password. */
static void
wipe(struct str secret)
{
	if (secret.len > 0)
		mem_wipe((void *)(uintptr_t)secret.p, secret.len);
}

/* For the log and the count of failures; a UNIX socket has no address. */
static void
ended(struct msieve_session *s, const char *login, struct sasl_session *sasl)
{
	struct net_ip ip;
	bool has_ip = net_ip_parse(str_from(s->peer), &ip);
	struct login_end end = { .ip = has_ip ? &ip : NULL,
		.login = login,
		.user = sasl_session_user(sasl),
		.mechanism = sasl_session_mechanism(sasl),
		.note = sasl_session_note(sasl),
		.delayed = s->login_delayed };

	login_ended(s->daemon->service, s->log, &end, NULL);
}

static enum store_err
be_user(struct msieve_session *s, const struct account_row *row)
{
	char *user = account_row_address(row);
	struct buf tenure = { 0 };
	enum store_err err = account_tenure(s->daemon->accounts, str_from(user), &tenure);

	if (err != STORE_OK) {
		free(user);
		buf_free(&tenure);
		return err;
	}
	msieve_forget_user(s);
	s->user = user;
	s->tenure = buf_take(&tenure);
	s->localpart = mem_strdup(row->localpart);
	s->domain = mem_strdup(row->domain);
	s->account = row->id;
	s->state = MSIEVE_AUTHENTICATED;
	return STORE_OK;
}

/* The mechanism's last word, if it has one, comes with the OK (RFC 5804 §1.3 SASL).  No security layer is ever
 * negotiated, so the capabilities are not sent again (§4 response-authenticate). */
static enum msieve_result
authenticated(struct msieve_session *s, struct msieve_request *req, const char *last_word)
{
	struct sasl_session *sasl = req->state;
	struct account_row row = { 0 };
	enum store_err err =
	    auth_account(s->daemon->auth, str_from(sasl_session_login(sasl)), &row);

	if (err == STORE_OK)
		err = be_user(s, &row);
	account_row_free(&row);
	if (err != STORE_OK)
		return msieve_no(req, "TRYLATER", "The account cannot be opened now");
	ended(s, s->user, sasl);
	return msieve_ok(req,
	    last_word != NULL ? arena_printf(req->arena, "SASL \"%s\"", last_word) : NULL,
	    "Logged in");
}

static enum msieve_result answer(struct msieve_session *s, struct msieve_request *req,
    enum sasl_status status, const char *challenge);

/* Sends the challenge; the mechanism's last one needs no answer, for the client has been proved right already:
 * its empty one is given here. */
static enum msieve_result
challenged(struct msieve_session *s, struct msieve_request *req, const char *challenge)
{
	struct buf nothing = { 0 };
	enum sasl_status status;

	if (sasl_session_is_last(req->state)) {
		status = sasl_session_next(req->state, STR(""), &nothing);
		buf_free(&nothing);
		return status == SASL_STATUS_DONE ? authenticated(s, req, challenge)
						  : answer(s, req, status, "");
	}
	msieve_write_string(&s->out, str_from(challenge));
	buf_adds(&s->out, "\r\n");
	return MSIEVE_WAIT;
}

static enum msieve_result
answer(struct msieve_session *s, struct msieve_request *req, enum sasl_status status,
    const char *challenge)
{
	switch (status) {
	case SASL_STATUS_MORE: return challenged(s, req, challenge);
	case SASL_STATUS_DONE: return authenticated(s, req, NULL);
	case SASL_STATUS_DENIED:
		ended(s, NULL, req->state);
		return msieve_no(req, NULL, "Wrong user name or password");
	case SASL_STATUS_NOT_AUTHORIZED:
		ended(s, NULL, req->state);
		return msieve_no(req, NULL, "Not allowed to act as that user");
	case SASL_STATUS_TEMPFAIL:
		return msieve_no(req, "TRYLATER", "Logins cannot be checked now, try again");
	case SASL_STATUS_CANCELLED: return msieve_no(req, NULL, "Cancelled");
	case SASL_STATUS_TOO_LONG: return msieve_bad(req, "Line too long");
	case SASL_STATUS_MALFORMED: break;
	}
	return msieve_bad(req, "Not a valid answer of this mechanism");
}

/* "AUTHENTICATE" SP auth-type [SP string].  An initial response that is empty is an empty string here, where
 * other protocols write "=". */
static enum sasl_status
begin(struct msieve_session *s, struct msieve_request *req, struct buf *challenge)
{
	struct str mechanism, initial = { 0 };
	bool has_initial;
	enum sasl_status status;

	if (!msieve_arg_string(req, &mechanism))
		return SASL_STATUS_CANCELLED;
	has_initial = !cursor_at_end(&req->args);
	if (has_initial && (!msieve_arg_string(req, &initial) || !msieve_arg_end(req)))
		return SASL_STATUS_CANCELLED;
	req->state = sasl_session_new(s->daemon->sasl, s->channel, mechanism);
	if (req->state == NULL) {
		msieve_no(req, NULL, "No such mechanism");
		return SASL_STATUS_CANCELLED;
	}
	req->state_free = state_free;
	if (has_initial && sasl_session_server_first(req->state)) {
		wipe(initial);
		msieve_bad(req, "This mechanism begins with a challenge");
		return SASL_STATUS_CANCELLED;
	}
	if (has_initial && initial.len == 0)
		initial = STR("=");
	status = sasl_session_start(req->state, has_initial ? &initial : NULL, challenge);
	if (!str_eq(initial, STR("=")))
		wipe(initial);
	return status;
}

/* string CRLF, the client's answer */
static enum sasl_status
go_on(struct msieve_request *req, struct buf *challenge)
{
	struct cursor c = cursor_from(req->line);
	struct str line;
	enum sasl_status status;

	if (!msieve_parse_string(&c, req->arena, &line) || !cursor_at_end(&c))
		return SASL_STATUS_MALFORMED;
	status = sasl_session_next(req->state, line, challenge);
	wipe(line);
	return status;
}

/* AUTHENTICATE.  RFC 5804 §2.1. */
static enum msieve_result
authenticate_run(struct msieve_session *s, struct msieve_request *req)
{
	struct buf challenge = { 0 };
	enum msieve_result result;
	enum sasl_status status;

	if (s->channel == NULL)
		return msieve_no(req, "ENCRYPT-NEEDED", "STARTTLS first");
	status = req->state == NULL ? begin(s, req, &challenge) : go_on(req, &challenge);
	if (status == SASL_STATUS_CANCELLED && req->text.p != NULL)
		result = MSIEVE_NO; /* the reply is set */
	else
		result = answer(s, req, status, buf_cstr(&challenge));
	buf_free(&challenge);
	return result;
}

const struct msieve_command msieve_cmd_authenticate = {
	.name = "AUTHENTICATE",
	.rfc = "RFC 5804 2.1",
	.states = MSIEVE_CLEAR | MSIEVE_UNAUTHENTICATED,
	.login = true,
	.run = authenticate_run,
};
