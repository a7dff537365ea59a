/* Mail to localpart+detail into the mailbox named by the detail, where nothing else has been decided. */
#ifndef LDA_DETAIL_H
#define LDA_DETAIL_H

#include "lda/delivery.h"

/* The mailbox that the recipient's detail names, in the delivery's arena; NULL: INBOX it is.
 *
 * Anybody may write such an address, so it only finds what is there: the mailbox of that name, else one that differs in
 * letter case alone (if there is only one).  None is made or subscribed to.  Not found are mailboxes with a role (Sent, Junk,
 * Trash …), those that quota does not count, those that teach the spam filter, and INBOX itself. */
const char *detail_mailbox(struct lda_delivery *d);

#endif
