/* One worker process of the IMAP server: what all its sessions share. */
#ifndef IMAPD_IMAPD_H
#define IMAPD_IMAPD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/log.h"
#include "net/sasl.h"

struct auth;
struct imap_connection;
struct net_limits;
struct net_loop;
struct net_tls;
struct net_worker;
struct store;

struct imapd {
	const struct config *config;
	struct log *log;
	struct net_tls *tls;
	struct net_worker *worker;
	struct net_loop *loop;
	struct net_limits *limits;
	struct store *store;
	struct auth *auth;
	struct sasl_service service_sasl; /* as the service opened it */
	struct sasl_service sasl;         /* the same, with failed logins counted */
	uint64_t message_max_bytes;       /* APPENDLIMIT */
	unsigned autologout_s;

	bool ending;                         /* sessions say BYE when their command is done */
	struct imap_connection *connections; /* all open ones; the loop's */
	uint32_t sessions;                   /* so far, for the log's s= */
};

#endif
