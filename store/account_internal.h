/* What the files that make up accounts and mailboxes share: account.c, account_mailboxes.c, sync.c, mailbox*.c,
 * append.c.  Nobody else includes it.
 *
 * Locks, always taken in this order:
 *   write_mutex → the directory's flock (both: the writer lock) → db_mutex.
 * search_mutex is held for search.db alone, and no other lock is taken under it but db_mutex.
 * db_mutex is held while SQLite works and while a writer renames; never while message bytes are read or written, and
 * never in a callback. */
#ifndef STORE_ACCOUNT_INTERNAL_H
#define STORE_ACCOUNT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "store/account.h"
#include "store/index.h"
#include "store/quota.h"
#include "store/root.h"

#define ACCOUNT_BUCKETS   1024
#define ACCOUNT_EMPTY_NEW 4

struct store {
	struct store_root *root;
	const struct log *log;
	char *mail_root, *index_root; /* index_root NULL: in the Maildir */
	const char **quota_exempt;    /* NULL-terminated */
	unsigned index_open_max;
	uint64_t free_floor_bytes, keep_s, keep_max_bytes;
	enum store_search search;
	uint64_t search_max_bytes;
	void (*search_wanted)(void *arg, struct account *acct, const char *mailbox); /* or NULL */
	void *search_wanted_arg;
	atomic_uint index_open_count;
	pthread_mutex_t mutex; /* the table and all refs */
	struct account *buckets[ACCOUNT_BUCKETS];
};

struct account {
	struct store *st;
	struct account *next; /* in its bucket */
	char *localpart, *domain, *address, *path, *index_dir;
	struct home *home;
	unsigned refs;
	bool detached; /* its directory was replaced: not in the table any more */
	atomic_llong used_s;
	atomic_ullong quota_limit_bytes, quota_limit_messages, message_max_bytes, mailboxes_max;
	pthread_mutex_t write_mutex;
	struct home_lock lock;
	bool cleaned; /* folder_clean() has run */
	pthread_mutex_t db_mutex;
	struct index *ix;             /* NULL: not open; under db_mutex */
	atomic_bool index_is_open;    /* the same, for a look without the mutex */
	pthread_mutex_t search_mutex; /* taken alone */
	atomic_bool search_full_told; /* the log knows that search.db has no room */
	pthread_mutex_t build_mutex;  /* held while search.db is written; taken before all others */
	struct search_index *building; /* open for that; under build_mutex */
	struct search_index *search;   /* NULL: not open; under search_mutex */
	/* Stamps of new/ folders that were empty when the stamp was old enough to be trusted; under db_mutex. */
	struct index_stamp empty_new[ACCOUNT_EMPTY_NEW];
};

/* Opens the index if need be and begins a read transaction: one moment of all tables.  STORE_NOT_FOUND: no
 * index yet; a writer makes it.  On STORE_OK it ends with account_read_end(). */
enum store_err account_read_begin(struct account *acct);
void account_read_end(struct account *acct);

/* The writer lock and a transaction.  On STORE_OK it ends with account_write_end(), which commits if `err` is
 * STORE_OK, and gives err or why the commit failed. */
enum store_err account_write_begin(struct account *acct);
enum store_err account_write_end(struct account *acct, enum store_err err);
/* The same in two parts, for who has something to take back if the commit fails. */
enum store_err account_write_commit(struct account *acct, enum store_err err);
void account_write_unlock(struct account *acct);

/* The writer lock alone, for what the index does not know. */
enum store_err account_lock(struct account *acct);
enum store_err account_lock_within(struct account *acct, int seconds);
void account_unlock(struct account *acct);

/* In a write transaction that has just begun: finishes a move that another process died in (mailbox_move.c). */
enum store_err account_finish_moves(struct account *acct);

/* A damaged index is set aside by the next writer. */
void account_index_damaged(struct account *acct);
/* For a function that ended with `err`: true if the index was damaged and trying once more makes sense. */
bool account_should_retry(struct account *acct, enum store_err err, int *tries);

static inline bool
account_has_file(int dir_fd, const char *name)
{
	return faccessat(dir_fd, name, F_OK, 0) == 0;
}

struct quota_rules account_quota_rules(const struct account *acct);
/* Those that count towards quota. */
enum store_err account_count_mailboxes(struct account *acct, uint64_t *count_out);

/* The directory of a mailbox relative to the account's: "" or ".A.B/"; STORE_INVALID. */
enum store_err account_folder_prefix(const struct account *acct, const char *name, struct buf *out);

#endif
