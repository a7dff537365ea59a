/* What there is to say about the server at one moment: gathered in a job, shown by the page and by /metrics. */
#ifndef STATUSD_FACTS_H
#define STATUSD_FACTS_H

#include "net/metrics_read.h"
#include "statusd/quotas.h"
#include "statusd/status_file.h"
#include "store/spool.h"

struct service;

#define FACTS_DAEMONS     5
#define FACTS_DISKS_MAX   8
#define FACTS_RELAYS_MAX  20
#define FACTS_OLDEST_MAX  10
#define FACTS_SOURCES_MAX 20

struct facts_daemon {
	const char *name;
	bool wanted; /* it has an address to listen at */
	bool running;
	struct metrics_reading *counts; /* NULL: there are none */
};

/* One file system, by the settings that have something on it. */
struct facts_disk {
	char *uses; /* "mail, spool" */
	const char *path;
	uint64_t device, size_bytes, free_bytes;
	bool low; /* below store.free_space_floor */
};

/* Failed logins from one address within a day, at all daemons. */
struct facts_source {
	struct net_ip ip;
	int64_t last;
	uint64_t hour, day; /* within about an hour, a day */
};

struct facts {
	int64_t now;
	char *hostname;
	struct facts_daemon daemons[FACTS_DAEMONS];
	struct facts_disk disks[FACTS_DISKS_MAX];
	size_t disk_count;

	enum store_err queue_err; /* then the queue's fields say nothing */
	struct spool_counts queue;
	struct spool_relay_count *relays;
	size_t relay_count;
	struct spool_message **oldest;
	size_t oldest_count;

	struct quotas_found quotas;
	struct facts_source *sources; /* the most within a day first */
	size_t source_count, source_total;
	uint64_t failed_hour, failed_day;

	const char *publish_dir, *backup_dir; /* NULL: not set */
	struct status_file publish, backup;
};

/* Pool thread.  `queue_too`: also what waits for which relay and the oldest messages, which takes a moment where
 * many wait. */
void facts_gather(struct service *sv, struct quotas *quotas, bool queue_too, struct facts *out);
void facts_free(struct facts *f);

/* The sum of a family's counters or gauges at one daemon, of those whose first label has that value (NULL: all). */
uint64_t facts_sum(const struct facts_daemon *d, const char *name, const char *label_value);

#endif
