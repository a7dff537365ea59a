/* Does a daemon of ours answer at each address it is to listen at? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "base/mem.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"

#define DOOR_CHECK_S        5
#define DOOR_GREETING_BYTES 2000

struct door {
	const char *daemon, *setting;
	bool tls; /* from the first byte */
};

static const struct door DOORS[] = {
	{ "imapd", "imapd.listen_tls", true },
	{ "imapd", "imapd.listen_starttls", false },
	{ "submitd", "submitd.listen_tls", true },
	{ "submitd", "submitd.listen_starttls", false },
	{ "lda", "lda.listen_lmtp", false },
	{ "lda", "lda.listen_lmtp_unix", false },
	{ "lda", "lda.listen_smtp", false },
	{ "managesieved", "managesieved.listen_tls", true },
	{ "managesieved", "managesieved.listen_starttls", false },
};

/* What a greeting of ours has in it; a peer that lda does not know is told the last one. */
static const char *const OURS[] = { "Sanger", "Only our relays may deliver here" };

struct knock {
	struct net_loop *loop;
	struct net_tls *tls;
	struct net_stream *stream; /* NULL: not connected, or closed */
	bool connected;
	bool done;
	char greeting[DOOR_GREETING_BYTES];
	char why[256];
};

static void
stop(struct knock *k)
{
	if (!k->done)
		net_loop_stop(k->loop);
	k->done = true;
}

static void
on_open(void *arg)
{
	(void)arg; /* the greeting comes by itself */
}

static void
on_input(void *arg)
{
	struct knock *k = arg;
	const char *data;
	size_t len, line;

	net_stream_input(k->stream, &data, &len);
	line = memchr(data, '\n', len) != NULL
		   ? (size_t)((const char *)memchr(data, '\n', len) - data)
		   : len;
	if (line == len && len < sizeof(k->greeting))
		return;
	snprintf(k->greeting, sizeof(k->greeting), "%.*s",
	    (int)(line < sizeof(k->greeting) ? line : sizeof(k->greeting) - 1), data);
	stop(k);
}

static void
on_closed(void *arg, enum net_closed why, const char *detail)
{
	struct knock *k = arg;

	k->stream = NULL;
	if (!k->done)
		snprintf(k->why, sizeof(k->why), "%s",
		    *detail != '\0'         ? detail
		    : why == NET_CLOSED_TLS ? "TLS failed"
					    : "it hung up");
	stop(k);
}

static const struct net_stream_events EVENTS = {
	.on_open = on_open,
	.on_input = on_input,
	.on_closed = on_closed,
};

static void
on_connected(void *arg, struct net_stream *st, const char *error)
{
	struct knock *k = arg;

	if (st == NULL) {
		snprintf(k->why, sizeof(k->why), "%s", error);
		stop(k);
		return;
	}
	k->connected = true;
	k->stream = st;
	net_stream_begin(st, &EVENTS, k);
	if (k->tls != NULL)
		net_stream_start_tls_client(st, k->tls, "localhost");
}

static void
on_late(void *arg)
{
	struct knock *k = arg;

	snprintf(k->why, sizeof(k->why), "no greeting within %d s", DOOR_CHECK_S);
	stop(k);
}

static void
knock_at(struct knock *k, const struct net_endpoint *to, struct log *log)
{
	struct net_timer *timer;

	k->loop = net_loop_new(log);
	timer = net_timer_new(k->loop, on_late, k);
	net_timer_start_s(timer, DOOR_CHECK_S);
	net_connect_start(k->loop, to, DOOR_CHECK_S - 1, on_connected, k);
	net_loop_run(k->loop);
	k->done = true;
	net_timer_free(timer);
	if (k->stream != NULL)
		net_stream_abort(k->stream);
	net_loop_free(k->loop);
}

