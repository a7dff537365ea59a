/* Dialogues: a script on one end of a socket pair, smtp_server on the other.
 *   C: text      sent with CRLF          R: text   sent as it is, with \r \n \0 \\ escapes
 *   S: pattern   one line received, fnmatch(3)      TLS    a handshake
 *   SCRAM type   AUTH SCRAM-SHA-256-PLUS bound to this very connection, RFC 9266 or RFC 5929
 *   BIG n        n bytes of text lines   EOF       no more will be sent    CLOSED   nor received
 * Each plain dialogue runs twice: sent line by line, and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fnmatch.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/smtp_server.h"
#include "net/stream.h"
#include "net/tls.h"

#define WAIT_S 10

struct recorder {
	struct buf events, data;
};

static struct recorder *
recorder_of(struct smtp_session *s)
{
	return smtp_session_service_arg(s);
}

static void
h_connect(struct smtp_session *s, struct smtp_reply *r)
{
	(void)r;
	buf_adds(&recorder_of(s)->events, "connect");
}

static void
h_mail(struct smtp_session *s, const struct smtp_mail *mail, struct smtp_reply *r)
{
	struct recorder *rec = recorder_of(s);

	if (strcmp(mail->from.local, "bad") == 0)
		smtp_reply_set(r, 550, "5.7.1", "Not you");
	else
		buf_printf(&rec->events, " mail(%s,%s)", mail->from.address,
		    smtp_session_facts(s)->login != NULL ? smtp_session_facts(s)->login : "-");
}

static void
h_rcpt(struct smtp_session *s, const struct smtp_rcpt *rcpt, struct smtp_reply *r)
{
	if (strncmp(rcpt->to.local, "no", 2) == 0)
		smtp_reply_set(r, 550, "5.1.1", "No such user\r\nhere");
	else if (strncmp(rcpt->to.local, "bye", 3) == 0)
		smtp_reply_set(r, 421, "4.3.0", "Going");
	else
		buf_printf(&recorder_of(s)->events, " rcpt(%s)", rcpt->to.address);
}

static void
h_data_begin(struct smtp_session *s, struct smtp_reply *r)
{
	struct recorder *rec = recorder_of(s);

	if (strstr(buf_cstr(&rec->events), "rcpt(stop") != NULL)
		smtp_reply_set(r, 452, "4.3.1", "No space");
	else
		buf_printf(&rec->events, " begin(%s)", smtp_session_facts(s)->with);
}

static bool
h_data_write(struct smtp_session *s, const char *bytes, size_t len)
{
	struct recorder *rec = recorder_of(s);

	buf_add(&rec->data, bytes, len);
	return strstr(buf_cstr(&rec->events), "rcpt(disk") == NULL;
}

static void
h_data_end(struct smtp_session *s, struct smtp_reply *replies, size_t count)
{
	struct recorder *rec = recorder_of(s);

	buf_printf(&rec->events, " end(%zu)", count);
	if (count > 1)
		smtp_reply_set(&replies[1], 452, "4.2.2", "Mailbox full");
}

static void
h_reset(struct smtp_session *s, enum smtp_reset why)
{
	static const char *const WHY[] = { "command", "too-big", "bad-data", "lost" };

	buf_printf(&recorder_of(s)->events, " reset(%s)", WHY[why]);
}

static void
h_closed(struct smtp_session *s)
{
	buf_adds(&recorder_of(s)->events, " closed");
}

static const struct smtp_handlers JOBS = {
	.connect = h_connect,
	.mail = h_mail,
	.rcpt = h_rcpt,
	.data_begin = h_data_begin,
	.data_write = h_data_write,
	.data_end = h_data_end,
	.reset = h_reset,
	.closed = h_closed,
};
static struct smtp_handlers fast_handlers;

static enum sasl_verdict
verify_password(void *arg, const char *user, struct str password, const char *peer,
    struct buf *login_out, struct buf *note_out)
{
	(void)note_out;
	(void)arg;
	(void)peer;
	if (strcmp(user, "ann") != 0 || !str_eq(password, STR("secret")))
		return SASL_VERDICT_DENIED;
	buf_adds(login_out, "ann@example.org");
	return SASL_VERDICT_OK;
}

static void
mac(const unsigned char *key, struct str text, unsigned char out[32])
{
	HMAC(EVP_sha256(), key, 32, (const unsigned char *)text.p, text.len, out, NULL);
}

static enum sasl_verdict
scram_keys(void *arg, const char *user, struct sasl_scram_keys *keys, struct buf *login_out,
    struct buf *note_out)
{
	(void)note_out;
	unsigned char salted[32], key[32];
	(void)arg;
	(void)user;

	memcpy(keys->salt, "saltsalt", 8);
	keys->salt_len = 8;
	keys->iterations = 4096;
	PKCS5_PBKDF2_HMAC(
	    "secret", 6, (const unsigned char *)"saltsalt", 8, 4096, EVP_sha256(), 32, salted);
	mac(salted, STR("Client Key"), key);
	EVP_Digest(key, 32, keys->stored_key, NULL, EVP_sha256(), NULL);
	mac(salted, STR("Server Key"), keys->server_key);
	buf_adds(login_out, "ann@example.org");
	return SASL_VERDICT_OK;
}
static const struct sasl_backend BACKEND = { verify_password, scram_keys };
static const struct sasl_service SASL = { .name = "smtp", .backend = &BACKEND };

/* --- the peer --- */

