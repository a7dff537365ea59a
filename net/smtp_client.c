#include "net/smtp_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/loop.h"
#include "net/smtp_dots.h"
#include "net/stream.h"
#include "net/tls.h"

#define REPLY_LINE_MAX_BYTES 4096 /* RFC 5321 §4.5.3.1.5 says 512 */
#define REPLY_LINES_MAX      256
#define READ_BYTES           (64 * 1024)
#define QUIT_TIMEOUT_S       5

enum state {
	STATE_CONNECTING,
	STATE_TLS,      /* a handshake */
	STATE_GREETING, /* 220 */
	STATE_HELLO,    /* EHLO, LHLO or HELO */
	STATE_STARTTLS,
	STATE_AUTH,
	STATE_READY,    /* nothing to do */
	STATE_ENVELOPE, /* the replies to RSET, MAIL, RCPT…, DATA */
	STATE_BODY,     /* bytes go out */
	STATE_FINAL,    /* the reply, or in LMTP replies, to the message */
	STATE_REPORT,   /* decided without the peer; on_sent is due */
	STATE_QUIT,
	STATE_LOST, /* reported; waits to be freed */
};

enum { /* what the peer offers */
	OFFERS_PIPELINING = 1,
	OFFERS_SIZE = 2,
	OFFERS_8BITMIME = 4,
	OFFERS_CHUNKING = 8,
	OFFERS_BINARYMIME = 16,
	OFFERS_SMTPUTF8 = 32,
	OFFERS_DSN = 64,
	OFFERS_STARTTLS = 128,
	OFFERS_AUTH_PLAIN = 256,
	OFFERS_AUTH = 512,
};

/* The envelope's commands by number: RSET, MAIL, one RCPT for each recipient, DATA. */
enum { COMMAND_RSET = 0, COMMAND_MAIL = 1, COMMAND_RCPT = 2 };

struct smtp_client {
	struct net_loop *loop;
	struct smtp_client_config config;
	char *host, *unix_path, *helo, *user, *password;
	const struct smtp_client_events *events;
	void *arg;
	struct net_connect *connect;
	struct net_stream *stream; /* NULL before connecting and after on_closed */
	struct net_timer *soon;    /* for callbacks that must not come from inside a call */
	enum state state;
	bool dead; /* smtp_client_free() was called */
	bool released, quitting, hello_again;
	char peer[NET_IP_TEXT_BYTES + 8], tls[80];

	unsigned offers;
	uint64_t size_limit; /* 0: none told */

	/* the reply being read */
	struct buf text;
	unsigned lines;
	struct smtp_result reply;

	/* the message */
	const struct smtp_client_message *message;
	struct smtp_result *results;
	bool *decided;
	size_t rcpt_count, accepted_count, final_index;
	size_t sent_commands, got_replies; /* of the envelope's */
	bool needs_rset, mail_ok, bdat, dsn_relayed, one_for_all, empty_data;
	struct smtp_result for_all;

	/* its bytes */
	bool job_running, read_failed, body_done, prefix_done, lost;
	int fd; /* our own descriptor and text: a job may outlive the caller's */
	char *prefix;
	uint64_t offset, size_bytes, read_bytes;
	struct smtp_stuff stuff;
	struct buf bytes;
};

static void enter_hello(struct smtp_client *c, const char *verb);
static void next_after_hello(struct smtp_client *c);
static void lose(struct smtp_client *c, const struct smtp_result *why);
static void send_commands(struct smtp_client *c);
static void start_body(struct smtp_client *c);

/* --- results --- */

static struct smtp_result
own_result(enum smtp_outcome outcome, const char *enhanced, const char *text, const char *detail)
{
	struct smtp_result r = { .outcome = outcome };

	snprintf(r.enhanced, sizeof(r.enhanced), "%s", enhanced);
	snprintf(r.text, sizeof(r.text), "%s%s%s", text, *detail != '\0' ? ": " : "", detail);
	return r;
}

static struct smtp_result
temporary(const char *enhanced, const char *text, const char *detail)
{
	return own_result(SMTP_OUTCOME_TEMPORARY, enhanced, text, detail);
}

static unsigned
seconds(unsigned configured, unsigned otherwise)
{
	return configured > 0 ? configured : otherwise;
}

/* --- the end --- */

static void
close_body(struct smtp_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	free(c->prefix);
	c->prefix = NULL;
	buf_free(&c->bytes);
}

static void
free_client(void *arg)
{
	struct smtp_client *c = arg;

	close_body(c);
	free(c->host);
	free(c->unix_path);
	free(c->helo);
	free(c->user);
	if (c->password != NULL)
		mem_wipe(c->password, strlen(c->password));
	free(c->password);
	buf_free(&c->text);
	free(c->results);
	free(c->decided);
	free(c);
}