/* Where to knock: every address means this machine. */
static bool
endpoint_of(const char *text, struct net_endpoint *to)
{
	if (!net_endpoint_parse(str_from(text), 0, to))
		return false;
	if (to->kind == NET_TCP && (strcmp(to->host, "*") == 0 || strcmp(to->host, "0.0.0.0") == 0))
		strcpy(to->host, "127.0.0.1");
	else if (to->kind == NET_TCP && strcmp(to->host, "::") == 0)
		strcpy(to->host, "::1");
	return true;
}

static bool
is_ours(const char *greeting)
{
	for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
		if (strstr(greeting, OURS[i]) != NULL)
			return true;
	return false;
}

/* Is `pid` a process of that name, and not one that has ended and waits to be collected? */
static bool
is_alive(long pid, const char *name)
{
	char *path = mem_printf("/proc/%ld/stat", pid);
	FILE *f = fopen(path, "re");
	char comm[64] = "", state = 'Z';
	bool ok;

	free(path);
	if (f == NULL)
		return false;
	ok = fscanf(f, "%*d (%63[^)]) %c", comm, &state) == 2;
	fclose(f);
	return ok && state != 'Z' && state != 'X' && strcmp(comm, name) == 0;
}

/* By its pid file. */
static bool
is_running(struct doctor *d, const char *daemon)
{
	char *path = mem_printf("%s/%s.pid", config_string(d->a->config, "server.run_dir"), daemon);
	FILE *f = fopen(path, "re");
	long pid = 0;
	bool ok;

	free(path);
	if (f == NULL)
		return false;
	ok = fscanf(f, "%ld", &pid) == 1 && pid > 0;
	fclose(f);
	return ok && is_alive(pid, daemon);
}

static void
check_door(struct doctor *d, const struct door *door, const char *address, struct net_tls *tls)
{
	struct knock k = { .tls = door->tls ? tls : NULL };
	struct net_endpoint to;
	bool running = is_running(d, door->daemon);

	if (!endpoint_of(address, &to)) {
		doctor_fail(d, "ports", "mend it in the configuration", "%s: %s is no address",
		    door->setting, address);
		return;
	}
	knock_at(&k, &to, d->a->log);
	if (is_ours(k.greeting))
		doctor_ok(d, "ports", "%s answers at %s", door->daemon, address);
	else if (!k.connected && !running)
		doctor_fail(d, "ports",
		    "start the daemons (admin/instance start DIR, or systemctl)",
		    "%s is not running: nothing listens at %s", door->daemon, address);
	else if (!k.connected)
		doctor_fail(d, "ports", "restart it; its log says why",
		    "%s runs but does not listen at %s: %s", door->daemon, address, k.why);
	else if (!running)
		doctor_fail(d, "ports",
		    "stop the other program (ss -ltnp names it) or choose another port",
		    "%s (%s): another program listens there: %s", address, door->setting,
		    *k.greeting != '\0' ? k.greeting : k.why);
	else
		doctor_fail(d, "ports", "look into the log, and at the certificate",
		    "%s at %s does not greet as it should: %s", door->daemon, address,
		    *k.greeting != '\0' ? k.greeting : k.why);
}

void
doctor_doors(struct doctor *d)
{
	const struct net_tls_client_spec spec = { .verify = NET_TLS_ANY };
	struct net_tls *tls = net_tls_client_new(&spec, d->a->log);

	for (size_t i = 0; i < ARRAY_LEN(DOORS); i++) {
		const struct door *door = &DOORS[i];
		const char *path;

		if (strcmp(door->setting, "lda.listen_lmtp_unix") != 0) {
			for (size_t n = 0; n < config_count(d->a->config, door->setting); n++)
				check_door(
				    d, door, config_string_at(d->a->config, door->setting, n), tls);
			continue;
		}
		path = config_string(d->a->config, door->setting);
		if (path != NULL && *path != '\0')
			check_door(d, door, path, tls);
	}
	net_tls_free(tls);
}
