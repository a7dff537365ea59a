/* A stream is worked on in one place, work(), which the loop calls when the socket is ready or when
 * somebody has marked the stream dirty.  net_stream_*() only notes what is wanted and marks.
 *
 * TLS reads straight from the socket into OpenSSL's buffer, which OpenSSL frees when it is empty
 * (SSL_MODE_RELEASE_BUFFERS); it writes into loop->cipher, which always has room, so it never has to be
 * told to try again.  At the end of work() that buffer goes out with one send(); what the
 * socket does not take is kept in st->cipher, and nothing more is encrypted until it is gone. */
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/internal.h"
#include "net/tls.h"

#define READ_ROUNDS 4 /* reads of one stream before others get their turn */
#define RECV_MAX_BYTES                                                                             \
	(READ_ROUNDS * NET_READ_BYTES) /* raw bytes before that, whatever they hold */
/* TLS bytes that may wait for a peer who does not read.  Our own output stays below; what comes on top
 * answers KeyUpdates (RFC 8446 §4.6.3), of which a peer can send any number. */
#define CIPHER_MAX_BYTES (2 * NET_OUTPUT_HIGH_BYTES)
#define LINGER_MS        2000 /* for the peer to close after our last byte */
#define INPUT_KEEP_BYTES 4096 /* consumed input that may lie before the rest */

static void work(struct net_stream *st, bool readable);

static void
mark_dirty(struct net_stream *st)
{
	if (st->is_dirty || st->state == STREAM_GONE)
		return;
	st->is_dirty = true;
	st->dirty_next = st->loop->dirty;
	st->loop->dirty = st;
}

void
net_stream_look_after(struct net_stream *st)
{
	mark_dirty(st);
}

void
net_streams_look_after(struct net_loop *loop)
{
	struct net_stream *st = loop->dirty, *next;

	loop->dirty = NULL;
	for (; st != NULL; st = next) {
		next = st->dirty_next;
		st->is_dirty = false;
		work(st, false);
	}
}

/* --- from birth to death --- */

struct net_stream *
net_stream_new(struct net_loop *loop, int fd, const struct net_ip *ip, uint16_t port)
{
	struct net_stream *st = mem_zalloc(sizeof(*st));
	int on = 1;

	st->loop = loop;
	st->fd = fd;
	st->is_unix = ip == NULL;
	if (ip != NULL) {
		st->ip = *ip;
		st->port = port;
		net_ip_text(ip, st->peer);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	} else {
		memcpy(st->peer, "local", sizeof("local"));
	}
	st->input_limit = NET_INPUT_HIGH_BYTES;
	st->moved_ms = uv_now(&loop->uv);
	uv_poll_init(&loop->uv, &st->poll, fd);
	uv_timer_init(&loop->uv, &st->timer);
	st->poll.data = st->timer.data = st;
	st->handles = 2;
	st->next = loop->streams;
	if (st->next != NULL)
		st->next->prev = st;
	loop->streams = st;
	return st;
}

struct net_stream *
net_stream_from_fd(struct net_loop *loop, int fd)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	uint16_t port = 0;
	struct net_ip ip;
	bool tcp = getpeername(fd, (struct sockaddr *)&sa, &len) == 0 &&
		   net_ip_from_sockaddr((struct sockaddr *)&sa, &ip, &port);

	return net_stream_new(loop, fd, tcp ? &ip : NULL, port);
}

static void
drop_tls(struct net_stream *st)
{
	SSL_free(st->ssl);
	st->ssl = NULL;
	net_tls_cert_free(st->cert);
	st->cert = NULL;
	net_tls_free(st->tls);
	st->tls = NULL;
	free(st->host);
	st->host = NULL;
}

static void
on_handle_closed(uv_handle_t *h) /* twice; the last one out frees the stream */
{
	struct net_stream *st = h->data;

	if (--st->handles == 0)
		free(st);
}

static void
unmark_dirty(struct net_stream *st)
{
	struct net_stream **at = &st->loop->dirty;

	if (!st->is_dirty)
		return;
	while (*at != st)
		at = &(*at)->dirty_next;
	*at = st->dirty_next;
	st->is_dirty = false;
}

