/* SASL server side for IMAP, submission and ManageSieve.  One struct sasl_session is one AUTH
 * exchange.  RFC 4422 (framework), 4616 (PLAIN), 5802 and 7677 (SCRAM-SHA-256 and -PLUS),
 * 9266 (tls-exporter), 5929 (tls-server-end-point), LOGIN for clients that know nothing better.
 *
 * - Nothing is offered and nothing starts without TLS.
 * - The only identity is the authentication identity: an authorization identity must be empty or
 *   equal to it, either as sent or as the backend's canonical login.
 * - User names must be UTF-8 and are prepared with SASLprep (RFC 4013, see sasl_prep.h) before the
 *   backend sees them.  Passwords must be UTF-8 without NUL, and are handed on as they were sent.
 * - An unknown user and a wrong password look alike.  Only who has proved to know the password hears that the
 *   authorization identity is the reason.
 *
 * Who does what: PLAIN and LOGIN are run by libsasl2.  SCRAM is our own (sasl_scram.c), because
 * libsasl2 2.1.28 takes exactly one channel binding per connection and refuses any other type in
 * "p=", where RFC 9266 and RFC 5929 clients may each choose their own; because its nonces come
 * from jrand48() seeded with 48 bits from a device that a locked-in worker may not open; because
 * it ends at once for unknown users, which tells them from known ones; and because it knows
 * neither a stored key without an auxiliary property plug-in nor a temporary failure.
 *
 * libsasl2 reads nothing from disk but the two plug-ins, at sasl_setup(): no configuration file,
 * no sasldb, no saslauthd.
 *
 * Threads: sasl_setup() and sasl_teardown() once per process, with no other thread about.  A session
 * belongs to one thread at a time; different sessions may step on different threads at once.  start
 * and next call the backend and so may block: they are for pool threads. */
#ifndef NET_SASL_H
#define NET_SASL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"

#define SASL_LINE_MAX_BYTES     12288 /* one base64 line without CRLF, RFC 4954 §4 */
#define SASL_USER_MAX_BYTES     1024  /* "up to 255 octets" each would do; RFC 4616 says nothing */
#define SASL_PASSWORD_MAX_BYTES 4096
#define SASL_KEY_BYTES          32 /* StoredKey and ServerKey of SCRAM-SHA-256 */
#define SASL_SALT_MAX_BYTES     64
#define SASL_BINDING_MAX_BYTES  64 /* tls-exporter: 32; tls-server-end-point: a digest */

/* What the daemon's backend says. */
enum sasl_verdict {
	SASL_VERDICT_OK,
	SASL_VERDICT_DENIED,   /* wrong password, no such user, or not allowed */
	SASL_VERDICT_TEMPFAIL, /* the account DB could not be asked */
};

struct sasl_scram_keys { /* RFC 5802 §3 */
	unsigned char salt[SASL_SALT_MAX_BYTES];
	size_t salt_len;
	unsigned iterations; /* at least 4096, RFC 7677 §4 */
	unsigned char stored_key[SASL_KEY_BYTES], server_key[SASL_KEY_BYTES];
};

/* Called on the thread that steps the session.  `user` is SASLprepped and NUL-terminated.  With OK
 * they append the canonical login name (the account's address) to login_out.  What goes into note_out
 * means nothing here: who asked finds it again by sasl_session_note(). */
struct sasl_backend {
	/* `peer` is the session's peer address as text, for caches and limits. */
	enum sasl_verdict (*verify_password)(void *arg, const char *user, struct str password,
	    const char *peer, struct buf *login_out, struct buf *note_out);
	/* Also with DENIED (unknown user, no keys kept) all of *keys_out must be filled, with a salt
	 * and a count that stay the same for this name and look like real ones: the exchange then
	 * goes on and fails at its end.  NULL: SCRAM is not offered. */
	enum sasl_verdict (*scram_keys)(void *arg, const char *user,
	    struct sasl_scram_keys *keys_out, struct buf *login_out, struct buf *note_out);
};

struct sasl_service {
	const char *name; /* "imap", "smtp", "sieve" */
	const struct sasl_backend *backend;
	void *arg; /* the backend's; must be good on any thread */
	struct log *log;
};

