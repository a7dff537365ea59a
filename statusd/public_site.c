#include "statusd/public_site.h"

#include <stdlib.h>

#include "base/mem.h"
#include "service/service.h"
#include "statusd/guard.h"
#include "statusd/public_page.h"

unsigned
public_site_needs(const struct config *config)
{
	unsigned needs = 0;

	if (config_count(config, "statusd.listen_public") == 0)
		return 0;
	needs |= SERVICE_TLS; /* for signing profiles, too */
	if (config_bool(config, "statusd.password_change"))
		needs |= SERVICE_AUTH | SERVICE_ACCOUNTS_WRITE;
	return needs;
}

/* --- whose domain ------------------------------------------------------------------------------- */

static bool
take_domain(const struct http_request *rq, struct str domain, struct buf *out)
{
	const struct public_site *site = rq->arg;

	if (!account_domain_is_valid(domain) ||
	    account_db_has_domain(site->service->accounts, domain) != STORE_OK)
		return false;
	buf_add(out, domain.p, domain.len);
	return true;
}

/* Behind its first label: "mail.example.org" is a host of example.org. */
static struct str
parent_of(struct str name)
{
	size_t dot = str_find(name, STR("."));

	return dot != SIZE_MAX ? (struct str){ name.p + dot + 1, name.len - dot - 1 } : STR("");
}

static bool
is_clients_name(struct str host)
{
	return str_has_prefix_nocase(host, STR("autoconfig.")) ||
	       str_has_prefix_nocase(host, STR("autodiscover."));
}

bool
public_site_domain(const struct http_request *rq, const char *address, struct buf *out)
{
	const struct public_site *site = rq->arg;
	const char *header = http_header(rq, "Host");
	const char *preset = config_string(site->service->config, "auth.default_domain");
	struct str localpart, domain;
	struct str host = header != NULL ? guard_host_name(str_from(header)) : STR("");

	if (address != NULL)
		return account_address_parse(str_from(address), &localpart, &domain) &&
		       take_domain(rq, domain, out);
	if (is_clients_name(host) && take_domain(rq, parent_of(host), out))
		return true;
	if (preset != NULL && take_domain(rq, str_from(preset), out))
		return true;
	return take_domain(rq, host, out) || take_domain(rq, parent_of(host), out);
}

/* --- the site ----------------------------------------------------------------------------------- */

static void
robots(const struct http_request *rq, struct http_reply *reply)
{
	(void)rq;
	http_reply_text(reply, 200, "User-agent: *\nDisallow: /");
}

static const struct http_route ROUTES[] = {
	{ "GET", "/", public_setup },
	{ "GET", "/mail/config-v1.1.xml", public_autoconfig },
	{ "GET", "/.well-known/autoconfig/mail/config-v1.1.xml", public_autoconfig },
	{ "POST", "/autodiscover/autodiscover.xml", public_autodiscover },
	{ "GET", "/autodiscover/autodiscover.json*", public_autodiscover_json },
	{ "GET", "/mobileconfig", public_profile },
	{ "GET", "/password", public_password_form },
	{ "POST", "/password", public_password_change },
	{ "GET", "/public.css", public_page_style },
	{ "GET", "/robots.txt", robots },
};

bool
public_site_start(struct service *sv, struct public_site **site_out)
{
	struct public_site *site;

	*site_out = NULL;
	if (config_count(sv->config, "statusd.listen_public") == 0)
		return true;
	site = *site_out = mem_zalloc(sizeof(*site));
	site->service = sv;
	clients_facts_read(sv->config, &site->facts);
	site->spec = (struct http_site_spec){
		.name = "public",
		.routes = ROUTES,
		.route_count = ARRAY_LEN(ROUTES),
		.delay_ms = public_password_delay_ms,
		.tls = true,
		.arg = site,
	};
	site->http = http_site_new(sv, &site->spec);
	return site->http != NULL;
}

void
public_site_free(struct public_site *site)
{
	if (site == NULL)
		return;
	http_site_free(site->http);
	clients_facts_free(&site->facts);
	free(site);
}
