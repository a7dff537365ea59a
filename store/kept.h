/* Expunged messages that are kept for a while, so that they can be brought back.
 *
 *     ACCOUNT/sanger-expunged/mailbox-HASH/mailbox             where they were: name, UIDVALIDITY, keywords; never changed
 *     ACCOUNT/sanger-expunged/mailbox-HASH/sanger-keywords     keywords that have no letter, as in a mailbox
 *     ACCOUNT/sanger-expunged/mailbox-HASH/TIME-UID-NAME       a message expunged at TIME; NAME is what it was in cur/
 *     ACCOUNT/sanger-expunged/deleted.TIME.UNIQUE/.A.B/        a mailbox as it was when it was deleted
 *
 * 1. A message goes there and comes back by one rename each: it is never in both places, and never in neither.
 * 2. Nothing of it is a mailbox (no dot in front), and nothing counts towards quota.
 * 3. What is older than store_options.keep_s goes, and the oldest beyond keep_max_bytes; with less free space than the
 *    floor nothing is kept, so that deleting always makes room.
 * 4. Who adds, brings back or removes directories holds the writer lock; single messages are pruned without it. */
#ifndef STORE_KEPT_H
#define STORE_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "store/account.h"
#include "store/uidset.h"

#define KEPT_DIR "sanger-expunged"
#define KEPT_PRUNE_EVERY_S                                                                         \
	3600 /* by those who expunge; mailadmin cleanup does it whatever the hour */

struct kept_message {
	const char *mailbox; /* UTF-8, as it was called then */
	const char
	    *mailbox_id; /* RFC 8474, "" if not known: the mailbox may have another name now */
	const char *special_use;   /* of a mailbox deleted with it; "" */
	uint32_t uidvalidity, uid; /* it had; 0: not known */
	int64_t expunged_s, internaldate_s;
	uint64_t disk_bytes;
	unsigned flags; /* MESSAGE_…, without \Deleted */
	const char **keywords;
	size_t keyword_count;
	bool with_mailbox;      /* the whole mailbox was deleted */
	const char *dir, *name; /* the file, below KEPT_DIR */
};
struct kept_list {
	struct arena arena;
	struct kept_message *messages; /* the one expunged first comes first */
	size_t count;
	uint64_t bytes;
};
/* All that is kept; none is STORE_OK.  Zero-initialise *list_out; it ends with kept_list_free(), also after an error. */
enum store_err kept_list(struct account *acct, struct kept_list *list_out);
void kept_list_free(struct kept_list *list);

/* The file, for reading.  STORE_NOT_FOUND: pruned or brought back meanwhile. */
enum store_err kept_open(struct account *acct, const struct kept_message *m, int *fd_out);

/* Brings messages back into a mailbox that is there, under new UIDs, with flags, keywords and internal date.  They are
 * durable, and seen by all sessions, on STORE_OK; quota counts them but does not refuse them.  What is gone meanwhile is
 * passed over.  uids_out (may be NULL) is replaced by the new UIDs.  After an error some may be back, the others are still
 * kept. */
enum store_err kept_restore(struct account *acct, const struct kept_message *const *messages,
    size_t count, const char *mailbox, struct uidset *uids_out);

struct kept_pruned {
	size_t messages, left;
	uint64_t bytes, left_bytes;
};
/* Removes for good what was expunged longer than keep_s ago, then the oldest until there are at most max_bytes (0: any
 * number); keep_s 0: everything.  dry_run: only counts. */
enum store_err kept_prune(struct account *acct, uint64_t keep_s, uint64_t max_bytes, bool dry_run,
    struct kept_pruned *out);

#endif
