/* One client's conversation with a daemon that speaks lines and literals (IMAP, ManageSieve): the life of the
 * connection, which is the same in all such protocols.
 *
 * The loop cuts what comes into commands (net/frame.h); a job runs one at a time on a pool thread, and while it runs
 * the session's state is the job's; then the protocol says how to go on.  Output that does not drain stops input.
 * Who fails to log in waits before the next try, who is silent is logged out, and at the worker's end each says
 * BYE between two commands.  The last job lets go of what the session holds.
 *
 * A protocol's connection begins with a struct conversation; everything here is called on the loop. */
#ifndef SERVICE_CONVERSATION_H
#define SERVICE_CONVERSATION_H

#include <stdbool.h>
#include <stdint.h>

#include "net/frame.h"

struct conversation;
struct log;
struct net_stream;
struct net_timer;
struct sasl_channel;
struct service;

enum conversation_state {
	CONVERSATION_OPENING,  /* waits for the TLS handshake */
	CONVERSATION_COMMAND,  /* for the next command, whole */
	CONVERSATION_DELAYED,  /* a login after failed ones: for the timer */
	CONVERSATION_BUSY,     /* for the job in flight */
	CONVERSATION_DRAINING, /* for the client to take what is written */
	CONVERSATION_WAITING,  /* for what the command in hand waits for */
	CONVERSATION_DATA,     /* for streamed data; the worker's end cuts it off */
	CONVERSATION_CLOSING,  /* for the stream's end, and the job's if there is one */
};

/* The protocol numbers its jobs; this one it has: after it the conversation is freed. */
#define CONVERSATION_JOB_CLEAR 0

/* What a protocol does with it. */
struct conversation_protocol {
	const char *door, *door_tls;             /* for the log */
	const char *code_ending, *code_too_many; /* of BYE */
	const struct frame_rules *(*rules)(struct conversation *c);
	const char *(*user)(struct conversation *c); /* NULL before login */
	bool (*is_over)(struct conversation *c);     /* it has said BYE */
	void (*write_bye)(struct buf *out, const char *code, const char *text);

	void (*run_job)(struct conversation *c); /* on a pool thread: c->job */
	/* The job is done (any but CLEAR).  The state is COMMAND, unless this changes it. */
	void (*job_done)(struct conversation *c);
	/* TLS is ready.  The channel is the protocol's to free. */
	void (*opened)(struct conversation *c, struct sasl_channel *channel);
	/* COMMAND: something is framed (not FRAME_NEED_INPUT). */
	void (*framed)(struct conversation *c, enum frame_event event);
	/* COMMAND: nothing has come and no command is begun; NULL is fine. */
	void (*idle)(struct conversation *c);
	/* The other states; NULL where the protocol does not enter them.  False: nothing more to do until
	 * something happens. */
	void (*drained)(struct conversation *c);
	bool (*waiting)(struct conversation *c);
	bool (*data)(struct conversation *c);
	void (*closed)(struct conversation *c); /* the stream is gone; NULL is fine */
	void (*free)(struct conversation *c);   /* the memory in which it lies */
};

/* All conversations of a worker. */
struct conversations {
	const struct service *service;
	const struct conversation_protocol *protocol;
	unsigned autologout_s, login_timeout_s;
	uint64_t per_account_max;
	/* private */
	bool ending;                /* each says BYE when its command is done */
	uint32_t count;             /* so far, for the log's s= */
	struct conversation *first; /* of those that are open */
};

struct conversation {
	struct conversations *all;
	struct net_stream *st; /* NULL: closed */
	struct log *log;       /* carries s=… */
	char *peer;            /* address as text */
	uint64_t account;      /* tells accounts apart, also while a job runs; 0 before login */
	/* For a delayed login; after login the protocol's own.  Freed with the stream. */
	struct net_timer *timer;
	struct net_timer *login_timer; /* NULL after login */
	struct frame frame;            /* its text lives as long as the command or line */
	enum conversation_state state;
	unsigned char job; /* in flight, or the last one */
	bool busy;         /* a job is in flight and owns the session */
	bool eof;          /* the client will say no more */
	struct conversation *next, **prev;
};

/* Zero-initialised but for what is the protocol's.  In the clear it waits for a command, and the protocol greets. */
void conversation_start(
    struct conversation *c, struct conversations *all, struct net_stream *st, bool tls);
/* Begins TLS, when what is written has gone out. */
void conversation_start_tls(struct conversation *c);
/* Goes on where it waits: something has happened that only the protocol knows of. */
void conversation_step(struct conversation *c);

void conversation_run(struct conversation *c, unsigned job);
/* The same for a login: after failed ones of its address a client waits before the next password is looked at.
 * *delayed_out, set before the job runs: this one does. */
void conversation_run_login(struct conversation *c, unsigned job, bool *delayed_out);

/* After the job of a login.  False: the account has too many conversations; BYE is said. */
bool conversation_logged_in(struct conversation *c, uint64_t account);
/* It is before login (again): it has login_timeout_s, and counts for its address; too many of that one: BYE is said. */
void conversation_logged_out(struct conversation *c);
/* What TLS knows, for SASL; the caller's. */
struct sasl_channel *conversation_channel(const struct conversation *c);

/* Says BYE, between commands or at once where the client may not go on, and closes.  code may be NULL. */
void conversation_bye(struct conversation *c, const char *code, const char *text);
/* BYE, because the worker ends; false if it does not. */
bool conversation_bye_if_ending(struct conversation *c);
void conversation_close(struct conversation *c); /* when what is written has gone out */

/* The worker ends: who waits says BYE now, others when their command is done. */
void conversations_end(struct conversations *all);

#endif
