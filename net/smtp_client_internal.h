/* What the two parts of smtp_client share; nobody else includes it.
 *   smtp_client.c        the connection: its stream, greeting, EHLO, STARTTLS, AUTH, replies, its end
 *   smtp_client_send.c   one message on it: envelope, bytes, what the peer says to them */
#ifndef NET_SMTP_CLIENT_INTERNAL_H
#define NET_SMTP_CLIENT_INTERNAL_H

#include "base/buf.h"
#include "net/addr.h"
#include "net/smtp_client.h"
#include "net/smtp_dots.h"

struct net_connect;
struct net_stream;
struct net_timer;

#define SMTP_BY_MAX_S 999999999 /* by-time, RFC 2852 §4 */

enum smtp_client_state {
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
	OFFERS_DELIVERBY = 1024,
	OFFERS_REQUIRETLS = 2048,
	OFFERS_MT_PRIORITY = 4096,
	OFFERS_LIMITS = 8192,
};

struct smtp_client {
	struct net_loop *loop;
	struct smtp_client_config config;
	char *host, *unix_path, *helo, *user, *password;
	const struct smtp_client_events *events;
	void *arg;
	struct net_connect *connect;
	struct net_stream *stream; /* NULL before connecting and after on_closed */
	struct net_timer *soon;    /* for callbacks that must not come from inside a call */
	enum smtp_client_state state;
	bool dead; /* smtp_client_free() was called */
	bool released, quitting, hello_again;
	char peer[NET_IP_TEXT_BYTES + 8], tls[80];

	unsigned offers;
	uint64_t size_limit;                          /* 0: none told */
	uint64_t by_least_s;                          /* min-by-time, RFC 2852 §3; 0: none told */
	uint64_t mail_max, rcpt_max, rcpt_domain_max; /* RFC 9422 §4; 0: none told */
	uint64_t messages;                            /* begun on this connection */
	bool verified;                                /* we know whom we talk to */

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
	bool needs_rset, mail_ok, bdat, dsn_relayed, by_relayed, one_for_all, empty_data;
	struct smtp_result for_all;

	/* its bytes */
	bool in_doubt;
	bool job_running, read_failed, body_done, prefix_done, lost;
	int fd; /* our own descriptor and text: a job may outlive the caller's */
	char *prefix;
	uint64_t offset, size_bytes, read_bytes;
	struct smtp_stuff stuff;
	struct buf bytes;
};

/* --- smtp_client.c --- */

/* A finding of ours; detail may be "". */
struct smtp_result smtp_client_finding(
    enum smtp_outcome outcome, const char *enhanced, const char *text, const char *detail);
struct smtp_result smtp_client_reply_result(const struct smtp_client *c); /* the reply just read */
bool smtp_client_offers(const struct smtp_client *c, unsigned what);      /* all of them */
/* How long the peer may be silent from now on; `configured` 0: `otherwise`. */
void smtp_client_patience(struct smtp_client *c, unsigned configured_s, unsigned otherwise_s);
/* Frees the client if smtp_client_free() was called and nobody holds it any more. */
void smtp_client_release(struct smtp_client *c);

/* --- smtp_client_send.c --- */

void smtp_client_send_envelope_reply(struct smtp_client *c);
void smtp_client_send_final_reply(struct smtp_client *c);
void smtp_client_send_drained(struct smtp_client *c); /* STATE_BODY: room for more bytes */
/* The connection is of no more use: so are the recipients that are not decided yet. */
void smtp_client_send_lost(struct smtp_client *c, const struct smtp_result *why);
void smtp_client_send_report(struct smtp_client *c); /* STATE_REPORT: calls on_sent */
void smtp_client_send_free(struct smtp_client *c);

#endif
