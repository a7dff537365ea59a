/* What a script can `require`: one table of names, RFC 5228 §3.2.  A capability without a row in
 * capability.c is not there: requiring it is a compile error, `ihave` answers false. */
#ifndef FILTER_SIEVE_CAPABILITY_H
#define FILTER_SIEVE_CAPABILITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

enum sieve_cap {
	SIEVE_CAP_NONE, /* RFC 5228 itself; needs no require */
	SIEVE_CAP_FILEINTO,
	SIEVE_CAP_ENVELOPE,
	SIEVE_CAP_ENCODED_CHARACTER,
	SIEVE_CAP_COMPARATOR_OCTET,
	SIEVE_CAP_COMPARATOR_ASCII_CASEMAP,
	SIEVE_CAP_COMPARATOR_ASCII_NUMERIC,
	SIEVE_CAP_COMPARATOR_UNICODE_CASEMAP,
	SIEVE_CAP_COPY,
	SIEVE_CAP_BODY,
	SIEVE_CAP_VARIABLES,
	SIEVE_CAP_RELATIONAL,
	SIEVE_CAP_IMAP4FLAGS,
	SIEVE_CAP_SUBADDRESS,
	SIEVE_CAP_IHAVE,
	SIEVE_CAP_MAILBOX,
	SIEVE_CAP_REGEX,
	SIEVE_CAP_VACATION,
	SIEVE_CAP_VACATION_SECONDS,
	SIEVE_CAP_REJECT,
	SIEVE_CAP_EREJECT,
	SIEVE_CAP_ENOTIFY,
	SIEVE_CAP_FCC,
	SIEVE_CAP_ENVIRONMENT,
	SIEVE_CAP_SPAMTEST,
	SIEVE_CAP_SPAMTESTPLUS,
	SIEVE_CAP_VIRUSTEST,
	SIEVE_CAP_DATE,
	SIEVE_CAP_INDEX,
	SIEVE_CAP_EDITHEADER,
	SIEVE_CAP_MBOXMETADATA,
	SIEVE_CAP_SERVERMETADATA,
	SIEVE_CAP_MIME,
	SIEVE_CAP_FOREVERYPART,
	SIEVE_CAP_EXTRACTTEXT,
	SIEVE_CAP_REPLACE,
	SIEVE_CAP_ENCLOSE,
	SIEVE_CAP_ENVELOPE_DSN,
	SIEVE_CAP_ENVELOPE_DELIVERBY,
	SIEVE_CAP_REDIRECT_DSN,
	SIEVE_CAP_REDIRECT_DELIVERBY,
	SIEVE_CAP_EXTLISTS,
	SIEVE_CAP_INCLUDE,
	SIEVE_CAP_IMAPSIEVE,
	SIEVE_CAP_DUPLICATE,
	SIEVE_CAP_SPECIAL_USE,
	SIEVE_CAP_MAILBOXID,
	SIEVE_CAP_DOVECOT_ENVIRONMENT,
	SIEVE_CAP_DOVECOT_DEBUG,
	SIEVE_CAP_DOVECOT_REPORT,
	SIEVE_CAPS
};
_Static_assert(SIEVE_CAPS <= 64, "a set of capabilities is a uint64_t");

#define SIEVE_CAP_BIT(cap) (UINT64_C(1) << (cap))

struct sieve_capability {
	const char *name; /* NULL: we do not have it */
	uint64_t implies; /* SIEVE_CAP_BITs of what comes with it */
	bool always;      /* works without being required */
};

/* The row of a name; SIEVE_CAP_NONE if there is none. */
enum sieve_cap sieve_capability_find(struct str name);
const char *sieve_capability_name(enum sieve_cap cap); /* never NULL */
bool sieve_capability_always(enum sieve_cap cap);      /* works without a require */
/* The bits that requiring it sets: itself and what it implies. */
uint64_t sieve_capability_bits(enum sieve_cap cap);
/* All names with a blank between them, as ManageSieve's SIEVE line has them (RFC 5804 §1.7). */
void sieve_capability_list(struct buf *out);

#endif
