/* What was imported into an account, and from where: `sanger-import.db` in its directory.  By it a second run brings only
 * what is new, a change of flags there arrives here, and a run that was killed neither doubles nor loses a message.
 * doc/formats.md has the tables.
 *
 * 1. Before messages become visible their files' names are in `pending`, durably; behind that each has its row.  Whoever
 *    opens the record looks which of the pending files there are, so each message is here once.
 * 2. A row stays when its message goes here: what a user has deleted does not come back.
 * 3. One process at a time: STORE_BUSY. */
#ifndef ADMIN_IMPORT_RECORD_H
#define ADMIN_IMPORT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/import_message.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/account.h"

#define IMPORT_RECORD_FILE "sanger-import.db"

struct import_record;

/* A mailbox of a source. */
struct import_box {
	int64_t id;           /* 0: not in the record yet */
	const char *source;   /* "imap:ann@old.example.org", "mbox:"; the caller's */
	const char *name;     /* there; the caller's */
	uint32_t uidvalidity; /* there; 0: none */
	char *local;          /* the mailbox here; free() it */
	uint32_t local_uidvalidity;
	bool kept; /* UIDVALIDITY and UIDs are the same on both sides */
};

/* A message that was imported. */
struct import_row {
	uint32_t uid;                        /* there; mbox: a number that counts up */
	uint32_t local_uid;                  /* 0: it was not taken over, another mailbox has it */
	const char *flags;                   /* as both sides last agreed, import_flags() */
	uint64_t size;                       /* as the source says */
	uint8_t digest[IMPORT_DIGEST_BYTES]; /* IMAP: of its header; mbox: of all of it */
};

/* Finishes what a killed run has left.  With `create` false nothing is changed, and *record_out is NULL, with STORE_OK,
 * where there is none. */
enum store_err import_record_open(
    struct account *acct, const struct log *log, bool create, struct import_record **record_out);
void import_record_close(struct import_record *r); /* NULL is fine */

/* All changes stand between these two; end commits after STORE_OK, durably, and gives the first error. */
enum store_err import_record_begin(struct import_record *r);
enum store_err import_record_end(struct import_record *r, enum store_err err);

/* Fills in what the record knows of box->source and box->name; STORE_NOT_FOUND. */
enum store_err import_record_find_box(struct import_record *r, struct import_box *box);
enum store_err import_record_put_box(struct import_record *r, struct import_box *box);
/* The names that this source's mailboxes have here. */
enum store_err import_record_locals(struct import_record *r, const char *source,
    void (*cb)(void *arg, const char *name, const char *local), void *arg);

/* Ascending by uid; all in the arena. */
enum store_err import_record_rows(struct import_record *r, int64_t box, struct arena *arena,
    struct import_row **rows_out, size_t *count_out);
enum store_err import_record_put_row(
    struct import_record *r, int64_t box, const struct import_row *row);
enum store_err import_record_drop_row(struct import_record *r, int64_t box, uint32_t uid);
enum store_err import_record_drop_rows(struct import_record *r, int64_t box);
enum store_err import_record_last_uid(struct import_record *r, int64_t box, uint32_t *uid_out);
/* How many rows of this box have that digest. */
enum store_err import_record_count(struct import_record *r, int64_t box,
    const uint8_t digest[static IMPORT_DIGEST_BYTES], uint32_t *count_out);
/* Does another mailbox of that source have it? */
enum store_err import_record_elsewhere(struct import_record *r, const struct import_box *box,
    const uint8_t digest[static IMPORT_DIGEST_BYTES], uint64_t size, bool *found_out);

/* A row to be, and the file that its message is in; dropped when the rows are there. */
enum store_err import_record_put_pending(
    struct import_record *r, int64_t box, const struct import_row *row, const char *file);
enum store_err import_record_drop_pending(struct import_record *r, int64_t box);

#endif
