/* What is written down of each delivery, for `mailadmin why`: one line for each recipient of each message, also of those
 * that were refused.  See store/record.h and doc/formats.md.  None of it can fail. */
#ifndef LDA_DELIVERY_RECORD_H
#define LDA_DELIVERY_RECORD_H

#include "lda/delivery.h"
#include "store/record.h"

struct smtp_reply;

/* The verdict's word, "delivered"; of LDA_VERDICT_COUNT, too: "given-up". */
const char *delivery_record_verdict(enum lda_verdict verdict);

/* With the envelope; then what is done, in order; then how it ended, which writes it. */
void delivery_record_begin(struct lda_delivery *d);
/* One thing that was done, or was not: "copy", "redirect", "not-redirected", "answer", "not-answered", "refuse", "discard",
 * "filter-error", "duplicate" …  The caller adds members to what is returned and then calls record_end() on it. */
struct record *delivery_record_did(struct lda_delivery *d, const char *what, struct decision by);
/* The same where there is only a reason to be told. */
void delivery_record_note(
    struct lda_delivery *d, const char *what, struct decision by, const char *reason);
void delivery_record_end(struct lda_delivery *d, enum lda_verdict verdict);

/* A recipient that was refused before there was a message.  `reply` as given; NULL: none was (lda -d). */
void delivery_record_refused(struct lda *l, const struct lda_envelope *envelope, const char *rcpt,
    enum lda_verdict verdict, const struct smtp_reply *reply);

#endif
