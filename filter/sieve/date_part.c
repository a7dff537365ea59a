#include "filter/sieve/date_part.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "store/date.h"

#define MJD_1970 40587 /* the Modified Julian Day of 1970-01-01 */

struct moment {
	int64_t time;
	int zone_min;
	struct tm local;
};

struct sieve_date_part {
	const char *name;
	void (*print)(struct buf *out, const struct moment *m);
};

static void
print_year(struct buf *out, const struct moment *m)
{
	buf_printf(out, "%04d", m->local.tm_year + 1900);
}

static void
print_month(struct buf *out, const struct moment *m)
{
	buf_printf(out, "%02d", m->local.tm_mon + 1);
}

static void
print_day(struct buf *out, const struct moment *m)
{
	buf_printf(out, "%02d", m->local.tm_mday);
}

static void
print_date(struct buf *out, const struct moment *m)
{
	buf_printf(
	    out, "%04d-%02d-%02d", m->local.tm_year + 1900, m->local.tm_mon + 1, m->local.tm_mday);
}

static void
print_julian(struct buf *out, const struct moment *m)
{
	buf_printf(out, "%" PRId64, date_day(m->time, m->zone_min) + MJD_1970);
}

static void
print_hour(struct buf *out, const struct moment *m)
{
	buf_printf(out, "%02d", m->local.tm_hour);
}

static void
print_minute(struct buf *out, const struct moment *m)
{
	buf_printf(out, "%02d", m->local.tm_min);
}

static void
print_second(struct buf *out, const struct moment *m)
{
	buf_printf(out, "%02d", m->local.tm_sec);
}

static void
print_time(struct buf *out, const struct moment *m)
{
	buf_printf(out, "%02d:%02d:%02d", m->local.tm_hour, m->local.tm_min, m->local.tm_sec);
}

static void
print_offset(struct buf *out, const struct moment *m, const char *colon)
{
	int min = abs(m->zone_min);

	buf_printf(out, "%c%02d%s%02d", m->zone_min < 0 ? '-' : '+', min / 60, colon, min % 60);
}

static void
print_zone(struct buf *out, const struct moment *m)
{
	print_offset(out, m, "");
}

/* date-time of RFC 3339 §5.6, in UTC with a "Z" */
static void
print_iso8601(struct buf *out, const struct moment *m)
{
	print_date(out, m);
	buf_addc(out, 'T');
	print_time(out, m);
	if (m->zone_min == 0)
		buf_addc(out, 'Z');
	else
		print_offset(out, m, ":");
}

/* date-time of RFC 5322 §3.3 */
static void
print_std11(struct buf *out, const struct moment *m)
{
	static const char *const DAYS[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const MONTHS[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
		"Aug", "Sep", "Oct", "Nov", "Dec" };

	buf_printf(out, "%s, %02d %s %04d ", DAYS[m->local.tm_wday], m->local.tm_mday,
	    MONTHS[m->local.tm_mon], m->local.tm_year + 1900);
	print_time(out, m);
	buf_addc(out, ' ');
	print_zone(out, m);
}

static void
print_weekday(struct buf *out, const struct moment *m)
{
	buf_printf(out, "%d", m->local.tm_wday);
}

static const struct sieve_date_part PARTS[] = {
	{ "year", print_year },
	{ "month", print_month },
	{ "day", print_day },
	{ "date", print_date },
	{ "julian", print_julian },
	{ "hour", print_hour },
	{ "minute", print_minute },
	{ "second", print_second },
	{ "time", print_time },
	{ "iso8601", print_iso8601 },
	{ "std11", print_std11 },
	{ "zone", print_zone },
	{ "weekday", print_weekday },
};

const struct sieve_date_part *
sieve_date_part_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(PARTS); i++)
		if (str_eq_nocase(name, str_from(PARTS[i].name)))
			return &PARTS[i];
	return NULL;
}

void
sieve_date_part_print(
    struct buf *out, const struct sieve_date_part *part, int64_t time, int zone_min)
{
	struct moment m = { .time = time, .zone_min = zone_min };
	time_t local = (time_t)(time + (int64_t)zone_min * 60);

	if (gmtime_r(&local, &m.local) != NULL)
		part->print(out, &m);
}

bool
sieve_zone_parse(struct str s, int *zone_min_out)
{
	int hours, minutes;

	if (s.len != 5 || (s.p[0] != '+' && s.p[0] != '-'))
		return false;
	for (size_t i = 1; i < 5; i++)
		if (!ascii_is_digit(s.p[i]))
			return false;
	hours = (s.p[1] - '0') * 10 + s.p[2] - '0';
	minutes = (s.p[3] - '0') * 10 + s.p[4] - '0';
	if (hours > 23 || minutes > 59)
		return false;
	*zone_min_out = (s.p[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
	return true;
}

/* `len` digits at s.p + at; -1: other bytes. */
static int
digits(struct str s, size_t at, size_t len)
{
	int n = 0;

	for (size_t i = at; i < at + len; i++) {
		if (i >= s.len || !ascii_is_digit(s.p[i]))
			return -1;
		n = n * 10 + s.p[i] - '0';
	}
	return n;
}

bool
sieve_iso8601_parse(struct str s, int64_t *time_out)
{
	struct tm tm = { .tm_year = digits(s, 0, 4) - 1900,
		.tm_mon = digits(s, 5, 2) - 1,
		.tm_mday = digits(s, 8, 2),
		.tm_hour = digits(s, 11, 2),
		.tm_min = digits(s, 14, 2),
		.tm_sec = digits(s, 17, 2) };
	int zone_min = 0;
	char zone[5];

	if (s.len < 20 || s.p[4] != '-' || s.p[7] != '-' || ascii_upper(s.p[10]) != 'T' ||
	    s.p[13] != ':' || s.p[16] != ':')
		return false;
	if (tm.tm_year < -1900 || tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 ||
	    tm.tm_mday > 31 || tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 ||
	    tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
		return false;
	if (s.len == 25 && s.p[22] == ':') {
		memcpy(zone, s.p + 19, 3);
		memcpy(zone + 3, s.p + 23, 2);
		if (!sieve_zone_parse((struct str){ zone, 5 }, &zone_min))
			return false;
	} else if (s.len != 20 || ascii_upper(s.p[19]) != 'Z') {
		return false;
	}
	*time_out = (int64_t)timegm(&tm) - zone_min * 60;
	return true;
}
