#include "imapd/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imapd/append.h"
#include "imapd/capability.h"
#include "imapd/frame.h"
#include "imapd/imapd.h"
#include "imapd/session.h"
#include "net/daemon.h"
#include "net/loop.h"
#include "net/sasl.h"
#include "net/stream.h"
#include "service/login.h"
#include "store/mailbox.h"

#define IMAP_WAIT_LINE_MAX_BYTES SASL_LINE_MAX_BYTES /* an answer within a command: SASL, DONE */
#define IMAP_POLL_S              30 /* IDLE where the kernel has no watch left for us */

enum conn_state {
	CONN_OPENING,  /* the TLS handshake */
	CONN_COMMAND,  /* the next command, whole */
	CONN_DELAYED,  /* a login after failed ones: the timer */
	CONN_BUSY,     /* the job in flight */
	CONN_DRAINING, /* the client to take what is written; then the command goes on */
	CONN_WAITING,  /* a line of the client or a change (IMAP_WAIT) */
	CONN_LITERAL,  /* a piece of APPEND's data */
	CONN_CLOSING,  /* on_closed, and the job if there is one */
};

enum conn_job {
	JOB_BEGIN,       /* a whole command */
	JOB_STEP,        /* the handler again */
	JOB_APPEND_HEAD, /* what stands before a literal of APPEND */
	JOB_APPEND_DATA, /* a piece of it */
	JOB_APPEND_END,  /* what stands behind the last one */
	JOB_SETTLE,      /* the reply to a command whose result is settled */
	JOB_VERIFY,      /* between commands: is the index right? */
	JOB_CLEAR,       /* the session's end */
};

struct imap_connection {
	struct imap_session s;
	struct imap_run run;
	struct imap_frame frame; /* its text lives as long as the command */
	struct net_stream *st;   /* NULL: closed */
	struct account
	    *acct; /* s.acct for the loop, to compare, also while a job runs; NULL before login */
	enum conn_state state;
	enum conn_job job;       /* in flight, or the last one */
	bool busy;               /* a job is in flight and owns s and run */
	enum imap_result result; /* of the last job */
	bool woken;              /* something changed while nobody looked */
	bool eof;                /* the client will say no more */
	bool refused;            /* APPEND has failed; its data is being skipped */
	uint64_t literal_left;   /* of APPEND's data, not yet handed over */
	struct buf chunk;        /* APPEND's data, or the line for a handler that waits */

	struct net_timer *login_timer; /* NULL after login */
	struct net_timer *timer;       /* delayed login, poll; made when needed */
	struct net_watch *watch_new, *watch_cur;

	char *peer;
	struct imap_connection *next, **prev; /* of imapd->connections */
};

static void step(struct imap_connection *conn);

/* --- the end ----------------------------------------------------------------------------------- */

static void
watches_free(struct imap_connection *conn)
{
	net_watch_free(conn->watch_new);
	net_watch_free(conn->watch_cur);
	conn->watch_new = conn->watch_cur = NULL;
}

static void
timers_free(struct imap_connection *conn)
{
	net_timer_free(conn->login_timer);
	net_timer_free(conn->timer);
	conn->login_timer = conn->timer = NULL;
}

static void
connection_free(struct imap_connection *conn)
{
	*conn->prev = conn->next;
	if (conn->next != NULL)
		conn->next->prev = conn->prev;
	imap_frame_reset(&conn->frame);
	buf_free(&conn->chunk);
	log_close(conn->s.log);
	free(conn->peer);
	free(conn);
}

static void
close_stream(struct imap_connection *conn)
{
	if (conn->st != NULL && conn->state != CONN_CLOSING)
		net_stream_close(conn->st);
	conn->state = CONN_CLOSING;
}

/* Between commands, or at once where the client may not go on. */
static void
say_bye(struct imap_connection *conn, const char *text)
{
	if (conn->st != NULL && conn->state != CONN_CLOSING && conn->state != CONN_OPENING) {
		net_stream_puts(conn->st, "* BYE ");
		net_stream_puts(conn->st, text);
		net_stream_puts(conn->st, "\r\n");
	}
	close_stream(conn);
}

/* --- jobs -------------------------------------------------------------------------------------- */

static void on_job_done(void *arg);

