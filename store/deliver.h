/* Puts one message into a folder, durably and without a lock.
 *
 *   begin → write … → finish              for deliveries into new/: two syncs
 *   begin → write … → seal → place → confirm   for APPEND: seal (fsync of the file) without the
 *                                         writer lock, place (rename) under it, one confirm (fsync of
 *                                         the directory) for any number of messages placed in one folder
 *
 * 1. Nothing of a message is visible before all its bytes are on disk.
 * 2. After STORE_OK from finish or confirm the message is durable, at the mailbox's name.
 * 3. After any error, or abort, the message is not there and the tmp file is removed.
 * 4. A failed fsync is not tried again: the delivery is over.
 * 5. Lines end in LF on disk: CRLF becomes LF, wherever the pieces are cut; a lone CR or LF stays,
 *    and so does a CRLF behind another CR.  S= counts bytes on disk, W= what IMAP shows: each LF
 *    that follows no CR as CRLF.  So what came in with CRLF comes out the same, byte for byte.
 *
 * One delivery is used by one thread at a time; several at once are independent.  Directories of
 * folders in use stay open in the root (MAILDIR_CACHE_MAX) and are checked before each use, so
 * folders may be deleted and renamed by anybody. */
#ifndef STORE_DELIVER_H
#define STORE_DELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "store/err.h"
#include "store/root.h"

#define MAILDIR_CACHE_MAX 64           /* folders held open per root, 4 descriptors each */
#define MAILDIR_DATE_NOW  ((time_t)-1) /* or any before 1970: the time of delivery */

struct maildir_delivery;

/* Opens a file in tmp/ of mailbox `name`.  STORE_NOT_FOUND: no such account or folder (INBOX of an
 * account whose directory is missing is made when `create_home`). STORE_INVALID, _FULL, _IO.
 * The caller ends *delivery_out with finish or abort. */
enum store_err maildir_delivery_begin(struct store_root *root, const char *localpart,
    const char *domain, const char *name, bool create_home, struct maildir_delivery **delivery_out);

/* Before the first write: the bytes are those of a message on a disk and stay as they are, CRLF too (rule 5 does not hold). */
void maildir_delivery_keep_bytes(struct maildir_delivery *d);
/* Appends bytes.  After an error every further call gives the same error. */
enum store_err maildir_delivery_write(struct maildir_delivery *d, const void *bytes, size_t len);

/* So far; the CR of a CRLF cut in two is counted when the next piece comes. */
uint64_t maildir_delivery_size(const struct maildir_delivery *d);
uint64_t maildir_delivery_crlf_size(const struct maildir_delivery *d);
/* What has been written, for reading (pread) until finish or abort; borrowed. Call after seal. */
int maildir_delivery_fd(const struct maildir_delivery *d);

/* seal + place into new/ + confirm, and frees the delivery, also on an error.
 * `internal_date` becomes the file's mtime; MAILDIR_DATE_NOW: it stays as it is.  With flags it goes to new/ too, with ":2,<flags>",
 * which every Maildir program understands.
 * `name_out` (may be NULL) is the file's name, the caller's to free. */
enum store_err maildir_delivery_finish(struct maildir_delivery *d, time_t internal_date,
    uint32_t flags, uint32_t keywords, char **name_out);

/* All bytes, the mtime and an fsync.  No more writes afterwards. */
enum store_err maildir_delivery_seal(struct maildir_delivery *d, time_t internal_date);
/* For many messages at once: each is sealed without its fsync, then one sync of the file system makes
 * all of them durable.  Before that none may be placed. */
enum store_err maildir_delivery_seal_unsynced(struct maildir_delivery *d, time_t internal_date);
enum store_err maildir_delivery_sync_all(struct maildir_delivery *const *d, size_t count);
/* The unique part of the name it is to have, instead of one of ours, if nobody has it and it can stand in a name.
 * Before place or finish. */
void maildir_delivery_set_unique(struct maildir_delivery *d, const char *unique);
/* The rename into cur/ with uid, flags and keywords in the name; not durable yet. The name is
 * borrowed until the delivery ends. */
enum store_err maildir_delivery_place(struct maildir_delivery *d, uint32_t uid, uint32_t flags,
    uint32_t keywords, const char **name_out);
/* One fsync for `count` placed deliveries, which are all in the same folder of the same account.
 * STORE_OK: all are durable.  Else none is there any more (place is undone). The deliveries are freed
 * either way. */
enum store_err maildir_delivery_confirm(struct maildir_delivery *const *d, size_t count);

/* Removes the file, also a placed one, and frees.  NULL is fine. */
void maildir_delivery_abort(struct maildir_delivery *d);

#endif
