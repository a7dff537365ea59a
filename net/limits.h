/* What the workers of one daemon count together: open connections and failed logins, in shared
 * memory made before the fork.  There is no lock: a killed worker can leave nothing held, and
 * what it had counted is given back when the parent has reaped it. */
#ifndef NET_LIMITS_H
#define NET_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "net/cidr.h"

#define NET_LIMITS_WORKERS_MAX   64 /* running at once, with those that drain */
#define NET_LIMITS_LISTENERS_MAX 16

#define NET_LOGIN_FREE_FAILURES  10   /* default: failed logins of an address before it must wait */
#define NET_LOGIN_DELAY_FIRST_MS 1000 /* doubles with each further failure */
#define NET_LOGIN_DELAY_MAX_MS   (32 * 1000) /* default */
#define NET_LOGIN_FORGET_S       (60 * 60)   /* without a failure that counts */

struct net_limits_listener {
	unsigned total_max; /* connections at once; 0: NET_LISTENER_TOTAL_MAX */
	unsigned reserved;  /* of these, kept for reserved_for */
	unsigned
	    per_address_max; /* of one address before login; IPv6: of one /64; 0: not counted */
	const struct net_cidr_list
	    *reserved_for; /* NULL: nobody; these are not counted per address */
};
#define NET_LISTENER_TOTAL_MAX      100000
#define NET_PER_ADDRESS_MAX_DEFAULT 20

struct net_limits;
struct net_limits *net_limits_new(const struct net_limits_listener *listeners, size_t count);
void net_limits_free(struct net_limits *l);

enum net_limit { NET_LIMIT_OK, NET_LIMIT_TOTAL, NET_LIMIT_ADDRESS };

/* One connection's place; net_daemon keeps these for its streams. */
struct net_limits_slot {
	uint16_t worker, listener;
	bool held, reserved;
	uint32_t address_slot; /* 0: none */
};
/* ip NULL: a UNIX socket, counted in the total only. */
enum net_limit net_limits_connect(struct net_limits *l, unsigned worker, unsigned listener,
    const struct net_ip *ip, struct net_limits_slot *slot_out);
void net_limits_logged_in(struct net_limits *l, struct net_limits_slot *slot);
/* It counts for its address again.  NET_LIMIT_OK or not, it ends with net_limits_disconnect(). */
enum net_limit net_limits_logged_out(
    struct net_limits *l, const struct net_ip *ip, struct net_limits_slot *slot);
void net_limits_disconnect(struct net_limits *l, struct net_limits_slot *slot);
/* This worker takes new connections, or does so no more. */
void net_limits_accepting(struct net_limits *l, unsigned worker, bool accepting);
/* It has notably more connections than another one that accepts: let that one have the next. */
bool net_limits_should_yield(const struct net_limits *l, unsigned worker);
/* The parent has reaped this worker: whatever it held is free. */
void net_limits_worker_gone(struct net_limits *l, unsigned worker);
size_t net_limits_connections(const struct net_limits *l, unsigned listener);

/* --- failed logins ---  A session asks for the delay before it verifies a password, waits so long
 * with a timer, verifies, and tells the result.  ip NULL (UNIX socket) is never delayed. */
/* For all workers, from now on; else the defaults above. */
void net_limits_login_policy(struct net_limits *l, unsigned free_failures, uint64_t delay_max_ms);
uint64_t net_limits_login_delay_ms(struct net_limits *l, const struct net_ip *ip);
/* The same user with the same wrong password again does not count (a client that retries an old password forever);
 * only a keyed digest is kept. */
void net_limits_login_failed(
    struct net_limits *l, const struct net_ip *ip, struct str user, struct str password);
/* Forgets this user's failures from this address, and nobody else's: who has an account cannot guess
 * another's password by logging in to his own in between. */
void net_limits_login_ok(struct net_limits *l, const struct net_ip *ip, struct str user);

#endif
