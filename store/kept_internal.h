/* How messages get into the kept area: for those who expunge (mailbox_change.c) and delete mailboxes
 * (account_mailboxes.c), under the writer lock. */
#ifndef STORE_KEPT_INTERNAL_H
#define STORE_KEPT_INTERNAL_H

#include "store/kept.h"
#include "store/sync.h"

struct keeping {
	struct sync_box *sb;
	int fd; /* -1: nothing is kept */
	int64_t now_s;
	struct keyword_list extra;
	bool extra_loaded, extra_changed;
	uint64_t bytes;
};

/* Is anything to be kept just now? */
bool kept_wanted(const struct account *acct);
/* For messages of an open mailbox; always ended with keeping_end(). */
enum store_err keeping_begin(struct keeping *k, struct sync_box *sb);
void keeping_end(struct keeping *k);
/* Notes the rare keywords of messages that will be kept next, durably. */
enum store_err keeping_announce(
    struct keeping *k, const struct index_message *messages, size_t count);
/* Moves the file from cur/ into the kept area, or unlinks it where nothing is kept.  STORE_NOT_FOUND: it was not there. */
enum store_err keeping_take(struct keeping *k, const struct index_message *m);

/* Instead of folder_delete(): the whole folder is kept, by one rename. */
enum store_err kept_take_folder(struct account *acct, const char *mailbox);

/* After an expunge, without any lock held: prunes if that is due. */
void kept_prune_if_due(struct account *acct, uint64_t added_bytes);

#endif