struct peer {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
	bool bytewise;
	const char *script;
	char error[512];
	char in[8192];
	size_t in_len;
};

static ssize_t
peer_read(struct peer *p, char *to, size_t room)
{
	return p->ssl != NULL ? SSL_read(p->ssl, to, (int)room) : read(p->fd, to, room);
}

static void
peer_write(struct peer *p, const char *bytes, size_t len)
{
	size_t step = p->bytewise ? 1 : len;

	for (size_t i = 0; i < len; i += step) {
		if (p->ssl != NULL)
			SSL_write(p->ssl, bytes + i, (int)step);
		else if (send(p->fd, bytes + i, step, MSG_NOSIGNAL) < 0)
			return;
	}
}

static bool
peer_line(struct peer *p, char *line, size_t room)
{
	char *lf;
	size_t len;
	ssize_t got;

	while ((lf = memchr(p->in, '\n', p->in_len)) == NULL) {
		if (p->in_len == sizeof(p->in))
			return false;
		got = peer_read(p, p->in + p->in_len, sizeof(p->in) - p->in_len);
		if (got <= 0)
			return false;
		p->in_len += (size_t)got;
	}
	len = (size_t)(lf - p->in);
	if (len == 0 || lf[-1] != '\r' || len >= room)
		return false;
	memcpy(line, p->in, len - 1);
	line[len - 1] = '\0';
	p->in_len -= len + 1;
	memmove(p->in, lf + 1, p->in_len);
	return true;
}

static void
peer_raw(struct peer *p, const char *text, size_t len)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\\' && i + 1 < len) {
			c = text[++i];
			c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c;
		}
		buf_addc(&out, c);
	}
	peer_write(p, out.data, out.len);
	buf_free(&out);
}

static void
peer_big(struct peer *p, size_t bytes)
{
	static const char LINE[] =
	    "0123456789012345678901234567890123456789012345678901234567890\r\n";
	struct buf out = { 0 };

	while (out.len + sizeof(LINE) - 1 <= bytes)
		buf_adds(&out, LINE);
	peer_write(p, out.data, out.len);
	buf_free(&out);
}

static bool
peer_tls(struct peer *p)
{
	p->ctx = SSL_CTX_new(TLS_client_method());
	p->ssl = SSL_new(p->ctx);
	SSL_set_fd(p->ssl, p->fd);
	return SSL_connect(p->ssl) == 1;
}

static bool
peer_binding(struct peer *p, const char *type, unsigned char data[32])
{
	X509 *cert;
	bool ok;

	if (strcmp(type, "tls-exporter") == 0)
		return SSL_export_keying_material(
			   p->ssl, data, 32, "EXPORTER-Channel-Binding", 24, NULL, 0, 1) == 1;
	cert = SSL_get1_peer_certificate(p->ssl);
	ok = X509_digest(cert, EVP_sha256(), data, NULL) == 1;
	X509_free(cert);
	return ok;
}

static void
peer_base64(struct peer *p, const char *before, struct buf *raw)
{
	struct buf line = { 0 };

	buf_adds(&line, before);
	base64_encode(&line, raw->data, raw->len);
	buf_adds(&line, "\r\n");
	peer_write(p, line.data, line.len);
	buf_free(&line);
	buf_reset(raw);
}

/* The whole exchange; the server's signature is sasl_test's business. */
static bool
peer_scram(struct peer *p, const char *type)
{
	struct buf raw = { 0 }, auth = { 0 }, final = { 0 };
	unsigned char data[32], salted[32], key[32], stored[32], proof[32];
	char line[2048];
	bool ok;

	buf_printf(&raw, "p=%s,,n=ann,r=abc", type);
	peer_base64(p, "AUTH SCRAM-SHA-256-PLUS ", &raw);
	ok = peer_line(p, line, sizeof(line)) && strncmp(line, "334 ", 4) == 0 &&
	     base64_decode(&raw, str_from(line + 4)) && peer_binding(p, type, data);
	if (ok) {
		struct buf bound = { 0 };

		buf_printf(&auth, "n=ann,r=abc,%s,", buf_cstr(&raw));
		buf_printf(&bound, "p=%s,,", type);
		buf_add(&bound, data, 32);
		buf_adds(&final, "c=");
		base64_encode(&final, bound.data, bound.len);
		buf_printf(&final, ",%.*s", (int)strcspn(raw.data, ","), raw.data);
		buf_add(&auth, final.data, final.len);
		PKCS5_PBKDF2_HMAC("secret", 6, (const unsigned char *)"saltsalt", 8, 4096,
		    EVP_sha256(), 32, salted);
		mac(salted, STR("Client Key"), key);
		EVP_Digest(key, 32, stored, NULL, EVP_sha256(), NULL);
		mac(stored, (struct str){ auth.data, auth.len }, proof);
		for (int i = 0; i < 32; i++)
			proof[i] ^= key[i];
		buf_adds(&final, ",p=");
		base64_encode(&final, proof, 32);
		peer_base64(p, "", &final);
		ok = peer_line(p, line, sizeof(line)) && strncmp(line, "334 ", 4) == 0;
		peer_write(p, "\r\n", 2);
		buf_free(&bound);
	}
	if (!ok)
		snprintf(p->error, sizeof(p->error), "scram %s: %.200s", type, line);
	buf_free(&raw);
	buf_free(&auth);
	buf_free(&final);
	return ok;
}

