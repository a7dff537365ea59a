/* The loop's side of a session: bytes in, jobs, bytes out. */
#ifndef MANAGESIEVED_CONNECTION_H
#define MANAGESIEVED_CONNECTION_H

#include <stdbool.h>

struct managesieved;
struct net_stream;

/* A new connection; TLS from the first byte or in the clear until STARTTLS. */
void msieve_connection_start(struct managesieved *d, struct net_stream *st, bool tls);
/* The worker ends: idle sessions say BYE now, others when their command is done. */
void msieve_connections_end(struct managesieved *d);

#endif
