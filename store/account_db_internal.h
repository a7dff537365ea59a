/* What the parts of account_db share; nobody else includes it.
 *   account_db.c         addresses, connections, look-ups
 *   account_db_write.c   what changes an account
 *   account_scripts.c    its filter, named scripts, history
 *   account_lists.c      its lists
 *   account_aliases.c    its further addresses; whose an address is
 *   account_limits.c     what it may
 *   account_apps.c       its app passwords
 *   account_bulk.c       many accounts in one transaction */
#ifndef STORE_ACCOUNT_DB_INTERNAL_H
#define STORE_ACCOUNT_DB_INTERNAL_H

#include "store/account_apps.h"
#include "store/account_db.h"
#include "store/sql.h"

/* One durable transaction around `fn`; it is taken back unless fn returns STORE_OK.  STORE_DENIED if the
 * database was opened for reading. */
enum store_err account_db_transaction(
    struct account_db *db, enum store_err (*fn)(struct sql *sql, void *arg), void *arg);
/* A look-up.  It may run several times: what an undone one has filled in is taken back by `clear`.  STORE_NOT_FOUND
 * without running `fn` where the file is older than `version_least`. */
enum store_err account_db_look(struct account_db *db, int version_least,
    enum store_err (*fn)(struct sql *sql, void *arg), void (*clear)(void *arg), void *arg);

/* Parts of larger transactions. */
bool account_password_fits(const char *stored); /* NULL: yes */
/* `row`: what account_db_add() takes, with folded names that are no alias; its id is set. */
enum store_err account_add_write(
    struct sql *sql, struct account_row *row, const struct scram_keys *scram);
enum store_err account_password_write(
    struct sql *sql, int64_t id, const char *stored, const struct scram_keys *scram);
enum store_err account_change_write(
    struct sql *sql, int64_t id, const struct account_change *change);
bool account_limits_fit(const struct account_limits *limits);
enum store_err account_limits_write(
    struct sql *sql, int64_t account, const struct account_limits *limits);
enum store_err account_limits_look(
    struct sql *sql, int64_t account, struct account_limits *limits_out);
/* STORE_EXISTS: an account has that address, or there is that alias; STORE_LIMIT. */
enum store_err account_alias_write(
    struct sql *sql, int64_t account, const char *localpart, const char *domain);
/* STORE_EXISTS where the address is an alias. */
enum store_err account_alias_refuse(struct sql *sql, const char *localpart, const char *domain);
enum store_err account_app_only_write(struct sql *sql, int64_t account, enum account_app_only only);

#endif
