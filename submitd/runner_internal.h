/* What the parts of the queue runner share; nobody else includes it.
 *   runner.c    looks for work: claims what is due, waits for what will be, keeps house
 *   attempt.c   one claimed message: to a relay, in as many transactions as it takes
 *   settle.c    what became of its recipients, and who is told
 * What they decide by themselves is in verdict.h, relay_health.h, pause.h and deadline.h. */
#ifndef SUBMITD_RUNNER_INTERNAL_H
#define SUBMITD_RUNNER_INTERNAL_H

#include "net/smtp_client.h"
#include "store/spool.h"
#include "submitd/relay.h"
#include "submitd/runner.h"

#define RUNNER_TROUBLE_S 30 /* the pause after the spool itself failed */

struct runner {
	struct service *sv;
	char *hostname;
	struct relays *relays;
	struct net_timer *timer;
	struct net_watch *watch;
	unsigned active, active_max;
	bool swept; /* looked for what crashes left, or at it */
	bool claiming, again, draining;
	int64_t housekept; /* unix time */

	/* what the claiming job was asked for, and what it brought */
	bool shut; /* no relay is up: only what must not wait for one */
	struct spool_message *claimed;
	enum store_err err;
	int64_t next_due;
};

/* One message on its way.  Its pending recipients stand in `of` and `rcpts` until they have a result; then they
 * move to `done`. */
struct attempt {
	struct runner *runner;
	struct spool_message *msg;
	int fd;
	struct relay_connection *connection;
	const char *relay; /* its name, while a connection is on loan */
	uint64_t since_ns; /* when it was asked, for the connection or with the message */
	unsigned tried;    /* relays, by their places */
	struct smtp_client_rcpt *rcpts; /* those to be sent to … */
	struct spool_recipient **of;    /* … and whose they are */
	size_t count;
	struct spool_recipient **done;
	size_t done_count, logged;
	struct smtp_client *client;         /* while transactions follow one another */
	struct smtp_client_message message; /* the client reads it until on_sent */
	enum store_err err;
};

/* --- runner.c --- */

void runner_attempt_over(struct runner *r); /* one less is active; looks for more */

/* --- attempt.c --- */

void attempt_start(struct runner *r, struct spool_message *msg); /* takes msg over */

/* --- settle.c --- */

/* When a message is given up: by its lifetime, or by the time that was set for its delivery. */
int64_t settle_expiry(const struct runner *r, const struct spool_message *msg);
/* Notes what a relay said, or we found, of a recipient that is being tried. */
void settle_note(struct attempt *a, struct spool_recipient *rcpt, const struct smtp_result *result,
    const char *relay);
/* What the sender is to hear of a recipient that this report says was handed on. */
void settle_note_owed(
    struct attempt *a, struct spool_recipient *rcpt, const struct smtp_client_report *rep);
/* On a pool thread.  What has been noted so far becomes durable and is said in the log. */
void settle_save(struct attempt *a);
/* On a pool thread: saves, tells the sender what he is to know, gives the message back; a->msg is NULL then. */
void settle_finish(struct attempt *a);
/* On a pool thread: tells the sender if the time for its delivery has run out. */
void settle_tell_if_late(struct attempt *a);

#endif
