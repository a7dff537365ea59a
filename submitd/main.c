/* submitd: takes messages from logged-in users and feeds them to the relay. */
#include <stdlib.h>

#include "base/mem.h"
#include "service/service.h"
#include "submitd/meters.h"
#include "submitd/runner.h"
#include "submitd/session.h"

struct submit_worker {
	struct submit_door tls, starttls;
	struct runner *runner;
};

static void
on_tls(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct service *sv = arg;
	struct submit_worker *sw = sv->data;

	(void)w;
	submit_door_accept(&sw->tls, st);
}

static void
on_starttls(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct service *sv = arg;
	struct submit_worker *sw = sv->data;

	(void)w;
	submit_door_accept(&sw->starttls, st);
}

static bool
start(struct service *sv, struct net_worker *w)
{
	struct submit_worker *sw = mem_zalloc(sizeof(*sw));

	(void)w;
	submit_door_open(&sw->tls, sv, true);
	submit_door_open(&sw->starttls, sv, false);
	sv->data = sw;
	sw->runner = runner_open(sv, sw->tls.hostname);
	return sw->runner != NULL;
}

static void
drain(struct service *sv, enum net_drain how)
{
	struct submit_worker *sw = sv->data;

	submit_door_drain(&sw->tls, how);
	submit_door_drain(&sw->starttls, how);
	runner_drain(sw->runner);
}

static void
stop(struct service *sv)
{
	struct submit_worker *sw = sv->data;

	runner_close(sw->runner);
	submit_door_close(&sw->tls);
	submit_door_close(&sw->starttls);
	free(sw);
	sv->data = NULL;
}

static const struct service_door DOORS[] = {
	{ "submissions", "submitd.listen_tls", 465, NULL, on_tls, NULL },
	{ "submission", "submitd.listen_starttls", 587,
	    "421 4.7.0 Too many connections, try again later\r\n", on_starttls, NULL },
};

static const struct service_spec SPEC = {
	.name = "submitd",
	.sasl_name = "smtp",
	.needs =
	    SERVICE_TLS | SERVICE_AUTH | SERVICE_SPOOL | SERVICE_STORE, /* for copies in Sent */
	.may_connect = true,
	.doors = DOORS,
	.door_count = ARRAY_LEN(DOORS),
	.name_meters = submit_meters_name,
	.start = start,
	.drain = drain,
	.stop = stop,
};

int
main(int argc, char **argv)
{
	return service_main(argc, argv, &SPEC);
}
