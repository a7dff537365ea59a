/* SASLprep, RFC 4013: the stringprep profile (RFC 3454) for user names and passwords, so that what looks
 * the same compares the same: spaces become U+0020, invisible characters go, NFKC, and control,
 * private, unassignable and misleading characters are refused, as are mixed writing directions.
 *
 * Code points unassigned in Unicode 3.2 are let through, as for a query (RFC 3454 §7): names of
 * today use them, and RFC 8265 allows them. */
#ifndef NET_SASL_PREP_H
#define NET_SASL_PREP_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/text.h"

/* Appends the prepared form of `in`.  False if it is not UTF-8, not allowed, or empty afterwards. */
bool sasl_prep(struct str in, struct buf *out);

#endif
