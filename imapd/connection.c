#include "imapd/connection.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "imapd/append.h"
#include "imapd/capability.h"
#include "imapd/frame.h"
#include "imapd/imapd.h"
#include "imapd/notify.h"
#include "imapd/progress.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "imapd/watch.h"
#include "net/loop.h"
#include "net/sasl.h"
#include "net/stream.h"
#include "service/service.h"
#include "store/mailbox.h"

#define IMAP_WAIT_LINE_MAX_BYTES SASL_LINE_MAX_BYTES /* an answer within a command: SASL, DONE */

enum conn_job {
	JOB_CLEAR = CONVERSATION_JOB_CLEAR,
	JOB_BEGIN,       /* a whole command */
	JOB_STEP,        /* the handler again */
	JOB_APPEND_HEAD, /* what stands before a literal of APPEND */
	JOB_APPEND_DATA, /* a piece of it */
	JOB_APPEND_END,  /* what stands behind the last one */
	JOB_SETTLE,      /* the reply to a command whose result is settled */
	JOB_VERIFY,      /* between commands: is the index right? */
	JOB_NOTIFY,      /* between commands: something has moved */
};

struct imap_connection {
	struct conversation c;
	struct imap_session s;
	struct imap_run run;
	enum imap_result result; /* of the last job */
	bool woken;              /* something changed while nobody looked */
	bool notifying;          /* JOB_NOTIFY has not said all */
	bool refused;            /* APPEND has failed; its data is being skipped */
	uint64_t literal_left;   /* of APPEND's data, not yet handed over */
	struct buf chunk;        /* APPEND's data, or the line for a handler that waits */
	struct watch *watch;     /* NULL: nothing is watched */
	struct net_timer *later; /* for what NOTIFY has put off; or NULL */
	_Atomic(char *) told;    /* a line of the job in flight, to be sent now; or NULL */
	uint64_t heard_ms; /* when the command began, or the client last heard how far it is */
};

static struct imap_connection *
connection_of(struct conversation *c)
{
	return (struct imap_connection *)c;
}

static const struct frame_rules *
rules(struct conversation *c)
{
	return imap_frame_rules(connection_of(c)->s.acct != NULL);
}

static const char *
user(struct conversation *c)
{
	return connection_of(c)->s.user;
}

static bool
is_over(struct conversation *c)
{
	return connection_of(c)->s.state == IMAP_LOGOUT;
}

static void
unwatch(struct imap_connection *conn)
{
	watch_free(conn->watch);
	conn->watch = NULL;
	net_timer_free(conn->later);
	conn->later = NULL;
}

/* --- lines of a job that goes on --------------------------------------------------------------- */

struct told {
	const struct conversations *all;
	const struct imap_connection *conn; /* may be gone by now */
};

static void
send_told(struct imap_connection *conn)
{
	char *line = atomic_exchange(&conn->told, NULL);

	if (line != NULL && conn->c.st != NULL) {
		net_stream_puts(conn->c.st, line);
		conn->heard_ms = net_loop_now_ms(conn->c.all->service->loop);
	}
	free(line);
}

static void
on_told(void *arg)
{
	struct told *told = arg;

	for (struct conversation *c = told->all->first; c != NULL; c = c->next)
		if (connection_of(c) == told->conn)
			send_told(connection_of(c));
	free(told);
}

/* From the job's thread.  Who is told of one line before another was sent hears the later one. */
static void
tell(void *arg, char *line)
{
	struct imap_connection *conn = arg;
	struct told *told = mem_alloc(sizeof(*told));

	*told = (struct told){ conn->c.all, conn };
	free(atomic_exchange(&conn->told, line));
	net_loop_post(conn->c.all->service->loop, on_told, told);
}

/* --- commands that only take long --------------------------------------------------------------- */

#define KEEPALIVE_LEAST_MS 1000

static uint64_t
keepalive_ms(const struct imapd *imapd)
{
	uint64_t ms = imapd->progress_ns / 1000000;

	return ms < KEEPALIVE_LEAST_MS ? KEEPALIVE_LEAST_MS : ms;
}

