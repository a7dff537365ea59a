#include "service/doors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/settings.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"

const struct door DOORS[] = {
	{ "imapd", "imapd.listen_tls", true, false },
	{ "imapd", "imapd.listen_starttls", false, false },
	{ "submitd", "submitd.listen_tls", true, false },
	{ "submitd", "submitd.listen_starttls", false, false },
	{ "lda", "lda.listen_lmtp", false, false },
	{ "lda", "lda.listen_lmtp_unix", false, false },
	{ "lda", "lda.listen_smtp", false, false },
	{ "managesieved", "managesieved.listen_tls", true, false },
	{ "managesieved", "managesieved.listen_starttls", false, false },
	{ "statusd", "statusd.listen", false, true },
	{ "statusd", "statusd.listen_public", false, true },
	{ "statusd", "statusd.listen_public", true, true },
};
const size_t DOOR_COUNT = ARRAY_LEN(DOORS);

size_t
door_address_count(const struct config *config, const struct door *door)
{
	const char *path;

	if (setting_find(door->setting)->list)
		return config_count(config, door->setting);
	path = config_string(config, door->setting);
	return path != NULL && *path != '\0' ? 1 : 0;
}

const char *
door_address(const struct config *config, const struct door *door, size_t i)
{
	return setting_find(door->setting)->list ? config_string_at(config, door->setting, i)
						 : config_string(config, door->setting);
}

/* What a greeting of ours has in it; a peer that lda does not know is told the last one. */
static const char *const OURS[] = { "Sanger", "Only our relays may deliver here" };

struct knock {
	struct net_loop *loop;
	struct net_tls *tls;
	struct net_stream *stream; /* NULL: not connected, or closed */
	bool done;
	bool silent; /* enough is that somebody takes the connection */
	struct door_answer *answer;
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
	struct knock *k = arg;

	k->answer->opened = true;
	if (k->silent)
		stop(k); /* else the greeting comes by itself */
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
	if (line == len && len < sizeof(k->answer->greeting))
		return;
	snprintf(k->answer->greeting, sizeof(k->answer->greeting), "%.*s",
	    (int)(line < sizeof(k->answer->greeting) ? line : sizeof(k->answer->greeting) - 1),
	    data);
	stop(k);
}

static void
on_closed(void *arg, enum net_closed why, const char *detail)
{
	struct knock *k = arg;

	k->stream = NULL;
	if (!k->done)
		snprintf(k->answer->why, sizeof(k->answer->why), "%s",
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
		snprintf(k->answer->why, sizeof(k->answer->why), "%s", error);
		stop(k);
		return;
	}
	k->answer->connected = true;
	k->stream = st;
	net_stream_begin(st, &EVENTS, k);
	if (k->tls != NULL)
		net_stream_start_tls_client(st, k->tls, "localhost");
	else if (k->silent)
		on_open(k);
}

static void
on_late(void *arg)
{
	struct knock *k = arg;

	snprintf(k->answer->why, sizeof(k->answer->why), "no greeting within %d s", DOOR_ANSWER_S);
	stop(k);
}

static void
knock_at(struct knock *k, const struct net_endpoint *to, struct log *log)
{
	struct net_timer *timer;

	k->loop = net_loop_new(log);
	timer = net_timer_new(k->loop, on_late, k);
	net_timer_start_s(timer, DOOR_ANSWER_S);
	net_connect_start(k->loop, to, DOOR_ANSWER_S - 1, on_connected, k);
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

void
door_knock(const struct door *door, const char *address, struct net_tls *tls, struct log *log,
    struct door_answer *out)
{
	struct knock k = { .tls = door->tls ? tls : NULL, .silent = door->silent, .answer = out };
	struct net_endpoint to;

	*out = (struct door_answer){ 0 };
	out->is_address = endpoint_of(address, &to);
	if (!out->is_address)
		return;
	knock_at(&k, &to, log);
	out->ours = door->silent ? out->opened : is_ours(out->greeting);
}
