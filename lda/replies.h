/* What a filter wants to be said: answers (vacation, mail), notifications, and refusals by message.  All of it goes
 * into the spool, with the null reverse-path.
 *
 * 1. What is said happens after the message itself is safe, and nothing of it can make a delivery fail.
 * 2. Each is claimed in the account's memory before it is sent: of two deliveries at once, or of two tries of one
 *    delivery, only one speaks.
 * 3. An account sends at most REPLIES_PER_HOUR of them. */
#ifndef LDA_REPLIES_H
#define LDA_REPLIES_H

#include "lda/delivery.h"

#define REPLIES_PER_HOUR 100
#define REPLY_MEMORY_S   (5 * 24 * 60 * 60) /* as long as a relay may come back with one message */

/* May this answer be given to this message at all? */
bool replies_may_answer(struct lda_delivery *d, const struct filter_action *action);
/* All that the filter asked for. */
void replies_send(struct lda_delivery *d);

#endif
