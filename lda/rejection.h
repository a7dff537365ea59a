/* Refusing a message because its recipient's filter says so, RFC 5429: in the dialogue where there is an answer of its
 * own for the recipient, else by a message to the sender. Nothing is sent from here. */
#ifndef LDA_REJECTION_H
#define LDA_REJECTION_H

#include "sending/autoreply.h"

#define REJECTION_TEXT_BYTES 400 /* that a reply of SMTP can carry with its recipient */

/* The reason as it can be said in a reply: ASCII, lines divided by LF.  False: `reject` (not ereject) has a reason
 * that cannot be said there in full, and so goes by message, RFC 5429 §2.2.1; ereject is cut or replaced by a general one. */
bool rejection_reply(const struct filter_reject *reject, char text_out[REJECTION_TEXT_BYTES]);

/* The message to the sender with LF line ends: a disposition notification (RFC 8098) for reject, a delivery status
 * notification (RFC 3464) for ereject; with the header of what was refused. */
void rejection_compose(
    struct buf *out, const struct reply_facts *f, const struct filter_reject *reject);

#endif
