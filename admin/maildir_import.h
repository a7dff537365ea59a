/* Takes the mail of a Maildir tree into an account: `mailadmin import maildir`.
 *
 * 1. A message is on disk here before it counts as imported; the source is never changed.
 * 2. An empty mailbox takes over UIDVALIDITY and UIDs.  One that has mail keeps its own: what is imported gets new UIDs.
 * 3. A second run takes what is new and follows changes of flags; nothing is doubled, and what was deleted here stays so.
 * 4. Killed at any point, the next run goes on.
 * 5. Clients of the other server must never find another message under a UID they know.  Where a UID cannot be had any
 *    more (mail came in here between two runs), the mailbox gets a new UIDVALIDITY. */
#ifndef ADMIN_MAILDIR_IMPORT_H
#define ADMIN_MAILDIR_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/maildir_source.h"
#include "store/account.h"

#define IMPORT_BATCH_MESSAGES 256 /* made durable together */

struct maildir_import_options {
	bool dry_run;
	bool
	    running; /* what has no UID yet is left for the next run: the other server will give it one */
	bool expunge; /* what is gone there goes here */
};
struct maildir_import_result { /* of one mailbox */
	const char *mailbox;
	size_t messages;  /* there */
	size_t copied;    /* in this run */
	size_t uids_kept; /* of all that are here, from this run and from earlier ones */
	size_t changed;   /* flags or keywords */
	size_t gone;      /* not there any more: still here, or expunged with that option */
	size_t waiting;   /* without a UID, see `running` */
	size_t keywords;  /* different ones */
	size_t damaged;   /* lines of lists that cannot be read */
	size_t failed;    /* messages that cannot be read: said on stderr */
	bool same_uidvalidity;
};
typedef void maildir_import_row_fn(void *arg, const struct maildir_import_result *result);

/* `row` may be NULL.  `mail` may be NULL in a dry run: the account has no tree yet.  False if something was not imported; it is said on
 * stderr, with `label` (the account) in front. */
bool maildir_import(struct account *mail, const struct source_tree *tree, const char *label,
    const struct maildir_import_options *options, maildir_import_row_fn *row, void *arg);

#endif
