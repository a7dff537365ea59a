/* The spool: outgoing messages of submitd and of lda's auto-replies, until the relay has them.
 *
 *     SPOOL/spool.db        envelopes and what became of each recipient (SQLite, WAL, synchronous=FULL)
 *     SPOOL/msg/ID.OWNER    one content file each, LF or CRLF as it was given
 *     SPOOL/tmp/ID.OWNER    being written
 *     SPOOL/owner/OWNER     one per open handle, flock()ed while its process lives
 *     SPOOL/wake            its time stamp is touched when something becomes due: watch it (IN_ATTRIB)
 *
 * 1. A row never stands without its file: the file is written, fsynced, renamed into msg/ and the
 *    directory fsynced before the row is committed, and the row goes before the file.
 * 2. So a crash leaves at most a file without a row; spool_sweep() removes it once its owner is dead.
 * 3. A claimed message belongs to one handle; when that handle's process is dead the claim is void.
 *
 * Any number of processes and threads use a spool at once.  Open after fork(). */
#ifndef STORE_SPOOL_H
#define STORE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "store/err.h"

#define SPOOL_ID_LEN         16 /* [0-9a-v], later ones sort behind earlier ones */
#define SPOOL_RECIPIENTS_MAX 10000
#define SPOOL_ADDRESS_MAX    1000 /* bytes of an address, RFC 5321 §4.5.3.1.3 gives 256 */
#define SPOOL_REPLY_MAX      2000 /* bytes kept of a relay's reply */
#define SPOOL_PRIORITY_MIN   (-9) /* RFC 6710 §5 */
#define SPOOL_PRIORITY_MAX   9

struct spool;
struct spool_draft;
struct spool_sent;

enum spool_state { SPOOL_PENDING, SPOOL_DELIVERED, SPOOL_FAILED };
enum spool_body { SPOOL_BODY_7BIT, SPOOL_BODY_8BITMIME, SPOOL_BODY_BINARYMIME };
/* DSN NOTIFY and RET, RFC 3461 §4.1, §4.3; 0: not given. */
enum {
	SPOOL_NOTIFY_NEVER = 1,
	SPOOL_NOTIFY_SUCCESS = 2,
	SPOOL_NOTIFY_FAILURE = 4,
	SPOOL_NOTIFY_DELAY = 8
};
enum spool_ret { SPOOL_RET_UNSET, SPOOL_RET_FULL, SPOOL_RET_HDRS };
/* Of spool_recipient.reported, where SPOOL_NOTIFY_FAILURE and _DELAY are what the sender has been told.
 * LATE: told that the time for its delivery has run out.  OWED: to be told that it was handed on,
 * where success is not reported, where no time is kept to, or with the time. */
enum {
	SPOOL_TOLD_LATE = 16,
	SPOOL_OWED_RELAYED = SPOOL_NOTIFY_SUCCESS,
	SPOOL_OWED_UNTIMED = 32,
	SPOOL_OWED_TRACED = 64
};

struct spool_recipient {
	int64_t row; /* the spool's */
	char *address;
	char *orcpt;     /* xtext as given, or NULL */
	unsigned notify; /* SPOOL_NOTIFY_* */
	/* The runner's to change before spool_save() or spool_release(): */
	enum spool_state state;
	char *reply; /* the last one of the relay, or our own words; NULL: none yet */
	char *relay; /* which answered it, or NULL */
	unsigned attempts;
	int64_t next_attempt; /* unix time; while pending */
	unsigned reported;    /* SPOOL_NOTIFY_*, SPOOL_TOLD_* and SPOOL_OWED_*: see there */
	/* The spool's: what it has of them.  Where all are the same, so are reply and relay. */
	struct {
		enum spool_state state;
		unsigned attempts, reported;
		int64_t next_attempt;
	} saved;
};

