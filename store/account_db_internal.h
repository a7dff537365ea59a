/* What the two parts of account_db share; nobody else includes it.
 *   account_db.c         addresses, connections, look-ups
 *   account_db_write.c   what changes an account */
#ifndef STORE_ACCOUNT_DB_INTERNAL_H
#define STORE_ACCOUNT_DB_INTERNAL_H

#include "store/account_db.h"
#include "store/sql.h"

/* One durable transaction around `fn`; it is taken back unless fn returns STORE_OK.  STORE_DENIED if the
 * database was opened for reading. */
enum store_err account_db_transaction(
    struct account_db *db, enum store_err (*fn)(struct sql *sql, void *arg), void *arg);

#endif
