/* Times as a person types them. */
#ifndef ADMIN_TIMES_H
#define ADMIN_TIMES_H

#include <stdbool.h>
#include <stdint.h>

/* "2h" (ago), "2026-11-21", "2026-11-21 14:00" or with seconds; local time. */
bool time_parse(const char *text, int64_t *time_out);

#endif
