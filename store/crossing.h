/* What goes from one account into another and has begun: a MOVE, or a REPLACE whose new message belongs there.
 *
 * The locks of both accounts are never held together, so the mail is in both for a moment.  Before anything can be seen in
 * the destination, what is going to happen is written into sanger-crossings/ of the account that loses the mail, durably;
 * whoever opens a mailbox of that account after a kill ends it.  So a message that was cut in two is in the destination
 * alone, and what a client asks for once more, or two ask for at once, does not double it.
 *
 * 1. One process at a time moves mail out of an account, or ends what was left: it holds sanger-crossings/lock (flock).
 *    Whoever gets that finds only what dead ones have left, and such as could not expunge.
 * 2. Messages are recognised by the unique parts of their names: in the destination's folder those were chosen before.
 * 3. A source is expunged only where its destination's name is found in cur/, and after that directory was synced; and only
 *    if what has its UID is still the same message.
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
	uint32_t uid;            /* in the source */
	const char *unique;      /* of its name in the destination */
	const char *from_unique; /* of its name in the source */
};
/* Before the messages are looked at: waits for who else moves some out of the account (STORE_LOCK_WAIT_S, then STORE_BUSY), and
 * ends what was left.  On STORE_OK the caller ends it. */
enum store_err crossing_begin(struct account *from, struct crossing **crossing_out);
/* STORE_OK: durable. */
enum store_err crossing_note(struct crossing *c, struct mailbox *from, struct account *to,
    const char *to_name, const struct crossing_item *items, size_t count);
/* `over`: nothing is left to do.  Otherwise the next to open a mailbox of the source's account ends it.  NULL is fine. */
void crossing_end(struct crossing *c, bool over);

/* Ends what was left in this account, unless somebody is at work there.  What cannot be ended now is logged and tried again.  Costs one call
 * of the system where there never was any. */
void crossing_finish_all(struct account *acct);

#endif
