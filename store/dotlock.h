/* Dovecot's lock for files that it replaces: `<file>.lock`, which only one can make, holding "<pid>:<host>".
 * One whose process is gone from this machine, or that is older than DOTLOCK_STALE_S, is left over
 * from a crash and is taken away. */
#ifndef STORE_DOTLOCK_H
#define STORE_DOTLOCK_H

#include "store/err.h"

#define DOTLOCK_STALE_S 120 /* what Dovecot uses for its uidlist */

struct dotlock {
	int dir_fd; /* borrowed */
	char *name; /* of the lock; NULL: not held */
};

/* STORE_BUSY after wait_ms. */
enum store_err dotlock_take(int dir_fd, const char *file, int wait_ms, struct dotlock *lock_out);
void dotlock_release(struct dotlock *lock);

#endif
