/* What a session is told without asking, once NOTIFY has been used: RFC 5465.
 *
 * 1. Without NOTIFY s->notify is NULL and costs nothing: changes of the selected mailbox are told at the end of
 *    commands and in IDLE.
 * 2. With it the connection watches what the client wants to hear of (imapd/watch.h), and runs imap_notify_run() as a job
 *    whenever something has moved and no command is under way, or IDLE is.
 * 3. Nothing is queued: what is told is the difference between what the client was told last and what is now, so
 *    a burst becomes one answer and a slow client costs no memory.
 * 4. What the session itself has done is not told.
 * 5. The functions work on the session, in jobs; those for the loop thread, between jobs, say so. */
#ifndef IMAPD_NOTIFY_H
#define IMAPD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "imapd/commands.h"
#include "imapd/notify_plan.h"
#include "imapd/watch.h"
#include "store/err.h"

#define NOTIFY_MAILBOXES_MAX                                                                       \
	1000 /* watched for messages by a session; more: NOTIFICATIONOVERFLOW */
#define NOTIFY_LIST_LINES_MAX 1000 /* in one go; more: NOTIFICATIONOVERFLOW */
#define NOTIFY_SLICE_MS       50   /* of looking at mailboxes before others may run */
/* After the tree of mailboxes has been read, which others can cause as often as they like (SETACL, CREATE), so many times as
 * long as that took passes before it is read again. */
#define NOTIFY_TREE_PAUSES       10
#define NOTIFY_TREE_PAUSE_MAX_MS 5000

struct account;
struct imap_notify;
struct imap_session;
struct mailbox_changes;
struct uidset;

/* --- the command --- */
/* NONE: from now on nothing is told. */
void imap_notify_none(struct imap_session *s);
/* SET, with what follows it as text.  Takes the present state of all mailboxes as told; with STATUS it is.
 * NOTIFY_PARSED with STORE_OK, STORE_LIMIT (too many mailboxes) or another error. */
enum notify_parsed imap_notify_set(
    struct imap_session *s, struct str text, enum store_err *err_out);
/* The command's STATUS answers; false: s->out is full, call again. */
bool imap_notify_begin(struct imap_session *s);
/* Do its FETCH items enable CONDSTORE? */
bool imap_notify_wants_modseq(const struct imap_session *s);
void imap_notify_free(struct imap_session *s); /* as if there had been no NOTIFY */

/* --- the selected mailbox: imapd/updates.c asks --- */
/* enum notify_event bits that are told of it; all of them without NOTIFY. */
unsigned imap_notify_selected(const struct imap_session *s);
/* The items wanted of new messages in it; or NULL. */
const struct fetch_plan *imap_notify_fetch_plan(const struct imap_session *s);
/* It is going to be deselected. */
void imap_notify_deselect(struct imap_session *s);

/* --- what the session does itself --- */
/* New messages that are durable. */
void imap_notify_own_messages(struct imap_session *s, const struct account *acct, const char *name,
    const struct uidset *uids);
/* A mailbox, with all below it, has been made, removed, renamed or (un)subscribed. */
void imap_notify_own_name(struct imap_session *s, const char *shown);
/* Annotations: the numbers of the changes, as imap_metadata_own() has them. */
void imap_notify_own_metadata(
    struct imap_session *s, const struct account *acct, uint64_t first, uint64_t last);

/* --- telling --- */
/* Tells what has moved, as much as s->out takes: IMAP_MORE if more is to come before anything else is
 * written.  `idle`: IDLE is under way. */
enum imap_result imap_notify_run(struct imap_session *s, bool idle);

/* For the loop thread, between jobs. */
#define NOTIFY_WATCH_SELECTED 0 /* number of the selected mailbox's watch */
/* Is something to be told? */
bool imap_notify_is_due(const struct imap_session *s);
/* Something will be due by itself in so many ms; 0: nothing will. */
uint64_t imap_notify_due_in_ms(const struct imap_session *s);
/* Does the selected mailbox have to be watched (also without IDLE)? */
bool imap_notify_wants_selected(const struct imap_session *s);
/* All other watches: `set` is called for each number from 1 on, in order, if they have changed since the last call.
 * *count_out is behind the last one. */
bool imap_notify_watches(struct imap_session *s,
    void (*set)(void *arg, unsigned number, enum watch_kind kind, const char *path), void *arg,
    unsigned *count_out);
void imap_notify_moved(struct imap_session *s, unsigned number);
/* Watches have ended by themselves: imap_notify_watches() is to say all of them again. */
void imap_notify_watch_again(struct imap_session *s);

#endif
