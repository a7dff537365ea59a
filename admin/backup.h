/* One run of `mailadmin backup`; admin/snapshot.h says what it makes.
 *
 * 1. NAME.partial is filled account by account (backup_account.c), then come the account database, the configuration and the spool
 *    (backup_server.c).  All is synced at once (syncfs), then `complete` is written, then NAME.partial gets its name.
 * 2. A message that an earlier snapshot has is a hard link to it: the one before, or what an interrupted run has left, as long as
 *    the machine has not been restarted since (what was not synced may be torn then).
 *    After `verify` has found damage nothing is linked without comparing its bytes with its digest, so that a new snapshot is whole.
 * 3. Each account is as it was at one moment (store/account_view.h), but for flags, which may be some moments younger: a message that is not
 *    where the view says when its turn comes is looked for in its folder.  One that is nowhere there was moved or expunged: then another view is
 *    taken and the account's part of the snapshot made to match it, until nothing is missing; after
 *    BACKUP_ROUNDS_FREE tries with the account's writer lock held.
 * 4. What cannot be read is said, counted and left out; such a snapshot is no success, and nothing is pruned after it. */
#ifndef ADMIN_BACKUP_H
#define ADMIN_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/command.h"
#include "admin/manifest.h"
#include "admin/snapshot.h"

#define BACKUP_ROUNDS_MAX 8 /* views of one account */
#define BACKUP_ROUNDS_FREE                                                                         \
	5 /* of those, without holding its writer lock; moves settle in two or three */

struct backup {
	struct admin *a;
	const char *dir;
	int dir_fd, fd; /* fd: NAME.partial, -1 with `dry` */
	char name[SNAPSHOT_NAME_BYTES];
	bool dry;
	int partial_fd, last_fd;     /* of an interrupted run, and the snapshot before; -1: none */
	struct manifest last_server; /* of the snapshot before */
	struct manifest server;
	struct snapshot_facts facts;
	uint64_t unchecked_bytes; /* written since the last look at the free space */
	uint64_t longest_lock_us;
	bool clone;
	bool careful; /* verify has found damage: nothing is linked without having been read */
	char *reason; /* of the first failure or problem, for the status; NULL: none */
	bool failed;  /* the run cannot go on; said */
};

/* False: the run cannot go on. */
bool backup_account(struct backup *b, const char *localpart, const char *domain);
bool backup_server(struct backup *b);

/* Each says what it is about. */
void backup_problem(struct backup *b, const char *what, const char *why);
bool backup_fail(struct backup *b, const char *what, const char *why); /* false */
/* After so many bytes were written; false: too little room is left. */
bool backup_has_room(struct backup *b, uint64_t bytes);

/* A file by its absolute path without symbolic links. */
enum store_err backup_read_path(const char *path, size_t max_bytes, struct buf *out);
/* Makes the directories of a path below at_fd, without its last part. */
enum store_err backup_make_dirs(int at_fd, const char *path);
/* Puts a file of the server into the snapshot, linked to the one before where nothing has changed. */
bool backup_put_server_file(struct backup *b, const char *path, int64_t mtime_ns);

#endif
