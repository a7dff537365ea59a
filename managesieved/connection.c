#include "managesieved/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "managesieved/capability.h"
#include "managesieved/frame.h"
#include "managesieved/managesieved.h"
#include "managesieved/response.h"
#include "managesieved/session.h"
#include "net/daemon.h"
#include "net/loop.h"
#include "net/stream.h"
#include "service/login.h"

#define SHUTTING_DOWN "The server is shutting down"

enum conn_state {
	CONN_OPENING, /* the TLS handshake */
	CONN_COMMAND, /* the next command, or within one the client's next line, whole */
	CONN_DELAYED, /* a login after failed ones: the timer */
	CONN_BUSY,    /* the job in flight */
	CONN_CLOSING, /* on_closed, and the job if there is one */
};

enum conn_job {
	JOB_BEGIN, /* a whole command */
	JOB_STEP,  /* the client's next line within AUTHENTICATE */
	JOB_CLEAR, /* the session's end */
};

struct msieve_connection {
	struct msieve_session s;
	struct msieve_run run;
	struct msieve_frame frame; /* its text lives as long as the command or line */
	struct net_stream *st;     /* NULL: closed */
	int64_t account; /* s.account for the loop, also while a job runs; 0 before login */
	enum conn_state state;
	enum conn_job job;         /* in flight, or the last one */
	bool busy;                 /* a job is in flight and owns s and run */
	bool waiting;              /* a command waits for the client's next line */
	bool eof;                  /* the client will say no more */
	bool counted_in;           /* net_stream_logged_in() was called */
	enum msieve_result result; /* of the last job */

	struct net_timer *login_timer; /* NULL after login */
	struct net_timer *delay;       /* of a login; made when needed */

	char *peer;
	struct msieve_connection *next, **prev; /* of managesieved.connections */
};

static void step(struct msieve_connection *conn);

/* --- the end ----------------------------------------------------------------------------------- */

static void
timers_free(struct msieve_connection *conn)
{
	net_timer_free(conn->login_timer);
	net_timer_free(conn->delay);
	conn->login_timer = conn->delay = NULL;
}

static void
connection_free(struct msieve_connection *conn)
{
	*conn->prev = conn->next;
	if (conn->next != NULL)
		conn->next->prev = conn->prev;
	msieve_frame_reset(&conn->frame);
	log_close(conn->s.log);
	free(conn->peer);
	free(conn);
}

static void
close_stream(struct msieve_connection *conn)
{
	if (conn->st != NULL && conn->state != CONN_CLOSING)
		net_stream_close(conn->st);
	conn->state = CONN_CLOSING;
}

/* Between commands, or at once where the client may not go on. */
static void
say_bye(struct msieve_connection *conn, const char *code, const char *text)
{
	struct buf line = { 0 };

	if (conn->st != NULL && conn->state != CONN_CLOSING && conn->state != CONN_OPENING) {
		msieve_write_reply(&line, "BYE", code, str_from(text));
		net_stream_write_buf(conn->st, &line);
		buf_free(&line);
	}
	close_stream(conn);
}

/* --- jobs -------------------------------------------------------------------------------------- */

static void on_job_done(void *arg);

/* On a pool thread. */
static void
job_run(void *arg)
{
	struct msieve_connection *conn = arg;
	struct str text = { buf_cstr(&conn->frame.text), conn->frame.text.len };

	switch (conn->job) {
	case JOB_BEGIN: conn->result = msieve_run_begin(&conn->s, &conn->run, text); break;
	case JOB_STEP: conn->result = msieve_run_step(&conn->s, &conn->run, text); break;
	case JOB_CLEAR:
		msieve_run_abort(&conn->run);
		msieve_session_clear(&conn->s);
		break;
	}
}

static void
start_job(struct msieve_connection *conn, enum conn_job job)
{
	conn->job = job;
	conn->busy = true;
	if (conn->state != CONN_CLOSING)
		conn->state = CONN_BUSY;
	net_job_run(conn->s.daemon->loop, job_run, on_job_done, conn);
}

