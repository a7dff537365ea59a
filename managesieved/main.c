/* managesieved: lets users manage their Sieve scripts by ManageSieve. */
#include <stdlib.h>

#include "base/mem.h"
#include "managesieved/connection.h"
#include "managesieved/managesieved.h"
#include "service/service.h"

static void
on_tls(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct service *sv = arg;

	(void)w;
	msieve_connection_start(sv->data, st, true);
}

static void
on_starttls(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct service *sv = arg;

	(void)w;
	msieve_connection_start(sv->data, st, false);
}

static bool
start(struct service *sv, struct net_worker *w)
{
	struct managesieved *d = mem_zalloc(sizeof(*d));
	const struct config *c = sv->config;

	(void)w;
	d->service = sv;
	d->accounts = sv->accounts;
	d->store = sv->store;
	d->auth = sv->auth;
	d->sasl = &sv->sasl;
	d->limits.scripts_max = config_integer(c, "filter.scripts_max");
	d->limits.bytes_max = config_size(c, "filter.script_bytes_max");
	d->conversations = (struct conversations){
		.service = sv,
		.protocol = &MSIEVE_PROTOCOL,
		.autologout_s = (unsigned)config_duration_s(c, "managesieved.autologout"),
		.login_timeout_s = (unsigned)config_duration_s(c, "auth.login_timeout"),
		.per_account_max = config_integer(c, "managesieved.connections_per_account"),
	};
	sv->data = d;
	return true;
}

/* After a reload the sessions go on; at the end they say BYE when their command is done. */
static void
drain(struct service *sv, enum net_drain how)
{
	struct managesieved *d = sv->data;

	if (how == NET_DRAIN_END)
		conversations_end(&d->conversations);
}

static void
stop(struct service *sv)
{
	free(sv->data);
	sv->data = NULL;
}

static const struct service_door DOORS[] = {
	{ "sieves", "managesieved.listen_tls", 0, NULL, on_tls, NULL },
	{ "sieve", "managesieved.listen_starttls", 4190,
	    "BYE (TRYLATER) \"Too many connections\"\r\n", on_starttls, NULL },
};

static const struct service_spec SPEC = {
	.name = "managesieved",
	.sasl_name = "sieve",
	.needs = SERVICE_TLS | SERVICE_STORE | SERVICE_AUTH | SERVICE_ACCOUNTS_WRITE,
	.doors = DOORS,
	.door_count = ARRAY_LEN(DOORS),
	.start = start,
	.drain = drain,
	.stop = stop,
};

int
main(int argc, char **argv)
{
	return service_main(argc, argv, &SPEC);
}