static bool
peer_step(struct peer *p, struct str line)
{
	char got[4096], want[4096];
	char *text = mem_strndup(line.p, line.len);
	bool ok = true;

	if (strncmp(text, "C: ", 3) == 0) {
		peer_write(p, text + 3, strlen(text + 3));
		peer_write(p, "\r\n", 2);
	} else if (strncmp(text, "R: ", 3) == 0) {
		peer_raw(p, text + 3, strlen(text + 3));
	} else if (strncmp(text, "S: ", 3) == 0) {
		snprintf(want, sizeof(want), "%s", text + 3);
		if (!peer_line(p, got, sizeof(got)))
			snprintf(got, sizeof(got), "(nothing)");
		ok = fnmatch(want, got, 0) == 0;
		if (!ok)
			snprintf(p->error, sizeof(p->error), "want %.200s got %.200s", want, got);
	} else if (strcmp(text, "TLS") == 0) {
		ok = peer_tls(p);
		if (!ok)
			snprintf(p->error, sizeof(p->error), "handshake");
	} else if (strncmp(text, "SCRAM ", 6) == 0) {
		ok = peer_scram(p, text + 6);
	} else if (strncmp(text, "BIG ", 4) == 0) {
		peer_big(p, (size_t)atol(text + 4));
	} else if (strcmp(text, "EOF") == 0) {
		shutdown(p->fd, SHUT_WR);
	} else if (strcmp(text, "CLOSED") == 0) {
		ok = p->in_len == 0 && peer_read(p, got, sizeof(got)) <= 0;
		if (!ok)
			snprintf(p->error, sizeof(p->error), "still open");
	} else {
		snprintf(p->error, sizeof(p->error), "script: %.200s", text);
		ok = false;
	}
	free(text);
	return ok;
}

static void *
peer_run(void *arg)
{
	struct peer *p = arg;
	struct timeval wait = { .tv_sec = WAIT_S };
	struct cursor c = cursor_from(str_from(p->script));
	bool ok = true;

	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	while (ok && !cursor_at_end(&c)) {
		const char *lf = memchr(c.p, '\n', cursor_left(&c));
		struct str line = { c.p, (size_t)(lf - c.p) };

		c.p = lf + 1;
		ok = peer_step(p, line);
	}
	if (p->ssl != NULL)
		SSL_free(p->ssl);
	SSL_CTX_free(p->ctx);
	close(p->fd);
	return NULL;
}

/* --- the table --- */

struct dialogue {
	const char *name;
	enum smtp_protocol protocol;
	enum { PLAIN, STARTTLS, IMPLICIT } tls;
	bool required, refuse_bare;
	uint64_t size_max;
	const char *script, *events, *data; /* data NULL: not looked at */
};

/* The answer to EHLO with all of it, before the last lines. */
#define MORE_EHLO                                                                                  \
	"C: EHLO a\nS: 250-*\nS: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-ENHANCEDSTATUSCODES\nS: " \
	"250-SIZE 1000\nS: 250-CHUNKING\nS: 250-BINARYMIME\nS: 250-SMTPUTF8\nS: 250-DSN\n"         \
	"S: 250-DELIVERBY 60\nS: 250-FUTURERELEASE 86400 20*Z\n"                                   \
	"S: 250-MT-PRIORITY MIXER\n"

