/* Addresses as Exim reads them: stricter than store/address.h, for what it refuses here is an error for a
 * filter.  RFC 5322 §3.4 with routes; a local part may stand without a domain. */
#ifndef FILTER_EXIM_ADDRESSES_H
#define FILTER_EXIM_ADDRESSES_H

#include <stdbool.h>

#include "base/mem.h"
#include "base/text.h"

/* The one address in `s` (with phrase, comments), as local@domain or a bare local part, in the arena.
 * False and *why_out (Exim's words) if it is none. */
bool exim_address(struct arena *a, struct str s, struct str *out, const char **why_out);

/* The next member of a list, unread; groups are looked into.  False at the end. */
bool exim_address_next(struct cursor *list, struct str *member_out);

/* Splits at the @ that parts them; the domain is empty if there is none. */
void exim_address_split(struct str address, struct str *local_out, struct str *domain_out);

#endif
