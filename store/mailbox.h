/* One session's view of one mailbox, and everything that is done to messages.
 *
 * The view is the set of messages this session has been told of: seq ↔ UID come from it alone, so
 * sequence numbers change only in mailbox_sync(), and only if that may announce expunges.  Several
 * sessions on a mailbox have views of their own.  A message in the view may have been expunged
 * meanwhile by somebody else: then functions skip it (the callback does not come, the UID is not
 * in the answer) and a later sync announces it.
 *
 * All may be called from any thread, but one struct mailbox by one thread at a time (a session has
 * one job in flight).  Callbacks run without any lock held and may call back into the store. */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/account.h"
#include "store/err.h"
#include "store/message_ids.h"
#include "store/sort_keys.h"
#include "store/uidset.h"

#define MAILBOX_KEYWORDS_MAX      256 /* different keywords per mailbox */
#define MAILBOX_KEYWORD_MAX_BYTES 128 /* one name */
#define MAILBOX_SLICE_ROWS        256 /* rows read between two chances for others */
#define MAILBOX_CHANGES_MAX       512 /* flag changes in one mailbox_changes; 32 KB each at worst */

/* System flags, RFC 9051 §2.3.2.  \Recent is never stored: it belongs to a session. */
enum message_flag {
	MESSAGE_ANSWERED = 1 << 0,
	MESSAGE_FLAGGED = 1 << 1,
	MESSAGE_DELETED = 1 << 2,
	MESSAGE_SEEN = 1 << 3,
	MESSAGE_DRAFT = 1 << 4,
	MESSAGE_FLAGS_ALL = 0x1f,
	MESSAGE_RECENT = 1 << 5, /* only in what a view returns */
};

#define MESSAGE_FLAG_COUNT 6
/* Their names, "\\Answered" … "\\Recent", in the order of the bits. */
extern const struct message_flag_name {
	unsigned flag;
	const char *name;
} MESSAGE_FLAG_NAMES[MESSAGE_FLAG_COUNT];

/* Keywords as bits into the mailbox's list of names (mailbox_keyword_name()). */
struct keyword_set {
	uint64_t bits[MAILBOX_KEYWORDS_MAX / 64];
};
static inline bool
keyword_set_has(const struct keyword_set *k, unsigned i)
{
	return (k->bits[i / 64] >> (i % 64) & 1) != 0;
}
static inline void
keyword_set_add(struct keyword_set *k, unsigned i)
{
	k->bits[i / 64] |= (uint64_t)1 << (i % 64);
}
static inline void
keyword_set_remove(struct keyword_set *k, unsigned i)
{
	k->bits[i / 64] &= ~((uint64_t)1 << (i % 64));
}

struct mailbox;

/* --- opening and facts ------------------------------------------------------------------------- */

/* Opens `name`, syncs it and takes the view.  Read-only (EXAMINE) never changes flags, claims no
 * \Recent; store, expunge, append to it say STORE_DENIED.  STORE_NOT_FOUND, STORE_BUSY, STORE_IO.
 * Holds a reference on the account; the caller ends it with mailbox_close(). */
enum store_err mailbox_open(
    struct account *acct, const char *name, bool read_only, struct mailbox **box_out);
/* Read-write, but claims no \Recent: for what is done to messages beside the sessions. */
enum store_err mailbox_open_aside(struct account *acct, const char *name, struct mailbox **box_out);
void mailbox_close(struct mailbox *box); /* NULL is fine */

struct account *mailbox_account(const struct mailbox *box);
const char *mailbox_name(const struct mailbox *box);
bool mailbox_is_read_only(const struct mailbox *box);

/* As of the last sync. */
struct mailbox_facts {
	uint32_t messages; /* in the view */
	uint32_t recent;
	uint32_t uidnext, uidvalidity;
	uint64_t highestmodseq;
	/* All that happened up to it has been announced: lower than highestmodseq while expunges are held back. */
	uint64_t told_modseq;
	uint32_t unseen;           /* in the mailbox */
	uint32_t first_unseen_seq; /* 0: none; for rev1's [UNSEEN n] */
	char id[STORE_MAILBOX_ID_MAX];
};
void mailbox_facts(struct mailbox *box, struct mailbox_facts *out);
/* The directory to watch with inotify: new/ and cur/ below it (IN_MOVED_TO, IN_CREATE, IN_DELETE,
 * IN_MOVED_FROM).  When either moves, call mailbox_sync().  Valid as long as the box is open. */
