/* Files beneath an open directory.  A path never leaves the directory and never crosses a symbolic
 * link: openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS), or component by
 * component with O_NOFOLLOW where the kernel lacks it.  All descriptors are O_CLOEXEC.
 * Nothing here logs: errno is left as the system call set it, for the caller's line. */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/text.h"
#include "store/err.h"

#define DIR_MODE  0700
#define FILE_MODE 0600

/* As store_err_from_errno(), but what the server may not do in its own tree is STORE_IO: EACCES,
 * EPERM and EROFS are the administrator's to mend, not the peer's. */
enum store_err dir_err(int errnum);

/* Opens a file.  `flags` as for open(2).  Relative paths without "..", may have several levels. */
enum store_err dir_open_file(int at_fd, const char *path, int flags, mode_t mode, int *fd_out);
enum store_err dir_open(int at_fd, const char *path, int *fd_out); /* "." opens it anew */
/* Makes one directory and fsyncs its parent `at_fd`.  One that is there already is STORE_OK, and
 * costs no sync. */
enum store_err dir_make(int at_fd, const char *name);
enum store_err dir_sync(int fd); /* fsync, once */
bool dir_exists(int at_fd, const char *path);

/* Renames and never replaces: STORE_EXISTS.  Files by link and unlink where the kernel or the file
 * system lacks RENAME_NOREPLACE; directories by a check and rename then. */
enum store_err dir_rename_new(int from_fd, const char *from, int to_fd, const char *to);

/* The whole file behind the bytes in `out`.  STORE_LIMIT if it has more than max_bytes. */
enum store_err dir_read_file(int at_fd, const char *path, size_t max_bytes, struct buf *out);
/* All of them, from where the file stands.  False: errno says why. */
bool dir_write_all(int fd, struct str bytes);
/* Puts a file in place of `name` in one step: a reader sees the old bytes or the new ones.
 * `durable`: fsync of the file before and of the directory after the rename. */
enum store_err dir_replace_file(int dir_fd, const char *name, struct str bytes, bool durable);

/* Calls `each` for every entry but "." and ".."; `type` is DT_* of <dirent.h>, DT_UNKNOWN resolved.
 * Stops when it returns false.  What is added or removed meanwhile may or may not be seen. */
typedef bool dir_entry_fn(void *arg, const char *name, unsigned char type);
enum store_err dir_list(int dir_fd, dir_entry_fn *each, void *arg);

/* Removes a directory and all below it, links not followed.  STORE_OK if it is gone. */
enum store_err dir_remove_tree(int at_fd, const char *name);

/* A name nobody else uses: `<sec>.M<usec>P<pid>Q<n>.<host>`, also right between threads. */
#define DIR_UNIQUE_MAX_BYTES 128
void dir_unique_name(char name_out[DIR_UNIQUE_MAX_BYTES]);

#endif
