/* What the log says of a message as it comes in: the one line that joins its session, its id in all further lines, and its
 * Message-ID (mailadmin log). */
#ifndef LDA_MESSAGE_LOG_H
#define LDA_MESSAGE_LOG_H

#include "base/log.h"
#include "lda/lda.h"
#include "sending/content.h"

#define MESSAGE_LOG_ID_BYTES 48

/* An id that no other message has. */
void message_log_id(char id[MESSAGE_LOG_ID_BYTES]);
/* `message id=… from=… rcpts=… size=… msgid=…` */
void message_log_received(const struct log *log, const struct lda_envelope *envelope,
    const struct content *content, size_t rcpt_count);

#endif