static const struct dialogue DIALOGUES[] = {
	{ "one message", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 mx.test ESMTP*\n"
	    "C: EHLO relay.test\nS: 250-mx.test Hello relay.test\nS: 250-PIPELINING\nS: "
	    "250-8BITMIME\n"
	    "S: 250-ENHANCEDSTATUSCODES\nS: 250-SIZE 1000\nS: 250-CHUNKING\nS: 250-BINARYMIME\n"
	    "S: 250-SMTPUTF8\nS: 250 HELP\n"
	    "C: MAIL FROM:<a@b.c> SIZE=10\nS: 250 2.1.0 *\nC: RCPT TO:<x@y.z>\nS: 250 2.1.5 *\n"
	    "C: DATA\nS: 354 *\nR: Hi\\r\\n..dot\\r\\n.\\r\\n\nS: 250 2.0.0 *\nC: QUIT\nS: 221 "
	    "2.0.0 "
	    "*\nCLOSED\n",
	    "connect mail(a@b.c,-) rcpt(x@y.z) begin(ESMTP) end(1) closed", "Hi\r\n.dot\r\n" },
	{ "pipelined, two messages", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nR: HELO a\\r\\nMAIL FROM:<>\\r\\nRCPT TO:<no@y>\\r\\nRCPT "
	    "TO:<x@y>\\r\\nDATA\\r\\n\n"
	    "S: 250 mx.test Hello a\nS: 250 2.1.0*\nS: 550-5.1.1 No such user[?]\nS: 550 5.1.1 "
	    "here\n"
	    "S: 250 2.1.5 *\nS: 354 *\n"
	    "R: one\\r\\n.\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<z@y>\\r\\nDATA\\r\\n\n"
	    "S: 250 *\nS: 250 *\nS: 250 *\nS: 354 *\nR: two\\r\\n.\\r\\nQUIT\\r\\n\nS: 250 *\nS: "
	    "221 "
	    "*\nCLOSED\n",
	    "connect mail(,-) rcpt(x@y) begin(SMTP) end(1) mail(a@b,-) rcpt(z@y) begin(SMTP) "
	    "end(1) "
	    "closed",
	    "one\r\ntwo\r\n" },
	{ "LMTP answers for each", SMTP_PROTOCOL_LMTP, PLAIN, false, false, 1000,
	    "S: 220 mx.test LMTP*\nC: EHLO a\nS: 500 5.5.1*\nR: LHLO "
	    "a\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<x@y>\\r\\n"
	    "RCPT TO:<no@y>\\r\\nRCPT TO:<w@y>\\r\\nRCPT TO:<v@y>\\r\\nDATA\\r\\n\n"
	    "S: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: "
	    "250 "
	    "HELP\n"
	    "S: 250 *\nS: 250 *\nS: 550-*\nS: 550 *\nS: 250 *\nS: 250 *\nS: 354 *\nR: "
	    "x\\r\\n.\\r\\n\n"
	    "S: 250 2.0.0 *\nS: 452 4.2.2 Mailbox full\nS: 250 2.0.0 *\nC: QUIT\nS: 221 "
	    "*\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) rcpt(w@y) rcpt(v@y) begin(LMTP) end(3) closed",
	    "x\r\n" },
	{ "LMTP without recipients", SMTP_PROTOCOL_LMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nR: LHLO a\\r\\nMAIL FROM:<a@b>\\r\\nDATA\\r\\nRSET\\r\\nQUIT\\r\\n\n"
	    "S: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: "
	    "250 *\n"
	    "S: 250 *\nS: 503 5.5.1*\nS: 250 2.0.0*\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) reset(command) closed", "" },
	{ "BDAT", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nR: HELO a\\r\\nBDAT 3\\r\\nabcMAIL FROM:<a@b>\\r\\nRCPT TO:<x@y>\\r\\nBDAT "
	    "4\\r\\n.\\r\\nzBDAT 0\\r\\n"
	    "DATA\\r\\nRCPT TO:<v@y>\\r\\nBDAT 3 LAST\\r\\n.\\r\\nBDAT 2 LAST\\r\\nxyQUIT\\r\\n\n"
	    "S: 250 *\nS: 503 5.5.1*\nS: 250 *\nS: 250 *\nS: 250 2.0.0 4 octets*\nS: 250 2.0.0 0 "
	    "*\n"
	    "S: 503 *\nS: 503 *\nS: 250 2.0.0 Message*\nS: 503 *\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(SMTP) end(1) closed", ".\r\nz.\r\n" },
	{ "BDAT too big", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 10,
	    "S: 220 *\nR: HELO a\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<x@y>\\r\\nBDAT "
	    "6\\r\\n123456BDAT "
	    "6\\r\\n123456BDAT 1 LAST\\r\\nxQUIT\\r\\n\n"
	    "S: 250 *\nS: 250 *\nS: 250 *\nS: 250 *\nS: 552 5.3.4 *\nS: 503 *\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(SMTP) reset(too-big) closed", NULL },
	{ "BDAT without a size", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 10,
	    "S: 220 *\nC: BDAT x\nS: 421 *\nCLOSED\n", "connect closed", "" },
	{ "BINARYMIME needs BDAT", SMTP_PROTOCOL_SMTP, PLAIN, false, true, 1000,
	    "S: 220 *\nC: EHLO a\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: "
	    "250-*\nS: 250-*\nS: 250 *\n"
	    "C: MAIL FROM:<a@b> BODY=BINARYMIME\nS: 250 *\nC: RCPT TO:<x@y>\nS: 250 *\nC: DATA\nS: "
	    "503 "
	    "*\n"
	    "R: BDAT 3 LAST\\r\\na\\nb\nS: 250 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(ESMTP) end(1) closed", "a\nb" },
	{ "smuggling is text", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nC: HELO a\nS: 250 *\nC: MAIL FROM:<a@b>\nS: 250 *\nC: RCPT TO:<x@y>\nS: 250 "
	    "*\nC: "
	    "DATA\nS: 354 *\n"
	    "R: a\\n.\\nMAIL FROM:<evil@x>\\n.\\r\\nb\\r.\\r\\n\\r\\n.\\r\\n\nS: 250 *\nC: "
	    "NOOP\nS: 250 "
	    "*\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(SMTP) end(1) closed",
	    "a\n.\nMAIL FROM:<evil@x>\n.\r\nb\r.\r\n\r\n" },
	{ "smuggling refused", SMTP_PROTOCOL_SMTP, PLAIN, false, true, 1000,
	    "S: 220 *\nC: HELO a\nS: 250 *\nC: MAIL FROM:<a@b>\nS: 250 *\nC: RCPT TO:<x@y>\nS: 250 "
	    "*\nC: "
	    "DATA\nS: 354 *\n"
	    "R: a\\n.\\r\\nb\\r\\n.\\r\\n\nS: 550 5.6.11 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(SMTP) reset(bad-data) closed", NULL },
	{ "too big", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 10,
	    "S: 220 *\nC: EHLO a\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-SIZE 10\nS: "
	    "250-*\nS: "
	    "250-*\nS: 250-*\nS: 250 *\n"
	    "C: MAIL FROM:<a@b> SIZE=11\nS: 552 5.3.4 *\nC: MAIL FROM:<a@b> SIZE=10\nS: 250 *\n"
	    "C: RCPT TO:<x@y>\nS: 250 *\nC: DATA\nS: 354 *\nR: 0123456789\\r\\n.\\r\\nNOOP\\r\\n\n"
	    "S: 552 5.3.4 *\nS: 250 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(ESMTP) reset(too-big) closed", NULL },
	{ "disk full", SMTP_PROTOCOL_LMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nC: LHLO a\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: "
	    "250-*\nS: "
	    "250-*\nS: 250 *\n"
	    "R: MAIL FROM:<a@b>\\r\\nRCPT TO:<disk@y>\\r\\nRCPT TO:<x@y>\\r\\nDATA\\r\\n\nS: 250 "
	    "*\nS: 250 "
	    "*\nS: 250 *\nS: 354 *\n"
	    "R: x\\r\\n.\\r\\nQUIT\\r\\n\nS: 451 4.3.0 *\nS: 451 4.3.0 *\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(disk@y) rcpt(x@y) begin(LMTP) reset(bad-data) closed", NULL },
	{ "data refused", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nC: HELO a\nS: 250 *\nC: MAIL FROM:<a@b>\nS: 250 *\nC: RCPT TO:<stop@y>\nS: "
	    "250 *\n"
	    "C: DATA\nS: 452 4.3.1 *\nC: HELO b\nS: 250 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(stop@y) reset(command) closed", "" },
	{ "order and syntax", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nC: MAIL FROM:<a@b>\nS: 503 *\nC: HELO\nS: 501 *\nC: LHLO a\nS: 500 *\nC: "
	    "HELO a\nS: "
	    "250 *\n"
	    "C: RCPT TO:<a@b>\nS: 503 *\nC: DATA\nS: 503 *\nC: MAIL TO:<a@b>\nS: 501 *\nC: MAIL "
	    "FROM:<a\nS: "
	    "553 5.1.7 *\n"
	    "C: MAIL FROM:<a@b> BODY=8BITMIME\nS: 555 *\nC: mail from:<bad@b>\nS: 550 5.7.1 *\n"
	    "C: VRFY a\nS: 252 *\nC: EXPN a\nS: 502 *\nC: HELP\nS: 214 *\nR: NOOP\\n\nS: 500 5.5.2 "
	    "*\n"
	    "C: FOO\nS: 500 *\nC: STARTTLS\nS: 502 *\nC: AUTH PLAIN\nS: 421 *\nCLOSED\n",
	    "connect closed", "" },
	{ "lost in data", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nC: HELO a\nS: 250 *\nC: MAIL FROM:<a@b>\nS: 250 *\nC: RCPT TO:<x@y>\nS: 250 "
	    "*\nC: "
	    "DATA\nS: 354 *\nC: half\nEOF\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(SMTP) reset(lost) closed", NULL },
	{ "421 from a handler", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nC: HELO a\nS: 250 *\nC: MAIL FROM:<a@b>\nS: 250 *\nC: RCPT TO:<bye@y>\nS: "
	    "421 "
	    "4.3.0 Going\nCLOSED\n",
	    "connect mail(a@b,-) reset(lost) closed", "" },
	{ "big goes in pieces", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 10000000,
	    "S: 220 *\nC: HELO a\nS: 250 *\nC: MAIL FROM:<a@b>\nS: 250 *\nC: RCPT TO:<x@y>\nS: 250 "
	    "*\nC: "
	    "DATA\nS: 354 *\n"
	    "BIG 2000000\nC: .\nS: 250 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(SMTP) end(1) closed", NULL },
	{ "STARTTLS", SMTP_PROTOCOL_SMTP, STARTTLS, true, false, 1000,
	    "S: 220 *\nC: EHLO a\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: "
	    "250-*\nS: "
	    "250-*\nS: 250-STARTTLS\nS: 250 HELP\n"
	    "C: MAIL FROM:<a@b>\nS: 530 5.7.0 *\nC: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 530 *\nC: "
	    "STARTTLS "
	    "x\nS: 501 *\nC: STARTTLS\nS: 220 *\nTLS\n"
	    "C: MAIL FROM:<a@b>\nS: 503 *\n" /* EHLO is forgotten */
	    "C: EHLO a\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: "
	    "250-*\nS: "
	    "250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\nS: 250 HELP\n"
	    "C: STARTTLS\nS: 503 *\nC: MAIL FROM:<a@b>\nS: 250 *\nC: RCPT TO:<x@y>\nS: 250 *\nC: "
	    "DATA\nS: "
	    "354 *\nR: x\\r\\n.\\r\\n\nS: 250 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(ESMTPS) end(1) closed", "x\r\n" },
	{ "STARTTLS injection", SMTP_PROTOCOL_SMTP, STARTTLS, true, false, 1000,
	    "S: 220 *\nR: STARTTLS\\r\\nNOOP\\r\\n\nCLOSED\n", "connect closed", "" },
	{ "submission", SMTP_PROTOCOL_SUBMISSION, IMPLICIT, true, true, 1000,
	    "TLS\nS: 220 *\nC: EHLO a\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: "
	    "250-*\nS: "
	    "250-*\nS: 250-*\nS: 250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\nS: 250 *\n"
	    "C: MAIL FROM:<a@b>\nS: 530 5.7.0 *\nC: AUTH FOO\nS: 504 5.5.4 *\nC: AUTH PLAIN "
	    "AGFubgB3cm9uZw==\nS: 535 5.7.8 *\n"
	    "C: AUTH PLAIN !\nS: 501 *\nC: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: *\nS: 501 5.7.0 *\n"
	    "C: AUTH PLAIN\nS: 334 \nC: AGFubgBzZWNyZXQ=\nS: 235 2.7.0 *\nC: AUTH PLAIN\nS: 503 *\n"
	    "C: MAIL FROM:<\xc3\xa9@b> SMTPUTF8 AUTH=<>\nS: 250 *\nC: RCPT TO:<x@y>\nS: 250 *\nC: "
	    "DATA\nS: "
	    "354 *\nR: x\\r\\n.\\r\\n\nS: 250 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(\xc3\xa9@b,ann@example.org) rcpt(x@y) begin(UTF8SMTPSA) end(1) closed",
	    "x\r\n" },
	{ "SCRAM bound by tls-exporter", SMTP_PROTOCOL_SUBMISSION, IMPLICIT, true, true, 1000,
	    "TLS\nS: 220 *\nC: EHLO a\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: "
	    "250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250 *\nSCRAM tls-exporter\nS: 235 *\nC: MAIL "
	    "FROM:<a@b>\nS: 250 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,ann@example.org) reset(lost) closed", "" },
	{ "SCRAM bound by tls-server-end-point", SMTP_PROTOCOL_SUBMISSION, IMPLICIT, true, true,
	    1000,
	    "TLS\nS: 220 *\nC: EHLO a\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: "
	    "250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250 *\nSCRAM tls-server-end-point\nS: 235 "
	    "*\nC: MAIL FROM:<a@b>\nS: 250 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,ann@example.org) reset(lost) closed", "" },
};

