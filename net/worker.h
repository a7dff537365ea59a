/* The two halves of a daemon, as daemon.c (the parent) and worker.c see them; not for daemons. */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include <sys/types.h>

#include "net/addr.h"
#include "net/daemon.h"

#define NET_LISTEN_FDS_MAX 16 /* sockets of one listener: a name may have several addresses */

struct net_listening { /* one socket */
	int fd;
	unsigned listener; /* index into the spec's listeners */
	char unix_path[NET_PATH_BYTES];
	dev_t dev; /* of the UNIX socket's file, so that only our own is removed */
	ino_t ino;
};

struct net_listen_set {
	struct net_listening socks[NET_LIMITS_LISTENERS_MAX * NET_LISTEN_FDS_MAX];
	size_t count;
};

/* Binds every listener; 0, or an exit status with the reason logged.  `uid`, `gid` own UNIX sockets. */
int net_listen_all(
    const struct net_daemon_spec *spec, uid_t uid, gid_t gid, struct net_listen_set *set_out);
/* Closes all; `remove_files` when the daemon ends. */
void net_listen_close(struct net_listen_set *set, bool remove_files);

struct net_worker_start {
	const struct net_daemon_spec *spec;
	const struct net_listen_set *listening;
	struct net_limits *limits;
	const struct net_meters *meters; /* of each listener */
	unsigned index;                  /* among those that accept */
	unsigned row;                    /* in limits, unique among all that live */
	int ready_fd;                    /* one byte goes here when the worker accepts */
	int life_fd;                     /* ends when the parent is gone */
};
/* The worker's whole life, in the child; returns its exit status. */
int net_worker_main(const struct net_worker_start *start);

#endif
