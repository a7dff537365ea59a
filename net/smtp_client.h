/* The client side of SMTP, submission and LMTP, asynchronous on the loop: one connection, any number of
 * messages one after another, each with its recipients and its own result for every one of them.
 *
 * RFC 5321, 2033, 2920 (MAIL, RCPT and DATA leave together when offered), 1870, 6152, 3030, 6531, 3461, 2852,
 * 3207, 4954 (AUTH PLAIN, under TLS only), 8689, 6710, 9422.  A parameter is only sent to a peer that offers its extension:
 * - SMTPUTF8 needed and not offered: 553 5.6.7 for those recipients (RFC 6531 §3.5), or the whole message.
 * - 8BITMIME not offered and the content 8-bit: 554 5.6.3 (RFC 6152 §3); nothing is converted.
 * - BINARYMIME goes by BDAT; not offered: 554 5.6.1 (RFC 3030 §3).  Other bodies go by DATA.
 * - SIZE offered and too small: 552 5.3.4 without asking (RFC 1870 §6.2).
 * - DSN not offered: the parameters are left out and the result says so (dsn_relayed), so that the caller
 *   can write the "relayed" notice himself (RFC 3461 §5.2.2).
 * - DELIVERBY not offered: with mode N it goes without and the result says so (by_relayed), that the caller can
 *   tell (RFC 2852 §4.1.4.2); mode R, also with less time than the peer needs or none: 5.4.7 without asking.
 * - REQUIRETLS not offered, or the peer not verified, and the message needs it: 5.7.30 (RFC 8689 §4.2.1); with
 *   the null reverse-path it goes all the same (§5).
 * - MT-PRIORITY not offered: the priority goes as a header field, MT-Priority (RFC 6758 §3).
 * - LIMITS (RFC 9422): after MAILMAX messages the connection is not reusable; smtp_client_takes() tells how many
 *   recipients one message may have (RCPTMAX, RCPTDOMAINMAX).
 *
 * All functions belong to the loop's thread; callbacks are called there, never from inside a call into here.
 * smtp_client_free() may be called at any time, also inside a callback; no callback follows. */
#ifndef NET_SMTP_CLIENT_H
#define NET_SMTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "net/smtp_parse.h"

struct net_loop;
struct net_tls; /* net_tls_client_new() of net/tls.h: it says whether certificates are verified */
struct smtp_client;

enum smtp_client_tls {
	SMTP_TLS_NONE,          /* in the clear; loopback and UNIX sockets */
	SMTP_TLS_OPPORTUNISTIC, /* STARTTLS when offered, else in the clear */
	SMTP_TLS_REQUIRED,      /* STARTTLS or failure */
	SMTP_TLS_IMPLICIT,      /* TLS from the first byte, RFC 8314 */
};

struct smtp_client_config {
	const char *host; /* name or address; with `unix_path` only for the log */
	uint16_t port;
	const char *unix_path; /* NULL: TCP */
	bool lmtp;
	const char *helo; /* our name */
	enum smtp_client_tls tls;
	struct net_tls *tls_client;  /* needed unless SMTP_TLS_NONE */
	const char *user, *password; /* AUTH PLAIN if user is not NULL; a failure if impossible */
	unsigned messages_max; /* on this connection; then it is not reusable; 0: any number */
	struct log *log;

	/* 0: the value of RFC 5321 §4.5.3.2 */
	unsigned connect_timeout_s;    /* 30 */
	unsigned greeting_timeout_s;   /* 300 */
	unsigned command_timeout_s;    /* 300; MAIL and RCPT */
	unsigned data_init_timeout_s;  /* 120 */
	unsigned data_block_timeout_s; /* 180 */
	unsigned data_end_timeout_s;   /* 600 */
};

enum smtp_outcome {
	SMTP_OUTCOME_ACCEPTED,
	SMTP_OUTCOME_TEMPORARY, /* 4xx, or the connection failed before a reply: try again */
	SMTP_OUTCOME_PERMANENT, /* 5xx */
};