/* "* OK [INPROGRESS ("a1" NIL NIL)] …", RFC 9585 §4.  Only in a command's first job, before which it has written
 * nothing, so that this is a line of its own. */
static bool
waits_for_first_job(const struct conversation *c)
{
	return c->busy && c->job == JOB_BEGIN && c->st != NULL && c->login_timer == NULL &&
	       c->state == CONVERSATION_BUSY;
}

static void
send_keepalive(struct imap_connection *conn)
{
	struct buf line = { 0 };

	imap_progress_alive(
	    &line, imap_frame_tag((struct str){ conn->c.frame.text.data, conn->c.frame.text.len }));
	net_stream_write_buf(conn->c.st, &line);
	buf_free(&line);
	conn->heard_ms = net_loop_now_ms(conn->c.all->service->loop);
}

static void
on_keepalive(void *arg)
{
	struct imapd *imapd = arg;
	uint64_t now_ms = net_loop_now_ms(imapd->conversations.service->loop);
	bool more = false;

	for (struct conversation *c = imapd->conversations.first; c != NULL; c = c->next) {
		if (!waits_for_first_job(c))
			continue;
		more = true;
		if (now_ms - connection_of(c)->heard_ms >= keepalive_ms(imapd))
			send_keepalive(connection_of(c));
	}
	imapd->keepalive_runs = more;
	if (more)
		net_timer_start_ms(imapd->keepalive, keepalive_ms(imapd));
}

/* One timer for all sessions, which runs only while there are commands. */
static void
watch_command(struct imap_connection *conn)
{
	struct imapd *imapd = conn->s.imapd;
	struct net_loop *loop = conn->c.all->service->loop;

	conn->heard_ms = net_loop_now_ms(loop);
	if (imapd->keepalive_runs)
		return;
	if (imapd->keepalive == NULL)
		imapd->keepalive = net_timer_new(loop, on_keepalive, imapd);
	imapd->keepalive_runs = true;
	net_timer_start_ms(imapd->keepalive, keepalive_ms(imapd));
}

/* --- jobs -------------------------------------------------------------------------------------- */

/* APPEND's first piece of text begins with the tag, which must outlive the frame's buffer. */
static enum imap_result
job_append_head(struct imap_connection *conn)
{
	struct imap_request *req = &conn->run.req;
	struct str text = { conn->c.frame.text.data, conn->c.frame.text.len };
	const struct frame_literal *f = &conn->c.frame.literal;
	struct imap_literal literal = { f->size_bytes, f->nonsync, f->binary };
	enum imap_result result;
	struct str tag;

	if (req->command == NULL) {
		req->arena = &conn->run.arena;
		req->command = imap_command_of(text, &tag, &req->uid, &req->args);
		req->tag = (struct str){ arena_strndup(req->arena, tag.p, tag.len), tag.len };
		text = (struct str){ req->args.p, cursor_left(&req->args) };
		result = imap_command_allowed(&conn->s, req);
		if (result != IMAP_OK)
			return result;
	}
	return imap_append_head(&conn->s, req, text, &literal);
}

static void
run_job(struct conversation *c)
{
	struct imap_connection *conn = connection_of(c);
	struct imap_session *s = &conn->s;
	struct imap_run *run = &conn->run;
	struct str text = { buf_cstr(&conn->c.frame.text), conn->c.frame.text.len };
	struct str chunk = { conn->chunk.data, conn->chunk.len };

	switch ((enum conn_job)c->job) {
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
	case JOB_NOTIFY: conn->result = imap_notify_run(s, false); break;
	case JOB_CLEAR:
		imap_run_abort(run);
		imap_session_clear(s);
		break;
	}
}

static void
step_handler(struct imap_connection *conn, struct str line)
{
	conn->run.req.line = line;
	conversation_run(&conn->c, JOB_STEP);
}

/* --- after a job ------------------------------------------------------------------------------- */

/* What a client sends before it is logged in may be a password. */
static void
wipe_input(const struct imap_connection *conn, struct buf *b)
{
	if (conn->c.login_timer != NULL && b->data != NULL)
		mem_wipe(b->data, b->cap);
}

