/* PCRE2 within bounds, for all languages.  PCRE2's own limits count backtracking alone, from each place where a match
 * may begin anew: a long scan from each of a million places meets none of them.  So the matcher looks at the run's
 * clock too, in callouts. */
#ifndef FILTER_REGEX_H
#define FILTER_REGEX_H

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

#define FILTER_REGEX_PATTERN_BYTES (32 * 1024)
#define FILTER_REGEX_NESTING       200               /* of parentheses */
#define FILTER_REGEX_BYTES         (4 * 1024 * 1024) /* of all that a program, or a run, has at once */
#define FILTER_REGEX_HEAP_KIB      16384

/* As pcre2_compile(). */
pcre2_code *filter_regex_compile(
    struct str pattern, uint32_t options, int *error_out, PCRE2_SIZE *offset_out);
/* What the code takes in memory. */
size_t filter_regex_bytes(const pcre2_code *code);

struct filter_regex_watch {
	/* That many bytes may have been looked at; false: the run's time is over. */
	bool (*go_on)(void *arg, size_t bytes);
	void *arg;
};

/* As pcre2_match(); PCRE2_ERROR_CALLOUT if `watch` has ended it. */
int filter_regex_match(const pcre2_code *code, struct str subject, size_t offset, uint32_t options,
    pcre2_match_data *data, const struct filter_regex_watch *watch);

#endif
