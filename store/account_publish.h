/* The copy of the account database that the relay reads: who gets mail here, and nothing secret.
 *
 * One file, DIR/user.db: plain SQLite (no WAL), so that it may be copied anywhere and read by anybody.
 *
 *     account(localpart, domain, active, leaving, …)   …: the columns asked for
 *     alias(localpart, domain, target_localpart, target_domain)   localpart '' is the catch-all
 *     recipient(localpart, domain)   a view: all that the store takes mail for, accounts and aliases
 *
 * `leaving` is 1 for an inactive account whose senders get an answer: its mail is taken.  PRAGMA user_version
 * is ACCOUNT_PUBLISH_VERSION.  Rows whose names cannot be a mailbox's are left out. */
#ifndef STORE_ACCOUNT_PUBLISH_H
#define STORE_ACCOUNT_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"
#include "store/err.h"

#define ACCOUNT_PUBLISH_FILE    "user.db"
#define ACCOUNT_PUBLISH_VERSION 1

/* Columns that may be asked for beside those that are always there; ends with NULL. */
extern const char *const ACCOUNT_PUBLISH_COLUMNS[];

/* Writes the copy of the database at `db_path` (migrated: a writer has opened it before) as it is at one moment.
 * The file is durable before it takes the place of the old one in one step; where nothing has changed it is
 * left alone, byte for byte and second for second (*changed_out false).  `dir_fd` is the directory.
 * STORE_INVALID: a column that cannot be asked for; STORE_BUSY: another one is at it; STORE_FULL, STORE_DENIED,
 * STORE_IO, STORE_CORRUPT. */
enum store_err account_publish(const char *db_path, int dir_fd, const char *const *columns,
    size_t column_count, const struct log *log, bool *changed_out);

#endif
