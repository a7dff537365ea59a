/* What a connection watches for changes, with inotify: mailboxes, an account's tree, single files.
 * Each has a number that its owner chose; when something moves there, the owner is told once and takes the
 * numbers.  Where the kernel has no watch left, everything that lacks one counts as moved every
 * WATCH_POLL_S, and the log says so once.
 *
 * All of it belongs to the loop thread and never waits.  Nobody is told of what happened before a watch
 * stood: whoever sets one looks once more. */
#ifndef IMAPD_WATCH_H
#define IMAPD_WATCH_H

#include <stdbool.h>

struct log;
struct net_loop;

#define WATCH_POLL_S 30

enum watch_kind {
	WATCH_MAILBOX, /* a Maildir folder: what comes and goes in its new/ and cur/ */
	WATCH_TREE, /* a directory: what comes and goes in it, and files in it that are written */
	WATCH_FILE, /* a file that is written to; it may be missing */
};

struct watch;
struct watch *watch_new(
    struct net_loop *loop, struct log *log, void (*on_moved)(void *arg), void *arg);
void watch_free(struct watch *w); /* NULL is fine */

/* Watches `path` under that number, instead of what it stood for; nothing to do if it is that already.
 * NULL: nothing any more.  True: a new watch stands. */
bool watch_set(struct watch *w, unsigned number, enum watch_kind kind, const char *path);
/* Nothing from that number on. */
void watch_cut(struct watch *w, unsigned count);
/* One of the numbers where something has moved; false: none any more. */
bool watch_take(struct watch *w, unsigned *number_out);
/* Has a watch ended since the last call, because what it stood on is gone?  Then set them again. */
bool watch_has_ended(struct watch *w);
/* Is there one?  (Without taking it.) */
bool watch_has_moved(const struct watch *w);

#endif
