/* SQLite files as wholes: for backups of databases that others are using. */
#ifndef STORE_SQL_COPY_H
#define STORE_SQL_COPY_H

#include "base/buf.h"
#include "base/log.h"
#include "store/err.h"

/* Copies the database as it is at one moment; others go on reading and writing it.  The copy is one file without a WAL,
 * mode 0600, and not synced.  `to` must not exist.  STORE_NOT_FOUND, STORE_CORRUPT, STORE_FULL, STORE_IO; no copy is left then. */
enum store_err sql_copy(const char *from, const char *to, const struct log *log);

/* PRAGMA integrity_check of a file that nobody writes: nothing is made beside it.  Findings one per line; what cannot be
 * opened or is no database is a finding, too. */
enum store_err sql_check_file(const char *path, const struct log *log, struct buf *problems);

#endif
