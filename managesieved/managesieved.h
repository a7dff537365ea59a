/* One worker process of the ManageSieve server: what all its sessions share. */
#ifndef MANAGESIEVED_MANAGESIEVED_H
#define MANAGESIEVED_MANAGESIEVED_H

#include <stdbool.h>
#include <stdint.h>

#include "service/conversation.h"
#include "store/account_scripts.h"

struct auth;
struct sasl_service;
struct service;
struct store;

struct managesieved {
	const struct service *service;
	struct account_db *accounts; /* open for writing */
	struct store *store; /* for the accounts' state.db; NULL: filter errors are not told */
	struct auth *auth;
	const struct sasl_service *sasl;
	struct account_script_limits limits; /* of one account */

	struct conversations conversations; /* the loop's */
};

#endif
