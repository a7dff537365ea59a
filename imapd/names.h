/* Mailbox names between the wire and our UTF-8, and the patterns of LIST.
 * On the wire a session that has enabled IMAP4rev2 speaks Net-Unicode (RFC 9051 §5.1), any other
 * modified UTF-7 (RFC 3501 §5.1.3); `utf7` says which. */
#ifndef IMAPD_NAMES_H
#define IMAPD_NAMES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

#define IMAP_DELIMITER '/' /* between the levels of a name */

/* A name as it came → our UTF-8 in the arena; INBOX in capitals, also as the first level.  False
 * for a name that is no valid UTF-7 or UTF-8, or has control characters.  Wildcards pass: a pattern
 * goes the same way. */
bool imap_mailbox_from_wire(struct arena *a, bool utf7, struct str wire, char **name_out);
/* What no mailbox can be called. */
#define IMAP_NAME_IMPOSSIBLE "\x01"
/* mailbox, RFC 9051 §9: an astring turned into a name; false if it is none.  One that no name can be made of becomes
 * IMAP_NAME_IMPOSSIBLE: the syntax is right, so each command answers as for any other name that it cannot take. */
bool imap_parse_mailbox(struct cursor *c, struct arena *a, bool utf7, char **name_out);
/* The bytes that stand for our name on the wire, not quoted. */
void imap_mailbox_to_wire(struct buf *out, bool utf7, const char *name);

/* The name in normalisation form C (RFC 5198 §3), in the arena; NULL if it is in that form already. */
char *imap_mailbox_nfc(struct arena *a, const char *name);

/* A reference and a pattern as they came → the patterns to look for: as written and, where that is another, in normalisation
 * form C (a client may write either, RFC 9051 §5.1).  None for what fits no name, which is no error, §6.3.9. */
#define IMAP_PATTERN_FORMS 2
size_t imap_patterns_from_wire(struct arena *a, bool utf7, struct str reference, struct str pattern,
    const char *forms_out[IMAP_PATTERN_FORMS]);

/* Does LIST's pattern fit the name?  "*" stands for anything, "%" for anything without a delimiter,
 * RFC 9051 §6.3.9.  Time is the product of both lengths at worst, and never exponential.
 * INBOX matches in any letter case where it is the whole first level. */
bool imap_pattern_matches(const char *pattern, const char *name);

#endif