struct spool_message {
	char id[SPOOL_ID_LEN + 1];
	char *sender;  /* "" is the null reverse-path */
	char *account; /* who submitted it; NULL: made here */
	char *envid;   /* DSN, or NULL */
	enum spool_ret ret;
	enum spool_body body;
	bool smtputf8;
	char by_mode; /* BY of RFC 2852: 'N' (tell), 'R' (return); 0: no time was given */
	bool by_trace;
	int64_t deliver_by; /* unix time; may have passed already */
	bool require_tls;  /* REQUIRETLS: only over TLS, to who requires it in turn; RFC 8689 §2 */
	bool tls_optional; /* its header says "TLS-Required: No"; RFC 8689 §5 */
	int priority;      /* MT-PRIORITY, -9 to 9, RFC 6710; 0: the usual */
	bool bulk;         /* to many; waits behind other mail and lives shorter */
	char release_mode; /* RFC 4865: 'F' for HOLDFOR, 'U' for HOLDUNTIL; 0: at once */
	int64_t release_at; /* unix time before which it is not sent */
	char *route;  /* relays of its own, "host:port host:port"; NULL: the configured ones */
	char *parked; /* why it is held for good until a human looks, or NULL; held is true then */
	bool held;
	bool claimed;         /* by a living process */
	int64_t received;     /* unix time */
	int64_t next_attempt; /* of the earliest pending recipient */
	uint64_t size_bytes;
	char *origin; /* "host=… mech=…" for people, or NULL */
	struct spool_recipient *recipients;
	size_t recipient_count;
	/* For spool_commit() alone: notes the message as sent by `account`, unless that would pass one of these
	 * (spool_sent_add()); NULL: not noted. */
	const struct spool_sent *most;
};
void spool_message_free(struct spool_message *msg); /* with its strings; NULL is fine */

struct spool_options {
	uint64_t free_space_floor; /* bytes; less free space is STORE_FULL */
	uint64_t message_size_max; /* bytes; more is STORE_LIMIT */
	uint64_t messages_max;     /* in the queue; more is STORE_LIMIT */
};

/* Makes what is missing (mode 0750), removes what crashes left.  `options` NULL: for looking and
 * managing only.  STORE_DENIED, STORE_VERSION, STORE_CORRUPT, STORE_FULL, STORE_IO. */
enum store_err spool_open(const char *dir, const struct spool_options *options,
    const struct log *log, struct spool **spool_out);
/* Removes files whose row was never written, by those who died.  Looks at each file, so it takes a second for
 * 100 000 messages: beside the work, once after a start.  Any thread. */
void spool_sweep(struct spool *spool);
void spool_close(struct spool *spool); /* its claims become void; NULL is fine */

/* Adding.  spool_begin() gives a draft with its final id; write to it; then commit or abort, which
 * both end the draft.  After STORE_OK from spool_commit() the message survives a power failure. */
enum store_err spool_begin(struct spool *spool, struct spool_draft **draft_out);
const char *spool_draft_id(const struct spool_draft *draft);
uint64_t spool_draft_size(const struct spool_draft *draft);
enum store_err spool_write(struct spool_draft *draft, const void *bytes, size_t len);
/* `envelope`: sender, account, envid, ret, body, smtputf8, by_mode, by_trace, deliver_by, require_tls,
 * tls_optional, priority, bulk, release_mode, release_at, origin, most and the recipients' address, orcpt
 * and notify are used; `not_before` is the time of the first attempt (0: now), or release_at if that is later.
 * STORE_LIMIT: beyond `most`. */
enum store_err spool_commit(
    struct spool_draft *draft, const struct spool_message *envelope, int64_t not_before);
void spool_abort(struct spool_draft *draft); /* NULL is fine */

/* Running the queue.  Claims a message that is due (a pending recipient's next_attempt <= now, not held,
 * not claimed), the accounts taking turns: each moves on by one message while the others do, however many each
 * has.  Of one account's the more urgent first (MT-PRIORITY); its bulk mail and what is less than usually urgent
 * moves on a quarter as fast, beside the rest.  STORE_NOT_FOUND: none. */
enum store_err spool_claim(struct spool *spool, int64_t now, struct spool_message **msg_out);
/* One that is due and cannot wait for the relays to be up: received before then (it may expire), with a time
 * of delivery that has come, or with relays of its own.  In no order. */
enum store_err spool_claim_overdue(
    struct spool *spool, int64_t now, int64_t received_before, struct spool_message **msg_out);
enum store_err spool_claim_id(struct spool *spool, const char *id, struct spool_message **msg_out);
/* When the next message that is not claimed becomes due; STORE_NOT_FOUND: none waits. */
enum store_err spool_next_due(struct spool *spool, int64_t *when_out);
/* The first time of delivery (RFC 2852) after now of one that is not claimed; STORE_NOT_FOUND. */
enum store_err spool_next_deadline(struct spool *spool, int64_t now, int64_t *when_out);
/* Its content, opened for reading; also of messages that are not claimed. */
enum store_err spool_content(struct spool *spool, const char *id, int *fd_out);
/* Makes the recipients' states durable; the claim stays.  Call it as soon as a relay has accepted. */
enum store_err spool_save(struct spool *spool, const struct spool_message *msg);
/* Saves, gives the claim back and takes over msg.  Where no recipient is pending any more, row and
 * file are removed.  After an error the message stays claimed, and each spool_claim() by this handle tries
 * again to save it. */
