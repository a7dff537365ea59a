/* Numbers as the several places of the language read and print them. */
#ifndef FILTER_EXIM_NUMBERS_H
#define FILTER_EXIM_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "filter/exim/text.h"

/* `add`: as C's strtol with base 0, pairs of minus signs at the start dropped; "" is 0. */
bool exim_number_c(struct str s, int64_t *out);
/* above, below: a sign, 0x or octal, then K and M; saturates to int. */
bool exim_number_filter(struct str s, int64_t *out);
/* Of expansion: decimal with a sign, then one of K, M, G; blanks around; "" is 0. */
bool exim_number_decimal(struct str s, int64_t *out);

/* ${eval:…} and, with `decimal`, ${eval10:…}; *why_out says what is wrong. */
bool exim_eval(struct str s, bool decimal, int64_t *out, const char **why_out);

/* 1w2d3h4m5s, in any order; false if it is none. */
bool exim_time_parse(struct str s, uint64_t *seconds_out);
void exim_time_print(struct exim_text *out, uint64_t seconds);

#endif
