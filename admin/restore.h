/* Restoring from a snapshot, into a server that runs.
 *
 * 1. Nothing that exists is removed, overwritten or doubled.
 * 2. Where an account has no mail tree, or a mailbox is not there, it is built beside and put in place by one rename when all of it is on
 *    the disk: with its UIDVALIDITY, mailbox id and UIDs, as (name, UIDVALIDITY, UID) then mean the message that they always meant
 *    (RFC 9051 §2.3.1.1).  Its leases for UIDs and mod-sequences begin RESTORE_UID_GAP and RESTORE_MODSEQ_GAP further on: what was given
 *    between the snapshot and the loss is never given again to another message.
 * 3. Into a mailbox that is there a message is appended.  It keeps its UID only if the mailbox is still the same one (UIDVALIDITY) and that
 *    UID is not below UIDNEXT.  Below it, clients may have been told that the UID is gone, and look for nothing there again:
 *    UIDs must grow.  So it gets a new one.  Flags, keywords and dates are kept in each case.
 * 4. A message is there when one with the same bytes is: in the mailbox itself; or, where a whole account is restored, anywhere in it but in
 *    Trash, as often as the snapshot has it: what was moved since does not come twice.
 * 5. Each message's digest is compared before it is given out; one that has rotted is named and left out, unless --damaged.
 * 6. Stopped at any moment, what was not put in place is invisible, and the same command goes on: what is there is not restored again. */
#ifndef ADMIN_RESTORE_H
#define ADMIN_RESTORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "admin/command.h"
#include "admin/manifest.h"
#include "admin/snapshot.h"
#include "store/keywords.h"
#include "store/maildir_name.h"
#include "store/root.h"
#include "store/search_text.h"
#include "store/uidset.h"

#define RESTORE_UID_GAP     (1u << 20)          /* of 2^32: room for 4000 restores */
#define RESTORE_MODSEQ_GAP  (UINT64_C(1) << 32) /* of 2^63 */
#define RESTORE_BATCH       100                 /* messages of one append */
#define RESTORE_BATCH_BYTES (32u << 20)

/* Which messages; what is not said asks nothing. */
struct restore_choice {
	char *mailbox;          /* in the snapshot */
	const char *message_id; /* with or without <> */
	struct search_text *search;
	size_t search_count;
	struct uidset uids;
	int64_t since_s, until_s; /* since <= INTERNALDATE < until */
	bool has_uids, has_since, has_until;
	bool some; /* single messages are asked for, not mailboxes */
};

struct restore {
	struct admin *a;
	int fd; /* the snapshot */
	char *path;
	struct snapshot snapshot;
	struct manifest server;
	struct store_root *saved_root, *live_root;
	struct restore_choice choice;
	char *into; /* NULL: where they were */
	bool dry, damaged_too, failed;
	bool clone;
	json_t *rows; /* what was done: of mailboxes, or with choice.some of messages */
	size_t restored, there, damaged;
};

/* --- what the snapshot has (restore_saved.c) ---------------------------------------------------- */

struct saved_message {
	const struct manifest_entry *entry;
	const char *name; /* of its file */
	struct maildir_name parsed;
	uint32_t uid; /* 0: none yet */
	bool in_new, wanted;
};

struct saved_folder {
	char *dir;  /* "" or ".A.B/" */
	char *name; /* "INBOX", "A/B" */
	int fd;     /* in the snapshot */
	struct keywords keywords;
	struct keyword_list extra;
	uint32_t uidvalidity; /* 0: it has none yet */
	struct saved_message *messages;
	size_t count;
	bool is_trash, is_subscribed;
};

struct saved_account {
	const char *localpart, *domain;
	char *address, *place; /* DOMAIN/LOCALPART */
	struct home *home;     /* in the snapshot: only for reading */
	struct manifest manifest;
	struct saved_folder *folders;
	size_t folder_count;
};

/* False with the reason said. */
bool saved_open(
    struct restore *r, const char *localpart, const char *domain, struct saved_account *saved_out);
void saved_close(struct saved_account *saved);

/* Sets `wanted` of each message of a folder. */
void saved_choose(struct restore *r, struct saved_folder *folder);
/* The names of a message's keywords; free the array alone, they are borrowed. */
const char **saved_keywords(
    const struct saved_folder *folder, const struct saved_message *m, size_t *count_out);

/* For choice.some: a row about the message. */
void saved_show(struct restore *r, const struct saved_account *saved,
    const struct saved_folder *folder, const struct saved_message *m, const char *state);

/* Copies a file of the snapshot, with its time stamp, unless its digest is another than the manifest's: that is said and
 * counted (STORE_CORRUPT), but for --damaged.  Not synced. */
enum store_err saved_copy(struct restore *r, const struct saved_account *saved,
    const struct manifest_entry *entry, int to_fd, const char *to);
/* The same as to its digest. */
bool saved_is_sound(struct restore *r, const struct saved_account *saved,
    const struct manifest_entry *entry, int fd);

/* --- what is there (restore_tally.c) ------------------------------------------------------------ */

struct tally;
/* Looks at the live messages of `mailbox`, NULL: of all.  Those that might be one of the snapshot's are read. */
struct tally *tally_new(
    struct restore *r, struct account *acct, struct saved_account *saved, const char *mailbox);
void tally_free(struct tally *t); /* NULL is fine */
/* Is it there, by rule 4?  If not it counts as there from now on. */
bool tally_has(
    struct tally *t, const struct manifest_entry *entry, const char *mailbox, bool in_trash);

/* --- putting it back ---------------------------------------------------------------------------- */

/* An account whose mail tree is gone (restore_tree.c).  STORE_EXISTS: it is there. */
enum store_err restore_tree(struct restore *r, struct saved_account *saved);
/* A mailbox that is gone, with its wanted messages.  STORE_EXISTS. */
enum store_err restore_folder(struct restore *r, struct saved_account *saved,
    struct saved_folder *folder, struct account *acct, struct home *home);
/* Wanted messages into a mailbox that is there (restore_append.c). */
enum store_err restore_messages(struct restore *r, struct saved_account *saved,
    struct saved_folder *folder, struct account *acct, const char *mailbox);

/* All that is asked for of an account (restore_account.c).  False: failed, said. */
bool restore_account(struct restore *r, const char *localpart, const char *domain);
/* Outgoing mail, held (restore_spool.c). */
bool restore_spool(struct restore *r);

/* A row about a mailbox (mailbox NULL: the account itself). */
void restore_report(struct restore *r, const struct saved_account *saved, const char *mailbox,
    size_t restored, size_t there, size_t damaged, const char *how);

#endif