static const struct dialogue MORE[] = {
	{ "what is offered in the clear", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\n" MORE_EHLO
	    "S: 250-LIMITS RCPTMAX=3 MAILMAX=2 RCPTDOMAINMAX=2\nS: 250 HELP\n"
	    "C: MAIL FROM:<a@b> REQUIRETLS\nS: 555 *\n" /* RFC 8689 §2: not in the clear */
	    "C: MAIL FROM:<a@b> HOLDFOR=86401\nS: 501 5.5.4 *\n"
	    "C: MAIL FROM:<a@b> HOLDUNTIL=2999-01-01T00:00:00Z\nS: 501 5.5.4 *\n"
	    "C: MAIL FROM:<a@b> BY=59;R\nS: 501 5.5.4 *\n"
	    "C: MAIL FROM:<a@b> BY=100;R HOLDFOR=100\nS: 501 5.5.4 *\n"
	    "C: MAIL FROM:<a@b> BY=-59;N MT-PRIORITY=-3 HOLDUNTIL=2001-01-01T00:00:00Z RET=HDRS\n"
	    "S: 250 *\nC: RSET\nS: 250 *\nC: XCLIENT ADDR=192.0.2.1\nS: 550 5.7.0 *\nC: QUIT\nS: "
	    "221 *\nCLOSED\n",
	    "connect mail(a@b,-) reset(command) closed", "" },
	{ "HELO brings no extensions", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nC: HELO a\nS: 250 *\nC: MAIL FROM:<a@b> MT-PRIORITY=1\nS: 555 *\n"
	    "C: MAIL FROM:<a@b> HOLDFOR=1\nS: 555 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect closed", "" },
	{ "limits", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nR: HELO a\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<x@y>\\r\\nRCPT "
	    "TO:<x@z>\\r\\nRCPT TO:<x@v>\\r\\nRCPT TO:<w@Y>\\r\\nRCPT "
	    "TO:<v@y>\\r\\nRSET\\r\\nMAIL "
	    "FROM:<>\\r\\nRCPT TO:<x@v>\\r\\nRSET\\r\\nMAIL FROM:<>\\r\\nQUIT\\r\\n\n"
	    "S: 250 *\nS: 250 *\nS: 250 *\nS: 250 *\nS: 452 4.5.3 *domains*\nS: 250 *\n"
	    "S: 452 4.5.3 *recipients*\nS: 250 *\nS: 250 *\nS: 250 *\nS: 250 *\n"
	    "S: 452 4.5.3 *messages*\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) rcpt(x@z) rcpt(w@y) reset(command) mail(,-) rcpt(x@v) "
	    "reset(command) closed",
	    "" },
	{ "REQUIRETLS under TLS", SMTP_PROTOCOL_SMTP, IMPLICIT, true, false, 1000,
	    "TLS\nS: 220 *\n" MORE_EHLO "S: 250-REQUIRETLS\nS: 250-LIMITS *\nS: 250-AUTH *\nS: 250 "
	    "HELP\nC: MAIL FROM:<a@b> REQUIRETLS\nS: 250 *\nC: QUIT\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) reset(lost) closed", "" },
	{ "BDAT 0 LAST alone", SMTP_PROTOCOL_SMTP, PLAIN, false, true, 1000,
	    "S: 220 *\nR: HELO a\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<x@y>\\r\\nBDAT 0 "
	    "LAST\\r\\nQUIT\\r\\n\nS: 250 *\nS: 250 *\nS: 250 *\nS: 250 2.0.0 Message*\nS: 221 "
	    "*\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(SMTP) end(1) closed", "" },
	{ "BDAT to nobody", SMTP_PROTOCOL_SMTP, PLAIN, false, true, 1000,
	    "S: 220 *\nR: HELO a\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<no@y>\\r\\nBDAT "
	    "6\\r\\nQUIT\\r\\nBDAT 4 LAST\\r\\nxyzwNOOP\\r\\nQUIT\\r\\n\nS: 250 *\nS: 250 "
	    "*\nS: 550-*\nS: 550 *\nS: 503 *\nS: 503 *\nS: 250 *\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) reset(command) closed", "" },
	{ "BDAT refused at its begin", SMTP_PROTOCOL_SMTP, PLAIN, false, true, 1000,
	    "S: 220 *\nR: HELO a\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<stop@y>\\r\\nBDAT "
	    "3\\r\\nabcBDAT 3 LAST\\r\\nabcNOOP\\r\\nQUIT\\r\\n\nS: 250 *\nS: 250 *\nS: 250 "
	    "*\nS: 452 4.3.1 *\nS: 503 *\nS: 250 *\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(stop@y) reset(command) closed", "" },
	{ "BDAT, the disk fails in between", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nR: HELO a\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<disk@y>\\r\\nBDAT "
	    "3\\r\\nabcBDAT 3 LAST\\r\\nabcQUIT\\r\\n\nS: 250 *\nS: 250 *\nS: 250 *\nS: 250 "
	    "2.0.0 3 *\nS: 451 4.3.0 *\nS: 221 *\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(disk@y) begin(SMTP) reset(bad-data) closed", NULL },
	{ "no DATA among BDAT, RSET ends it", SMTP_PROTOCOL_SMTP, PLAIN, false, true, 1000,
	    "S: 220 *\nR: HELO a\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<x@y>\\r\\nBDAT "
	    "3\\r\\nabcDATA\\r\\nMAIL FROM:<c@d>\\r\\nRSET\\r\\nBDAT 2 "
	    "LAST\\r\\nabMAIL FROM:<c@d>\\r\\nRCPT "
	    "TO:<x@y>\\r\\nDATA\\r\\n\nS: 250 *\nS: 250 *\nS: 250 *\nS: 250 *\nS: 503 *\nS: 503 "
	    "*\nS: 250 *\nS: 503 *\nS: 250 *\nS: 250 *\nS: 354 *\nC: .\nS: 250 *\nC: QUIT\nS: 221 "
	    "*\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(SMTP) reset(command) mail(c@d,-) rcpt(x@y) "
	    "begin(SMTP) end(1) closed",
	    NULL },
	{ "BDAT with a bare newline at the end", SMTP_PROTOCOL_SMTP, PLAIN, false, true, 1000,
	    "S: 220 *\nR: HELO a\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<x@y>\\r\\nBDAT 2 "
	    "LAST\\r\\na\\rQUIT\\r\\n\nS: 250 *\nS: 250 *\nS: 250 *\nS: 550 5.6.11 *\nS: 221 "
	    "*\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) begin(SMTP) reset(bad-data) closed", NULL },
	{ "BDAT, a chunk that nobody can mean", SMTP_PROTOCOL_SMTP, PLAIN, false, false, 1000,
	    "S: 220 *\nR: HELO a\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<x@y>\\r\\nBDAT "
	    "18446744073709551615 LAST\\r\\n\nS: 250 *\nS: 250 *\nS: 250 *\nS: 552 5.3.4 "
	    "*\nCLOSED\n",
	    "connect mail(a@b,-) rcpt(x@y) reset(lost) closed", "" },
};

