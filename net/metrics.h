/* What a daemon counts, in a file that all its workers share: run_dir/NAME.metrics.
 *
 * The parent makes the file and names the series before its first worker starts (and further ones at a reload); so
 * workers only add.  Each worker adds in a row of its own, by its place in net/limits: one atomic addition on memory
 * that no other process writes, without a lock, whatever dies when.  What a series is, is the sum of all rows.
 * Counters and histograms stay when a worker ends; the parent clears its gauges.  A daemon that starts anew
 * starts at zero with a new file, which takes the old one's place when it is ready.  As long as the parent lives it
 * holds a lock on it.
 *
 * Readers are other processes: net/metrics_read.h, and there is what lies in the file.  struct metrics NULL is fine
 * everywhere, and so is METRICS_NONE: then nothing is counted. */
#ifndef NET_METRICS_H
#define NET_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct log;
struct metrics;
struct net_ip;

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* A family of series: the name without "_total", and with its unit ("sanger_login_seconds").  Histograms are of
 * seconds. */
struct metric {
	const char *name;
	enum metric_type type;
	const char *unit;   /* "seconds", "bytes" or "" */
	const char *labels; /* their names, divided by blanks: "mechanism result"; "" for none */
	const char *help;
};

#define METRICS_NONE        UINT32_MAX
#define METRICS_LABELS_MAX  4
#define METRICS_SOURCES_MAX 128 /* addresses of failed logins that a worker remembers */

/* The upper bounds of the buckets of histograms; one more has no bound. */
#define METRICS_BUCKETS 19
extern const uint64_t METRICS_BOUNDS_NS[METRICS_BUCKETS];

/* --- in the parent --- */
/* Makes PATH.new, owned by `uid` and `gid` if this process is root.  NULL, with the reason logged. */
struct metrics *metrics_new(
    const char *path, const char *daemon, uid_t uid, gid_t gid, struct log *log);
/* The file takes its place: others see it from now on.  When the daemon is ready. */
void metrics_publish(struct metrics *m);
/* The series of these values, in the order of the labels' names, made if it is not there; METRICS_NONE when the file
 * is full, which is logged once.  Only in the parent. */
uint32_t metrics_series(struct metrics *m, const struct metric *metric, const char *const *values);
/* The worker of that row is gone: its gauges are zero. */
void metrics_worker_gone(struct metrics *m, unsigned row);
/* Removes the file (when the daemon ends). */
void metrics_free(struct metrics *m);

/* --- in a worker --- */
void metrics_worker_begin(struct metrics *m, unsigned row);
/* These may be called from any thread. */
void metrics_add(struct metrics *m, uint32_t series, uint64_t n);      /* counter */
void metrics_change(struct metrics *m, uint32_t series, int64_t by);   /* gauge */
void metrics_time_ns(struct metrics *m, uint32_t series, uint64_t ns); /* histogram */
uint64_t metrics_now_ns(void); /* monotonic; two of them make a time */
/* A login from there failed.  Any thread; of two at the same moment one may be lost. */
void metrics_login_failed(struct metrics *m, const struct net_ip *ip);

#endif
