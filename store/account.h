/* Accounts: the mail of one address, open in this process, and what is done to it as a whole.
 *
 * An account is a Maildir++ tree MAIL_ROOT/domain/localpart (the truth) and an index.db (a cache, see
 * store/index.h).  Deleting or damaging the index of a running server loses nothing: it is noticed,
 * set aside and rebuilt while the caller waits.
 *
 * Every function may be called from any pool thread, none from an event loop: they wait for disks
 * and, no longer than STORE_LOCK_WAIT_S, for other writers.  A struct account is shared by all of the
 * process that opened it (sessions, deliveries) and counted; what two sessions do to it at the
 * same time is safe.
 *
 * Mailbox names are UTF-8 with levels split by '/'.  INBOX is spelt "INBOX" in answers and taken in
 * any letter case; every other name is compared byte by byte. */
#ifndef STORE_ACCOUNT_H
#define STORE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/err.h"
#include "store/mailbox_name.h"

#define STORE_DAY_S             86400
#define STORE_LOCK_WAIT_S       20    /* for another writer; then STORE_BUSY */
#define STORE_INDEX_IDLE_S      60    /* an index connection nobody used is closed */
#define STORE_INDEX_OPEN_MAX    256   /* connections per process, by default */
#define STORE_MAILBOX_ID_MAX    64    /* bytes with the NUL; RFC 8474 objectid is 1*255 */
#define STORE_MAILBOX_MAX       10000 /* mailboxes of one account */
#define STORE_SUBSCRIPTIONS_MAX 20000

struct store;   /* one per process: roots, options, open accounts */
struct account; /* one open account */

enum store_search { /* which accounts have a search.db (store/search_index.h) */
	STORE_SEARCH_NEVER,
	STORE_SEARCH_SEARCHED, /* those in which somebody has searched for text */
	STORE_SEARCH_ALWAYS,
};

enum store_search store_search_parse(const char *word); /* no, searched, always */

struct store_options {
	const char *mail_root;  /* absolute */
	const char *index_root; /* NULL or "": index.db lies in the account's Maildir */
	/* Mailboxes that do not count towards quota, with all below them; NULL: none.  The first
	 * level decides. */
	const char *const *quota_exempt;
	size_t quota_exempt_count;
	unsigned index_open_max;   /* 0: STORE_INDEX_OPEN_MAX */
	uint64_t free_floor_bytes; /* below this much free space appends get STORE_FULL */
	/* Expunged messages are kept that long, the newest of them up to so many bytes (store/kept.h); 0: not at all,
	 * and 0: any number. */
	uint64_t keep_s, keep_max_bytes;
	enum store_search search;
	uint64_t search_max_bytes; /* of a search.db */
	const struct log *log;     /* borrowed until store_close() */
};

/* Copies the options.  NULL with a log line if mail_root cannot be opened.  Ends with store_close()
 * when no account is open any more. */
struct store *store_open(const struct store_options *options);
void store_close(struct store *st);
/* Closes what has been idle for STORE_INDEX_IDLE_S.  Call it as a job every 30 s or so. */
void store_idle(struct store *st);

/* --- opening ----------------------------------------------------------------------------------- */

enum account_open_flags {
	/* Make the tree, with the default folders (Drafts, Sent, Junk, Trash, Archive: special use,
	 * subscribed), if there is none.  A tree that is there is left as it is. */
	ACCOUNT_CREATE = 1 << 0,
};

/* STORE_NOT_FOUND: no tree and not ACCOUNT_CREATE.  STORE_INVALID: no possible directory names.
 * Cheap: the index is opened when first needed.  The caller ends it with account_close(). */
enum store_err account_open(struct store *st, const char *localpart, const char *domain,
    unsigned flags, struct account **acct_out);
struct account *account_ref(struct account *acct); /* another reference, for another owner */
void account_close(struct account *acct);          /* NULL is fine */

const char *account_address(const struct account *acct); /* "ann@example.org", for logs */
const struct log *account_log(const struct account *acct);
/* The directory of the account's Maildir++: for watching (inotify) and for what lies beside the
 * mail (state.db).  The path lives as long as the account; the descriptor is the account's. */
const char *account_path(const struct account *acct);
int account_dir_fd(const struct account *acct);

/* --- mailboxes --------------------------------------------------------------------------------- */

/* Special uses, RFC 6154 §2 and RFC 8457 ($Important). */
enum special_use {
	SPECIAL_NONE = 0,
	SPECIAL_ALL,
	SPECIAL_ARCHIVE,
	SPECIAL_DRAFTS,
	SPECIAL_FLAGGED,
	SPECIAL_JUNK,
	SPECIAL_SENT,
	SPECIAL_TRASH,
	SPECIAL_IMPORTANT,
	SPECIAL_COUNT
};
const char *special_use_name(enum special_use use);                  /* "\\Sent"; "" for none */
bool special_use_parse(const char *name, enum special_use *use_out); /* any letter case */

enum mailbox_attribute {
	MAILBOX_NONEXISTENT = 1 << 0,  /* only a parent's name, or subscribed but gone */
	MAILBOX_HAS_CHILDREN = 1 << 1, /* mailboxes below it exist */
	MAILBOX_SUBSCRIBED = 1 << 2,
	MAILBOX_CHILD_SUBSCRIBED = 1 << 3, /* one below it, at any depth, is subscribed */
	MAILBOX_NO_READING = 1 << 4, /* of another user: this one may know of it, not select it */
};
struct mailbox_info {
	const char *name;
	enum special_use use;
	unsigned attributes;
};
struct mailbox_list {
	struct arena arena;
	struct mailbox_info *boxes; /* INBOX first, then by bytes */
	size_t count;
};
/* All mailboxes, names that exist only as parents of others, and all subscribed names.
 * Zero-initialise *list_out; end it with mailbox_list_free(), also after an error. */