enum store_err spool_release(struct spool *spool, struct spool_message *msg);
/* Removes row and file of a message of which no recipient is pending, without saving it before.  It stays the
 * caller's, who ends it with spool_message_free() after STORE_OK, else with spool_release(). */
enum store_err spool_complete(struct spool *spool, const struct spool_message *msg);
/* As spool_release(), for a message that can neither go on nor back (a double bounce): saves it, keeps it held with the
 * reason, whatever became of its recipients, until spool_hold(false), spool_delete() or its next_attempt. */
enum store_err spool_park(struct spool *spool, struct spool_message *msg, const char *reason);
/* Removes, with a line in the log, what is parked and whose next_attempt has come. */
void spool_expire_parked(struct spool *spool, int64_t now);

/* Managing, while others send (store/spool_manage.c).  Some messages, by their ids, in one transaction: so few
 * syncs for many messages.
 *
 * FLUSH    due now; one that is being sent is passed over, one with a release_at still to come goes too
 * HOLD     held from the next attempt on, if it is being sent just now
 * RELEASE  not held any more; what was parked is tried again for all recipients that had failed
 * REROUTE  gets relays of its own, from the next attempt on, and is due now; route NULL: the configured ones again
 * DELETE   gone, nobody hears of it; one that is being sent is passed over */
enum spool_action {
	SPOOL_ACT_FLUSH,
	SPOOL_ACT_HOLD,
	SPOOL_ACT_RELEASE,
	SPOOL_ACT_REROUTE,
	SPOOL_ACT_DELETE
};
struct spool_change {
	enum spool_action action;
	const char *route; /* REROUTE: "host:port host:port" */
};
struct spool_changed {
	size_t done, busy, gone; /* busy: being sent just now, whether changed or passed over */
};
/* STORE_INVALID: the route is too long. */
enum store_err spool_change(struct spool *spool, const struct spool_change *change,
    const char *const *ids, size_t count, struct spool_changed *changed_out);
/* One by its id, or all with id NULL.  STORE_NOT_FOUND; STORE_BUSY: passed over, being sent.  *count_out (may be NULL) is
 * how many messages changed.  Flushing all leaves those whose release_at is still to come. */
enum store_err spool_flush(struct spool *spool, const char *id, size_t *count_out);
enum store_err spool_hold(struct spool *spool, const char *id, bool held, size_t *count_out);
enum store_err spool_reroute(
    struct spool *spool, const char *id, const char *route, size_t *count_out);
enum store_err spool_delete(struct spool *spool, const char *id, size_t *count_out);

struct spool_counts {
	uint64_t messages, held, claimed, bytes;
	uint64_t parked; /* of the held ones */
	uint64_t recipients_pending;
	int64_t oldest; /* received; 0: queue is empty */
};
enum store_err spool_count(struct spool *spool, struct spool_counts *counts_out);
/* Pending recipients by the relay that answered last; the most first. */
struct spool_relay_count {
	char *relay; /* NULL: none yet */
	char *reply; /* one of its replies, or NULL */
	uint64_t recipients;
};
enum store_err spool_count_relays(
    struct spool *spool, size_t max, struct spool_relay_count **counts_out, size_t *count_out);
void spool_relay_counts_free(struct spool_relay_count *counts, size_t count);
enum store_err spool_count_account(
    struct spool *spool, const char *account, uint64_t *messages_out);
/* Up to `max` messages with their recipients, oldest first, from behind `after_id` (NULL: start). */
enum store_err spool_list(struct spool *spool, const char *after_id, size_t max,
    struct spool_message ***messages_out, size_t *count_out);
void spool_messages_free(struct spool_message **messages, size_t count);
enum store_err spool_find(struct spool *spool, const char *id, struct spool_message **msg_out);

/* What accounts have submitted, for their rates.  Kept for a day. */
struct spool_sent {
	uint64_t messages_hour, messages_day;
	uint64_t recipients_hour, recipients_day;
};
/* The hour and the day before `now`. */
enum store_err spool_sent_count(
    struct spool *spool, const char *account, int64_t now, struct spool_sent *sent_out);
/* Notes one more message for `recipients`, unless that would pass a `most` (its zeroes: no limit), counted
 * and noted in one transaction.  STORE_LIMIT: nothing was noted.  *sent_out (may be NULL) is what was sent
 * before, or zeroes where `most` has no limit.  Not synced: a power failure may forget the last ones. */
enum store_err spool_sent_add(struct spool *spool, const char *account, int64_t now,
    uint64_t recipients, const struct spool_sent *most, struct spool_sent *sent_out);

/* For doctor: database integrity, rows without files; findings go into `problems`, one per line. */
struct buf;
enum store_err spool_check(struct spool *spool, struct buf *problems);

#endif
