/* The step before a connection that comes by way of a proxy: its PROXY header (net/proxy_parse.h), before TLS and
 * before any other byte.  Not a byte behind the header is read. */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "net/proxy_parse.h"

#define NET_PROXY_TIMEOUT_S 10 /* for the header to be there */

struct net_loop;
struct net_proxy_wait;

/* Reads the header from fd and calls back from the loop, once: with it, or with NULL (there was none, or
 * not in time: `why` is for the log).  The descriptor is the callback's in both cases. */
struct net_proxy_wait *net_proxy_wait(struct net_loop *loop, int fd,
    void (*on_header)(void *arg, int fd, const struct proxy_header *header, const char *why),
    void *arg);
/* Ends it at once; the callback comes, with NULL, from inside this call. */
void net_proxy_wait_abort(struct net_proxy_wait *w);

#endif