/* Once nobody holds it any more; from the loop, as this may be deep inside its own callback. */
static void
release(struct smtp_client *c)
{
	if (!c->dead || c->released || c->stream != NULL || c->job_running)
		return;
	c->released = true;
	net_loop_post(c->loop, free_client, c);
}

void
smtp_client_free(struct smtp_client *c)
{
	if (c == NULL || c->dead)
		return;
	c->dead = true;
	net_timer_free(c->soon);
	if (c->connect != NULL)
		net_connect_cancel(c->connect);
	c->connect = NULL;
	if (c->stream != NULL)
		net_stream_abort(c->stream);
	release(c);
}

void
smtp_client_quit(struct smtp_client *c)
{
	if (c->stream == NULL || c->state != STATE_READY) {
		smtp_client_free(c);
		return;
	}
	c->state = STATE_QUIT;
	c->quitting = true;
	net_stream_puts(c->stream, "QUIT\r\n");
	net_stream_timeout(c->stream, QUIT_TIMEOUT_S);
}

/* --- reporting --- */

static void
say_ready(struct smtp_client *c, const struct smtp_result *result)
{
	c->state = result->outcome == SMTP_OUTCOME_ACCEPTED ? STATE_READY : STATE_LOST;
	if (c->stream != NULL) {
		if (c->state == STATE_READY)
			net_stream_timeout(c->stream, 0);
		else
			net_stream_close(c->stream);
	}
	c->events->on_ready(c->arg, result);
}

static void
decide(struct smtp_client *c, size_t i, const struct smtp_result *result)
{
	if (c->decided[i])
		return;
	c->decided[i] = true;
	c->results[i] = *result;
}

static void
decide_all(struct smtp_client *c, const struct smtp_result *result)
{
	c->for_all = *result;
	c->one_for_all = true;
	for (size_t i = 0; i < c->rcpt_count; i++)
		decide(c, i, result);
}

static void
say_sent(struct smtp_client *c, bool reusable)
{
	struct smtp_client_report report = {
		.rcpts = c->results,
		.rcpt_count = c->rcpt_count,
		.message = c->one_for_all ? &c->for_all : NULL,
		.dsn_relayed = c->dsn_relayed,
		.reusable = reusable && c->stream != NULL,
		.tls = c->tls[0] != '\0' ? c->tls : NULL,
		.peer = c->peer,
	};

	c->message = NULL;
	close_body(c);
	c->state = report.reusable ? STATE_READY : STATE_LOST;
	if (c->stream != NULL) {
		net_stream_timeout(c->stream, 0);
		if (!report.reusable)
			net_stream_close(c->stream);
	}
	c->events->on_sent(c->arg, &report);
}

/* The connection is of no more use; says so in the way that fits what was going on. */
static void
lose(struct smtp_client *c, const struct smtp_result *why)
{
	if (c->dead || c->state == STATE_LOST)
		return;
	if (c->stream != NULL)
		net_stream_abort(c->stream);
	switch (c->state) {
	case STATE_QUIT: smtp_client_free(c); return;
	case STATE_READY:
		c->state = STATE_LOST;
		c->events->on_lost(c->arg, why);
		return;
	case STATE_ENVELOPE:
	case STATE_BODY:
	case STATE_FINAL:
	case STATE_REPORT:
		decide_all(c, why);
		if (c->job_running) { /* it reads the caller's file; on_read_done() goes on */
			c->lost = true;
			return;
		}
		say_sent(c, false);
		return;
	case STATE_CONNECTING:
	case STATE_TLS:
	case STATE_GREETING:
	case STATE_HELLO:
	case STATE_STARTTLS:
	case STATE_AUTH: say_ready(c, why); return;
	case STATE_LOST: return;
	}
}

static void
lose_own(struct smtp_client *c, const char *enhanced, const char *text, const char *detail)
{
	struct smtp_result r = temporary(enhanced, text, detail);

	lose(c, &r);
}

/* --- the body --- */

