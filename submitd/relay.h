/* The relays that take outgoing mail, in the configured order, and what is known of their health.
 *
 * A relay is up until a conversation with it fails without a verdict on a message: no connection, no
 * greeting, no TLS or login as asked for, 421, silence, a broken connection.  Then it is down, and passed over, until
 * a connection to it succeeds: the next one tried once submitd.relay_probe has passed, twice that after the
 * second failure, up to ten times that, less up to a quarter by chance.  While another relay is up the probe
 * goes beside the mail, which does not wait for it; so the first relay takes over again once it is back.
 * Who refuses messages or recipients, or is slow within submitd.relay_timeout, is up.
 *
 * Connections are kept for the next message: RELAY_IDLE_S long, for submitd.relay_messages_max messages or as
 * many as the relay wants (RFC 9422).  All this is each worker's own; it never has more connections to one relay
 * than messages in hand (submitd.relay_connections), and a probe. */
#ifndef SUBMITD_RELAY_H
#define SUBMITD_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/smtp_client.h"

#define RELAY_IDLE_S     10 /* an idle connection is kept so long */
#define RELAY_COUNT_MAX  16 /* in one list */
#define RELAY_ROUTES_MAX 64 /* relays beside the configured ones that are remembered at a time */

struct relays;
struct service;

/* One conversation; on loan to an attempt, idle, or a probe. */
struct relay_connection;

struct relay_events {
	/* Ready for smtp_client_send(), or (client NULL) no relay is left to try, for that reason. */
	void (*on_ready)(void *arg, struct smtp_client *client, const char *relay,
	    const struct smtp_result *why);
	void (*on_sent)(void *arg, const struct smtp_client_report *report);
};

/* NULL with the reason logged.  `on_up` gets `arg`. */
struct relays *relays_open(
    struct service *sv, const char *hostname, void (*on_up)(void *arg), void *arg);
/* No connection may be on loan. */
void relays_close(struct relays *r); /* NULL is fine */

/* Is one of the configured relays up?  If none is, *wait_ms_out says when the next probe is due; 0: now. */
bool relays_are_up(const struct relays *r, uint64_t *wait_ms_out);

/* Finds a connection, an idle one or a new one, to the first relay that is up; if none is, to the first that is
 * to be probed now.  `route`: "HOST:PORT HOST:PORT…" instead of the configured ones, or NULL.
 * `tried`: the places in that list (bits) that are passed over.  on_ready comes once, from the loop.  The caller
 * gives it back, also after a failure. */
struct relay_connection *relay_take(struct relays *r, const char *route, unsigned tried,
    const struct relay_events *events, void *arg);
unsigned relay_tried(
    const struct relay_connection *c); /* with the place of the one that was taken */
/* Is there one in its list that is none of these, and up or to be probed? */
bool relay_has_untried(const struct relay_connection *c, unsigned tried);
bool relay_was_used(
    const struct relay_connection *c); /* it was idle before: it may have gone stale */
/* It failed before it said anything on the message: others are to go elsewhere. */
void relay_is_down(struct relay_connection *c, const struct smtp_result *why);
void relay_give_back(struct relay_connection *c, bool reusable);

#endif
