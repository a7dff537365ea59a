/* search.db: which messages can hold a text at all.  A cache beside index.db, and only ever a proposal: it may name too
 * many messages, the message itself decides, and one that it does not know is always named.  doc/formats.md has the tables.
 *
 * 1. The unit is the text of a message (struct search_texts), known by its digest: copies of a message, and messages
 *    that are moved, are indexed once.  A mailbox's id, its UIDVALIDITY and a UID lead to it, since what these name never
 *    changes.
 * 2. Whoever writes holds the file's own lock (search_index_lock()), never the account's: deliveries, flags and
 *    expunges do not notice.  Readers take none.
 * 3. Every page carries a checksum (store/sql_checksum.h), in the journal too: a damaged file is noticed, not believed.
 *    It is set aside by the next writer.
 * 4. SQLite's -wal and -shm lie beside the file as long as it lives.  A file without them is not believed, and one whose
 *    journals have become others while somebody had it open is removed: what is in it may be old in parts.
 *
 * One thread at a time. */
#ifndef STORE_SEARCH_INDEX_H
#define STORE_SEARCH_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/text.h"
#include "store/err.h"
#include "store/search_text.h"
#include "store/uidset.h"

#define SEARCH_INDEX_VERSION        3
#define SEARCH_INDEX_TEXT_MAX_BYTES (1024 * 1024) /* of a message; larger ones are always named */
#define SEARCH_INDEX_TRIGRAMS_MAX   24            /* of a text; longer ones are sampled */
#define SEARCH_INDEX_DEAD_MIN       1000 /* texts of no message, before it is worth beginning anew */
#define SEARCH_INDEX_DEAD_MAX_S                                                                    \
	(30 * 86400) /* and what of a text is in it does not stay longer than about that */

struct search_index;

/* An exclusive lock on the search.db in `dir`, which need not exist yet; -1 with errno EWOULDBLOCK: another writer has
 * it, else another reason.  close() ends it. */
int search_index_lock(const char *dir);

/* STORE_NOT_FOUND: none, or another version; STORE_CORRUPT, STORE_IO. */
enum store_err search_index_open(
    const char *dir, const struct log *log, struct search_index **ix_out);
/* Under the lock: opens it, makes one where there is none (or of another version), sets a damaged one aside. */
enum store_err search_index_open_to_write(
    const char *dir, const struct log *log, struct search_index **ix_out);
void search_index_close(struct search_index *ix); /* NULL is fine */
/* What is in the place of the files that are open? */
enum search_index_state {
	SEARCH_INDEX_CURRENT,
	SEARCH_INDEX_REPLACED, /* another search.db, or none */
	SEARCH_INDEX_TORN,     /* its journals are not there or others: nobody may go on with it */
};
enum search_index_state search_index_look(const struct search_index *ix);
/* Under the lock: a damaged one goes aside as search.db.corrupt-<time>. */
void search_index_set_aside(const char *dir, const struct log *log);
/* Removes search.db with all that belongs to it.  Open ones go on as if nothing had happened, until they look. */
void search_index_remove(const char *dir);
uint64_t search_index_bytes(const char *dir); /* on disk, with its journal */

/* A mailbox in it. */
struct search_index_box {
	const char *mailbox_id;
	uint32_t uidvalidity;
};

/* --- asking: one moment of the file between begin and end --- */
enum store_err search_index_begin(struct search_index *ix);
void search_index_end(struct search_index *ix);

enum search_index_part { SEARCH_INDEX_HEAD = 1, SEARCH_INDEX_BODY = 2 };
/* Adds the numbers of the texts in which `text` (in the normal form of struct search_texts) can stand, in one of
 * `parts`.  STORE_INVALID: it has no trigram that is kept (store/search_trigrams.h). */
enum store_err search_index_find(
    struct search_index *ix, unsigned parts, struct str text, struct uidset *docs);
/* Takes out of `uids` the messages whose text is known and none of `docs`.  *whole_out: all were known. */
enum store_err search_index_keep(struct search_index *ix, const struct search_index_box *box,
    const struct uidset *docs, struct uidset *uids, bool *whole_out);
/* The UIDs of the mailbox that it knows, replacing *uids_out. */
enum store_err search_index_known(
    struct search_index *ix, const struct search_index_box *box, struct uidset *uids_out);

/* --- writing: under the lock, between begin_write and commit --- */
enum store_err search_index_begin_write(struct search_index *ix);
enum store_err search_index_commit(struct search_index *ix);
void search_index_rollback(struct search_index *ix);
/* `texts` NULL: the message is too large, or cannot be read, and is always named. */
enum store_err search_index_add(struct search_index *ix, const struct search_index_box *box,
    uint32_t uid, const struct search_texts *texts);
/* These messages are gone. */
enum store_err search_index_forget(
    struct search_index *ix, const struct search_index_box *box, const struct uidset *uids);
/* Forgets all mailboxes for which `lives` says false. */
enum store_err search_index_forget_boxes(struct search_index *ix,
    bool (*lives)(void *arg, const struct search_index_box *box), void *arg);
/* Reads all of it; STORE_CORRUPT: it is damaged somewhere. */
enum store_err search_index_check(struct search_index *ix);
/* Are so many texts without a message that a new file would be better, or is there one in a file that is old by now? */
bool search_index_is_stale(struct search_index *ix, int64_t now_s);

#endif