struct smtp_result {
	enum smtp_outcome outcome;
	int code; /* of the reply; 0 if there was none (connection lost, no TLS…) */
	char
	    enhanced[12]; /* of the reply, or made here (4.4.2, 5.6.7…); "" if the peer gave none */
	char text
	    [512]; /* the reply's lines joined by \n, its status once, or what went wrong; UTF-8 without control bytes */
	bool from_peer; /* a reply of the peer, not a finding of ours */
};

struct smtp_client_rcpt {
	const char *address;
	unsigned notify;   /* enum smtp_notify; 0: not sent */
	const char *orcpt; /* "rfc822;a@b", decoded; NULL: not sent */
};

/* Everything is borrowed until on_sent. */
struct smtp_client_message {
	const char *from; /* "" for <> */
	const struct smtp_client_rcpt *rcpts;
	size_t rcpt_count;
	int fd; /* the message, LF or CRLF line ends; read with pread() from `offset` to its end */
	uint64_t offset;
	uint64_t size_bytes; /* from offset on; fewer bytes in the file are a temporary failure */
	const char
	    *prefix; /* header lines with LF to be sent in front (Received:…); NULL for none */
	enum smtp_body body;
	bool smtputf8; /* needed by header or addresses */
	enum smtp_ret ret;
	const char *envid; /* NULL: not sent */
	char by_mode;      /* RFC 2852: 'N' or 'R'; 0: no BY= */
	bool by_trace;
	int64_t by_seconds; /* what is left of the time; less than 1 only goes with 'N' */
	bool require_tls;   /* RFC 8689 */
	int priority;       /* RFC 6710, -9..9; 0 is the usual and not sent */
	const char *auth;   /* AUTH= of MAIL, "<>" or an address; NULL: not sent */
};

struct smtp_client_report {
	const struct smtp_result *rcpts; /* one per recipient, in their order */
	size_t rcpt_count;
	const struct smtp_result
	    *message;     /* the reply that decided where it was one for all, else NULL */
	bool dsn_relayed; /* DSN was asked for and the peer does not know it */
	bool by_relayed;  /* mode N was asked for and the peer does not know DELIVERBY */
	bool reusable;    /* the connection is good for another smtp_client_send() */
	bool lost;     /* the connection failed, or the peer said 421: no verdict on this message */
	bool in_doubt; /* lost between the last byte and the reply: it may have been taken */
	const char *tls;  /* "TLSv1.3 …"; NULL in the clear */
	const char *peer; /* address and port as text */
};

struct smtp_client_events {
	/* The connection is ready for a message (result->outcome ACCEPTED), or has failed for good. */
	void (*on_ready)(void *arg, const struct smtp_result *result);
	/* A message is decided.  A report lives as long as the callback. */
	void (*on_sent)(void *arg, const struct smtp_client_report *report);
	/* An idle connection went away (421, timeout, closed): free it, take another. */
	void (*on_lost)(void *arg, const struct smtp_result *result);
};

/* Starts to connect.  The strings of config are copied, tls_client and log are borrowed. */
struct smtp_client *smtp_client_open(struct net_loop *loop, const struct smtp_client_config *config,
    const struct smtp_client_events *events, void *arg);
/* How many of these recipients, from the first on, the peer takes with one message (RFC 9422 §4); at least one.
 * Once it is ready. */
size_t smtp_client_takes(
    const struct smtp_client *c, const struct smtp_client_rcpt *rcpts, size_t count);
/* After on_ready, or after an on_sent that said reusable. */
void smtp_client_send(struct smtp_client *c, const struct smtp_client_message *message);
/* QUIT where the connection still stands, waits a moment for its reply, then closes and frees; no callback
 * follows. */
void smtp_client_quit(struct smtp_client *c);
void smtp_client_free(struct smtp_client *c); /* at once; NULL is fine */

#endif
