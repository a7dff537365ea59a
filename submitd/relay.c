#include "submitd/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/loop.h"
#include "service/relay_tls.h"
#include "service/service.h"
#include "submitd/pause.h"
#include "submitd/relay_health.h"

#define RELAY_PORT 25

struct relay {
	struct relay *next;
	char *name, *host; /* the name as configured or routed */
	uint16_t port;
	struct smtp_client_config config;
	struct relay_connection *idle;
	size_t connections; /* on loan, idle, probing */
	size_t listed;      /* in lists that are in use */
	struct relay_health health;
	struct smtp_result why; /* the last failure */
};

/* The relays to try, in order. */
struct relay_list {
	struct relay *items[RELAY_COUNT_MAX];
	size_t count;
};

struct relay_connection {
	struct relays *relays;
	struct relay_connection *next, **link; /* among the idle ones */
	struct relay_list list;
	struct relay *relay; /* NULL: none was left to try */
	unsigned tried;      /* places in the list */
	unsigned used;       /* messages before this one */
	bool probe;
	struct smtp_client *client;
	struct net_timer *timer; /* start, and idle time */
	const struct relay_events *events;
	void *arg;
};

struct relays {
	struct service *sv;
	char *hostname;
	struct service_relay_tls tls;
	struct relay *all; /* those of routes too */
	size_t count;
	struct relay_list configured;
	struct relay_connection *probes; /* by link, as idle ones are */
	void (*on_up)(void *arg);
	void *arg;
};

static const struct smtp_client_events CLIENT_EVENTS;

static uint64_t
now_ms(const struct relays *r)
{
	return net_loop_now_ms(r->sv->loop);
}

/* --- health ------------------------------------------------------------------------------------- */

static bool
is_up(const struct relay *one)
{
	return relay_health_is_up(&one->health);
}

static void
mark_down(struct relays *r, struct relay *one, const struct smtp_result *why)
{
	uint64_t probe_ms = config_duration_s(r->sv->config, "submitd.relay_probe") * 1000;

	if (!relay_health_fail(&one->health, now_ms(r), probe_ms, pause_dice()))
		return;
	one->why = *why;
	one->why.outcome = SMTP_OUTCOME_TEMPORARY;
	log_warn(
	    r->sv->log, "relay-down", "relay=%s code=%d error=%s", one->name, why->code, why->text);
}

static void
mark_up(struct relays *r, struct relay *one)
{
	if (!relay_health_recover(&one->health))
		return;
	log_info(r->sv->log, "relay-up", "relay=%s", one->name);
	r->on_up(r->arg);
}

bool
relays_are_up(const struct relays *r, uint64_t *wait_ms_out)
{
	uint64_t now = now_ms(r), earliest = UINT64_MAX;

	*wait_ms_out = 0;
	for (size_t i = 0; i < r->configured.count; i++) {
		const struct relay *one = r->configured.items[i];

		if (is_up(one))
			return true;
		if (one->health.down_until_ms < earliest)
			earliest = one->health.down_until_ms;
	}
	*wait_ms_out = earliest > now ? earliest - now : 0;
	return false;
}

/* --- relays ------------------------------------------------------------------------------------- */

static void
relay_free(struct relay *one)
{
	free(one->name);
	free(one->host);
	free(one);
}

/* Makes room for one more route: a relay that nobody talks to and that is not configured goes. */
static void
forget_one(struct relays *r)
{
	for (struct relay **at = &r->all; *at != NULL; at = &(*at)->next) {
		struct relay *one = *at;
		bool configured = false;

		for (size_t i = 0; i < r->configured.count; i++)
			configured |= r->configured.items[i] == one;
		if (configured || one->connections > 0 || one->listed > 0)
			continue;
		*at = one->next;
		r->count--;
		relay_free(one);
		return;
	}
}

static struct relay *
find_or_add(struct relays *r, const char *name, const char *host, uint16_t port)
{
	unsigned timeout_s = (unsigned)config_duration_s(r->sv->config, "submitd.relay_timeout");
	struct relay *one = r->all;

	while (one != NULL && (strcasecmp(one->host, host) != 0 || one->port != port))
		one = one->next;
	if (one != NULL)
		return one;
	if (r->count >= RELAY_COUNT_MAX + RELAY_ROUTES_MAX)
		forget_one(r);
	one = mem_zalloc(sizeof(*one));
	one->name = mem_strdup(name);
	one->host = mem_strdup(host);
	one->port = port;
	one->config = (struct smtp_client_config){
		.host = one->host,
		.port = port,
		.helo = r->hostname,
		.log = r->sv->log,
		.messages_max =
		    (unsigned)config_integer(r->sv->config, "submitd.relay_messages_max"),
		.greeting_timeout_s = timeout_s,
		.command_timeout_s = timeout_s,
		.data_init_timeout_s = timeout_s,
		.data_block_timeout_s = timeout_s,
	};
	service_relay_tls_apply(&r->tls, port, &one->config);
	one->next = r->all;
	r->all = one;
	r->count++;
	return one;
}

