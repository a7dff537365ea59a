#include "store/date.h"

#include <time.h>

#include "base/mem.h"
#include "store/header.h"

#define DAY_S    86400
#define ZONE_MAX (23 * 60 + 59) /* minutes; a zone beyond is nonsense and read as UTC */

static const char MONTHS[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
	"Oct", "Nov", "Dec" };
static const char DAYS[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

static const struct {
	const char *name;
	int minutes;
} ZONES[] = {
	/* obs-zone, RFC 5322 §4.3, and what else is common */
	{ "UT", 0 },
	{ "UTC", 0 },
	{ "GMT", 0 },
	{ "EST", -300 },
	{ "EDT", -240 },
	{ "CST", -360 },
	{ "CDT", -300 },
	{ "MST", -420 },
	{ "MDT", -360 },
	{ "PST", -480 },
	{ "PDT", -420 },
	{ "CET", 60 },
	{ "MET", 60 },
	{ "CEST", 120 },
	{ "MEST", 120 },
	{ "BST", 60 },
	{ "WET", 0 },
	{ "WEST", 60 },
	{ "EET", 120 },
	{ "EEST", 180 },
	{ "JST", 540 },
	{ "KST", 540 },
};

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
static int64_t
days_from_civil(int64_t y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
civil_from_days(int64_t days, int64_t *y_out, int *m_out, int *d_out)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*d_out = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m_out = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y_out = yoe + era * 400 + (*m_out <= 2);
}

static int
days_in_month(int64_t y, int m)
{
	static const int DAYS_IN[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return DAYS_IN[m - 1] + (m == 2 && leap);
}

static bool
is_date(int64_t y, int m, int d)
{
	return y >= 1 && y <= 9999 && m >= 1 && m <= 12 && d >= 1 && d <= days_in_month(y, m);
}

static bool
take_number(struct cursor *c, size_t digits_max, int *n_out, size_t *digits_out)
{
	const char *start = c->p;
	int n = 0;

	while (c->p < c->end && ascii_is_digit(*c->p) && (size_t)(c->p - start) < digits_max)
		n = n * 10 + (*c->p++ - '0');
	*n_out = n;
	if (digits_out != NULL)
		*digits_out = (size_t)(c->p - start);
	return c->p > start && (c->p == c->end || !ascii_is_digit(*c->p));
}

/* The month whose name begins so; long names are accepted. */
static bool
take_month(struct cursor *c, int *m_out)
{
	struct str word = cursor_take_while(c, ascii_is_alpha);

	for (int i = 0; i < 12; i++)
		if (str_has_prefix_nocase(word, (struct str){ MONTHS[i], 3 })) {
			*m_out = i + 1;
			return true;
		}
	return false;
}

/* time-of-day = hour ":" minute [":" second]; blanks may stand around the colons, and a dot for a colon. */
static bool
take_time(struct cursor *c, int *seconds_out)
{
	int part[3] = { 0, 0, 0 };

	for (int i = 0; i < 3; i++) {
		header_skip_cfws(c);
		if (!take_number(c, 2, &part[i], NULL))
			return false;
		header_skip_cfws(c);
		if (i < 2 && !cursor_take(c, ':') && !cursor_take(c, '.')) {
			if (i == 0)
				return false;
			break;
		}
	}
	if (part[0] > 23 || part[1] > 59 || part[2] > 60)
		return false;
	*seconds_out = part[0] * 3600 + part[1] * 60 + (part[2] < 60 ? part[2] : 59);
	return true;
}

/* zone = ("+" / "-") 4DIGIT / obs-zone.  What cannot be read is UTC, as -0000 is. */
static int
take_zone(struct cursor *c)
{
	struct str name;
	int sign, n;
	size_t digits;

	header_skip_cfws(c);
	if (cursor_peek(c) == '+' || cursor_peek(c) == '-') {
		sign = *c->p++ == '-' ? -1 : 1;
		if (!take_number(c, 4, &n, &digits) || digits != 4 || n % 100 > 59)
			return 0;
		n = n / 100 * 60 + n % 100;
		return n <= ZONE_MAX ? sign * n : 0;
	}
	name = cursor_take_while(c, ascii_is_alpha);
	for (size_t i = 0; i < ARRAY_LEN(ZONES); i++)
		if (str_eq_nocase(name, str_from(ZONES[i].name)))
			return ZONES[i].minutes;
	return 0;
}

static bool
is_name_byte(char ch)
{
	return ascii_is_alpha(ch) || ch == '.';
}

/* Years of two and three digits: obs-year, RFC 5322 §4.3. */
static int
full_year(int year, size_t digits)
{
	if (digits == 2)
		return year + (year < 50 ? 2000 : 1900);
	return digits == 3 ? year + 1900 : year;
}

/* [day-name ","] day month year time [zone]; also `Sat Nov  1 10:00:00 2025` of C programs. */
bool
date_parse_rfc5322(struct str s, int64_t *time_out, int *zone_min_out)
{
	struct cursor c = cursor_from(s);
	int day = 0, month = 0, year = 0, seconds = 0, zone;
	size_t digits = 0;
	bool ctime = false;
	struct cursor word;

	header_skip_cfws(&c);
	word = c;
	if (cursor_take_while(&c, is_name_byte).len > 0) {
		header_skip_cfws(&c);
		if (!cursor_take(&c, ',') && ascii_is_digit((char)cursor_peek(&c)) == false)
			ctime = true;
		if (ctime && !take_month(&c, &month)) { /* "Nov 1 …" without a day's name */
			c = word;
			if (!take_month(&c, &month))
				return false;
		}
	}
	header_skip_cfws(&c);
	if (!take_number(&c, 2, &day, NULL))
		return false;
	header_skip_cfws(&c);
	cursor_take(&c, '-');
	if (ctime) {
		cursor_take(&c, ',');
		if (!take_time(&c, &seconds))
			return false;
		zone = ascii_is_digit((char)cursor_peek(&c)) ? 0 : take_zone(&c);
		header_skip_cfws(&c);
		if (!take_number(&c, 4, &year, &digits))
			return false;
	} else {
		header_skip_cfws(&c);
		if (!take_month(&c, &month))
			return false;
		header_skip_cfws(&c);
		cursor_take(&c, '-');
		cursor_take(&c, ',');
		header_skip_cfws(&c);
		if (!take_number(&c, 4, &year, &digits))
			return false;
		header_skip_cfws(&c);
		cursor_take(&c, ',');
		if (!take_time(&c, &seconds))
			return false;
		zone = take_zone(&c);
	}
	year = full_year(year, digits);
	if (year < 1900 || !is_date(year, month, day)) /* RFC 5322 §3.3; 2002 was written as 0102 */
		return false;
	*time_out = days_from_civil(year, month, day) * DAY_S + seconds - zone * 60;
	*zone_min_out = zone;
	return true;
}

/* Whatever the clock says is kept within years that can be printed. */
static int64_t
printable(int64_t time)
{
	const int64_t least = days_from_civil(1, 1, 2) * DAY_S,
		      most = days_from_civil(9999, 12, 30) * DAY_S;

	return time < least ? least : time > most ? most : time;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static unsigned
zone_number(int zone_min)
{
	unsigned n = (unsigned)(zone_min < 0 ? -zone_min : zone_min) % 1440;

	return n / 60 * 100 + n % 60;
}

int64_t
date_day(int64_t time, int zone_min)
{
	return floor_div(printable(time) + zone_min * 60, DAY_S);
}

void
date_print_rfc5322(struct buf *out, int64_t time, int zone_min)
{
	int64_t local = printable(time) + zone_min * 60, day = floor_div(local, DAY_S), y;
	int m, d, s = (int)(local - day * DAY_S);

	civil_from_days(day, &y, &m, &d);
	buf_printf(out, "%s, %02d %s %04d %02d:%02d:%02d %c%04u", DAYS[((day + 4) % 7 + 7) % 7], d,
	    MONTHS[m - 1], (int)y, s / 3600, s / 60 % 60, s % 60, zone_min < 0 ? '-' : '+',
	    zone_number(zone_min));
}

void
date_print_imap(struct buf *out, int64_t time, int zone_min)
{
	int64_t local = printable(time) + zone_min * 60, day = floor_div(local, DAY_S), y;
	int m, d, s = (int)(local - day * DAY_S);

	civil_from_days(day, &y, &m, &d);
	buf_printf(out, "%02d-%s-%04d %02d:%02d:%02d %c%04u", d, MONTHS[m - 1], (int)y, s / 3600,
	    s / 60 % 60, s % 60, zone_min < 0 ? '-' : '+', zone_number(zone_min));
}

/* date-day "-" date-month "-" date-year, RFC 9051 §9; here month names are exact. */
static bool
take_imap_day(struct cursor *c, int64_t *day_out)
{
	int day, month = 0, year;
	size_t digits;

	if (!take_number(c, 2, &day, NULL) || !cursor_take(c, '-') || cursor_left(c) < 4 ||
	    c->p[3] != '-' || !take_month(c, &month) || !cursor_take(c, '-') ||
	    !take_number(c, 4, &year, &digits) || digits != 4 || !is_date(year, month, day))
		return false;
	*day_out = days_from_civil(year, month, day);
	return true;
}

bool
date_parse_imap(struct str s, int64_t *time_out, int *zone_min_out)
{
	struct cursor c = cursor_from(s);
	int part[3], zone, sign;
	size_t digits;
	int64_t day;

	cursor_take(&c, ' '); /* date-day-fixed = (SP DIGIT) / 2DIGIT */
	if (!take_imap_day(&c, &day) || !cursor_take(&c, ' '))
		return false;
	for (int i = 0; i < 3; i++)
		if (!take_number(&c, 2, &part[i], &digits) || digits != 2 ||
		    !cursor_take(&c, i < 2 ? ':' : ' '))
			return false;
	if (part[0] > 23 || part[1] > 59 || part[2] > 60)
		return false;
	if (cursor_peek(&c) != '+' && cursor_peek(&c) != '-')
		return false;
	sign = *c.p++ == '-' ? -1 : 1;
	if (!take_number(&c, 4, &zone, &digits) || digits != 4 || zone % 100 > 59 ||
	    !cursor_at_end(&c))
		return false;
	zone = sign * (zone / 100 * 60 + zone % 100);
	if (zone > ZONE_MAX || zone < -ZONE_MAX)
		return false;
	*time_out = day * DAY_S + part[0] * 3600 + part[1] * 60 + part[2] - zone * 60;
	*zone_min_out = zone;
	return true;
}

bool
date_parse_imap_day(struct str s, int64_t *day_out)
{
	struct cursor c = cursor_from(s);

	return take_imap_day(&c, day_out) && cursor_at_end(&c);
}

void
date_print_imap_day(struct buf *out, int64_t day)
{
	int64_t y;
	int m, d;

	civil_from_days(
	    floor_div(
		printable(
		    day > INT64_MAX / DAY_S / 2 || day < INT64_MIN / DAY_S / 2 ? 0 : day * DAY_S),
		DAY_S),
	    &y, &m, &d);
	buf_printf(out, "%d-%s-%04d", d, MONTHS[m - 1], (int)y);
}

int
date_local_zone_min(int64_t time)
{
	time_t t = (time_t)time;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL)
		return 0;
	return (int)(tm.tm_gmtoff / 60);
}
