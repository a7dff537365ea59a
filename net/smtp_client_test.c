/* The client against scripted servers on a loopback port, and against our own smtp_server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fnmatch.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/loop.h"
#include "net/smtp_client.h"
#include "net/smtp_client_internal.h"
#include "net/smtp_server.h"
#include "net/stream.h"
#include "net/tls.h"

/* --- a scripted server: C: what must come, S: what is sent --- */

struct script {
	int listener;
	const char *text;
	char error[400];
	char in[65536];
	size_t in_len;
};

static bool
read_line(struct script *s, int fd, char *line, size_t room)
{
	char *lf;
	ssize_t got;
	size_t len;

	while ((lf = memchr(s->in, '\n', s->in_len)) == NULL) {
		got = read(fd, s->in + s->in_len, sizeof(s->in) - s->in_len);
		if (got <= 0)
			return false;
		s->in_len += (size_t)got;
	}
	len = (size_t)(lf - s->in);
	if (len == 0 || lf[-1] != '\r' || len >= room)
		return false;
	memcpy(line, s->in, len - 1);
	line[len - 1] = '\0';
	s->in_len -= len + 1;
	memmove(s->in, lf + 1, s->in_len);
	return true;
}

static void *
serve(void *arg)
{
	struct script *s = arg;
	struct timeval wait = { .tv_sec = 10 };
	int fd = accept(s->listener, NULL, NULL);
	struct cursor c = cursor_from(str_from(s->text));
	char got[4096], want[4096];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	while (!cursor_at_end(&c)) {
		const char *lf = memchr(c.p, '\n', cursor_left(&c));

		snprintf(want, sizeof(want), "%.*s", (int)(lf - c.p), c.p);
		c.p = lf + 1;
		if (strncmp(want, "S: ", 3) == 0) {
			strcat(want, "\r\n");
			if (send(fd, want + 3, strlen(want + 3), MSG_NOSIGNAL) < 0)
				break;
			continue;
		}
		if (!read_line(s, fd, got, sizeof(got)))
			snprintf(got, sizeof(got), "(nothing)");
		if (fnmatch(want + 3, got, 0) != 0) {
			snprintf(
			    s->error, sizeof(s->error), "want %.150s got %.150s", want + 3, got);
			break;
		}
	}
	close(fd);
	return NULL;
}

static int
listen_somewhere(uint16_t *port_out)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*port_out = ntohs(in.sin_port);
	return fd;
}

/* --- what the client tells --- */

struct sender {
	struct net_loop *loop;
	struct smtp_client *client;
	const struct smtp_client_message *messages;
	size_t count, sent;
	bool tells_takes; /* how many recipients of one message the peer takes */
	struct buf told;
};

static void
tell(struct sender *s, const struct smtp_result *r)
{
	static const char *const OUTCOME[] = { "ok", "temp", "perm" };

	buf_printf(&s->told, "%s/%d/%s ", OUTCOME[r->outcome], r->code, r->enhanced);
}

static void
end(struct sender *s)
{
	smtp_client_quit(s->client);
	s->client = NULL;
	net_loop_stop(s->loop);
}

static void
on_ready(void *arg, const struct smtp_result *r)
{
	struct sender *s = arg;

	if (r->outcome == SMTP_OUTCOME_ACCEPTED) {
		if (s->tells_takes)
			buf_printf(&s->told, "takes %zu ",
			    smtp_client_takes(
				s->client, s->messages[0].rcpts, s->messages[0].rcpt_count));
		smtp_client_send(s->client, &s->messages[0]);
		return;
	}
	buf_adds(&s->told, "no: ");
	tell(s, r);
	end(s);
}

static void
on_sent(void *arg, const struct smtp_client_report *report)
{
	struct sender *s = arg;

	for (size_t i = 0; i < report->rcpt_count; i++)
		tell(s, &report->rcpts[i]);
	buf_adds(&s->told, report->dsn_relayed ? "relayed " : "");
	buf_adds(&s->told, report->by_relayed ? "untimed " : "");
	buf_adds(&s->told, report->lost ? "lost " : "");
	buf_adds(&s->told, report->in_doubt ? "in-doubt " : "");
	buf_adds(&s->told, report->reusable ? "; " : "! ");
	if (report->reusable && ++s->sent < s->count)
		smtp_client_send(s->client, &s->messages[s->sent]);
	else
		end(s);
}

