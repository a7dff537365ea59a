/* Another server's Maildir++ tree becomes an account's as it is: `mailadmin import maildir --in-place`.  It is moved (one
 * rename on the same file system) to where the account's mail belongs, unless it lies there; the store then serves it with
 * its own UID lists (doc/formats.md).  No message is renamed or copied, so one can go back. */
#ifndef ADMIN_MAILDIR_ADOPT_H
#define ADMIN_MAILDIR_ADOPT_H

#include <stdbool.h>

#include "admin/command.h"
#include "admin/maildir_import.h"

/* False with the reason on stderr; before the rename nothing has changed. */
bool maildir_adopt(struct admin *a, const struct account_row *row, struct source_tree *tree,
    const char *label, maildir_import_row_fn *result, void *arg);

#endif