/* What is known of the connection, taken on the loop's thread before a session begins. */
struct sasl_channel {
	bool tls;
	const char *peer;                                /* borrowed, must outlive the session */
	unsigned char exporter[SASL_BINDING_MAX_BYTES];  /* tls-exporter, RFC 9266 */
	size_t exporter_len;                             /* 0: none */
	unsigned char end_point[SASL_BINDING_MAX_BYTES]; /* tls-server-end-point, RFC 5929 §4 */
	size_t end_point_len;
};

struct net_stream;
/* The stream's TLS is up: notes what it knows.  Loop thread. */
void sasl_channel_tls(struct sasl_channel *ch, const struct net_stream *st);

enum sasl_status {
	SASL_STATUS_MORE,   /* send the challenge, wait for the client's next line */
	SASL_STATUS_DONE,   /* authenticated: sasl_session_login() */
	SASL_STATUS_DENIED, /* 535 5.7.8, NO [AUTHENTICATIONFAILED] */
	/* authenticated, but may not act as the authorization identity: 535 5.7.8, NO [AUTHORIZATIONFAILED] */
	SASL_STATUS_NOT_AUTHORIZED,
	SASL_STATUS_TEMPFAIL,  /* 454 4.7.0, NO [UNAVAILABLE] */
	SASL_STATUS_MALFORMED, /* 501 5.5.2, BAD: bad base64 or a broken message */
	SASL_STATUS_TOO_LONG,  /* 500 5.5.6, BAD */
	SASL_STATUS_CANCELLED, /* the client sent "*": 501 5.7.0, BAD */
};

/* Once per process, before any thread and before the worker locks itself in (it loads plug-ins).
 * False with a log line if libsasl2 or a plug-in is not usable. */
bool sasl_setup(struct log *log);
void sasl_teardown(void);

/* Appends the names of the mechanisms on offer, each with `prefix` in front: " " for EHLO's
 * "AUTH PLAIN …", " AUTH=" for IMAP, " " for ManageSieve.  Returns how many; none without TLS. */
unsigned sasl_mechanisms(const struct sasl_service *service, const struct sasl_channel *channel,
    const char *prefix, struct buf *out);

struct sasl_session;

/* NULL if this mechanism (any letter case) is not on offer here: 504 5.5.4, NO [CANNOT].
 * Borrows the service; copies the channel. */
struct sasl_session *sasl_session_new(
    const struct sasl_service *service, const struct sasl_channel *channel, struct str mechanism);
void sasl_session_free(struct sasl_session *s); /* NULL is fine; wipes what was secret */

/* The exchange as SMTP (RFC 4954 §4), IMAP (RFC 9051 §6.2.2) and ManageSieve frame it: one base64 line
 * each way.  With MORE the base64 challenge (perhaps empty) is appended to challenge_out, to be sent
 * behind "334 " or "+ ".  After any other status the session is only good for _login and _free.
 *
 * start: `initial` is the initial response as sent with the command ("=" is an empty one), or NULL if
 * there was none.  next: a line without its CRLF; "*" cancels. */
enum sasl_status sasl_session_start(
    struct sasl_session *s, const struct str *initial, struct buf *challenge_out);
enum sasl_status sasl_session_next(
    struct sasl_session *s, struct str line, struct buf *challenge_out);

/* For protocols that send a mechanism's last words with their success reply (ManageSieve's SASL response code, RFC
 * 5804 §1.3): the challenge that came with MORE is the last one and asks for nothing.  An empty line given to
 * sasl_session_next() ends the exchange. */
bool sasl_session_is_last(const struct sasl_session *s);
/* The mechanism begins with a challenge of the server's (LOGIN): RFC 5804 §2.1 forbids an initial response then. */
bool sasl_session_server_first(const struct sasl_session *s);

/* The canonical login name after DONE, else NULL; valid until sasl_session_free(). */
const char *sasl_session_login(const struct sasl_session *s);
/* The name the client gave, as far as it was understood, for the log; "" before. */
const char *sasl_session_user(const struct sasl_session *s);
const char *sasl_session_mechanism(const struct sasl_session *s); /* "SCRAM-SHA-256-PLUS" */
/* What the backend has left for who asked; empty if it was not called.  Valid until sasl_session_free(). */
struct str sasl_session_note(const struct sasl_session *s);

#endif