/* APPEND's first piece of text begins with the tag, which must outlive the frame's buffer. */
static enum imap_result
job_append_head(struct imap_connection *conn)
{
	struct imap_request *req = &conn->run.req;
	struct str text = { conn->frame.text.data, conn->frame.text.len };
	struct str tag;

	if (req->command == NULL) {
		req->arena = &conn->run.arena;
		req->command = imap_command_of(text, &tag, &req->uid, &req->args);
		req->tag = (struct str){ arena_strndup(req->arena, tag.p, tag.len), tag.len };
		text = (struct str){ req->args.p, cursor_left(&req->args) };
	}
	return imap_append_head(&conn->s, req, text, &conn->frame.literal);
}

/* On a pool thread. */
static void
job_run(void *arg)
{
	struct imap_connection *conn = arg;
	struct imap_session *s = &conn->s;
	struct imap_run *run = &conn->run;
	struct str text = { buf_cstr(&conn->frame.text), conn->frame.text.len };
	struct str chunk = { conn->chunk.data, conn->chunk.len };

	switch (conn->job) {
	case JOB_BEGIN: conn->result = imap_run_begin(s, run, text); break;
	case JOB_STEP: conn->result = imap_run_step(s, run); break;
	case JOB_APPEND_HEAD: conn->result = job_append_head(conn); break;
	case JOB_APPEND_DATA: conn->result = imap_append_data(s, &run->req, chunk); break;
	case JOB_APPEND_END:
		run->req.args = cursor_from(text);
		conn->result = imap_run_step(s, run);
		break;
	case JOB_SETTLE: conn->result = imap_run_settle(s, run, conn->result); break;
	case JOB_VERIFY:
		s->verify = false;
		if (s->box != NULL)
			mailbox_verify(s->box); /* the next command tells what it found */
		break;
	case JOB_CLEAR:
		imap_run_abort(run);
		imap_session_clear(s);
		break;
	}
}

static void
start_job(struct imap_connection *conn, enum conn_job job)
{
	conn->job = job;
	conn->busy = true;
	if (conn->state != CONN_CLOSING)
		conn->state = CONN_BUSY;
	net_job_run(conn->s.imapd->loop, job_run, on_job_done, conn);
}

static void
step_handler(struct imap_connection *conn, struct str line)
{
	conn->run.req.line = line;
	start_job(conn, JOB_STEP);
}

/* --- after a job ------------------------------------------------------------------------------- */

/* Sessions of one account in this worker; an account that is open twice is one object. */
static bool
too_many_sessions(const struct imap_connection *conn)
{
	uint64_t most = config_integer(conn->s.imapd->config, "imapd.connections_per_account");
	uint64_t count = 0;

	for (const struct imap_connection *c = conn->s.imapd->connections; c != NULL; c = c->next)
		count += c->acct == conn->acct;
	return count > most;
}

static void
logged_in(struct imap_connection *conn)
{
	struct imapd *imapd = conn->s.imapd;

	net_timer_free(conn->login_timer);
	conn->login_timer = NULL;
	conn->acct = conn->s.acct;
	net_stream_logged_in(conn->st);
	net_stream_timeout(conn->st, imapd->autologout_s);
	if (too_many_sessions(conn)) {
		log_warn(conn->s.log, "too-many-sessions", "user=%s", conn->s.user);
		buf_free(&conn->s.out);
		say_bye(conn, "[LIMIT] Too many connections of this account");
	}
}

/* What a client sends before it is logged in may be a password. */
static void
wipe_input(const struct imap_connection *conn, struct buf *b)
{
	if (conn->login_timer != NULL && b->data != NULL)
		mem_wipe(b->data, b->cap);
}

static void
command_over(struct imap_connection *conn)
{
	struct imap_session *s = &conn->s;

	wipe_input(conn, &conn->frame.text);
	wipe_input(conn, &conn->chunk);
	imap_frame_reset(&conn->frame);
	buf_free(&conn->chunk);
	watches_free(conn);
	net_timer_free(conn->timer);
	conn->timer = NULL;
	conn->refused = conn->woken = false;
	s->watch = false;
	conn->state = CONN_COMMAND;
	if (s->acct != NULL && conn->login_timer != NULL)
		logged_in(conn);
	if (conn->state == CONN_CLOSING)
		return;
	net_stream_write_buf(conn->st, &s->out);
	if (s->start_tls) {
		s->start_tls = false;
		conn->state = CONN_OPENING;
		net_stream_start_tls(conn->st, s->imapd->tls);
	}
}

