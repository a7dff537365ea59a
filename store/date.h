/* Dates: RFC 5322 §3.3 (read tolerantly, with the obsolete zones of §4.3) and IMAP's date and
 * date-time (RFC 9051 §9).  Times are seconds since 1970 UTC; zones are minutes east of UTC. */
#ifndef STORE_DATE_H
#define STORE_DATE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

/* `Sat, 1 Nov 2025 10:00:00 +0100 (CET)`; day name, seconds and zone may be missing (zone: UTC), years may
 * have two digits, military zones are UTC. */
bool date_parse_rfc5322(struct str s, int64_t *time_out, int *zone_min_out);
void date_print_rfc5322(struct buf *out, int64_t time, int zone_min);

/* date-time without its quotes: `17-Jul-1996 02:44:25 -0700`; the day may be " 1" or "01" or "1". */
bool date_parse_imap(struct str s, int64_t *time_out, int *zone_min_out);
void date_print_imap(struct buf *out, int64_t time, int zone_min); /* 26 bytes, no quotes */

/* date of SEARCH without quotes, `1-Feb-1994`, as the count of days since 1970-01-01. */
bool date_parse_imap_day(struct str s, int64_t *day_out);
void date_print_imap_day(struct buf *out, int64_t day);
/* The day that a clock in that zone shows: SENTON and friends disregard time and zone. */
int64_t date_day(int64_t time, int zone_min);

/* The zone of this machine at that time. */
int date_local_zone_min(int64_t time);

#endif
