/* The parts of imapd/notify.h: notify.c (life, selected mailbox, watches), notify_tree.c (which mailboxes there are),
 * notify_status.c (what is in them). */
#ifndef IMAPD_NOTIFY_INTERNAL_H
#define IMAPD_NOTIFY_INTERNAL_H

#include <stdint.h>

#include "base/mem.h"
#include "imapd/notify.h"
#include "store/account.h"
#include "store/uidset.h"

enum {
	NOTIFY_WATCH_TREE = 1,  /* the account's directory */
	NOTIFY_WATCH_STATE = 2, /* its state.db, where annotations are */
	NOTIFY_WATCH_BOX = 3,   /* the first of a mailbox */
};

/* Which directory it is: tells a renamed mailbox from a new one. */
struct notify_id {
	uint64_t dev, inode;
	int64_t born_ns; /* 0: the file system does not say */
};

/* A name that the client wants to hear of. */
struct notify_box {
	char *shown, *name;   /* in the session's namespaces, in the account */
	struct account *acct; /* NULL: a name that leads nowhere */
	unsigned attributes;  /* enum mailbox_attribute */
	enum special_use use;
	unsigned events; /* enum notify_event */
	bool no_access;  /* it may be seen, but what is wanted of it may not */
	char *folder;    /* of another user's: its directory, where its list of rights is */
	struct notify_id id;

	/* of its messages, where those are wanted */
	char *path;      /* NULL: they are not */
	unsigned number; /* of its watch */
	bool moved;
	bool known; /* the client has been told the following, or knows it */
	uint32_t messages, unseen, uidnext, uidvalidity;
	uint64_t modseq;
	uint32_t own_messages; /* of those the session has put in itself since */
};

struct notify_boxes {
	struct notify_box *items; /* sorted by `shown` */
	size_t count;
};

/* An account's annotations: the last change that the client knows, and its own ones after that. */
struct notify_state {
	struct account *acct; /* the session's, until logout */
	uint64_t last, own_first, own_last;
	char *path; /* to watch */
};

struct imap_notify {
	struct arena arena; /* of the plan */
	struct notify_plan plan;
	unsigned selected; /* enum notify_event bits of the selected mailbox */
	bool delayed;
	const struct fetch_plan *fetch; /* of new messages in it; or NULL */
	size_t begun;                   /* boxes whose STATUS is sent or taken */
	unsigned first_more;            /* from this number on a watch stands for the tree */

	struct notify_boxes boxes;
	bool selected_moved, tree_moved, boxes_moved, watches_changed;
	int64_t tree_after_ms; /* not before that is the tree read again */
	bool overflow;
	char **own_names;
	size_t own_name_count;

	/* Accounts whose annotations are asked for, the session's own first; none: no annotations are. */
	struct notify_state *states;
	size_t state_count;
	bool metadata_moved;
	unsigned first_state; /* from this number on a watch stands for the others' */
};

/* Frees what one holds. */
void notify_box_clear(struct notify_box *box);
void notify_boxes_free(struct notify_boxes *boxes);
struct notify_box *notify_boxes_find(const struct notify_boxes *boxes, const char *shown);

/* All names with the events wanted of each, also none. */
enum store_err notify_tree_load(
    struct imap_session *s, const struct notify_plan *plan, struct notify_boxes *boxes_out);
/* Takes out the names of which nothing is wanted. */
void notify_tree_trim(struct notify_boxes *boxes);
/* Watched mailboxes get numbers, those that had one keep it.  False: too many. */
bool notify_tree_number(struct notify_boxes *boxes);
/* "* LIST (\NoAccess …) …": it can be seen, but not watched, RFC 5465 §3.1. */
void notify_tree_no_access(struct imap_session *s, const struct notify_box *box);
/* Reads the tree again and tells what is new there. */
void notify_tree_update(struct imap_session *s);

/* Takes what is in the mailbox as told; `tell`: by a STATUS response. */
void notify_status_begin(struct imap_session *s, struct notify_box *box, bool tell);
/* Tells what has changed in it. */
void notify_status_update(struct imap_session *s, struct notify_box *box);

/* Annotations: takes them as told, also those of accounts that have come since; tells what has changed. */
void notify_metadata_begin(struct imap_session *s);
void notify_metadata_update(struct imap_session *s);
void notify_metadata_free(struct imap_notify *n);

/* "* OK [NOTIFICATIONOVERFLOW] …", and nothing more, RFC 5465 §5.8. */
void notify_overflow(struct imap_session *s);

#endif