/* The data is refused: what the client sends anyway is skipped, then the reply is due. */
static void
skip_data(struct imap_connection *conn, uint64_t bytes)
{
	conn->refused = true;
	conn->frame.literal.size_bytes = bytes;
	conn->frame.literal.nonsync = true;
	if (imap_frame_skip(&conn->frame))
		conn->state = CONN_COMMAND;
	else
		say_bye(conn, "[TOOBIG] Literal too big");
}

static void
append_head_done(struct imap_connection *conn)
{
	const struct imap_literal *lit = &conn->frame.literal;

	if (conn->result != IMAP_WAIT) {
		if (lit->nonsync)
			skip_data(conn, lit->size_bytes);
		else
			start_job(conn, JOB_SETTLE);
		return;
	}
	if (!lit->nonsync)
		net_stream_puts(conn->st, "+ Ready for the message\r\n");
	conn->literal_left = lit->size_bytes;
	conn->state = CONN_LITERAL;
}

static void
append_data_done(struct imap_connection *conn)
{
	buf_reset(&conn->chunk);
	if (conn->result != IMAP_WAIT)
		skip_data(conn, conn->literal_left);
	else
		conn->state = CONN_LITERAL;
}

static void on_moved(void *arg, unsigned seen);
static void on_poll(void *arg);

/* Watches the two folders in which everything that happens to a mailbox shows. */
static void
watch_mailbox(struct imap_connection *conn)
{
	struct net_loop *loop = conn->s.imapd->loop;
	char *path = mem_printf("%s/new", mailbox_path(conn->s.box));
	unsigned events = NET_WATCH_CREATE | NET_WATCH_DELETE;

	conn->watch_new = net_watch_new(loop, path, events, on_moved, conn);
	free(path);
	path = mem_printf("%s/cur", mailbox_path(conn->s.box));
	conn->watch_cur = net_watch_new(loop, path, events, on_moved, conn);
	free(path);
	if (conn->watch_new != NULL && conn->watch_cur != NULL)
		return;
	if (errno != ENOENT) /* gone: the next look will say so */
		log_warn(conn->s.log, "watch", "error=%s", strerror(errno));
	if (conn->timer == NULL)
		conn->timer = net_timer_new(loop, on_poll, conn);
	net_timer_start_s(conn->timer, IMAP_POLL_S);
}

/* What changed before the watch stood is found by looking once more. */
static void
handler_waits(struct imap_connection *conn)
{
	wipe_input(conn, &conn->chunk); /* the tag lives in the other one */
	buf_free(&conn->chunk);
	conn->state = CONN_WAITING;
	if (conn->s.watch && conn->s.box != NULL && conn->watch_new == NULL &&
	    conn->watch_cur == NULL && conn->timer == NULL) {
		watch_mailbox(conn);
		conn->woken = true;
	}
}

static void
session_over(struct imap_connection *conn)
{
	if (conn->job != JOB_CLEAR)
		start_job(conn, JOB_CLEAR);
	else
		connection_free(conn);
}

static void
on_job_done(void *arg)
{
	struct imap_connection *conn = arg;

	conn->busy = false;
	if (conn->st == NULL) {
		session_over(conn);
		return;
	}
	if (conn->state == CONN_CLOSING)
		return; /* on_closed comes */
	if (conn->job == JOB_VERIFY) {
		conn->state = CONN_COMMAND;
		step(conn);
		return;
	}
	if (conn->result == IMAP_MORE || conn->result == IMAP_WAIT)
		net_stream_write_buf(conn->st, &conn->s.out);
	if (conn->job == JOB_APPEND_HEAD)
		append_head_done(conn);
	else if (conn->job == JOB_APPEND_DATA)
		append_data_done(conn);
	else if (conn->result == IMAP_MORE)
		conn->state = CONN_DRAINING;
	else if (conn->result == IMAP_WAIT)
		handler_waits(conn);
	else
		command_over(conn);
	step(conn);
}

/* --- states ------------------------------------------------------------------------------------ */

enum step_result { STEP_AGAIN, STEP_STOP };

