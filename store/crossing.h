/* What goes from one account into another and has begun: a MOVE, or a REPLACE whose new message belongs there.
 *
 * The locks of both accounts are never held together, so the mail is in both for a moment.  Before anything can be seen in
 * the destination, what is going to happen is written into sanger-crossings/ of the account that loses the mail, durably;
 * whoever opens a mailbox of that account after a kill ends it.  So a message that was cut in two is in the destination
 * alone, and what a client asks for once more does not double it.
 *
 * 1. The file is locked (flock) as long as its maker lives; one that can be locked was left by a dead one.
 * 2. Messages are recognised by the unique part of their names in the destination's folder, which are chosen before.
 * 3. A source is expunged only where its destination's name is found in cur/, and after that directory was synced.
 * 4. What is not found there, or was renamed or moved on since, stays in the source: in doubt there are two. */
#ifndef STORE_CROSSING_H
#define STORE_CROSSING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/err.h"

struct account;
struct crossing;
struct mailbox;

struct crossing_item {
	uint32_t uid;       /* in the source */
	const char *unique; /* of its name in the destination */
};
/* STORE_OK: durable, and the caller ends it. */
enum store_err crossing_begin(struct mailbox *from, struct account *to, const char *to_name,
    const struct crossing_item *items, size_t count, struct crossing **crossing_out);
/* `over`: nothing is left to do.  Otherwise the next to open a mailbox of the source's account ends it. */
void crossing_end(struct crossing *c, bool over);

/* Ends what dead processes have left in this account.  What cannot be ended now is logged and tried again.  Costs one call
 * of the system where there never was any. */
void crossing_finish_all(struct account *acct);

#endif
