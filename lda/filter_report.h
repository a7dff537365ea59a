/* What an account is told of its filter's mistakes: each is kept in its state.db, and its owner gets a mail at most once a
 * day for each, straight into INBOX: no filter sees it. */
#ifndef LDA_FILTER_REPORT_H
#define LDA_FILTER_REPORT_H

#include "base/buf.h"
#include "lda/delivery.h"

/* What the mail says beside the mistake itself.  Borrowed; p NULL: not known. */
struct filter_report_facts {
	const char *account, *hostname;
	int64_t now;
	struct str filter;              /* the filter's text, of which the line is quoted */
	struct str from, subject, date; /* of the message, as they stand in its header */
};

/* Keeps and reports d->troubles. */
void filter_report(struct lda_delivery *d);

/* The mail, with LF line ends. */
void filter_report_compose(
    struct buf *out, const struct filter_report_facts *facts, const struct trouble *trouble);

#endif
