/* Regular expressions of :regex (draft-ietf-sieve-regex), by PCRE2 within the bounds of filter.h. */
#ifndef FILTER_SIEVE_REGEX_H
#define FILTER_SIEVE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

struct sieve_regex;
struct sieve_regexes { /* those that end together; start with { 0 } */
	struct sieve_regex *first;
	size_t bytes; /* at most FILTER_REGEX_BYTES */
};

/* NULL: the pattern is wrong; `why` says how and where.  Lives until sieve_regexes_free(). */
struct sieve_regex *sieve_regex_new(
    struct sieve_regexes *all, struct str pattern, bool ignore_case, char *why, size_t why_size);
void sieve_regexes_free(struct sieve_regexes *all);

enum sieve_regex_result { SIEVE_REGEX_NO, SIEVE_REGEX_YES, SIEVE_REGEX_LIMIT };
struct filter_regex_watch; /* filter/regex.h */
/* spans_out[0] is the whole match, [n] the n-th group ("" where it took no part). */
enum sieve_regex_result sieve_regex_match(const struct sieve_regex *regex, struct str value,
    const struct filter_regex_watch *watch, struct str *spans_out, size_t most, size_t *count_out);

#endif
