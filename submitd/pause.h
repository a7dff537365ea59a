/* The pause after a failure, of a message or of a relay: it doubles with each further one, up to a most; less up to
 * a quarter by chance, so that what failed together does not come back together. */
#ifndef SUBMITD_PAUSE_H
#define SUBMITD_PAUSE_H

#include <stdint.h>

/* In the unit of `first` and `most`, below 2^61; `failures`: with this one.  `dice`: 0 is the whole pause, UINT32_MAX
 * three quarters of it. */
uint64_t pause_after(uint64_t first, uint64_t most, unsigned failures, uint32_t dice);
uint32_t pause_dice(void);

#endif