static void
on_lost(void *arg, const struct smtp_result *r)
{
	tell(arg, r);
	end(arg);
}

static const struct smtp_client_events EVENTS = { on_ready, on_sent, on_lost };

static int
file_of(const char *text)
{
	int fd = memfd_create("message", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

struct case_ {
	const char *name;
	bool lmtp;
	const char *user;
	enum smtp_client_tls tls;
	enum smtp_body body;
	bool utf8, dsn, twice;
	const char *script, *told;
};

#define HELLO "S: 220 x\nC: EHLO me.test\n"
static const struct case_ CASES[] = {
	{ "pipelined", false, NULL, SMTP_TLS_NONE, SMTP_BODY_8BITMIME, false, false, false,
	    HELLO "S: 250-x\nS: 250-PIPELINING\nS: 250-8BITMIME\nS: 250 SIZE 1000\n"
		  "C: MAIL FROM:<a@b> SIZE=13 BODY=8BITMIME\nC: RCPT TO:<x@y>\nC: RCPT "
		  "TO:<z@y>\nC: DATA\n"
		  "S: 250 2.1.0 ok\nS: 250 2.1.5 ok\nS: 550-5.1.1 no\nS: 550 5.1.1 no\nS: 354 go\n"
		  "C: P: q\nC: Hi\nC: \nC: ..dot\nC: last\nC: .\nS: 250 2.0.0 done\nC: QUIT\nS: "
		  "221 bye\n",
	    "ok/250/2.0.0 perm/550/5.1.1 ; " },
	{ "one by one, HELO", false, NULL, SMTP_TLS_NONE, SMTP_BODY_7BIT, false, true, true,
	    HELLO "S: 500 what\nC: HELO me.test\nS: 250 x\nC: MAIL FROM:<a@b>\nS: 250 ok\n"
		  "C: RCPT TO:<x@y>\nS: 552 too many\nC: RCPT TO:<z@y>\nS: 450 later\n"
		  "C: RSET\nS: 250 ok\nC: MAIL FROM:<a@b>\nS: 550 5.7.1 never\nC: QUIT\nS: 221 x\n",
	    "temp/552/ temp/450/ relayed ; perm/550/5.7.1 perm/550/5.7.1 relayed ; " },
	{ "all refused, yet 354", false, NULL, SMTP_TLS_NONE, SMTP_BODY_7BIT, false, false, true,
	    HELLO
	    "S: 250-x\nS: 250 PIPELINING\nC: MAIL*\nC: RCPT*\nC: RCPT*\nC: DATA\n"
	    "S: 250 ok\nS: 550 no\nS: 451 4.2.0 no\nS: 354 go\nC: .\nS: 554 5.5.1 nobody\n"
	    "C: MAIL*\nC: RCPT*\nC: RCPT*\nC: DATA\nS: 250 ok\nS: 550 no\nS: 550 no\nS: 503 no\n"
	    "C: QUIT\nS: 221 x\n",
	    "perm/550/ temp/451/4.2.0 ; perm/550/ perm/550/ ; " },
	{ "LMTP, a result for each, DSN", true, NULL, SMTP_TLS_NONE, SMTP_BODY_7BIT, false, true,
	    false,
	    "S: 220 x\nC: LHLO me.test\nS: 250-x\nS: 250-PIPELINING\nS: 250 DSN\n"
	    "C: MAIL FROM:<a@b> RET=HDRS ENVID=q+2Br\nC: RCPT TO:<x@y> NOTIFY=SUCCESS,DELAY "
	    "ORCPT=rfc822;o+2Bp@y\nC: RCPT TO:<z@y> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+2Bp@y\n"
	    "S: 250 ok\nS: 250 ok\nS: 250 ok\nC: DATA\nS: 354 go\n"
	    "C: P: q\nC: Hi\nC: \nC: ..dot\nC: last\nC: .\nS: 250 2.0.0 ok\nS: 452 4.2.2 full\nC: "
	    "QUIT\nS: 221 x\n",
	    "ok/250/2.0.0 temp/452/4.2.2 ; " },
	{ "SMTPUTF8 missing", false, NULL, SMTP_TLS_NONE, SMTP_BODY_8BITMIME, true, false, false,
	    HELLO "S: 250-x\nS: 250 8BITMIME\nC: QUIT\nS: 221 x\n",
	    "perm/0/5.6.7 perm/0/5.6.7 ; " },
	{ "8BITMIME missing", false, NULL, SMTP_TLS_NONE, SMTP_BODY_8BITMIME, false, false, false,
	    HELLO "S: 250 x\nC: QUIT\nS: 221 x\n", "perm/0/5.6.3 perm/0/5.6.3 ; " },
	{ "too big", false, NULL, SMTP_TLS_NONE, SMTP_BODY_7BIT, false, false, false,
	    HELLO "S: 250-x\nS: 250 SIZE 12\nC: QUIT\nS: 221 x\n", "perm/0/5.3.4 perm/0/5.3.4 ; " },
	{ "BINARYMIME", false, NULL, SMTP_TLS_NONE, SMTP_BODY_BINARYMIME, false, false, false,
	    HELLO "S: 250-x\nS: 250-CHUNKING\nS: 250-BINARYMIME\nS: 250 PIPELINING\n"
		  "C: MAIL FROM:<a@b> BODY=BINARYMIME\nC: RCPT*\nC: RCPT*\nS: 250 ok\nS: 250 "
		  "ok\nS: 250 ok\n"
		  "C: BDAT 19 LAST\nC: P: q\nC: (nothing)\n",
	    "temp/0/4.4.2 temp/0/4.4.2 lost in-doubt ! " },
	{ "421 in the middle", false, NULL, SMTP_TLS_NONE, SMTP_BODY_7BIT, false, false, false,
	    HELLO "S: 250 x\nC: MAIL*\nS: 250 ok\nC: RCPT*\nS: 421 4.3.2 going\n",
	    "temp/421/4.3.2 temp/421/4.3.2 lost ! " },
	{ "lost in the middle", false, NULL, SMTP_TLS_NONE, SMTP_BODY_7BIT, false, false, false,
	    HELLO "S: 250 x\nC: MAIL*\nS: 250 ok\nC: RCPT*\nS: 550 5.1.1 no\nC: RCPT*\n",
	    "perm/550/5.1.1 temp/0/4.4.2 lost ! " },
	{ "garbage", false, NULL, SMTP_TLS_NONE, SMTP_BODY_7BIT, false, false, false,
	    "S: hello there\n", "no: temp/0/4.5.0 " },
	{ "refused greeting", false, NULL, SMTP_TLS_NONE, SMTP_BODY_7BIT, false, false, false,
	    "S: 554 5.3.2 closed\n", "no: perm/554/5.3.2 " },
	{ "TLS required", false, NULL, SMTP_TLS_REQUIRED, SMTP_BODY_7BIT, false, false, false,
	    HELLO "S: 250 x\n", "no: temp/0/4.7.10 " },
	{ "AUTH never in the clear", false, "ann", SMTP_TLS_OPPORTUNISTIC, SMTP_BODY_7BIT, false,
	    false, false, HELLO "S: 250-x\nS: 250 AUTH PLAIN\n", "no: temp/0/4.7.0 " },
};

/* RFC 2852 */
struct by_case {
	const char *name;
	char mode;
	bool trace;
	int64_t seconds;
	const char *script, *told;
};

static const struct by_case BY_CASES[] = {
	{ "as it is", 'R', true, 120,
	    HELLO "S: 250-x\nS: 250-DSN\nS: 250 DELIVERBY 120,x\nC: MAIL FROM:<a@b> BY=120;RT\n"
		  "S: 550 no\nC: QUIT\nS: 221 x\n",
	    "perm/550/ perm/550/ ; " },
	{ "less than the least", 'R', false, 119,
	    HELLO "S: 250-x\nS: 250 DELIVERBY 120,x\nC: QUIT\nS: 221 x\n",
	    "perm/0/5.4.7 perm/0/5.4.7 ; " },
	{ "ten digits are no least", 'R', false, 1,
	    HELLO "S: 250-x\nS: 250 DELIVERBY 1234567890\nC: MAIL FROM:<a@b> BY=1;R\nS: 450 no\n"
		  "C: QUIT\nS: 221 x\n",
	    "temp/450/ temp/450/ ; " },
	{ "no time left", 'R', false, 0, HELLO "S: 250-x\nS: 250 DELIVERBY\nC: QUIT\nS: 221 x\n",
	    "perm/0/5.4.7 perm/0/5.4.7 ; " },
	{ "not offered", 'R', false, 1000, HELLO "S: 250 x\nC: QUIT\nS: 221 x\n",
	    "perm/0/5.4.7 perm/0/5.4.7 ; " },
	{ "late, and the least binds only R", 'N', true, -5,
	    HELLO "S: 250-x\nS: 250 DELIVERBY 120\nC: MAIL FROM:<a@b> BY=-5;NT\nS: 450 no\n"
		  "C: QUIT\nS: 221 x\n",
	    "temp/450/ temp/450/ ; " },
	{ "nine digits", 'N', false, 1000000000,
	    HELLO "S: 250-x\nS: 250 DELIVERBY\nC: MAIL FROM:<a@b> BY=999999999;N\nS: 450 no\n"
		  "C: QUIT\nS: 221 x\n",
	    "temp/450/ temp/450/ ; " },
	{ "goes without", 'N', true, 10,
	    HELLO "S: 250 x\nC: MAIL FROM:<a@b>\nS: 450 no\nC: QUIT\nS: 221 x\n",
	    "temp/450/ temp/450/ untimed ; " },
};

struct later_case {
	const char *name, *script, *told;
	/* RFC 8689, 6710, 9422 */
	bool require_tls, tells_takes, bounce;
	int priority;
	unsigned messages_max;
	size_t count; /* of messages; 0: one */
};

static const struct later_case LATER_CASES[] = {
	{ .name = "REQUIRETLS in the clear",
	    .require_tls = true,
	    .script = HELLO "S: 250-x\nS: 250 REQUIRETLS\nC: QUIT\nS: 221 x\n",
	    .told = "perm/0/5.7.30 perm/0/5.7.30 ; " },
	{ .name = "REQUIRETLS of a bounce is no reason to lose it",
	    .require_tls = true,
	    .bounce = true,
	    .script = HELLO "S: 250 x\nC: MAIL FROM:<>\nS: 450 no\nC: QUIT\nS: 221 x\n",
	    .told = "temp/450/ temp/450/ ; " },
	{ .name = "priority offered",
	    .priority = -3,
	    .script = HELLO "S: 250-x\nS: 250 MT-PRIORITY NSEP\nC: MAIL FROM:<a@b> MT-PRIORITY=-3\n"
			    "S: 450 no\nC: QUIT\nS: 221 x\n",
	    .told = "temp/450/ temp/450/ ; " },
	{ .name = "priority as a field",
	    .priority = 6,
	    .script = HELLO
	    "S: 250-x\nS: 250 PIPELINING\nC: MAIL FROM:<a@b>\nC: RCPT*\nC: RCPT*\nC: DATA\n"
	    "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n"
	    "C: P: q\nC: MT-Priority: 6\nC: Hi\nC: \nC: ..dot\nC: last\nC: .\n"
	    "S: 250 ok\nC: QUIT\nS: 221 x\n",
	    .told = "ok/250/ ok/250/ ; " },
	{ .name = "MAILMAX",
	    .count = 2,
	    .script = HELLO
	    "S: 250-x\nS: 250 LIMITS FOO=1 MAILMAX=2 RCPTMAX=x\nC: MAIL FROM:<a@b>\nS: 450 no\n"
	    "C: MAIL FROM:<a@b>\nS: 450 no\nC: QUIT\n",
	    .tells_takes = true,
	    .told = "takes 2 temp/450/ temp/450/ ; temp/450/ temp/450/ ! " },
	{ .name = "our own most",
	    .count = 2,
	    .messages_max = 1,
	    .script = HELLO "S: 250 x\nC: MAIL FROM:<a@b>\nS: 450 no\nC: QUIT\nS: 221 x\n",
	    .told = "temp/450/ temp/450/ ! " },
	{ .name = "RCPTMAX",
	    .tells_takes = true,
	    .script = HELLO "S: 250-x\nS: 250 limits rcptmax=1\nC: MAIL FROM:<a@b>\nS: 450 no\n"
			    "C: QUIT\nS: 221 x\n",
	    .told = "takes 1 temp/450/ temp/450/ ; " },
	{ .name = "RCPTDOMAINMAX, both in one domain",
	    .tells_takes = true,
	    .script =
		HELLO "S: 250-x\nS: 250 LIMITS RCPTDOMAINMAX=1\nC: MAIL FROM:<a@b>\nS: 450 no\n"
		      "C: QUIT\nS: 221 x\n",
	    .told = "takes 2 temp/450/ temp/450/ ; " },
};

static void
run_case(const struct case_ *t, const struct by_case *by, const struct later_case *later)
{
	struct script script = { .text = t->script };
	uint16_t port;
	pthread_t thread;
	struct sender s = { .loop = net_loop_new(NULL),
		.count = t->twice ? 2 : 1,
		.tells_takes = later->tells_takes };
	struct smtp_client_rcpt rcpts[2] = { { .address = "x@y" }, { .address = "z@y" } };
	struct smtp_client_message messages[2];
	struct smtp_client_config config = { .host = "127.0.0.1",
		.lmtp = t->lmtp,
		.helo = "me.test",
		.tls = t->tls,
		.user = t->user,
		.password = "x" };

	script.listener = listen_somewhere(&port);
	config.port = port;
	if (t->dsn)
		for (size_t i = 0; i < 2; i++) {
			rcpts[i].notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY;
			rcpts[i].orcpt = "rfc822;o+p@y";
		}
	for (size_t i = 0; i < 2; i++)
		messages[i] = (struct smtp_client_message){ .from = later->bounce ? "" : "a@b",
			.rcpts = rcpts,
			.rcpt_count = 2,
			.fd = file_of("Hi\n\n.dot\nlast"),
			.size_bytes = 14,
			.prefix = "P: q\n",
			.body = t->body,
			.smtputf8 = t->utf8,
			.ret = t->dsn ? SMTP_RET_HDRS : SMTP_RET_NONE,
			.envid = t->dsn ? "q+r" : NULL,
			.by_mode = by->mode,
			.by_trace = by->trace,
			.by_seconds = by->seconds,
			.require_tls = later->require_tls,
			.priority = later->priority };
	config.messages_max = later->messages_max;
	if (later->count > 0)
		s.count = later->count;
	for (size_t i = 0; i < 2; i++)
		messages[i].size_bytes = strlen("Hi\n\n.dot\nlast");
	s.messages = messages;
	pthread_create(&thread, NULL, serve, &script);
	s.client = smtp_client_open(s.loop, &config, &EVENTS, &s);
	net_loop_run(s.loop);
	pthread_join(thread, NULL);
	net_loop_free(s.loop);
	close(script.listener);
	for (size_t i = 0; i < 2; i++)
		close(messages[i].fd);
	if (script.error[0] != '\0')
		fail_msg("%s: %s", t->name, script.error);
	if (strcmp(buf_cstr(&s.told), t->told) != 0)
		fail_msg("%s: told %s", t->name, s.told.data);
	buf_free(&s.told);
}

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
		run_case(&CASES[i], &(struct by_case){ 0 }, &(struct later_case){ 0 });
}

static void
test_later_extensions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(LATER_CASES); i++) {
		const struct later_case *one = &LATER_CASES[i];

		run_case(
		    &(struct case_){ .name = one->name, .script = one->script, .told = one->told },
		    &(struct by_case){ 0 }, one);
	}
}

