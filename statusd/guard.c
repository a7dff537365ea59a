#include "statusd/guard.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/cidr.h"
#include "service/hostname.h"
#include "service/service.h"
#include "statusd/form.h"
#include "statusd/http.h"
#include "store/password.h"

/* --- who ---------------------------------------------------------------------------------------- */

static bool
is_allowed(const struct service *sv, const struct net_ip *peer)
{
	struct net_cidr_list allowed = { 0 };
	bool ok;

	if (peer == NULL)
		return true; /* whoever may open the UNIX socket */
	for (size_t i = 0; i < config_count(sv->config, "statusd.allow"); i++) {
		const struct config_network *n = config_network_at(sv->config, "statusd.allow", i);

		net_cidr_list_add(&allowed, n->family, n->address, n->prefix_bits);
	}
	ok = net_cidr_list_match(&allowed, peer);
	net_cidr_list_free(&allowed);
	return ok;
}

/* --- by which name ------------------------------------------------------------------------------ */

/* [":" port], RFC 9110 §7.2, RFC 3986 §3.2.3: the port may be empty. */
static bool
is_port(struct str s)
{
	struct str digits;
	uint64_t port;

	if (s.len == 0)
		return true;
	digits = (struct str){ s.p + 1, s.len - 1 };
	return s.p[0] == ':' && (s.len == 1 || text_u64(digits, 65535, &port));
}

struct str
guard_host_name(struct str host)
{
	const struct str none = { "", 0 };
	bool bracket = host.len > 0 && host.p[0] == '[';
	size_t end = str_find(host, bracket ? STR("]") : STR(":"));
	struct str name = { host.p + bracket, 0 }, rest;

	if (bracket && end == SIZE_MAX)
		return none;
	name.len = end == SIZE_MAX ? host.len : end - bracket;
	rest = (struct str){ name.p + name.len + bracket, host.len - name.len - 2 * bracket };
	return is_port(rest) ? name : none;
}

static bool
is_our_name(const struct service *sv, struct str name)
{
	char *own = service_hostname(sv->config);
	bool is_own = str_eq_nocase(name, str_from(own));
	struct net_ip ip;

	free(own);
	if (is_own || net_ip_parse(name, &ip) || str_eq_nocase(name, STR("localhost")))
		return true;
	for (size_t i = 0; i < config_count(sv->config, "statusd.names"); i++)
		if (str_eq_nocase(name, str_from(config_string_at(sv->config, "statusd.names", i))))
			return true;
	return false;
}

/* --- with which password ------------------------------------------------------------------------ */

static bool
check_password(const struct service *sv, const struct http_request *rq, const char *stored)
{
	const char *header = http_header(rq, "Authorization");
	struct net_limits *limits = net_worker_limits(sv->worker);
	struct buf user = { 0 }, password = { 0 };
	bool ok;

	if (header == NULL || !form_basic(str_from(header), &user, &password))
		return false;
	buf_cstr(&user);
	buf_cstr(&password);
	ok = strcmp(user.data, config_string(sv->config, "statusd.user")) == 0 &&
	     password_verify(stored, (struct str){ password.data, password.len }) == PASSWORD_MATCH;
	if (!ok && rq->peer != NULL)
		net_limits_login_failed(limits, rq->peer, (struct str){ user.data, user.len },
		    (struct str){ password.data, password.len });
	else if (rq->peer != NULL)
		net_limits_login_ok(limits, rq->peer, (struct str){ user.data, user.len });
	login_meters_count(&sv->logins, "BASIC", ok, rq->peer);
	if (!ok)
		log_info(sv->log, "login-failed", "user=%s mech=%s peer=%s", user.data, "BASIC",
		    rq->peer_text);
	mem_wipe(password.data, password.len);
	buf_free(&password);
	buf_free(&user);
	return ok;
}

static bool
is_logged_in(const struct service *sv, const struct http_request *rq, struct http_reply *reply)
{
	const char *stored = config_string(sv->config, "statusd.password");
	uint64_t delay_ms;
	char seconds[24];

	if (stored == NULL || *stored == '\0')
		return true;
	delay_ms = rq->peer != NULL
		       ? net_limits_login_delay_ms(net_worker_limits(sv->worker), rq->peer)
		       : 0;
	if (delay_ms > 0) {
		snprintf(
		    seconds, sizeof(seconds), "%llu", (unsigned long long)(delay_ms + 999) / 1000);
		http_reply_text(reply, 429, "Too many wrong passwords. Try again later.");
		http_reply_header(reply, "Retry-After", seconds);
		return false;
	}
	if (check_password(sv, rq, stored))
		return true;
	http_reply_text(reply, 401, "A name and a password are needed.");
	http_reply_header(reply, "WWW-Authenticate", "Basic realm=\"Sanger\", charset=\"UTF-8\"");
	return false;
}

bool
guard_admit(
    const struct service *sv, const struct http_request *rq, bool open, struct http_reply *reply)
{
	const char *host = http_header(rq, "Host");

	if (!is_allowed(sv, rq->peer)) {
		http_reply_text(reply, 403, "Your address is not one of statusd.allow.");
		return false;
	}
	if (host != NULL && !is_our_name(sv, guard_host_name(str_from(host)))) {
		http_reply_text(reply, 421, "This name is not one of statusd.names.");
		return false;
	}
	return open || is_logged_in(sv, rq, reply);
}

/* --- forms -------------------------------------------------------------------------------------- */

void
guard_token(const struct service *sv, char token[static GUARD_TOKEN_BYTES])
{
	static const unsigned char PURPOSE[] = "forms of the status page";
	unsigned char digest[(GUARD_TOKEN_BYTES - 1) / 2];

	crypto_generichash(
	    digest, sizeof(digest), PURPOSE, sizeof(PURPOSE), sv->secret, sizeof(sv->secret));
	sodium_bin2hex(token, GUARD_TOKEN_BYTES, digest, sizeof(digest));
}

bool
guard_same_origin(struct str origin, struct str host)
{
	size_t slashes = str_find(origin, STR("://"));

	return slashes != SIZE_MAX &&
	       str_eq_nocase(
		   (struct str){ origin.p + slashes + 3, origin.len - slashes - 3 }, host);
}

bool
guard_form(const struct service *sv, const struct http_request *rq, struct http_reply *reply)
{
	const char *origin = http_header(rq, "Origin"), *host = http_header(rq, "Host");
	const char *site = http_header(rq, "Sec-Fetch-Site");
	char *given = http_form(rq, "token"), token[GUARD_TOKEN_BYTES];
	bool ok;

	guard_token(sv, token);
	ok = given != NULL && strlen(given) == sizeof(token) - 1 &&
	     sodium_memcmp(given, token, sizeof(token)) == 0 &&
	     (origin == NULL ||
		 (host != NULL && guard_same_origin(str_from(origin), str_from(host)))) &&
	     (site == NULL || strcmp(site, "same-origin") == 0);
	free(given);
	if (!ok)
		http_reply_text(reply, 403,
		    "This does not come from the status page, or the page is old: load it again.");
	return ok;
}