/* --- after a job ------------------------------------------------------------------------------- */

static void on_login_timeout(void *arg);

static void
start_login_timer(struct msieve_connection *conn)
{
	struct managesieved *d = conn->s.daemon;

	conn->login_timer = net_timer_new(d->loop, on_login_timeout, conn);
	net_timer_start_s(conn->login_timer, d->login_timeout_s);
}

/* Sessions of one account in this worker. */
static bool
too_many_sessions(const struct msieve_connection *conn)
{
	uint64_t count = 0;

	for (const struct msieve_connection *c = conn->s.daemon->connections; c != NULL;
	     c = c->next)
		count += c->account == conn->account;
	return count > conn->s.daemon->connections_per_account;
}

static void
logged_in(struct msieve_connection *conn)
{
	net_timer_free(conn->login_timer);
	conn->login_timer = NULL;
	conn->account = conn->s.account;
	if (!conn->counted_in)
		net_stream_logged_in(conn->st);
	conn->counted_in = true;
	if (too_many_sessions(conn)) {
		log_warn(conn->s.log, "too-many-sessions", "user=%s", conn->s.user);
		buf_free(&conn->s.out);
		say_bye(conn, "TRYLATER", "Too many connections of this account");
	}
}

static void
logged_out(struct msieve_connection *conn)
{
	conn->account = 0;
	start_login_timer(conn);
}

static void
command_over(struct msieve_connection *conn)
{
	struct msieve_session *s = &conn->s;

	conn->state = CONN_COMMAND;
	conn->waiting = conn->result == MSIEVE_WAIT;
	if (s->state == MSIEVE_AUTHENTICATED && conn->login_timer != NULL)
		logged_in(conn);
	else if (s->state == MSIEVE_UNAUTHENTICATED && conn->login_timer == NULL)
		logged_out(conn);
	if (conn->state == CONN_CLOSING)
		return;
	net_stream_write_buf(conn->st, &s->out);
	if (s->start_tls) {
		s->start_tls = false;
		conn->state = CONN_OPENING;
		net_stream_start_tls(conn->st, s->daemon->tls);
	}
}

static void
on_job_done(void *arg)
{
	struct msieve_connection *conn = arg;

	conn->busy = false;
	if (conn->st == NULL) {
		if (conn->job != JOB_CLEAR)
			start_job(conn, JOB_CLEAR);
		else
			connection_free(conn);
		return;
	}
	if (conn->state == CONN_CLOSING)
		return; /* on_closed comes */
	msieve_frame_reset(&conn->frame);
	command_over(conn);
	step(conn);
}

/* --- states ------------------------------------------------------------------------------------ */

enum step_result { STEP_AGAIN, STEP_STOP };

static struct msieve_frame_limits
frame_limits(const struct msieve_session *s)
{
	bool login = s->state == MSIEVE_AUTHENTICATED;

	return (struct msieve_frame_limits){
		.line_bytes = MSIEVE_LINE_MAX_BYTES,
		.literal_bytes = login ? MSIEVE_LITERAL_MAX_BYTES : MSIEVE_LITERAL_LOGIN_MAX_BYTES,
		.drain_bytes = login ? MSIEVE_DRAIN_MAX_BYTES : MSIEVE_DRAIN_LOGIN_MAX_BYTES,
	};
}

static void
on_delayed(void *arg)
{
	struct msieve_connection *conn = arg;

	if (conn->state != CONN_DELAYED)
		return;
	net_timer_free(conn->delay);
	conn->delay = NULL;
	start_job(conn, JOB_BEGIN);
}

