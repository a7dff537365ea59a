/* What an account is told of its filter's mistakes: each is kept in its state.db, and its owner gets a mail at most once a
 * day for each, straight into INBOX: no filter sees it. */
#ifndef LDA_FILTER_REPORT_H
#define LDA_FILTER_REPORT_H

#include "base/buf.h"
#include "lda/delivery.h"

/* Keeps and reports d->troubles. */
void filter_report(struct lda_delivery *d);

/* The mail, with LF line ends. */
void filter_report_compose(struct buf *out, const char *account, const char *hostname, int64_t now,
    const struct trouble *trouble);

#endif
