/* dovecot.index.log: Dovecot's log of changes to a mailbox's index, made from nothing, for what a Maildir cannot say: keywords
 * beyond the 26 that have a letter.  Where there is no dovecot.index, Dovecot (2.2 and later) makes it from the log. */
#ifndef ADMIN_DOVECOT_LOG_H
#define ADMIN_DOVECOT_LOG_H

#include <stdint.h>

#include "base/buf.h"

struct dovecot_log;

struct dovecot_log *dovecot_log_new(uint32_t uidvalidity, uint32_t uidnext);
void dovecot_log_free(struct dovecot_log *log); /* NULL is fine */
/* `number` is the caller's, below MAILBOX_KEYWORDS_MAX; the name is copied. */
void dovecot_log_name(struct dovecot_log *log, unsigned number, const char *name);
/* Messages by growing UID; `flags` are MESSAGE_…  Keywords of any message in any order of numbers, UIDs growing. */
void dovecot_log_message(struct dovecot_log *log, uint32_t uid, unsigned flags);
void dovecot_log_keyword(struct dovecot_log *log, unsigned number, uint32_t uid);
void dovecot_log_format(const struct dovecot_log *log, struct buf *out);

#endif
