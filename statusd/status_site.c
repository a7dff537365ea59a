/* The status page, its buttons, /metrics and /healthz: who may ask, and where to. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "service/service.h"
#include "statusd/facts.h"
#include "statusd/guard.h"
#include "statusd/health.h"
#include "statusd/openmetrics.h"
#include "statusd/page.h"
#include "statusd/statusd.h"
#include "store/password.h"

#define STYLE_CACHE "private, max-age=300"

static const char ICON[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\"><rect x=\"2\" y=\"6\" "
    "width=\"28\" height=\"20\" rx=\"4\" fill=\"#0b5cad\"/><path d=\"M6 11l10 8 10-8\" "
    "fill=\"none\" stroke=\"#fff\" stroke-width=\"3\" stroke-linecap=\"round\"/></svg>\n";

static bool
admit(const struct http_request *rq, struct http_reply *reply)
{
	const struct statusd *d = rq->arg;

	return guard_admit(d->service, rq, strcmp(rq->path, "/healthz") == 0, reply);
}

/* --- looking ------------------------------------------------------------------------------------ */

/* What a button has done; the number comes back by way of the address, so it is checked. */
static const struct {
	const char *query, *one, *many;
} NOTICES[] = {
	{ "due", "One message is tried now.", "messages are tried now." },
	{ "busy", "The message is being sent just now.", "messages are being sent just now." },
	{ "gone", "The message is not in the queue any more.",
	    "messages are not in the queue any more." },
};

static char *
notice_of(const struct http_request *rq)
{
	for (size_t i = 0; i < ARRAY_LEN(NOTICES); i++) {
		const char *value = http_query(rq, NOTICES[i].query);
		uint64_t n;

		if (value == NULL || !text_u64(str_from(value), 1000000000, &n))
			continue;
		return n == 1 ? mem_strdup(NOTICES[i].one)
			      : mem_printf("%" PRIu64 " %s", n, NOTICES[i].many);
	}
	return NULL;
}

static void
run_page(const struct http_request *rq, struct http_reply *reply)
{
	const struct statusd *d = rq->arg;
	char token[GUARD_TOKEN_BYTES], *notice = notice_of(rq);
	struct facts facts;

	facts_gather(d->service, d->quotas, true, &facts);
	guard_token(d->service, token);
	reply->type = "text/html; charset=utf-8";
	page_write(&facts, token, notice, &reply->body);
	facts_free(&facts);
	free(notice);
}

static void
run_style(const struct http_request *rq, struct http_reply *reply)
{
	(void)rq;
	reply->type = "text/css; charset=utf-8";
	buf_adds(&reply->body, PAGE_STYLE);
	http_reply_header(reply, "Cache-Control", STYLE_CACHE);
}

static void
run_icon(const struct http_request *rq, struct http_reply *reply)
{
	(void)rq;
	reply->type = "image/svg+xml";
	buf_adds(&reply->body, ICON);
	http_reply_header(reply, "Cache-Control", STYLE_CACHE);
}

static void
run_metrics(const struct http_request *rq, struct http_reply *reply)
{
	const struct statusd *d = rq->arg;
	struct facts facts;

	facts_gather(d->service, d->quotas, false, &facts);
	reply->type = OPENMETRICS_TYPE;
	openmetrics_write(&facts, &reply->body);
	facts_free(&facts);
}

static void
run_health(const struct http_request *rq, struct http_reply *reply)
{
	const struct statusd *d = rq->arg;

	if (health_check(d->health, &reply->body))
		http_reply_text(reply, 200, "ok");
	else
		reply->status = 503;
}

/* --- buttons ------------------------------------------------------------------------------------ */

static void
see_result(struct http_reply *reply, const char *what, uint64_t n)
{
	char *path = mem_printf("/?%s=%" PRIu64, what, n);

	http_reply_see(reply, path);
	free(path);
}

static void
answer(struct http_reply *reply, enum store_err err, size_t count)
{
	if (err == STORE_OK)
		see_result(reply, "due", count);
	else if (err == STORE_BUSY)
		see_result(reply, "busy", 1);
	else if (err == STORE_NOT_FOUND)
		see_result(reply, "gone", 1);
	else
		http_reply_text(reply, 500, "The queue cannot be changed; the log says why.");
}

static void
run_flush(const struct http_request *rq, struct http_reply *reply)
{
	const struct statusd *d = rq->arg;
	enum store_err err;
	size_t count = 0;

	if (!guard_form(d->service, rq, reply))
		return;
	err = spool_flush(d->service->spool, NULL, &count);
	log_info(rq->log, "queue-flush", "peer=%s messages=%zu", rq->peer_text, count);
	answer(reply, err, count);
}

static bool
is_message_id(const char *id)
{
	return strlen(id) == SPOOL_ID_LEN &&
	       strspn(id, "0123456789abcdefghijklmnopqrstuv") == SPOOL_ID_LEN;
}

static void
run_retry(const struct http_request *rq, struct http_reply *reply)
{
	const struct statusd *d = rq->arg;
	enum store_err err;
	size_t count = 0;
	char *id;

	if (!guard_form(d->service, rq, reply))
		return;
	id = http_form(rq, "id");
	if (id == NULL || !is_message_id(id)) {
		http_reply_text(reply, 400, "That is no message.");
	} else {
		log_info(rq->log, "queue-retry", "peer=%s id=%s", rq->peer_text, id);
		err = spool_flush(d->service->spool, id, &count);
		answer(reply, err, count);
	}
	free(id);
}

/* --- the site ----------------------------------------------------------------------------------- */

static const struct http_route ROUTES[] = {
	{ "GET", "/", run_page },
	{ "GET", "/style.css", run_style },
	{ "GET", "/icon.svg", run_icon },
	{ "GET", "/metrics", run_metrics },
	{ "GET", "/healthz", run_health },
	{ "POST", "/queue/flush", run_flush },
	{ "POST", "/queue/retry", run_retry },
};

/* A hash that nothing matches would lock everybody out without a word. */
static bool
password_is_good(const struct service *sv)
{
	const char *stored = config_string(sv->config, "statusd.password"), *why = NULL;

	if (stored == NULL || *stored == '\0' || password_stored_ok(stored, &why))
		return true;
	log_error(sv->log, "config", "setting=%s error=%s", "statusd.password", why);
	return false;
}

bool
status_site_start(struct statusd *d)
{
	if (!password_is_good(d->service))
		return false;
	net_limits_login_policy(net_worker_limits(d->service->worker),
	    (unsigned)config_integer(d->service->config, "auth.fail_limit"),
	    config_duration_s(d->service->config, "auth.fail_delay_max") * 1000);
	d->quotas = quotas_open(d->service);
	if (d->quotas == NULL)
		return false;
	d->health = health_open(d->service, d->quotas);
	d->status_spec = (struct http_site_spec){
		.name = "status",
		.routes = ROUTES,
		.route_count = ARRAY_LEN(ROUTES),
		.admit = admit,
		.arg = d,
	};
	d->status = d->health != NULL ? http_site_new(d->service, &d->status_spec) : NULL;
	return d->status != NULL;
}

void
status_site_drain(struct statusd *d, enum net_drain how)
{
	quotas_drain(d->quotas);
	http_site_drain(d->status, how);
}

void
status_site_stop(struct statusd *d)
{
	http_site_free(d->status);
	health_close(d->health);
	quotas_close(d->quotas);
}
