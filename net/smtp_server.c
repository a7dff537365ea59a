#include "net/smtp_server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "net/loop.h"
#include "net/smtp_dots.h"
#include "net/stream.h"
#include "net/tls.h"

/* A base64 line, or AUTH with one behind it, RFC 4954 §4. */
#define AUTH_LINE_MAX_BYTES (SASL_LINE_MAX_BYTES + 64)
#define RCPT_COMMANDS_MORE  1000 /* refused ones that a transaction may have beyond rcpt_max */

enum state {
	STATE_TLS,        /* a handshake: on_open */
	STATE_COMMAND,    /* one command line */
	STATE_AUTH_DELAY, /* the timer that holds a guesser back */
	STATE_AUTH,       /* the mechanism's next line */
	STATE_DATA,       /* bytes up to the lone dot */
	STATE_BDAT,       /* the rest of a chunk */
	STATE_CLOSING,    /* the last reply to drain */
};

enum step { STEP_AGAIN, STEP_WAIT };

struct smtp_session {
	struct net_stream *stream; /* NULL after on_closed */
	struct net_loop *loop;
	const struct smtp_service *service;
	struct log *log;
	void *data;
	void (*on_end)(void *arg);
	void *on_end_arg;
	struct net_timer *life, *delay;

	enum state state;
	bool busy; /* a job owns the session */
	bool eof, draining, skipping_line, greeted, connected, ending;
	unsigned bad_commands;
	void (*run)(struct smtp_session *s);   /* of the job in flight */
	void (*after)(struct smtp_session *s); /* on the loop, when run has returned */

	struct buf out;          /* replies not yet handed to the stream */
	struct smtp_reply reply; /* the handler's */

	bool extended; /* EHLO or LHLO, not HELO */
	char *helo, *login;
	char tls[80], peer[NET_IP_TEXT_BYTES], with[16];
	struct net_ip peer_ip;
	bool has_peer_ip;
	const char *mechanism;
	struct smtp_facts facts;

	struct sasl_channel channel;
	struct sasl_session *sasl;
	enum sasl_status sasl_status;
	struct buf line; /* of the AUTH exchange */
	bool has_line;
	struct buf challenge;

	/* the transaction */
	struct arena arena;
	struct smtp_mail mail;
	struct smtp_rcpt rcpt;
	const char *new_helo;
	bool in_transaction;
	unsigned rcpt_count, rcpt_commands;

	/* its data */
	struct smtp_dots dots;
	struct buf bytes;     /* decoded, not yet written */
	uint64_t total_bytes; /* of the message so far */
	uint64_t chunk_left, chunk_bytes;
	bool chunk_last, chunk_ignored, bdat_begun;
	bool too_big, write_failed, data_complete;
	enum smtp_reset why;
	struct smtp_reply *replies;
	size_t reply_count;
};

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
static void
add_reply(struct buf *out, int code, const char *enhanced, const char *text)
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

static void
reply_say(struct smtp_session *s, int code, const char *enhanced, const char *text)
{
	add_reply(&s->out, code, enhanced, text);
}

