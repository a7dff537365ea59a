/* What net/ counts by itself, for each listener: connections, TLS handshakes, bytes. */
#ifndef NET_METERS_H
#define NET_METERS_H

#include "net/metrics.h"

struct net_meters {
	struct metrics *metrics;
	uint32_t connections, accepted, refused_total, refused_address;
	uint32_t tls_full, tls_resumed, tls_failed, received, sent;
};

/* In the parent. */
void net_meters_name(struct metrics *m, const char *listener, struct net_meters *out);

#endif