static void
run_read(void *arg)
{
	struct smtp_client *c = arg;
	char *block;
	uint64_t left = c->size_bytes - c->read_bytes;
	size_t want = left < READ_BYTES ? (size_t)left : READ_BYTES;
	ssize_t got;

	if (!c->prefix_done && c->prefix != NULL)
		smtp_stuff_encode(&c->stuff, !c->bdat, c->prefix, strlen(c->prefix), &c->bytes);
	c->prefix_done = true;
	if (want > 0) {
		block = mem_alloc(want);
		do
			got = pread(c->fd, block, want, (off_t)(c->offset + c->read_bytes));
		while (got < 0 && errno == EINTR);
		if (got <= 0) {
			c->read_failed = true;
		} else {
			if (c->bdat)
				buf_add(&c->bytes, block, (size_t)got);
			else
				smtp_stuff_encode(&c->stuff, true, block, (size_t)got, &c->bytes);
			c->read_bytes += (uint64_t)got;
		}
		free(block);
	}
	c->body_done = c->read_bytes == c->size_bytes;
	if (c->body_done && !c->read_failed && !c->bdat)
		smtp_stuff_end(&c->stuff, true, &c->bytes);
}

static void
enter_final(struct smtp_client *c)
{
	c->state = STATE_FINAL;
	c->final_index = 0;
	net_stream_timeout(c->stream, seconds(c->config.data_end_timeout_s, 600));
}

static void read_more(struct smtp_client *c);

static void
on_read_done(void *arg)
{
	struct smtp_client *c = arg;

	c->job_running = false;
	if (c->dead) {
		release(c);
		return;
	}
	if (c->state != STATE_BODY)
		return;
	if (c->stream == NULL || c->read_failed || c->lost) {
		/* The end of data is never sent for half a message. */
		if (c->stream != NULL)
			net_stream_abort(c->stream);
		if (!c->one_for_all) {
			struct smtp_result r = temporary("4.3.0", "Cannot read the message", "");

			decide_all(c, &r);
		}
		say_sent(c, false);
		return;
	}
	net_stream_write_buf(c->stream, &c->bytes);
	if (c->body_done)
		enter_final(c);
	else if (net_stream_pending(c->stream) < NET_OUTPUT_HIGH_BYTES)
		read_more(c);
}

static void
read_more(struct smtp_client *c)
{
	c->job_running = true;
	net_job_run(c->loop, run_read, on_read_done, c);
}

static void
start_body(struct smtp_client *c)
{
	char line[48];
	struct buf prefix = { 0 };
	struct smtp_stuff stuff = { 0 };

	c->fd = fcntl(c->message->fd, F_DUPFD_CLOEXEC, 0);
	c->prefix = c->message->prefix != NULL ? mem_strdup(c->message->prefix) : NULL;
	c->offset = c->message->offset;
	c->size_bytes = c->message->size_bytes;
	c->state = STATE_BODY;
	net_stream_timeout(c->stream, seconds(c->config.data_block_timeout_s, 180));
	if (c->bdat) { /* one chunk, RFC 3030 §2 */
		if (c->message->prefix != NULL)
			smtp_stuff_encode(
			    &stuff, false, c->message->prefix, strlen(c->message->prefix), &prefix);
		snprintf(line, sizeof(line), "BDAT %llu LAST\r\n",
		    (unsigned long long)(c->message->size_bytes + prefix.len));
		buf_free(&prefix);
		net_stream_puts(c->stream, line);
	}
	read_more(c);
}

/* --- the envelope --- */

static bool
offers(const struct smtp_client *c, unsigned what)
{
	return (c->offers & what) == what;
}

static void
add_mail(struct smtp_client *c, struct buf *out)
{
	static const char *const BODY[] = {
		[SMTP_BODY_7BIT] = NULL,
		[SMTP_BODY_8BITMIME] = "8BITMIME",
		[SMTP_BODY_BINARYMIME] = "BINARYMIME",
	};
	const struct smtp_client_message *m = c->message;
	bool dsn = offers(c, OFFERS_DSN);

	buf_printf(out, "MAIL FROM:<%s>", m->from);
	if (offers(c, OFFERS_SIZE))
		buf_printf(out, " SIZE=%llu", (unsigned long long)m->size_bytes);
	if (BODY[m->body] != NULL)
		buf_printf(out, " BODY=%s", BODY[m->body]);
	if (m->smtputf8)
		buf_adds(out, " SMTPUTF8");
	if (m->auth != NULL && offers(c, OFFERS_AUTH)) {
		buf_adds(out, " AUTH=");
		smtp_xtext_encode(out, str_from(m->auth));
	}
	if (dsn && m->ret != SMTP_RET_NONE)
		buf_printf(out, " RET=%s", m->ret == SMTP_RET_FULL ? "FULL" : "HDRS");
	if (dsn && m->envid != NULL) {
		buf_adds(out, " ENVID=");
		smtp_xtext_encode(out, str_from(m->envid));
	}
	buf_adds(out, "\r\n");
}

