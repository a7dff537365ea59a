/* index.db: what the account's tree says, ready to be asked.  A cache: everything in it can be made
 * anew from the tree.  doc/formats.md has the tables.  Only for the files of store/ that make up accounts
 * and mailboxes; one thread at a time (the account's db_mutex).
 *
 * 1. Rows change only in a transaction that began under the account's writer lock.
 * 2. A mailbox's row has the counts of its messages, and the UID map has exactly their UIDs, at each commit.
 * 3. mod-sequences and UIDs in it are below the leases of the folder's sanger-mailbox. */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "store/mailbox.h"

#define INDEX_VERSION      5
#define INDEX_CACHE_KIB    512   /* SQLite's page cache per connection */
#define INDEX_CHUNK_UIDS   16384 /* UIDs per row of the UID map */
#define INDEX_ADD_ROWS     32    /* messages of one INSERT */
#define INDEX_EXPUNGED_MAX 20000 /* expunged UIDs remembered per mailbox, at most */
#define INDEX_EPOCH_BYTES  64
#define INDEX_NAME_BYTES   256
#define INDEX_SIZE_UNKNOWN UINT64_MAX

struct index;

struct index_stamp {
	int64_t mtime_ns, ctime_ns;
	uint64_t inode;
};

struct index_mailbox {
	int64_t id; /* 0: not in the index yet */
	char *name;
	char mailbox_id[STORE_MAILBOX_ID_MAX];
	char epoch
	    [INDEX_EPOCH_BYTES]; /* boot and file that wrote the row: another one may be older than the tree */
	uint32_t uidvalidity, uidnext,
	    recent_uid;          /* UIDs from recent_uid on nobody was told of as \Recent */
	uint64_t modseq;         /* highest given */
	uint64_t expunged_floor; /* expunges up to it may be forgotten */
	/* mod-sequences between these two may have been given by a past that was lost with its index's last
	 * transactions (a power failure): what happened there is not known.  Both 0: there are none. */
	uint64_t lost_from, lost_below;
	uint32_t expunged_count;
	uint32_t uid_lease;
	uint64_t modseq_lease;
	int64_t messages, unseen, deleted, unsized; /* unsized: W is not known yet */
	int64_t bytes, disk_bytes, deleted_disk_bytes;
	struct index_stamp new_stamp, cur_stamp, keywords_stamp;
	bool new_racy;   /* new_stamp was too young to be trusted */
	bool verify_due; /* cur_stamp may hide a foreign change */
	int64_t verified_s;
};

struct index_message {
	uint32_t uid;
	unsigned flags;
	struct keyword_set keywords;
	uint64_t modseq;
	int64_t internaldate_s;
	uint64_t size, disk_size;    /* size: INDEX_SIZE_UNKNOWN until counted */
	char name[INDEX_NAME_BYTES]; /* in cur/ */
};

/* `create` replaces whatever is not a whole index of this version (set aside if damaged), under the writer lock only.
 * Without it STORE_NOT_FOUND (none, or another version) or STORE_CORRUPT. */
enum store_err index_open(
    const char *dir, bool create, const struct log *log, struct index **ix_out);
void index_close(struct index *ix); /* NULL is fine */
/* Is `index.db` still the file that is open? */
bool index_is_current(const struct index *ix);
const char *index_epoch(const struct index *ix);

enum store_err index_begin(struct index *ix, bool write);
enum store_err index_commit(struct index *ix);
void index_rollback(struct index *ix);

/* --- mailboxes --- */
enum store_err index_mailbox_get(struct index *ix, const char *name, struct index_mailbox *row_out);
enum store_err index_mailbox_put(struct index *ix, struct index_mailbox *row); /* sets id */
enum store_err index_mailbox_drop(struct index *ix, int64_t id);
enum store_err index_mailbox_rename(struct index *ix, const char *from, const char *to);
void index_mailbox_clear(struct index_mailbox *row);
/* STORE_OK: it has a mailbox of that id and UIDVALIDITY; STORE_NOT_FOUND. */
enum store_err index_has_mailbox(struct index *ix, const char *mailbox_id, uint32_t uidvalidity);
enum store_err index_drop_all(struct index *ix);

/* Calls back for each keyword with a number. */
enum store_err index_keywords(struct index *ix, int64_t mailbox,
    void (*cb)(void *arg, unsigned number, const char *name), void *arg);
enum store_err index_keyword_put(
    struct index *ix, int64_t mailbox, unsigned number, const char *name);

