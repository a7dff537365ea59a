#include "imapd/login.h"

#include <stdlib.h>

#include "imapd/capability.h"
#include "imapd/imapd.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "net/addr.h"
#include "service/account_quota.h"
#include "service/login.h"
#include "service/service.h"
#include "store/account.h"
#include "store/account_tenure.h"

/* For the log and the count of failures; NULL for a UNIX socket, which has no address. */
static void
ended(struct imap_session *s, const char *login, const struct imap_identity *who)
{
	struct net_ip ip;
	bool has_ip = net_ip_parse(str_from(s->peer), &ip);
	struct login_end end = { .ip = has_ip ? &ip : NULL,
		.login = login,
		.user = login != NULL ? login : who->user,
		.mechanism = who->mechanism,
		.note = who->note,
		.client = s->client,
		.delayed = s->login_delayed };
	bool wait_for_id = login != NULL && s->client == NULL;

	login_ended(s->imapd->service, s->log, &end, wait_for_id ? &s->event : NULL);
	if (login == NULL)
		return;
	free(s->client);
	s->client = NULL;
}

/* Only who knows the password hears more than that it is wrong, RFC 5530 §3. */
enum imap_result
imap_login_failed(struct imap_session *s, struct imap_request *req, const struct imap_identity *who,
    bool other_user)
{
	ended(s, NULL, who);
	if (other_user)
		return imap_no(req, "AUTHORIZATIONFAILED", "Not allowed to act as that user");
	if (login_outcome(who->note) == AUTH_APP_EXPIRED)
		return imap_no(req, "EXPIRED", "That password is not valid any more");
	return imap_no(req, "AUTHENTICATIONFAILED", "Wrong user name or password");
}

static enum imap_result
logged_in_reply(struct imap_session *s, struct imap_request *req)
{
	struct buf code = { 0 };
	enum imap_result result;

	imap_out_capabilities(s, &code);
	result = imap_ok(req, buf_cstr(&code), "Logged in");
	buf_free(&code);
	return result;
}

enum imap_result
imap_login(struct imap_session *s, struct imap_request *req, const struct account_row *row,
    const struct imap_identity *who)
{
	struct buf tenure = { 0 };
	struct quota_limits limits;
	enum store_err err;

	err = account_open(s->imapd->store, row->localpart, row->domain, ACCOUNT_CREATE, &s->acct);
	if (err == STORE_OK)
		err = account_tenure(
		    s->imapd->service->accounts, str_from(account_address(s->acct)), &tenure);
	if (err != STORE_OK) {
		account_close(s->acct);
		s->acct = NULL;
		return imap_no(req, "UNAVAILABLE", "The account cannot be opened now");
	}
	limits = account_quota_limits(s->imapd->service->accounts, row, s->imapd->config);
	account_set_quota_limits(s->acct, &limits);
	s->user = account_row_address(row);
	s->tenure = mem_strdup(buf_cstr(&tenure));
	s->tenure_seen = UINT64_MAX;
	buf_free(&tenure);
	s->state = IMAP_AUTHENTICATED;
	free(s->channel);
	s->channel = NULL;
	ended(s, s->user, who);
	return logged_in_reply(s, req);
}
