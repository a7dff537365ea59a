/* An account's rows from a copy of the account database (a backup's), with all that hangs on them: password, filter and
 * its history, scripts, lists, aliases, limits, app passwords, the text for who has left.
 *
 * The copy may be of an older version than the database: what it does not have is not there, and columns that only one of
 * the two has are left out.  It is only read, and nothing is made beside it. */
#ifndef STORE_ACCOUNT_RESTORE_H
#define STORE_ACCOUNT_RESTORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"
#include "base/text.h"
#include "store/err.h"

struct account_restored {
	size_t rows;          /* beside the account's own */
	size_t aliases_taken; /* aliases that are somebody else's by now: left to them */
};

/* Adds the account in one durable transaction.  `db_path`: the database, which a writer has opened before, so that it is of
 * our version.  STORE_EXISTS: there is such an account, or an alias has the address; nothing is changed then.
 * STORE_NOT_FOUND: the copy has no such account. */
enum store_err account_restore(const char *db_path, const char *copy_path, struct str localpart,
    struct str domain, const struct log *log, struct account_restored *out);

/* All accounts of the copy, as "localpart" and "domain" alternating, by domain; each string and the array are the
 * caller's to free. */
enum store_err account_restore_list(
    const char *copy_path, const struct log *log, char ***names_out, size_t *count_out);

#endif
