/* What an imported tree says of its mailboxes as a whole: special uses, by its own word or by the names that servers and
 * clients give them, and subscriptions.  Only of mailboxes imported for the first time: what the user changed since stays. */
#ifndef ADMIN_MAILDIR_USES_H
#define ADMIN_MAILDIR_USES_H

#include <stdbool.h>

#include "admin/maildir_source.h"
#include "store/account.h"

/* `first[i]`: the tree's i-th folder was not imported before.  False with the reason on stderr. */
bool maildir_uses_take(
    struct account *mail, const struct source_tree *tree, const bool *first, const char *label);

#endif