static void
add_notify(struct buf *out, unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *name;
	} WORDS[] = {
		{ SMTP_NOTIFY_NEVER, "NEVER" },
		{ SMTP_NOTIFY_SUCCESS, "SUCCESS" },
		{ SMTP_NOTIFY_FAILURE, "FAILURE" },
		{ SMTP_NOTIFY_DELAY, "DELAY" },
	};
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
		if ((notify & WORDS[i].bit) == 0)
			continue;
		buf_printf(out, "%s%s", before, WORDS[i].name);
		before = ",";
	}
}

static void
add_rcpt(struct smtp_client *c, struct buf *out, const struct smtp_client_rcpt *r)
{
	const char *semicolon = r->orcpt != NULL ? strchr(r->orcpt, ';') : NULL;

	buf_printf(out, "RCPT TO:<%s>", r->address);
	if (offers(c, OFFERS_DSN)) {
		add_notify(out, r->notify);
		if (semicolon != NULL) {
			buf_adds(out, " ORCPT=");
			buf_add(out, r->orcpt, (size_t)(semicolon + 1 - r->orcpt));
			smtp_xtext_encode(out, str_from(semicolon + 1));
		}
	}
	buf_adds(out, "\r\n");
}

static size_t
data_command(const struct smtp_client *c)
{
	return COMMAND_RCPT + c->rcpt_count;
}

static void
add_command(struct smtp_client *c, size_t number, struct buf *out)
{
	if (number == COMMAND_RSET)
		buf_adds(out, "RSET\r\n");
	else if (number == COMMAND_MAIL)
		add_mail(c, out);
	else if (number < data_command(c))
		add_rcpt(c, out, &c->message->rcpts[number - COMMAND_RCPT]);
	else
		buf_adds(out, "DATA\r\n");
}

/* Sends as much of the envelope as may go now: all of it to a peer that pipelines, but DATA only together with
 * the rest where a 354 without recipients has a defined end (not in LMTP). */
static void
send_commands(struct smtp_client *c)
{
	struct buf out = { 0 };
	size_t last = data_command(c);

	while (c->sent_commands <= last) {
		bool wait = c->sent_commands > c->got_replies;

		if (wait && !offers(c, OFFERS_PIPELINING))
			break;
		if (c->sent_commands == last &&
		    (c->bdat || (wait && c->config.lmtp) || (!wait && c->accepted_count == 0)))
			break;
		add_command(c, c->sent_commands++, &out);
	}
	if (out.len > 0)
		net_stream_write_buf(c->stream, &out);
	buf_free(&out);
	net_stream_timeout(c->stream, c->sent_commands > last
					  ? seconds(c->config.data_init_timeout_s, 120)
					  : seconds(c->config.command_timeout_s, 300));
}

/* All of the envelope is answered. */
static void
end_envelope(struct smtp_client *c)
{
	c->needs_rset = c->mail_ok;
	say_sent(c, true);
}

static struct smtp_result
reply_result(const struct smtp_client *c)
{
	struct smtp_result r = c->reply;

	r.outcome = r.code < 300   ? SMTP_OUTCOME_ACCEPTED
		    : r.code < 500 ? SMTP_OUTCOME_TEMPORARY
				   : SMTP_OUTCOME_PERMANENT;
	return r;
}

/* 552 for too many recipients means 452, RFC 5321 §4.5.3.1.10; a full mailbox is another thing. */
static void
on_rcpt_reply(struct smtp_client *c, size_t i, struct smtp_result r)
{
	if (r.code == 552 && (r.enhanced[0] == '\0' || strcmp(r.enhanced, "5.5.3") == 0))
		r.outcome = SMTP_OUTCOME_TEMPORARY;
	if (r.outcome == SMTP_OUTCOME_ACCEPTED && c->mail_ok)
		c->accepted_count++; /* the message's reply decides */
	else
		decide(c, i, &r);
}

static void
on_data_reply(struct smtp_client *c, const struct smtp_result *r)
{
	if (c->reply.code != 354) {
		if (c->accepted_count > 0)
			decide_all(c, r);
		end_envelope(c);
		return;
	}
	if (c->accepted_count > 0) {
		start_body(c);
		return;
	}
	/* It wants a message for nobody: an empty one, which it will refuse. */
	c->empty_data = true;
	net_stream_puts(c->stream, ".\r\n");
	enter_final(c);
}

static void
on_envelope_reply(struct smtp_client *c)
{
	size_t number = c->got_replies++;
	struct smtp_result r = reply_result(c);

	if (number == COMMAND_RSET) {
		c->needs_rset = false;
	} else if (number == COMMAND_MAIL) {
		c->mail_ok = r.outcome == SMTP_OUTCOME_ACCEPTED;
		if (!c->mail_ok)
			decide_all(c, &r);
	} else if (number < data_command(c)) {
		on_rcpt_reply(c, number - COMMAND_RCPT, r);
	} else {
		on_data_reply(c, &r);
		return;
	}
	if (number == COMMAND_MAIL && !c->mail_ok && c->sent_commands == c->got_replies) {
		end_envelope(c);
		return;
	}
	send_commands(c);
	if (c->sent_commands > c->got_replies)
		return;
	if (c->bdat && c->accepted_count > 0)
		start_body(c);
	else
		end_envelope(c);
}