static void
test_deliver_by(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(BY_CASES); i++) {
		const struct by_case *by = &BY_CASES[i];

		run_case(
		    &(struct case_){ .name = by->name, .script = by->script, .told = by->told }, by,
		    &(struct later_case){ 0 });
	}
}

/* --- against our own server: STARTTLS, AUTH, a big message, twice over one connection --- */

#define BIG_LINES 60000

struct own_server {
	int listener;
	struct net_loop *loop;
	struct smtp_service service;
	struct buf data;
	unsigned messages;
	int accepted;
};

static void
own_rcpt(struct smtp_session *s, const struct smtp_rcpt *rcpt, struct smtp_reply *r)
{
	(void)s;
	if (strcmp(rcpt->to.local, "z") == 0)
		smtp_reply_set(r, 550, "5.1.1", "No such user");
}

static bool
own_write(struct smtp_session *s, const char *bytes, size_t len)
{
	struct own_server *own = smtp_session_service_arg(s);

	buf_add(&own->data, bytes, len);
	return true;
}

static void
own_end(struct smtp_session *s, struct smtp_reply *replies, size_t count)
{
	struct own_server *own = smtp_session_service_arg(s);

	(void)replies;
	assert_int_equal(count, 1);
	assert_string_equal(smtp_session_facts(s)->login, "ann");
	assert_string_equal(smtp_session_facts(s)->with, "ESMTPSA");
	own->messages++;
}

