/* A mailbox under the writer lock: folder and index brought together, then changed together.
 *
 *	account_write_begin(acct);
 *	err = sync_begin(acct, name, 0, &sb);      the index now says what the folder says
 *	… renames in sb.dir, index_message_* on sb.row …
 *	err = sync_end(&sb, err);                  stamps, leases, the row
 *	account_write_end(acct, err);
 *
 * How a change from outside is found:
 * 1. The index row holds the time stamps of new/ and cur/.  A cur/ with another stamp is listed and compared.
 * 2. Our own renames move cur/'s stamp: it is compared before and recorded after, and the row is marked verify_due, as a
 *    foreign change between the two would be missed.  mailbox_verify() lists such folders when nobody waits.
 * 3. A stamp younger than SYNC_RACY_NS when it was read may stand for two changes: new/ is then listed again next
 *    time, cur/ is verified.
 * 4. The U= of a name is believed if it is unique, below the UID lease, and not below UIDNEXT of an index that
 *    knows everything so far (then it was expunged, or comes from another folder).
 * 5. An index row written in another boot, or by another file, or under other leases, may be older than the tree: then
 *    UIDNEXT and the mod-sequence go on at the leases. */
#ifndef STORE_SYNC_H
#define STORE_SYNC_H

#include "store/account_internal.h"
#include "store/folder.h"
#include "store/keywords.h"
#include "store/maildir_name.h"
#include "store/sanger_mailbox.h"
#include "store/uidlist.h"

#define SYNC_RACY_NS      INT64_C(20000000) /* kernel clock ticks are 1 to 10 ms */
#define SYNC_UID_LEASE    1024
#define SYNC_MODSEQ_LEASE 65536
#define SYNC_FOREIGN_MS   2000 /* for the lock files of other programs */
#define SYNC_VERIFY_MIN_S 30   /* between two verifications of a mailbox */
#define SYNC_VERIFY_PER_S 1000 /* and a second more for each so many messages */

enum sync_flags {
	SYNC_VERIFY = 1 << 0, /* compare cur/ whatever its stamp says */
};

struct sync_box {
	struct account *acct;
	struct maildir dir;
	struct index_mailbox row;
	struct sanger_mailbox file;
	bool fresh;       /* the index knew nothing */
	bool touched_cur; /* we have renamed, linked or unlinked in cur/ */
	bool recheck;     /* a file was not where it should be: compare again next time */
	uint64_t modseq;  /* of this transaction; 0: none yet */
	char *keywords[MAILBOX_KEYWORDS_MAX];
	unsigned keyword_count;    /* highest number in use + 1 */
	struct keyword_list extra; /* sanger-keywords */
	bool extra_loaded, extra_changed;
	struct uidlist_entry *handed_out; /* for dovecot-uidlist: base is ours to free */
	size_t handed_out_count;
};

enum store_err sync_begin(
    struct account *acct, const char *name, unsigned flags, struct sync_box *sb);
/* Always called after a sync_begin() that said STORE_OK; frees. */
enum store_err sync_end(struct sync_box *sb, enum store_err err);

/* All of it, for a mailbox that only has to be brought up to date.  claimed_from_out and claimed_below_out, if not
 * NULL: the UIDs in [from, below) are \Recent for this caller, and for nobody after it. */
enum store_err sync_refresh(struct account *acct, const char *name, unsigned flags,
    uint32_t *claimed_from_out, uint32_t *claimed_below_out);

/* For a commit in the middle: puts the row so that whoever finds it finds the folder to be compared.  What is changed
 * afterwards takes a new mod-sequence. */
enum store_err sync_put_unfinished(struct sync_box *sb);
/* Removes a message: the file (gone already is fine), its rare keywords, the row. */
enum store_err sync_unlink(struct sync_box *sb, const struct index_message *m);

/* Between a failed account_write_commit() and the unlock: UIDs below `uidnext` may be in names on disk, even of files that
 * were unlinked, and are given to nobody else; the folder is compared next time.  As far as the index can be written. */
void sync_burn_uids(struct account *acct, const char *name, uint32_t uidvalidity, uint32_t uidnext);

/* In a read transaction: does the folder look as the row says?  `prefix` as of account_folder_prefix(). */
bool sync_is_current(struct account *acct, const struct index_mailbox *row, const char *prefix);

/* Makes sure that `count` UIDs from row.uidnext on are leased, durably. */
enum store_err sync_reserve_uids(struct sync_box *sb, uint32_t count);
uint32_t sync_take_uid(struct sync_box *sb); /* after sync_reserve_uids() */
/* The mod-sequence of this transaction. */
enum store_err sync_modseq(struct sync_box *sb);
/* Remembers a message that got its UID, for the list of an adopted tree. */
void sync_handed_out(struct sync_box *sb, uint32_t uid, const char *file_name);

/* The number of a keyword; `create` gives it one, durably if it is a letter.  STORE_NOT_FOUND without `create`. */
enum store_err sync_keyword(
    struct sync_box *sb, struct str name, bool create, unsigned *number_out);
/* Notes the keywords of a message that have no letter, in sanger-keywords. */
enum store_err sync_extra_keywords(struct sync_box *sb, const char *file_name,
    const struct keyword_set *before, const struct keyword_set *now);

/* Flags in names and flags in the index. */
unsigned sync_flags_of(uint32_t maildir_flags);
uint32_t sync_letters_of(unsigned flags);

/* Appends the name of a message with other uid, flags and keywords; a new name where the old one has no room. */
void sync_name(struct buf *out, const char *old, uint32_t uid, unsigned flags,
    const struct keyword_set *keywords, uint64_t disk_size, uint64_t size);

#endif
