#include "service/conversation.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/daemon.h"
#include "net/loop.h"
#include "net/sasl.h"
#include "net/stream.h"
#include "service/login.h"
#include "service/service.h"

/* --- the end ----------------------------------------------------------------------------------- */

static void
conversation_free(struct conversation *c)
{
	*c->prev = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	frame_reset(&c->frame);
	log_close(c->log);
	free(c->peer);
	c->all->protocol->free(c);
}

void
conversation_close(struct conversation *c)
{
	if (c->st != NULL && c->state != CONVERSATION_CLOSING)
		net_stream_close(c->st);
	c->state = CONVERSATION_CLOSING;
}

void
conversation_bye(struct conversation *c, const char *code, const char *text)
{
	struct buf line = { 0 };

	if (c->st != NULL && c->state != CONVERSATION_CLOSING && c->state != CONVERSATION_OPENING) {
		c->all->protocol->write_bye(&line, code, text);
		net_stream_write_buf(c->st, &line);
		buf_free(&line);
	}
	conversation_close(c);
}

bool
conversation_bye_if_ending(struct conversation *c)
{
	if (c->all->ending)
		conversation_bye(c, c->all->protocol->code_ending, "Server is shutting down");
	return c->all->ending;
}

/* --- jobs -------------------------------------------------------------------------------------- */

static void
job_run(void *arg)
{
	struct conversation *c = arg;

	c->all->protocol->run_job(c);
}

static void
on_job_done(void *arg)
{
	struct conversation *c = arg;

	c->busy = false;
	if (c->st == NULL) {
		if (c->job != CONVERSATION_JOB_CLEAR)
			conversation_run(c, CONVERSATION_JOB_CLEAR);
		else
			conversation_free(c);
		return;
	}
	if (c->state == CONVERSATION_CLOSING)
		return; /* on_closed comes */
	c->state = CONVERSATION_COMMAND;
	c->all->protocol->job_done(c);
	conversation_step(c);
}

void
conversation_run(struct conversation *c, unsigned job)
{
	c->job = (unsigned char)job;
	c->busy = true;
	if (c->state != CONVERSATION_CLOSING)
		c->state = CONVERSATION_BUSY;
	net_job_run(c->all->service->loop, job_run, on_job_done, c);
}

static void
on_delayed(void *arg)
{
	struct conversation *c = arg;

	if (c->state != CONVERSATION_DELAYED)
		return;
	net_timer_free(c->timer);
	c->timer = NULL;
	conversation_run(c, c->job);
}

void
conversation_run_login(struct conversation *c, unsigned job, bool *delayed_out)
{
	const struct service *sv = c->all->service;
	uint64_t delay_ms = login_delay_ms(sv, net_stream_peer_ip(c->st));

	*delayed_out = delay_ms > 0;
	if (delay_ms == 0) {
		conversation_run(c, job);
		return;
	}
	c->job = (unsigned char)job;
	c->state = CONVERSATION_DELAYED;
	c->timer = net_timer_new(sv->loop, on_delayed, c);
	net_timer_start_ms(c->timer, delay_ms);
}

/* --- who it is --------------------------------------------------------------------------------- */

static void
on_login_timeout(void *arg)
{
	struct conversation *c = arg;

	log_info(c->log, "login-timeout", "peer=%s", c->peer);
	conversation_bye(c, NULL, "No login in time");
}

/* Of one account in this worker. */
static bool
too_many(const struct conversation *c)
{
	uint64_t count = 0;

	for (const struct conversation *other = c->all->first; other != NULL; other = other->next)
		count += other->account == c->account;
	return count > c->all->per_account_max;
}

bool
conversation_logged_in(struct conversation *c, uint64_t account)
{
	net_timer_free(c->login_timer);
	c->login_timer = NULL;
	c->account = account;
	net_stream_logged_in(c->st);
	net_stream_timeout(c->st, c->all->autologout_s);
	if (!too_many(c))
		return true;
	log_warn(c->log, "too-many-sessions", "user=%s", c->all->protocol->user(c));
	conversation_bye(
	    c, c->all->protocol->code_too_many, "Too many connections of this account");
	return false;
}

void
conversation_logged_out(struct conversation *c)
{
	c->account = 0;
	c->login_timer = net_timer_new(c->all->service->loop, on_login_timeout, c);
	net_timer_start_s(c->login_timer, c->all->login_timeout_s);
	if (net_stream_logged_out(c->st))
		return;
	log_warn(c->log, "too-many-connections", "peer=%s", c->peer);
	conversation_bye(
	    c, c->all->protocol->code_too_many, "Too many connections of this address");
}

struct sasl_channel *
conversation_channel(const struct conversation *c)
{
	struct sasl_channel *channel = mem_zalloc(sizeof(*channel));

	channel->peer = c->peer;
	sasl_channel_tls(channel, c->st);
	return channel;
}

/* --- states ------------------------------------------------------------------------------------ */

