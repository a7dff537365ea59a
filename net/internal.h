/* What the files of net/ share with each other and nobody else: the insides of loop and stream,
 * and the libraries under them. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/log.h"
#include "net/addr.h"
#include "net/compress.h"
#include "net/limits.h"
#include "net/loop.h"
#include "net/meters.h"
#include "net/stream.h"

#define NET_READ_BYTES (64 * 1024) /* the loop's one read buffer */

struct net_watches;
struct net_post;
struct net_tls;
struct net_tls_cert;
struct net_tls_keys;

/* What a stream has in addition while it is compressed. */
struct net_packing {
	struct net_compress *z;
	struct buf plain; /* output that is not packed yet, from plain_off on */
	struct buf raw;   /* input that is not unpacked yet, from raw_off on */
	size_t plain_off, raw_off;
	bool in_warm;
	struct net_stream *warm_prev, *warm_next; /* in loop->warm */
};

struct net_loop {
	uv_loop_t uv;
	struct log *log;
	uv_prepare_t prepare; /* looks after `dirty` before the loop sleeps */
	uv_idle_t idle;       /* active while `dirty` must not wait */
	struct net_stream *streams;
	struct net_stream *dirty; /* streams to look after before the loop sleeps */
	struct net_stream *warm;  /* compressed ones that hold memory for it */
	uv_timer_t rest;          /* runs while there are such */
	char *read_buf;           /* NET_READ_BYTES; holds nothing between callbacks */
	struct buf cipher;        /* TLS bytes on their way out; empty between callbacks */
	struct net_watches *watches;
	size_t jobs;

	uv_async_t post;
	pthread_mutex_t post_lock;
	struct net_post *posts, **posts_end;
};

/* The side that accepted the stream and counts it. */
struct net_stream_owner {
	void (*on_logged_in)(struct net_stream *st);
	bool (*on_logged_out)(struct net_stream *st); /* false: too many of its address */
	void (*on_gone)(struct net_stream *st);       /* its session has had on_closed */
};

enum net_stream_state {
	STREAM_NEW,       /* nobody has begun it */
	STREAM_OPEN,      /* bytes flow */
	STREAM_UPGRADE,   /* the go-ahead drains, then TLS starts */
	STREAM_HANDSHAKE, /* TLS handshake */
	STREAM_CLOSING,   /* the output drains, then it ends */
	STREAM_DEAD,      /* on_closed is due */
	STREAM_LINGER,    /* on_closed was called; the peer gets time to take what we sent */
	STREAM_GONE,      /* handles are closing */
};

struct net_stream {
	struct net_loop *loop;
	struct net_stream *prev, *next; /* in loop->streams */
	struct net_stream *dirty_next;
	const struct net_stream_events *events;
	void *arg;

	SSL *ssl;                  /* NULL: plain */
	struct net_tls *tls;       /* held while handshaking and while open */
	struct net_tls_cert *cert; /* server: what we show; counted */
	char *host;                /* client: the server's name, until the handshake is done */

	struct net_packing *packing; /* NULL: bytes as they are */

	struct buf in;     /* input nobody consumed; its first in_off bytes are consumed */
	struct buf out;    /* output in the clear; its first out_off bytes are sent */
	struct buf cipher; /* TLS bytes that the socket did not take */
	const char *lent;  /* during on_input: new bytes in the loop's read buffer */
	size_t in_off, out_off, lent_len;
	size_t recv_left; /* raw bytes that may be read before others get their turn */
	size_t input_limit;
	char *detail; /* of on_closed */

	uv_poll_t poll;
	uv_timer_t timer;  /* handshake, silence, linger: whichever the state asks for */
	uint64_t moved_ms; /* when a byte was last seen */
	unsigned silence_s;
	int fd;

	enum net_stream_state state : 8;
	enum net_closed why : 8;
	uint8_t interest; /* UV_READABLE | UV_WRITABLE as poll was told */
	uint8_t handles;  /* uv handles that are open */
	bool is_dirty : 1;
	bool paused : 1;
	bool input_due : 1;   /* resumed: on_input for what is there */
	bool drained_due : 1; /* something was written since the last on_drained */
	bool read_more : 1;   /* there may be input without poll saying so */
	bool recv_empty : 1;  /* the last recv() took all there was */
	bool eof : 1;
	bool eof_told : 1;
	bool client : 1;
	bool timeout_due : 1;
	bool packed_end : 1; /* the peer has ended its DEFLATE stream */
	bool is_unix : 1;

	uint16_t port;
	struct net_ip ip;
	char peer[NET_IP_TEXT_BYTES];

	const struct net_meters *meters; /* of its listener; NULL: it has none */
	const struct net_stream_owner *owner;
	void *owner_arg;
	struct net_limits_slot slot;
};

/* ip NULL: a UNIX socket. */
struct net_stream *net_stream_new(
    struct net_loop *loop, int fd, const struct net_ip *ip, uint16_t port);
void net_streams_look_after(struct net_loop *loop); /* all that are dirty, once */
void net_streams_abort_all(struct net_loop *loop);

void net_watches_free(struct net_loop *loop);

/* stream_compress.c.  What is not packed yet: how much, and a slice of it behind what is in st->out. */
size_t net_packing_left(const struct net_stream *st);
void net_packing_pack(struct net_stream *st);
/* Takes raw bytes in; unpacks some of them into `out`.  *len_out 0: there are none left. */
void net_packing_feed(struct net_stream *st, const char *bytes, size_t len);
bool net_packing_has_input(const struct net_stream *st);
enum net_unpacked net_packing_unpack(
    struct net_stream *st, char *out, size_t size, size_t *len_out);
void net_packing_free(struct net_stream *st);
void net_stream_look_after(struct net_stream *st); /* it is looked after before the loop sleeps */

struct sockaddr;
/* False for UNIX sockets. */
bool net_ip_from_sockaddr(const struct sockaddr *sa, struct net_ip *ip_out, uint16_t *port_out);

/* tls.c.  The cipher side of a stream: SSL reads and writes through net_stream_recv() and
 * loop->cipher. */
SSL *net_tls_session(struct net_tls *tls, struct net_stream *st);
/* A client's on a connected socket; NULL if `host` cannot be checked. */
SSL *net_tls_client_session(struct net_tls *tls, int fd, const char *host);
void net_tls_maybe_check(struct net_tls *tls, struct net_loop *loop);
void net_tls_ref(struct net_tls *tls);
unsigned net_tls_handshake_s(const struct net_tls *tls);
void net_tls_cert_free(struct net_tls_cert *cert); /* drops one reference */
X509 *net_tls_cert_x509(const struct net_tls_cert *cert);
/* After a client's handshake: does the fingerprint match?  True if none is asked for. */
bool net_tls_peer_ok(const struct net_tls *tls, const SSL *ssl);
/* Do we know whom we talk to, whether or not this was asked for?  After the handshake. */
bool net_tls_peer_verified(const struct net_tls *tls, const SSL *ssl);
/* recv() into p, as SSL and plain streams use it: -1 with EAGAIN when there is nothing. */
ssize_t net_stream_recv(struct net_stream *st, void *p, size_t size);

/* tls_keys.c: the keys of now; the ticket callback of OpenSSL. */
int net_tls_keys_ticket(struct net_tls_keys *keys, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt);

#endif
