/* What spool.c (files, adding) and spool_queue.c (claims, results), spool_manage.c and spool_sent.c share. */
#ifndef STORE_SPOOL_INTERNAL_H
#define STORE_SPOOL_INTERNAL_H

#include <pthread.h>

#include "store/spool.h"
#include "store/sql.h"

#define SPOOL_FILE_NAME_BYTES (2 * SPOOL_ID_LEN + 2) /* ID.OWNER and the NUL */

/* One thread that waits for a group: for its rows to be committed, or for its name to be durable. */
struct spool_waiting {
	struct spool_waiting *next;
	enum store_err (*write)(
	    struct spool *spool, struct spool_waiting *w); /* of rows: its statements */
	enum store_err err;
	bool done;
};

/* While one thread works for those that it found waiting, the next ones gather. */
struct spool_group {
	pthread_mutex_t mutex; /* of all in here */
	pthread_cond_t over;
	struct spool_waiting *first, *last;
	bool led;
};

struct unsaved { /* a release that failed; tried again by each claim */
	struct unsaved *next;
	struct spool_message *msg;
};

struct spool {
	struct spool_options options;
	const struct log *log;
	int dir_fd, msg_fd, tmp_fd, owner_fd, wake_fd;
	int lock_fd; /* of our own file in owner/ */
	char owner[SPOOL_ID_LEN + 1];

	pthread_mutex_t mutex; /* sql, unsaved */
	struct sql sql;
	struct unsaved *unsaved;

	/* A second connection, for those who must not wait until the first one has synced. */
	pthread_mutex_t read_mutex;
	struct sql reader;

	pthread_mutex_t count_mutex;
	uint64_t message_count; /* as of counted_s, plus what this handle added */
	int64_t counted_s;

	struct spool_group names, rows;
};

/* --- spool_group.c: what many wait for is done once --- */

/* Works for all from `first` on, and sets their `err`. */
typedef void spool_group_fn(struct spool *spool, struct spool_waiting *first);

void spool_group_init(struct spool_group *g);
void spool_group_end(struct spool_group *g);
/* Returns when `run` has been called, by this thread or another, with a list that w is in; it began after this. */
void spool_group_join(
    struct spool *spool, struct spool_group *g, struct spool_waiting *w, spool_group_fn *run);
/* Calls w->write() in a transaction, which it shares with others that wait, and commits durably.  STORE_LIMIT and
 * STORE_NOT_FOUND of write() are answers: it must have written nothing.  Any other error writes nothing of w;
 * it fails others only if it is the COMMIT's. */
enum store_err spool_write_together(struct spool *spool, struct spool_waiting *w);
/* The number of messages grows, or shrinks. */
void spool_count_one(struct spool *spool, int change);
/* --- */

/* A new id or owner: 48 bits of milliseconds, 32 of chance, in letters that sort like the time. */
void spool_make_id(char id_out[SPOOL_ID_LEN + 1]);
void spool_id_of_time(int64_t when, char id_out[SPOOL_ID_LEN + 1]); /* the least one of then */
bool spool_id_is_valid(const char *id);
void spool_file_name(char name_out[SPOOL_FILE_NAME_BYTES], const char *id, const char *owner);
/* Has the process of that handle ended?  If so its file in owner/ is removed. */
bool spool_owner_is_dead(struct spool *spool, const char *owner);
/* STORE_OK if there is a message of that id; STORE_NOT_FOUND.  With the mutex held. */
enum store_err spool_has_row(struct spool *spool, const char *id);
/* The owner column's part of a message's file name, the caller's; NULL with the error.  With the mutex of that
 * connection held. */
char *spool_file_owner(struct sql *sql, const char *id, enum store_err *err_out);
/* A message and its recipients, within the caller's transaction. */
enum store_err spool_delete_rows(struct spool *spool, const char *id);
/* Tells the runners to look. */
void spool_wake(struct spool *spool);
/* A transaction whose loss by a power failure does no harm: not synced.  With the mutex held. */
enum store_err spool_begin_unsynced(struct spool *spool);
/* COMMIT after STORE_OK, else ROLLBACK; gives the first error. */
enum store_err spool_end_unsynced(struct spool *spool, enum store_err err);
/* spool_sent_add() within the caller's transaction; *before_out is zeroes where nothing limits.  With the mutex
 * held. */
enum store_err spool_note_sent(struct spool *spool, const char *account, int64_t now,
    uint64_t recipients, const struct spool_sent *most, struct spool_sent *before_out);

/* --- spool_turn.c: whose turn it is.  With the mutex held, but for the two in spool.h. --- */

/* The place in the line for one more message of that account; late: of its bulk and low-priority mail. */
enum store_err spool_next_turn(
    struct spool *spool, const char *account, bool late, int64_t *turn_out);
/* What has become due comes into the line; inside a transaction. */
enum store_err spool_line_up(struct spool *spool, int64_t now);
/* Whose turn it is; STORE_NOT_FOUND.  Inside a transaction. */
enum store_err spool_first_in_line(struct spool *spool, char id_out[SPOOL_ID_LEN + 1]);
/* One for spool_claim_overdue(); STORE_NOT_FOUND. */
enum store_err spool_first_overdue(
    struct spool *spool, int64_t now, int64_t received_before, char id_out[SPOOL_ID_LEN + 1]);

/* Claims of the dead become void.  With the mutex held. */
enum store_err spool_recover_claims(struct spool *spool);

#endif