/* Nothing is left to say to anyone. */
static void
destroy(struct net_stream *st)
{
	st->state = STREAM_GONE;
	unmark_dirty(st);
	drop_tls(st);
	net_packing_free(st);
	buf_free(&st->in);
	buf_free(&st->out);
	buf_free(&st->cipher);
	free(st->detail);
	if (st->prev != NULL)
		st->prev->next = st->next;
	else
		st->loop->streams = st->next;
	if (st->next != NULL)
		st->next->prev = st->prev;
	uv_close((uv_handle_t *)&st->poll, on_handle_closed);
	uv_close((uv_handle_t *)&st->timer, on_handle_closed);
	close(st->fd);
}

void
net_streams_abort_all(struct net_loop *loop)
{
	struct net_stream *st = loop->streams, *next;

	for (; st != NULL; st = next) {
		next = st->next;
		if (st->state == STREAM_LINGER)
			destroy(st);
		else
			net_stream_abort(st);
	}
}

static bool
is_over(const struct net_stream *st)
{
	return st->state >= STREAM_DEAD;
}

static void
die(struct net_stream *st, enum net_closed why, const char *detail)
{
	if (is_over(st))
		return;
	if (st->state == STREAM_HANDSHAKE && st->meters != NULL)
		metrics_add(st->meters->metrics, st->meters->tls_failed, 1);
	st->state = STREAM_DEAD;
	st->why = why;
	free(st->detail);
	st->detail = detail != NULL ? mem_strdup(detail) : NULL;
	mark_dirty(st);
}

static void
die_errno(struct net_stream *st, int error)
{
	bool peer = error == ECONNRESET || error == EPIPE;

	die(st, peer ? NET_CLOSED_PEER : NET_CLOSED_ERROR, strerror(error));
}

static void
die_tls(struct net_stream *st)
{
	unsigned long e = ERR_peek_last_error();
	long verify = st->ssl != NULL ? SSL_get_verify_result(st->ssl) : X509_V_OK;
	const char *text = ERR_reason_error_string(e);

	if (verify != X509_V_OK && st->client)
		text = X509_verify_cert_error_string(verify);
	ERR_clear_error();
	die(st, NET_CLOSED_TLS, text != NULL ? text : "TLS failed");
}

/* on_closed, then the end; after a close in order the socket lingers a little, for a close() with
 * unread input would reset the connection and take our last words with it. */
static void
finish(struct net_stream *st, bool linger)
{
	if (st->events != NULL)
		st->events->on_closed(st->arg, st->why, st->detail != NULL ? st->detail : "");
	st->events = NULL;
	if (st->owner != NULL)
		st->owner->on_gone(st);
	st->owner = NULL;
	if (!linger) {
		destroy(st);
		return;
	}
	st->state = STREAM_LINGER;
	drop_tls(st);
	buf_free(&st->in);
	shutdown(st->fd, SHUT_WR);
}

/* --- timers --- */

static void
on_timer(uv_timer_t *h)
{
	struct net_stream *st = h->data;
	uint64_t quiet_ms = uv_now(&st->loop->uv) - st->moved_ms;
	uint64_t limit_ms = (uint64_t)st->silence_s * 1000;

	if (st->state == STREAM_LINGER) {
		destroy(st);
		return;
	}
	if (st->state != STREAM_OPEN) {
		die(st, NET_CLOSED_TIMEOUT,
		    st->state == STREAM_CLOSING ? "the rest was not taken" : "TLS handshake");
	} else if (quiet_ms < limit_ms) {
		uv_timer_start(&st->timer, on_timer, limit_ms - quiet_ms, 0);
	} else {
		st->timeout_due = true;
		mark_dirty(st);
	}
}

static void
start_timer_ms(struct net_stream *st, uint64_t delay_ms)
{
	uv_timer_start(&st->timer, on_timer, delay_ms, 0);
}

static void
start_silence(struct net_stream *st)
{
	st->timeout_due = false;
	if (st->silence_s > 0)
		start_timer_ms(st, (uint64_t)st->silence_s * 1000);
	else
		uv_timer_stop(&st->timer);
}

void
net_stream_timeout(struct net_stream *st, unsigned silence_s)
{
	st->silence_s = silence_s;
	st->moved_ms = uv_now(&st->loop->uv);
	if (st->state <= STREAM_OPEN)
		start_silence(st);
}

