/* One worker process of the ManageSieve server: what all its sessions share. */
#ifndef MANAGESIEVED_MANAGESIEVED_H
#define MANAGESIEVED_MANAGESIEVED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/log.h"
#include "store/account_scripts.h"

struct auth;
struct msieve_connection;
struct net_loop;
struct net_tls;
struct net_worker;
struct sasl_service;
struct service;
struct store;

struct managesieved {
	const struct service *service;
	struct log *log;
	struct net_tls *tls;
	struct net_worker *worker;
	struct net_loop *loop;
	struct account_db *accounts; /* open for writing */
	struct store *store; /* for the accounts' state.db; NULL: filter errors are not told */
	struct auth *auth;
	const struct sasl_service *sasl;
	struct account_script_limits limits; /* of one account */
	unsigned autologout_s, login_timeout_s;
	uint64_t connections_per_account;

	bool ending;                           /* sessions say BYE when their command is done */
	struct msieve_connection *connections; /* all open ones; the loop's */
	uint32_t sessions;                     /* so far, for the log's s= */
};

#endif