static void
on_end(void *arg)
{
	net_loop_stop(arg);
}

static void
run_dialogue(const struct dialogue *d, const struct smtp_handlers *handlers, bool bytewise,
    struct net_tls *tls)
{
	bool more = d >= MORE && d < MORE + ARRAY_LEN(MORE);
	struct net_loop *loop = net_loop_new(NULL);
	struct recorder rec = { 0 };
	struct smtp_service service = {
		.protocol = d->protocol,
		.hostname = "mx.test",
		.handlers = handlers,
		.arg = &rec,
		.sasl = d->tls != PLAIN ? &SASL : NULL,
		.tls = d->tls != PLAIN ? tls : NULL,
		.implicit_tls = d->tls == IMPLICIT,
		.tls_required = d->required,
		.auth_required = d->protocol == SMTP_PROTOCOL_SUBMISSION,
		.refuse_bare_newlines = d->refuse_bare,
		.size_max_bytes = d->size_max,
		.dsn = more,
		.requiretls = more,
		.priority = more ? "MIXER" : NULL,
		.deliver_by = more,
		.by_min_s = 60,
		.hold_max_s = more ? 86400 : 0,
		.limits = more,
		.mail_max = more ? 2 : 0,
		.rcpt_max = more ? 3 : 0,
		.rcpt_domain_max = more ? 2 : 0,
	};
	struct peer peer = { .script = d->script, .bytewise = bytewise };
	pthread_t thread;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	peer.fd = fds[1];
	smtp_server_start(net_stream_from_fd(loop, fds[0]), &service, on_end, loop);
	pthread_create(&thread, NULL, peer_run, &peer);
	net_loop_run(loop);
	pthread_join(thread, NULL);
	net_loop_free(loop);
	if (peer.error[0] != '\0')
		fail_msg("%s: %s", d->name, peer.error);
	if (strcmp(buf_cstr(&rec.events), d->events) != 0)
		fail_msg("%s: events %s", d->name, rec.events.data);
	if (d->data != NULL)
		assert_string_equal(buf_cstr(&rec.data), d->data);
	buf_free(&rec.events);
	buf_free(&rec.data);
}