const char *mailbox_path(const struct mailbox *box);

/* The view: sequence number n is its n-th member.  Valid until the next mailbox_sync(). */
const struct uidset *mailbox_view(const struct mailbox *box);
uint32_t mailbox_seq_to_uid(const struct mailbox *box, uint32_t seq); /* 0: none */
uint32_t mailbox_uid_to_seq(const struct mailbox *box, uint32_t uid); /* 0: none */
/* Turns a set of sequence numbers into the UIDs they stand for; numbers beyond the end are dropped,
 * and false says that there were some. */
bool mailbox_seqs_to_uids(
    const struct mailbox *box, const struct uidset *seqs, struct uidset *uids);
/* The messages that are \Recent for this session. */
const struct uidset *mailbox_recent(const struct mailbox *box);

/* Keywords known in the mailbox, 0 … count-1.  Index and name stay the same while the box is open;
 * the list only grows.  NULL: no such index.  "" is a letter in use that has no name. */
unsigned mailbox_keyword_count(const struct mailbox *box);
const char *mailbox_keyword_name(const struct mailbox *box, unsigned index);
/* -1: not known in this mailbox (so no message has it).  Any letter case, RFC 9051 §2.3.2. */
int mailbox_keyword_find(const struct mailbox *box, const char *name);
/* Reads the list anew, with what others have added since the last look at the mailbox. */
enum store_err mailbox_keywords_read(struct mailbox *box);

/* --- sync -------------------------------------------------------------------------------------- */

struct mailbox_change {
	uint32_t seq, uid; /* seq after the expunges of this sync */
	uint64_t modseq;
	unsigned flags; /* with MESSAGE_RECENT */
	bool own;       /* by mailbox_store_flags() of this very view: .SILENT may keep quiet */
	struct keyword_set keywords;
};
struct mailbox_changes {
	/* To be announced in this order, first: "* n EXPUNGE" each (highest first, so that none moves
	 * another), or as one VANISHED with the UIDs. */
	uint32_t *expunged_seqs;
	size_t expunged_count;
	struct uidset expunged_uids;
	bool exists_changed; /* announce `messages` (never lower than what the expunges left) */
	bool recent_changed;
	uint32_t messages, recent;
	struct uidset arrived; /* new in the view */
	bool keywords_changed; /* new names: announce FLAGS before the changes */
	struct mailbox_change
	    *changed; /* by mod-sequence; messages that are new in the view are not in it */
	size_t changed_count;
	bool more; /* call again: there were more than MAILBOX_CHANGES_MAX */
};

/* Brings index and view up to date and says what is new for this session.  Cheap when nothing is: three stat
 * calls and one row.  allow_expunge false keeps expunged messages in the view (FETCH, STORE, SEARCH by
 * sequence number, RFC 9051 §7.5.1).  Zero-initialise *changes_out the first time; it may be used again and
 * again and ends with mailbox_changes_free().  STORE_NOT_FOUND: the mailbox is gone, or its
 * UIDVALIDITY has changed: the session must end it (RFC 9051: BYE or a CLOSED state). */
enum store_err mailbox_sync(
    struct mailbox *box, bool allow_expunge, struct mailbox_changes *changes_out);
/* What the session does not want to hear of for now; syncs keep it back, and tell all of it once it is held no more. */
enum mailbox_hold {
	MAILBOX_HOLD_ARRIVALS = 1 << 0, /* new messages stay out of the view */
	MAILBOX_HOLD_FLAGS = 1 << 1,    /* changes of flags, but for its own */
};
void mailbox_hold(struct mailbox *box, unsigned hold);
void mailbox_changes_free(struct mailbox_changes *changes);

/* The UIDs of `known` whose messages have been expunged after mod-sequence `modseq`, replacing *gone_out; what the view still
 * shows is not among them, as a sync will announce it.  Where that much is not remembered (a long history, a lost
 * index) they are all UIDs of `known` that are not there: never too few.  *exact_out (may be NULL): it was
 * remembered.  RFC 7162 §3.2.6, §5.3. */
enum store_err mailbox_expunged_since(struct mailbox *box, uint64_t modseq,
    const struct uidset *known, struct uidset *gone_out, bool *exact_out);

