/* A daemon: a parent that binds, drops to its user and looks after its workers, and the workers, each one
 * loop, which share the listening sockets.  The parent runs none of the daemon's code but `reload`.
 * Started with CAP_NET_BIND_SERVICE instead of as root, it has no capability left either once the ports are bound.
 *
 *   SIGTERM, SIGINT  graceful end: workers stop accepting and drain, the parent goes last, status 0
 *   SIGHUP           reopen the log, reload(); if it says yes, new workers start, and when they
 *                    are ready the old ones accept no more and finish their sessions
 *   SIGUSR1          reopen the log, nothing else
 * A worker that dies is replaced, at once at first and later after a growing delay. */
#ifndef NET_DAEMON_H
#define NET_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

#include "net/addr.h"
#include "net/limits.h"

struct log;
struct metrics;
struct net_loop;
struct net_stream;
struct net_tls_keys;
struct net_worker;

#define NET_DRAIN_S        20  /* default: sessions to end after SIGTERM */
#define NET_RELOAD_DRAIN_S 600 /* default: sessions to end by themselves after SIGHUP */

enum net_drain {
	NET_DRAIN_FINISH, /* reload: nothing new comes; close what is idle anyway or let it go on */
	NET_DRAIN_END,    /* end: finish the command in hand, say goodbye, close */
};

/* Who is at the other end of a socket, and its place among the connections. */
struct net_socket {
	struct net_ip ip;
	bool is_unix; /* then there is no address */
	uint16_t port;
	struct net_limits_slot place;
};

struct net_listener_spec {
	const char *name;    /* "imaps", for the log */
	const char *address; /* as net_endpoint_parse() takes it: "*:993", "[::1]:993", "/run/x" */
	unsigned default_port; /* if the address has none; 0: it must */
	unsigned unix_mode;    /* UNIX sockets: 0660 and the like; 0: 0600 */
	struct net_limits_listener limits;
	/* Connections from these must begin with a PROXY header (net/proxy.h) and are then its client's, for
	 * everything and for the limits, too; all others are taken as they come.  NULL: nobody's must. */
	const struct net_cidr_list *proxies;
	/* Sent before closing when a limit refuses the connection; NULL on TLS listeners. */
	const char *refusal; /* "421 4.7.0 Too many connections\r\n" */
	/* On the worker's loop: a new connection, within limits.  Ends with
	 * net_stream_begin() [and net_stream_start_tls()], or net_stream_abort(). */
	void (*on_accept)(struct net_worker *w, struct net_stream *st, void *arg);
	/* Instead of on_accept, for a library that reads and writes by itself: the connected socket is the
	 * caller's now.  When it has closed it, the caller gives `place` back with net_worker_socket_gone(). */
	void (*on_socket)(struct net_worker *w, int fd, const struct net_socket *peer, void *arg);
	void *arg; /* this listener's, not the daemon's */
};

struct net_daemon_spec {
	const char *name;
	struct log *log;
	const struct net_listener_spec *listeners;
	size_t listener_count;
	unsigned workers;     /* 0: one per processor */
	unsigned threads;     /* pool threads per worker; 0: 4 */
	const char *user;     /* to become when started as root; NULL: stay; ignored if not root */
	const char *pid_file; /* NULL: none.  Written when all listeners are bound and all workers
	                       * run, removed at the end: scripts wait for it */
	unsigned drain_s, reload_drain_s; /* 0: the defaults above */
	struct net_tls_keys *tls_keys;    /* NULL, or the daemon's: stepped in the parent too */
	struct metrics *metrics;          /* NULL: nothing is counted; the caller's */

	/* In the worker, before the loop runs; the place for databases, then net_sandbox_enter().
	 * False (with the reason logged) at the first start ends the daemon. */
	bool (*worker_start)(struct net_worker *w, void *arg);
	/* In the worker, on the loop; NET_DRAIN_END may follow NET_DRAIN_FINISH.  The worker ends when its accepted
	 * streams, jobs and holds are gone, or when the time is up.  May be NULL: then
	 * NET_DRAIN_END aborts the streams that are left. */
	void (*worker_drain)(struct net_worker *w, enum net_drain how, void *arg);
	/* In the worker, after the loop, the last thing before it exits.  May be NULL. */
	void (*worker_stop)(struct net_worker *w, void *arg);
	/* In the parent, for SIGHUP: reads the configuration anew into what arg points to.  *workers is
	 * the number of workers and may be changed.  False (reason logged) keeps everything as it is.
	 * Listeners, user and pid file stay as they are until a restart.  May be NULL: new workers, same arg. */
	bool (*reload)(void *arg, unsigned *workers);
	void *arg;
};

/* Returns the process's exit status after the daemon has ended: 0, or sysexits' EX_CONFIG (78), EX_NOUSER
 * (67), EX_OSERR (71), EX_UNAVAILABLE (69: a port is taken) with the reason logged. */
int net_daemon_run(const struct net_daemon_spec *spec);

struct net_loop *net_worker_loop(const struct net_worker *w);
struct log *net_worker_log(const struct net_worker *w);
struct net_limits *net_worker_limits(const struct net_worker *w);
unsigned net_worker_index(
    const struct net_worker *w); /* 0 … workers - 1, unique among those accepting */
bool net_worker_draining(const struct net_worker *w);
/* The daemon's own state of this worker. */
void net_worker_set_data(struct net_worker *w, void *data);
void *net_worker_data(const struct net_worker *w);
/* A connection of on_socket is closed. */
void net_worker_socket_gone(struct net_worker *w, struct net_limits_slot *place);
/* Work that is no accepted stream and no job (a relay conversation) and must end before the worker may. */
void net_worker_hold(struct net_worker *w);
void net_worker_release(struct net_worker *w);

#endif
