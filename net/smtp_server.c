#include "net/smtp_server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "net/cidr.h"
#include "net/loop.h"
#include "net/smtp_session.h"
#include "net/stream.h"
#include "net/tls.h"

/* A base64 line, or AUTH with one behind it, RFC 4954 §4. */
#define AUTH_LINE_MAX_BYTES (SASL_LINE_MAX_BYTES + 64)

static void session_run(struct smtp_session *s);
static void session_end(struct smtp_session *s);

/* --- replies --- */

/* No byte of a handler's text may start a line of its own. */
static void
add_text(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf_addc(out, (unsigned char)text[i] < ' ' || text[i] == 0x7F ? '?' : text[i]);
}

/* Reply-line, RFC 5321 §4.2.1; the enhanced code stands in each line, RFC 2034 §4. */
void
smtp_session_add_reply(struct buf *out, int code, const char *enhanced, const char *text)
{
	const char *line = text, *end;

	do {
		end = strchrnul(line, '\n');
		buf_printf(out, "%03d%c", code, *end == '\n' ? '-' : ' ');
		if (*enhanced != '\0')
			buf_printf(out, "%s ", enhanced);
		add_text(out, line, (size_t)(end - line));
		buf_add(out, "\r\n", 2);
		line = end + 1;
	} while (*end == '\n');
}

void
smtp_session_say(struct smtp_session *s, int code, const char *enhanced, const char *text)
{
	smtp_session_add_reply(&s->out, code, enhanced, text);
}

void
smtp_session_reply(struct smtp_session *s, const struct smtp_reply *r)
{
	smtp_session_add_reply(&s->out, r->code, r->enhanced, r->text);
}

void
smtp_reply_set(struct smtp_reply *r, int code, const char *enhanced, const char *fmt, ...)
{
	va_list args;

	r->code = code >= 200 && code <= 599 ? code : 451;
	snprintf(r->enhanced, sizeof(r->enhanced), "%s", enhanced != NULL ? enhanced : "");
	va_start(args, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, args);
	va_end(args);
}

void
smtp_session_flush(struct smtp_session *s)
{
	if (s->out.len > 0 && s->stream != NULL)
		net_stream_write_buf(s->stream, &s->out);
	buf_free(&s->out);
}

/* The last reply is in `out`. */
enum smtp_step
smtp_session_finish(struct smtp_session *s)
{
	s->state = STATE_CLOSING;
	smtp_session_flush(s);
	if (s->stream != NULL)
		net_stream_close(s->stream);
	return STEP_WAIT;
}

enum smtp_step
smtp_session_finish_with(struct smtp_session *s, int code, const char *enhanced, const char *why)
{
	char text[SMTP_REPLY_TEXT_BYTES];

	snprintf(text, sizeof(text), "%s %s", s->service->hostname, why);
	smtp_session_say(s, code, enhanced, text);
	return smtp_session_finish(s);
}

/* A reply from a handler went out; 421 ends the connection, RFC 5321 §3.8. */
enum smtp_step
smtp_session_after_reply(struct smtp_session *s, const struct smtp_reply *r)
{
	smtp_session_reply(s, r);
	return r->code == 421 ? smtp_session_finish(s) : STEP_AGAIN;
}

/* --- facts --- */

/* "with" of the Received: field: RFC 3848 §1, RFC 6531 §4.3. */
static void
set_with(struct smtp_session *s)
{
	bool utf8 = s->in_transaction && s->mail.smtputf8;
	const char *base = smtp_is_lmtp(s) ? "LMTP" : s->extended && !utf8 ? "ESMTP" : "SMTP";
	bool letters = smtp_is_lmtp(s) || s->extended; /* plain "SMTP" has none */

	snprintf(s->with, sizeof(s->with), "%s%s%s%s", utf8 ? "UTF8" : "", base,
	    letters && s->tls[0] != '\0' ? "S" : "", letters && s->login != NULL ? "A" : "");
}

static void
update_facts(struct smtp_session *s)
{
	set_with(s);
	s->facts = (struct smtp_facts){
		.helo = s->helo != NULL ? s->helo : "",
		.peer = s->peer,
		.tls = s->tls[0] != '\0' ? s->tls : NULL,
		.login = s->login,
		.mechanism = s->mechanism,
		.with = s->with,
		.smtputf8 = s->in_transaction && s->mail.smtputf8,
		.body = s->in_transaction ? s->mail.body : SMTP_BODY_7BIT,
		.rcpt_count = s->rcpt_count,
	};
}

/* TLS is up: what it says about itself, and the channel bindings for SASL. */
static void
take_tls_facts(struct smtp_session *s)
{
	snprintf(s->tls, sizeof(s->tls), "%s %s", net_stream_tls_version(s->stream),
	    net_stream_tls_cipher(s->stream));
	sasl_channel_tls(&s->channel, s->stream);
}

