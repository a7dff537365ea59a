/* The folders of a Maildir++ account as directories.  Other programs may create, rename, remove and
 * deliver at any time.  Callers that rename or delete hold the account's writer lock. */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/buf.h"
#include "store/err.h"
#include "store/root.h"

#define FOLDER_TMP_MAX_AGE_S (36 * 60 * 60) /* what lies longer in tmp/ is nobody's; maildir(5) */

/* A folder's directories, held open. */
struct maildir {
	int fd, tmp_fd, new_fd, cur_fd;
};

/* A mailbox's directory and back, as store/mailbox_name.h has it; but where a directory in plain UTF-8 is there and none in
 * modified UTF-7 for the same name, it is that mailbox (a tree of Courier's).  Both append.
 * folder_path(): "" for INBOX; STORE_INVALID.  folder_name(): false if it is none of ours. */
enum store_err folder_path(int home_fd, const char *name, struct buf *out);
bool folder_name(int home_fd, const char *dir, struct buf *out);

/* Opens mailbox `name` (UTF-8, as in mailbox_name.h).  A folder that lacks one of tmp, new, cur gets
 * it.  STORE_NOT_FOUND, STORE_INVALID, STORE_IO.  The caller ends it with maildir_close(). */
enum store_err maildir_open(const struct home *home, const char *name, struct maildir *dir_out);
void maildir_close(struct maildir *dir); /* all -1 or zeroed-and-closed is fine */
/* Is it still the directory that `name` leads to (not deleted, renamed or replaced)? */
bool maildir_is_current(const struct maildir *dir, const struct home *home, const char *name);

struct folder {
	char *name;      /* UTF-8 mailbox name, "INBOX" for the root */
	bool selectable; /* false: exists only as the parent of another */
	bool has_children;
};
struct folder_list {
	struct folder *items; /* INBOX first, then sorted by bytes of the name with '/' lowest */
	size_t count;
};

/* All folders, with one readdir of the account's directory; parents without a directory of their
 * own are there with selectable == false. */
enum store_err folder_list(const struct home *home, struct folder_list *list_out);
void folder_list_free(struct folder_list *list);
bool folder_exists(const struct home *home, const char *name); /* selectable */

/* Makes a folder with tmp, new, cur and `maildirfolder`, built under a hidden name and renamed into
 * place: nobody sees a half one, and it is durable on STORE_OK.  STORE_EXISTS, STORE_INVALID.
 * Superior levels need no directory of their own. */
enum store_err folder_create(const struct home *home, const char *name);

/* The same in two steps, for a folder that is filled before anybody sees it (a restored one).  folder_prepare() makes a hidden
 * directory with tmp, new, cur and `maildirfolder` in the account's, and removes those whose makers are dead; folder_place() gives
 * it its name, durably, when the caller has synced what it put there: STORE_EXISTS if somebody has made such a folder meanwhile.
 * *making_out is the caller's to free, *fd_out (the directory, locked while it is open) to close. */
enum store_err folder_prepare(const struct home *home, char **making_out, int *fd_out);
enum store_err folder_place(const struct home *home, const char *making, const char *name);
void folder_drop(const struct home *home, const char *making); /* instead of placing it */

/* Removes a folder with its mail: first renamed (durably) to a name no Maildir++ reader lists, then
 * emptied; a crash in between is finished by folder_clean().  Children stay.
 * INBOX is STORE_INVALID, none there STORE_NOT_FOUND. */
enum store_err folder_delete(const struct home *home, const char *name);

/* Renames a folder and all below it.  STORE_EXISTS if `to` or a new child's name is taken,
 * STORE_INVALID if `to` lies below `from`, or one of the new names cannot be.
 * What is to be done is first written to `sanger-rename`, so a crash is finished, not half done,
 * by the next folder_clean() or folder_rename().
 * INBOX (RFC 9051 §6.3.6: its mail moves, the folder stays, children stay) is the mailbox layer's:
 * STORE_INVALID. */
enum store_err folder_rename(const struct home *home, const char *from, const char *to);

/* Finishes what a crash left: a rename, removed folders, half-made ones (older than
 * FOLDER_TMP_MAX_AGE_S).  Cheap when there is nothing; call it under the writer lock when an account
 * is opened. */
enum store_err folder_clean(const struct home *home);
/* Removes files of one folder's tmp/ that are older than FOLDER_TMP_MAX_AGE_S by both their mtime and
 * ctime; other programs' too, as maildir(5) asks.  So go temporary files of ours beside it.  dry_run: only counts. */
enum store_err folder_clean_tmp(
    const struct maildir *dir, time_t now, bool dry_run, size_t *removed_out);

#endif
