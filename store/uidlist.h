/* UID lists of other programs: Dovecot's `dovecot-uidlist` (versions 1 and 3) and Courier's
 * `courierimapuiddb` (version 1).  Adopted trees take UIDs and UIDVALIDITY from them.
 *
 * Reading is tolerant: a damaged line is counted and skipped, UIDs must grow, the last line of a file
 * that is being appended to may be incomplete.
 * Writing (uidlist_append) only serves the way back to Dovecot: it is no truth of ours. */
#ifndef STORE_UIDLIST_H
#define STORE_UIDLIST_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/err.h"

#define UIDLIST_MAX_BYTES (1024u * 1024 * 1024) /* of file; ten million messages */

struct uidlist_entry {
	uint32_t uid;
	uint64_t size, crlf_size; /* S and W, or MAILDIR_SIZE_UNKNOWN */
	struct str base; /* the file's name without ":2,…", with S= and W= as in the name */
};

struct uidlist {
	uint32_t uid_validity;         /* 0: the header has none */
	uint32_t next_uid;             /* above every uid in the list */
	char guid[33];                 /* 32 hex digits of Dovecot's mailbox GUID, or "" */
	struct uidlist_entry *entries; /* sorted by base; find one with uidlist_find() */
	size_t count;
	size_t skipped_lines;
	struct buf text; /* what the bases point into */
};

/* `folder_fd` is the folder's directory.  STORE_NOT_FOUND if there is none, STORE_CORRUPT if the
 * header is not to be read, STORE_IO.  On STORE_OK the caller ends it with uidlist_free(). */
enum store_err uidlist_read_dovecot(int folder_fd, struct uidlist *list_out);
enum store_err uidlist_read_courier(int folder_fd, struct uidlist *list_out);
void uidlist_free(struct uidlist *list);

/* By the base of a file name.  A U= of ours in `base` is not looked at.  Courier's entries, which hold
 * the name before the first ',' or as a whole, match by either.  NULL: not there. */
const struct uidlist_entry *uidlist_find(const struct uidlist *list, struct str base);

/* Appends entries (sorted by uid, above all there are) to an existing dovecot-uidlist under Dovecot's
 * lock, so that Dovecot serves the same UIDs afterwards.  Not synced.  STORE_NOT_FOUND if there is
 * no list (nothing is made), STORE_BUSY if the lock is held for more than wait_ms, STORE_CHANGED if the
 * list already has a UID at or above the first (Dovecot was at work: adopt again). */
enum store_err uidlist_append(
    int folder_fd, const struct uidlist_entry *entries, size_t count, int wait_ms);

/* The text forms, for tests and fuzzing; `list_out->text` is taken from `text`. */
enum store_err uidlist_parse_dovecot(struct buf *text, struct uidlist *list_out);
enum store_err uidlist_parse_courier(struct buf *text, struct uidlist *list_out);

#endif