/* --- running handlers --- */

static void
on_job_run(void *arg)
{
	struct smtp_session *s = arg;

	s->run(s);
}

static void
on_job_done(void *arg)
{
	struct smtp_session *s = arg;

	s->busy = false;
	s->after(s);
	session_run(s);
}

/* Runs `run` where it may run, then `after` on the loop. */
enum smtp_step
smtp_session_run_handler(struct smtp_session *s, unsigned fast_bit,
    void (*run)(struct smtp_session *s), void (*after)(struct smtp_session *s))
{
	update_facts(s);
	if (fast_bit != 0 && (s->service->handlers->fast & fast_bit) != 0) {
		run(s);
		after(s);
		return STEP_AGAIN;
	}
	s->busy = true;
	s->run = run;
	s->after = after;
	if (s->stream != NULL)
		net_stream_timeout(s->stream, 0); /* the silence is ours */
	net_job_run(s->loop, on_job_run, on_job_done, s);
	return STEP_WAIT;
}

void
smtp_session_forget_transaction(struct smtp_session *s)
{
	s->in_transaction = false;
	s->bdat_begun = false;
	s->rcpt_count = s->rcpt_commands = 0;
	s->domains = NULL;
	s->domain_count = 0;
	s->total_bytes = 0;
	s->too_big = s->write_failed = s->data_complete = false;
	s->dots = (struct smtp_dots){ 0 };
	buf_free(&s->bytes);
	arena_free(&s->arena);
}

void
smtp_session_run_reset(struct smtp_session *s)
{
	if (s->in_transaction && s->service->handlers->reset != NULL)
		s->service->handlers->reset(s, s->why);
	s->in_transaction = false;
}

/* A session that nobody will answer any more: the handlers' last calls, then it is gone. */
static void
run_last(struct smtp_session *s)
{
	s->why = SMTP_RESET_LOST;
	smtp_session_run_reset(s);
	if (s->connected && s->service->handlers->closed != NULL)
		s->service->handlers->closed(s);
}

static void
free_session(struct smtp_session *s)
{
	void (*on_end)(void *arg) = s->on_end;
	void *arg = s->on_end_arg;

	smtp_session_forget_transaction(s);
	sasl_session_free(s->sasl);
	net_timer_free(s->life);
	net_timer_free(s->delay);
	buf_free(&s->out);
	buf_free(&s->line);
	buf_free(&s->challenge);
	free(s->replies);
	free(s->helo);
	free(s->login);
	log_close(s->log);
	mem_wipe(&s->channel, sizeof(s->channel));
	free(s);
	if (on_end != NULL)
		on_end(arg);
}

static void
on_last_done(void *arg)
{
	free_session(arg);
}

static void
session_end(struct smtp_session *s)
{
	unsigned fast = s->service->handlers->fast;
	bool idle = !s->in_transaction || (fast & SMTP_FAST_RESET) != 0;

	if (s->ending)
		return;
	s->ending = true;
	update_facts(s);
	if (idle && (!s->connected || s->service->handlers->closed == NULL ||
			(fast & SMTP_FAST_CLOSED) != 0)) {
		run_last(s);
		free_session(s);
		return;
	}
	s->run = run_last;
	net_job_run(s->loop, on_job_run, on_last_done, s);
}

/* --- lines --- */

enum line { LINE_NONE, LINE_OK, LINE_TOO_LONG, LINE_BARE_LF };

/* One line of input without its CRLF; `used_out` is what to consume when it has been dealt with.  A line that ends in a
 * lone LF is told apart: it is no line, RFC 5321 §2.3.8. */
static enum line
next_line(struct smtp_session *s, struct str *line_out, size_t *used_out)
{
	const char *in, *lf;
	size_t len;

	net_stream_input(s->stream, &in, &len);
	lf = len > 0 ? memchr(in, '\n', len) : NULL;
	if (lf == NULL && len <= AUTH_LINE_MAX_BYTES)
		return LINE_NONE;
	if (lf == NULL) {
		net_stream_consume(s->stream, len);
		s->skipping_line = true;
		return LINE_NONE;
	}
	*used_out = (size_t)(lf + 1 - in);
	if (s->skipping_line || (size_t)(lf - in) > AUTH_LINE_MAX_BYTES) {
		s->skipping_line = false;
		return LINE_TOO_LONG;
	}
	*line_out = (struct str){ in, (size_t)(lf - in) };
	if (lf == in || lf[-1] != '\r')
		return LINE_BARE_LF;
	line_out->len--;
	return LINE_OK;
}

