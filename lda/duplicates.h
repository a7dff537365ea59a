/* Each message only once (lda.duplicate_window): one that comes again to an account within the window is taken and goes
 * no further.
 *
 * 1. Two messages are the same if their Message-ID, From, To, Cc, Subject, Date, Content-Type,
 *    Content-Transfer-Encoding and body are; what hosts on the way add (Received, DKIM-Signature, X-Spam-…, List-…)
 *    does not matter.  So no message is ever dropped for an id that somebody gave twice, and a list's copy with its
 *    own subject or footer is kept beside the direct one.  One without Message-ID is never a duplicate.
 * 2. A message is remembered in state.db when it is durable in its mailboxes (or in the spool), before the 250; a refused
 *    one is not.  A kill between the two costs a duplicate, never a message.
 * 3. A redirect that comes back to the account that redirected it (its mark says so) is a duplicate only of a message
 *    that ended here, not of the one that it is: that one has gone on and left nothing.
 * 4. Who delivers a message holds a lock on it (a byte of `duplicate.lock` in the account's directory).  A second delivery of it waits for
 *    DUPLICATE_WAIT_S and is then put off. */
#ifndef LDA_DUPLICATES_H
#define LDA_DUPLICATES_H

#include "lda/delivery.h"

#define DUPLICATE_WAIT_S 5

/* Fills d->once; d->once.is_duplicate: accept it and do nothing.  LDA_OK or LDA_TEMPORARY. */
enum lda_verdict duplicates_begin(struct lda_delivery *d);
/* It is durable. */
void duplicates_remember(struct lda_delivery *d);
void duplicates_end(struct lda_delivery *d);

/* What identifies a message, in hex.  False: it has no Message-ID. */
bool duplicate_digest(const struct view *message, char digest_out[POUR_DIGEST_BYTES]);

#endif
