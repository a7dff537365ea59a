/* Locks a worker in after it has started: no new privileges, Landlock for paths, seccomp for system calls,
 * no core dumps.  What the kernel lacks is logged once, and the worker goes on without it.
 * Call it at the end of worker_start and before the first job: threads that exist already would stay outside. */
#ifndef NET_SANDBOX_H
#define NET_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

struct log;

enum net_access { NET_READ, NET_WRITE }; /* NET_WRITE: read, create, rename, link, delete too */

struct net_sandbox_path {
	const char *path; /* file or directory with all below; NULL or not there: skipped */
	enum net_access access;
};

struct net_sandbox_spec {
	/* Everything the worker opens by name from now on: mail root, databases, spool, also certificates and
	 * the log's directory (for reload and rotation).  What libc, OpenSSL and SASL need (/usr, /lib, /etc,
	 * zone files, /dev/urandom) is added here, read-only. */
	const struct net_sandbox_path *paths;
	size_t path_count;
	bool off; /* only no core dumps and no new privileges, nothing that could be in the way */
	bool may_connect; /* opens connections of its own (submitd); else only accepted ones */
};

/* False, with the reason logged: there are other threads already. */
bool net_sandbox_enter(const struct net_sandbox_spec *spec, struct log *log);

#endif
