/* statusd: what a person and a monitoring system see of the server.  Its parts, one per worker. */
#ifndef STATUSD_STATUSD_H
#define STATUSD_STATUSD_H

#include "net/daemon.h"
#include "statusd/http.h"

struct health;
struct public_site;
struct quotas;
struct service;

struct statusd {
	struct service *service;
	struct quotas *quotas;
	struct health *health;
	struct http_site_spec status_spec;
	struct http_site *status;   /* the status page, /metrics, /healthz: status_site.c */
	struct public_site *public; /* NULL: there is none; public_site.c */
};

/* status_site.c */
bool status_site_start(struct statusd *d); /* false with the reason logged */
void status_site_drain(struct statusd *d, enum net_drain how);
void status_site_stop(struct statusd *d); /* after the loop */

#endif
