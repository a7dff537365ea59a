/* Reads what another daemon counts (net/metrics.h).
 *
 * The file is read and not mapped: one that is cut while it is looked at then ends early, where a mapping would end the
 * process.  Whatever is in it, reading it is safe: what is not as it must be is refused as a whole, with the reason. */
#ifndef NET_METRICS_READ_H
#define NET_METRICS_READ_H

#include "base/text.h"
#include "net/addr.h"
#include "net/metrics.h"

/* One series.  Texts lie in the reading. */
struct metrics_value {
	const char *name, *unit, *help;
	enum metric_type type;
	size_t label_count;
	const char *label_names[METRICS_LABELS_MAX], *label_values[METRICS_LABELS_MAX];
	uint64_t count;                        /* counters; histograms: how many in all */
	int64_t level;                         /* gauges */
	uint64_t buckets[METRICS_BUCKETS + 1]; /* histograms: each alone; the last has no bound */
	uint64_t sum_ns;
};

/* Failed logins of one address: [0] in this hour of the clock, [1] in the one before … */
#define METRICS_SOURCE_HOURS 24
struct metrics_failures {
	struct net_ip ip;
	int64_t last; /* unix time */
	uint32_t hours[METRICS_SOURCE_HOURS];
};

struct metrics_reading {
	const char *daemon, *release;
	int64_t pid, started; /* of the parent; unix time */
	bool alive;           /* its daemon runs */
	struct metrics_value *values;
	size_t value_count;
	struct metrics_failures
	    *failures; /* of several workers, so an address may stand several times */
	size_t failure_count;
	void *bytes;
};

/* NULL with *why_out (a text that lives on), and errno 0 if it is not the file that cannot be opened or read. */
struct metrics_reading *metrics_read(const char *path, int64_t now, const char **why_out);
/* The same from memory, for tests: the file's beginning up to the last row in use, of `file_bytes` in all. */
struct metrics_reading *metrics_parse(
    struct str bytes, uint64_t file_bytes, int64_t now, const char **why_out);
void metrics_reading_free(struct metrics_reading *r); /* NULL is fine */

#endif