static void
on_final_reply(struct smtp_client *c)
{
	struct smtp_result r = reply_result(c);

	if (c->empty_data || !c->config.lmtp) {
		if (!c->empty_data)
			decide_all(c, &r);
	} else { /* one for each accepted recipient, in their order, RFC 2033 §4.2 */
		while (c->final_index < c->rcpt_count && c->decided[c->final_index])
			c->final_index++;
		if (c->final_index < c->rcpt_count)
			decide(c, c->final_index, &r);
		for (size_t i = 0; i < c->rcpt_count; i++)
			if (!c->decided[i])
				return;
	}
	c->needs_rset = false;
	say_sent(c, true);
}

/* What keeps this message from going to this peer, by the extensions it has; ACCEPTED if nothing does. */
static struct smtp_result
check_extensions(const struct smtp_client *c, const struct smtp_client_message *m)
{
	if (m->smtputf8 && !offers(c, OFFERS_SMTPUTF8))
		return own_result(SMTP_OUTCOME_PERMANENT, "5.6.7",
		    "The next host cannot take internationalised mail", c->peer);
	if (m->body == SMTP_BODY_BINARYMIME && !offers(c, OFFERS_BINARYMIME | OFFERS_CHUNKING))
		return own_result(SMTP_OUTCOME_PERMANENT, "5.6.1",
		    "The next host cannot take BINARYMIME", c->peer);
	if (m->body == SMTP_BODY_8BITMIME && !offers(c, OFFERS_8BITMIME))
		return own_result(SMTP_OUTCOME_PERMANENT, "5.6.3",
		    "The next host cannot take 8-bit mail", c->peer);
	if (c->size_limit > 0 && m->size_bytes > c->size_limit)
		return own_result(SMTP_OUTCOME_PERMANENT, "5.3.4",
		    "The message is larger than the next host takes", c->peer);
	return (struct smtp_result){ .outcome = SMTP_OUTCOME_ACCEPTED };
}

static bool
wants_dsn(const struct smtp_client_message *m)
{
	bool wants = m->ret != SMTP_RET_NONE || m->envid != NULL;

	for (size_t i = 0; i < m->rcpt_count; i++)
		wants = wants || m->rcpts[i].notify != 0 || m->rcpts[i].orcpt != NULL;
	return wants;
}

void
smtp_client_send(struct smtp_client *c, const struct smtp_client_message *m)
{
	struct smtp_result why;

	c->message = m;
	c->rcpt_count = m->rcpt_count;
	c->results = mem_realloc_array(c->results, m->rcpt_count, sizeof(*c->results));
	free(c->decided);
	c->decided = mem_zalloc(m->rcpt_count * sizeof(*c->decided));
	c->accepted_count = 0;
	c->mail_ok = c->one_for_all = c->empty_data = false;
	c->dsn_relayed = wants_dsn(m) && !offers(c, OFFERS_DSN);
	c->bdat = m->body == SMTP_BODY_BINARYMIME;
	c->read_failed = c->body_done = c->prefix_done = c->lost = false;
	c->read_bytes = 0;
	c->stuff = (struct smtp_stuff){ 0 };
	c->state = STATE_REPORT;
	why = c->stream == NULL ? temporary("4.4.2", "The connection is lost", "")
				: check_extensions(c, m);
	if (why.outcome != SMTP_OUTCOME_ACCEPTED || m->rcpt_count == 0) {
		decide_all(c, &why);
		net_timer_start_ms(c->soon, 0);
		return;
	}
	c->state = STATE_ENVELOPE;
	c->sent_commands = c->got_replies = c->needs_rset ? COMMAND_RSET : COMMAND_MAIL;
	send_commands(c);
}

static void
on_soon(void *arg)
{
	struct smtp_client *c = arg;

	if (c->state == STATE_REPORT)
		say_sent(c, true);
}

/* --- before the first message --- */

static const struct {
	const char *keyword;
	unsigned bit;
} EXTENSIONS[] = {
	{ "PIPELINING", OFFERS_PIPELINING },
	{ "SIZE", OFFERS_SIZE },
	{ "8BITMIME", OFFERS_8BITMIME },
	{ "CHUNKING", OFFERS_CHUNKING },
	{ "BINARYMIME", OFFERS_BINARYMIME },
	{ "SMTPUTF8", OFFERS_SMTPUTF8 },
	{ "DSN", OFFERS_DSN },
	{ "STARTTLS", OFFERS_STARTTLS },
	{ "AUTH", OFFERS_AUTH },
};