/* After failed logins of its address a client waits before the next password is looked at. */
static void
start_command(struct msieve_connection *conn)
{
	struct managesieved *d = conn->s.daemon;
	struct str text = { buf_cstr(&conn->frame.text), conn->frame.text.len };
	const struct msieve_command *cmd;
	struct cursor args;
	uint64_t delay_ms = 0;

	if (conn->waiting) {
		start_job(conn, JOB_STEP);
		return;
	}
	if (conn->s.state == MSIEVE_UNAUTHENTICATED) {
		cmd = msieve_command_of(text, &args);
		if (cmd != NULL && cmd->login)
			delay_ms = login_delay_ms(d->service, net_stream_peer_ip(conn->st));
	}
	if (delay_ms == 0) {
		start_job(conn, JOB_BEGIN);
		return;
	}
	conn->state = CONN_DELAYED;
	conn->delay = net_timer_new(d->loop, on_delayed, conn);
	net_timer_start_ms(conn->delay, delay_ms);
}

/* A command that was too large, all of which has passed by; within AUTHENTICATE it ends that. */
static void
command_refused(struct msieve_connection *conn)
{
	struct str text = { conn->frame.text.data, conn->frame.text.len };
	bool literal = conn->frame.too_big == FRAME_LITERAL_TOO_BIG;

	if (conn->waiting)
		text = (struct str){ 0 };
	conn->waiting = false;
	msieve_run_abort(&conn->run);
	msieve_refuse(&conn->s, text, literal);
	msieve_frame_reset(&conn->frame);
	net_stream_write_buf(conn->st, &conn->s.out);
}

/* Waits for input that makes a whole command. */
static enum step_result
step_command(struct msieve_connection *conn)
{
	struct msieve_frame_limits limits = frame_limits(&conn->s);
	enum msieve_frame_event event;
	const char *bytes;
	size_t len, consumed;

	if (conn->s.state == MSIEVE_ENDED)
		close_stream(conn);
	else if (conn->s.daemon->ending && msieve_frame_is_empty(&conn->frame))
		say_bye(conn, "TRYLATER", SHUTTING_DOWN);
	if (conn->state == CONN_CLOSING || net_stream_pending(conn->st) >= NET_OUTPUT_HIGH_BYTES)
		return STEP_STOP;
	net_stream_input(conn->st, &bytes, &len);
	if (len == 0) {
		if (conn->eof)
			close_stream(conn);
		return STEP_STOP;
	}
	event = msieve_frame_feed(&conn->frame, &limits, bytes, len, &consumed);
	net_stream_consume(conn->st, consumed);
	switch (event) {
	case FRAME_NEED_INPUT: break;
	case FRAME_COMMAND: start_command(conn); break;
	case FRAME_REFUSED: command_refused(conn); break;
	case FRAME_HOPELESS: say_bye(conn, "QUOTA/MAXSIZE", "Literal too big"); break;
	}
	return STEP_AGAIN;
}

static void
step(struct msieve_connection *conn)
{
	enum step_result r = STEP_AGAIN;

	while (r == STEP_AGAIN)
		r = conn->state == CONN_COMMAND ? step_command(conn) : STEP_STOP;
}

/* --- what happens ------------------------------------------------------------------------------ */

static void
on_login_timeout(void *arg)
{
	struct msieve_connection *conn = arg;

	log_info(conn->s.log, "login-timeout", "peer=%s", conn->peer);
	say_bye(conn, NULL, "No login in time");
}

/* What TLS knows of the connection, for SCRAM's channel binding. */
static struct sasl_channel *
channel_new(const struct msieve_connection *conn)
{
	struct sasl_channel *ch = mem_zalloc(sizeof(*ch));
	struct buf data = { 0 };

	ch->tls = true;
	ch->peer = conn->peer;
	if (net_stream_tls_binding(conn->st, NET_BINDING_EXPORTER, &data) &&
	    data.len <= sizeof(ch->exporter)) {
		memcpy(ch->exporter, data.data, data.len);
		ch->exporter_len = data.len;
	}
	buf_reset(&data);
	if (net_stream_tls_binding(conn->st, NET_BINDING_SERVER_ENDPOINT, &data) &&
	    data.len <= sizeof(ch->end_point)) {
		memcpy(ch->end_point, data.data, data.len);
		ch->end_point_len = data.len;
	}
	buf_free(&data);
	return ch;
}

