/* What mail clients are told about this server: where it speaks which protocol, and what it is called.
 * Derived from the configuration of the daemons; settings clients.* say it where clients must see something else (a
 * proxy, other names, other ports).
 *
 * The forms in which clients want to hear it are in clients/forms.h; mailadmin clientconfig and statusd give out
 * the same bytes. */
#ifndef CLIENTS_FACTS_H
#define CLIENTS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;

enum clients_service {
	CLIENTS_IMAPS,       /* TLS from the first byte */
	CLIENTS_IMAP,        /* STARTTLS */
	CLIENTS_SUBMISSIONS, /* TLS from the first byte, RFC 8314 */
	CLIENTS_SUBMISSION,  /* STARTTLS */
	CLIENTS_SIEVE,       /* ManageSieve, STARTTLS */
	CLIENTS_WEB,         /* statusd's public pages, HTTPS */
	CLIENTS_SERVICE_COUNT
};

struct clients_endpoint {
	char *host;    /* NULL: not offered */
	uint16_t port; /* 0: not offered */
};

struct clients_facts {
	struct clients_endpoint at[CLIENTS_SERVICE_COUNT];
	char *name;           /* what the mail service is called; NULL: as the domain */
	bool password_change; /* the web pages have one for passwords */
};

/* Ends with clients_facts_free(). */
void clients_facts_read(const struct config *config, struct clients_facts *facts_out);
void clients_facts_free(struct clients_facts *facts); /* twice is fine */

/* The service with TLS from the first byte, else the one with STARTTLS, as RFC 8314 §3 prefers; the count if neither
 * is offered. */
enum clients_service clients_best_imap(const struct clients_facts *facts);
enum clients_service clients_best_submission(const struct clients_facts *facts);
bool clients_offers(const struct clients_facts *facts, enum clients_service service);

/* One whom the settings are for. */
struct clients_user {
	const char *domain;   /* always */
	const char *address;  /* NULL: anybody of the domain */
	const char *realname; /* or NULL */
};

/* The address of the pages, "https://mail.example.org" without a slash; the caller's.  NULL: there are none. */
char *clients_web_url(const struct clients_facts *facts);

#endif