/* Waits for input that makes a whole command. */
static bool
step_command(struct conversation *c)
{
	const struct conversation_protocol *protocol = c->all->protocol;
	enum frame_event event;
	const char *bytes;
	size_t len, consumed;

	if (protocol->is_over(c))
		conversation_close(c);
	else if (frame_is_empty(&c->frame))
		conversation_bye_if_ending(c);
	if (c->state == CONVERSATION_CLOSING || net_stream_pending(c->st) >= NET_OUTPUT_HIGH_BYTES)
		return false;
	net_stream_input(c->st, &bytes, &len);
	if (len == 0) {
		if (c->eof)
			conversation_close(c);
		else if (!frame_is_empty(&c->frame))
			net_stream_ack_now(c->st);
		else if (protocol->idle != NULL)
			protocol->idle(c);
		return false;
	}
	event = frame_feed(&c->frame, protocol->rules(c), bytes, len, &consumed);
	net_stream_consume(c->st, consumed);
	if (event != FRAME_NEED_INPUT)
		protocol->framed(c, event);
	return true;
}

static bool
step_draining(struct conversation *c)
{
	if (net_stream_pending(c->st) <= NET_OUTPUT_LOW_BYTES)
		c->all->protocol->drained(c);
	return false;
}

void
conversation_step(struct conversation *c)
{
	bool again = true;

	while (again) {
		switch (c->state) {
		case CONVERSATION_COMMAND: again = step_command(c); break;
		case CONVERSATION_DRAINING: again = step_draining(c); break;
		case CONVERSATION_WAITING: again = c->all->protocol->waiting(c); break;
		case CONVERSATION_DATA: again = c->all->protocol->data(c); break;
		case CONVERSATION_OPENING:
		case CONVERSATION_DELAYED:
		case CONVERSATION_BUSY:
		case CONVERSATION_CLOSING: again = false; break;
		}
	}
}

/* --- what happens ------------------------------------------------------------------------------ */

static void
on_open(void *arg)
{
	struct conversation *c = arg;

	if (c->state != CONVERSATION_OPENING || !net_stream_is_tls(c->st))
		return;
	c->state = CONVERSATION_COMMAND;
	c->all->protocol->opened(c, conversation_channel(c));
	conversation_step(c);
}

static void
on_input(void *arg)
{
	conversation_step(arg);
}

static void
on_drained(void *arg)
{
	conversation_step(arg);
}

static void
on_silence(void *arg)
{
	struct conversation *c = arg;

	if (c->busy || c->state == CONVERSATION_DELAYED) {
		net_stream_timeout(c->st, c->all->autologout_s);
		return;
	}
	log_info(c->log, "autologout", "user=%s", c->all->protocol->user(c));
	conversation_bye(c, NULL, "Autologout after a long silence");
}

static void
on_eof(void *arg)
{
	struct conversation *c = arg;

	c->eof = true;
	conversation_step(c);
}

static void
on_closed(void *arg, enum net_closed why, const char *detail)
{
	struct conversation *c = arg;
	const struct conversation_protocol *protocol = c->all->protocol;
	bool client = why == NET_CLOSED_PEER || (why == NET_CLOSED_LOCAL && c->eof);

	log_info(c->log, "closed", "user=%s by=%s detail=%s", c->busy ? NULL : protocol->user(c),
	    client                    ? "client"
	    : why == NET_CLOSED_LOCAL ? "server"
				      : "error",
	    detail);
	c->st = NULL;
	c->state = CONVERSATION_CLOSING;
	if (protocol->closed != NULL)
		protocol->closed(c);
	net_timer_free(c->login_timer);
	net_timer_free(c->timer);
	c->login_timer = c->timer = NULL;
	if (!c->busy)
		conversation_run(c, CONVERSATION_JOB_CLEAR);
}

static const struct net_stream_events STREAM_EVENTS = {
	.on_open = on_open,
	.on_input = on_input,
	.on_drained = on_drained,
	.on_timeout = on_silence,
	.on_eof = on_eof,
	.on_closed = on_closed,
};

void
conversation_start_tls(struct conversation *c)
{
	c->state = CONVERSATION_OPENING;
	net_stream_start_tls(c->st, c->all->service->tls);
}

static struct log *
session_log(struct conversations *all)
{
	char context[32];

	snprintf(context, sizeof(context), "s=%x.%x", net_worker_index(all->service->worker),
	    ++all->count);
	return log_child(all->service->log, context);
}

void
conversation_start(
    struct conversation *c, struct conversations *all, struct net_stream *st, bool tls)
{
	c->all = all;
	c->st = st;
	c->log = session_log(all);
	c->peer = mem_strdup(net_stream_peer(st));
	c->next = all->first;
	c->prev = &all->first;
	if (c->next != NULL)
		c->next->prev = &c->next;
	all->first = c;
	log_info(c->log, "connect", "peer=%s port=%u door=%s", c->peer, net_stream_peer_port(st),
	    tls ? all->protocol->door_tls : all->protocol->door);
	net_stream_begin(st, &STREAM_EVENTS, c);
	net_stream_timeout(st, all->autologout_s);
	conversation_logged_out(c);
	c->state = CONVERSATION_COMMAND;
	if (tls)
		conversation_start_tls(c);
}

void
conversations_end(struct conversations *all)
{
	struct conversation *next;

	all->ending = true;
	for (struct conversation *c = all->first; c != NULL; c = next) {
		next = c->next;
		if (c->state == CONVERSATION_DATA || c->state == CONVERSATION_DELAYED ||
		    c->state == CONVERSATION_OPENING)
			conversation_bye_if_ending(c);
		else
			conversation_step(c);
	}
}
