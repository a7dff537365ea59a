/* :index and :last of header, address and date: RFC 5260 §6.  sieve_walk_next() heeds them. */
#ifndef FILTER_SIEVE_INDEX_TAGS_H
#define FILTER_SIEVE_INDEX_TAGS_H

#include "filter/sieve/sieve.h"

extern const struct sieve_tag_spec SIEVE_INDEX_TAGS[];
/* For the `check` of any tag :index, and of a tag :last that needs it. */
bool sieve_check_index(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg);
bool sieve_check_last(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg);

#endif
