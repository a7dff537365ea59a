/* How relays are spoken to: what submitd.relay_tls and submitd.relay_ca_file mean. */
#ifndef SERVICE_RELAY_TLS_H
#define SERVICE_RELAY_TLS_H

#include <stdbool.h>

#include "net/smtp_client.h"

struct config;
struct log;
struct net_tls;

struct service_relay_tls {
	enum smtp_client_tls mode;
	struct net_tls *client; /* the caller's, net_tls_free(); NULL for SMTP_TLS_NONE */
};

/* False: the client's side of TLS cannot be set up; the log says why. */
bool service_relay_tls(const struct config *config, struct log *log, struct service_relay_tls *out);

#endif
