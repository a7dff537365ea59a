/* Notifications by mail: the mailto method of Sieve's notify, RFC 5436.  Nothing is sent from here. */
#ifndef SENDING_NOTIFICATION_H
#define SENDING_NOTIFICATION_H

#include "sending/autoreply.h"

#define NOTIFICATION_RECIPIENTS_MAX 8

/* Why nobody may be notified of this message, as a word for the log; NULL: they may.  RFC 5436 §2.7.1: what a machine
 * has sent is not told of by machines. */
const char *notification_objection(const struct reply_facts *f, const struct filter_notify *notify);

/* The addresses of the URI and of its `to`, `cc` and `bcc`, in the arena. */
size_t notification_recipients(const struct filter_notify *notify, struct arena *arena,
    const char *recipients_out[NOTIFICATION_RECIPIENTS_MAX]);

/* The whole notification with LF line ends. */
void notification_compose(
    struct buf *out, const struct reply_facts *f, const struct filter_notify *notify);

#endif