static const struct smtp_handlers OWN_HANDLERS = {
	.rcpt = own_rcpt,
	.data_write = own_write,
	.data_end = own_end,
};

static enum sasl_verdict
own_password(void *arg, const char *user, struct str password, const char *peer,
    struct buf *login_out, struct buf *note_out)
{
	(void)note_out;
	(void)arg;
	(void)peer;
	buf_adds(login_out, user);
	return str_eq(password, STR("x")) ? SASL_VERDICT_OK : SASL_VERDICT_DENIED;
}

static void
own_start(void *arg)
{
	struct own_server *own = arg;

	smtp_server_start(net_stream_from_fd(own->loop, own->accepted), &own->service, NULL, NULL);
}

static void *
own_accept(void *arg)
{
	struct own_server *own = arg;

	own->accepted = accept(own->listener, NULL, NULL);
	net_loop_post(own->loop, own_start, own);
	return NULL;
}

static void
make_certificate(const char *path)
{
	char command[512];

	snprintf(command, sizeof(command),
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
	    "-subj /CN=mx.test -keyout %s -out %s.crt 2>/dev/null && cat %s.crt >>%s && rm %s.crt",
	    path, path, path, path, path);
	assert_int_equal(system(command), 0);
}

static void
test_own_server(void **state)
{
	static const struct sasl_backend BACKEND = { .verify_password = own_password };
	const struct sasl_service sasl = { .name = "smtp", .backend = &BACKEND };
	char path[] = "/tmp/smtp_client_test.XXXXXX";
	struct net_tls_server_spec server_spec = { .certificate = path, .key = path };
	struct net_tls_client_spec client_spec = { .verify = NET_TLS_ANY };
	struct net_tls *server_tls, *client_tls;
	struct own_server own = { .loop = net_loop_new(NULL) };
	struct sender s = { .loop = own.loop, .count = 2 };
	struct smtp_client_rcpt rcpts[2] = { { .address = "x@y" }, { .address = "z@y" } };
	struct smtp_client_message messages[2];
	struct smtp_client_config config = { .host = "127.0.0.1",
		.helo = "me.test",
		.tls = SMTP_TLS_REQUIRED,
		.user = "ann",
		.password = "x" };
	struct buf text = { 0 }, want = { 0 };
	uint16_t port;
	pthread_t thread;
	(void)state;

	close(mkstemp(path));
	make_certificate(path);
	server_tls = net_tls_server_new(&server_spec, NULL);
	client_tls = net_tls_client_new(&client_spec, NULL);
	assert_true(server_tls != NULL && client_tls != NULL && sasl_setup(NULL));
	own.listener = listen_somewhere(&port);
	own.service = (struct smtp_service){ .protocol = SMTP_PROTOCOL_SUBMISSION,
		.hostname = "mx.test",
		.handlers = &OWN_HANDLERS,
		.arg = &own,
		.sasl = &sasl,
		.tls = server_tls,
		.tls_required = true,
		.auth_required = true,
		.size_max_bytes = 100000000 };
	config.port = port;
	config.tls_client = client_tls;
	for (int i = 0; i < BIG_LINES; i++)
		buf_printf(&text, ".line %d of a message that does not fit into one buffer\n", i);
	for (size_t i = 0; i < 2; i++)
		messages[i] = (struct smtp_client_message){ .from = "a@b",
			.rcpts = rcpts,
			.rcpt_count = 2,
			.fd = file_of(buf_cstr(&text)),
			.size_bytes = text.len };
	for (size_t i = 0; i < 2; i++)
		for (size_t at = 0; at < text.len; at++)
			buf_add(&want, text.data[at] == '\n' ? "\r\n" : &text.data[at],
			    text.data[at] == '\n' ? 2 : 1);
	s.messages = messages;
	pthread_create(&thread, NULL, own_accept, &own);
	s.client = smtp_client_open(s.loop, &config, &EVENTS, &s);
	net_loop_run(s.loop);
	pthread_join(thread, NULL);
	net_loop_free(s.loop);
	assert_string_equal(
	    buf_cstr(&s.told), "ok/250/2.0.0 perm/550/5.1.1 ; ok/250/2.0.0 perm/550/5.1.1 ; ");
	assert_int_equal(own.messages, 2);
	assert_int_equal(own.data.len, want.len);
	assert_memory_equal(own.data.data, want.data, want.len);
	for (size_t i = 0; i < 2; i++)
		close(messages[i].fd);
	close(own.listener);
	buf_free(&own.data);
	buf_free(&s.told);
	buf_free(&text);
	buf_free(&want);
	net_tls_free(server_tls);
	net_tls_free(client_tls);
	sasl_teardown();
	unlink(path);
}

