/* What a relay's report on a message means for the recipients: which of them it decides, and which wait for the next
 * transaction or the next relay. */
#ifndef SUBMITD_VERDICT_H
#define SUBMITD_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "net/smtp_client.h"

/* May another relay do better?  The conversation broke, or this peer lacks what the message or one of its recipients
 * needs (RFC 8689 §4.2.1). */
bool verdict_is_elsewhere(const struct smtp_client_report *rep);
bool verdict_some_taken(const struct smtp_client_report *rep);
/* Is recipient i decided?  Not by a conversation that broke before the message was through, nor by what this peer lacks, as
 * long as there is another relay (`may_go_on`); nor by "too many" where others of the same message were taken
 * (RFC 5321 §4.5.3.1.10). */
bool verdict_decides(
    const struct smtp_client_report *rep, size_t i, bool some_taken, bool may_go_on);

#endif
