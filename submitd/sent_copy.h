/* The copy of a submitted message in the account's Sent mailbox, so that a client uploads once.
 *
 * It is the message as the relay gets it, with the Bcc fields that it came with (RFC 5322 §3.6.3: the author's own
 * copy says whom it went to), and with \Seen.  It never makes a submission fail: what is in the way is logged
 * ("sent-copy-failed").  It is written beside the spool's file and published after the message is in the spool and
 * before the answer, so only a crash just there loses it.
 * Where the mailbox already holds a message of the last SENT_COPY_LOOK_BACK_S with the same Message-ID, which
 * the client has uploaded or an earlier try has left, there is no second one. */
#ifndef SUBMITD_SENT_COPY_H
#define SUBMITD_SENT_COPY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

#define SENT_COPY_LOOK_BACK_S (15 * 60)

struct account_row;
struct log;
struct sent_copy;
struct service;

/* What fails here is logged by the finish.  Service and log are borrowed until the end. */
struct sent_copy *sent_copy_begin(
    struct service *sv, const struct log *log, const struct account_row *row);
/* NULL is fine for the copy from here on. */
void sent_copy_write(struct sent_copy *c, const void *bytes, size_t len);
/* Publishes and frees.  `message_id` as in its field; `id`, the spool's, and `account` are for the log. */
void sent_copy_finish(
    struct sent_copy *c, struct str message_id, const char *id, const char *account);
void sent_copy_abort(struct sent_copy *c);

#endif
