/* Copies that go on to another address, RFC 5228 §4.2.
 *
 * One that would loop (sending/redirect.h) stays in INBOX.  A redirect is in the spool, durably, before any copy can be
 * seen and before the 250.  It is remembered for REDIRECT_MEMORY_S, so that a message that has to be delivered once more is
 * not redirected once more. */
#ifndef LDA_REDIRECTS_H
#define LDA_REDIRECTS_H

#include "lda/delivery.h"

#define REDIRECT_MEMORY_S (12 * 60 * 60)

/* Adds one, unless it goes to the account itself or would loop: then the copy is put into INBOX. */
void redirects_add(struct lda_delivery *d, const struct filter_redirect *to,
    const struct filter_edit *edit, struct decision by);
/* Writes them into the spool's tmp; nobody sends them yet. */
enum store_err redirects_prepare(struct lda_delivery *d);
/* Durable in the spool, and remembered. */
enum store_err redirects_finish(struct lda_delivery *d);
void redirects_abort(struct lda_delivery *d);

#endif
