/* partial-range, RFC 9394 §4 and RFC 5267 §4.4: which of a list of results is wanted, "1:500" from the front, "-1:-500" from
 * the end.  The return option PARTIAL of SEARCH and SORT, and the modifier PARTIAL of UID FETCH. */
#ifndef IMAPD_PARTIAL_H
#define IMAPD_PARTIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct imap_partial {
	bool from_end;
	uint32_t first,
	    second; /* as the client wrote them, without "-"; either may be the larger */
};

bool imap_parse_partial(struct cursor *c, struct imap_partial *partial_out);
/* Of `count` results those at *from_out … *to_out - 1, counted from 0; none: both are equal. */
void imap_partial_bounds(
    const struct imap_partial *partial, uint32_t count, uint32_t *from_out, uint32_t *to_out);
/* As it was written. */
void imap_out_partial(struct buf *out, const struct imap_partial *partial);

#endif
