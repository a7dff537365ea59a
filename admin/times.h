/* Times as a person types them: "2026-11-21", "2026-11-21 14:00" or with seconds, in local time, or a duration. */
#ifndef ADMIN_TIMES_H
#define ADMIN_TIMES_H

#include <stdbool.h>
#include <stdint.h>

/* A duration ("2h") is that long ago. */
bool time_parse(const char *text, int64_t *time_out);
/* When something ends: a plain number is days, a duration is from now on, a day is good to its end. */
bool time_parse_end(const char *text, int64_t *time_out);

#endif
