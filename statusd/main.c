/* statusd: shows a person and a monitoring system how the server is, and has the public pages. */
#include <stdlib.h>

#include "base/mem.h"
#include "service/service.h"
#include "statusd/public_site.h"
#include "statusd/statusd.h"

static void
on_status(struct net_worker *w, int fd, const struct net_socket *peer, void *arg)
{
	struct service *sv = arg;
	struct statusd *d = sv->data;

	(void)w;
	http_site_accept(d->status, fd, peer);
}

static void
on_public(struct net_worker *w, int fd, const struct net_socket *peer, void *arg)
{
	struct service *sv = arg;
	struct statusd *d = sv->data;

	(void)w;
	http_site_accept(d->public->http, fd, peer);
}

static void
stop(struct service *sv)
{
	struct statusd *d = sv->data;

	status_site_stop(d);
	public_site_free(d->public);
	free(d);
	sv->data = NULL;
}

static bool
start(struct service *sv, struct net_worker *w)
{
	struct statusd *d = mem_zalloc(sizeof(*d));

	(void)w;
	d->service = sv;
	sv->data = d;
	return status_site_start(d) && public_site_start(sv, &d->public);
}

static void
drain(struct service *sv, enum net_drain how)
{
	struct statusd *d = sv->data;

	status_site_drain(d, how);
	if (d->public != NULL)
		http_site_drain(d->public->http, how);
}

static const struct service_door DOORS[] = {
	{ .name = "status", .setting = "statusd.listen", .on_socket = on_status },
	{ .name = "public",
	    .setting = "statusd.listen_public",
	    .default_port = 443,
	    .on_socket = on_public },
};

static const char *const READS[] = { "server.run_dir", "store.mail_root", "publish.dir",
	"backup.dir", NULL };

static const struct service_spec SPEC = {
	.name = "statusd",
	.needs = SERVICE_SPOOL,
	.needs_also = public_site_needs,
	.reads = READS,
	.counts_logins = true,
	.may_connect = true,
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