static bool
is_not_blank(char c)
{
	return c != ' ';
}

/* HOST, HOST:PORT or [IPV6]:PORT, as the setting has it. */
static struct relay *
relay_of_text(struct relays *r, struct str word)
{
	char *text = mem_strndup(word.p, word.len), *host = text, *colon = strrchr(text, ':');
	char *end = strchr(text, ']');
	uint64_t port = RELAY_PORT;
	struct relay *one = NULL;
	bool ok = true;

	if (colon != NULL && (end != NULL ? colon == end + 1 : strchr(text, ':') == colon)) {
		ok = text_u64(str_from(colon + 1), UINT16_MAX, &port) && port > 0;
		*colon = '\0';
	}
	if (end != NULL && *text == '[') {
		*end = '\0';
		host = text + 1;
	}
	if (ok && *host != '\0') {
		char *name = mem_strndup(word.p, word.len);

		one = find_or_add(r, name, host, (uint16_t)port);
		free(name);
	}
	free(text);
	return one;
}

static void
begin_list(struct relays *r, const char *route, struct relay_list *list)
{
	struct cursor c = cursor_from(str_from(route != NULL ? route : ""));

	for (size_t i = 0; route == NULL && i < r->configured.count; i++) {
		list->items[list->count++] = r->configured.items[i];
		r->configured.items[i]->listed++;
	}
	while (!cursor_at_end(&c) && list->count < RELAY_COUNT_MAX) {
		struct str word = cursor_take_while(&c, is_not_blank);
		struct relay *one = word.len > 0 ? relay_of_text(r, word) : NULL;

		if (one != NULL) {
			one->listed++;
			list->items[list->count++] = one;
		}
		while (cursor_take(&c, ' '))
			continue;
	}
}

static void
end_list(struct relay_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		list->items[i]->listed--;
	list->count = 0;
}

/* --- a connection's end ------------------------------------------------------------------------- */

static void
unlink_connection(struct relay_connection *c)
{
	if (c->link == NULL)
		return;
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	c->link = NULL;
}

static void
link_connection(struct relay_connection *c, struct relay_connection **first)
{
	c->next = *first;
	c->link = first;
	if (*first != NULL)
		(*first)->link = &c->next;
	*first = c;
}

static void
connection_free(struct relay_connection *c)
{
	unlink_connection(c);
	end_list(&c->list);
	if (c->relay != NULL) {
		c->relay->connections--;
		if (c->probe)
			c->relay->health.probing = false;
	}
	net_timer_free(c->timer);
	smtp_client_free(c->client);
	free(c);
}

static void
go_idle(struct relay_connection *c)
{
	end_list(&c->list);
	link_connection(c, &c->relay->idle);
	net_timer_start_s(c->timer, RELAY_IDLE_S);
}

/* --- choosing ----------------------------------------------------------------------------------- */

static void on_timer(void *arg);

static struct relay_connection *
connection_new(struct relays *r, struct relay *one)
{
	struct relay_connection *c = mem_zalloc(sizeof(*c));

	c->relays = r;
	c->relay = one;
	c->timer = net_timer_new(r->sv->loop, on_timer, c);
	if (one != NULL)
		one->connections++;
	return c;
}

/* Beside the mail, which another relay takes meanwhile. */
static void
probe(struct relays *r, struct relay *one)
{
	struct relay_connection *c = connection_new(r, one);

	c->probe = one->health.probing = true;
	link_connection(c, &r->probes);
	c->client = smtp_client_open(r->sv->loop, &one->config, &CLIENT_EVENTS, c);
}

/* The place of the relay to take now; the count: none is left. */
static size_t
choose(struct relays *r, const struct relay_list *list, unsigned tried)
{
	const struct relay_health *health[RELAY_COUNT_MAX];
	size_t place, beside;

	for (size_t i = 0; i < list->count; i++)
		health[i] = &list->items[i]->health;
	place = relay_health_choose(health, list->count, tried, now_ms(r), &beside);
	if (beside < list->count)
		probe(r, list->items[beside]);
	return place;
}

