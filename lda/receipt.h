/* Delivery status notifications of success, RFC 3461 §5.2.2 (for who asked by NOTIFY=SUCCESS), RFC 3464.  Failures are
 * answered in the dialogue: the relay reports them. */
#ifndef LDA_RECEIPT_H
#define LDA_RECEIPT_H

#include "sending/autoreply.h"

/* The whole report to the envelope sender with LF line ends.  `envid` NULL: none was given. */
void receipt_compose(struct buf *out, const struct reply_facts *f, const char *envid);

#endif
