/* The inside of a session's view, shared by mailbox.c (view and reading), mailbox_parsed.c, mailbox_change.c (flags,
 * expunge) and mailbox_copy.c. */
#ifndef STORE_MAILBOX_INTERNAL_H
#define STORE_MAILBOX_INTERNAL_H

#include "store/account_internal.h"
#include "store/mailbox.h"
#include "store/sync.h"

#define MAILBOX_TRIES       5                   /* when the mailbox changes while we look */
#define MAILBOX_SAVED_MIN_S INT64_C(800000000)  /* 1995, when there was no maildir */
#define MAILBOX_SAVED_MAX_S INT64_C(9999999999) /* ten digits */
#define MAILBOX_AHEAD_NAMES 64                  /* of messages that are probably opened next */

struct mailbox {
	struct account *acct;
	char *name, *prefix, *path;
	bool read_only, own_change_pending;
	bool aside; /* claims no \Recent */
	struct mailbox_facts facts;
	struct uidset view;
	struct uidset claimed; /* \Recent of this session, and in read-only ones of nobody yet */
	struct uidset recent;  /* claimed ∩ view */
	/* Changes have been told up to here. */
	uint64_t told_modseq;
	uint32_t told_uid;
	uint32_t uidnext_seen;          /* what arrives is not below it */
	uint64_t lost_from, lost_below; /* as in struct index_mailbox, as of the last sync */
	bool has_hidden_expunges;
	unsigned hold;        /* enum mailbox_hold */
	bool has_held;        /* messages that came meanwhile */
	uint64_t held_modseq; /* up to it changes were told when the hold began */
	uint64_t *own_modseqs;
	size_t own_count;
	/* Numbers in the index → numbers of this view. */
	char **keywords; /* keyword_count of them; NULL: that number has no name */
	unsigned keyword_count, keywords_told;
	uint16_t keyword_map[MAILBOX_KEYWORDS_MAX];
	bool keywords_moved; /* the map is not the identity */
	uint64_t keywords_modseq;
	/* Who opens one message after the other is told the next names in advance: until the next
	 * mailbox_sync() or _close().  A name that is not right any more is only a miss. */
	struct index_message *ahead;
	size_t ahead_count, ahead_at;
	uint32_t opened_uid;                                       /* last */
	void (*progress)(void *arg, uint64_t done, uint64_t goal); /* NULL: nobody asks */
	void *progress_arg;
};

char *mailbox_canonical(const char *name); /* the caller's to free */

/* A read transaction and this mailbox's row as of it, the keyword map up to date.  Makes the index if there is none.
 * STORE_NOT_FOUND: another mailbox lives under the name now.  Ends with mailbox_read_end(). */
enum store_err mailbox_read_begin(struct mailbox *box, struct index_mailbox *row_out);
void mailbox_read_end(struct mailbox *box, struct index_mailbox *row);

/* Brings index and folder together under the writer lock, taking \Recent for the view. */
enum store_err mailbox_refresh(struct mailbox *box, unsigned flags);

struct message mailbox_present(const struct mailbox *box, const struct index_message *m);

/* Under the writer lock: is the mailbox that sync_begin() found the one this view shows? */
bool mailbox_is_same(const struct mailbox *box, const struct sync_box *sb);

/* What parsing learns of one message: see mailbox_parsed.c. */
#define PARSED_SLICE 32 /* messages whose structure is in memory at once */
struct parsed_item {
	uint32_t uid;
	struct index_parsed p;
	bool have, fresh; /* fresh: parsed just now, not in the index yet */
};
/* Opens and parses it; with `summary` its ids and preview are learnt as well, which few clients ask for and which cost a
 * third as much again.  STORE_NOT_FOUND: it is gone. */
enum store_err mailbox_parse_item(struct mailbox *box, struct parsed_item *item, bool summary);
/* Keeps the fresh ones in the index.  Only a cache: what cannot be kept is parsed again next time. */
void mailbox_parse_keep(struct mailbox *box, const struct parsed_item *items, size_t n);

static inline void
mailbox_progress(const struct mailbox *box, uint64_t done, uint64_t goal)
{
	if (box->progress != NULL)
		box->progress(box->progress_arg, done, goal);
}

/* mailbox_transfer() into another account (mailbox_across.c). */
enum store_err mailbox_across(struct mailbox *box, const struct uidset *uids,
    const struct copy_target *to, bool move, struct copy_result *result_out);

/* Expunges one message of the view within the caller's transaction on the mailbox, under the writer lock. */
struct mailbox_expunged {
	bool taken; /* the file has gone, whatever was returned: there is no way back */
	int64_t bytes, messages; /* that quota gets back after the commit */
	uint64_t kept_bytes;     /* for kept_prune_if_due() after it */
};
enum store_err mailbox_expunge_in(
    struct mailbox *box, struct sync_box *sb, uint32_t uid, struct mailbox_expunged *out);

/* Finds the CRLF sizes that no file name tells, by reading the messages. */
enum store_err mailbox_measure(struct account *acct, const char *name);

#endif
