/* What the server says it can do; RFC 9051 §6.1.1 and §7.2.2. */
#ifndef IMAPD_CAPABILITY_H
#define IMAPD_CAPABILITY_H

#include "base/buf.h"

struct imap_session;

/* "CAPABILITY IMAP4rev1 …" as it holds in the session's present state. */
void imap_out_capabilities(struct imap_session *s, struct buf *out);
/* Is UNAUTHENTICATE offered?  RFC 8437 §8: it can be switched off. */
bool imap_may_unauthenticate(const struct imap_session *s);

#endif
