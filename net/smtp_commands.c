/* The commands of SMTP and LMTP, one function each, and their table. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "net/loop.h"
#include "net/smtp_session.h"
#include "net/stream.h"

#define RCPT_COMMANDS_MORE 1000 /* refused ones that a transaction may have beyond rcpt_max */

/* --- commands --- */

struct command {
	const char *name;
	enum smtp_step (*run)(struct smtp_session *s, struct str args);
	bool before_tls; /* also where TLS is required and not there */
	bool submission; /* false: not with LMTP */
	bool lmtp;
};

enum smtp_step
smtp_command_bad(struct smtp_session *s, int code, const char *enhanced, const char *text)
{
	if (++s->bad_commands >
	    smtp_or_default(s->service->bad_commands_max, SMTP_BAD_COMMANDS_MAX))
		return smtp_session_finish_with(s, 421, "4.7.0", "Too many bad commands");
	smtp_session_say(s, code, enhanced, text);
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
	smtp_session_reply(s, &s->reply);
	if (!ok)
		smtp_session_finish(s);
}

void
smtp_command_greeting(struct smtp_session *s, struct smtp_reply *r)
{
	const char *software = s->service->software;

	smtp_reply_set(r, 220, "", "%s %s%s%s", s->service->hostname,
	    smtp_is_lmtp(s) ? "LMTP" : "ESMTP", software != NULL ? " " : "",
	    software != NULL ? software : "");
}

enum smtp_step
smtp_command_greet(struct smtp_session *s)
{
	smtp_command_greeting(s, &s->reply);
	return smtp_session_run_handler(s, SMTP_FAST_CONNECT, run_connect, after_connect);
}

static bool
offers_starttls(const struct smtp_session *s)
{
	return s->service->tls != NULL && !s->service->implicit_tls && s->tls[0] == '\0';
}

static unsigned
rcpt_max(const struct smtp_session *s)
{
	return smtp_or_default(s->service->rcpt_max, SMTP_RCPT_MAX);
}

/* LIMITS, RFC 9422 §3: what is enforced, and no more. */
static void
add_limits(const struct smtp_session *s, struct buf *lines)
{
	const struct smtp_service *sv = s->service;

	buf_printf(lines, "\nLIMITS RCPTMAX=%u", rcpt_max(s));
	if (sv->mail_max > 0)
		buf_printf(lines, " MAILMAX=%u", sv->mail_max);
	if (sv->rcpt_domain_max > 0)
		buf_printf(lines, " RCPTDOMAINMAX=%u", sv->rcpt_domain_max);
}

/* max-future-release-interval SP max-future-release-date-time, RFC 4865 §3 */
static void
add_future_release(const struct smtp_session *s, struct buf *lines)
{
	time_t latest = time(NULL) + (time_t)s->service->hold_max_s;
	char text[32];
	struct tm tm;

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&latest, &tm));
	buf_printf(
	    lines, "\nFUTURERELEASE %llu %s", (unsigned long long)s->service->hold_max_s, text);
}

/* The extensions that a service takes or leaves. */
static void
add_chosen(struct smtp_session *s, struct buf *lines)
{
	const struct smtp_service *sv = s->service;

	if (sv->dsn)
		buf_adds(lines, "\nDSN");
	if (sv->deliver_by && sv->by_min_s > 0)
		buf_printf(lines, "\nDELIVERBY %u", sv->by_min_s);
	else if (sv->deliver_by)
		buf_adds(lines, "\nDELIVERBY");
	if (sv->hold_max_s > 0)
		add_future_release(s, lines);
	if (sv->priority != NULL)
		buf_printf(lines, "\nMT-PRIORITY %s", sv->priority);
	if (sv->requiretls && s->tls[0] != '\0') /* RFC 8689 §2: not in the clear */
		buf_adds(lines, "\nREQUIRETLS");
	if (sv->limits)
		add_limits(s, lines);
	if (smtp_xclient_is_offered(s))
		smtp_xclient_keyword(lines);
}

