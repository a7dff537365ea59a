#include "imapd/login.h"

#include <stdlib.h>

#include "imapd/capability.h"
#include "imapd/imapd.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "net/limits.h"
#include "store/account.h"

static void
count_failure(struct imapd *imapd, const char *peer, const char *user, struct str password)
{
	struct net_ip ip;

	if (net_ip_parse(str_from(peer), &ip))
		net_limits_login_failed(imapd->limits, &ip, str_from(user), password);
}

static enum sasl_verdict
verify_password(
    void *arg, const char *user, struct str password, const char *peer, struct buf *login_out)
{
	struct imapd *imapd = arg;
	const struct sasl_service *service = &imapd->service_sasl;
	enum sasl_verdict verdict =
	    service->backend->verify_password(service->arg, user, password, peer, login_out);

	if (verdict == SASL_VERDICT_DENIED)
		count_failure(imapd, peer, user, password);
	return verdict;
}

static enum sasl_verdict
scram_keys(void *arg, const char *user, struct sasl_scram_keys *keys_out, struct buf *login_out)
{
	struct imapd *imapd = arg;
	const struct sasl_service *service = &imapd->service_sasl;

	return service->backend->scram_keys(service->arg, user, keys_out, login_out);
}

const struct sasl_backend IMAP_SASL_BACKEND = {
	.verify_password = verify_password,
	.scram_keys = scram_keys,
};

/* SCRAM has no password for us to see, so each failure counts; the others were counted above. */
void
imap_login_failed(struct imap_session *s, const char *user, const char *mechanism)
{
	if (str_has_prefix_nocase(str_from(mechanism), STR("SCRAM")))
		count_failure(s->imapd, s->peer, user, STR(""));
	log_info(s->log, "login-failed", "user=%s mech=%s peer=%s", user, mechanism, s->peer);
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
    const char *mechanism)
{
	enum store_err err;

	err = account_open(s->imapd->store, row->localpart, row->domain, ACCOUNT_CREATE, &s->acct);
	if (err != STORE_OK) {
		s->acct = NULL;
		return imap_no(req, "UNAVAILABLE", "The account cannot be opened now");
	}
	account_set_quota_limit(s->acct, row->quota_kb * 1024);
	s->user = account_row_address(row);
	s->state = IMAP_AUTHENTICATED;
	free(s->channel);
	s->channel = NULL;
	log_info(s->log, "login", "user=%s mech=%s peer=%s", s->user, mechanism, s->peer);
	return logged_in_reply(s, req);
}
