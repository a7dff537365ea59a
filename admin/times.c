#include "admin/times.h"

#include <time.h>

#include "base/config.h"
#include "base/mem.h"
#include "base/text.h"

#define DAYS_MAX 36500
#define DAY_S    (24 * 60 * 60)

/* *is_day_out: it names a day and no time. */
static bool
parse_date(const char *text, struct tm *tm_out, bool *is_day_out)
{
	static const char *const FORMATS[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S",
		"%Y-%m-%dT%H:%M:%S" };

	for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, FORMATS[i], &tm);

		if (end == NULL || *end != '\0')
			continue;
		*tm_out = tm;
		*is_day_out = i == 0;
		return true;
	}
	return false;
}

bool
time_parse(const char *text, int64_t *time_out)
{
	struct tm tm;
	uint64_t ago;
	bool is_day;

	if (config_parse_duration(str_from(text), &ago)) {
		*time_out = (int64_t)time(NULL) - (int64_t)ago;
		return true;
	}
	if (!parse_date(text, &tm, &is_day))
		return false;
	*time_out = (int64_t)mktime(&tm);
	return true;
}

bool
time_parse_end(const char *text, int64_t *time_out)
{
	uint64_t number, factor = DAY_S;
	struct tm tm;
	bool is_day;

	if (!text_u64(str_from(text), DAYS_MAX, &number)) {
		factor = 1;
		if (!config_parse_duration(str_from(text), &number) ||
		    number > (uint64_t)DAYS_MAX * DAY_S)
			factor = 0;
	}
	if (factor > 0) {
		*time_out = (int64_t)time(NULL) + (int64_t)(number * factor);
		return true;
	}
	if (!parse_date(text, &tm, &is_day))
		return false;
	tm.tm_mday += is_day;
	*time_out = (int64_t)mktime(&tm);
	return true;
}
