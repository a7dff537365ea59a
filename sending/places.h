/* How much an account says by itself in an hour: places that are claimed in its state.db, so that all processes count
 * together. */
#ifndef SENDING_PLACES_H
#define SENDING_PLACES_H

#include <stdint.h>

#include "base/mem.h"
#include "store/err.h"
#include "store/state.h"

#define REPLIES_PER_HOUR        100 /* of an account */
#define REPLIES_TO_ONE_PER_HOUR 10  /* answers and refusals to one address */

/* Claims one of `places` of this hour: of all together (`to` is ""), or for one address.  *key_out NULL: none is free; else
 * what state_once_undo() takes, in the arena. */
enum store_err place_claim(struct state *st, struct arena *a, const char *to, unsigned places,
    int64_t now, const char **key_out);

#endif
