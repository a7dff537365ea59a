/* What the parts of smtp_server share; nobody else includes it.
 *   smtp_server.c    the stream, the loop, replies, jobs
 *   smtp_commands.c  one function for each command
 *   smtp_data.c      DATA and BDAT
 *   smtp_xclient.c   XCLIENT */
#ifndef NET_SMTP_SESSION_H
#define NET_SMTP_SESSION_H

#include "net/addr.h"
#include "net/smtp_dots.h"
#include "net/smtp_server.h"

struct net_loop;
struct net_timer;

enum smtp_state {
	STATE_TLS,        /* a handshake: on_open */
	STATE_COMMAND,    /* one command line */
	STATE_AUTH_DELAY, /* the timer that holds a guesser back */
	STATE_AUTH,       /* the mechanism's next line */
	STATE_DATA,       /* bytes up to the lone dot */
	STATE_BDAT,       /* the rest of a chunk */
	STATE_CLOSING,    /* the last reply to drain */
};

enum smtp_step { STEP_AGAIN, STEP_WAIT };

struct smtp_session {
	struct net_stream *stream; /* NULL after on_closed */
	struct net_loop *loop;
	const struct smtp_service *service;
	struct log *log;
	void *data;
	void (*on_end)(void *arg);
	void *on_end_arg;
	struct net_timer *life, *delay;

	enum smtp_state state;
	bool busy; /* a job owns the session */
	bool eof, draining, finishing, skipping_line, greeted, connected, ending;
	unsigned bad_commands;
	void (*run)(struct smtp_session *s);   /* of the job in flight */
	void (*after)(struct smtp_session *s); /* on the loop, when run has returned */

	struct buf out;          /* replies not yet handed to the stream */
	struct smtp_reply reply; /* the handler's */

	bool extended; /* EHLO or LHLO, not HELO */
	char *helo, *login;
	char tls[80], peer[NET_IP_TEXT_BYTES], with[16];
	struct net_ip peer_ip;
	bool has_peer_ip;
	bool may_xclient; /* by the address of the connection itself */
	const char *mechanism;
	struct smtp_facts facts;

	struct sasl_channel channel;
	struct sasl_session *sasl;
	enum sasl_status sasl_status;
	struct buf line; /* of the AUTH exchange */
	bool has_line;
	struct buf challenge;

	/* the transaction */
	struct arena arena;
	struct smtp_mail mail;
	struct smtp_rcpt rcpt;
	const char *new_helo;
	bool in_transaction;
	unsigned rcpt_count, rcpt_commands;
	unsigned mail_count;  /* transactions so far */
	const char **domains; /* of recipients, in the arena; with rcpt_domain_max */
	unsigned domain_count;

	/* its data */
	struct smtp_dots dots;
	struct buf bytes;     /* decoded, not yet written */
	uint64_t total_bytes; /* of the message so far */
	uint64_t chunk_left, chunk_bytes;
	bool chunk_last, chunk_ignored, bdat_begun;
	bool too_big, write_failed, data_complete;
	enum smtp_reset why;
	struct smtp_reply *replies;
	size_t reply_count;
};

/* --- settings with a default --- */

static inline unsigned
smtp_or_default(unsigned value, unsigned otherwise)
{
	return value > 0 ? value : otherwise;
}

static inline bool
smtp_is_lmtp(const struct smtp_session *s)
{
	return s->service->protocol == SMTP_PROTOCOL_LMTP;
}

static inline bool
smtp_offers_chunking(const struct smtp_session *s)
{
	return !s->service->no_chunking;
}

/* --- smtp_server.c --- */

/* Replies are collected and leave together. */
void smtp_session_say(struct smtp_session *s, int code, const char *enhanced, const char *text);
void smtp_session_reply(struct smtp_session *s, const struct smtp_reply *r);
void smtp_session_add_reply(struct buf *out, int code, const char *enhanced, const char *text);
void smtp_session_flush(struct smtp_session *s);
/* A handler's reply; 421 ends the connection, RFC 5321 §3.8. */
enum smtp_step smtp_session_after_reply(struct smtp_session *s, const struct smtp_reply *r);
/* The connection ends when what was said has drained. */
enum smtp_step smtp_session_finish(struct smtp_session *s);
enum smtp_step smtp_session_finish_with(
    struct smtp_session *s, int code, const char *enhanced, const char *why);
/* Runs `run` where it may run (`fast_bit`: enum smtp_handler_fast, 0: always a job), then `after` on
 * the loop. */
enum smtp_step smtp_session_run_handler(struct smtp_session *s, unsigned fast_bit,
    void (*run)(struct smtp_session *s), void (*after)(struct smtp_session *s));
void smtp_session_start_life(struct smtp_session *s);
void smtp_session_run_reset(struct smtp_session *s); /* the handler; s->why says why */
void smtp_session_forget_transaction(struct smtp_session *s);

/* --- smtp_commands.c --- */
enum smtp_step smtp_command_greet(struct smtp_session *s);
enum smtp_step smtp_command_run(struct smtp_session *s, struct str line);
void smtp_command_greeting(struct smtp_session *s, struct smtp_reply *r);
/* An error of the client's; too many end the connection. */
enum smtp_step smtp_command_bad(
    struct smtp_session *s, int code, const char *enhanced, const char *text);
/* The next step of AUTH with s->line. */
void smtp_command_run_auth(struct smtp_session *s);
void smtp_command_after_auth(struct smtp_session *s);
void smtp_command_wipe_line(struct smtp_session *s);

/* --- smtp_data.c --- */
enum smtp_step smtp_data_command(struct smtp_session *s, struct str args);
enum smtp_step smtp_data_bdat(struct smtp_session *s, struct str args);
enum smtp_step smtp_data_step(struct smtp_session *s);
enum smtp_step smtp_data_bdat_step(struct smtp_session *s);

/* --- smtp_xclient.c --- */
bool smtp_xclient_is_offered(const struct smtp_session *s);
void smtp_xclient_keyword(struct buf *lines);
enum smtp_step smtp_xclient_command(struct smtp_session *s, struct str args);

#endif
