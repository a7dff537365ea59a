/* What becomes of deliveries, and how long they take. */
#ifndef LDA_METERS_H
#define LDA_METERS_H

#include <stdint.h>

#include "lda/lda.h"

/* In the parent. */
void lda_meters_name(struct service *sv);
/* A delivery to one recipient has ended, since metrics_now_ns() was `since_ns`; LDA_VERDICT_COUNT: the message did not
 * go on for another recipient's sake. */
void lda_meters_delivery(const struct service *sv, enum lda_verdict v, uint64_t since_ns);
/* A recipient was refused at RCPT. */
void lda_meters_refused(const struct service *sv, enum lda_verdict v);

#endif
