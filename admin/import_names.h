/* Which mailbox here a mailbox of another IMAP server becomes:
 *
 * 1. The prefix of a personal namespace ("INBOX.") goes, RFC 2342; levels are split by '/', whatever the server splits them
 *    by.  What cannot stand in a name here becomes '_'.
 * 2. A special use (RFC 6154), or without one a name that the world's mail programs give such a mailbox, leads to the
 *    mailbox here that has this use, with what is below it: "Sent Items/2024" becomes "Sent/2024".  Not where the source
 *    has a mailbox of that very name besides.
 * 3. Mailboxes that show what others hold (\All, \Flagged, \Important) come last: `rest_only`.
 * 4. What the record says of an earlier run comes before all that; no two become one. */
#ifndef ADMIN_IMPORT_NAMES_H
#define ADMIN_IMPORT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/imap_client.h"
#include "base/mem.h"
#include "store/account.h"

struct import_name {
	const struct imap_mailbox *box;
	const char *path;     /* as people would write it: by rule 1 */
	const char *local;    /* NULL: it is left out */
	const char *left_out; /* why */
	enum special_use use; /* for a mailbox that has to be made */
	bool rest_only;
};

/* `known`: the local name of an earlier run, NULL if there is none.  *out has boxes->count members, in the order in
 * which they are to be imported; all lies in the arena. */
void import_names(const struct imap_mailboxes *boxes, const struct mailbox_list *here,
    const char *(*known)(void *arg, const char *name), void *arg, struct arena *arena,
    struct import_name **out);

#endif
