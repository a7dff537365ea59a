/* The time by which a message is to be delivered (RFC 2852); it runs while the message waits here.
 *
 * Mode R: when it has run out the message goes back, with 5.4.7.  Mode N: then its sender is told, and it is tried on.
 * What has the null reverse-path can go back to nobody: its R counts as N, so that it is not lost for being late. */
#ifndef SUBMITD_DEADLINE_H
#define SUBMITD_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/spool.h"

char deadline_mode(const struct spool_message *msg); /* 'N', 'R'; 0: no time is set */
bool deadline_returns(const struct spool_message *msg, int64_t now); /* R, and it has run out */
bool deadline_is_late(const struct spool_message *msg, int64_t now); /* N, and it has run out */
/* `when`, or the moment at which it runs out where that is still to come and earlier. */
int64_t deadline_no_later(const struct spool_message *msg, int64_t now, int64_t when);

#endif
