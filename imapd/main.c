/* imapd: serves the mail store to mail clients by IMAP. */
#include <stdlib.h>

#include "base/config.h"
#include "base/mem.h"
#include "imapd/connection.h"
#include "imapd/filters.h"
#include "imapd/imapd.h"
#include "imapd/meters.h"
#include "imapd/search_builder.h"
#include "net/loop.h"
#include "service/service.h"

static void
on_imaps(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct service *sv = arg;

	(void)w;
	imap_connection_start(sv->data, st, true);
}

static void
on_imap(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct service *sv = arg;

	(void)w;
	imap_connection_start(sv->data, st, false);
}

static bool
start(struct service *sv, struct net_worker *w)
{
	struct imapd *imapd = mem_zalloc(sizeof(*imapd));

	(void)w;
	imapd->service = sv;
	imapd->config = sv->config;
	imapd->store = sv->store;
	imapd->auth = sv->auth;
	imapd->filters = imap_filters_new(sv);
	if (imapd->filters == NULL) {
		free(imapd);
		return false;
	}
	/* Made before the sandbox closes; where it cannot be (that is logged), redirects fail and mail stays where it is. */
	outgoing_spool(&imapd->filters->outgoing);
	imapd->sasl = &sv->sasl;
	imapd->message_max_bytes = config_size(sv->config, "store.message_size_max");
	imapd->message_limit = (uint32_t)config_integer(sv->config, "imapd.message_limit");
	imapd->save_limit = (uint32_t)config_integer(sv->config, "imapd.save_limit");
	imapd->progress_ns =
	    config_duration_s(sv->config, "imapd.progress_interval") * UINT64_C(1000000000);
	imapd->conversations = (struct conversations){
		.service = sv,
		.protocol = &IMAP_PROTOCOL,
		.autologout_s = (unsigned)config_duration_s(sv->config, "imapd.autologout"),
		.login_timeout_s = (unsigned)config_duration_s(sv->config, "auth.login_timeout"),
		.per_account_max = config_integer(sv->config, "imapd.connections_per_account"),
	};
	imapd->searches = search_builder_new(sv->store, sv->loop);
	sv->data = imapd;
	return true;
}

/* After a reload the sessions go on; at the end they say BYE when their command is done. */
static void
drain(struct service *sv, enum net_drain how)
{
	struct imapd *imapd = sv->data;

	if (how != NET_DRAIN_END)
		return;
	search_builder_stop(imapd->searches);
	conversations_end(&imapd->conversations);
}

static void
stop(struct service *sv)
{
	struct imapd *imapd = sv->data;

	search_builder_free(imapd->searches);
	net_timer_free(imapd->keepalive);
	imap_filters_free(imapd->filters);
	free(imapd);
	sv->data = NULL;
}

/* Who sets quotas by IMAP (SETQUOTA) writes into the account database; otherwise it is only read. */
static unsigned
needs_also(const struct config *config)
{
	return config_count(config, "imapd.quota_admins") > 0 ? SERVICE_ACCOUNTS_WRITE : 0;
}

static const struct service_door DOORS[] = {
	{ "imaps", "imapd.listen_tls", 993, NULL, on_imaps, NULL },
	{ "imap", "imapd.listen_starttls", 143, "* BYE [UNAVAILABLE] Too many connections\r\n",
	    on_imap, NULL },
};

static const struct service_spec SPEC = {
	.name = "imapd",
	.sasl_name = "imap",
	.needs = SERVICE_TLS | SERVICE_STORE | SERVICE_AUTH,
	.needs_also = needs_also,
	/* redirects and notifications of scripts (imapd/filters.h); filter.global_dir comes with the store */
	.writes_spool = true,
	.no_records = true,
	.doors = DOORS,
	.door_count = ARRAY_LEN(DOORS),
	.name_meters = imap_meters_name,
	.start = start,
	.drain = drain,
	.stop = stop,
};

int
main(int argc, char **argv)
{
	return service_main(argc, argv, &SPEC);
}
