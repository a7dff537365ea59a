/* What users taught by moving messages into Junk and out of it: hard links beside the account's mailboxes, for
 * `mailadmin bayes`.
 *
 *     ACCOUNT/sanger-training/spam/INODE     one message each, named by its inode number in decimal
 *     ACCOUNT/sanger-training/ham/INODE
 *
 * 1. No mail program sees them (no dot in front), and they do not count towards quota.
 * 2. A message is in one of the two at most: the user's last word counts.  The link keeps its inode from being used
 *    again, so the name stays right.
 * 3. None of it is durable, and none of it is mail: losing it costs a lesson. */
#ifndef STORE_TRAINING_H
#define STORE_TRAINING_H

#include <stddef.h>

#include "store/mailbox.h"

enum training_kind { TRAINING_SPAM, TRAINING_HAM };

const char *training_kind_name(enum training_kind kind); /* "spam", "ham" */

/* Links uids ∩ view, as long as there are fewer than `max` of that kind. */
enum store_err training_collect(
    struct mailbox *box, const struct uidset *uids, enum training_kind kind, size_t max);

/* The names of all of one kind; none where nothing was ever collected.  Each and the array are the caller's to free. */
enum store_err training_list(
    struct account *acct, enum training_kind kind, char ***names_out, size_t *count_out);
enum store_err training_open(
    struct account *acct, enum training_kind kind, const char *name, int *fd_out);
/* STORE_OK if it is gone. */
enum store_err training_remove(struct account *acct, enum training_kind kind, const char *name);

#endif
