/* mailadmin bayes: what users collected for the spam filter, into one archive.
 *   cmd_bayes.c   the command: folders, archive, the order of it all
 *   bayes_plan.c  what is to be emptied once the archive is safe
 *
 * A run may be stopped at any instruction.  In DIR, for the archive NAME.tar:
 * 1. NAME.tar.new is written and synced.  Without a plan beside it, it counts for nothing and goes.
 * 2. NAME.plan is put in place, durably: from here on the archive holds, and what the plan says will be emptied.
 * 3. NAME.tar.new becomes NAME.tar, durably; whoever fetches it may remove it at once.
 * 4. The folders are emptied; then the plan goes.  The next run does what is left of 3 and 4 first.
 * A message is named by its UID and the mailbox's UIDVALIDITY, so emptying twice empties once. */
#ifndef ADMIN_BAYES_H
#define ADMIN_BAYES_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/command.h"
#include "base/buf.h"
#include "store/training.h"

/* Of one mailbox; or with `name` one message that imapd collected. */
struct bayes_item {
	char *address;
	enum training_kind kind;
	char *name; /* NULL: a mailbox */
	char *mailbox;
	uint32_t uidvalidity;
	struct uidset uids;
};

struct bayes_plan {
	struct bayes_item *items;
	size_t count;
};

/* Strings are copied; the next two calls may change what is returned. */
struct bayes_item *bayes_plan_add(
    struct bayes_plan *plan, const char *address, enum training_kind kind);
void bayes_plan_free(struct bayes_plan *plan);
void bayes_plan_format(const struct bayes_plan *plan, struct buf *out);
bool bayes_plan_parse(
    struct str text, struct bayes_plan *plan_out); /* false: damaged; nothing to free */

/* Empties what the plan names: spam goes, ham moves to INBOX with flags, keywords and date.  False, with the reasons said, if
 * something has to be tried again. */
bool bayes_plan_carry_out(struct admin *a, const struct bayes_plan *plan);

#endif
