#include "net/smtp_client_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop.h"
#include "net/stream.h"

#define READ_BYTES (64 * 1024)

/* The envelope's commands by number: RSET, MAIL, one RCPT for each recipient, DATA. */
enum { COMMAND_RSET = 0, COMMAND_MAIL = 1, COMMAND_RCPT = 2 };

/* --- what has become of it --- */

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

void
smtp_client_send_free(struct smtp_client *c)
{
	close_body(c);
	free(c->results);
	free(c->decided);
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

/* As many messages as one connection may carry, by the peer's word or ours. */
static bool
is_used_up(const struct smtp_client *c)
{
	return (c->mail_max > 0 && c->messages >= c->mail_max) ||
	       (c->config.messages_max > 0 && c->messages >= c->config.messages_max);
}

static void
say_sent(struct smtp_client *c, bool reusable)
{
	struct smtp_client_report report = {
		.rcpts = c->results,
		.rcpt_count = c->rcpt_count,
		.message = c->one_for_all ? &c->for_all : NULL,
		.dsn_relayed = c->dsn_relayed,
		.by_relayed = c->by_relayed,
		.reusable = reusable && c->stream != NULL && !is_used_up(c),
		.lost = !reusable && c->one_for_all && !c->read_failed,
		.in_doubt = c->in_doubt,
		.tls = c->tls[0] != '\0' ? c->tls : NULL,
		.peer = c->peer,
	};

	c->message = NULL;
	close_body(c);
	reusable = reusable && c->stream != NULL;
	c->state = reusable ? STATE_READY : STATE_LOST; /* READY also for its QUIT alone */
	if (c->stream != NULL) {
		net_stream_timeout(c->stream, 0);
		if (!reusable)
			net_stream_close(c->stream);
	}
	c->events->on_sent(c->arg, &report);
}

void
smtp_client_send_report(struct smtp_client *c)
{
	say_sent(c, true);
}

void
smtp_client_send_lost(struct smtp_client *c, const struct smtp_result *why)
{
	if (c->lost) /* the first reason stays */
		return;
	c->in_doubt = c->state == STATE_FINAL && !c->empty_data && why->code == 0;
	decide_all(c, why);
	if (c->job_running) /* it reads the caller's file; on_read_done() goes on */
		c->lost = true;
	else
		say_sent(c, false);
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
	smtp_client_patience(c, c->config.data_end_timeout_s, 600);
}

static void read_more(struct smtp_client *c);

static void
on_read_done(void *arg)
{
	struct smtp_client *c = arg;

	c->job_running = false;
	if (c->dead) {
		smtp_client_release(c);
		return;
	}
	if (c->state != STATE_BODY)
		return;
	if (c->stream == NULL || c->read_failed || c->lost) {
		/* The end of data is never sent for half a message. */
		if (c->stream != NULL)
			net_stream_abort(c->stream);
		if (!c->one_for_all) {
			struct smtp_result r = smtp_client_finding(
			    SMTP_OUTCOME_TEMPORARY, "4.3.0", "Cannot read the message", "");

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

void
smtp_client_send_drained(struct smtp_client *c)
{
	if (!c->job_running && !c->body_done)
		read_more(c);
}

/* What goes in front of the message: the caller's fields, and a priority that has no other way, RFC 6758 §3. */
static char *
prefix_of(const struct smtp_client *c)
{
	const struct smtp_client_message *m = c->message;
	const char *given = m->prefix != NULL ? m->prefix : "";

	if (m->priority != 0 && !smtp_client_offers(c, OFFERS_MT_PRIORITY))
		return mem_printf("%sMT-Priority: %d\n", given, m->priority);
	return m->prefix != NULL ? mem_strdup(given) : NULL;
}

static void
start_body(struct smtp_client *c)
{
	char line[48];
	struct buf prefix = { 0 };
	struct smtp_stuff stuff = { 0 };

	c->fd = fcntl(c->message->fd, F_DUPFD_CLOEXEC, 0);
	c->prefix = prefix_of(c);
	c->offset = c->message->offset;
	c->size_bytes = c->message->size_bytes;
	c->state = STATE_BODY;
	smtp_client_patience(c, c->config.data_block_timeout_s, 180);
	if (c->bdat) { /* one chunk, RFC 3030 §2 */
		if (c->prefix != NULL)
			smtp_stuff_encode(&stuff, false, c->prefix, strlen(c->prefix), &prefix);
		snprintf(line, sizeof(line), "BDAT %" PRIu64 " LAST\r\n",
		    c->message->size_bytes + prefix.len);
		buf_free(&prefix);
		net_stream_puts(c->stream, line);
	}
	read_more(c);
}

/* --- the envelope --- */

/* by-value = by-time ";" by-mode [ by-trace ], RFC 2852 §4 */
static void
add_deliver_by(struct buf *out, const struct smtp_client_message *m)
{
	int64_t left = m->by_seconds;

	if (left > SMTP_BY_MAX_S)
		left = SMTP_BY_MAX_S;
	if (left < -SMTP_BY_MAX_S)
		left = -SMTP_BY_MAX_S;
	buf_printf(out, " BY=%" PRId64 ";%c%s", left, m->by_mode, m->by_trace ? "T" : "");
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
	bool dsn = smtp_client_offers(c, OFFERS_DSN);

	buf_printf(out, "MAIL FROM:<%s>", m->from);
	if (smtp_client_offers(c, OFFERS_SIZE))
		buf_printf(out, " SIZE=%" PRIu64, m->size_bytes);
	if (BODY[m->body] != NULL)
		buf_printf(out, " BODY=%s", BODY[m->body]);
	if (m->smtputf8)
		buf_adds(out, " SMTPUTF8");
	if (m->auth != NULL && smtp_client_offers(c, OFFERS_AUTH)) {
		buf_adds(out, " AUTH=");
		smtp_xtext_encode(out, str_from(m->auth));
	}
	if (dsn && m->ret != SMTP_RET_NONE)
		buf_printf(out, " RET=%s", m->ret == SMTP_RET_FULL ? "FULL" : "HDRS");
	if (dsn && m->envid != NULL) {
		buf_adds(out, " ENVID=");
		smtp_xtext_encode(out, str_from(m->envid));
	}
	if (m->by_mode != 0 && smtp_client_offers(c, OFFERS_DELIVERBY))
		add_deliver_by(out, m);
	if (m->require_tls && smtp_client_offers(c, OFFERS_REQUIRETLS))
		buf_adds(out, " REQUIRETLS");
	if (m->priority != 0 && smtp_client_offers(c, OFFERS_MT_PRIORITY))
		buf_printf(out, " MT-PRIORITY=%d", m->priority);
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
	if (smtp_client_offers(c, OFFERS_DSN)) {
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

		if (wait && !smtp_client_offers(c, OFFERS_PIPELINING))
			break;
		if (c->sent_commands == last &&
		    (c->bdat || (wait && c->config.lmtp) || (!wait && c->accepted_count == 0)))
			break;
		add_command(c, c->sent_commands++, &out);
	}
	if (out.len > 0)
		net_stream_write_buf(c->stream, &out);
	buf_free(&out);
	if (c->sent_commands > last)
		smtp_client_patience(c, c->config.data_init_timeout_s, 120);
	else
		smtp_client_patience(c, c->config.command_timeout_s, 300);
}

/* All of the envelope is answered. */
static void
end_envelope(struct smtp_client *c)
{
	c->needs_rset = c->mail_ok;
	say_sent(c, true);
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

void
smtp_client_send_envelope_reply(struct smtp_client *c)
{
	size_t number = c->got_replies++;
	struct smtp_result r = smtp_client_reply_result(c);

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

void
smtp_client_send_final_reply(struct smtp_client *c)
{
	struct smtp_result r = smtp_client_reply_result(c);

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

/* What is to come back unless it arrives in time only goes to a peer that sees to that: RFC 2852 §4.1.4. */
static struct smtp_result
check_time(const struct smtp_client *c, const struct smtp_client_message *m)
{
	if (m->by_mode != 'R')
		return (struct smtp_result){ .outcome = SMTP_OUTCOME_ACCEPTED };
	if (m->by_seconds < 1)
		return smtp_client_finding(
		    SMTP_OUTCOME_PERMANENT, "5.4.7", "The time for its delivery has run out", "");
	if (!smtp_client_offers(c, OFFERS_DELIVERBY))
		return smtp_client_finding(SMTP_OUTCOME_PERMANENT, "5.4.7",
		    "The next host does not deliver by a given time", c->peer);
	if ((uint64_t)m->by_seconds < c->by_least_s)
		return smtp_client_finding(SMTP_OUTCOME_PERMANENT, "5.4.7",
		    "The next host needs more time than is left", c->peer);
	return (struct smtp_result){ .outcome = SMTP_OUTCOME_ACCEPTED };
}

/* What keeps this message from going to this peer, by the extensions it has; ACCEPTED if nothing does. */
static struct smtp_result
check_extensions(const struct smtp_client *c, const struct smtp_client_message *m)
{
	if (m->smtputf8 && !smtp_client_offers(c, OFFERS_SMTPUTF8))
		return smtp_client_finding(SMTP_OUTCOME_PERMANENT, "5.6.7",
		    "The next host cannot take internationalised mail", c->peer);
	if (m->body == SMTP_BODY_BINARYMIME &&
	    !smtp_client_offers(c, OFFERS_BINARYMIME | OFFERS_CHUNKING))
		return smtp_client_finding(SMTP_OUTCOME_PERMANENT, "5.6.1",
		    "The next host cannot take BINARYMIME", c->peer);
	if (m->body == SMTP_BODY_8BITMIME && !smtp_client_offers(c, OFFERS_8BITMIME))
		return smtp_client_finding(SMTP_OUTCOME_PERMANENT, "5.6.3",
		    "The next host cannot take 8-bit mail", c->peer);
	if (c->size_limit > 0 && m->size_bytes > c->size_limit)
		return smtp_client_finding(SMTP_OUTCOME_PERMANENT, "5.3.4",
		    "The message is larger than the next host takes", c->peer);
	/* RFC 8689 §5: a bounce is not discarded for it */
	if (m->require_tls && *m->from != '\0' &&
	    (!c->verified || !smtp_client_offers(c, OFFERS_REQUIRETLS)))
		return smtp_client_finding(SMTP_OUTCOME_PERMANENT, "5.7.30",
		    c->verified
			? "The next host does not offer REQUIRETLS"
			: "The next host is not known by verified TLS, as REQUIRETLS demands",
		    c->peer);
	return check_time(c, m);
}

static struct str
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return str_from(at != NULL ? at + 1 : "");
}

/* Is the domain of rcpts[i] one that none before it has? */
static bool
is_new_domain(const struct smtp_client_rcpt *rcpts, size_t i)
{
	struct str domain = domain_of(rcpts[i].address);

	for (size_t j = i; j-- > 0;)
		if (str_eq_nocase(domain_of(rcpts[j].address), domain))
			return false;
	return true;
}

size_t
smtp_client_takes(const struct smtp_client *c, const struct smtp_client_rcpt *rcpts, size_t count)
{
	uint64_t domains = 0;
	size_t n = count;

	if (c->rcpt_max > 0 && n > c->rcpt_max)
		n = (size_t)c->rcpt_max;
	for (size_t i = 0; c->rcpt_domain_max > 0 && i < n; i++) {
		domains += is_new_domain(rcpts, i);
		if (domains > c->rcpt_domain_max)
			return i;
	}
	return n;
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
	c->dsn_relayed = wants_dsn(m) && !smtp_client_offers(c, OFFERS_DSN);
	c->by_relayed = m->by_mode == 'N' && !smtp_client_offers(c, OFFERS_DELIVERBY);
	c->bdat = m->body == SMTP_BODY_BINARYMIME;
	c->in_doubt = c->read_failed = c->body_done = c->prefix_done = c->lost = false;
	c->read_bytes = 0;
	c->stuff = (struct smtp_stuff){ 0 };
	c->state = STATE_REPORT;
	why = c->stream == NULL ? smtp_client_finding(
				      SMTP_OUTCOME_TEMPORARY, "4.4.2", "The connection is lost", "")
				: check_extensions(c, m);
	if (why.outcome != SMTP_OUTCOME_ACCEPTED || m->rcpt_count == 0) {
		decide_all(c, &why);
		net_timer_start_ms(c->soon, 0);
		return;
	}
	c->messages++;
	c->state = STATE_ENVELOPE;
	c->sent_commands = c->got_replies = c->needs_rset ? COMMAND_RSET : COMMAND_MAIL;
	send_commands(c);
}
