/* Moments as text, in the parts that RFC 5260 §4.2 names. */
#ifndef FILTER_SIEVE_DATE_PART_H
#define FILTER_SIEVE_DATE_PART_H

#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

struct sieve_date_part;
const struct sieve_date_part *sieve_date_part_find(struct str name); /* NULL: unknown */

/* The part of that moment on a clock `zone_min` minutes east of UTC. */
void sieve_date_part_print(
    struct buf *out, const struct sieve_date_part *part, int64_t time, int zone_min);

/* time-offset, RFC 5260 §4.1: "+hhmm" or "-hhmm". */
bool sieve_zone_parse(struct str s, int *zone_min_out);

/* date-time of RFC 3339 §5.6 without fractions: "2025-11-01T10:00:00+01:00", "…Z". */
bool sieve_iso8601_parse(struct str s, int64_t *time_out);

#endif
