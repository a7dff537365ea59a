/* The warning that an account gets when a delivery carries its usage over lda.quota_warning. */
#ifndef LDA_WARNING_H
#define LDA_WARNING_H

#include "lda/lda.h"

/* Delivers the warning if the threshold lies between the two; once per crossing. */
void warning_check(struct lda *l, const struct lda_rcpt *rcpt, const struct quota_usage *before,
    const struct quota_usage *after);

#endif