/* An account that is open twice is one object, so its address tells it from others. */
static bool
log_in(struct imap_connection *conn)
{
	if (conversation_logged_in(&conn->c, (uintptr_t)conn->s.acct))
		return true;
	buf_free(&conn->s.out);
	return false;
}

/* After the reply to UNAUTHENTICATE. */
static void
log_out(struct imap_connection *conn)
{
	conn->s.channel = conversation_channel(&conn->c);
	conversation_logged_out(&conn->c);
}

static void on_moved(void *arg);
static void on_later(void *arg);

static void
note_moved(struct imap_connection *conn, unsigned number)
{
	conn->woken = true;
	imap_notify_moved(&conn->s, number);
}

/* A watch that is new: what has changed before it stood is found by looking once more. */
static void
set_watch(void *arg, unsigned number, enum watch_kind kind, const char *path)
{
	struct imap_connection *conn = arg;

	if (watch_set(conn->watch, number, kind, path))
		note_moved(conn, number);
}

/* In IDLE, annotations that others change (RFC 5464 §4.4.2); with NOTIFY that is NOTIFY's, and so is the number. */
static void
watch_metadata(struct imap_connection *conn, bool wanted)
{
	char *path = wanted ? mem_printf("%s/state.db-wal", account_path(conn->s.acct)) : NULL;

	set_watch(conn, NOTIFY_WATCH_SELECTED + 1, WATCH_FILE, path);
	free(path);
}

static void
wait_for_later(struct imap_connection *conn)
{
	uint64_t ms = imap_notify_due_in_ms(&conn->s);

	if (ms == 0)
		return;
	if (conn->later == NULL)
		conn->later = net_timer_new(conn->c.all->service->loop, on_later, conn);
	net_timer_start_ms(conn->later, ms);
}

/* After each job: the selected mailbox and annotations in IDLE, and all that NOTIFY asks for. */
static void
watch_what_is_wanted(struct imap_connection *conn)
{
	struct imap_session *s = &conn->s;
	bool selected = (s->watch && s->box != NULL) || imap_notify_wants_selected(s);
	bool metadata = s->watch && s->notify == NULL && imap_enabled(s, IMAP_ENABLED_METADATA);
	unsigned count;

	if (!selected && !metadata && s->notify == NULL) {
		unwatch(conn);
		return;
	}
	if (conn->watch == NULL)
		conn->watch = watch_new(conn->c.all->service->loop, s->log, on_moved, conn);
	set_watch(
	    conn, NOTIFY_WATCH_SELECTED, WATCH_MAILBOX, selected ? mailbox_path(s->box) : NULL);
	if (s->notify == NULL)
		watch_metadata(conn, metadata);
	if (imap_notify_watches(s, set_watch, conn, &count))
		watch_cut(conn->watch, count);
	wait_for_later(conn);
}

static void
take_moved(struct imap_connection *conn)
{
	unsigned number;

	while (conn->watch != NULL && watch_take(conn->watch, &number))
		note_moved(conn, number);
	if (conn->watch != NULL && watch_has_ended(conn->watch))
		imap_notify_watch_again(&conn->s);
}

static void
command_over(struct imap_connection *conn)
{
	struct imap_session *s = &conn->s;

	wipe_input(conn, &conn->chunk);
	frame_reset(&conn->c.frame);
	buf_free(&conn->chunk);
	conn->refused = conn->woken = false;
	s->watch = false;
	watch_what_is_wanted(conn);
	if (s->acct != NULL && conn->c.login_timer != NULL && !log_in(conn))
		return;
	net_stream_write_buf(conn->c.st, &s->out);
	if (s->start_compress)
		net_stream_compress(conn->c.st);
	if (s->end_compress)
		net_stream_uncompress(conn->c.st);
	s->start_compress = s->end_compress = false;
	s->compressed = net_stream_is_compressed(conn->c.st);
	if (s->state == IMAP_UNAUTHENTICATED && conn->c.login_timer == NULL)
		log_out(conn);
	net_stream_resume(conn->c.st);
	if (s->start_tls) {
		s->start_tls = false;
		conversation_start_tls(&conn->c);
	}
}

