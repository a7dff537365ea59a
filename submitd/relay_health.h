/* Which relays are up, and when one that is down is tried again: what relay.h says of it, without the conversations.
 * Times are of the loop's clock. */
#ifndef SUBMITD_RELAY_HEALTH_H
#define SUBMITD_RELAY_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_PROBE_MOST 10 /* times the first pause */

struct relay_health {
	unsigned failures;      /* since it was last up; 0: it is up */
	uint64_t down_until_ms; /* then it may be probed */
	bool probing;
};

bool relay_health_is_up(const struct relay_health *h);
/* Down, its pause is over, and nobody is there already. */
bool relay_health_is_due(const struct relay_health *h, uint64_t now_ms);
/* A conversation failed.  False: that was known, as several end together; they are one failure. */
bool relay_health_fail(struct relay_health *h, uint64_t now_ms, uint64_t probe_ms, uint32_t dice);
bool relay_health_recover(struct relay_health *h); /* a connection stands; true: it was down */

/* Of a list in its order, without the places in `tried` (bits): the first that is up; if none is, the first that is due; if
 * none is, the count.  *probe_out: one before it that is due and to be probed beside the mail, or the count. */
size_t relay_health_choose(const struct relay_health *const *list, size_t count, unsigned tried,
    uint64_t now_ms, size_t *probe_out);

#endif