/* With what relay_take() or a failure left in c->tried. */
static void
try_next(struct relay_connection *c)
{
	struct relays *r = c->relays;
	size_t place = choose(r, &c->list, c->tried);
	static const struct smtp_result NONE = { .outcome = SMTP_OUTCOME_TEMPORARY,
		.enhanced = "4.4.1",
		.text = "No relay can be reached" };

	if (c->relay != NULL)
		c->relay->connections--;
	c->relay = NULL;
	if (place == c->list.count) {
		const struct relay *last = NULL;

		for (size_t i = c->list.count; i-- > 0;)
			if (!is_up(c->list.items[i]))
				last = c->list.items[i];
		c->events->on_ready(c->arg, NULL, last != NULL ? last->name : NULL,
		    last != NULL ? &last->why : &NONE);
		return;
	}
	c->relay = c->list.items[place];
	c->relay->connections++;
	c->tried |= 1u << place;
	c->used = 0;
	c->client = smtp_client_open(r->sv->loop, &c->relay->config, &CLIENT_EVENTS, c);
}

/* --- what the conversation says ----------------------------------------------------------------- */

static void
on_client_ready(void *arg, const struct smtp_result *result)
{
	struct relay_connection *c = arg;
	struct relays *r = c->relays;
	bool ready = result->outcome == SMTP_OUTCOME_ACCEPTED, was_probe = c->probe;

	if (was_probe) {
		unlink_connection(c);
		c->probe = c->relay->health.probing = false;
	}
	if (ready)
		mark_up(r, c->relay);
	else
		mark_down(r, c->relay, result);
	if (was_probe && ready) {
		go_idle(c);
	} else if (was_probe) {
		connection_free(c);
	} else if (ready) {
		c->events->on_ready(c->arg, c->client, c->relay->name, NULL);
	} else {
		smtp_client_free(c->client);
		c->client = NULL;
		try_next(c);
	}
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
relay_take(struct relays *r, const char *route, unsigned tried, const struct relay_events *events,
    void *arg)
{
	struct relay_list list = { 0 };
	struct relay_connection *c = NULL;
	size_t place;

	begin_list(r, route, &list);
	place = choose(r, &list, tried);
	if (place < list.count && list.items[place]->idle != NULL) {
		c = list.items[place]->idle;
		unlink_connection(c);
		tried |= 1u << place;
		c->used++;
	} else {
		c = connection_new(r, place < list.count ? list.items[place] : NULL);
	}
	c->list = list;
	c->tried = tried;
	c->events = events;
	c->arg = arg;
	net_timer_start_ms(c->timer, 0);
	return c;
}

unsigned
relay_tried(const struct relay_connection *c)
{
	return c->tried;
}

bool
relay_has_untried(const struct relay_connection *c, unsigned tried)
{
	for (size_t i = 0; i < c->list.count; i++)
		if ((tried & 1u << i) == 0 &&
		    (is_up(c->list.items[i]) ||
			relay_health_is_due(&c->list.items[i]->health, now_ms(c->relays))))
			return true;
	return false;
}

bool
relay_was_used(const struct relay_connection *c)
{
	return c->used > 0;
}

void
relay_is_down(struct relay_connection *c, const struct smtp_result *why)
{
	if (c->relay != NULL)
		mark_down(c->relays, c->relay, why);
}

void
relay_give_back(struct relay_connection *c, bool reusable)
{
	if (reusable && c->client != NULL) {
		go_idle(c);
		return;
	}
	if (c->client != NULL)
		smtp_client_quit(c->client);
	c->client = NULL;
	connection_free(c);
}

/* --- opening ------------------------------------------------------------------------------------ */

struct relays *
relays_open(struct service *sv, const char *hostname, void (*on_up)(void *arg), void *arg)
{
	struct relays *r = mem_zalloc(sizeof(*r));
	size_t count = config_count(sv->config, "submitd.relay");

	r->sv = sv;
	r->hostname = mem_strdup(hostname);
	r->on_up = on_up;
	r->arg = arg;
	if (count == 0)
		log_error(sv->log, "no-relay", "hint=%s", "set submitd.relay");
	if (!service_relay_tls(sv->config, sv->log, &r->tls) || count == 0) {
		relays_close(r);
		return NULL;
	}
	if (count > RELAY_COUNT_MAX)
		log_warn(sv->log, "relays", "count=%zu most=%d", count, RELAY_COUNT_MAX);
	for (size_t i = 0; i < count && i < RELAY_COUNT_MAX; i++) {
		const struct config_address *a = config_address_at(sv->config, "submitd.relay", i);

		r->configured.items[r->configured.count++] =
		    find_or_add(r, a->text, a->host, a->port);
	}
	return r;
}

static void
free_connections(struct relay_connection *first)
{
	struct relay_connection *next;

	for (struct relay_connection *c = first; c != NULL; c = next) {
		next = c->next;
		connection_free(c);
	}
}

void
relays_close(struct relays *r)
{
	struct relay *next;

	if (r == NULL)
		return;
	free_connections(r->probes);
	for (struct relay *one = r->all; one != NULL; one = next) {
		next = one->next;
		free_connections(one->idle);
		relay_free(one);
	}
	service_relay_tls_free(&r->tls);
	free(r->hostname);
	free(r);
}
