/* Compiled filters by the SHA-256 of their text: delivery parses a text once, however many messages come.
 * Texts that do not compile are remembered with their error too.  Bounded; what was used longest ago goes first.
 * Any thread may use it at any time. */
#ifndef FILTER_CACHE_H
#define FILTER_CACHE_H

#include "filter/filter.h"

#define FILTER_CACHE_ENTRIES 1000
#define FILTER_CACHE_BYTES                                                                         \
	(128 * 1024 *                                                                              \
	    1024) /* of programs: a text of many short words makes one 80 times its size */

struct filter_cache;

/* Zeroes mean the two constants. */
struct filter_cache *filter_cache_new(size_t entries_max, size_t bytes_max);
void filter_cache_free(struct filter_cache *cache); /* NULL is fine; after all was released */

/* One user's hold on a compiled filter. */
struct filter_cached;

/* As filter_compile(); on FILTER_OK *cached_out is the caller's until filter_cache_release(). */
enum filter_status filter_cache_get(struct filter_cache *cache, struct str text,
    struct filter_cached **cached_out, struct filter_error *error_out);
const struct filter *filter_cached_filter(const struct filter_cached *cached);
void filter_cache_release(
    struct filter_cache *cache, struct filter_cached *cached); /* NULL is fine */

#endif
