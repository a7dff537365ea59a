/* Making messages and header fields: for bounces, auto-replies, warnings and submitted mail that
 * lacks what it should have.  What is made is ASCII with lines of at most 78 bytes where words allow. */
#ifndef STORE_COMPOSE_H
#define STORE_COMPOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

/* "<random.time@host>"; never the same twice. */
void compose_message_id(struct buf *out, const char *host);
/* RFC 5322 date-time of that moment, in this machine's zone. */
void compose_date(struct buf *out, int64_t time);

/* True if `value` can stand in a header as it is: no CR, LF, NUL or other control byte but TAB. */
bool compose_header_is_safe(struct str value);
/* True for a field name of RFC 5322 §2.2. */
bool compose_header_name_is_valid(struct str name);

/* UTF-8 text as RFC 2047 encoded words where it is not printable ASCII; other text as it stands.
 * Control bytes become blanks, so the result is always safe. */
void compose_encode_text(struct buf *out, struct str text);
/* A display name for an address: atom words, quoted string or encoded words. */
void compose_encode_phrase(struct buf *out, struct str text);

/* "Name: value" CRLF-less: folded at blanks, ending in `eol` ("\n" or "\r\n"), for structured and for
 * already encoded values.  Line ends within value become blanks. */
void compose_field(struct buf *out, const char *name, struct str value, const char *eol);
/* The same for free text in UTF-8 (Subject): encodes first. */
void compose_text_field(struct buf *out, const char *name, struct str text, const char *eol);
/* An address list (From, To) as people write it: display names encoded, what is no address left out.  False
 * and nothing appended if no address is left. */
bool compose_address_field(
    struct buf *out, const char *name, struct str addresses, const char *eol);

/* A text part of UTF-8: Content-Type, Content-Transfer-Encoding, the blank line, and the text, in quoted-printable
 * (RFC 2045 §6.7) unless it is ASCII with short lines; so it passes any relay.  Line ends are LF, also the last. */
void compose_text_part(struct buf *out, struct str text);

#endif
