#include "admin/times.h"

#include <time.h>

#include "base/config.h"
#include "base/mem.h"
#include "base/text.h"

bool
time_parse(const char *text, int64_t *time_out)
{
	static const char *const FORMATS[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S",
		"%Y-%m-%dT%H:%M:%S" };
	uint64_t ago;

	if (config_parse_duration(str_from(text), &ago)) {
		*time_out = (int64_t)time(NULL) - (int64_t)ago;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, FORMATS[i], &tm);

		if (end == NULL || *end != '\0')
			continue;
		*time_out = (int64_t)mktime(&tm);
		return true;
	}
	return false;
}
