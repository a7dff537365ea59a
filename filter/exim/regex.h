/* Patterns of `matches`, ${if match and ${sg: PCRE2 over bytes, with bounds. */
#ifndef FILTER_EXIM_REGEX_H
#define FILTER_EXIM_REGEX_H

#include "filter/exim/run.h"

struct exim_regex;

/* NULL: the pattern is wrong, and exim_fail() has been called. */
struct exim_regex *exim_regex_open(struct exim_run *x, struct str pattern, bool nocase);
void exim_regex_close(struct exim_regex *r); /* NULL is fine */

/* Matches from `offset` on.  False when a bound is met, with *found_out false otherwise for no match.
 * `not_empty`: an empty match at the very offset does not count, and it must start there. */
bool exim_regex_match(struct exim_run *x, struct exim_regex *r, struct str subject, size_t offset,
    bool not_empty, bool *found_out);
/* Of the last match that was found: group 0 is all of it; unset ones are empty spans. */
size_t exim_regex_groups(const struct exim_regex *r);
struct str exim_regex_group(const struct exim_regex *r, struct str subject, size_t group);

/* One match; on success $0… are set. */
bool exim_match(
    struct exim_run *x, struct str subject, struct str pattern, bool nocase, bool *found_out);
/* The captures of the last match become $0…, copied. */
void exim_regex_capture(struct exim_run *x, const struct exim_regex *r, struct str subject);

#endif
