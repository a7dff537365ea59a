/* How relays are spoken to: what the settings submitd.relay_* mean, for the queue runner and for doctor. */
#ifndef SERVICE_RELAY_TLS_H
#define SERVICE_RELAY_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/smtp_client.h"

struct config;
struct log;
struct net_tls;

struct service_relay_tls {
	enum smtp_client_tls mode; /* where TLS begins by STARTTLS */
	bool implicit, implicit_at_465;
	struct net_tls *client; /* NULL for SMTP_TLS_NONE */
	const char *user;       /* of AUTH, or NULL; the config's */
	char *password;
};

/* False: the client's side of TLS cannot be set up, or the password not be read; the log says why.  Ends with
 * service_relay_tls_free(), also then. */
bool service_relay_tls(const struct config *config, struct log *log, struct service_relay_tls *out);
/* Fills in what belongs to TLS and AUTH for a relay at that port; the strings are borrowed from `tls`. */
void service_relay_tls_apply(
    const struct service_relay_tls *tls, uint16_t port, struct smtp_client_config *config);
void service_relay_tls_free(struct service_relay_tls *tls);

#endif
