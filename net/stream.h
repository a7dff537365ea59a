/* One connection: TCP or UNIX socket, plain or TLS (from the first byte or later by STARTTLS),
 * as server or client.  Bytes come and go on the loop thread, and only it may call net_stream_*();
 * a job fills a struct buf of its session's own, which the loop then hands over.
 *
 * Callbacks come in this order: [on_open] {on_input | on_drained | on_timeout | on_eof} on_closed.
 * They always come from the loop, never from inside a net_stream_*() call; on_closed comes exactly
 * once, and the stream is gone when it returns.
 *
 * An idle stream holds no buffers.  Input nobody consumes stops reading at a limit (backpressure);
 * output that does not drain is for the session to heed: write no more above NET_OUTPUT_HIGH_BYTES. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "net/addr.h"

struct net_loop;
struct net_stream;
struct net_tls;

#define NET_OUTPUT_HIGH_BYTES (128 * 1024) /* a session stops producing above this */
#define NET_OUTPUT_LOW_BYTES  (16 * 1024)  /* on_drained comes at or below this */
#define NET_INPUT_HIGH_BYTES  (64 * 1024)  /* unconsumed input at which reading stops */
#define NET_COMPRESS_REST_MS  2000
#define NET_CLOSE_LINGER_S    10 /* net_stream_close(): for the peer to take the rest */

enum net_closed {
	NET_CLOSED_PEER,    /* the peer closed or reset the connection */
	NET_CLOSED_LOCAL,   /* net_stream_close() or net_stream_abort() */
	NET_CLOSED_TIMEOUT, /* handshake or silence took too long */
	NET_CLOSED_TLS, /* handshake failed, certificate not accepted, TLS broken, STARTTLS injection */
	NET_CLOSED_ERROR, /* the network failed */
};

struct net_stream_events {
	void (*on_open)(void *arg);  /* TLS is ready; plain streams are from the start */
	void (*on_input)(void *arg); /* there are new bytes; what is left unconsumed stays */
	void (*on_drained)(
	    void *arg); /* after a write: pending is at NET_OUTPUT_LOW_BYTES or less; may be NULL */
	/* No byte moved for the time of net_stream_timeout().  The timeout is off then: say
	 * goodbye and close, or set it anew.  NULL: the stream closes, NET_CLOSED_TIMEOUT. */
	void (*on_timeout)(void *arg);
	/* The peer will send no more; input that is left may still be consumed and answered, then
	 * net_stream_close().  NULL: the stream closes, NET_CLOSED_PEER. */
	void (*on_eof)(void *arg);
	/* The end.  `detail` is a text for the log ("Connection reset by peer") or "". */
	void (*on_closed)(void *arg, enum net_closed why, const char *detail);
};

/* Takes a new stream (from a listener's on_accept or from net_connect) into use; `events` is a table
 * that lives as long as the stream.  Reading starts when the loop goes on. */
void net_stream_begin(struct net_stream *st, const struct net_stream_events *events, void *arg);
/* A socket that is already connected (tests, socket activation); the stream owns fd. */
struct net_stream *net_stream_from_fd(struct net_loop *loop, int fd);
/* Hands the callbacks to another owner; the next ones go there. */
void net_stream_set_events(
    struct net_stream *st, const struct net_stream_events *events, void *arg);

/* Starts TLS as server: right after net_stream_begin() for implicit TLS, or for STARTTLS after the go-ahead was
 * written (it is sent first, in the clear).  Plaintext received behind the STARTTLS line and not yet consumed
 * ends the stream with NET_CLOSED_TLS: an attacker may have put it there (RFC 3207 §6,
 * RFC 9051 §11.1).  on_open comes when the handshake is done, within the context's time. */
void net_stream_start_tls(struct net_stream *st, struct net_tls *tls);
/* The same as client.  `host` is sent as SNI and, with NET_TLS_CA, checked. */
void net_stream_start_tls_client(struct net_stream *st, struct net_tls *tls, const char *host);

/* From here on what is written is packed by DEFLATE and flushed whenever the output is sent, and what comes is unpacked:
 * also what has come already and is not consumed.  Below it may be TLS.  Input is unpacked only as the session takes it, one
 * flush of the peer's after the other, so that all limits count unpacked bytes.  What is not DEFLATE is the end of input, as is the
 * end of a DEFLATE stream.  After NET_COMPRESS_REST_MS without traffic its memory is given back. */