static bool
is_keyword_char(char c)
{
	return ascii_is_alnum(c) || c == '-';
}

static bool
is_not_blank(char c)
{
	return c != ' ';
}

/* ehlo-line = ehlo-keyword *( SP ehlo-param ), RFC 5321 §4.1.1.1 */
static void
take_extension(struct smtp_client *c, struct str line)
{
	struct cursor cur = cursor_from(line);
	struct str keyword = cursor_take_while(&cur, is_keyword_char), word;

	for (size_t i = 0; i < ARRAY_LEN(EXTENSIONS); i++)
		if (str_eq_nocase(keyword, str_from(EXTENSIONS[i].keyword)))
			c->offers |= EXTENSIONS[i].bit;
	while (cursor_take(&cur, ' ')) {
		word = cursor_take_while(&cur, is_not_blank);
		if (str_eq_nocase(keyword, STR("SIZE")) &&
		    !text_u64(word, UINT64_MAX, &c->size_limit))
			c->size_limit = 0;
		if (str_eq_nocase(keyword, STR("AUTH")) && str_eq_nocase(word, STR("PLAIN")))
			c->offers |= OFFERS_AUTH_PLAIN;
	}
}

static void
enter_hello(struct smtp_client *c, const char *verb)
{
	struct buf line = { 0 };

	c->offers = 0;
	c->size_limit = 0;
	c->state = STATE_HELLO;
	c->hello_again = strcmp(verb, "HELO") == 0;
	buf_printf(&line, "%s %s\r\n", verb, c->helo);
	net_stream_write_buf(c->stream, &line);
	buf_free(&line);
	net_stream_timeout(c->stream, seconds(c->config.command_timeout_s, 300));
}

static const char *
hello_verb(const struct smtp_client *c)
{
	return c->config.lmtp ? "LHLO" : "EHLO";
}

/* AUTH PLAIN with an initial response, RFC 4954, RFC 4616 */
static void
send_auth(struct smtp_client *c)
{
	struct buf raw = { 0 }, line = { 0 };

	buf_addc(&raw, '\0');
	buf_adds(&raw, c->user);
	buf_addc(&raw, '\0');
	buf_adds(&raw, c->password != NULL ? c->password : "");
	buf_adds(&line, "AUTH PLAIN ");
	base64_encode(&line, raw.data, raw.len);
	buf_adds(&line, "\r\n");
	mem_wipe(raw.data, raw.cap);
	buf_free(&raw);
	c->state = STATE_AUTH;
	net_stream_write_buf(c->stream, &line);
	buf_free(&line);
}

/* The peer has told what it offers: TLS, then AUTH, then ready. */
static void
next_after_hello(struct smtp_client *c)
{
	struct smtp_result ok = { .outcome = SMTP_OUTCOME_ACCEPTED };
	enum smtp_client_tls tls = c->config.tls;
	bool may = tls == SMTP_TLS_OPPORTUNISTIC || tls == SMTP_TLS_REQUIRED;

	if (c->tls[0] == '\0' && may && offers(c, OFFERS_STARTTLS) &&
	    c->config.tls_client != NULL) {
		c->state = STATE_STARTTLS;
		net_stream_puts(c->stream, "STARTTLS\r\n");
	} else if (c->tls[0] == '\0' && tls == SMTP_TLS_REQUIRED) {
		lose_own(c, "4.7.10", "The next host does not offer TLS", c->peer);
	} else if (c->user != NULL && (c->tls[0] == '\0' || !offers(c, OFFERS_AUTH_PLAIN))) {
		lose_own(c, "4.7.0", "The next host does not offer AUTH PLAIN under TLS", c->peer);
	} else if (c->user != NULL) {
		send_auth(c);
	} else {
		say_ready(c, &ok);
	}
}

/* A refusal before any message is a matter of this connection: another host, or later. */
static void
refused(struct smtp_client *c)
{
	struct smtp_result r = reply_result(c);

	if (r.outcome == SMTP_OUTCOME_ACCEPTED)
		r.outcome = SMTP_OUTCOME_TEMPORARY;
	lose(c, &r);
}

static void
on_hello_reply(struct smtp_client *c)
{
	int code = c->reply.code;

	if (code == 250) {
		next_after_hello(c);
	} else if (code >= 500 && code != 554 && !c->config.lmtp && !c->hello_again &&
		   c->tls[0] == '\0') {
		enter_hello(c, "HELO"); /* RFC 5321 §3.2 */
	} else {
		refused(c);
	}
}