/* The data is refused: what the client sends anyway is skipped, then the reply is due. */
static void
skip_data(struct imap_connection *conn, uint64_t bytes)
{
	conn->refused = true;
	if (!frame_skip(&conn->c.frame, rules(&conn->c), bytes))
		conversation_bye(&conn->c, "TOOBIG", "Literal too big");
}

static void
append_head_done(struct imap_connection *conn)
{
	const struct frame_literal *lit = &conn->c.frame.literal;

	if (conn->result == IMAP_MORE) { /* pieces that are on disk already are being copied */
		conversation_run(&conn->c, JOB_APPEND_HEAD);
		return;
	}
	if (conn->result != IMAP_WAIT) {
		if (lit->nonsync)
			skip_data(conn, lit->size_bytes);
		else
			conversation_run(&conn->c, JOB_SETTLE);
		return;
	}
	if (!lit->nonsync)
		net_stream_puts(conn->c.st, "+ Ready for the message\r\n");
	conn->literal_left = lit->size_bytes;
	conn->c.state = CONVERSATION_DATA;
}

static void
append_data_done(struct imap_connection *conn)
{
	buf_reset(&conn->chunk);
	if (conn->result != IMAP_WAIT)
		skip_data(conn, conn->literal_left);
	else
		conn->c.state = CONVERSATION_DATA;
}

/* What changed before the watch stood is found by looking once more. */
static void
handler_waits(struct imap_connection *conn)
{
	wipe_input(conn, &conn->chunk); /* the tag lives in the other one */
	buf_free(&conn->chunk);
	conn->c.state = CONVERSATION_WAITING;
	watch_what_is_wanted(conn);
}

static void
notify_done(struct imap_connection *conn)
{
	net_stream_write_buf(conn->c.st, &conn->s.out);
	conn->notifying = conn->result == IMAP_MORE;
	if (conn->notifying)
		conn->c.state = CONVERSATION_DRAINING;
	else
		watch_what_is_wanted(conn);
}

static void
job_done(struct conversation *c)
{
	struct imap_connection *conn = connection_of(c);

	if (c->job == JOB_VERIFY)
		return;
	if (c->job == JOB_NOTIFY) {
		notify_done(conn);
		return;
	}
	send_told(conn); /* it comes before the command's end */
	if (conn->result == IMAP_MORE || conn->result == IMAP_WAIT)
		net_stream_write_buf(c->st, &conn->s.out);
	if (c->job == JOB_APPEND_HEAD)
		append_head_done(conn);
	else if (c->job == JOB_APPEND_DATA)
		append_data_done(conn);
	else if (conn->result == IMAP_MORE)
		c->state = CONVERSATION_DRAINING;
	else if (conn->result == IMAP_WAIT)
		handler_waits(conn);
	else
		command_over(conn);
}

/* --- states ------------------------------------------------------------------------------------ */

static void
start_command(struct imap_connection *conn)
{
	struct str text = { buf_cstr(&conn->c.frame.text), conn->c.frame.text.len };
	const struct imap_command *cmd = NULL;
	struct cursor args;
	struct str tag;
	bool uid;

	watch_command(conn);
	if (conn->s.state == IMAP_UNAUTHENTICATED || conn->s.compressed)
		cmd = imap_command_of(text, &tag, &uid, &args);
	if (cmd != NULL && (cmd->flags & IMAP_CMD_MAY_UNPACK) != 0)
		net_stream_pause(conn->c.st); /* command_over() resumes it */
	if (conn->s.state == IMAP_UNAUTHENTICATED && cmd != NULL &&
	    (cmd->flags & IMAP_CMD_LOGIN) != 0)
		conversation_run_login(&conn->c, JOB_BEGIN, &conn->s.login_delayed);
	else
		conversation_run(&conn->c, JOB_BEGIN);
}

/* An annotation that does not even fit into a command is told as one that is too large, RFC 5464 §4.3. */
static const char *
refusal_of(const struct imap_connection *conn)
{
	const struct frame *f = &conn->c.frame;
	struct cursor args;
	struct str tag;
	bool uid;

	return f->too_big != FRAME_LINE_TOO_LONG &&
		       (conn->s.state & (IMAP_AUTHENTICATED | IMAP_SELECTED)) != 0 &&
		       imap_command_of((struct str){ f->text.data, f->text.len }, &tag, &uid,
			   &args) == &imap_cmd_setmetadata
		   ? " NO [METADATA MAXSIZE " IMAP_METADATA_MAXSIZE "] "
		   : " BAD [TOOBIG] ";
}