/* Waits for: a complete command. */
static enum smtp_step
step_command(struct smtp_session *s)
{
	struct str line;
	char *copy;
	size_t used = 0;
	enum line got;
	enum smtp_step step;

	if (s->draining || (s->finishing && s->mail_count > 0 && !s->in_transaction))
		return smtp_session_finish_with(s, 421, "4.3.2", "Service shutting down");
	got = next_line(s, &line, &used);
	if (got == LINE_NONE)
		return STEP_WAIT;
	if (got != LINE_OK) {
		net_stream_consume(s->stream, used);
		return smtp_command_bad(
		    s, 500, "5.5.2", got == LINE_BARE_LF ? "Lines end with CRLF" : "Line too long");
	}
	copy = mem_strndup(line.p, line.len); /* STARTTLS must find it consumed */
	line.p = copy;
	net_stream_consume(s->stream, used);
	step = smtp_command_run(s, line);
	mem_wipe(copy, line.len); /* an initial response is a password */
	free(copy);
	return step;
}

/* Waits for: the client's next line of the exchange. */
static enum smtp_step
step_auth(struct smtp_session *s)
{
	struct str line;
	size_t used = 0;
	enum line got = next_line(s, &line, &used);

	if (got == LINE_NONE)
		return STEP_WAIT;
	smtp_command_wipe_line(s);
	if (got == LINE_OK) {
		buf_reserve(&s->line, line.len + 1);
		buf_add(&s->line, line.p, line.len);
	} else if (got == LINE_BARE_LF) {
		buf_adds(&s->line, "?"); /* no base64: ends the exchange with 501 */
	} else {
		buf_reserve(&s->line, SASL_LINE_MAX_BYTES + 1);
		s->line.len = SASL_LINE_MAX_BYTES + 1; /* ends it with 500 5.5.6 */
		memset(s->line.data, 'A', s->line.len);
	}
	net_stream_consume(s->stream, used);
	return smtp_session_run_handler(s, 0, smtp_command_run_auth, smtp_command_after_auth);
}

/* --- the loop --- */

static unsigned
silence_s(const struct smtp_session *s)
{
	return s->state == STATE_DATA || s->state == STATE_BDAT
		   ? smtp_or_default(s->service->data_timeout_s, SMTP_DATA_TIMEOUT_S)
		   : smtp_or_default(s->service->command_timeout_s, SMTP_COMMAND_TIMEOUT_S);
}

static enum smtp_step
run_state(struct smtp_session *s)
{
	switch (s->state) {
	case STATE_COMMAND: return step_command(s);
	case STATE_AUTH: return step_auth(s);
	case STATE_DATA: return smtp_data_step(s);
	case STATE_BDAT: return smtp_data_bdat_step(s);
	case STATE_TLS:
	case STATE_AUTH_DELAY:
	case STATE_CLOSING: break;
	}
	return STEP_WAIT;
}

/* Runs until something is missing.  The stream is there, and no job runs. */
static void
session_steps(struct smtp_session *s)
{
	enum smtp_step step = STEP_AGAIN;

	while (step == STEP_AGAIN && s->state != STATE_CLOSING) {
		/* Somebody who sends and never reads waits here for himself: on_drained goes on. */
		if (s->out.len + net_stream_pending(s->stream) > NET_OUTPUT_HIGH_BYTES)
			break;
		step = run_state(s);
	}
	if (s->busy || s->state == STATE_CLOSING)
		return;
	smtp_session_flush(s);
	if (s->eof && step == STEP_WAIT && s->state != STATE_AUTH_DELAY) {
		smtp_session_finish(s); /* nothing more will come */
		return;
	}
	if (s->state != STATE_TLS && s->state != STATE_AUTH_DELAY)
		net_stream_timeout(s->stream, silence_s(s));
}

static void
session_run(struct smtp_session *s)
{
	if (s->busy || s->ending)
		return;
	if (s->stream == NULL)
		session_end(s);
	else
		session_steps(s);
}

static void
on_open(void *arg)
{
	struct smtp_session *s = arg;

	if (s->state != STATE_TLS)
		return;
	take_tls_facts(s);
	s->state = STATE_COMMAND;
	if (s->greeted) { /* STARTTLS: what was said in the clear is forgotten, RFC 3207 §4.2 */
		free(s->helo);
		s->helo = NULL;
		s->extended = false;
	} else {
		smtp_command_greet(s);
	}
	session_run(s);
}

static void
on_input(void *arg)
{
	session_run(arg);
}

static void
on_drained(void *arg)
{
	session_run(arg);
}

static void
on_timeout(void *arg)
{
	struct smtp_session *s = arg;

	if (!s->busy && s->state != STATE_CLOSING)
		smtp_session_finish_with(s, 421, "4.4.2", "Timeout, closing connection");
}

