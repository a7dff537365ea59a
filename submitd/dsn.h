/* Delivery status notifications, RFC 3464 (format), RFC 3461 §5.2, §6 (when and what). */
#ifndef SUBMITD_DSN_H
#define SUBMITD_DSN_H

#include <stdint.h>

#include "store/spool.h"

enum dsn_action { /* RFC 3464 §2.3.3 */
	DSN_FAILED,
	DSN_DELAYED,
	DSN_RELAYED, /* to a relay that will not report success itself */
	DSN_LATE,    /* "delayed": the time that was set has run out, RFC 2852 §4.1.3 */
	DSN_UNTIMED, /* "relayed": to a relay that keeps to no such time, RFC 2852 §4.1.4.2 */
	DSN_TRACED,  /* "relayed": to one that does, and a trace was asked for, RFC 2852 §4.1.4 */
};

/* Whether the sender wants to hear this of the recipient: as asked by NOTIFY, else failures and delays
 * only, and whatever becomes of a time that was set unless NOTIFY is NEVER; nothing of a message with the null
 * reverse-path. */
bool dsn_is_wanted(
    const struct spool_message *msg, const struct spool_recipient *rcpt, enum dsn_action action);

/* Puts a report about those recipients of msg for which `pick` is true, and of which it is wanted, into the spool.
 * Durable on STORE_OK.  `expires`: when a delayed message will be given up. */
enum store_err dsn_send(struct spool *spool, const char *hostname, const struct spool_message *msg,
    enum dsn_action action, int64_t expires, bool (*pick)(const struct spool_recipient *rcpt));

#endif