static void
add_keywords(struct smtp_session *s, struct buf *lines)
{
	struct buf mechanisms = { 0 };

	buf_adds(lines, "\nPIPELINING\n8BITMIME\nENHANCEDSTATUSCODES");
	buf_printf(lines, "\nSIZE %llu", (unsigned long long)s->service->size_max_bytes);
	if (smtp_offers_chunking(s))
		buf_adds(lines, "\nCHUNKING\nBINARYMIME");
	if (!s->service->no_smtputf8)
		buf_adds(lines, "\nSMTPUTF8");
	add_chosen(s, lines);
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
	smtp_session_run_reset(s); /* RFC 5321 §4.1.4: as if RSET had been said */
	if (s->service->handlers->helo != NULL)
		s->service->handlers->helo(s, s->new_helo, &s->reply);
}

static void
after_helo(struct smtp_session *s)
{
	struct buf lines = { 0 };

	if (!smtp_reply_is_ok(&s->reply)) {
		smtp_session_forget_transaction(s);
		smtp_session_after_reply(s, &s->reply);
		return;
	}
	free(s->helo);
	s->helo = mem_strdup(s->new_helo);
	smtp_session_forget_transaction(s);
	buf_adds(&lines, s->reply.text);
	if (s->extended)
		add_keywords(s, &lines);
	smtp_session_add_reply(&s->out, s->reply.code, "", buf_cstr(&lines));
	buf_free(&lines);
}

static enum smtp_step
greet_back(struct smtp_session *s, struct str args, bool extended)
{
	unsigned fast = s->in_transaction ? SMTP_FAST_RESET | SMTP_FAST_HELO : SMTP_FAST_HELO;

	if (!smtp_parse_helo(args, !s->service->no_smtputf8, &s->arena, &s->new_helo))
		return smtp_command_bad(s, 501, "5.5.4", "Syntax: a host name or address literal");
	s->extended = extended;
	smtp_reply_set(&s->reply, 250, "", "%s Hello %s", s->service->hostname, s->new_helo);
	if ((s->service->handlers->fast & fast) != fast)
		fast = 0;
	return smtp_session_run_handler(s, fast, run_helo, after_helo);
}

static enum smtp_step
cmd_helo(struct smtp_session *s, struct str args)
{
	return greet_back(s, args, false);
}

static enum smtp_step
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
	{ SASL_STATUS_NOT_AUTHORIZED, 535, "5.7.8", "Not allowed to act as that user" },
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

void
smtp_command_wipe_line(struct smtp_session *s)
{
	if (s->line.data != NULL)
		mem_wipe(s->line.data, s->line.cap);
	buf_free(&s->line);
}

void
smtp_command_run_auth(struct smtp_session *s)
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

void
smtp_command_after_auth(struct smtp_session *s)
{
	smtp_command_wipe_line(s);
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
		smtp_session_start_life(s);
		if (s->stream != NULL)
			net_stream_logged_in(s->stream);
	} else {
		s->bad_commands++;
	}
	sasl_session_free(s->sasl);
	s->sasl = NULL;
	buf_free(&s->challenge);
	if (smtp_session_after_reply(s, &s->reply) == STEP_AGAIN && s->login == NULL &&
	    s->bad_commands > smtp_or_default(s->service->bad_commands_max, SMTP_BAD_COMMANDS_MAX))
		smtp_session_finish_with(s, 421, "4.7.0", "Too many failed logins");
}

static void
on_delay(void *arg)
{
	struct smtp_session *s = arg;

	if (s->state != STATE_AUTH_DELAY || s->stream == NULL)
		return;
	smtp_session_run_handler(s, 0, smtp_command_run_auth, smtp_command_after_auth);
}

