#include "service/login.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "net/addr.h"
#include "net/limits.h"
#include "service/service.h"
#include "store/auth.h"

static enum sasl_verdict
verdict(enum store_err err)
{
	return err == STORE_OK       ? SASL_VERDICT_OK
	       : err == STORE_DENIED ? SASL_VERDICT_DENIED
				     : SASL_VERDICT_TEMPFAIL;
}

static void
add_address(struct buf *login_out, const struct account_row *row)
{
	buf_printf(login_out, "%s@%s", row->localpart, row->domain);
}

static struct net_limits *
limits_of(const struct service *sv)
{
	return sv->worker != NULL ? net_worker_limits(sv->worker) : NULL;
}

static void
count_password(const struct service *sv, const char *peer, const char *user, struct str password,
    enum store_err err)
{
	struct net_limits *limits = limits_of(sv);
	struct net_ip ip;

	if (limits == NULL || !net_ip_parse(str_from(peer), &ip))
		return;
	if (err == STORE_OK)
		net_limits_login_ok(limits, &ip, str_from(user));
	else if (err == STORE_DENIED)
		net_limits_login_failed(limits, &ip, str_from(user), password);
}

static enum sasl_verdict
verify_password(
    void *arg, const char *user, struct str password, const char *peer, struct buf *login_out)
{
	struct service *sv = arg;
	struct account_row row = { 0 };
	enum store_err err = auth_password(sv->auth, str_from(user), password, &row, NULL);

	if (err == STORE_OK)
		add_address(login_out, &row);
	count_password(sv, peer, user, password, err);
	account_row_free(&row);
	return verdict(err);
}

static enum sasl_verdict
find_scram_keys(
    void *arg, const char *user, struct sasl_scram_keys *keys_out, struct buf *login_out)
{
	struct service *sv = arg;
	struct scram_keys keys;
	struct account_row row = { 0 };
	enum store_err err = auth_scram_keys(sv->auth, str_from(user), &keys, &row);

	if (err != STORE_OK && err != STORE_DENIED)
		return SASL_VERDICT_TEMPFAIL;
	*keys_out =
	    (struct sasl_scram_keys){ .salt_len = keys.salt_len, .iterations = keys.iterations };
	_Static_assert(sizeof(keys.salt) <= sizeof(keys_out->salt), "a salt fits");
	memcpy(keys_out->salt, keys.salt, keys.salt_len);
	memcpy(keys_out->stored_key, keys.stored_key, sizeof(keys_out->stored_key));
	memcpy(keys_out->server_key, keys.server_key, sizeof(keys_out->server_key));
	if (err == STORE_OK)
		add_address(login_out, &row);
	account_row_free(&row);
	return verdict(err);
}

const struct sasl_backend LOGIN_BACKEND = {
	.verify_password = verify_password,
	.scram_keys = find_scram_keys,
};

uint64_t
login_delay_ms(const struct service *sv, const struct net_ip *ip)
{
	struct net_limits *limits = limits_of(sv);

	return limits != NULL ? net_limits_login_delay_ms(limits, ip) : 0;
}

/* A SCRAM exchange shows no password to tell a repeated mistake by: each failure counts. */
static void
count_scram(const struct service *sv, const struct net_ip *ip, const char *login, const char *user)
{
	struct net_limits *limits = limits_of(sv);
	unsigned char nonce[16];

	if (limits == NULL || ip == NULL)
		return;
	if (login != NULL)
		net_limits_login_ok(limits, ip, str_from(user));
	else if (getrandom(nonce, sizeof(nonce), 0) == (ssize_t)sizeof(nonce))
		net_limits_login_failed(
		    limits, ip, str_from(user), (struct str){ (const char *)nonce, sizeof(nonce) });
}

void
login_ended(const struct service *sv, const struct log *log, const struct net_ip *ip,
    const char *login, const char *user, const char *mechanism)
{
	char peer[NET_IP_TEXT_BYTES] = "local";

	if (ip != NULL)
		net_ip_text(ip, peer);
	if (str_has_prefix_nocase(str_from(mechanism), STR("SCRAM")))
		count_scram(sv, ip, login, user);
	if (login != NULL)
		log_info(log, "login", "user=%s mech=%s peer=%s", login, mechanism, peer);
	else
		log_info(log, "login-failed", "user=%s mech=%s peer=%s", user, mechanism, peer);
}
