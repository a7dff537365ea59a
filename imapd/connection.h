/* The loop's side of a session: bytes in, jobs, bytes out. */
#ifndef IMAPD_CONNECTION_H
#define IMAPD_CONNECTION_H

#include <stdbool.h>

struct imapd;
struct net_stream;

extern const struct conversation_protocol IMAP_PROTOCOL;

/* A new connection; TLS from the first byte (IMAPS) or in the clear until STARTTLS. */
void imap_connection_start(struct imapd *imapd, struct net_stream *st, bool tls);

#endif