/* Compares the whole folder with the index if that is due (a foreign program may have changed something while we
 * did).  For idle moments: when no command runs.  Cheap if not due. */
enum store_err mailbox_verify(struct mailbox *box);

/* --- reading ----------------------------------------------------------------------------------- */

struct message {
	uint32_t seq, uid;
	unsigned flags; /* with MESSAGE_RECENT */
	struct keyword_set keywords;
	uint64_t modseq;
	int64_t internaldate_s; /* seconds since 1970 */
	uint64_t size_bytes;    /* RFC822.SIZE: with CRLF line ends */
	uint64_t disk_bytes;    /* of the file */
	/* When it came into this mailbox, as far as the file's name says (delivery, APPEND, COPY and MOVE all give new
	 * names); 0: it does not. */
	int64_t saved_s;
};
/* The columns beyond uid, seq, flags, modseq that the caller needs are all in the same row, so there is
 * nothing to choose.  `cb` is called in ascending order for each message of uids ∩ view that is still there;
 * false from it stops with STORE_OK. */
enum store_err mailbox_messages(struct mailbox *box, const struct uidset *uids,
    bool (*cb)(void *arg, const struct message *m), void *arg);
enum store_err mailbox_message(struct mailbox *box, uint32_t uid, struct message *out);

/* A conjunction on what the row knows: the cheap part of SEARCH.  Zero-initialised fields ask nothing. */
struct mailbox_query {
	const struct uidset *within;     /* NULL: the whole view */
	unsigned flags_set, flags_clear; /* MESSAGE_…; MESSAGE_RECENT too */
	struct keyword_set keywords_set, keywords_clear;
	bool has_since, has_before; /* INTERNALDATE: since <= t < before, seconds since 1970 */
	int64_t since_s, before_s;
	uint64_t larger_than, smaller_than; /* RFC822.SIZE; 0 asks nothing */
	bool has_smaller;                   /* so that SMALLER 0 can be asked */
	uint64_t modseq_min;                /* MODSEQ n: >= n */
};
/* The UIDs of the view for which all of it holds, replacing *uids_out.  highest_modseq_out (may be NULL): the
 * highest mod-sequence among them, for the answer of RFC 7162 §3.1.5. */
enum store_err mailbox_find(struct mailbox *box, const struct mailbox_query *query,
    struct uidset *uids_out, uint64_t *highest_modseq_out);

/* Opens the message's file (LF line ends, as on disk).  The caller closes *fd_out.  Finds it under whatever
 * name it has now.  STORE_NOT_FOUND: it is gone; the next sync with allow_expunge will say so. */
enum store_err mailbox_message_open(struct mailbox *box, uint32_t uid, int *fd_out);
/* The same, and appends the file's name to *name_out. */
enum store_err mailbox_message_open_named(
    struct mailbox *box, uint32_t uid, int *fd_out, struct buf *name_out);

/* What one parse of a message learnt; kept in the index, made when first asked for. */
struct message_parsed {
	uint32_t uid;
	/* Ready to send, without a name in front and without CRLF; literals, if any, are {n}CRLF + bytes. */
	struct str envelope, body, bodystructure;
	struct str parts; /* the packed part table: mime_parts_unpack() of store/mime.h */
	bool has_sent_date;
	int64_t
	    sent_date_days; /* days since 1970-01-01 of the Date: header's own calendar day; for SENTSINCE … */
};
/* `cb` in ascending order for each message of uids ∩ view that is still there; parses (outside of any lock) what has
 * not been parsed yet and keeps it in batches, with what mailbox_summaries() gives if `summaries`: they are learnt
 * with the rest for a third more, and later by another pass.  The spans are valid during the callback. */
enum store_err mailbox_parsed(struct mailbox *box, const struct uidset *uids, bool summaries,
    bool (*cb)(void *arg, const struct message_parsed *p), void *arg);

/* The part of it that searches ask for; read without the rest. */
struct message_searched {
	uint32_t uid;
	struct str fields; /* of the header, for search_fields_match() of store/search_text.h */
	bool has_sent_date;
	int64_t sent_date_days; /* as in struct message_parsed */
};
/* As mailbox_parsed(). */
enum store_err mailbox_searched(struct mailbox *box, const struct uidset *uids,
    bool (*cb)(void *arg, const struct message_searched *m), void *arg);