static enum smtp_step
cmd_auth(struct smtp_session *s, struct str args)
{
	struct str mechanism, initial;
	uint64_t delay_ms = 0;

	if (s->service->sasl == NULL)
		return smtp_command_bad(s, 502, "5.5.1", "AUTH is not offered");
	if (!s->channel.tls)
		return smtp_command_bad(s, 538, "5.7.11", "AUTH needs TLS");
	if (!s->extended || s->helo == NULL || s->login != NULL || s->in_transaction)
		return smtp_command_bad(s, 503, "5.5.1", "AUTH is not possible now");
	if (!smtp_parse_auth(args, &mechanism, &initial))
		return smtp_command_bad(
		    s, 501, "5.5.4", "Syntax: AUTH mechanism [initial-response]");
	s->sasl = sasl_session_new(s->service->sasl, &s->channel, mechanism);
	if (s->sasl == NULL)
		return smtp_command_bad(s, 504, "5.5.4", "Unknown authentication mechanism");
	s->has_line = initial.p != NULL;
	smtp_command_wipe_line(s);
	buf_reserve(&s->line, initial.len + 1);
	buf_add(&s->line, initial.p, initial.len);
	if (s->service->handlers->auth_delay_ms != NULL)
		delay_ms = s->service->handlers->auth_delay_ms(s);
	if (delay_ms == 0)
		return smtp_session_run_handler(
		    s, 0, smtp_command_run_auth, smtp_command_after_auth);
	s->state = STATE_AUTH_DELAY;
	if (s->delay == NULL)
		s->delay = net_timer_new(s->loop, on_delay, s);
	net_stream_timeout(s->stream, 0);
	net_timer_start_ms(s->delay, delay_ms);
	return STEP_WAIT;
}

/* --- STARTTLS, RFC 3207 --- */

static enum smtp_step
cmd_starttls(struct smtp_session *s, struct str args)
{
	if (args.len > 0)
		return smtp_command_bad(s, 501, "5.5.4", "STARTTLS has no parameters");
	if (!offers_starttls(s))
		return smtp_command_bad(s, s->service->tls != NULL ? 503 : 502, "5.5.1",
		    s->tls[0] != '\0' ? "TLS is active already" : "STARTTLS is not offered");
	if (s->in_transaction)
		return smtp_command_bad(s, 503, "5.5.1", "Not inside a mail transaction");
	smtp_session_say(s, 220, "2.0.0", "Ready to start TLS");
	smtp_session_flush(s);
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
	if (smtp_offers_chunking(s))
		params |= SMTP_PARAM_BINARYMIME;
	if (!s->service->no_smtputf8)
		params |= SMTP_PARAM_SMTPUTF8;
	if (s->service->sasl != NULL)
		params |= SMTP_PARAM_AUTH;
	if (s->service->dsn)
		params |= SMTP_PARAM_DSN;
	if (s->service->requiretls && s->tls[0] != '\0')
		params |= SMTP_PARAM_REQUIRETLS;
	if (s->service->priority != NULL)
		params |= SMTP_PARAM_PRIORITY;
	if (s->service->deliver_by)
		params |= SMTP_PARAM_BY;
	if (s->service->hold_max_s > 0)
		params |= SMTP_PARAM_HOLD;
	return params;
}

static enum smtp_step
bad_argument(struct smtp_session *s, enum smtp_parse why, const char *address_code)
{
	switch (why) {
	case SMTP_PARSE_ADDRESS: /* a relay's list may have several; no sign of a bad client */
		smtp_session_say(s, 553, address_code, "Bad address syntax");
		return STEP_AGAIN;
	case SMTP_PARSE_UNKNOWN_PARAM:
		return smtp_command_bad(
		    s, 555, "5.5.4", "Parameter not recognised or not implemented");
	case SMTP_PARSE_BAD_PARAM: return smtp_command_bad(s, 501, "5.5.4", "Bad parameter value");
	case SMTP_PARSE_SYNTAX:
	case SMTP_PARSE_OK: break;
	}
	return smtp_command_bad(s, 501, "5.5.4", "Syntax error in parameters");
}

/* How long the client wants the message held from now on, in seconds; may be in the past. */
static int64_t
hold_s(const struct smtp_mail *mail)
{
	return mail->hold_mode == 'U' ? mail->hold - (int64_t)time(NULL) : mail->hold;
}

/* What is well formed and yet more, or less, than was offered; NULL if all is well. */
static const char *
beyond_offer(const struct smtp_session *s)
{
	const struct smtp_service *sv = s->service;
	const struct smtp_mail *m = &s->mail;

	if (m->hold_mode != 0 && hold_s(m) > (int64_t)sv->hold_max_s) /* RFC 4865 §4 */
		return "The time of release is too far off";
	if (m->by_mode == 'R' && m->by_seconds < (int64_t)sv->by_min_s) /* RFC 2852 §4.1.3 */
		return "The time for delivery is less than the least";
	if (m->by_mode == 'R' && m->hold_mode != 0 && hold_s(m) >= m->by_seconds)
		return "The time for delivery ends before the release";
	return NULL;
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
	s->mail_count += s->in_transaction;
	smtp_session_after_reply(s, &s->reply);
}