static struct imap_frame_limits
frame_limits(const struct imap_session *s)
{
	bool login = s->acct != NULL;

	return (struct imap_frame_limits){
		.line_bytes = login ? IMAP_LINE_MAX_BYTES : IMAP_LINE_LOGIN_MAX_BYTES,
		.literal_bytes = login ? IMAP_LITERAL_MAX_BYTES : IMAP_LINE_LOGIN_MAX_BYTES,
		.nonsync_bytes = login ? IMAP_LITERAL_MAX_BYTES : IMAP_LITERAL_MINUS_BYTES,
		.append = login,
	};
}

static void
on_delayed(void *arg)
{
	struct imap_connection *conn = arg;

	if (conn->state != CONN_DELAYED)
		return;
	net_timer_free(conn->timer);
	conn->timer = NULL;
	start_job(conn, JOB_BEGIN);
}

/* After failed logins of its address a client waits before the next password is looked at. */
static void
start_command(struct imap_connection *conn)
{
	struct imapd *imapd = conn->s.imapd;
	struct str text = { buf_cstr(&conn->frame.text), conn->frame.text.len };
	const struct imap_command *cmd;
	struct cursor args;
	struct str tag;
	uint64_t delay_ms = 0;
	bool uid;

	if (conn->s.state == IMAP_UNAUTHENTICATED) {
		cmd = imap_command_of(text, &tag, &uid, &args);
		if (cmd != NULL && (cmd->flags & IMAP_CMD_LOGIN) != 0)
			delay_ms = login_delay_ms(imapd->service, net_stream_peer_ip(conn->st));
	}
	if (delay_ms == 0) {
		start_job(conn, JOB_BEGIN);
		return;
	}
	conn->state = CONN_DELAYED;
	conn->timer = net_timer_new(imapd->loop, on_delayed, conn);
	net_timer_start_ms(conn->timer, delay_ms);
}

/* A command that was too large: BAD with its tag, or APPEND's own reply. */
static void
command_refused(struct imap_connection *conn)
{
	struct str tag;

	if (conn->refused) {
		start_job(conn, JOB_SETTLE);
		return;
	}
	tag = imap_frame_tag((struct str){ conn->frame.text.data, conn->frame.text.len });
	net_stream_write(conn->st, tag.p, tag.len);
	net_stream_puts(conn->st, " BAD [TOOBIG] ");
	net_stream_puts(conn->st, conn->frame.why);
	net_stream_puts(conn->st, "\r\n");
	imap_frame_reset(&conn->frame);
	if (++conn->s.bad_commands >= IMAP_BAD_COMMANDS_MAX)
		say_bye(conn, "Too many bad commands");
}

static enum step_result
step_event(struct imap_connection *conn, enum imap_frame_event event)
{
	switch (event) {
	case FRAME_NEED_INPUT: break;
	case FRAME_COMMAND:
		if (conn->frame.in_append)
			start_job(conn, JOB_APPEND_END);
		else
			start_command(conn);
		break;
	case FRAME_CONTINUE: net_stream_puts(conn->st, "+ Ready\r\n"); break;
	case FRAME_APPEND: start_job(conn, JOB_APPEND_HEAD); break;
	case FRAME_REFUSED: command_refused(conn); break;
	case FRAME_HOPELESS: say_bye(conn, "[TOOBIG] Literal too big"); break;
	}
	return STEP_AGAIN;
}

/* Waits for input that makes a whole command. */
static enum step_result
step_command(struct imap_connection *conn)
{
	struct imap_frame_limits limits = frame_limits(&conn->s);
	enum imap_frame_event event;
	const char *bytes;
	size_t len, consumed;

	if (conn->s.state == IMAP_LOGOUT)
		close_stream(conn);
	else if (conn->s.imapd->ending && imap_frame_is_empty(&conn->frame))
		say_bye(conn, "[UNAVAILABLE] Server is shutting down");
	if (conn->state == CONN_CLOSING || net_stream_pending(conn->st) >= NET_OUTPUT_HIGH_BYTES)
		return STEP_STOP;
	net_stream_input(conn->st, &bytes, &len);
	if (len == 0) {
		if (conn->eof)
			close_stream(conn);
		else if (conn->s.verify && imap_frame_is_empty(&conn->frame))
			start_job(conn, JOB_VERIFY);
		return STEP_STOP;
	}
	event = imap_frame_feed(&conn->frame, &limits, bytes, len, &consumed);
	net_stream_consume(conn->st, consumed);
	return step_event(conn, event);
}