/* The part of it that SORT and THREAD compare; read without the rest. */
struct message_sorted {
	uint32_t uid;
	bool has_sent;         /* else INTERNALDATE stands for it, RFC 5256 §2.2 */
	int64_t sent_s;        /* of the Date: header, in UTC */
	struct sort_keys keys; /* its spans are valid during the callback */
};
/* As mailbox_parsed(). */
enum store_err mailbox_sorted(struct mailbox *box, const struct uidset *uids,
    bool (*cb)(void *arg, const struct message_sorted *m), void *arg);

/* The part of it that lists of messages show besides the envelope: ids (RFC 8474) and preview (RFC 8970). */
struct message_summary {
	uint32_t uid;
	struct message_ids ids;
	struct str preview; /* UTF-8, at most PREVIEW_MAX_BYTES; valid during the callback */
};
/* As mailbox_parsed(); `known_only`: messages of which it has not been learnt are passed over. */
enum store_err mailbox_summaries(struct mailbox *box, const struct uidset *uids, bool known_only,
    bool (*cb)(void *arg, const struct message_summary *m), void *arg);

/* --- changing ---------------------------------------------------------------------------------- */

/* From now on, until it is called with NULL, changes of many messages (flags, expunge, copy, move) say how far they are
 * after each message: `done` of `goal`.  Comes under locks: it must not wait and not call the store. */
void mailbox_on_progress(
    struct mailbox *box, void (*cb)(void *arg, uint64_t done, uint64_t goal), void *arg);

enum flags_mode { FLAGS_REPLACE, FLAGS_ADD, FLAGS_REMOVE };
struct flags_change {
	enum flags_mode mode;
	unsigned flags;              /* MESSAGE_FLAGS_ALL; others are ignored */
	const char *const *keywords; /* names; new ones are added to the mailbox */
	size_t keyword_count;
	/* What stays as it is, whatever is asked: system flags, and all keywords (RFC 4314 §4). */
	unsigned kept_flags;
	bool keeps_keywords;
	bool has_unchanged_since; /* RFC 7162 §3.1.3 */
	uint64_t unchanged_since;
};
struct flags_result {
	struct uidset changed; /* messages that now differ from before, with one new mod-sequence */
	struct uidset failed;  /* UNCHANGEDSINCE: not touched, for [MODIFIED …] (UIDs) */
	uint64_t modseq;       /* of those in `changed`; 0 if none */
};
/* Changes uids ∩ view in one transaction.  The changes themselves come with the next mailbox_sync(), marked
 * `own`.  Zero-initialise *result_out (may be NULL); its sets are the caller's (uidset_free()).
 * STORE_LIMIT: more than MAILBOX_KEYWORDS_MAX keywords; STORE_INVALID: a name that is no atom. */
enum store_err mailbox_store_flags(struct mailbox *box, const struct uidset *uids,
    const struct flags_change *change, struct flags_result *result_out);

/* Expunges the messages of the view that have \Deleted, out of `uids` only if not NULL (UID EXPUNGE, RFC 4315 §2.1).
 * The next sync announces them.  expunged_out may be NULL; otherwise replaced.  They are kept for a while if the
 * store's options say so (store/kept.h). */
enum store_err mailbox_expunge(
    struct mailbox *box, const struct uidset *uids, struct uidset *expunged_out);
/* Gives mailbox `name` a new highest mod-sequence that no message has: its annotations change, RFC 7162 §3.2. */
enum store_err mailbox_raise_modseq(struct account *acct, const char *name);
enum mailbox_expunge_flags {
	MAILBOX_EXPUNGE_UNMARKED = 1 << 0, /* also those without \Deleted; `uids` is not NULL */
	MAILBOX_EXPUNGE_FOR_GOOD = 1 << 1, /* nothing is kept */
};
enum store_err mailbox_expunge_with(
    struct mailbox *box, const struct uidset *uids, unsigned flags, struct uidset *expunged_out);

struct copy_result { /* COPYUID, RFC 4315 §3: the n-th of `from` became the n-th of `to` */
	uint32_t uidvalidity; /* of the destination */
	struct uidset from, to;
};
/* Copies or moves uids ∩ view into mailbox `to` of `to_acct`, NULL for the box's own (the same mailbox too), with flags, keywords and
 * INTERNALDATE.  All or nothing for a copy, also where quota ends in the middle.  A move that
 * fails after it has begun to unlink, or whose process dies, is finished by the next writer of the account: each message is
 * then in one of the two mailboxes.  \Recent in the destination.  Messages that are gone are left out.
 * Zero-initialise *result_out; its sets are the caller's.  STORE_NOT_FOUND ([TRYCREATE]), STORE_OVER_QUOTA (a move
 * within what counts towards quota is never refused), STORE_FULL. */