static void
reply_send(struct smtp_session *s, const struct smtp_reply *r)
{
	add_reply(&s->out, r->code, r->enhanced, r->text);
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

static void
flush(struct smtp_session *s)
{
	if (s->out.len > 0 && s->stream != NULL)
		net_stream_write_buf(s->stream, &s->out);
	buf_free(&s->out);
}

/* The last reply is in `out`. */
static enum step
finish(struct smtp_session *s)
{
	s->state = STATE_CLOSING;
	flush(s);
	if (s->stream != NULL)
		net_stream_close(s->stream);
	return STEP_WAIT;
}

static enum step
finish_with(struct smtp_session *s, int code, const char *enhanced, const char *why)
{
	char text[SMTP_REPLY_TEXT_BYTES];

	snprintf(text, sizeof(text), "%s %s", s->service->hostname, why);
	reply_say(s, code, enhanced, text);
	return finish(s);
}

/* A reply from a handler went out; 421 ends the connection, RFC 5321 §3.8. */
static enum step
after_reply(struct smtp_session *s, const struct smtp_reply *r)
{
	reply_send(s, r);
	return r->code == 421 ? finish(s) : STEP_AGAIN;
}

/* --- settings with a default --- */

static unsigned
or_default(unsigned value, unsigned otherwise)
{
	return value > 0 ? value : otherwise;
}

static unsigned
rcpt_max(const struct smtp_session *s)
{
	return or_default(s->service->rcpt_max, SMTP_RCPT_MAX);
}

static bool
is_lmtp(const struct smtp_session *s)
{
	return s->service->protocol == SMTP_PROTOCOL_LMTP;
}

/* --- facts --- */

/* "with" of the Received: field: RFC 3848 §1, RFC 6531 §4.3. */
static void
set_with(struct smtp_session *s)
{
	bool utf8 = s->in_transaction && s->mail.smtputf8;
	const char *base = is_lmtp(s) ? "LMTP" : s->extended && !utf8 ? "ESMTP" : "SMTP";
	bool letters = is_lmtp(s) || s->extended; /* plain "SMTP" has none */

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
	struct buf data = { 0 };

	snprintf(s->tls, sizeof(s->tls), "%s %s", net_stream_tls_version(s->stream),
	    net_stream_tls_cipher(s->stream));
	s->channel.tls = true;
	if (net_stream_tls_binding(s->stream, NET_BINDING_EXPORTER, &data) &&
	    data.len <= sizeof(s->channel.exporter)) {
		memcpy(s->channel.exporter, data.data, data.len);
		s->channel.exporter_len = data.len;
	}
	buf_reset(&data);
	if (net_stream_tls_binding(s->stream, NET_BINDING_SERVER_ENDPOINT, &data) &&
	    data.len <= sizeof(s->channel.end_point)) {
		memcpy(s->channel.end_point, data.data, data.len);
		s->channel.end_point_len = data.len;
	}
	buf_free(&data);
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
static enum step
run_handler(struct smtp_session *s, unsigned fast_bit, void (*run)(struct smtp_session *s),
    void (*after)(struct smtp_session *s))
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

static void
forget_transaction(struct smtp_session *s)
{
	s->in_transaction = false;
	s->bdat_begun = false;
	s->rcpt_count = s->rcpt_commands = 0;
	s->total_bytes = 0;
	s->too_big = s->write_failed = s->data_complete = false;
	s->dots = (struct smtp_dots){ 0 };
	buf_free(&s->bytes);
	arena_free(&s->arena);
}

static void
run_reset(struct smtp_session *s)
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
	run_reset(s);
	if (s->connected && s->service->handlers->closed != NULL)
		s->service->handlers->closed(s);
}

static void
free_session(struct smtp_session *s)
{
	void (*on_end)(void *arg) = s->on_end;
	void *arg = s->on_end_arg;

	forget_transaction(s);
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

/* --- commands --- */

struct command {
	const char *name;
	enum step (*run)(struct smtp_session *s, struct str args);
	bool before_tls; /* also where TLS is required and not there */
	bool submission; /* false: not with LMTP */
	bool lmtp;
};

static enum step
bad_command(struct smtp_session *s, int code, const char *enhanced, const char *text)
{
	if (++s->bad_commands > or_default(s->service->bad_commands_max, SMTP_BAD_COMMANDS_MAX))
		return finish_with(s, 421, "4.7.0", "Too many bad commands");
	reply_say(s, code, enhanced, text);
	return STEP_AGAIN;
}

static void
run_connect(struct smtp_session *s)
{
	s->connected = true;
	if (s->service->handlers->connect != NULL)
		s->service->handlers->connect(s, &s->reply);
}

static void
after_connect(struct smtp_session *s)
{
	bool ok = smtp_reply_is_ok(&s->reply);

	s->greeted = true;
	s->state = STATE_COMMAND;
	reply_send(s, &s->reply);
	if (!ok)
		finish(s);
}

static enum step
greet(struct smtp_session *s)
{
	const char *software = s->service->software;

	smtp_reply_set(&s->reply, 220, "", "%s %s%s%s", s->service->hostname,
	    is_lmtp(s) ? "LMTP" : "ESMTP", software != NULL ? " " : "",
	    software != NULL ? software : "");
	return run_handler(s, SMTP_FAST_CONNECT, run_connect, after_connect);
}

static bool
offers_starttls(const struct smtp_session *s)
{
	return s->service->tls != NULL && !s->service->implicit_tls && s->tls[0] == '\0';
}

static bool
offers_chunking(const struct smtp_session *s)
{
	return !s->service->no_chunking;
}

static void
add_keywords(struct smtp_session *s, struct buf *lines)
{
	struct buf mechanisms = { 0 };

	buf_adds(lines, "\nPIPELINING\n8BITMIME\nENHANCEDSTATUSCODES");
	buf_printf(lines, "\nSIZE %llu", (unsigned long long)s->service->size_max_bytes);
	if (offers_chunking(s))
		buf_adds(lines, "\nCHUNKING\nBINARYMIME");
	if (!s->service->no_smtputf8)
		buf_adds(lines, "\nSMTPUTF8");
	if (s->service->dsn)
		buf_adds(lines, "\nDSN");
	if (offers_starttls(s))
		buf_adds(lines, "\nSTARTTLS");
	if (s->service->sasl != NULL && s->login == NULL &&
	    sasl_mechanisms(s->service->sasl, &s->channel, " ", &mechanisms) > 0)
		buf_printf(lines, "\nAUTH%s", buf_cstr(&mechanisms));
	buf_adds(lines, "\nHELP");
	buf_free(&mechanisms);
}

static void
run_helo(struct smtp_session *s)
{
	s->why = SMTP_RESET_COMMAND;
	run_reset(s); /* RFC 5321 §4.1.4: as if RSET had been said */
	if (s->service->handlers->helo != NULL)
		s->service->handlers->helo(s, s->new_helo, &s->reply);
}

static void
after_helo(struct smtp_session *s)
{
	struct buf lines = { 0 };

	if (!smtp_reply_is_ok(&s->reply)) {
		forget_transaction(s);
		after_reply(s, &s->reply);
		return;
	}
	free(s->helo);
	s->helo = mem_strdup(s->new_helo);
	forget_transaction(s);
	buf_adds(&lines, s->reply.text);
	if (s->extended)
		add_keywords(s, &lines);
	add_reply(&s->out, s->reply.code, "", buf_cstr(&lines));
	buf_free(&lines);
}

static enum step
greet_back(struct smtp_session *s, struct str args, bool extended)
{
	unsigned fast = s->in_transaction ? SMTP_FAST_RESET | SMTP_FAST_HELO : SMTP_FAST_HELO;

	if (!smtp_parse_helo(args, !s->service->no_smtputf8, &s->arena, &s->new_helo))
		return bad_command(s, 501, "5.5.4", "Syntax: a host name or address literal");
	s->extended = extended;
	smtp_reply_set(&s->reply, 250, "", "%s Hello %s", s->service->hostname, s->new_helo);
	if ((s->service->handlers->fast & fast) != fast)
		fast = 0;
	return run_handler(s, fast, run_helo, after_helo);
}

static enum step
cmd_helo(struct smtp_session *s, struct str args)
{
	return greet_back(s, args, false);
}

static enum step
cmd_ehlo(struct smtp_session *s, struct str args)
{
	return greet_back(s, args, true);
}

/* --- AUTH, RFC 4954 --- */

static const struct {
	enum sasl_status status;
	int code;
	const char *enhanced, *text;
} AUTH_REPLIES[] = {
	/* RFC 4954 §4, §6 */
	{ SASL_STATUS_DONE, 235, "2.7.0", "Authentication succeeded" },
	{ SASL_STATUS_DENIED, 535, "5.7.8", "Authentication credentials invalid" },
	{ SASL_STATUS_TEMPFAIL, 454, "4.7.0", "Temporary authentication failure" },
	{ SASL_STATUS_MALFORMED, 501, "5.5.2", "Cannot decode the response" },
	{ SASL_STATUS_TOO_LONG, 500, "5.5.6", "Authentication exchange line is too long" },
	{ SASL_STATUS_CANCELLED, 501, "5.7.0", "Authentication cancelled" },
};

static void
set_auth_reply(struct smtp_session *s)
{
	for (size_t i = 0; i < ARRAY_LEN(AUTH_REPLIES); i++)
		if (AUTH_REPLIES[i].status == s->sasl_status)
			smtp_reply_set(&s->reply, AUTH_REPLIES[i].code, AUTH_REPLIES[i].enhanced,
			    "%s", AUTH_REPLIES[i].text);
}

static void
wipe_line(struct smtp_session *s)
{
	if (s->line.data != NULL)
		mem_wipe(s->line.data, s->line.cap);
	buf_free(&s->line);
}

static void
run_auth(struct smtp_session *s)
{
	struct str line = { s->line.data, s->line.len };

	if (s->state == STATE_AUTH)
		s->sasl_status = sasl_session_next(s->sasl, line, &s->challenge);
	else
		s->sasl_status =
		    sasl_session_start(s->sasl, s->has_line ? &line : NULL, &s->challenge);
	if (s->sasl_status == SASL_STATUS_MORE)
		return;
	set_auth_reply(s);
	if (s->service->handlers->auth != NULL)
		s->service->handlers->auth(s, sasl_session_login(s->sasl),
		    sasl_session_user(s->sasl), sasl_session_mechanism(s->sasl), &s->reply);
}

static void
after_auth(struct smtp_session *s)
{
	wipe_line(s);
	if (s->sasl_status == SASL_STATUS_MORE) {
		buf_adds(&s->out, "334 ");
		buf_add(&s->out, s->challenge.data, s->challenge.len);
		buf_add(&s->out, "\r\n", 2);
		buf_reset(&s->challenge);
		s->state = STATE_AUTH;
		return;
	}
	s->state = STATE_COMMAND;
	if (s->sasl_status == SASL_STATUS_DONE && smtp_reply_is_ok(&s->reply)) {
		s->login = mem_strdup(sasl_session_login(s->sasl));
		s->mechanism = sasl_session_mechanism(s->sasl);
		if (s->stream != NULL)
			net_stream_logged_in(s->stream);
	} else {
		s->bad_commands++;
	}
	sasl_session_free(s->sasl);
	s->sasl = NULL;
	buf_free(&s->challenge);
	if (after_reply(s, &s->reply) == STEP_AGAIN && s->login == NULL &&
	    s->bad_commands > or_default(s->service->bad_commands_max, SMTP_BAD_COMMANDS_MAX))
		finish_with(s, 421, "4.7.0", "Too many failed logins");
}

static void
on_delay(void *arg)
{
	struct smtp_session *s = arg;

	if (s->state != STATE_AUTH_DELAY || s->stream == NULL)
		return;
	run_handler(s, 0, run_auth, after_auth);
}

static enum step
cmd_auth(struct smtp_session *s, struct str args)
{
	struct str mechanism, initial;
	uint64_t delay_ms = 0;

	if (s->service->sasl == NULL)
		return bad_command(s, 502, "5.5.1", "AUTH is not offered");
	if (!s->channel.tls)
		return bad_command(s, 538, "5.7.11", "AUTH needs TLS");
	if (!s->extended || s->helo == NULL || s->login != NULL || s->in_transaction)
		return bad_command(s, 503, "5.5.1", "AUTH is not possible now");
	if (!smtp_parse_auth(args, &mechanism, &initial))
		return bad_command(s, 501, "5.5.4", "Syntax: AUTH mechanism [initial-response]");
	s->sasl = sasl_session_new(s->service->sasl, &s->channel, mechanism);
	if (s->sasl == NULL)
		return bad_command(s, 504, "5.5.4", "Unknown authentication mechanism");
	s->has_line = initial.p != NULL;
	wipe_line(s);
	buf_reserve(&s->line, initial.len + 1);
	buf_add(&s->line, initial.p, initial.len);
	if (s->service->handlers->auth_delay_ms != NULL)
		delay_ms = s->service->handlers->auth_delay_ms(s);
	if (delay_ms == 0)
		return run_handler(s, 0, run_auth, after_auth);
	s->state = STATE_AUTH_DELAY;
	if (s->delay == NULL)
		s->delay = net_timer_new(s->loop, on_delay, s);
	net_stream_timeout(s->stream, 0);
	net_timer_start_ms(s->delay, delay_ms);
	return STEP_WAIT;
}

/* --- STARTTLS, RFC 3207 --- */

static enum step
cmd_starttls(struct smtp_session *s, struct str args)
{
	if (args.len > 0)
		return bad_command(s, 501, "5.5.4", "STARTTLS has no parameters");
	if (!offers_starttls(s))
		return bad_command(s, s->service->tls != NULL ? 503 : 502, "5.5.1",
		    s->tls[0] != '\0' ? "TLS is active already" : "STARTTLS is not offered");
	if (s->in_transaction)
		return bad_command(s, 503, "5.5.1", "Not inside a mail transaction");
	reply_say(s, 220, "2.0.0", "Ready to start TLS");
	flush(s);
	s->state = STATE_TLS;
	net_stream_timeout(s->stream, 0); /* the handshake has its own */
	/* Ends the connection if something came behind the command. */
	net_stream_start_tls(s->stream, s->service->tls);
	return STEP_WAIT;
}

/* --- the transaction --- */

static unsigned
mail_params(const struct smtp_session *s)
{
	unsigned params = SMTP_PARAM_SIZE | SMTP_PARAM_BODY;

	if (!s->extended)
		return 0;
	if (offers_chunking(s))
		params |= SMTP_PARAM_BINARYMIME;
	if (!s->service->no_smtputf8)
		params |= SMTP_PARAM_SMTPUTF8;
	if (s->service->sasl != NULL)
		params |= SMTP_PARAM_AUTH;
	if (s->service->dsn)
		params |= SMTP_PARAM_DSN;
	return params;
}

static enum step
bad_argument(struct smtp_session *s, enum smtp_parse why, const char *address_code)
{
	switch (why) {
	case SMTP_PARSE_ADDRESS: /* a relay's list may have several; no sign of a bad client */
		reply_say(s, 553, address_code, "Bad address syntax");
		return STEP_AGAIN;
	case SMTP_PARSE_UNKNOWN_PARAM:
		return bad_command(s, 555, "5.5.4", "Parameter not recognised or not implemented");
	case SMTP_PARSE_BAD_PARAM: return bad_command(s, 501, "5.5.4", "Bad parameter value");
	case SMTP_PARSE_SYNTAX:
	case SMTP_PARSE_OK: break;
	}
	return bad_command(s, 501, "5.5.4", "Syntax error in parameters");
}

static void
run_mail(struct smtp_session *s)
{
	if (s->service->handlers->mail != NULL)
		s->service->handlers->mail(s, &s->mail, &s->reply);
}

static void
after_mail(struct smtp_session *s)
{
	s->in_transaction = smtp_reply_is_ok(&s->reply);
	after_reply(s, &s->reply);
}

static enum step
cmd_mail(struct smtp_session *s, struct str args)
{
	struct cursor c = cursor_from(args);
	enum smtp_parse result;

	if (s->helo == NULL)
		return bad_command(
		    s, 503, "5.5.1", is_lmtp(s) ? "Say LHLO first" : "Say HELO or EHLO first");
	if (s->service->auth_required && s->login == NULL)
		return bad_command(s, 530, "5.7.0", "Authentication required");
	if (s->in_transaction)
		return bad_command(s, 503, "5.5.1", "Sender is given already");
	if (!cursor_take_nocase(&c, STR("FROM:")))
		return bad_command(s, 501, "5.5.4", "Syntax: MAIL FROM:<address>");
	forget_transaction(s);
	result = smtp_parse_mail(
	    (struct str){ c.p, cursor_left(&c) }, mail_params(s), &s->arena, &s->mail);
	if (result != SMTP_PARSE_OK)
		return bad_argument(s, result, "5.1.7");
	if (s->mail.size_bytes > s->service->size_max_bytes) {
		reply_say(s, 552, "5.3.4", "Message size exceeds the limit");
		return STEP_AGAIN;
	}
	smtp_reply_set(&s->reply, 250, "2.1.0", "Sender OK");
	return run_handler(s, SMTP_FAST_MAIL, run_mail, after_mail);
}

static void
run_rcpt(struct smtp_session *s)
{
	s->service->handlers->rcpt(s, &s->rcpt, &s->reply);
}

static void
after_rcpt(struct smtp_session *s)
{
	if (smtp_reply_is_ok(&s->reply))
		s->rcpt_count++;
	after_reply(s, &s->reply);
}

static enum step
cmd_rcpt(struct smtp_session *s, struct str args)
{
	struct cursor c = cursor_from(args);
	enum smtp_parse result;

	if (!s->in_transaction)
		return bad_command(s, 503, "5.5.1", "Say MAIL first");
	if (s->bdat_begun)
		return bad_command(s, 503, "5.5.1", "Not between BDAT chunks");
	if (++s->rcpt_commands > rcpt_max(s) + RCPT_COMMANDS_MORE)
		return finish_with(s, 421, "4.7.0", "Too many recipients refused");
	if (!cursor_take_nocase(&c, STR("TO:")))
		return bad_command(s, 501, "5.5.4", "Syntax: RCPT TO:<address>");
	result = smtp_parse_rcpt((struct str){ c.p, cursor_left(&c) }, mail_params(s),
	    s->mail.smtputf8, &s->arena, &s->rcpt);
	if (result != SMTP_PARSE_OK)
		return bad_argument(s, result, "5.1.3");
	if (s->rcpt_count >= rcpt_max(s)) {
		reply_say(s, 452, "4.5.3", "Too many recipients"); /* RFC 5321 §4.5.3.1.10 */
		return STEP_AGAIN;
	}
	smtp_reply_set(&s->reply, 250, "2.1.5", "Recipient OK");
	return run_handler(s, SMTP_FAST_RCPT, run_rcpt, after_rcpt);
}

/* --- data --- */

static void
run_data_begin(struct smtp_session *s)
{
	if (s->service->handlers->data_begin != NULL)
		s->service->handlers->data_begin(s, &s->reply);
}

static void
after_data_begin(struct smtp_session *s)
{
	if (!smtp_reply_is_ok(&s->reply)) {
		after_reply(s, &s->reply);
		return;
	}
	reply_say(s, 354, "", s->reply.text);
	s->state = STATE_DATA;
}

static enum step
cmd_data(struct smtp_session *s, struct str args)
{
	if (args.len > 0)
		return bad_command(s, 501, "5.5.4", "DATA has no parameters");
	if (!s->in_transaction)
		return bad_command(s, 503, "5.5.1", "Say MAIL first");
	if (s->bdat_begun || s->mail.body == SMTP_BODY_BINARYMIME) /* RFC 3030 §2, §3 */
		return bad_command(s, 503, "5.5.1", "This message must go by BDAT");
	if (s->rcpt_count == 0) { /* RFC 5321 §3.3, RFC 2033 §4.2; no mistake when pipelining */
		reply_say(s, 503, "5.5.1", "No valid recipients");
		return STEP_AGAIN;
	}
	smtp_reply_set(&s->reply, 354, "", "End data with <CR><LF>.<CR><LF>");
	return run_handler(s, SMTP_FAST_DATA_BEGIN, run_data_begin, after_data_begin);
}

/* The verdict on a message that data_end() shall not see; false if it shall. */
static bool
data_is_refused(struct smtp_session *s, struct smtp_reply *r)
{
	if (s->too_big) {
		s->why = SMTP_RESET_TOO_BIG;
		smtp_reply_set(r, 552, "5.3.4", "Message size exceeds the limit");
	} else if (s->write_failed) {
		s->why = SMTP_RESET_BAD_DATA;
		smtp_reply_set(r, 451, "4.3.0", "Cannot store the message now");
	} else if (s->service->refuse_bare_newlines && s->dots.bare_newline &&
		   s->mail.body != SMTP_BODY_BINARYMIME) {
		s->why = SMTP_RESET_BAD_DATA;
		smtp_reply_set(r, 550, "5.6.11", "Message has a bare CR or LF");
	} else {
		return false;
	}
	return true;
}

static void
run_data(struct smtp_session *s)
{
	const struct smtp_handlers *h = s->service->handlers;
	struct smtp_reply refused;

	if (s->bytes.len > 0 && !s->too_big && !s->write_failed)
		s->write_failed = !h->data_write(s, s->bytes.data, s->bytes.len);
	buf_reset(&s->bytes);
	if (!s->data_complete)
		return;
	s->reply_count = is_lmtp(s) ? s->rcpt_count : 1;
	s->replies = mem_realloc_array(NULL, s->reply_count, sizeof(*s->replies));
	for (size_t i = 0; i < s->reply_count; i++)
		smtp_reply_set(&s->replies[i], 250, "2.0.0", "Message accepted");
	if (!data_is_refused(s, &refused)) {
		h->data_end(s, s->replies, s->reply_count);
		s->in_transaction = false;
		return;
	}
	for (size_t i = 0; i < s->reply_count; i++)
		s->replies[i] = refused;
	run_reset(s);
}

static void
after_data(struct smtp_session *s)
{
	bool last = false;

	if (!s->data_complete)
		return;
	for (size_t i = 0; i < s->reply_count; i++) {
		reply_send(s, &s->replies[i]);
		last = last || s->replies[i].code == 421;
	}
	free(s->replies);
	s->replies = NULL;
	s->state = STATE_COMMAND;
	forget_transaction(s);
	if (last)
		finish(s);
}

static void
note_size(struct smtp_session *s, size_t more_bytes)
{
	s->total_bytes += more_bytes;
	if (s->total_bytes > s->service->size_max_bytes)
		s->too_big = true;
	if (s->too_big || s->write_failed)
		buf_free(&s->bytes);
}

static enum step
step_data(struct smtp_session *s)
{
	const char *in;
	size_t len, used, before = s->bytes.len;

	net_stream_input(s->stream, &in, &len);
	if (len == 0)
		return STEP_WAIT;
	used = smtp_dots_decode(&s->dots, in, len, &s->bytes);
	net_stream_consume(s->stream, used);
	note_size(s, s->bytes.len - before);
	s->data_complete = s->dots.state == SMTP_DOTS_END;
	if (s->data_complete || s->bytes.len >= SMTP_DATA_CHUNK_BYTES)
		return run_handler(s, 0, run_data, after_data);
	return STEP_AGAIN;
}

/* --- BDAT, RFC 3030 --- */

static void
after_bdat_begin(struct smtp_session *s)
{
	s->state = STATE_BDAT;
	s->bdat_begun = true;
	if (smtp_reply_is_ok(&s->reply))
		return;
	s->chunk_ignored = true; /* its bytes come all the same */
}

static enum step
cmd_bdat(struct smtp_session *s, struct str args)
{
	uint64_t size;

	/* What cannot be read as a number cannot be skipped either. */
	if (!offers_chunking(s) || !smtp_parse_bdat(args, &size, &s->chunk_last))
		return finish_with(s, 421, "4.5.4", "Cannot follow this BDAT");
	s->chunk_left = s->chunk_bytes = size;
	s->chunk_ignored = true;
	s->state = STATE_BDAT;
	if (!s->in_transaction)
		smtp_reply_set(&s->reply, 503, "5.5.1", "Say MAIL first");
	else if (s->rcpt_count == 0)
		smtp_reply_set(&s->reply, 503, "5.5.1", "No valid recipients");
	else
		s->chunk_ignored = false;
	if (s->chunk_ignored || s->bdat_begun)
		return STEP_AGAIN;
	smtp_reply_set(&s->reply, 354, "", "Go on");
	return run_handler(s, SMTP_FAST_DATA_BEGIN, run_data_begin, after_bdat_begin);
}

static void
after_bdat_refused(struct smtp_session *s)
{
	s->state = STATE_COMMAND;
	forget_transaction(s);
	after_reply(s, &s->reply);
}

/* The chunk is read to its end. */
static enum step
end_chunk(struct smtp_session *s)
{
	char text[64];
	bool broken = s->too_big || s->write_failed;

	if (s->chunk_ignored || (broken && !s->chunk_last)) {
		s->why = SMTP_RESET_COMMAND;
		if (!s->chunk_ignored)
			data_is_refused(s, &s->reply);
		/* Chunks that follow find no transaction, RFC 3030 §2. */
		return run_handler(s, SMTP_FAST_RESET, run_reset, after_bdat_refused);
	}
	if (s->chunk_last) {
		s->data_complete = true;
		s->dots.bare_newline = s->dots.bare_newline || s->dots.state == SMTP_DOTS_CR;
		return run_handler(s, 0, run_data, after_data);
	}
	snprintf(text, sizeof(text), "%llu octets received", (unsigned long long)s->chunk_bytes);
	reply_say(s, 250, "2.0.0", text);
	s->state = STATE_COMMAND;
	return STEP_AGAIN;
}

static enum step
step_bdat(struct smtp_session *s)
{
	const char *in;
	size_t len;

	if (s->chunk_left == 0)
		return end_chunk(s);
	net_stream_input(s->stream, &in, &len);
	if (len == 0)
		return STEP_WAIT;
	if (len > s->chunk_left)
		len = (size_t)s->chunk_left;
	s->chunk_left -= len;
	if (!s->chunk_ignored) {
		smtp_dots_check(&s->dots, in, len);
		buf_add(&s->bytes, in, len);
		note_size(s, len);
	}
	net_stream_consume(s->stream, len);
	if (s->bytes.len >= SMTP_DATA_CHUNK_BYTES)
		return run_handler(s, 0, run_data, after_data);
	return STEP_AGAIN;
}

/* --- the small commands --- */

static void
after_reset(struct smtp_session *s)
{
	forget_transaction(s);
	reply_say(s, 250, "2.0.0", "OK");
}

static void
run_rset(struct smtp_session *s)
{
	s->why = SMTP_RESET_COMMAND;
	run_reset(s);
}

static enum step
cmd_rset(struct smtp_session *s, struct str args)
{
	(void)args;
	if (s->in_transaction)
		return run_handler(s, SMTP_FAST_RESET, run_rset, after_reset);
	after_reset(s);
	return STEP_AGAIN;
}

static enum step
cmd_noop(struct smtp_session *s, struct str args)
{
	(void)args;
	reply_say(s, 250, "2.0.0", "OK");
	return STEP_AGAIN;
}

/* RFC 5321 §3.5.3: neither yes nor no */
static enum step
cmd_vrfy(struct smtp_session *s, struct str args)
{
	if (args.len == 0)
		return bad_command(s, 501, "5.5.4", "Syntax: VRFY address");
	reply_say(s, 252, "2.5.0", "Cannot verify; try RCPT");
	return STEP_AGAIN;
}

static enum step
cmd_expn(struct smtp_session *s, struct str args)
{
	(void)args;
	reply_say(s, 502, "5.5.1", "EXPN is not implemented");
	return STEP_AGAIN;
}

static enum step
cmd_help(struct smtp_session *s, struct str args)
{
	(void)args;
	reply_say(s, 214, "2.0.0", "See RFC 5321");
	return STEP_AGAIN;
}

static enum step
cmd_quit(struct smtp_session *s, struct str args)
{
	(void)args;
	return finish_with(s, 221, "2.0.0", "Goodbye");
}

static const struct command COMMANDS[] = {
	/* name, function, before TLS, SMTP, LMTP */
	{ "AUTH", cmd_auth, false, true, true },
	{ "BDAT", cmd_bdat, true, true, true }, /* its chunk must be read in any case */
	{ "DATA", cmd_data, false, true, true },
	{ "EHLO", cmd_ehlo, true, true, false },
	{ "EXPN", cmd_expn, false, true, true },
	{ "HELO", cmd_helo, true, true, false },
	{ "HELP", cmd_help, true, true, true },
	{ "LHLO", cmd_ehlo, true, false, true },
	{ "MAIL", cmd_mail, false, true, true },
	{ "NOOP", cmd_noop, true, true, true },
	{ "QUIT", cmd_quit, true, true, true },
	{ "RCPT", cmd_rcpt, false, true, true },
	{ "RSET", cmd_rset, true, true, true },
	{ "STARTTLS", cmd_starttls, true, true, true },
	{ "VRFY", cmd_vrfy, false, true, true },
};

static const struct command *
find_command(const struct smtp_session *s, struct str verb)
{
	for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
		if (str_eq_nocase(verb, str_from(COMMANDS[i].name)) &&
		    (is_lmtp(s) ? COMMANDS[i].lmtp : COMMANDS[i].submission))
			return &COMMANDS[i];
	return NULL;
}

static bool
has_control_bytes(struct str line)
{
	for (size_t i = 0; i < line.len; i++)
		if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7F)
			return true;
	return false;
}

/* command = verb [SP arguments], RFC 5321 §4.1.1; blanks at the end are nothing */
static enum step
run_command(struct smtp_session *s, struct str line)
{
	struct cursor c;
	struct str verb, args;
	const struct command *command;

	while (line.len > 0 && (line.p[line.len - 1] == ' ' || line.p[line.len - 1] == '\t'))
		line.len--;
	if (has_control_bytes(line))
		return bad_command(s, 500, "5.5.2", "Control bytes in a command");
	c = cursor_from(line);
	verb = cursor_take_while(&c, ascii_is_alpha);
	while (cursor_take(&c, ' '))
		;
	args = (struct str){ c.p, cursor_left(&c) };
	command = find_command(s, verb);
	if (command == NULL || (args.len > 0 && args.p == verb.p + verb.len))
		return bad_command(s, 500, "5.5.1", "Command not recognised");
	if (line.len > SMTP_LINE_MAX_BYTES && command->run != cmd_auth)
		return bad_command(s, 500, "5.5.2", "Line too long");
	if (s->service->tls_required && s->tls[0] == '\0' && !command->before_tls)
		return bad_command(s, 530, "5.7.0", "Must issue a STARTTLS command first");
	return command->run(s, args);
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
static enum step
step_command(struct smtp_session *s)
{
	struct str line;
	char *copy;
	size_t used = 0;
	enum line got;
	enum step step;

	if (s->draining)
		return finish_with(s, 421, "4.3.2", "Service shutting down");
	got = next_line(s, &line, &used);
	if (got == LINE_NONE)
		return STEP_WAIT;
	if (got != LINE_OK) {
		net_stream_consume(s->stream, used);
		return bad_command(
		    s, 500, "5.5.2", got == LINE_BARE_LF ? "Lines end with CRLF" : "Line too long");
	}
	copy = mem_strndup(line.p, line.len); /* STARTTLS must find it consumed */
	line.p = copy;
	net_stream_consume(s->stream, used);
	step = run_command(s, line);
	mem_wipe(copy, line.len); /* an initial response is a password */
	free(copy);
	return step;
}

/* Waits for: the client's next line of the exchange. */
static enum step
step_auth(struct smtp_session *s)
{
	struct str line;
	size_t used = 0;
	enum line got = next_line(s, &line, &used);

	if (got == LINE_NONE)
		return STEP_WAIT;
	wipe_line(s);
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
	return run_handler(s, 0, run_auth, after_auth);
}

/* --- the loop --- */

static unsigned
silence_s(const struct smtp_session *s)
{
	return s->state == STATE_DATA || s->state == STATE_BDAT
		   ? or_default(s->service->data_timeout_s, SMTP_DATA_TIMEOUT_S)
		   : or_default(s->service->command_timeout_s, SMTP_COMMAND_TIMEOUT_S);
}

static enum step
run_state(struct smtp_session *s)
{
	switch (s->state) {
	case STATE_COMMAND: return step_command(s);
	case STATE_AUTH: return step_auth(s);
	case STATE_DATA: return step_data(s);
	case STATE_BDAT: return step_bdat(s);
	case STATE_TLS:
	case STATE_AUTH_DELAY:
	case STATE_CLOSING: break;
	}
	return STEP_WAIT;
}

static void
session_run(struct smtp_session *s)
{
	enum step step = STEP_AGAIN;

	if (s->busy || s->ending)
		return;
	if (s->stream == NULL) {
		session_end(s);
		return;
	}
	while (step == STEP_AGAIN && s->state != STATE_CLOSING) {
		/* Somebody who sends and never reads waits here for himself: on_drained goes on. */
		if (s->out.len + net_stream_pending(s->stream) > NET_OUTPUT_HIGH_BYTES)
			break;
		step = run_state(s);
	}
	if (s->busy || s->state == STATE_CLOSING)
		return;
	flush(s);
	if (s->eof && step == STEP_WAIT && s->state != STATE_AUTH_DELAY) {
		finish(s); /* nothing more will come */
		return;
	}
	if (s->state != STATE_TLS && s->state != STATE_AUTH_DELAY)
		net_stream_timeout(s->stream, silence_s(s));
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
		greet(s);
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
		finish_with(s, 421, "4.4.2", "Timeout, closing connection");
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

/* A session has lived long enough: it ends as soon as no message is on its way. */
static void
on_life_over(void *arg)
{
	struct smtp_session *s = arg;

	smtp_server_drain(s);
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
	s->on_end_arg = on_end_arg;
	snprintf(s->peer, sizeof(s->peer), "%s", net_stream_peer(stream));
	s->has_peer_ip = ip != NULL;
	if (ip != NULL)
		s->peer_ip = *ip;
	s->channel.peer = s->peer;
	s->life = net_timer_new(s->loop, on_life_over, s);
	net_timer_start_s(s->life, or_default(service->session_timeout_s, SMTP_SESSION_TIMEOUT_S));
	net_stream_begin(stream, &STREAM_EVENTS, s);
	if (service->implicit_tls) {
		s->state = STATE_TLS;
		net_stream_start_tls(stream, service->tls);
		return s;
	}
	s->state = STATE_COMMAND;
	greet(s);
	session_run(s);
	return s;
}

void
smtp_server_drain(struct smtp_session *s)
{
	s->draining = true;
	session_run(s);
}

void *
smtp_session_data(const struct smtp_session *s)
{
	return s->data;
}

void
smtp_session_set_data(struct smtp_session *s, void *data)
{
	s->data = data;
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

struct log *
smtp_session_log(const struct smtp_session *s)
{
	return s->log;
}