static void
on_eof(void *arg)
{
	struct smtp_session *s = arg;

	s->eof = true;
	session_run(s);
}

static void
on_closed(void *arg, enum net_closed why, const char *detail)
{
	static const char *const WHY[] = {
		[NET_CLOSED_PEER] = "peer",
		[NET_CLOSED_LOCAL] = "local",
		[NET_CLOSED_TIMEOUT] = "timeout",
		[NET_CLOSED_TLS] = "tls",
		[NET_CLOSED_ERROR] = "network",
	};
	struct smtp_session *s = arg;

	log_debug(s->log, "closed", "peer=%s why=%s detail=%s", s->peer, WHY[why], detail);
	s->stream = NULL;
	if (!s->busy)
		session_end(s);
}

/* A session has lived long enough: it ends as soon as no message is on its way; at once if nobody
 * has logged in in time. */
static void
on_life_over(void *arg)
{
	struct smtp_session *s = arg;

	if (s->service->login_timeout_s == 0 || s->login != NULL) {
		smtp_server_drain(s);
	} else if (s->busy) {
		net_timer_start_s(s->life, 1); /* a password is being looked at */
	} else if (s->stream != NULL && s->state != STATE_CLOSING) {
		log_info(s->log, "login-timeout", "peer=%s", s->peer);
		if (s->state == STATE_TLS)
			net_stream_abort(s->stream);
		else
			smtp_session_finish_with(s, 421, "4.7.0", "No login in time");
	}
}

/* The time that is left until login, and after it. */
void
smtp_session_start_life(struct smtp_session *s)
{
	unsigned life_s = smtp_or_default(s->service->session_timeout_s, SMTP_SESSION_TIMEOUT_S);

	if (s->login == NULL && s->service->login_timeout_s > 0)
		life_s = s->service->login_timeout_s;
	net_timer_start_s(s->life, life_s);
}

static const struct net_stream_events STREAM_EVENTS = {
	.on_open = on_open,
	.on_input = on_input,
	.on_drained = on_drained,
	.on_timeout = on_timeout,
	.on_eof = on_eof,
	.on_closed = on_closed,
};

static struct log *
session_log(struct log *parent)
{
	char context[24];
	uint32_t id = 0;

	if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		id = 0;
	snprintf(context, sizeof(context), "s=%08x", id);
	return log_child(parent, context);
}

struct smtp_session *
smtp_server_start(struct net_stream *stream, const struct smtp_service *service,
    void (*on_end)(void *arg), void *on_end_arg)
{
	struct smtp_session *s = mem_zalloc(sizeof(*s));
	const struct net_ip *ip = net_stream_peer_ip(stream);

	s->stream = stream;
	s->loop = net_stream_loop(stream);
	s->service = service;
	s->log = session_log(service->log);
	s->on_end = on_end;
	s->on_end_arg = s->data = on_end_arg;
	snprintf(s->peer, sizeof(s->peer), "%s", net_stream_peer(stream));
	s->has_peer_ip = ip != NULL;
	if (ip != NULL)
		s->peer_ip = *ip;
	s->may_xclient = ip != NULL && service->xclient_from != NULL &&
			 net_cidr_list_match(service->xclient_from, ip);
	s->channel.peer = s->peer;
	s->life = net_timer_new(s->loop, on_life_over, s);
	smtp_session_start_life(s);
	net_stream_begin(stream, &STREAM_EVENTS, s);
	if (service->implicit_tls) {
		s->state = STATE_TLS;
		net_stream_start_tls(stream, service->tls);
		return s;
	}
	s->state = STATE_COMMAND;
	if (smtp_command_greet(s) == STEP_AGAIN)
		session_steps(s);
	return s;
}

void
smtp_server_drain(struct smtp_session *s)
{
	s->draining = true;
	session_run(s);
}

void
smtp_server_finish(struct smtp_session *s)
{
	s->finishing = true;
	session_run(s);
}

void *
smtp_session_data(const struct smtp_session *s)
{
	return s->data;
}

void *
smtp_session_service_arg(const struct smtp_session *s)
{
	return s->service->arg;
}

const struct smtp_facts *
smtp_session_facts(struct smtp_session *s)
{
	return &s->facts;
}

const struct net_ip *
smtp_session_peer_ip(const struct smtp_session *s)
{
	return s->has_peer_ip ? &s->peer_ip : NULL;
}

struct str
smtp_session_auth_note(const struct smtp_session *s)
{
	return s->sasl != NULL ? sasl_session_note(s->sasl) : (struct str){ NULL, 0 };
}

struct log *
smtp_session_log(const struct smtp_session *s)
{
	return s->log;
}
