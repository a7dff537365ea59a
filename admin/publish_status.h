/* What became of publishing: a small text file in the directory, written by publish, read by doctor.
 *
 *     published 1700000000
 *     sent 1700000001 TARGET              the last time it got there
 *     failed 1700000901 TARGET            since then it did not, the last time then */
#ifndef ADMIN_PUBLISH_STATUS_H
#define ADMIN_PUBLISH_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/err.h"

#define PUBLISH_TARGETS_MAX 20

struct publish_target {
	char *name;
	int64_t sent, failed; /* unix time; 0: never */
};

struct publish_status {
	int64_t published; /* unix time; 0: never */
	struct publish_target targets[PUBLISH_TARGETS_MAX];
	size_t target_count;
};

/* A file that is missing or cannot be read is a status of nothing. */
void publish_status_read(int dir_fd, struct publish_status *status_out);
enum store_err publish_status_write(int dir_fd, const struct publish_status *status);
/* That target's place, made where there is none; NULL: too many. */
struct publish_target *publish_status_target(struct publish_status *status, const char *name);
void publish_status_free(struct publish_status *status);

#endif
