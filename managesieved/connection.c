#include "managesieved/connection.h"

#include <stdlib.h>

#include "managesieved/capability.h"
#include "managesieved/frame.h"
#include "managesieved/managesieved.h"
#include "managesieved/response.h"
#include "managesieved/session.h"
#include "net/stream.h"

enum conn_job {
	JOB_CLEAR = CONVERSATION_JOB_CLEAR,
	JOB_BEGIN, /* a whole command */
	JOB_STEP,  /* the client's next line within AUTHENTICATE */
};

struct msieve_connection {
	struct conversation c;
	struct msieve_session s;
	struct msieve_run run;
	enum msieve_result result; /* of the last job */
	bool waiting;              /* a command waits for the client's next line */
};

static struct msieve_connection *
connection_of(struct conversation *c)
{
	return (struct msieve_connection *)c;
}

static const struct frame_rules *
rules(struct conversation *c)
{
	return msieve_frame_rules(connection_of(c)->s.state == MSIEVE_AUTHENTICATED);
}

static const char *
user(struct conversation *c)
{
	return connection_of(c)->s.user;
}

static bool
is_over(struct conversation *c)
{
	return connection_of(c)->s.state == MSIEVE_ENDED;
}

static void
write_bye(struct buf *out, const char *code, const char *text)
{
	msieve_write_reply(out, "BYE", code, str_from(text));
}

static void
greet(struct msieve_connection *conn)
{
	struct buf lines = { 0 };

	msieve_write_greeting(&conn->s, &lines);
	net_stream_write_buf(conn->c.st, &lines);
	buf_free(&lines);
}

/* The greeting, or after STARTTLS the capabilities anew (RFC 5804 §2.2). */
static void
opened(struct conversation *c, struct sasl_channel *channel)
{
	struct msieve_connection *conn = connection_of(c);

	conn->s.channel = channel;
	conn->s.state = MSIEVE_UNAUTHENTICATED;
	conn->s.bad_commands = 0;
	greet(conn);
}

static void
start_command(struct msieve_connection *conn)
{
	struct str text = { buf_cstr(&conn->c.frame.text), conn->c.frame.text.len };
	const struct msieve_command *cmd = NULL;
	struct cursor args;

	if (conn->waiting) {
		conversation_run(&conn->c, JOB_STEP);
		return;
	}
	if (conn->s.state == MSIEVE_UNAUTHENTICATED)
		cmd = msieve_command_of(text, &args);
	if (cmd != NULL && cmd->login)
		conversation_run_login(&conn->c, JOB_BEGIN, &conn->s.login_delayed);
	else
		conversation_run(&conn->c, JOB_BEGIN);
}

/* A command that was too large, all of which has passed by; within AUTHENTICATE it ends that. */
static void
command_refused(struct msieve_connection *conn)
{
	struct frame *f = &conn->c.frame;
	struct str text = { f->text.data, f->text.len };

	if (conn->waiting)
		text = (struct str){ 0 };
	conn->waiting = false;
	msieve_run_abort(&conn->run);
	msieve_refuse(&conn->s, text, f->too_big == FRAME_LITERAL_TOO_BIG);
	frame_reset(f);
	net_stream_write_buf(conn->c.st, &conn->s.out);
}

static void
framed(struct conversation *c, enum frame_event event)
{
	if (event == FRAME_COMMAND)
		start_command(connection_of(c));
	else if (event == FRAME_REFUSED)
		command_refused(connection_of(c));
	else if (event == FRAME_HOPELESS)
		conversation_bye(c, "QUOTA/MAXSIZE", "Literal too big");
}

static void
run_job(struct conversation *c)
{
	struct msieve_connection *conn = connection_of(c);
	struct str text = { buf_cstr(&c->frame.text), c->frame.text.len };

	switch ((enum conn_job)c->job) {
	case JOB_BEGIN: conn->result = msieve_run_begin(&conn->s, &conn->run, text); break;
	case JOB_STEP: conn->result = msieve_run_step(&conn->s, &conn->run, text); break;
	case JOB_CLEAR:
		msieve_run_abort(&conn->run);
		msieve_session_clear(&conn->s);
		break;
	}
}

/* A login or UNAUTHENTICATE may just have been.  False: the client may not stay. */
static bool
update_login(struct msieve_connection *conn)
{
	struct msieve_session *s = &conn->s;
	bool was_in = conn->c.login_timer == NULL;

	if (s->state == MSIEVE_AUTHENTICATED && !was_in)
		return conversation_logged_in(&conn->c, (uint64_t)s->account);
	if (s->state == MSIEVE_UNAUTHENTICATED && was_in)
		conversation_logged_out(&conn->c);
	return true;
}

static void
job_done(struct conversation *c)
{
	struct msieve_connection *conn = connection_of(c);
	struct msieve_session *s = &conn->s;

	frame_reset(&c->frame);
	conn->waiting = conn->result == MSIEVE_WAIT;
	if (!update_login(conn)) {
		buf_free(&s->out);
		return;
	}
	net_stream_write_buf(c->st, &s->out);
	if (s->start_tls) {
		s->start_tls = false;
		conversation_start_tls(c);
	}
}

static void
connection_free(struct conversation *c)
{
	free(connection_of(c));
}

const struct conversation_protocol MSIEVE_PROTOCOL = {
	.door = "sieve",
	.door_tls = "sieves",
	.code_ending = "TRYLATER",
	.code_too_many = "TRYLATER",
	.rules = rules,
	.user = user,
	.is_over = is_over,
	.write_bye = write_bye,
	.opened = opened,
	.framed = framed,
	.run_job = run_job,
	.job_done = job_done,
	.free = connection_free,
};

void
msieve_connection_start(struct managesieved *d, struct net_stream *st, bool tls)
{
	struct msieve_connection *conn = mem_zalloc(sizeof(*conn));

	conn->s.daemon = d;
	conn->s.state = MSIEVE_CLEAR;
	conversation_start(&conn->c, &d->conversations, st, tls);
	conn->s.log = conn->c.log;
	conn->s.peer = conn->c.peer;
	if (!tls)
		greet(conn);
}
