/* One worker process of the IMAP server: what all its sessions share. */
#ifndef IMAPD_IMAPD_H
#define IMAPD_IMAPD_H

#include <stdbool.h>
#include <stdint.h>

#include "service/conversation.h"

struct auth;
struct imap_filters;
struct config;
struct net_timer;
struct search_builder;
struct sasl_service;
struct service;
struct store;

struct imapd {
	const struct service *service;
	const struct config *config;
	struct store *store;
	struct auth *auth;
	struct imap_filters *filters; /* NULL: no scripts run (tests) */
	const struct sasl_service *sasl;
	uint64_t message_max_bytes; /* APPENDLIMIT */
	uint32_t message_limit;     /* of one command, RFC 9738; 0: none */
	uint32_t save_limit;        /* of one COPY or APPEND, if that is less; 0: none */
	uint64_t progress_ns;       /* between two words about a command's progress */

	struct search_builder *searches; /* or NULL */
	struct net_timer *keepalive;     /* of commands that take long; the loop's, or NULL */
	bool keepalive_runs;
	struct conversations conversations; /* the loop's */
};

#endif
