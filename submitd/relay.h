/* The relays that take outgoing mail, in the configured order: which one to try now, and idle
 * connections kept for the next message. */
#ifndef SUBMITD_RELAY_H
#define SUBMITD_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/smtp_client.h"

#define RELAY_DOWN_S    30 /* a relay that could not be reached is passed over so long */
#define RELAY_IDLE_S    10 /* an idle connection is kept so long */
#define RELAY_COUNT_MAX 16

struct relays;
struct service;

/* One conversation; on loan to an attempt or idle. */
struct relay_connection;

struct relay_events {
	/* Ready for smtp_client_send(), or (client NULL) no relay can be reached, for that reason. */
	void (*on_ready)(void *arg, struct smtp_client *client, const char *relay,
	    const struct smtp_result *why);
	void (*on_sent)(void *arg, const struct smtp_client_report *report);
};

/* NULL with the reason logged. */
struct relays *relays_open(struct service *sv, const char *hostname);
/* No connection may be on loan. */
void relays_close(struct relays *r); /* NULL is fine */

/* Finds a connection: an idle one, or a new one to the first relay that answers.  on_ready comes once,
 * from the loop.  The caller gives it back, also after a failure. */
struct relay_connection *relay_take(struct relays *r, const struct relay_events *events, void *arg);
void relay_give_back(struct relay_connection *c, bool reusable);

#endif
