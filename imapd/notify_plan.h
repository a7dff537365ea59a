/* What a NOTIFY SET asks for, parsed: RFC 5465 §8. */
#ifndef IMAPD_NOTIFY_PLAN_H
#define IMAPD_NOTIFY_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "imapd/fetch_plan.h"
#include "imapd/mailbox_filter.h"

#define NOTIFY_GROUPS_MAX 100

enum notify_event { /* bits */
	NOTIFY_MESSAGE_NEW = 1,
	NOTIFY_MESSAGE_EXPUNGE = 2,
	NOTIFY_FLAG_CHANGE = 4,
	NOTIFY_MAILBOX_NAME = 8,
	NOTIFY_SUBSCRIPTION = 16,
	NOTIFY_MAILBOX_METADATA = 32,
	NOTIFY_SERVER_METADATA = 64,

	NOTIFY_MESSAGES = NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE | NOTIFY_FLAG_CHANGE,
	NOTIFY_TREE = NOTIFY_MAILBOX_NAME | NOTIFY_SUBSCRIPTION,
	NOTIFY_METADATA = NOTIFY_MAILBOX_METADATA | NOTIFY_SERVER_METADATA,
};

struct notify_group {
	struct mailbox_filter filter;
	unsigned events;                /* enum notify_event; 0: NONE */
	const struct fetch_plan *fetch; /* of MessageNew in the selected mailbox; or NULL */
};

struct notify_plan {
	bool status; /* STATUS of each mailbox first */
	struct notify_group *groups;
	size_t group_count;
};

/* NOTIFY_BAD_EVENT: an event we do not know, and nothing else is wrong. */
enum notify_parsed { NOTIFY_PARSED, NOTIFY_SYNTAX, NOTIFY_BAD_EVENT };

/* What follows "SET".  The plan lives in the arena and points into the text. */
enum notify_parsed notify_plan_parse(
    struct cursor *c, struct arena *a, bool utf7, struct notify_plan *plan_out);

/* "MessageNew MessageExpunge …": all that there are, for BADEVENT. */
void notify_out_events(struct buf *out);

/* The group for the selected mailbox; NULL: nothing of it is told. */
const struct notify_group *notify_plan_selected(const struct notify_plan *plan);
/* The events wanted of a mailbox that is not selected.  Of each kind of event (those of messages are one) the
 * first group that covers the mailbox and has some, or is NONE, decides. */
unsigned notify_plan_events(
    const struct notify_plan *plan, const struct mailbox_candidate *candidate);
/* Can a group cover mailboxes of other users? */
bool notify_plan_has_others(const struct notify_plan *plan);
/* Of all groups together. */
unsigned notify_plan_all_events(const struct notify_plan *plan);

#endif