static void
greet(struct msieve_connection *conn)
{
	struct buf lines = { 0 };

	msieve_write_greeting(&conn->s, &lines);
	net_stream_write_buf(conn->st, &lines);
	buf_free(&lines);
}

/* TLS is ready: the greeting, or after STARTTLS the capabilities anew (RFC 5804 §2.2). */
static void
on_open(void *arg)
{
	struct msieve_connection *conn = arg;

	if (conn->state != CONN_OPENING || !net_stream_is_tls(conn->st))
		return;
	conn->s.channel = channel_new(conn);
	conn->s.state = MSIEVE_UNAUTHENTICATED;
	conn->s.bad_commands = 0;
	conn->state = CONN_COMMAND;
	greet(conn);
	step(conn);
}

static void
on_input(void *arg)
{
	step(arg);
}

static void
on_drained(void *arg)
{
	step(arg);
}

static void
on_silence(void *arg)
{
	struct msieve_connection *conn = arg;

	if (conn->busy || conn->state == CONN_DELAYED) {
		net_stream_timeout(conn->st, conn->s.daemon->autologout_s);
		return;
	}
	log_info(conn->s.log, "autologout", "user=%s", conn->s.user);
	say_bye(conn, NULL, "Autologout after a long silence");
}

static void
on_eof(void *arg)
{
	struct msieve_connection *conn = arg;

	conn->eof = true;
	step(conn);
}

static void
on_closed(void *arg, enum net_closed why, const char *detail)
{
	struct msieve_connection *conn = arg;
	bool client = why == NET_CLOSED_PEER || (why == NET_CLOSED_LOCAL && conn->eof);

	log_info(conn->s.log, "closed", "user=%s by=%s detail=%s", conn->busy ? NULL : conn->s.user,
	    client                    ? "client"
	    : why == NET_CLOSED_LOCAL ? "server"
				      : "error",
	    detail);
	conn->st = NULL;
	conn->state = CONN_CLOSING;
	timers_free(conn);
	if (!conn->busy)
		start_job(conn, JOB_CLEAR);
}

static const struct net_stream_events STREAM_EVENTS = {
	.on_open = on_open,
	.on_input = on_input,
	.on_drained = on_drained,
	.on_timeout = on_silence,
	.on_eof = on_eof,
	.on_closed = on_closed,
};

static struct log *
session_log(struct managesieved *d)
{
	char context[32];

	snprintf(context, sizeof(context), "s=%x.%x", net_worker_index(d->worker), ++d->sessions);
	return log_child(d->log, context);
}

void
msieve_connection_start(struct managesieved *d, struct net_stream *st, bool tls)
{
	struct msieve_connection *conn = mem_zalloc(sizeof(*conn));

	conn->st = st;
	conn->s.daemon = d;
	conn->s.state = MSIEVE_CLEAR;
	conn->s.log = session_log(d);
	conn->peer = mem_strdup(net_stream_peer(st));
	conn->s.peer = conn->peer;
	conn->next = d->connections;
	conn->prev = &d->connections;
	if (conn->next != NULL)
		conn->next->prev = &conn->next;
	d->connections = conn;
	log_info(conn->s.log, "connect", "peer=%s port=%u door=%s", conn->peer,
	    net_stream_peer_port(st), tls ? "sieves" : "sieve");
	net_stream_begin(st, &STREAM_EVENTS, conn);
	net_stream_timeout(st, d->autologout_s);
	start_login_timer(conn);
	conn->state = tls ? CONN_OPENING : CONN_COMMAND;
	if (tls)
		net_stream_start_tls(st, d->tls);
	else
		greet(conn);
}

void
msieve_connections_end(struct managesieved *d)
{
	struct msieve_connection *next;

	d->ending = true;
	for (struct msieve_connection *conn = d->connections; conn != NULL; conn = next) {
		next = conn->next;
		if (conn->state == CONN_DELAYED || conn->state == CONN_OPENING)
			say_bye(conn, "TRYLATER", SHUTTING_DOWN);
		else
			step(conn);
	}
}
