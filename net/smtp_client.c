#include "net/smtp_client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"

#define REPLY_LINE_MAX_BYTES 4096 /* RFC 5321 §4.5.3.1.5 says 512 */
#define REPLY_LINES_MAX      256
#define QUIT_TIMEOUT_S       5
#define LIMIT_MAX            999999 /* RFC 9422 §4 */

/* --- results --- */

struct smtp_result
smtp_client_finding(
    enum smtp_outcome outcome, const char *enhanced, const char *text, const char *detail)
{
	struct smtp_result r = { .outcome = outcome };

	snprintf(r.enhanced, sizeof(r.enhanced), "%s", enhanced);
	snprintf(r.text, sizeof(r.text), "%s%s%s", text, *detail != '\0' ? ": " : "", detail);
	return r;
}

struct smtp_result
smtp_client_reply_result(const struct smtp_client *c)
{
	struct smtp_result r = c->reply;

	r.outcome = r.code < 300   ? SMTP_OUTCOME_ACCEPTED
		    : r.code < 500 ? SMTP_OUTCOME_TEMPORARY
				   : SMTP_OUTCOME_PERMANENT;
	return r;
}

bool
smtp_client_offers(const struct smtp_client *c, unsigned what)
{
	return (c->offers & what) == what;
}

static unsigned
seconds(unsigned configured_s, unsigned otherwise_s)
{
	return configured_s > 0 ? configured_s : otherwise_s;
}

void
smtp_client_patience(struct smtp_client *c, unsigned configured_s, unsigned otherwise_s)
{
	net_stream_timeout(c->stream, seconds(configured_s, otherwise_s));
}

/* --- the end --- */

static void
free_client(void *arg)
{
	struct smtp_client *c = arg;

	smtp_client_send_free(c);
	free(c->host);
	free(c->unix_path);
	free(c->helo);
	free(c->user);
	if (c->password != NULL)
		mem_wipe(c->password, strlen(c->password));
	free(c->password);
	buf_free(&c->text);
	free(c);
}

/* Once nobody holds it any more; from the loop, as this may be deep inside its own callback. */
void
smtp_client_release(struct smtp_client *c)
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
	smtp_client_release(c);
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
	case STATE_REPORT: smtp_client_send_lost(c, why); return;
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
	struct smtp_result r = smtp_client_finding(SMTP_OUTCOME_TEMPORARY, enhanced, text, detail);

	lose(c, &r);
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
	{ "DELIVERBY", OFFERS_DELIVERBY },
	{ "REQUIRETLS", OFFERS_REQUIRETLS },
	{ "MT-PRIORITY", OFFERS_MT_PRIORITY },
	{ "LIMITS", OFFERS_LIMITS },
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

static bool
is_no_comma(char c)
{
	return c != ',';
}

/* deliverby-param = min-by-time *( "," extension-token ), RFC 2852 §3; at most nine digits.  What is none says
 * nothing: the peer refuses for itself what it cannot do. */
static void
take_least_time(struct smtp_client *c, struct str param)
{
	struct cursor cur = cursor_from(param);

	if (!text_u64(cursor_take_while(&cur, is_no_comma), SMTP_BY_MAX_S, &c->by_least_s))
		c->by_least_s = 0;
}

/* limit = limit-name "=" limit-value, RFC 9422 §3; up to six digits in §4.  What is none, and 0, says nothing. */
static void
take_limit(struct smtp_client *c, struct str word)
{
	const struct {
		const char *name;
		uint64_t *to;
	} LIMITS[] = {
		{ "MAILMAX=", &c->mail_max },
		{ "RCPTMAX=", &c->rcpt_max },
		{ "RCPTDOMAINMAX=", &c->rcpt_domain_max },
	};

	for (size_t i = 0; i < ARRAY_LEN(LIMITS); i++) {
		struct str name = str_from(LIMITS[i].name), value;

		if (word.len <= name.len || !str_eq_nocase((struct str){ word.p, name.len }, name))
			continue;
		value = (struct str){ word.p + name.len, word.len - name.len };
		if (!text_u64(value, LIMIT_MAX, LIMITS[i].to))
			*LIMITS[i].to = 0;
	}
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
		if (str_eq_nocase(keyword, STR("DELIVERBY")))
			take_least_time(c, word);
		if (str_eq_nocase(keyword, STR("LIMITS")))
			take_limit(c, word);
	}
}

static void
enter_hello(struct smtp_client *c, const char *verb)
{
	struct buf line = { 0 };

	c->offers = 0;
	c->size_limit = 0;
	c->by_least_s = c->mail_max = c->rcpt_max = c->rcpt_domain_max = 0;
	c->state = STATE_HELLO;
	c->hello_again = strcmp(verb, "HELO") == 0;
	buf_printf(&line, "%s %s\r\n", verb, c->helo);
	net_stream_write_buf(c->stream, &line);
	buf_free(&line);
	smtp_client_patience(c, c->config.command_timeout_s, 300);
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

	if (c->tls[0] == '\0' && may && smtp_client_offers(c, OFFERS_STARTTLS) &&
	    c->config.tls_client != NULL) {
		c->state = STATE_STARTTLS;
		net_stream_puts(c->stream, "STARTTLS\r\n");
	} else if (c->tls[0] == '\0' && tls == SMTP_TLS_REQUIRED) {
		lose_own(c, "4.7.10", "The next host does not offer TLS", c->peer);
	} else if (c->user != NULL &&
		   (c->tls[0] == '\0' || !smtp_client_offers(c, OFFERS_AUTH_PLAIN))) {
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
	struct smtp_result r = smtp_client_reply_result(c);

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
		r = smtp_client_reply_result(c);
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
	case STATE_ENVELOPE: smtp_client_send_envelope_reply(c); return;
	case STATE_FINAL: smtp_client_send_final_reply(c); return;
	case STATE_QUIT: smtp_client_free(c); return;
	case STATE_BODY: /* before the end of data: it will take no more */
		r = smtp_client_reply_result(c);
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

/* Each line of a reply has the status (RFC 2034 §4); joined, they have it once, in front. */
static struct str
without_status(const struct smtp_reply_line *line)
{
	const char *blank = line->text.len > 0 ? memchr(line->text.p, ' ', line->text.len) : NULL;
	size_t skip = blank != NULL ? (size_t)(blank + 1 - line->text.p) : line->text.len;

	if (line->enhanced[0] == '\0')
		return line->text;
	return (struct str){ line->text.p + skip, line->text.len - skip };
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
	add_reply_text(c, c->lines > 1 ? without_status(&parsed) : parsed.text);
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
	c->verified = net_stream_tls_verified(c->stream);
	if (c->config.tls != SMTP_TLS_IMPLICIT) {
		enter_hello(c, hello_verb(c));
		return;
	}
	c->state = STATE_GREETING;
	smtp_client_patience(c, c->config.greeting_timeout_s, 300);
}

static void
on_drained(void *arg)
{
	struct smtp_client *c = arg;

	if (!c->dead && c->state == STATE_BODY)
		smtp_client_send_drained(c);
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
	smtp_client_release(c);
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
	smtp_client_patience(c, c->config.greeting_timeout_s, 300);
}

static void
on_soon(void *arg)
{
	struct smtp_client *c = arg;

	if (c->state == STATE_REPORT)
		smtp_client_send_report(c);
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
