/* The loop's side of a session: bytes in, jobs, bytes out. */
#ifndef IMAPD_CONNECTION_H
#define IMAPD_CONNECTION_H

#include <stdbool.h>

struct imap_connection;
struct imapd;
struct net_stream;

/* A new connection; TLS from the first byte (IMAPS) or in the clear until STARTTLS. */
void imap_connection_start(struct imapd *imapd, struct net_stream *st, bool tls);
/* The worker ends: idle sessions say BYE now, others when their command is done. */
void imap_connections_end(struct imapd *imapd);

#endif
