/* IMAP events for the user's scripts, RFC 6785: what a command has changed is noted here, and when it is done (and durable)
 * the script of the mailbox runs over each message, before the tagged reply.
 *
 * 1. The script of a mailbox is named by its annotation /shared/imapsieve/script, or else by the server's.  Without one an
 *    event costs two fstatat() calls: what state.db said of it is remembered until that file changes.
 * 2. A script's own actions are no events: there are no loops, §6.
 * 3. Whatever fails leaves the message where it is, as if there were no script. */
#ifndef IMAPD_IMAPSIEVE_H
#define IMAPD_IMAPSIEVE_H

#include <stdbool.h>
#include <stdint.h>

#define IMAP_SIEVE_ENTRY "/shared/imapsieve/script"

struct account;
struct flags_change;
struct imap_session;
struct uidset;

enum imap_sieve_cause { IMAP_SIEVE_APPEND, IMAP_SIEVE_COPY, IMAP_SIEVE_FLAG };

/* New messages of APPEND, COPY or MOVE: `uids` in `mailbox` of `acct`.  All is copied.  To be called when they are
 * durable. */
struct imap_sieve_event {
	enum imap_sieve_cause cause;
	struct account *acct; /* the mailbox's, which need not be the session's */
	const char *mailbox;  /* its name there */
	uint32_t uidvalidity;
	const struct uidset *uids;
};
void imap_sieve_event(struct imap_session *s, const struct imap_sieve_event *event);

/* Flags of messages of the selected mailbox, in two halves: before the change, which notes what they are where somebody
 * wants to know, and after it, with those that have changed (NULL or empty: none). */
void imap_sieve_flags_begin(
    struct imap_session *s, const struct uidset *uids, const struct flags_change *change);
void imap_sieve_flags_end(struct imap_session *s, const struct uidset *changed);

/* --- for the session ---------------------------------------------------------------------------- */

#define IMAP_SIEVE_SLICE_MS 100   /* of work between two chances for other sessions */
#define IMAP_SIEVE_LEAVE_MS 20000 /* for what is left when the connection is gone */

/* Runs what is due.  False: there is more, call again. */
bool imap_sieve_run(struct imap_session *s);
/* The connection is gone: runs the rest, at most for IMAP_SIEVE_LEAVE_MS, and lets go. */
void imap_sieve_end(struct imap_session *s);

#endif
