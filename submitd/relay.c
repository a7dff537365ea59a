#include "submitd/relay.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"
#include "net/tls.h"
#include "service/relay_tls.h"
#include "service/service.h"

struct relay {
	struct smtp_client_config config;
	const char *name;       /* as configured */
	uint64_t down_until_ms; /* on the loop's clock */
};

struct relay_connection {
	struct relays *relays;
	struct relay_connection *next, **link; /* among the idle ones */
	struct relay *relay;
	size_t tried; /* relays, this time */
	struct smtp_client *client;
	struct net_timer *timer; /* start, and idle time */
	const struct relay_events *events;
	void *arg;
};

struct relays {
	struct service *sv;
	struct net_tls *tls;
	struct relay items[RELAY_COUNT_MAX];
	size_t count;
	struct relay_connection *idle;
};

static void try_next(struct relay_connection *c);

/* --- a connection's end ------------------------------------------------------------------------- */

static void
unlink_idle(struct relay_connection *c)
{
	if (c->link == NULL)
		return;
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	c->link = NULL;
}

static void
connection_free(struct relay_connection *c)
{
	unlink_idle(c);
	net_timer_free(c->timer);
	smtp_client_free(c->client);
	free(c);
}

/* --- what the conversation says ----------------------------------------------------------------- */

static void
on_client_ready(void *arg, const struct smtp_result *result)
{
	struct relay_connection *c = arg;
	struct relays *r = c->relays;

	if (result->outcome == SMTP_OUTCOME_ACCEPTED) {
		c->relay->down_until_ms = 0;
		c->events->on_ready(c->arg, c->client, c->relay->name, NULL);
		return;
	}
	log_warn(r->sv->log, "relay-down", "relay=%s code=%d error=%s", c->relay->name,
	    result->code, result->text);
	c->relay->down_until_ms = net_loop_now_ms(r->sv->loop) + RELAY_DOWN_S * 1000;
	smtp_client_free(c->client);
	c->client = NULL;
	if (c->tried < r->count)
		try_next(c);
	else
		c->events->on_ready(c->arg, NULL, c->relay->name, result);
}

static void
on_client_sent(void *arg, const struct smtp_client_report *report)
{
	struct relay_connection *c = arg;

	c->events->on_sent(c->arg, report);
}

static void
on_client_lost(void *arg, const struct smtp_result *result)
{
	struct relay_connection *c = arg;

	(void)result;
	if (c->link != NULL) /* idle; on loan the next send tells */
		connection_free(c);
}

static const struct smtp_client_events CLIENT_EVENTS = {
	.on_ready = on_client_ready,
	.on_sent = on_client_sent,
	.on_lost = on_client_lost,
};

/* --- taking and giving back --------------------------------------------------------------------- */

/* The first relay, in order, that is not down; if all are, the one that has been down longest. */
static struct relay *
choose(struct relays *r, const struct relay *after)
{
	uint64_t now = net_loop_now_ms(r->sv->loop);
	struct relay *best = NULL;

	for (size_t i = 0; i < r->count; i++) {
		struct relay *one = &r->items[i];

		if (one == after)
			continue;
		if (one->down_until_ms <= now)
			return one;
		if (best == NULL || one->down_until_ms < best->down_until_ms)
			best = one;
	}
	return best != NULL ? best : &r->items[0];
}

static void
try_next(struct relay_connection *c)
{
	c->relay = choose(c->relays, c->relay);
	c->tried++;
	c->client = smtp_client_open(c->relays->sv->loop, &c->relay->config, &CLIENT_EVENTS, c);
}

static void
on_timer(void *arg)
{
	struct relay_connection *c = arg;

	if (c->link != NULL) { /* idle for too long */
		smtp_client_quit(c->client);
		c->client = NULL;
		connection_free(c);
	} else if (c->client != NULL) {
		c->events->on_ready(c->arg, c->client, c->relay->name, NULL);
	} else {
		try_next(c);
	}
}

struct relay_connection *
relay_take(struct relays *r, const struct relay_events *events, void *arg)
{
	struct relay_connection *c = r->idle;

	if (c != NULL) {
		unlink_idle(c);
	} else {
		c = mem_zalloc(sizeof(*c));
		c->relays = r;
		c->timer = net_timer_new(r->sv->loop, on_timer, c);
	}
	c->events = events;
	c->arg = arg;
	c->tried = 0;
	net_timer_start_ms(c->timer, 0);
	return c;
}

void
relay_give_back(struct relay_connection *c, bool reusable)
{
	struct relays *r = c->relays;

	if (!reusable || c->client == NULL) {
		connection_free(c);
		return;
	}
	c->next = r->idle;
	c->link = &r->idle;
	if (r->idle != NULL)
		r->idle->link = &c->next;
	r->idle = c;
	net_timer_start_s(c->timer, RELAY_IDLE_S);
}

/* --- opening ------------------------------------------------------------------------------------ */

struct relays *
relays_open(struct service *sv, const char *hostname)
{
	struct service_relay_tls tls;
	bool tls_ok = service_relay_tls(sv->config, sv->log, &tls);
	struct relays *r = mem_zalloc(sizeof(*r));
	unsigned timeout_s = (unsigned)config_duration_s(sv->config, "submitd.relay_timeout");

	r->sv = sv;
	r->tls = tls.client;
	r->count = config_count(sv->config, "submitd.relay");
	if (r->count > RELAY_COUNT_MAX)
		r->count = RELAY_COUNT_MAX;
	for (size_t i = 0; i < r->count; i++) {
		const struct config_address *a = config_address_at(sv->config, "submitd.relay", i);

		r->items[i].name = a->text;
		r->items[i].config = (struct smtp_client_config){
			.host = a->host,
			.port = a->port,
			.helo = hostname,
			.tls = tls.mode,
			.tls_client = r->tls,
			.log = sv->log,
			.greeting_timeout_s = timeout_s,
			.command_timeout_s = timeout_s,
			.data_init_timeout_s = timeout_s,
			.data_block_timeout_s = timeout_s,
		};
	}
	if (r->count == 0)
		log_error(sv->log, "no-relay", "hint=%s", "set submitd.relay");
	if (r->count == 0 || !tls_ok) {
		relays_close(r);
		return NULL;
	}
	return r;
}

void
relays_close(struct relays *r)
{
	struct relay_connection *next;

	if (r == NULL)
		return;
	for (struct relay_connection *c = r->idle; c != NULL; c = next) {
		next = c->next;
		connection_free(c);
	}
	net_tls_free(r->tls);
	free(r);
}
