/* What is written down of each submission and of each attempt to hand it on, for `mailadmin why`; see store/record.h and
 * doc/formats.md.  Attempts of all messages in the spool: redirects and replies of lda too.  None of it can fail. */
#ifndef SUBMITD_SUBMISSION_RECORD_H
#define SUBMITD_SUBMISSION_RECORD_H

#include <stdint.h>

struct service;
struct smtp_facts;
struct spool_message;
struct spool_recipient;

/* It is in the spool as `id`, durably. */
void submission_record_queued(struct service *sv, const struct smtp_facts *facts,
    const struct spool_message *envelope, const char *message_id, const char *id,
    uint64_t size_bytes);
/* It was refused; `code` and `reason` as the client was told. */
void submission_record_refused(struct service *sv, const struct smtp_facts *facts,
    const struct spool_message *envelope, const char *message_id, int code, const char *reason);
/* What became of one recipient in one attempt: state, relay and reply. */
void submission_record_relayed(struct service *sv, const struct spool_message *message,
    const struct spool_recipient *recipient);

#endif
