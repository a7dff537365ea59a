/* What a filter wants to be said: answers (vacation, mail), notifications, and refusals by message.  All of it goes
 * into the spool, with the null reverse-path.
 *
 * 1. What is said happens after the message itself is safe, and nothing of it can make a delivery fail. But for a refusal:
 *    it is all that becomes of a message, so it is in the spool before anybody is told that the message was taken.
 * 2. Each is claimed in the account's memory before it is sent: of two deliveries at once, or of two tries of one
 *    delivery, only one speaks.
 * 3. An account sends at most REPLIES_PER_HOUR of them, and answers and refusals to one address at most
 *    REPLIES_TO_ONE_PER_HOUR; what else a filter says of that (vacation's days, Exim's once) comes on top. */
#ifndef LDA_REPLIES_H
#define LDA_REPLIES_H

#include "lda/delivery.h"

#define REPLY_MEMORY_S (5 * 24 * 60 * 60) /* as long as a relay may come back with one message */

/* May this answer be given to this message at all? */
bool replies_may_answer(struct lda_delivery *d, const struct filter_action *action);
/* Why no refusal may be sent to the sender by message (RFC 3834); NULL: it may. */
const char *replies_refusal_objection(struct lda_delivery *d);
/* The refusal of d->reject; STORE_OK too where it was sent by an earlier try. */
enum store_err replies_refuse(struct lda_delivery *d);
/* The answer of d->rcpt->leave, where the message may be answered.  STORE_OK too where it was told lately, or where nothing
 * may be said; anything else: the relay shall come again. */
enum store_err replies_leave(struct lda_delivery *d);
/* All else that the filter asked for. */
void replies_send(struct lda_delivery *d);

#endif
