/* Which snapshots stay, and the removal of the others.
 *
 * Of the last N days, weeks and months that have a snapshot the newest of each stays: the newest good one, where there is
 * one (good: with nothing left out).  The newest good snapshot of all stays whatever is configured, and so does the newest.
 * A snapshot is first renamed to NAME.gone, then removed: what has a snapshot's name is whole. */
#ifndef ADMIN_BACKUP_PRUNE_H
#define ADMIN_BACKUP_PRUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/snapshot.h"
#include "base/config.h"

struct admin;

struct prune_rules {
	uint64_t daily, weekly, monthly;
};

/* keep_out[i]: list->items[i] stays.  The list is the oldest first. */
void prune_plan(const struct snapshot_list *list, const struct prune_rules *rules, bool *keep_out);

/* backup.keep_*, or what the command's options --keep-daily, … say.  False: wrong usage, said. */
bool prune_rules_read(const struct admin *a, struct prune_rules *rules_out);

/* Removes what does not stay, and what earlier removals left.  One that somebody is reading stays until the next time.  With
 * `dry` nothing is touched.  Each name goes to `each`.  False: something could not be removed, said. */
bool prune_snapshots(int dir_fd, const char *dir, const struct prune_rules *rules, bool dry,
    void (*each)(void *arg, const char *name), void *arg);

#endif
