/* The server side of SMTP, LMTP and message submission on one net_stream: the dialogue, its grammar
 * and its limits.  What a recipient is and where bytes go is the daemon's: it hands in a struct smtp_service
 * with a table of handlers.
 *
 * RFC 5321, 2033 (LMTP), 6409 (submission), PIPELINING 2920, SIZE 1870, 8BITMIME 6152, CHUNKING and
 * BINARYMIME 3030, ENHANCEDSTATUSCODES 2034/3463, SMTPUTF8 6531, STARTTLS 3207, AUTH 4954, DSN 3461
 * (parsed; offered only with .dsn), and where the service offers them LIMITS 9422, REQUIRETLS 8689 (under TLS),
 * MT-PRIORITY 6710, DELIVERBY 2852, FUTURERELEASE 4865; XCLIENT from the proxies that may say it.
 *
 * What always holds:
 * - At most one handler of a session runs at a time.  It runs on a pool thread, or on the loop where the
 *   daemon marked it SMTP_HANDLER_FAST.  While it runs nothing else touches the session.
 * - Commands may come pipelined; replies leave together when no further complete command is there.
 * - Data ends with CRLF "." CRLF and with nothing else.  A lone LF or CR inside data is data, or, with
 *   refuse_bare_newlines, makes the message fail with 550 5.6.11 after its true end.
 *   data_write() gets the bytes dot-unstuffed, line ends as they came.
 * - What came in the clear before STARTTLS is gone after it: commands pipelined behind STARTTLS end the
 *   connection, and helo, transaction and authentication start anew (RFC 3207 §4.2).
 * - A message up to SMTP_DATA_CHUNK_BYTES costs one job: data_write and data_end follow one another
 *   in it.  A bigger one comes in such pieces, the socket being read only as fast as they are written.
 * - 421 and the end at: shutdown (at the next command), silence, too many bad commands.  552 and the end at data
 *   that goes on for twice the size and SMTP_FLOOD_BYTES. */
#ifndef NET_SMTP_SERVER_H
#define NET_SMTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/sasl.h"
#include "net/smtp_parse.h"

struct net_cidr_list;
struct net_ip;
struct net_stream;
struct net_tls; /* server side certificates and settings, net/tls.h */
struct smtp_session;

#define SMTP_LINE_MAX_BYTES    4096 /* commands; RFC 5321 §4.5.3.1.4 asks for 512, parameters add */
#define SMTP_DATA_CHUNK_BYTES  (256 * 1024)
#define SMTP_COMMAND_TIMEOUT_S 300 /* RFC 5321 §4.5.3.2.7: at least 5 minutes */
#define SMTP_DATA_TIMEOUT_S    300 /* silence inside data; §4.5.3.2.5 asks the sender for 3 minutes */
#define SMTP_SESSION_TIMEOUT_S 7200
#define SMTP_BAD_COMMANDS_MAX  10
#define SMTP_RCPT_MAX          1000 /* RFC 5321 §4.5.3.1.8: at least 100 */
#define SMTP_FLOOD_BYTES                                                                           \
	(64 * 1024 * 1024) /* of too big a message that are still read and dropped */

enum smtp_protocol {
	SMTP_PROTOCOL_SMTP,       /* from a relay; HELO and EHLO */
	SMTP_PROTOCOL_LMTP,       /* LHLO only; one reply per recipient after data */
	SMTP_PROTOCOL_SUBMISSION, /* EHLO; AUTH before MAIL */
};

/* What a handler answers.  Starts as the dialogue's default success ("250 2.1.0 OK" and the like), so a
 * handler that agrees may leave it alone.  `text` may have several lines split by \n; no CR, no
 * control bytes (they become "?").  A code of 421 closes the connection after the reply. */
