/* The mail root and the accounts' directories in it: MAIL_ROOT/domain/localpart/, each a Maildir++.
 *
 * `struct store_root` is one per process and safe to share between threads.
 * `struct home` is one account's directory, held open: all paths of the account are relative to it.
 * Its owner is the only user, unless said otherwise; several may be open for one account. */
#ifndef STORE_ROOT_H
#define STORE_ROOT_H

#include <stdbool.h>

#include "base/log.h"
#include "store/err.h"

#define MAILBOX_LOCK_WAIT_S 30 /* for an account's writer lock, before STORE_BUSY */

/* An address part is 1 to 128 bytes of UTF-8 without '/', control bytes and a dot in front; the
 * domain has no '@'.  ASCII letters become lower case. */
#define ADDRESS_PART_MAX_BYTES 128

struct store_root;

/* `path` must exist.  `log` (NULL for none) is borrowed until store_root_close(). */
enum store_err store_root_open(
    const char *path, const struct log *log, struct store_root **root_out);
void store_root_close(
    struct store_root *root); /* NULL is fine; after all that was opened from it */
const struct log *store_root_log(const struct store_root *root);
int store_root_fd(const struct store_root *root); /* borrowed */

struct home {
	struct store_root *root;
	const struct log *log;
	int fd;       /* the account's directory, which is the INBOX folder */
	char *domain; /* lower case */
	char *localpart;
};

/* Opens an account's directory; STORE_NOT_FOUND if there is none, STORE_INVALID for parts that
 * cannot be.  `create` makes it and what is missing of domain/, localpart/, tmp, new and cur, each
 * durable before it is used.  The caller ends it with home_close(). */
enum store_err home_open(struct store_root *root, const char *localpart, const char *domain,
    bool create, struct home **home_out);
void home_close(struct home *home); /* NULL is fine */

/* Renames or removes an account's directory durably (the caller sees to index and database).
 * Removing first renames to a name that no account can have, so a crash leaves no half account. */
enum store_err home_rename(struct store_root *root, const char *localpart, const char *domain,
    const char *new_localpart, const char *new_domain);
enum store_err home_remove(struct store_root *root, const char *localpart, const char *domain);

/* Goes on with removals in a domain's directory that were cut short. */
enum store_err home_remove_leftovers(struct store_root *root, const char *domain);

/* The account's writer lock: flock on the directory, by a descriptor of its own, so that two users
 * in one process exclude each other too.  Nobody starves: who has waited for long goes before who comes.
 * Waits at most wait_ms, then STORE_BUSY. */
struct home_lock {
	int fd; /* -1: not held */
};
enum store_err home_lock(const struct home *home, int wait_ms, struct home_lock *lock_out);
void home_unlock(struct home_lock *lock); /* not held is fine */

#endif
