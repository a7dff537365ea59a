/* The inside of an open index.db, shared by index.c (the file, transactions, mailboxes), index_messages.c (the UID map
 * and messages), index_parsed.c and index_move.c. */
#ifndef STORE_INDEX_INTERNAL_H
#define STORE_INDEX_INTERNAL_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/index.h"

/* Prepared when first needed; the SQL is in index.c. */
enum statement {
	BEGIN_READ,
	BEGIN_WRITE,
	COMMIT,
	ROLLBACK,
	MAILBOX_GET,
	MAILBOX_HAS,
	MAILBOX_INSERT,
	MAILBOX_UPDATE,
	MAILBOX_RENAME,
	DROP_MAILBOX,
	DROP_UIDMAP,
	DROP_KEYWORD,
	DROP_MESSAGE,
	DROP_EXPUNGED,
	DROP_PARSED,
	DROP_SEARCHED,
	DROP_SORTED,
	DROP_SUMMARY,
	KEYWORDS,
	KEYWORD_PUT,
	UIDMAP_ALL,
	UIDMAP_FROM,
	UIDMAP_GET,
	UIDMAP_PUT,
	UIDMAP_DROP,
	MESSAGE_GET,
	MESSAGE_RANGE,
	MESSAGE_CHANGED,
	MESSAGE_FLAGS,
	MESSAGE_UNSEEN,
	MESSAGE_UNSIZED,
	MESSAGE_ADD,
	MESSAGE_ADD_MANY, /* INDEX_ADD_ROWS of them */
	MESSAGE_CHANGE,
	MESSAGE_REMOVE,
	EXPUNGED_ADD,
	EXPUNGED_TRIM,
	EXPUNGED_GET,
	PARSED_GET,
	PARSED_PUT,
	PARSED_COPY,
	PARSED_REMOVE,
	SEARCHED_RANGE,
	SEARCHED_PUT,
	SEARCHED_COPY,
	SEARCHED_REMOVE,
	SORTED_RANGE,
	SORTED_PUT,
	SORTED_COPY,
	SORTED_REMOVE,
	SUMMARY_RANGE,
	SUMMARY_PUT,
	SUMMARY_COPY,
	SUMMARY_REMOVE,
	MOVE_ADD,
	MOVE_NEXT,
	MOVE_CLEAR,
	STATEMENTS
};

struct index {
	const struct log *log;
	char *path;
	sqlite3 *db;
	sqlite3_stmt *stmts[STATEMENTS];
	dev_t dev;
	ino_t ino;
	char epoch[INDEX_EPOCH_BYTES];
	/* The chunk of the UID map being edited in this transaction. */
	int64_t chunk_mailbox; /* 0: none */
	uint32_t chunk_number;
	struct uidset chunk;
};

/* What a result code of SQLite means, logged if it is an error. */
enum store_err index_check(struct index *ix, int rc, const char *what);
/* The statement, reset and ready to be bound; NULL and *err_out if it cannot be prepared. */
sqlite3_stmt *index_statement(struct index *ix, enum statement id, enum store_err *err_out);
/* Runs a statement that gives no rows. */
enum store_err index_run(struct index *ix, sqlite3_stmt *st);
enum store_err index_run_ints(
    struct index *ix, enum statement id, const int64_t *values, size_t count);
void index_column_text(sqlite3_stmt *st, int column, char *out, size_t cap);

/* Calls back with each row of `uids` above `after`, ascending, until that says false.  The statement takes the first
 * and the last key and gives rows by key, the UID in column 0. */
enum store_err index_walk(struct index *ix, enum statement id, int64_t mailbox,
    const struct uidset *uids, uint32_t after,
    bool (*cb)(void *arg, uint32_t uid, sqlite3_stmt *row), void *arg);

/* Puts the chunk of the UID map that is being edited. */
enum store_err index_chunk_flush(struct index *ix);

static inline int64_t
index_message_key(int64_t mailbox, uint32_t uid)
{
	return mailbox << 32 | uid;
}

#endif
