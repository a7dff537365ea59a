/* Address lists of RFC 5322 §3.4 with groups, comments, quoted strings and the obsolete
 * syntax (routes, blanks around dots, empty members), read tolerantly: a broken list gives what can be read. */
#ifndef STORE_ADDRESS_H
#define STORE_ADDRESS_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

/* One member, in the shape that ENVELOPE gives it (RFC 9051 §7.5.2).  p NULL is NIL. */
struct address {
	struct address *next;
	struct str
	    name; /* phrase or trailing comment, undecoded (RFC 2047); a group's start has none */
	struct str route;   /* "@a,@b" of an obsolete route */
	struct str mailbox; /* unquoted local part; the group's name if domain.p is NULL */
	struct str domain;  /* NULL: a group starts (mailbox set) or ends (mailbox NULL) */
	bool broken; /* could not be read as an address: domain is "" or "MISSING_DOMAIN" … */
};

#define ADDRESS_LIST_MAX 10000 /* members; the rest is dropped */

/* All members in order; NULL for an empty list.  All memory is the arena's.  `value` may be folded. */
struct address *address_parse(struct arena *arena, struct str value);
/* The same, for who must know it all: *whole_out is false where something was passed over (text behind an
 * address, a group without its end, more than ADDRESS_LIST_MAX), which another reader may take for an address. */
struct address *address_parse_whole(struct arena *arena, struct str value, bool *whole_out);

/* The first real mailbox (no group marker, not broken) as "local@domain", quoted where needed;
 * false if there is none.  For envelopes, loops and "From" checks. */
bool address_first(struct str value, struct buf *out);
/* One addr-spec and nothing else ("ann@example.org", "\"a b\"@example.org"; RFC 6531 UTF-8 allowed). */
bool address_is_valid(struct str addr);
/* local@domain with the local part quoted if it must be. */
void address_spec(struct buf *out, const struct address *a);

#endif