static enum smtp_step
cmd_mail(struct smtp_session *s, struct str args)
{
	struct cursor c = cursor_from(args);
	enum smtp_parse result;
	const char *beyond;

	if (s->helo == NULL)
		return smtp_command_bad(
		    s, 503, "5.5.1", smtp_is_lmtp(s) ? "Say LHLO first" : "Say HELO or EHLO first");
	if (s->service->auth_required && s->login == NULL)
		return smtp_command_bad(s, 530, "5.7.0", "Authentication required");
	if (s->in_transaction)
		return smtp_command_bad(s, 503, "5.5.1", "Sender is given already");
	if (!cursor_take_nocase(&c, STR("FROM:")))
		return smtp_command_bad(s, 501, "5.5.4", "Syntax: MAIL FROM:<address>");
	smtp_session_forget_transaction(s);
	result = smtp_parse_mail(
	    (struct str){ c.p, cursor_left(&c) }, mail_params(s), &s->arena, &s->mail);
	if (result != SMTP_PARSE_OK)
		return bad_argument(s, result, "5.1.7");
	if (s->mail.size_bytes > s->service->size_max_bytes) {
		smtp_session_say(s, 552, "5.3.4", "Message size exceeds the limit");
		return STEP_AGAIN;
	}
	beyond = beyond_offer(s);
	if (beyond != NULL)
		return smtp_command_bad(s, 501, "5.5.4", beyond);
	if (s->service->mail_max > 0 && s->mail_count >= s->service->mail_max) {
		smtp_session_say(s, 452, "4.5.3", "Too many messages in one connection");
		return STEP_AGAIN;
	}
	smtp_reply_set(&s->reply, 250, "2.1.0", "Sender OK");
	return smtp_session_run_handler(s, SMTP_FAST_MAIL, run_mail, after_mail);
}

static void
run_rcpt(struct smtp_session *s)
{
	s->service->handlers->rcpt(s, &s->rcpt, &s->reply);
}

static bool
knows_domain(const struct smtp_session *s, const char *domain)
{
	for (unsigned i = 0; i < s->domain_count; i++)
		if (strcmp(s->domains[i], domain) == 0) /* lower case, both */
			return true;
	return false;
}

static void
note_domain(struct smtp_session *s, const char *domain)
{
	unsigned max = s->service->rcpt_domain_max;

	if (max == 0 || knows_domain(s, domain))
		return;
	if (s->domains == NULL)
		s->domains = arena_alloc(&s->arena, max * sizeof(*s->domains));
	s->domains[s->domain_count++] = domain;
}

static void
after_rcpt(struct smtp_session *s)
{
	if (smtp_reply_is_ok(&s->reply)) {
		s->rcpt_count++;
		note_domain(s, s->rcpt.to.domain);
	}
	smtp_session_after_reply(s, &s->reply);
}

static enum smtp_step
cmd_rcpt(struct smtp_session *s, struct str args)
{
	struct cursor c = cursor_from(args);
	enum smtp_parse result;

	if (!s->in_transaction)
		return smtp_command_bad(s, 503, "5.5.1", "Say MAIL first");
	if (s->bdat_begun)
		return smtp_command_bad(s, 503, "5.5.1", "Not between BDAT chunks");
	if (++s->rcpt_commands > rcpt_max(s) + RCPT_COMMANDS_MORE)
		return smtp_session_finish_with(s, 421, "4.7.0", "Too many recipients refused");
	if (!cursor_take_nocase(&c, STR("TO:")))
		return smtp_command_bad(s, 501, "5.5.4", "Syntax: RCPT TO:<address>");
	result = smtp_parse_rcpt((struct str){ c.p, cursor_left(&c) }, mail_params(s),
	    s->mail.smtputf8, &s->arena, &s->rcpt);
	if (result != SMTP_PARSE_OK)
		return bad_argument(s, result, "5.1.3");
	if (s->rcpt_count >= rcpt_max(s)) {
		smtp_session_say(s, 452, "4.5.3", "Too many recipients"); /* RFC 5321 §4.5.3.1.10 */
		return STEP_AGAIN;
	}
	if (s->service->rcpt_domain_max > 0 && s->domain_count >= s->service->rcpt_domain_max &&
	    !knows_domain(s, s->rcpt.to.domain)) { /* RFC 9422 §4.3 */
		smtp_session_say(s, 452, "4.5.3", "Too many domains in one message");
		return STEP_AGAIN;
	}
	smtp_reply_set(&s->reply, 250, "2.1.5", "Recipient OK");
	return smtp_session_run_handler(s, SMTP_FAST_RCPT, run_rcpt, after_rcpt);
}

