/* One worker process of the IMAP server: what all its sessions share. */
#ifndef IMAPD_IMAPD_H
#define IMAPD_IMAPD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/log.h"

struct auth;
struct imap_connection;
struct net_loop;
struct net_tls;
struct net_worker;
struct sasl_service;
struct service;
struct store;

struct imapd {
	const struct service *service;
	const struct config *config;
	struct log *log;
	struct net_tls *tls;
	struct net_worker *worker;
	struct net_loop *loop;
	struct store *store;
	struct auth *auth;
	const struct sasl_service *sasl;
	uint64_t message_max_bytes; /* APPENDLIMIT */
	unsigned autologout_s;

	bool ending;                         /* sessions say BYE when their command is done */
	struct imap_connection *connections; /* all open ones; the loop's */
	uint32_t sessions;                   /* so far, for the log's s= */
};

#endif
