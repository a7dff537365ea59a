/* The file of a cache in SQLite (index.db, search.db): how it is put in place and taken away while other processes may
 * have it open.  These keep their descriptors, and SQLite leaves alone what does not belong to its file any more. */
#ifndef STORE_CACHE_FILE_H
#define STORE_CACHE_FILE_H

#include "base/log.h"
#include "store/err.h"

/* Removes the journals beside `path`, of a file that is gone or about to be replaced. */
void cache_file_remove_journals(const char *path);
/* Puts the whole and closed file `fresh` in the place of `path`; if that fails `fresh` is removed. */
enum store_err cache_file_replace(const char *fresh, const char *path);
/* The same for one whose journals (PATH-wal, PATH-shm) always lie beside it: puts empty ones there first. */
enum store_err cache_file_replace_with_journals(const char *fresh, const char *path);
/* Renames a damaged file to PATH.corrupt-TIME, and logs that as `event`.  Its journals stay. */
void cache_file_set_aside(const char *path, const struct log *log, const char *event);

#endif