static void
tell_timeout(struct net_stream *st)
{
	st->timeout_due = false;
	if (st->silence_s == 0)
		return;
	st->silence_s = 0;
	if (st->events->on_timeout != NULL)
		st->events->on_timeout(st->arg);
	else
		die(st, NET_CLOSED_TIMEOUT, "silence");
}

/* --- output --- */

static size_t
out_left(const struct net_stream *st)
{
	return st->out.len - st->out_off;
}

/* send() as much as goes; false if the connection broke. */
static bool
send_some(struct net_stream *st, const char *p, size_t len, size_t *sent_out)
{
	ssize_t n;

	*sent_out = 0;
	while (*sent_out < len) {
		n = send(st->fd, p + *sent_out, len - *sent_out, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return true;
		if (n < 0) {
			die_errno(st, errno);
			return false;
		}
		*sent_out += (size_t)n;
		st->moved_ms = uv_now(&st->loop->uv);
		if (st->meters != NULL)
			metrics_add(st->meters->metrics, st->meters->sent, (uint64_t)n);
	}
	return true;
}

/* What the socket did not take earlier.  True if nothing is left of it. */
static bool
flush_kept(struct net_stream *st)
{
	size_t sent;

	if (st->cipher.len == 0)
		return true;
	if (!send_some(st, st->cipher.data, st->cipher.len, &sent))
		return false;
	buf_consume(&st->cipher, sent);
	if (st->cipher.len > 0)
		return false;
	buf_free(&st->cipher);
	return true;
}

/* The loop's TLS bytes are this stream's: out with them, and keep what the socket leaves. */
static void
flush_cipher(struct net_stream *st)
{
	struct buf *b = &st->loop->cipher;
	size_t sent = 0;

	if (b->len == 0)
		return;
	if (is_over(st) || (flush_kept(st) && !send_some(st, b->data, b->len, &sent)))
		sent = b->len;
	if (sent < b->len)
		buf_add(&st->cipher, b->data + sent, b->len - sent);
	buf_reset(b);
}

static void
drop_sent(struct net_stream *st, size_t sent)
{
	st->out_off += sent;
	if (st->out_off == st->out.len) {
		buf_free(&st->out);
		st->out_off = 0;
	}
}

static void
flush_plain(struct net_stream *st)
{
	size_t sent;

	if (out_left(st) > 0 && send_some(st, st->out.data + st->out_off, out_left(st), &sent))
		drop_sent(st, sent);
}

static void
flush_tls(struct net_stream *st)
{
	size_t len = out_left(st), written = 0;

	if (len == 0 || !flush_kept(st))
		return;
	if (len > NET_OUTPUT_HIGH_BYTES)
		len = NET_OUTPUT_HIGH_BYTES;
	ERR_clear_error();
	if (SSL_write_ex(st->ssl, st->out.data + st->out_off, len, &written) != 1) {
		die_tls(st);
		return;
	}
	drop_sent(st, written);
	flush_cipher(st);
}

/* Everything that the socket takes now. */
static void
flush(struct net_stream *st)
{
	if (net_packing_left(st) > 0 && out_left(st) + st->cipher.len < NET_OUTPUT_LOW_BYTES) {
		net_packing_pack(st);
		if (net_packing_left(st) > 0)
			mark_dirty(st);
	}
	if (st->ssl == NULL) {
		flush_plain(st);
		return;
	}
	flush_kept(st);
	while (!is_over(st) && out_left(st) > 0 && st->cipher.len == 0)
		flush_tls(st);
}

size_t
net_stream_pending(const struct net_stream *st)
{
	return out_left(st) + st->cipher.len + net_packing_left(st);
}

static bool
takes_output(struct net_stream *st)
{
	return st->state < STREAM_CLOSING;
}

/* Sent bytes at the front of a long queue must not stay there for ever. */
static void
pack_out(struct net_stream *st)
{
	if (st->out_off > NET_OUTPUT_HIGH_BYTES) {
		buf_consume(&st->out, st->out_off);
		st->out_off = 0;
	}
}

void
net_stream_write(struct net_stream *st, const void *bytes, size_t len)
{
	if (len == 0 || !takes_output(st))
		return;
	pack_out(st);
	buf_add(st->packing != NULL ? &st->packing->plain : &st->out, bytes, len);
	st->drained_due = true;
	mark_dirty(st);
}

void
net_stream_puts(struct net_stream *st, const char *s)
{
	net_stream_write(st, s, strlen(s));
}

void
net_stream_write_buf(struct net_stream *st, struct buf *b)
{
	struct buf *out = st->packing != NULL ? &st->packing->plain : &st->out;

	if (out->len == 0 && b->len > 0 && takes_output(st)) {
		buf_free(out);
		*out = *b;
		*b = (struct buf){ 0 };
		st->drained_due = true;
		mark_dirty(st);
		return;
	}
	net_stream_write(st, b->data, b->len);
	buf_free(b);
}

/* --- input --- */

static size_t
input_left(const struct net_stream *st)
{
	return st->in.len - st->in_off;
}

/* What the peer flushed together is unpacked once the session has taken all lines before it: behind a line that ends the
 * compression the bytes mean something else. */
static bool
wants_unpacked(const struct net_stream *st)
{
	return st->packing == NULL || input_left(st) == 0 ||
	       memchr(st->in.data + st->in_off, '\n', input_left(st)) == NULL;
}

static bool
wants_input(const struct net_stream *st)
{
	return st->state == STREAM_OPEN && !st->paused && !st->eof &&
	       input_left(st) < st->input_limit && wants_unpacked(st);
}

void
net_stream_input(struct net_stream *st, const char **data_out, size_t *len_out)
{
	if (st->lent_len > 0) {
		*data_out = st->lent;
		*len_out = st->lent_len;
		return;
	}
	*len_out = input_left(st);
	*data_out = *len_out > 0 ? st->in.data + st->in_off : "";
}

void
net_stream_consume(struct net_stream *st, size_t len)
{
	if (st->lent_len > 0) {
		st->lent += len;
		st->lent_len -= len;
		return;
	}
	st->in_off += len;
	if (st->in_off == st->in.len) {
		buf_free(&st->in);
		st->in_off = 0;
	}
	mark_dirty(st); /* there may be room again */
}

size_t
net_stream_take(struct net_stream *st, struct buf *out, size_t max)
{
	const char *data;
	size_t len;

	if (st->lent_len == 0 && out->len == 0 && st->in_off == 0 && st->in.len > 0 &&
	    st->in.len <= max) { /* all of it: no copy */
		len = st->in.len;
		buf_free(out);
		*out = st->in;
		st->in = (struct buf){ 0 };
		mark_dirty(st);
		return len;
	}
	net_stream_input(st, &data, &len);
	if (len > max)
		len = max;
	if (len == 0)
		return 0;
	buf_add(out, data, len);
	net_stream_consume(st, len);
	return len;
}

void
net_stream_input_limit(struct net_stream *st, size_t bytes)
{
	st->input_limit = bytes;
	mark_dirty(st);
}

void
net_stream_pause(struct net_stream *st)
{
	st->paused = true;
}

void
net_stream_resume(struct net_stream *st)
{
	if (!st->paused)
		return;
	st->paused = false;
	st->input_due = true;
	mark_dirty(st);
}

void
net_stream_ack_now(struct net_stream *st)
{
	int on = 1;

	if (!st->is_unix && st->fd >= 0)
		setsockopt(st->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

ssize_t
net_stream_recv(struct net_stream *st, void *p, size_t size)
{
	ssize_t n;

	if (st->recv_empty || st->recv_left == 0) { /* poll will tell of the rest */
		errno = EAGAIN;
		return -1;
	}
	if (st->ssl != NULL && st->loop->cipher.len + st->cipher.len > CIPHER_MAX_BYTES) {
		errno = ENOBUFS;
		return -1;
	}
	if (size > st->recv_left)
		size = st->recv_left;
	do {
		n = recv(st->fd, p, size, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		st->moved_ms = uv_now(&st->loop->uv);
		st->recv_left -= (size_t)n;
		if (st->meters != NULL)
			metrics_add(st->meters->metrics, st->meters->received, (uint64_t)n);
	}
	st->recv_empty = n != 0 && n < (ssize_t)size;
	return n;
}

/* The result of one read: bytes, nothing now, end of input or a broken connection (st is dead). */
enum got { GOT_BYTES, GOT_NOTHING, GOT_EOF, GOT_ERROR };

static enum got
read_plain(struct net_stream *st, size_t *len_out)
{
	ssize_t n = net_stream_recv(st, st->loop->read_buf, NET_READ_BYTES);

	if (n > 0) {
		*len_out = (size_t)n;
		return GOT_BYTES;
	}
	if (n == 0)
		return GOT_EOF;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return GOT_NOTHING;
	die_errno(st, errno);
	return GOT_ERROR;
}

/* Fills the loop's buffer with as many records as are there. */
static enum got
read_tls(struct net_stream *st, size_t *len_out)
{
	size_t len = 0, n;
	int ok = 1;

	ERR_clear_error();
	while (NET_READ_BYTES - len >= SSL3_RT_MAX_PLAIN_LENGTH) {
		ok = SSL_read_ex(st->ssl, st->loop->read_buf + len, NET_READ_BYTES - len, &n);
		if (ok != 1)
			break;
		len += n;
	}
	flush_cipher(st); /* a KeyUpdate or an alert may want an answer */
	*len_out = len;
	if (len > 0)
		return GOT_BYTES;
	switch (SSL_get_error(st->ssl, ok)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: return GOT_NOTHING;
	case SSL_ERROR_ZERO_RETURN: return GOT_EOF;
	case SSL_ERROR_SYSCALL: die_errno(st, errno != 0 ? errno : ECONNRESET); return GOT_ERROR;
	default: die_tls(st); return GOT_ERROR;
	}
}

static enum got
read_raw(struct net_stream *st, size_t *len_out)
{
	return st->ssl != NULL ? read_tls(st, len_out) : read_plain(st, len_out);
}

/* What is broken ends the input as the peer's close does: what it is owed still goes out. */
static void
note_broken(struct net_stream *st)
{
	free(st->detail);
	st->detail = mem_strdup("what came was not DEFLATE");
	st->packed_end = true;
}

/* One flush of the peer's, or as much of it as there is room for. */
static enum got
read_packed(struct net_stream *st, size_t *len_out)
{
	enum got got;

	for (;;) {
		switch (net_packing_unpack(st, st->loop->read_buf, NET_READ_BYTES, len_out)) {
		case NET_UNPACKED: break;
		case NET_UNPACKED_END: st->packed_end = true; break;
		case NET_UNPACKED_BROKEN: note_broken(st); break;
		}
		if (*len_out > 0)
			return GOT_BYTES;
		if (st->packed_end)
			return GOT_EOF;
		got = read_raw(st, len_out);
		if (got != GOT_BYTES)
			return got;
		net_packing_feed(st, st->loop->read_buf, *len_out);
	}
}

/* New bytes are shown where they were read; only what the session leaves is copied. */
static void
tell_input(struct net_stream *st, size_t new_len)
{
	const char *lent = st->loop->read_buf;

	if (input_left(st) > 0) {
		if (st->in_off > INPUT_KEEP_BYTES) {
			buf_consume(&st->in, st->in_off);
			st->in_off = 0;
		}
		buf_add(&st->in, lent, new_len);
		st->events->on_input(st->arg);
		return;
	}
	st->lent = lent;
	st->lent_len = new_len;
	st->events->on_input(st->arg);
	if (st->lent_len > 0 && !is_over(st))
		buf_add(&st->in, st->lent, st->lent_len);
	st->lent_len = 0;
}

static void
read_input(struct net_stream *st)
{
	enum got got = GOT_BYTES;
	size_t len = 0;

	st->read_more = false;
	for (int i = 0; i < READ_ROUNDS && wants_input(st); i++) {
		got = st->packing != NULL ? read_packed(st, &len) : read_raw(st, &len);
		if (got != GOT_BYTES)
			break;
		tell_input(st, len);
	}
	if (got == GOT_EOF)
		st->eof = true;
	if (got == GOT_BYTES && !is_over(st))
		st->read_more = true;
	if (st->read_more && wants_input(st))
		mark_dirty(st);
}

static void
tell_eof(struct net_stream *st)
{
	st->eof_told = true;
	if (st->events->on_eof != NULL)
		st->events->on_eof(st->arg);
	else
		die(st, NET_CLOSED_PEER, NULL);
}

/* --- TLS --- */

void
net_stream_start_tls(struct net_stream *st, struct net_tls *tls)
{
	if (st->state != STREAM_OPEN || st->ssl != NULL)
		return;
	if (st->lent_len > 0 || input_left(st) > 0) {
		die(st, NET_CLOSED_TLS, "plaintext behind STARTTLS");
		return;
	}
	net_tls_ref(tls);
	st->tls = tls;
	st->state = STREAM_UPGRADE;
	start_timer_ms(st, (uint64_t)net_tls_handshake_s(tls) * 1000);
	mark_dirty(st);
}

void
net_stream_start_tls_client(struct net_stream *st, struct net_tls *tls, const char *host)
{
	st->client = true;
	if (host != NULL && st->host == NULL)
		st->host = mem_strdup(host);
	net_stream_start_tls(st, tls);
}

static void
begin_handshake(struct net_stream *st)
{
	if (st->out.len > 0)
		return; /* the go-ahead first, in the clear */
	if (!st->client)
		net_tls_maybe_check(st->tls, st->loop);
	st->ssl = net_tls_session(st->tls, st);
	if (st->ssl == NULL) {
		die_tls(st);
		return;
	}
	st->state = STREAM_HANDSHAKE;
	st->read_more = true;
}

static void
count_handshake(const struct net_stream *st)
{
	const struct net_meters *m = st->meters;

	if (m != NULL)
		metrics_add(
		    m->metrics, SSL_session_reused(st->ssl) ? m->tls_resumed : m->tls_full, 1);
}

static void
handshake(struct net_stream *st)
{
	int ok, why;

	if (!flush_kept(st) && is_over(st))
		return;
	ERR_clear_error();
	ok = SSL_do_handshake(st->ssl);
	why = SSL_get_error(st->ssl, ok);
	flush_cipher(st); /* an alert too */
	if (is_over(st))
		return;
	if (ok == 1) {
		if (st->client && !net_tls_peer_ok(st->tls, st->ssl)) {
			die(st, NET_CLOSED_TLS, "the certificate is not the expected one");
			return;
		}
		free(st->host);
		st->host = NULL;
		count_handshake(st);
		st->state = STREAM_OPEN;
		start_silence(st);
		st->read_more = true;
		if (st->events->on_open != NULL)
			st->events->on_open(st->arg);
	} else if (why == SSL_ERROR_SYSCALL && ERR_peek_error() == 0) {
		die(st, NET_CLOSED_PEER, "connection closed in the TLS handshake");
	} else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
		die_tls(st);
	}
}

/* --- the one place where things happen --- */

static void on_poll(uv_poll_t *h, int status, int events);

/* Interest in reading is only taken back when input shows up that nobody wants: a session that
 * pauses for a moment costs no system call. */
static void
update_interest(struct net_stream *st, bool unwanted_input)
{
	bool tls_reads = st->state == STREAM_HANDSHAKE || st->state == STREAM_LINGER;
	bool output = st->cipher.len > 0 || (st->ssl == NULL && out_left(st) > 0);
	unsigned interest = st->interest & UV_READABLE;

	if (unwanted_input)
		interest = 0;
	if (wants_input(st) || tls_reads)
		interest = UV_READABLE;
	if (st->eof)
		interest = 0;
	if (output && st->state != STREAM_LINGER)
		interest |= UV_WRITABLE;
	if (interest == st->interest)
		return;
	st->interest = (uint8_t)interest;
	if (interest != 0)
		uv_poll_start(&st->poll, (int)interest, on_poll);
	else
		uv_poll_stop(&st->poll);
}

/* Output is gone: say goodbye as TLS wants it, RFC 8446 §6.1, and end. */
static void
work_closing(struct net_stream *st)
{
	if (net_stream_pending(st) > 0)
		return;
	if (st->ssl != NULL) {
		ERR_clear_error();
		SSL_shutdown(st->ssl);
		ERR_clear_error();
		flush_cipher(st);
	}
	if (is_over(st))
		return;
	st->why = NET_CLOSED_LOCAL;
	if (st->eof) {
		finish(st, false);
		return;
	}
	finish(st, true);
	start_timer_ms(st, LINGER_MS);
	st->recv_empty = false;
}

static void
work_linger(struct net_stream *st)
{
	ssize_t n;

	while ((n = net_stream_recv(st, st->loop->read_buf, NET_READ_BYTES)) > 0)
		;
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		destroy(st);
}

static void
work_open(struct net_stream *st, bool readable)
{
	if (st->timeout_due)
		tell_timeout(st);
	if (st->input_due && !st->paused && st->state == STREAM_OPEN) {
		st->input_due = false;
		if (input_left(st) > 0)
			st->events->on_input(st->arg);
	}
	if (st->state == STREAM_OPEN && (readable || st->read_more))
		read_input(st);
	if (st->state == STREAM_OPEN && st->eof && !st->eof_told && !st->paused)
		tell_eof(st);
}

static void
tell_drained(struct net_stream *st)
{
	if (!st->drained_due || st->state != STREAM_OPEN ||
	    net_stream_pending(st) > NET_OUTPUT_LOW_BYTES)
		return;
	st->drained_due = false;
	if (st->events->on_drained != NULL)
		st->events->on_drained(st->arg);
}

static void
work(struct net_stream *st, bool readable)
{
	bool wanted = wants_input(st);

	st->recv_left = RECV_MAX_BYTES;
	if (readable)
		st->recv_empty = false;
	if (st->state == STREAM_NEW || st->state == STREAM_GONE)
		return;
	if (st->state == STREAM_HANDSHAKE && (readable || st->read_more)) {
		st->read_more = false;
		handshake(st);
	}
	if (st->state == STREAM_OPEN)
		work_open(st, readable);
	if (!is_over(st))
		flush(st);
	if (st->state == STREAM_UPGRADE) {
		begin_handshake(st);
		if (st->state == STREAM_HANDSHAKE)
			handshake(st);
	}
	tell_drained(st);
	if (st->state == STREAM_CLOSING)
		work_closing(st);
	if (st->state == STREAM_DEAD)
		finish(st, false);
	else if (st->state == STREAM_LINGER)
		work_linger(st);
	if (st->state != STREAM_GONE)
		update_interest(st, readable && !wanted);
}

static void
on_poll(uv_poll_t *h, int status, int events)
{
	struct net_stream *st = h->data;
	socklen_t len = sizeof(int);
	int error = 0;

	if (status < 0) { /* libuv has stopped polling; the socket knows why */
		st->interest = 0;
		getsockopt(st->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (st->state == STREAM_LINGER) {
			destroy(st);
			return;
		}
		die_errno(st, error != 0 ? error : ECONNRESET);
	}
	work(st, (events & UV_READABLE) != 0);
}

void
net_stream_begin(struct net_stream *st, const struct net_stream_events *events, void *arg)
{
	net_stream_set_events(st, events, arg);
	if (st->state != STREAM_NEW)
		return;
	st->state = STREAM_OPEN;
	mark_dirty(st);
}

void
net_stream_set_events(struct net_stream *st, const struct net_stream_events *events, void *arg)
{
	st->events = events;
	st->arg = arg;
}

void
net_stream_close(struct net_stream *st)
{
	if (st->state >= STREAM_CLOSING)
		return;
	if (st->state == STREAM_UPGRADE || st->state == STREAM_HANDSHAKE) {
		net_stream_abort(st);
		return;
	}
	st->state = STREAM_CLOSING;
	start_timer_ms(st, NET_CLOSE_LINGER_S * 1000);
	mark_dirty(st);
}

void
net_stream_abort(struct net_stream *st)
{
	die(st, NET_CLOSED_LOCAL, NULL);
}

struct net_loop *
net_stream_loop(const struct net_stream *st)
{
	return st->loop;
}

void
net_stream_logged_in(struct net_stream *st)
{
	if (st->owner != NULL)
		st->owner->on_logged_in(st);
}

bool
net_stream_logged_out(struct net_stream *st)
{
	return st->owner == NULL || st->owner->on_logged_out(st);
}