static void
on_starttls_reply(struct smtp_client *c)
{
	if (c->reply.code == 220) {
		c->state = STATE_TLS;
		net_stream_timeout(c->stream, 0);
		net_stream_start_tls_client(c->stream, c->config.tls_client, c->host);
	} else if (c->config.tls == SMTP_TLS_OPPORTUNISTIC && c->reply.code != 421) {
		c->offers &= ~(unsigned)OFFERS_STARTTLS;
		next_after_hello(c);
	} else {
		refused(c);
	}
}

static void
on_auth_reply(struct smtp_client *c)
{
	struct smtp_result ok = { .outcome = SMTP_OUTCOME_ACCEPTED };

	if (c->reply.code == 235)
		say_ready(c, &ok);
	else
		refused(c);
}

/* --- replies --- */

static void
on_reply(struct smtp_client *c)
{
	struct smtp_result r;

	if (c->reply.code == 421 && c->state != STATE_QUIT) { /* RFC 5321 §3.8 */
		r = reply_result(c);
		lose(c, &r);
		return;
	}
	switch (c->state) {
	case STATE_GREETING:
		if (c->reply.code == 220)
			enter_hello(c, hello_verb(c));
		else
			refused(c);
		return;
	case STATE_HELLO: on_hello_reply(c); return;
	case STATE_STARTTLS: on_starttls_reply(c); return;
	case STATE_AUTH: on_auth_reply(c); return;
	case STATE_ENVELOPE: on_envelope_reply(c); return;
	case STATE_FINAL: on_final_reply(c); return;
	case STATE_QUIT: smtp_client_free(c); return;
	case STATE_BODY: /* before the end of data: it will take no more */
		r = reply_result(c);
		if (r.outcome == SMTP_OUTCOME_ACCEPTED)
			r.outcome = SMTP_OUTCOME_TEMPORARY;
		lose(c, &r);
		return;
	case STATE_CONNECTING:
	case STATE_TLS:
	case STATE_READY:
	case STATE_REPORT:
	case STATE_LOST: lose_own(c, "4.5.0", "A reply that nobody asked for", c->peer); return;
	}
}

/* What a peer says ends up in notices and logs: UTF-8, no control bytes. */
static void
add_reply_text(struct smtp_client *c, struct str text)
{
	bool utf8 = text_is_utf8(text);

	if (c->text.len > 0)
		buf_addc(&c->text, '\n');
	for (size_t i = 0; i < text.len && c->text.len < sizeof(c->reply.text) - 1; i++) {
		unsigned char ch = (unsigned char)text.p[i];
		bool bad = ch < ' ' || ch == 0x7F || (ch >= 0x80 && !utf8);

		buf_addc(&c->text, bad ? '?' : (char)ch);
	}
}

/* The text as it is kept; a character cut in two at the end goes. */
static void
take_reply_text(struct smtp_client *c)
{
	size_t len = c->text.len;

	if (len > sizeof(c->reply.text) - 1)
		len = sizeof(c->reply.text) - 1;
	while (len > 0 && !text_is_utf8((struct str){ c->text.data, len }))
		len--;
	if (len > 0)
		memcpy(c->reply.text, c->text.data, len);
	c->reply.text[len] = '\0';
}

/* One line of a reply; true if the reply is complete. */
static bool
take_line(struct smtp_client *c, struct str line)
{
	struct smtp_reply_line parsed;

	if (line.len > REPLY_LINE_MAX_BYTES || !smtp_parse_reply_line(line, &parsed) ||
	    ++c->lines > REPLY_LINES_MAX) {
		lose_own(c, "4.5.0", "Not a reply", c->peer);
		return false;
	}
	if (c->state == STATE_HELLO && parsed.code == 250 && c->lines > 1)
		take_extension(c, parsed.text);
	add_reply_text(c, parsed.text);
	if (parsed.more)
		return false;
	c->reply = (struct smtp_result){ .code = parsed.code, .from_peer = true };
	memcpy(c->reply.enhanced, parsed.enhanced, sizeof(c->reply.enhanced));
	take_reply_text(c);
	buf_reset(&c->text);
	c->lines = 0;
	return true;
}

static bool
reads_replies(const struct smtp_client *c)
{
	return !c->dead && c->stream != NULL && c->state != STATE_LOST && c->state != STATE_TLS &&
	       !(c->state == STATE_BODY && c->one_for_all);
}

