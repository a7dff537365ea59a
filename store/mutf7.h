/* Modified UTF-7, RFC 3501 §5.1.3 and RFC 9051 appendix A.1: how Maildir++ folders are named on
 * disk and how IMAP4rev1 speaks of mailboxes. */
#ifndef STORE_MUTF7_H
#define STORE_MUTF7_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/text.h"

/* Appends the one canonical form of well-formed UTF-8 without NUL; false (nothing
 * appended) if it is not. */
bool mutf7_encode(struct buf *out, struct str utf8);
/* Appends UTF-8.  Strict: printable US-ASCII, "&-", and base64 of UTF-16 that was needed, is not
 * split in two runs, is no NUL, and has no bits left over; else false and nothing appended. */
bool mutf7_decode(struct buf *out, struct str mutf7);

#endif