/* How many of these the peer takes with one message, RFC 9422 §4.4, §4.5. */
static void
test_takes(void **state)
{
	static const struct {
		const char *rcpts;
		uint64_t rcpt_max, domain_max;
		size_t takes;
	} ROWS[] = {
		{ "a@x b@x c@y d@z", 0, 0, 4 }, { "a@x b@x c@y d@z", 3, 0, 3 },
		{ "a@x b@x c@y d@z", 9, 0, 4 }, { "a@x b@x c@y d@z", 0, 1, 2 },
		{ "a@x b@x c@y d@z", 0, 2, 3 }, { "a@x b@X c@y d@x", 0, 1, 2 },
		{ "a@x b@y c@x d@y", 0, 2, 4 }, /* none that is new */
		{ "a@x b@x c@y d@z", 1, 2, 1 }, { "a@x b@x c@y d@z", 4, 2, 3 }, { "a@x", 1, 1, 1 },
		{ "postmaster a@x", 0, 1, 1 }, /* no domain is one, too */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		struct smtp_client c = { .rcpt_max = ROWS[i].rcpt_max,
			.rcpt_domain_max = ROWS[i].domain_max };
		struct smtp_client_rcpt rcpts[4];
		char *text = mem_strdup(ROWS[i].rcpts), *rest = text;
		size_t count = 0;

		for (char *one = strtok_r(text, " ", &rest); one != NULL;
		     one = strtok_r(NULL, " ", &rest))
			rcpts[count++] = (struct smtp_client_rcpt){ .address = one };
		assert_int_equal(smtp_client_takes(&c, rcpts, count), ROWS[i].takes);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_takes),
		cmocka_unit_test(test_cases), cmocka_unit_test(test_deliver_by),
		cmocka_unit_test(test_later_extensions), cmocka_unit_test(test_own_server) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
