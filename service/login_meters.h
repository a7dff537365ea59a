/* How often people log in, how, and how long it takes to check who they are. */
#ifndef SERVICE_LOGIN_METERS_H
#define SERVICE_LOGIN_METERS_H

#include <stdbool.h>

#include "net/metrics.h"

#define LOGIN_MECHANISMS 6 /* the last one: any other */

struct login_meters {
	struct metrics *metrics;
	uint32_t seconds;
	uint32_t logins[LOGIN_MECHANISMS][2]; /* failed, ok */
};

/* In the parent. */
void login_meters_name(struct metrics *m, struct login_meters *out);
/* Any thread; ip NULL: a UNIX socket. */
void login_meters_count(
    const struct login_meters *lm, const char *mechanism, bool ok, const struct net_ip *ip);
/* A password or a SCRAM key was looked up and checked, since metrics_now_ns() was `since_ns`. */
void login_meters_time(const struct login_meters *lm, uint64_t since_ns);

#endif
