/* What lies in a file of metrics: for metrics.c, which writes it through a mapping, and metrics_read.c alone.
 * All numbers are in the machine's byte order: it never leaves the machine, and lives as long as its daemon. */
#ifndef NET_METRICS_FILE_H
#define NET_METRICS_FILE_H

#include <stdatomic.h>

#include "net/limits.h"
#include "net/metrics.h"

#define METRICS_MAGIC      "sangermt"
#define METRICS_VERSION    1
#define METRICS_SERIES_MAX 768
#define METRICS_CELLS_MAX  4096 /* of one worker */
#define METRICS_ROWS       NET_LIMITS_WORKERS_MAX
#define METRICS_HOURS      24

/* Texts end with a NUL. */
struct metrics_series {
	char name[56], unit[8], help[128];
	char label_names[METRICS_LABELS_MAX][16]; /* "": no more */
	char label_values[METRICS_LABELS_MAX][64];
	uint32_t type; /* enum metric_type */
	uint32_t
	    cell; /* its first; histograms: one for each bucket, the one without a bound, the sum in ns */
};

/* Failed logins from one address: of each hour of the last day. */
struct metrics_source {
	_Atomic uint64_t key;   /* the address's first and second half mixed; 0: free */
	_Atomic int64_t last;   /* unix time; its hour is the last one that counts */
	_Atomic uint8_t ip[16]; /* struct net_ip */
	_Atomic uint32_t hours[METRICS_HOURS]; /* by unix hour modulo 24 */
};

struct metrics_row {
	_Atomic uint64_t cells[METRICS_CELLS_MAX];
	struct metrics_source sources[METRICS_SOURCES_MAX];
};

struct metrics_file {
	char magic[8];
	uint32_t version, size; /* of this struct */
	int64_t pid, started;   /* of the parent; unix time */
	char daemon[32], release[32];
	_Atomic uint32_t series_count, rows_top; /* rows that were ever in use are below */
	uint32_t cells_used;
	struct metrics_series series[METRICS_SERIES_MAX];
	struct metrics_row rows[METRICS_ROWS];
};

#define METRICS_CELLS_OF(type) ((type) == METRIC_HISTOGRAM ? METRICS_BUCKETS + 2 : 1)

#endif
