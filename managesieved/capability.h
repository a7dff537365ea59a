/* What the server says it can do, RFC 5804 §1.7. */
#ifndef MANAGESIEVED_CAPABILITY_H
#define MANAGESIEVED_CAPABILITY_H

#include "base/buf.h"

struct msieve_session;

/* The capability lines, without the OK behind them. */
void msieve_write_capabilities(const struct msieve_session *s, struct buf *out);
/* The greeting, and what follows the handshake of STARTTLS: the lines and OK. */
void msieve_write_greeting(const struct msieve_session *s, struct buf *out);

#endif