static void
on_input(void *arg)
{
	struct smtp_client *c = arg;
	const char *in, *lf;
	size_t len;
	struct str line;
	char *copy;
	bool complete;

	while (reads_replies(c)) {
		net_stream_input(c->stream, &in, &len);
		lf = len > 0 ? memchr(in, '\n', len) : NULL;
		if (lf == NULL && len > REPLY_LINE_MAX_BYTES)
			lose_own(c, "4.5.0", "Not a reply", c->peer);
		if (lf == NULL)
			return;
		line = (struct str){ in, (size_t)(lf - in) };
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		copy = mem_strndup(line.p, line.len);
		line.p = copy;
		net_stream_consume(c->stream, (size_t)(lf + 1 - in));
		complete = take_line(c, line);
		free(copy);
		if (complete)
			on_reply(c);
	}
}

/* --- the stream --- */

static void
on_open(void *arg)
{
	struct smtp_client *c = arg;

	if (c->dead || c->state != STATE_TLS)
		return;
	snprintf(c->tls, sizeof(c->tls), "%s %s", net_stream_tls_version(c->stream),
	    net_stream_tls_cipher(c->stream));
	if (c->config.tls != SMTP_TLS_IMPLICIT) {
		enter_hello(c, hello_verb(c));
		return;
	}
	c->state = STATE_GREETING;
	net_stream_timeout(c->stream, seconds(c->config.greeting_timeout_s, 300));
}

static void
on_drained(void *arg)
{
	struct smtp_client *c = arg;

	if (!c->dead && c->state == STATE_BODY && !c->job_running && !c->body_done)
		read_more(c);
}

static void
on_timeout(void *arg)
{
	lose_own(arg, "4.4.2", "The next host does not answer in time",
	    ((struct smtp_client *)arg)->peer);
}

static void
on_eof(void *arg)
{
	struct smtp_client *c = arg;

	on_input(c);
	if (!c->dead)
		lose_own(c, "4.4.2", "The next host closed the connection", c->peer);
}

static void
on_closed(void *arg, enum net_closed why, const char *detail)
{
	struct smtp_client *c = arg;

	c->stream = NULL;
	if (!c->dead)
		lose_own(c, why == NET_CLOSED_TLS ? "4.7.5" : "4.4.2",
		    why == NET_CLOSED_TLS ? "TLS failed" : "The connection was lost", detail);
	release(c);
}

static const struct net_stream_events STREAM_EVENTS = {
	.on_open = on_open,
	.on_input = on_input,
	.on_drained = on_drained,
	.on_timeout = on_timeout,
	.on_eof = on_eof,
	.on_closed = on_closed,
};

static void
on_connected(void *arg, struct net_stream *st, const char *error)
{
	struct smtp_client *c = arg;

	c->connect = NULL;
	if (st == NULL) {
		lose_own(c, "4.4.1", "Cannot connect", error);
		return;
	}
	c->stream = st;
	snprintf(c->peer, sizeof(c->peer), "%s", net_stream_peer(st));
	if (net_stream_peer_ip(st) != NULL)
		snprintf(c->peer, sizeof(c->peer), "%s:%u", net_stream_peer(st),
		    (unsigned)c->config.port);
	net_stream_begin(st, &STREAM_EVENTS, c);
	if (c->config.tls == SMTP_TLS_IMPLICIT) {
		c->state = STATE_TLS;
		net_stream_start_tls_client(st, c->config.tls_client, c->host);
		return;
	}
	c->state = STATE_GREETING;
	net_stream_timeout(st, seconds(c->config.greeting_timeout_s, 300));
}

static char *
dup_or_null(const char *s)
{
	return s != NULL ? mem_strdup(s) : NULL;
}

struct smtp_client *
smtp_client_open(struct net_loop *loop, const struct smtp_client_config *config,
    const struct smtp_client_events *events, void *arg)
{
	struct smtp_client *c = mem_zalloc(sizeof(*c));
	struct net_endpoint to = { .kind = config->unix_path != NULL ? NET_UNIX : NET_TCP };

	c->loop = loop;
	c->config = *config;
	c->events = events;
	c->arg = arg;
	c->host = mem_strdup(config->host != NULL ? config->host : "");
	c->unix_path = dup_or_null(config->unix_path);
	c->helo = mem_strdup(config->helo);
	c->user = dup_or_null(config->user);
	c->password = dup_or_null(config->password);
	c->fd = -1;
	c->soon = net_timer_new(loop, on_soon, c);
	c->state = STATE_CONNECTING;
	to.port = config->port;
	snprintf(to.host, sizeof(to.host), "%s", c->host);
	snprintf(to.path, sizeof(to.path), "%s", c->unix_path != NULL ? c->unix_path : "");
	c->connect =
	    net_connect_start(loop, &to, seconds(config->connect_timeout_s, 30), on_connected, c);
	return c;
}
