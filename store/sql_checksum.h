/* A checksum at the end of every page of an SQLite file, and of its journal (WAL), so that damage is noticed where it is
 * read, as SQLITE_IOERR_DATA: for files that are caches, and whose wrong answers would not be seen otherwise.
 *
 * Such a file is opened with this VFS by everybody, and made with SQL_CHECKSUM_BYTES reserved in each page of
 * SQL_CHECKSUM_PAGE_BYTES (SQLITE_FCNTL_RESERVE_BYTES). */
#ifndef STORE_SQL_CHECKSUM_H
#define STORE_SQL_CHECKSUM_H

#define SQL_CHECKSUM_BYTES      8
#define SQL_CHECKSUM_PAGE_BYTES 4096

/* The VFS's name, for sqlite3_open_v2(); registered with the first call.  Any thread. */
const char *sql_checksum_vfs(void);

#endif
