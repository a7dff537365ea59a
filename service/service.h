/* How a daemon comes up, and what all daemons share: the one place that joins net/ (processes, TLS,
 * SASL) with store/ (accounts, passwords, mail).
 *
 * main() is `return service_main(argc, argv, &SPEC);`.  The parent reads the configuration and binds the
 * doors; each worker then opens what `needs` names, runs `start`, and locks itself in. */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/log.h"
#include "net/cidr.h"
#include "net/daemon.h"
#include "net/metrics.h"
#include "net/sasl.h"
#include "service/login_meters.h"
#include "store/account_apps.h"
#include "store/account_db.h"

struct auth;
struct login_history;
struct net_stream;
struct net_tls;
struct net_tls_keys;
struct records;
struct service;
struct spool;
struct store;

/* A kind of listener; each value of its setting is one. */
struct service_door {
	const char *name;    /* "imaps" */
	const char *setting; /* "imapd.listen_tls": a list of addresses */
	unsigned default_port;
	/* Said to a connection beyond a limit; NULL on TLS doors. */
	const char *refusal;
	void (*on_accept)(struct net_worker *w, struct net_stream *st, void *service);
	/* Instead of it: net/daemon.h. */
	void (*on_socket)(
	    struct net_worker *w, int fd, const struct net_socket *peer, void *service);
};

enum service_needs {
	SERVICE_TLS = 1,             /* sv->tls: the server's certificates */
	SERVICE_STORE = 2,           /* sv->store: the mail */
	SERVICE_AUTH = 4,            /* sv->auth and sv->sasl: logins */
	SERVICE_SPOOL = 8,           /* sv->spool: outgoing messages */
	SERVICE_ACCOUNTS_WRITE = 16, /* the account DB is opened for writing */
};

#define SERVICE_DOORS_MAX    8
#define SERVICE_SECRET_BYTES 32
#define SERVICE_METERS_MAX   256
#define SERVICE_READS_MAX    8

struct service_spec {
	const char *name;          /* "imapd"; also its section of the configuration */
	const char *sasl_name;     /* "imap", with SERVICE_AUTH */
	const char *relay_setting; /* networks for which connections are reserved, or NULL */
	unsigned needs; /* enum service_needs; the account DB is always opened, for reading */
	/* NULL, or what is needed beside these where it is configured so. */
	unsigned (*needs_also)(const struct config *config);
	bool may_connect;   /* makes connections of its own */
	bool counts_logins; /* also without SERVICE_AUTH */
	bool writes_spool;  /* opens the spool by itself, when it needs it */
	bool no_records;    /* has to do with the spool, and yet keeps no records */
	/* Settings of directories that the daemon reads by itself, beside what it needs; at most SERVICE_READS_MAX, and NULL. */
	const char *const *reads;
	const struct service_door *doors;
	size_t door_count;
	/* In the parent, before the first worker and at each reload: names the daemon's series in sv->meters, by
	 * numbers of its own.  NULL: it has none. */
	void (*name_meters)(struct service *sv);
	/* In each worker when all of the above is open; false, with the reason logged, ends it. */
	bool (*start)(struct service *sv, struct net_worker *w);
	void (*drain)(
	    struct service *sv, enum net_drain how); /* NULL: streams are cut at the end */
	void (*stop)(struct service *sv);            /* NULL is fine */
};

struct service {
	const struct service_spec *spec;
	struct config *config;
	struct log *log;
	struct net_tls_keys *keys;
	struct net_cidr_list relays;  /* of relay_setting */
	struct net_cidr_list proxies; /* server.proxy_networks */

	struct metrics *metrics; /* NULL (lda -d): nothing is counted */
	uint32_t meters[SERVICE_METERS_MAX];
	struct login_meters logins;
	/* Random, of this daemon's life: the same in all its workers. */
	unsigned char secret[SERVICE_SECRET_BYTES];

	/* of a worker */
	struct net_worker *worker;
	struct net_loop *loop;
	struct account_db *accounts;
	struct net_tls *tls;
	struct store *store;
	struct auth *auth;
	struct sasl_service sasl;
	struct login_history
	    *history; /* of a worker with SERVICE_AUTH and SERVICE_STORE; else NULL */
	struct net_timer *history_timer;
	struct spool *spool;
	struct records *records; /* of those that have to do with the spool; NULL: none are kept */
	struct net_timer *idle_timer;
	void *data; /* the daemon's own */
};

/* The process's exit status. */
int service_main(int argc, char **argv, const struct service_spec *spec);

/* Reads the configuration and opens the log for a program that is no daemon (lda -d).  Prints what is
 * wrong and returns false; *exit_out is then a code of sysexits.h. */
bool service_open(
    struct service *sv, const struct service_spec *spec, const char *config_path, int *exit_out);
/* Opens what the spec needs, in this process.  Errors are logged. */
bool service_open_stores(struct service *sv);
void service_close(struct service *sv);

/* What its logins are for, by sasl_name; 0: for managing the account (store/auth.h). */
enum login_protocol service_protocol(const struct service *sv);

/* Where the records are (store/record.h), the caller's to free. */
char *service_records_dir(const struct config *config);

/* Becomes server.user if this process is root and one is set; false with errno. */
bool service_drop_root(const struct config *config);

#endif