/* A command that was too large: BAD with its tag, or the reply to an APPEND that is under way. */
static void
command_refused(struct imap_connection *conn)
{
	const struct frame *f = &conn->c.frame;
	const char *why =
	    f->too_big == FRAME_LINE_TOO_LONG ? "Command line too long" : "Literal too big";
	struct imap_request *req = &conn->run.req;
	struct str tag;

	if (f->streamed) {
		if (!conn->refused) {
			conn->result = imap_bad(req, why);
			req->code = "TOOBIG";
		}
		conversation_run(&conn->c, JOB_SETTLE);
		return;
	}
	tag = imap_frame_tag((struct str){ f->text.data, f->text.len });
	net_stream_write(conn->c.st, tag.p, tag.len);
	net_stream_puts(conn->c.st, refusal_of(conn));
	net_stream_puts(conn->c.st, why);
	net_stream_puts(conn->c.st, "\r\n");
	frame_reset(&conn->c.frame);
	if (++conn->s.bad_commands >= IMAP_BAD_COMMANDS_MAX)
		conversation_bye(&conn->c, NULL, "Too many bad commands");
}

static void
framed(struct conversation *c, enum frame_event event)
{
	struct imap_connection *conn = connection_of(c);

	switch (event) {
	case FRAME_NEED_INPUT: break;
	case FRAME_COMMAND:
		if (c->frame.streamed)
			conversation_run(c, JOB_APPEND_END);
		else
			start_command(conn);
		break;
	case FRAME_CONTINUE: net_stream_puts(c->st, "+ Ready\r\n"); break;
	case FRAME_STREAM: conversation_run(c, JOB_APPEND_HEAD); break;
	case FRAME_REFUSED: command_refused(conn); break;
	case FRAME_HOPELESS: conversation_bye(c, "TOOBIG", "Literal too big"); break;
	}
}

static void
idle(struct conversation *c)
{
	struct imap_connection *conn = connection_of(c);

	take_moved(conn);
	conn->woken = false;
	if (imap_notify_is_due(&conn->s))
		conversation_run(c, JOB_NOTIFY);
	else if (conn->s.verify)
		conversation_run(c, JOB_VERIFY);
	else
		wait_for_later(conn);
}

static void
drained(struct conversation *c)
{
	if (connection_of(c)->notifying)
		conversation_run(c, JOB_NOTIFY);
	else
		step_handler(connection_of(c), (struct str){ NULL, 0 });
}

/* Waits for a line of the client, or for something to have changed. */
static bool
step_waiting(struct conversation *c)
{
	struct imap_connection *conn = connection_of(c);
	const char *bytes, *lf;
	size_t len;

	if (conn->s.state == IMAP_LOGOUT) {
		conversation_close(c);
		return false;
	}
	if (conversation_bye_if_ending(c) || net_stream_pending(c->st) >= NET_OUTPUT_HIGH_BYTES)
		return false;
	take_moved(conn);
	if (conn->woken || imap_notify_is_due(&conn->s)) {
		conn->woken = false;
		step_handler(conn, (struct str){ NULL, 0 });
		return false;
	}
	net_stream_input(conn->c.st, &bytes, &len);
	lf = len > 0 ? memchr(bytes, '\n', len) : NULL;
	if (lf != NULL) {
		size_t line = (size_t)(lf - bytes);

		buf_reset(&conn->chunk);
		buf_add(&conn->chunk, bytes, line > 0 && bytes[line - 1] == '\r' ? line - 1 : line);
		net_stream_consume(conn->c.st, line + 1);
		step_handler(conn, (struct str){ buf_cstr(&conn->chunk), conn->chunk.len });
	} else if (len > IMAP_WAIT_LINE_MAX_BYTES) {
		conversation_bye(c, NULL, "Line too long");
	} else if (conn->c.eof) {
		conversation_close(c);
	}
	return false;
}