static void
test_dialogues(void **state)
{
	struct net_tls *tls = *state;

	for (size_t i = 0; i < ARRAY_LEN(DIALOGUES); i++) {
		run_dialogue(&DIALOGUES[i], &JOBS, false, tls);
		run_dialogue(&DIALOGUES[i], &fast_handlers, false, tls);
		if (strstr(DIALOGUES[i].script, "BIG") == NULL)
			run_dialogue(&DIALOGUES[i], &JOBS,
			    strcmp(DIALOGUES[i].name, "STARTTLS injection") != 0, tls);
	}
}

static void
test_more(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(MORE); i++) {
		run_dialogue(&MORE[i], &JOBS, false, *state);
		run_dialogue(&MORE[i], &fast_handlers, false, *state);
		run_dialogue(&MORE[i], &JOBS, true, *state);
	}
}

static void
make_certificate(const char *path)
{
	char command[512];

	snprintf(command, sizeof(command),
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
	    "-subj /CN=mx.test -addext subjectAltName=DNS:mx.test -keyout %s -out %s.crt "
	    "2>/dev/null "
	    "&& cat %s.crt >>%s && rm %s.crt",
	    path, path, path, path, path);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	char path[] = "/tmp/smtp_server_test.XXXXXX";
	int fd = mkstemp(path), failed = 1;
	struct log *log = log_open("smtp_server_test", NULL, LOG_LEVEL_WARN);
	struct net_tls_server_spec spec = { .certificate = path, .key = path };
	struct net_tls *tls;
	struct CMUnitTest tests[] = { cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_more) };

	close(fd);
	make_certificate(path);
	fast_handlers = JOBS;
	fast_handlers.fast = ~0u;
	tls = net_tls_server_new(&spec, log);
	if (tls != NULL && sasl_setup(log)) {
		tests[0].initial_state = tests[1].initial_state = tls;
		failed = cmocka_run_group_tests(tests, NULL, NULL);
		sasl_teardown();
	}
	net_tls_free(tls);
	log_close(log);
	unlink(path);
	return failed;
}
