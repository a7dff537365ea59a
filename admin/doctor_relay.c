/* Does each relay take a connection, greet, and give the TLS that is asked for? */
#include <stdlib.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "net/loop.h"
#include "net/smtp_client.h"
#include "service/hostname.h"
#include "service/relay_tls.h"

#define RELAY_CHECK_S 10

struct attempt {
	struct net_loop *loop;
	bool reached;
	char why[512];
};

static void
on_ready(void *arg, const struct smtp_result *result)
{
	struct attempt *t = arg;

	t->reached = result->outcome == SMTP_OUTCOME_ACCEPTED;
	snprintf(t->why, sizeof(t->why), "%s", result->text);
	net_loop_stop(t->loop);
}

static void
on_lost(void *arg, const struct smtp_result *result)
{
	on_ready(arg, result);
}

static void
on_late(void *arg)
{
	struct attempt *t = arg;

	snprintf(t->why, sizeof(t->why), "no answer within %d s", RELAY_CHECK_S);
	net_loop_stop(t->loop);
}

static void
try_relay(struct doctor *d, struct smtp_client_config *config, const char *name)
{
	static const struct smtp_client_events EVENTS = { .on_ready = on_ready,
		.on_lost = on_lost };
	struct attempt t = { .loop = net_loop_new(d->a->log) };
	struct net_timer *timer = net_timer_new(t.loop, on_late, &t);
	struct smtp_client *client = smtp_client_open(t.loop, config, &EVENTS, &t);

	net_timer_start_s(timer, RELAY_CHECK_S);
	net_loop_run(t.loop);
	net_timer_free(timer);
	smtp_client_free(client);
	net_loop_free(t.loop);
	if (t.reached)
		doctor_ok(d, "relay", "%s answers", name);
	else
		doctor_fail(d, "relay",
		    "start it, or mend submitd.relay and submitd.relay_tls; mail waits meanwhile",
		    "%s: %s", name, t.why);
}

void
doctor_relay(struct doctor *d)
{
	const struct config *c = d->a->config;
	size_t count = config_count(c, "submitd.relay");
	struct service_relay_tls tls = { 0 };
	char *hostname = service_hostname(c);

	if (count == 0)
		doctor_fail(d, "relay", "set submitd.relay", "there is none: nothing can be sent");
	if (count > 0 && !service_relay_tls(c, d->a->log, &tls)) {
		doctor_fail(d, "relay",
		    "look into the log, and at submitd.relay_tls, relay_ca_file, "
		    "relay_fingerprint, "
		    "relay_certificate and relay_password_file",
		    "TLS or login towards the relay cannot be set up");
		count = 0;
	}
	for (size_t i = 0; i < count; i++) {
		const struct config_address *to = config_address_at(c, "submitd.relay", i);
		struct smtp_client_config config = {
			.host = to->host,
			.port = to->port,
			.helo = hostname,
			.connect_timeout_s = RELAY_CHECK_S,
			.greeting_timeout_s = RELAY_CHECK_S,
			.command_timeout_s = RELAY_CHECK_S,
		};

		service_relay_tls_apply(&tls, to->port, &config);
		try_relay(d, &config, to->text);
	}
	service_relay_tls_free(&tls);
	free(hostname);
}