#define SMTP_REPLY_TEXT_BYTES 480
struct smtp_reply {
	int code;
	char enhanced[12]; /* "5.1.1"; "" for none */
	char text[SMTP_REPLY_TEXT_BYTES];
};
void smtp_reply_set(struct smtp_reply *r, int code, const char *enhanced, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static inline bool
smtp_reply_is_ok(const struct smtp_reply *r)
{
	return r->code >= 200 && r->code < 400;
}

/* Facts about the session, for Received: and for decisions.  Strings are valid until the next handler. */
struct smtp_facts {
	const char *helo; /* as said in EHLO, HELO or LHLO; "" before */
	const char
	    *peer; /* the peer's address as net_stream_peer() says it; "local" for a UNIX socket */
	const char *tls;   /* "TLSv1.3 TLS_AES_256_GCM_SHA384"; NULL in the clear */
	const char *login; /* canonical login after AUTH; NULL before */
	const char *mechanism;
	const char
	    *with; /* RFC 3848, RFC 6531: "ESMTPSA", "LMTP", "UTF8SMTPS"… of this transaction */
	bool smtputf8; /* of this transaction */
	enum smtp_body body;
	unsigned rcpt_count; /* accepted so far */
};

/* Why a transaction ended without data_end(). */
enum smtp_reset { SMTP_RESET_COMMAND, SMTP_RESET_TOO_BIG, SMTP_RESET_BAD_DATA, SMTP_RESET_LOST };

/* Handlers.  Those without a comment may be NULL, which agrees.  `s` is good inside the call only, except that
 * smtp_session_data() is the same for the whole connection.  mail, rcpt: arena strings of the arguments live
 * until the transaction ends (data_end or reset has returned).
 *
 * Order: connect (helo (auth)? (mail rcpt* (data_begin data_write* data_end | reset))*)* closed.
 * Whenever mail() said yes, exactly one of data_end and reset follows.  closed() is the last call, always
 * made if connect() was. */
struct smtp_handlers {
	/* Before the greeting; 421 or 554 refuses the connection. */
	void (*connect)(struct smtp_session *s, struct smtp_reply *r);
	void (*helo)(struct smtp_session *s, const char *host, struct smtp_reply *r);
	/* After a SASL exchange, successful or not (then login is NULL and the reply is that failure: it may be
	 * replaced, for example by 421).  `user` is the name as claimed. */
	void (*auth)(struct smtp_session *s, const char *login, const char *user,
	    const char *mechanism, struct smtp_reply *r);
	/* On the loop, before an exchange starts: how long it shall wait, for example
	 * net_limits_login_delay_ms(). */
	uint64_t (*auth_delay_ms)(struct smtp_session *s);
	void (*mail)(struct smtp_session *s, const struct smtp_mail *mail, struct smtp_reply *r);
	/* Needed. */
	void (*rcpt)(struct smtp_session *s, const struct smtp_rcpt *rcpt, struct smtp_reply *r);
	/* At DATA, or at the first BDAT; at least one recipient was accepted.  Anything but 354 (the default) refuses.
	 * Cheap checks belong here; mark it SMTP_HANDLER_FAST and open files at the first data_write(), and a
	 * small message is one job. */
	void (*data_begin)(struct smtp_session *s, struct smtp_reply *r);
	/* Needed.  False ends in a 451 4.3.0 (data_end() is not called, reset() is); the rest is drained. */
	bool (*data_write)(struct smtp_session *s, const char *bytes, size_t len);
	/* Needed.  SMTP and submission: one reply, replies[0].  LMTP: one per accepted recipient, in their order;
	 * `count` says how many. */
	void (*data_end)(struct smtp_session *s, struct smtp_reply *replies, size_t count);
	void (*reset)(struct smtp_session *s, enum smtp_reset why);
	void (*closed)(struct smtp_session *s);
	unsigned fast; /* enum smtp_handler_fast: which never wait, and so run on the loop */
};
enum smtp_handler_fast {
	SMTP_FAST_CONNECT = 1,
	SMTP_FAST_HELO = 2,
	/* auth follows the SASL exchange in the same job */
	SMTP_FAST_MAIL = 8,
	SMTP_FAST_RCPT = 16,
	SMTP_FAST_DATA_BEGIN = 32,
	SMTP_FAST_RESET = 64,
	SMTP_FAST_CLOSED = 128,
};

/* One per listener; shared by its sessions and constant while any lives. */
struct smtp_service {
	enum smtp_protocol protocol;
	const char *hostname; /* ours, in the greeting */
	const char *software; /* in the greeting; NULL for none */
	const struct smtp_handlers *handlers;
	void *arg;                       /* smtp_session_service_arg() */
	const struct sasl_service *sasl; /* NULL: no AUTH */
	struct net_tls *tls;             /* NULL: no TLS */
	bool implicit_tls;               /* TLS from the first byte; else STARTTLS is offered */
	struct log *log;

	bool tls_required;  /* nothing but EHLO, NOOP, STARTTLS, QUIT without TLS: 530 5.7.0 */
	bool auth_required; /* MAIL before AUTH: 530 5.7.0 */
	bool dsn;           /* offer DSN */
	bool no_chunking, no_smtputf8; /* take these away */
	bool refuse_bare_newlines;     /* submission sets it */
	bool requiretls;               /* offer REQUIRETLS as soon as there is TLS */
	const char *priority;     /* offer MT-PRIORITY with this profile, "MIXER"; NULL: do not */
	bool deliver_by;          /* offer DELIVERBY … */
	unsigned by_min_s;        /* … and refuse mode R with less; 0: anything goes */
	uint64_t hold_max_s;      /* offer FUTURERELEASE up to so long; 0: do not */
	bool limits;              /* offer LIMITS: RCPTMAX, and the two below where they are set */
	unsigned mail_max;        /* transactions in one connection; 0: any number */
	unsigned rcpt_domain_max; /* domains among the recipients of one message; 0: any number */
	/* Peers that may say XCLIENT; NULL: nobody.  LOGIN is not among its attributes: whoever submits
	 * logs in here.  What it says is the peer from then on: facts, log, delays of failed logins. */
	const struct net_cidr_list *xclient_from;

	/* 0 takes the default above; size_max_bytes has none and must be set. */
	uint64_t size_max_bytes; /* SIZE; counted as data_write() gets them */
	unsigned rcpt_max, bad_commands_max;
	unsigned command_timeout_s, data_timeout_s, session_timeout_s;
	unsigned login_timeout_s; /* from connection to login; 0: none but the others */
};

/* Takes a new stream over (net_stream_begin() is called here, and TLS started if implicit).  The session
 * ends itself and closes the stream; `on_end` (may be NULL) is called then, on the loop, after closed(), the
 * session's last sign. */
struct smtp_session *smtp_server_start(struct net_stream *stream,
    const struct smtp_service *service, void (*on_end)(void *arg), void *on_end_arg);
/* Ends with 421 at the next command, or at once when idle; a message being received is finished first. */
void smtp_server_drain(struct smtp_session *s);
/* The same, but who has sent nothing yet may send one message first: a person's mail program, which has just
 * connected, would show him the 421. */
void smtp_server_finish(struct smtp_session *s);

/* For handlers. */
void *smtp_session_data(const struct smtp_session *s); /* the on_end_arg of start */
void *smtp_session_service_arg(const struct smtp_session *s);
const struct smtp_facts *smtp_session_facts(struct smtp_session *s);
const struct net_ip *smtp_session_peer_ip(
    const struct smtp_session *s); /* NULL for a UNIX socket */
struct str smtp_session_auth_note(
    const struct smtp_session *s);                          /* inside auth(): sasl_session_note() */
struct log *smtp_session_log(const struct smtp_session *s); /* carries s=… */

#endif