enum store_err mailbox_copy(struct mailbox *box, const struct uidset *uids, struct account *to_acct,
    const char *to, struct copy_result *result_out);
enum store_err mailbox_move(struct mailbox *box, const struct uidset *uids, struct account *to_acct,
    const char *to, struct copy_result *result_out);
/* The same for who may not set every flag there: the copies come without the others (RFC 4314 §4).  Between two accounts
 * messages are hard links where that is possible; the destination's quota counts, a move is a copy that is durable before
 * the source is expunged (and keeps it as what is expunged), and what a process that dies in between leaves in both is ended
 * by the next to open a mailbox of the source's account (store/crossing.h). */
struct copy_target {
	struct account *acct;
	const char *name;
	unsigned flags; /* MESSAGE_…, that may be set */
	bool keywords;  /* may they? */
};
enum store_err mailbox_transfer(struct mailbox *box, const struct uidset *uids,
    const struct copy_target *to, bool move, struct copy_result *result_out);

/* --- append ------------------------------------------------------------------------------------ */

/* APPEND and MULTIAPPEND (RFC 3502): one or several messages, streamed to disk, then all of them or none.
 *
 *	append_begin(acct, "Sent", &ap);
 *	append_message(ap, &what);  append_write(ap, bytes) …   for each message
 *	append_commit(ap, &uidvalidity, &uids);
 *	append_end(ap);            always; without a commit nothing is left
 *
 * No lock is held while bytes come in. */
struct append;
struct append_message_info {
	unsigned flags;
	const char *const *keywords;
	size_t keyword_count;
	int64_t internaldate_s;   /* < 0: now */
	uint64_t announced_bytes; /* size of the literal, for quota and space; 0: unknown */
	/* For mail that comes from elsewhere and shall stay what it was: its UID there, which it gets unless that one or
	 * a higher one has been given (then, and for 0, the next one), and the unique part of its file's name (NULL: ours). */
	uint32_t uid;
	const char *unique;
	bool quota_exempt; /* the administrator brings it: no quota stops it, though it counts */
	bool keep_bytes; /* they are a file's (a backup's), not a client's, and stay as they are */
};
/* STORE_NOT_FOUND: no such mailbox ([TRYCREATE]). */
enum store_err append_begin(struct account *acct, const char *mailbox, struct append **ap_out);
/* Starts the next message.  STORE_OVER_QUOTA, STORE_FULL at once where the announced size says so. */
enum store_err append_message(struct append *ap, const struct append_message_info *info);
/* Bytes as they come from the client; CRLF becomes LF on disk (a lone CR or LF stays), but for keep_bytes. */
enum store_err append_write(struct append *ap, const void *bytes, size_t len);
/* REPLACE (RFC 8508): when the message becomes visible, this one of `box` is expunged in the same step, whatever its flags;
 * the box must outlive `ap`.  Its room counts as free.  STORE_CHANGED, also from append_commit(): it has been expunged
 * meanwhile, and nothing is appended.  The new message is durable before the old one goes: a process that dies leaves one
 * of them or both.  Where the box is another account's, the old one goes right after the new one is there. */
enum store_err append_replaces(struct append *ap, struct mailbox *box, uint32_t uid);
/* For many messages: one sync of the file system at the commit instead of one of each file.  Call it first. */
void append_in_bulk(struct append *ap);
/* fsyncs all files, takes the lock, gives UIDs, publishes.  uids_out (may be NULL) is replaced; its n-th is that of
 * the n-th message. */
enum store_err append_commit(struct append *ap, uint32_t *uidvalidity_out, struct uidset *uids_out);
void append_end(struct append *ap); /* NULL is fine */
/* For who must know, after a kill at any instruction, whether a commit was done: he notes the `unique` names before it, and
 * asks for them afterwards.  The UIDs of messages in files with such names; 0: there is none. */
enum store_err append_find(struct account *acct, const char *mailbox, const char *const *uniques,
    size_t count, uint32_t *uids_out);

#endif
