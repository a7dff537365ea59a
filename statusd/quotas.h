/* Accounts that are near their quota, or over it.  Reading the usage of all of them takes a moment, so it is done in the
 * background, every QUOTAS_EVERY_S; who asks gets what was found last. */
#ifndef STATUSD_QUOTAS_H
#define STATUSD_QUOTAS_H

#include <stddef.h>
#include <stdint.h>

#include "net/daemon.h"

struct quotas;
struct service;

#define QUOTAS_EVERY_S 300
#define QUOTAS_SHOWN   50

struct quota_account {
	char *address;
	uint64_t used_bytes, limit_bytes, used_messages, limit_messages; /* limits: 0 is none */
	unsigned percent;
};

/* The fullest first. */
struct quotas_found {
	int64_t when;          /* unix time; 0: not yet */
	size_t accounts, near; /* how many there are */
	struct quota_account *rows;
	size_t row_count; /* at most QUOTAS_SHOWN of those that are near */
};

/* In the worker's start: begins when the loop does.  NULL with the reason logged. */
struct quotas *quotas_open(struct service *sv);
void quotas_drain(struct quotas *q);
void quotas_close(struct quotas *q); /* after the loop; NULL is fine */
/* A copy; any thread. */
void quotas_get(struct quotas *q, struct quotas_found *out);
void quotas_found_free(struct quotas_found *f);

#endif