void net_stream_compress(struct net_stream *st);
/* Back to bytes as they are: behind what has been written, and behind what has been unpacked.  A session that may say so
 * pauses the stream before it asks itself whether, for what follows would be taken for DEFLATE. */
void net_stream_uncompress(struct net_stream *st);
bool net_stream_is_compressed(const struct net_stream *st);

/* What has come and is not consumed; *data_out is valid until the next net_stream_*() call for
 * this stream or until the callback returns. */
void net_stream_input(struct net_stream *st, const char **data_out, size_t *len_out);
void net_stream_consume(struct net_stream *st, size_t len);
/* Moves up to max bytes of input behind what is in out (for a job to work on). */
size_t net_stream_take(struct net_stream *st, struct buf *out, size_t max);
void net_stream_input_limit(struct net_stream *st, size_t bytes); /* else NET_INPUT_HIGH_BYTES */
/* While paused nothing is read and on_input does not come.  Resuming calls on_input again if
 * unconsumed input is there. */
void net_stream_pause(struct net_stream *st);
void net_stream_resume(struct net_stream *st);
/* What is needed next is still with the peer, so it is told at once how far its bytes have come.  Who writes a literal and
 * the end of its line one by one sends the second only then (Nagle's algorithm), and else waits 40 ms for our delayed
 * acknowledgement (RFC 1122 §4.2.3.2, §4.2.3.4). */
void net_stream_ack_now(struct net_stream *st);

/* Queues bytes; they go out when the loop goes on, many small writes as one. */
void net_stream_write(struct net_stream *st, const void *bytes, size_t len);
void net_stream_puts(struct net_stream *st, const char *s);
void net_stream_write_buf(
    struct net_stream *st, struct buf *b);              /* takes the bytes; b is empty then */
size_t net_stream_pending(const struct net_stream *st); /* queued, not yet sent */

/* Silence (no byte moved either way) until on_timeout; 0 is off, as it is at the beginning. */
void net_stream_timeout(struct net_stream *st, unsigned silence_s);

/* Both may be called in any state and more than once; on_closed follows with NET_CLOSED_LOCAL and no
 * other callback before it. */
void net_stream_close(struct net_stream *st); /* after the output has drained */
void net_stream_abort(struct net_stream *st); /* at once */

/* Who and where.  Texts live as long as the stream. */
const char *net_stream_peer(const struct net_stream *st); /* "192.0.2.1", or "local" for UNIX */
const struct net_ip *net_stream_peer_ip(const struct net_stream *st); /* NULL for UNIX sockets */
unsigned net_stream_peer_port(const struct net_stream *st);
void net_stream_local(const struct net_stream *st, char text[static NET_IP_TEXT_BYTES]);
struct net_loop *net_stream_loop(const struct net_stream *st);
/* The login succeeded: gives back the slot that "connections per address before login" counts. */
void net_stream_logged_in(struct net_stream *st);
/* It is before login again, and counts again.  False: too many of its address; the session ends it. */
bool net_stream_logged_out(struct net_stream *st);

/* TLS facts; false, NULL or "" as long as the handshake is not done. */
bool net_stream_is_tls(const struct net_stream *st);
const char *net_stream_tls_version(const struct net_stream *st); /* "TLSv1.3" */
const char *net_stream_tls_cipher(const struct net_stream *st);  /* "TLS_AES_256_GCM_SHA384" */
unsigned net_stream_tls_bits(const struct net_stream *st);       /* the cipher's strength */
const char *net_stream_tls_sni(const struct net_stream *st);     /* "" if the client named none */
bool net_stream_tls_resumed(const struct net_stream *st);
/* As client: a trusted CA vouches for the peer's name, or its fingerprint is one we were given; also where
 * every certificate is accepted (NET_TLS_ANY). */
bool net_stream_tls_verified(const struct net_stream *st);

enum net_binding {
	NET_BINDING_EXPORTER,        /* tls-exporter, RFC 9266; 32 bytes */
	NET_BINDING_SERVER_ENDPOINT, /* tls-server-end-point, RFC 5929 §4 */
};
/* Appends the channel binding data; false if this connection has none of the kind. */
bool net_stream_tls_binding(const struct net_stream *st, enum net_binding kind, struct buf *out);

#endif