enum store_err account_list(struct account *acct, struct mailbox_list *list_out);
/* The same when nobody of ours is in the middle of changing the tree: waits for the writer lock, but not long. */
enum store_err account_list_settled(struct account *acct, struct mailbox_list *list_out);
void mailbox_list_free(struct mailbox_list *list);

/* The MAILBOXID (RFC 8474) of a mailbox, without a sync where it has one already.  STORE_NOT_FOUND. */
enum store_err account_mailbox_id(
    struct account *acct, const char *name, char id_out[STORE_MAILBOX_ID_MAX]);

/* Can be created: shorthand for mailbox_name_problem() == NULL (store/mailbox_name.h, where
 * mailbox_name_is_inbox() is too). */
bool mailbox_name_is_valid(const char *name);
/* The mailbox with that special use, "" if there is none; e.g. for "save to \\Sent". */
enum store_err account_find_special(
    struct account *acct, enum special_use use, struct buf *name_out);

/* STORE_EXISTS, STORE_INVALID (bad name; a special use another mailbox has), STORE_LIMIT, STORE_OVER_QUOTA (of mailboxes).
 * Parents need not exist and are not made: they show as MAILBOX_NONEXISTENT. */
enum store_err account_create_mailbox(struct account *acct, const char *name, enum special_use use);
/* STORE_NOT_FOUND; STORE_INVALID for INBOX.  Mailboxes below it stay.  Subscription stays,
 * RFC 9051 §6.3.5.  Open sessions on it get STORE_NOT_FOUND from then on. */
enum store_err account_delete_mailbox(struct account *acct, const char *name);
/* With all below it, RFC 9051 §6.3.6; UIDs and UIDVALIDITY go along.  Subscriptions follow, as users
 * expect.  INBOX: its messages move to the new mailbox, INBOX stays empty, and what is
 * below INBOX stays.  STORE_NOT_FOUND, STORE_EXISTS, STORE_INVALID (also: to a name below itself). */
enum store_err account_rename_mailbox(struct account *acct, const char *from, const char *to);
/* A name that does not exist may be subscribed, RFC 9051 §6.3.7.  Both say STORE_OK again the second time. */
enum store_err account_subscribe(struct account *acct, const char *name);
enum store_err account_unsubscribe(struct account *acct, const char *name);

/* Gives a mailbox its special use, and takes it from whichever has it; SPECIAL_NONE takes its own. */
enum store_err account_set_special_use(
    struct account *acct, const char *name, enum special_use use);

/* For mail that comes from another server with its UIDs: the mailbox takes over the UIDVALIDITY it had there, which
 * only an empty one can (STORE_EXISTS), and gives no UID below `uidnext` any more.  One that has that UIDVALIDITY already
 * only does the latter.  Open sessions on it end where UIDVALIDITY changes. */
enum store_err account_take_uids(
    struct account *acct, const char *name, uint32_t uidvalidity, uint32_t uidnext);
/* Sets UIDs below `uidnext` aside for append_message_info.uid, without giving them: a process that is killed while it
 * appends messages with these then leaves no gap.  (Otherwise the UIDs leased for its append count as given.) */
enum store_err account_lease_uids(struct account *acct, const char *name, uint32_t uidnext);
/* A new UIDVALIDITY, for when UIDs are not what clients of the other server saw; messages keep their UIDs here. */
enum store_err account_renew_uids(struct account *acct, const char *name);

struct mailbox_status {
	uint32_t messages, recent, unseen, deleted;
	uint32_t uidnext, uidvalidity;
	uint64_t highestmodseq;
	uint64_t size_bytes; /* sum of RFC822.SIZE, RFC 8438 */
	uint64_t
	    deleted_disk_bytes; /* on disk, of messages with \Deleted; RFC 9208 DELETED-STORAGE */
	char id[STORE_MAILBOX_ID_MAX]; /* MAILBOXID, RFC 8474 */
};
/* Syncs the mailbox first; costs a few stat calls and one row when nothing has changed. */
enum store_err account_status(struct account *acct, const char *name, struct mailbox_status *out);

/* Rebuilds the index of the account from the tree, mailbox by mailbox; `on_mailbox` (or NULL) hears how many are done. */
enum store_err account_reindex(
    struct account *acct, void (*on_mailbox)(void *arg, size_t done, size_t count), void *arg);

/* --- quota ------------------------------------------------------------------------------------- */

struct account_quota {
	uint64_t used_bytes, used_messages; /* without exempt mailboxes */
	uint64_t limit_bytes;               /* 0: unlimited */
	uint64_t limit_messages;            /* 0: unlimited */
	uint64_t limit_mailboxes,
	    used_mailboxes; /* the latter is counted only where there is a limit */
};
/* The limits come from the account DB (service/account_quota.h): whoever opens the account says them, the last one
 * counts. */
struct quota_limits;
void account_set_quota_limits(struct account *acct, const struct quota_limits *limits);
void account_set_quota_limit(struct account *acct, uint64_t limit_bytes); /* that one alone */
uint64_t account_message_max_bytes(const struct account *acct); /* 0: no limit of its own */
enum store_err account_quota(struct account *acct, struct account_quota *out);
enum store_err account_quota_recount(struct account *acct);
/* Whether `name` counts towards quota. */
bool account_quota_counts(const struct account *acct, const char *name);

#endif