/* --- messages --- */
enum store_err index_uids(struct index *ix, int64_t mailbox, struct uidset *uids_out);
enum store_err index_message_get(
    struct index *ix, int64_t mailbox, uint32_t uid, struct index_message *m_out);
/* Up to `max` messages of `uids` with a UID above `after`, ascending. */
enum store_err index_messages(struct index *ix, int64_t mailbox, const struct uidset *uids,
    uint32_t after, struct index_message *out, size_t max, size_t *count_out);
/* Changed after (modseq, uid), in that order. */
enum store_err index_changed(struct index *ix, int64_t mailbox, uint64_t modseq, uint32_t uid,
    struct index_message *out, size_t max, size_t *count_out);
/* UIDs whose flags & mask == value, as a set. */
enum store_err index_with_flags(
    struct index *ix, int64_t mailbox, unsigned mask, unsigned value, struct uidset *uids_out);
enum store_err index_first_unseen(struct index *ix, int64_t mailbox, uint32_t *uid_out);
enum store_err index_unsized(struct index *ix, int64_t mailbox, struct uidset *uids_out);
enum store_err index_count_from(
    struct index *ix, int64_t mailbox, uint32_t uid, uint32_t *count_out);

/* These keep the counts in *row and the UID map; the caller puts the row before it commits. */
enum store_err index_message_add(
    struct index *ix, struct index_mailbox *row, const struct index_message *m);
/* The same for many, with one statement for each INDEX_ADD_ROWS of them. */
enum store_err index_messages_add(
    struct index *ix, struct index_mailbox *row, const struct index_message *m, size_t count);
enum store_err index_message_change(struct index *ix, struct index_mailbox *row,
    const struct index_message *from, const struct index_message *to);
enum store_err index_message_remove(
    struct index *ix, struct index_mailbox *row, const struct index_message *m, uint64_t modseq);
/* Expunged after `modseq`. */
enum store_err index_expunged(
    struct index *ix, int64_t mailbox, uint64_t modseq, struct uidset *uids_out);

/* --- what parsing learnt --- */
struct index_parsed {
	struct buf envelope, body, bodystructure, parts;
	struct buf
	    fields;      /* search_fields_pack(); kept apart, index_parsed_get() does not read it */
	struct buf sort; /* sort_keys_pack(); kept apart likewise */
	struct buf
	    summary; /* struct message_ids and the preview; kept apart likewise; empty: not learnt */
	bool has_sent_date;
	int64_t sent_date_days, sent_s;
};
enum store_err index_parsed_get(
    struct index *ix, int64_t mailbox, uint32_t uid, struct index_parsed *p_out);
enum store_err index_parsed_put(
    struct index *ix, int64_t mailbox, uint32_t uid, const struct index_parsed *p);
enum store_err index_parsed_copy(
    struct index *ix, int64_t from, uint32_t from_uid, int64_t to, uint32_t to_uid);
void index_parsed_reset(struct index_parsed *p); /* empties it, keeps the memory */
void index_parsed_free(struct index_parsed *p);
/* What is kept apart from it, to be read for many messages at once. */
enum index_learnt {
	INDEX_SEARCHED, /* `bytes` is `fields`, `sent` sent_date_days */
	INDEX_SORTED,   /* `bytes` is `sort`, `sent` sent_s */
	INDEX_SUMMARY,  /* `bytes` is `summary`, `sent` nothing */
	INDEX_LEARNT_KINDS
};
struct index_learnt_row {
	uint32_t uid;
	bool has_sent;
	int64_t sent;
	struct str bytes; /* valid in the callback */
};
/* Calls back for each message of `uids` above `after` that has been parsed, ascending, until it says false. */
enum store_err index_learnt(struct index *ix, enum index_learnt kind, int64_t mailbox,
    const struct uidset *uids, uint32_t after,
    bool (*cb)(void *arg, const struct index_learnt_row *row), void *arg);

/* --- moves under way: what store/mailbox_move.c finishes if the process dies --- */
struct index_move {
	int64_t id;
	char *from, *to; /* mailboxes */
	uint32_t from_uid, to_uid;
	char to_name[INDEX_NAME_BYTES]; /* as it was linked; flags may have changed since */
};
enum store_err index_move_add(struct index *ix, const struct index_move *move);
/* The first with an id above `after`; STORE_NOT_FOUND: none.  Ends with index_move_clear(). */
enum store_err index_move_next(struct index *ix, int64_t after, struct index_move *move_out);
void index_move_clear(struct index_move *move);
enum store_err index_moves_drop(struct index *ix); /* all */

#endif
