/* What mail clients ask for by themselves. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "clients/forms.h"
#include "clients/markup.h"
#include "clients/request.h"
#include "service/service.h"
#include "statusd/public_site.h"

/* --- Thunderbird and those that do as it does --------------------------------------------------- */

void
public_autoconfig(const struct http_request *rq, struct http_reply *reply)
{
	const struct public_site *site = rq->arg;
	const char *address = http_query(rq, "emailaddress");
	struct buf domain = { 0 };

	if (address != NULL && *address == '\0')
		address = NULL;
	if (public_site_domain(rq, address, &domain)) {
		struct clients_user user = { .domain = buf_cstr(&domain) };

		reply->type = "text/xml; charset=utf-8";
		clients_autoconfig(&site->facts, &user, &reply->body);
	} else {
		http_reply_text(reply, 404, "There is no mail of this domain here.");
	}
	buf_free(&domain);
}

/* --- Outlook ------------------------------------------------------------------------------------ */

static void
answer_autodiscover(const struct http_request *rq, const char *address, struct http_reply *reply)
{
	const struct public_site *site = rq->arg;
	struct buf domain = { 0 };

	if (public_site_domain(rq, address, &domain)) {
		struct clients_user user = { .domain = buf_cstr(&domain), .address = address };

		clients_autodiscover(&site->facts, &user, &reply->body);
	} else {
		clients_autodiscover_error(CLIENTS_AUTODISCOVER_UNKNOWN, &reply->body);
	}
	buf_free(&domain);
}

/* Errors come with status 200, as MS-OXDSCLI §3.1.5 has it. */
void
public_autodiscover(const struct http_request *rq, struct http_reply *reply)
{
	struct buf address = { 0 };

	reply->type = "text/xml; charset=utf-8";
	switch (clients_request_parse(rq->body, &address)) {
	case CLIENTS_REQUEST_OK: answer_autodiscover(rq, buf_cstr(&address), reply); break;
	case CLIENTS_REQUEST_SCHEMA:
		clients_autodiscover_error(CLIENTS_AUTODISCOVER_PROVIDER, &reply->body);
		break;
	case CLIENTS_REQUEST_INVALID:
		clients_autodiscover_error(CLIENTS_AUTODISCOVER_INVALID, &reply->body);
		break;
	}
	buf_free(&address);
}

/* Autodiscover v2 only says where to ask by v1. */
void
public_autodiscover_json(const struct http_request *rq, struct http_reply *reply)
{
	const struct public_site *site = rq->arg;
	const char *protocol = http_query(rq, "Protocol");
	char *url = clients_web_url(&site->facts), *text;
	json_t *answer;

	if (protocol != NULL && ascii_eq_nocase(protocol, "AutodiscoverV1") && url != NULL) {
		char *where = mem_printf("%s/autodiscover/autodiscover.xml", url);

		answer = json_pack("{ss ss}", "Protocol", "AutodiscoverV1", "Url", where);
		free(where);
	} else {
		reply->status = 400;
		answer = json_pack("{ss ss}", "ErrorCode", "InvalidProtocol", "ErrorMessage",
		    "The supported protocol is AutodiscoverV1.");
	}
	text = json_dumps(answer, JSON_COMPACT);
	reply->type = "application/json";
	buf_adds(&reply->body, text);
	json_decref(answer);
	free(text);
	free(url);
}

/* --- Apple -------------------------------------------------------------------------------------- */

/* A profile that cannot be signed works as well; the reason is in the log. */
static void
add_profile(
    const struct public_site *site, const struct clients_user *user, struct http_reply *reply)
{
	const struct config *c = site->service->config;
	struct buf profile = { 0 };

	clients_mobileconfig(&site->facts, user, &profile);
	if (!config_bool(c, "clients.sign_profiles") ||
	    !clients_sign(config_string(c, "tls.certificate"), config_string(c, "tls.key"),
		&profile, &reply->body, site->service->log))
		buf_add(&reply->body, profile.data, profile.len);
	buf_free(&profile);
}

void
public_profile(const struct http_request *rq, struct http_reply *reply)
{
	const char *address = http_query(rq, "address");
	struct buf domain = { 0 };

	if (address != NULL && public_site_domain(rq, address, &domain)) {
		struct clients_user user = { .domain = buf_cstr(&domain), .address = address };

		add_profile(rq->arg, &user, reply);
		reply->type = "application/x-apple-aspen-config";
		http_reply_header(
		    reply, "Content-Disposition", "attachment; filename=\"mail.mobileconfig\"");
	} else {
		http_reply_text(reply, 404, "There is no such address here.");
	}
	buf_free(&domain);
}