/* Waits until the client has taken most of what was written. */
static enum step_result
step_draining(struct imap_connection *conn)
{
	if (net_stream_pending(conn->st) > NET_OUTPUT_LOW_BYTES)
		return STEP_STOP;
	step_handler(conn, (struct str){ NULL, 0 });
	return STEP_STOP;
}

/* Waits for a line of the client, or for something to have changed. */
static enum step_result
step_waiting(struct imap_connection *conn)
{
	const char *bytes, *lf;
	size_t len;

	if (conn->s.state == IMAP_LOGOUT || conn->s.imapd->ending) {
		if (conn->s.state == IMAP_LOGOUT)
			close_stream(conn);
		else
			say_bye(conn, "[UNAVAILABLE] Server is shutting down");
		return STEP_STOP;
	}
	if (net_stream_pending(conn->st) >= NET_OUTPUT_HIGH_BYTES)
		return STEP_STOP;
	if (conn->woken) {
		conn->woken = false;
		step_handler(conn, (struct str){ NULL, 0 });
		return STEP_STOP;
	}
	net_stream_input(conn->st, &bytes, &len);
	lf = len > 0 ? memchr(bytes, '\n', len) : NULL;
	if (lf != NULL) {
		size_t line = (size_t)(lf - bytes);

		buf_reset(&conn->chunk);
		buf_add(&conn->chunk, bytes, line > 0 && bytes[line - 1] == '\r' ? line - 1 : line);
		net_stream_consume(conn->st, line + 1);
		step_handler(conn, (struct str){ buf_cstr(&conn->chunk), conn->chunk.len });
	} else if (len > IMAP_WAIT_LINE_MAX_BYTES) {
		say_bye(conn, "Line too long");
	} else if (conn->eof) {
		close_stream(conn);
	}
	return STEP_STOP;
}

/* Waits for a piece of APPEND's data that is worth a job: a whole chunk or the end. */
static enum step_result
step_literal(struct imap_connection *conn)
{
	size_t want = IMAP_APPEND_CHUNK_BYTES - conn->chunk.len;

	if (conn->literal_left == 0 && conn->chunk.len == 0) {
		buf_free(&conn->chunk);
		imap_frame_resume(&conn->frame);
		conn->state = CONN_COMMAND;
		return STEP_AGAIN;
	}
	if (want > conn->literal_left)
		want = (size_t)conn->literal_left;
	if (want > 0)
		conn->literal_left -= net_stream_take(conn->st, &conn->chunk, want);
	if (conn->chunk.len >= IMAP_APPEND_CHUNK_BYTES || conn->literal_left == 0)
		start_job(conn, JOB_APPEND_DATA);
	else if (conn->eof)
		close_stream(conn);
	return STEP_STOP;
}

static void
step(struct imap_connection *conn)
{
	enum step_result r = STEP_AGAIN;

	while (r == STEP_AGAIN) {
		switch (conn->state) {
		case CONN_COMMAND: r = step_command(conn); break;
		case CONN_DRAINING: r = step_draining(conn); break;
		case CONN_WAITING: r = step_waiting(conn); break;
		case CONN_LITERAL: r = step_literal(conn); break;
		case CONN_OPENING:
		case CONN_DELAYED:
		case CONN_BUSY:
		case CONN_CLOSING: r = STEP_STOP; break;
		}
	}
}

/* --- what happens ------------------------------------------------------------------------------ */

static void
on_moved(void *arg, unsigned seen)
{
	struct imap_connection *conn = arg;

	if ((seen & NET_WATCH_GONE) != 0)
		watches_free(conn);
	conn->woken = true;
	if (conn->state == CONN_WAITING)
		step(conn);
}

static void
on_poll(void *arg)
{
	struct imap_connection *conn = arg;

	if (!conn->s.watch)
		return;
	net_timer_start_s(conn->timer, IMAP_POLL_S);
	conn->woken = true;
	if (conn->state == CONN_WAITING)
		step(conn);
}

static void
on_login_timeout(void *arg)
{
	struct imap_connection *conn = arg;

	log_info(conn->s.log, "login-timeout", "peer=%s", conn->peer);
	say_bye(conn, "No login in time");
}

