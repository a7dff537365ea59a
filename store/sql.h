/* What the account database and the spool share of SQLite: one connection with its prepared
 * statements, errors as enum store_err, migrations.  One thread at a time. */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/text.h"
#include "store/err.h"

#define SQL_STATEMENTS_MAX 96 /* distinct texts per connection */

struct sql {
	sqlite3 *db;
	const struct log *log; /* borrowed */
	char *path;
	int64_t busy_ms, busy_since_ms; /* for others' locks */
	struct {
		const char *text;
		sqlite3_stmt *stmt;
	} statements[SQL_STATEMENTS_MAX];
	size_t statement_count;
};

/* `flags` as for sqlite3_open_v2; `uri_options` ("immutable=1") may be NULL.
 * sql_close() also after an error. */
enum store_err sql_open(struct sql *s, const char *path, int flags, const char *uri_options,
    int busy_ms, const struct log *log);
/* The first statements of a connection: journal mode and the like.  Waits while others do the same. */
enum store_err sql_set_up(struct sql *s, const char *pragmas);
void sql_close(struct sql *s); /* a zeroed one is fine */

/* The statement of a text, compiled once per connection; `text` is a literal, known by its address.
 * Reset and without bindings.  NULL with a log line if it does not compile. */
sqlite3_stmt *sql_get(struct sql *s, const char *text);
/* Steps: STORE_OK with a row there, STORE_NOT_FOUND when done, else the error, logged. */
enum store_err sql_step(struct sql *s, sqlite3_stmt *stmt);
/* Steps a statement that gives no rows, and resets it. */
enum store_err sql_run(struct sql *s, sqlite3_stmt *stmt);
enum store_err sql_exec(struct sql *s, const char *text);
/* Takes a string, NULL for the SQL one.  Borrowed until the statement is reset. */
void sql_bind_text(sqlite3_stmt *stmt, int index, const char *text);
void sql_bind_str(sqlite3_stmt *stmt, int index, struct str text);
char *sql_column_dup(sqlite3_stmt *stmt, int column); /* NULL for the SQL one; the caller's */

enum store_err sql_err(struct sql *s, int rc, const char *doing); /* translates and logs */
/* COMMIT after STORE_OK, ROLLBACK otherwise; gives the first error. */
enum store_err sql_end(struct sql *s, enum store_err err);

/* PRAGMA user_version; -1 if it cannot be read. */
int sql_version(struct sql *s);
/* Runs steps[user_version] and on, each in a transaction with its new user_version.  STORE_VERSION:
 * the file is newer than `count`. */
enum store_err sql_migrate(struct sql *s, const char *const *steps, int count);
/* PRAGMA integrity_check; findings one per line. */
enum store_err sql_check(struct sql *s, struct buf *problems);

#endif
