/* The status page, /metrics and /healthz: who may ask, and where to. */
#include <string.h>

#include "base/mem.h"
#include "statusd/guard.h"
#include "statusd/statusd.h"

static bool
admit(const struct http_request *rq, struct http_reply *reply)
{
	const struct statusd *d = rq->arg;

	return guard_admit(d->service, rq, strcmp(rq->path, "/healthz") == 0, reply);
}

static void
run_health(const struct http_request *rq, struct http_reply *reply)
{
	(void)rq;
	http_reply_text(reply, 200, "ok");
}

static const struct http_route ROUTES[] = {
	{ "GET", "/healthz", run_health },
};

bool
status_site_start(struct statusd *d)
{
	d->status_spec = (struct http_site_spec){
		.name = "status",
		.routes = ROUTES,
		.route_count = ARRAY_LEN(ROUTES),
		.admit = admit,
		.arg = d,
	};
	d->status = http_site_new(d->service, &d->status_spec);
	return d->status != NULL;
}
