/* mailadmin cleanup: what nobody needs any more goes, or out of the way.  Each part is one function in the file of its
 * subject.  It works while all daemons do; trouble with one account is said and counted, and the others go on.
 *
 * Nothing here deletes mail that somebody has not: the trees of accounts that are no more are only moved, what is taken out
 * of Trash and Junk is expunged like by a client (and kept, store/kept.h), and only what was kept for its time is unlinked. */
#ifndef ADMIN_CLEANUP_H
#define ADMIN_CLEANUP_H

#include <jansson.h>
#include <stdbool.h>

#include "admin/command.h"

struct cleanup {
	struct admin *a;
	bool dry, many; /* many: also more than half of all trees */
	char *removed_dir;
	int removed_fd; /* -1 with --dry-run, where there is none yet */
	json_t *moved;  /* trees: {from, to} */
	size_t accounts, trash, junk, kept, tmp_files, indexes, records, snapshots, problems;
	uint64_t kept_bytes;
};

/* "mailadmin: …" and one more problem. */
void cleanup_problem(struct cleanup *c, const char *fmt, ...) ADMIN_PRINTF(2);

void cleanup_trees(struct cleanup *c);    /* cleanup_trees.c: mail of accounts that are no more */
void cleanup_accounts(struct cleanup *c); /* cleanup_accounts.c: what is in each account */

/* cleanup_status.c: the file `status` in the directory, read by doctor.
 *
 *     cleaned 1700000000              the last run without a problem
 *     failed 1700086400 3 problems    the last one with some, if it came later */
struct cleanup_status {
	int64_t cleaned, failed; /* unix time; 0: never */
};
void cleanup_status_read(const char *dir, struct cleanup_status *status_out);
enum store_err cleanup_status_note(int dir_fd, size_t problems);
/* cleanup.removed_dir, or what stands for it; the caller's. */
char *cleanup_removed_dir(const struct config *config);

#endif
