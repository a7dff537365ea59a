/* Feedback reports, RFC 5965: what the owner of an account wants somebody to know of a message.  Nothing is sent
 * from here. */
#ifndef SENDING_COMPLAINT_H
#define SENDING_COMPLAINT_H

#include "sending/autoreply.h"

#define COMPLAINT_MESSAGE_BYTES                                                                    \
	(1024 * 1024) /* of a longer message only the header is sent along */

/* Why there is no report of this message (made by a machine: two accounts could report to each other for ever), as a word for the
 * log; NULL: there may be. */
const char *complaint_objection(const struct reply_facts *f);
/* The address that it goes to, in the arena; NULL: it names none. */
const char *complaint_recipient(const struct filter_report *report, struct arena *arena);
/* The whole report with LF line ends. */
void complaint_compose(
    struct buf *out, const struct reply_facts *f, const struct filter_report *report);

#endif
