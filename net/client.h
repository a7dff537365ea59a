/* One connection as a client, blocking: for programs that do one thing after the other (mailadmin).  Plain or TLS, from
 * the first byte or later.  No call waits longer than the silence it was given. */
#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

struct net_client;
struct net_tls;

#define NET_CLIENT_CONNECT_S 30 /* for each address of the host */

/* NULL with the reason appended to `why`.  silence_s: how long the peer may say nothing, or take nothing. */
struct net_client *net_client_connect(
    const char *host, uint16_t port, unsigned silence_s, struct buf *why);
void net_client_close(struct net_client *c); /* NULL is fine */

/* The handshake; `host` is checked as `tls` says.  False: the connection is of no use any more. */
bool net_client_start_tls(struct net_client *c, struct net_tls *tls, const char *host);
bool net_client_is_tls(const struct net_client *c);
bool net_client_is_loopback(const struct net_client *c); /* the peer is this machine */

/* Waits for at least one byte.  0: the peer has closed; -1: an error, or silence. */
ssize_t net_client_read(struct net_client *c, void *bytes, size_t size);
bool net_client_write(struct net_client *c, const void *bytes, size_t len);
/* Why the last call failed: "Connection refused", "silent for 120 s". */
const char *net_client_error(const struct net_client *c);

#endif