/* Waits for a piece of APPEND's data that is worth a job: a whole chunk or the end. */
static bool
step_literal(struct conversation *c)
{
	struct imap_connection *conn = connection_of(c);
	size_t want = IMAP_APPEND_CHUNK_BYTES - conn->chunk.len;

	if (conn->literal_left == 0 && conn->chunk.len == 0) {
		buf_free(&conn->chunk);
		frame_resume(&conn->c.frame);
		conn->c.state = CONVERSATION_COMMAND;
		return true;
	}
	if (want > conn->literal_left)
		want = (size_t)conn->literal_left;
	if (want > 0)
		conn->literal_left -= net_stream_take(conn->c.st, &conn->chunk, want);
	if (conn->chunk.len >= IMAP_APPEND_CHUNK_BYTES || conn->literal_left == 0)
		conversation_run(&conn->c, JOB_APPEND_DATA);
	else if (conn->c.eof)
		conversation_close(c);
	else
		net_stream_ack_now(c->st);
	return false;
}

/* --- what happens ------------------------------------------------------------------------------ */

static void
on_moved(void *arg)
{
	struct imap_connection *conn = arg;

	if (conn->c.state == CONVERSATION_WAITING || conn->c.state == CONVERSATION_COMMAND)
		conversation_step(&conn->c);
}

static void
on_later(void *arg)
{
	struct imap_connection *conn = arg;

	conn->woken = true;
	on_moved(conn);
}

/* greeting = "*" SP (resp-cond-auth / …) CRLF, RFC 9051 §7.1 */
static void
greet(struct imap_connection *conn)
{
	struct buf line = { 0 };

	buf_adds(&line, "* OK [");
	imap_out_capabilities(&conn->s, &line);
	buf_adds(&line, "] Sanger is ready\r\n");
	net_stream_write_buf(conn->c.st, &line);
	buf_free(&line);
}

/* After STARTTLS nothing is said, the client asks again (RFC 9051 §6.2.1). */
static void
opened(struct conversation *c, struct sasl_channel *channel)
{
	struct imap_connection *conn = connection_of(c);
	bool starttls = conn->s.state == IMAP_CLEAR;

	conn->s.channel = channel;
	conn->s.state = IMAP_UNAUTHENTICATED;
	if (!starttls)
		greet(conn);
}

static void
closed(struct conversation *c)
{
	unwatch(connection_of(c));
}

static void
connection_free(struct conversation *c)
{
	struct imap_connection *conn = connection_of(c);

	buf_free(&conn->chunk);
	free(atomic_load(&conn->told));
	free(conn);
}

/* resp-cond-bye, RFC 9051 §7.1.5 */
static void
write_bye(struct buf *out, const char *code, const char *text)
{
	buf_adds(out, "* BYE ");
	if (code != NULL)
		buf_printf(out, "[%s] ", code);
	buf_printf(out, "%s\r\n", text);
}

const struct conversation_protocol IMAP_PROTOCOL = {
	.door = "imap",
	.door_tls = "imaps",
	.code_ending = "UNAVAILABLE",
	.code_too_many = "LIMIT",
	.rules = rules,
	.user = user,
	.is_over = is_over,
	.write_bye = write_bye,
	.run_job = run_job,
	.job_done = job_done,
	.opened = opened,
	.framed = framed,
	.idle = idle,
	.drained = drained,
	.waiting = step_waiting,
	.data = step_literal,
	.closed = closed,
	.free = connection_free,
};

void
imap_connection_start(struct imapd *imapd, struct net_stream *st, bool tls)
{
	struct imap_connection *conn = mem_zalloc(sizeof(*conn));

	conn->s.imapd = imapd;
	conn->s.state = tls ? IMAP_UNAUTHENTICATED : IMAP_CLEAR;
	conversation_start(&conn->c, &imapd->conversations, st, tls);
	conn->s.log = conn->c.log;
	conn->s.peer = conn->c.peer;
	conn->s.tell = tell;
	conn->s.tell_arg = conn;
	if (!tls)
		greet(conn);
}