/* What TLS knows of the connection, for SCRAM's channel binding. */
static struct sasl_channel *
channel_new(const struct imap_connection *conn)
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

/* greeting = "*" SP (resp-cond-auth / …) CRLF, RFC 9051 §7.1 */
static void
greet(struct imap_connection *conn)
{
	struct buf line = { 0 };

	buf_adds(&line, "* OK [");
	imap_out_capabilities(&conn->s, &line);
	buf_adds(&line, "] Sanger is ready\r\n");
	net_stream_write_buf(conn->st, &line);
	buf_free(&line);
}

/* TLS is ready; after STARTTLS nothing is said, the client asks again (RFC 9051 §6.2.1). */
static void
on_open(void *arg)
{
	struct imap_connection *conn = arg;
	bool starttls = conn->s.state == IMAP_CLEAR;

	if (conn->state != CONN_OPENING || !net_stream_is_tls(conn->st))
		return;
	conn->s.channel = channel_new(conn);
	conn->s.state = IMAP_UNAUTHENTICATED;
	conn->state = CONN_COMMAND;
	if (!starttls)
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
	struct imap_connection *conn = arg;

	if (conn->busy || conn->state == CONN_DELAYED) {
		net_stream_timeout(conn->st, conn->s.imapd->autologout_s);
		return;
	}
	log_info(conn->s.log, "autologout", "user=%s", conn->s.user);
	say_bye(conn, "Autologout after a long silence");
}

static void
on_eof(void *arg)
{
	struct imap_connection *conn = arg;

	conn->eof = true;
	step(conn);
}

static void
on_closed(void *arg, enum net_closed why, const char *detail)
{
	struct imap_connection *conn = arg;
	bool client = why == NET_CLOSED_PEER || (why == NET_CLOSED_LOCAL && conn->eof);

	log_info(conn->s.log, "closed", "user=%s by=%s detail=%s", conn->busy ? NULL : conn->s.user,
	    client                    ? "client"
	    : why == NET_CLOSED_LOCAL ? "server"
				      : "error",
	    detail);
	conn->st = NULL;
	conn->state = CONN_CLOSING;
	watches_free(conn);
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
session_log(struct imapd *imapd)
{
	char context[32];

	snprintf(context, sizeof(context), "s=%x.%x", net_worker_index(imapd->worker),
	    ++imapd->sessions);
	return log_child(imapd->log, context);
}

void
imap_connection_start(struct imapd *imapd, struct net_stream *st, bool tls)
{
	struct imap_connection *conn = mem_zalloc(sizeof(*conn));

	conn->st = st;
	conn->s.imapd = imapd;
	conn->s.state = IMAP_CLEAR;
	conn->s.log = session_log(imapd);
	conn->peer = mem_strdup(net_stream_peer(st));
	conn->s.peer = conn->peer;
	conn->next = imapd->connections;
	conn->prev = &imapd->connections;
	if (conn->next != NULL)
		conn->next->prev = &conn->next;
	imapd->connections = conn;
	log_info(conn->s.log, "connect", "peer=%s port=%u door=%s", conn->peer,
	    net_stream_peer_port(st), tls ? "imaps" : "imap");
	net_stream_begin(st, &STREAM_EVENTS, conn);
	net_stream_timeout(st, imapd->autologout_s);
	conn->login_timer = net_timer_new(imapd->loop, on_login_timeout, conn);
	net_timer_start_s(
	    conn->login_timer, (unsigned)config_duration_s(imapd->config, "auth.login_timeout"));
	conn->state = tls ? CONN_OPENING : CONN_COMMAND;
	if (tls) {
		conn->s.state = IMAP_UNAUTHENTICATED;
		net_stream_start_tls(st, imapd->tls);
	} else {
		greet(conn);
	}
}

void
imap_connections_end(struct imapd *imapd)
{
	struct imap_connection *next;

	imapd->ending = true;
	for (struct imap_connection *conn = imapd->connections; conn != NULL; conn = next) {
		next = conn->next;
		if (conn->state == CONN_LITERAL || conn->state == CONN_DELAYED ||
		    conn->state == CONN_OPENING)
			say_bye(conn, "[UNAVAILABLE] Server is shutting down");
		else
			step(conn);
	}
}