/* --- the small commands --- */

static void
after_reset(struct smtp_session *s)
{
	smtp_session_forget_transaction(s);
	smtp_session_say(s, 250, "2.0.0", "OK");
}

static void
run_rset(struct smtp_session *s)
{
	s->why = SMTP_RESET_COMMAND;
	smtp_session_run_reset(s);
}

static enum smtp_step
cmd_rset(struct smtp_session *s, struct str args)
{
	(void)args;
	if (s->in_transaction)
		return smtp_session_run_handler(s, SMTP_FAST_RESET, run_rset, after_reset);
	after_reset(s);
	return STEP_AGAIN;
}

static enum smtp_step
cmd_noop(struct smtp_session *s, struct str args)
{
	(void)args;
	smtp_session_say(s, 250, "2.0.0", "OK");
	return STEP_AGAIN;
}

/* RFC 5321 §3.5.3: neither yes nor no */
static enum smtp_step
cmd_vrfy(struct smtp_session *s, struct str args)
{
	if (args.len == 0)
		return smtp_command_bad(s, 501, "5.5.4", "Syntax: VRFY address");
	smtp_session_say(s, 252, "2.5.0", "Cannot verify; try RCPT");
	return STEP_AGAIN;
}

static enum smtp_step
cmd_expn(struct smtp_session *s, struct str args)
{
	(void)args;
	smtp_session_say(s, 502, "5.5.1", "EXPN is not implemented");
	return STEP_AGAIN;
}

static enum smtp_step
cmd_help(struct smtp_session *s, struct str args)
{
	(void)args;
	smtp_session_say(s, 214, "2.0.0", "See RFC 5321");
	return STEP_AGAIN;
}

static enum smtp_step
cmd_quit(struct smtp_session *s, struct str args)
{
	(void)args;
	return smtp_session_finish_with(s, 221, "2.0.0", "Goodbye");
}

static const struct command COMMANDS[] = {
	/* name, function, before TLS, SMTP, LMTP */
	{ "AUTH", cmd_auth, false, true, true },
	{ "BDAT", smtp_data_bdat, true, true, true }, /* its chunk must be read in any case */
	{ "DATA", smtp_data_command, false, true, true },
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
	{ "XCLIENT", smtp_xclient_command, true, true, true },
};

static const struct command *
find_command(const struct smtp_session *s, struct str verb)
{
	for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
		if (str_eq_nocase(verb, str_from(COMMANDS[i].name)) &&
		    (smtp_is_lmtp(s) ? COMMANDS[i].lmtp : COMMANDS[i].submission))
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
enum smtp_step
smtp_command_run(struct smtp_session *s, struct str line)
{
	struct cursor c;
	struct str verb, args;
	const struct command *command;

	while (line.len > 0 && (line.p[line.len - 1] == ' ' || line.p[line.len - 1] == '\t'))
		line.len--;
	if (has_control_bytes(line))
		return smtp_command_bad(s, 500, "5.5.2", "Control bytes in a command");
	c = cursor_from(line);
	verb = cursor_take_while(&c, ascii_is_alpha);
	while (cursor_take(&c, ' '))
		;
	args = (struct str){ c.p, cursor_left(&c) };
	command = find_command(s, verb);
	if (command == NULL || (args.len > 0 && args.p == verb.p + verb.len))
		return smtp_command_bad(s, 500, "5.5.1", "Command not recognised");
	if (line.len > SMTP_LINE_MAX_BYTES && command->run != cmd_auth)
		return smtp_command_bad(s, 500, "5.5.2", "Line too long");
	if (s->service->tls_required && s->tls[0] == '\0' && !command->before_tls)
		return smtp_command_bad(s, 530, "5.7.0", "Must issue a STARTTLS command first");
	return command->run(s, args);
}
