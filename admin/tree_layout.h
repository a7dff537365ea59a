/* Where the trees of all accounts lie below one directory: "%d/%n/Maildir", with %d the domain, %n the local part and %u the
 * whole address. */
#ifndef ADMIN_TREE_LAYOUT_H
#define ADMIN_TREE_LAYOUT_H

#include <stdbool.h>

#include "store/account_db.h"

#define TREE_LAYOUT_DEFAULT "%d/%n"

bool tree_layout_is_good(const char *layout); /* tells accounts apart, and stays below */
/* The tree of an account; a pattern for glob() where row is NULL.  The caller's. */
char *tree_layout_path(const char *root, const char *layout, const struct account_row *row);
/* Makes what is missing between root and the tree; false with the reason on stderr. */
bool tree_layout_make_parents(const char *root, const char *path);

#endif
