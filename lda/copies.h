/* Copies of a message in the account's mailboxes. */
#ifndef LDA_COPIES_H
#define LDA_COPIES_H

#include "filter/actions.h"
#include "lda/delivery.h"

/* Adds a copy to be made; one that goes to the same mailbox with the same content gets the flags of both. */
void copies_add(struct lda_delivery *d, const struct filter_store *store,
    const struct filter_edit *edit, struct decision by);
/* Into INBOX as it came: nothing else is to become of it. */
void copies_add_inbox(struct lda_delivery *d, struct decision by);

/* Writes them all; no one can see them yet.  A mailbox that is not there is made and subscribed to.  A target of the filter's
 * that cannot be becomes INBOX, with trouble noted.  On an error copies_abort() is still to be called. */
enum lda_verdict copies_prepare(struct lda_delivery *d);
/* Makes them visible and durable, in order; ends at the first error. */
enum store_err copies_finish(struct lda_delivery *d);
void copies_abort(struct lda_delivery *d);

/* Keeps a message made here (RFC 8580: what was sent), whatever the quota; durable on STORE_OK. */
enum store_err copies_store_made(
    struct lda_delivery *d, const struct filter_store *store, struct str message);

/* Makes the account's tree, or a mailbox that is not there yet, and subscribes to it. */
enum store_err copies_make_mailbox(
    struct lda_delivery *d, const char *mailbox, const char *special_use);

#endif
