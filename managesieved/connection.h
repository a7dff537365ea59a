/* The loop's side of a session: bytes in, jobs, bytes out. */
#ifndef MANAGESIEVED_CONNECTION_H
#define MANAGESIEVED_CONNECTION_H

#include <stdbool.h>

struct managesieved;
struct net_stream;

extern const struct conversation_protocol MSIEVE_PROTOCOL;

/* A new connection; TLS from the first byte or in the clear until STARTTLS. */
void msieve_connection_start(struct managesieved *d, struct net_stream *st, bool tls);

#endif
