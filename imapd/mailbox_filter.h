/* The mailboxes that NOTIFY and ESEARCH speak of: filter-mailboxes, RFC 5465 §6 and RFC 7377 §2.2.
 * Names are UTF-8, as the session sees them; a filter says what it covers, and the caller lists what there is. */
#ifndef IMAPD_MAILBOX_FILTER_H
#define IMAPD_MAILBOX_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/text.h"

#define MAILBOX_FILTER_NAMES_MAX 500 /* names in one filter */

enum mailbox_filter_kind { /* bits, so that a caller can say what it takes */
	MAILBOX_FILTER_SELECTED = 1,
	MAILBOX_FILTER_SELECTED_DELAYED = 2,
	/* Filters can deliver into any mailbox of the user's own: the same as personal, RFC 5465 §6.3. */
	MAILBOX_FILTER_INBOXES = 4,
	MAILBOX_FILTER_PERSONAL = 8,
	MAILBOX_FILTER_SUBSCRIBED = 16,
	MAILBOX_FILTER_SUBTREE = 32,
	MAILBOX_FILTER_SUBTREE_ONE = 64, /* RFC 7377 §2.2: and its children, no deeper */
	MAILBOX_FILTER_MAILBOXES = 128,
};
#define MAILBOX_FILTERS_NOTIFY                                                                     \
	(MAILBOX_FILTER_SELECTED | MAILBOX_FILTER_SELECTED_DELAYED | MAILBOX_FILTER_INBOXES |      \
	    MAILBOX_FILTER_PERSONAL | MAILBOX_FILTER_SUBSCRIBED | MAILBOX_FILTER_SUBTREE |         \
	    MAILBOX_FILTER_MAILBOXES)
#define MAILBOX_FILTERS_ESEARCH                                                                    \
	((MAILBOX_FILTERS_NOTIFY | MAILBOX_FILTER_SUBTREE_ONE) & ~MAILBOX_FILTER_SELECTED_DELAYED)

struct mailbox_filter {
	enum mailbox_filter_kind kind;
	const char **names; /* in the arena; of SUBTREE, SUBTREE_ONE and MAILBOXES */
	size_t name_count;
};

/* filter-mailboxes, of the kinds in the set `kinds`; utf7 as in imapd/names.h. */
bool imap_parse_mailbox_filter(struct cursor *c, struct arena *a, bool utf7, unsigned kinds,
    struct mailbox_filter *filter_out);

/* A mailbox that there is, or might be. */
struct mailbox_candidate {
	const char *shown;
	bool own; /* in the user's personal namespace */
	bool subscribed;
};
/* Never true for the selected kinds: what is selected is no matter of names. */
bool mailbox_filter_covers(
    const struct mailbox_filter *filter, const struct mailbox_candidate *candidate);
/* Can it cover a mailbox of another user? */
bool mailbox_filter_reaches_others(const struct mailbox_filter *filter);
/* Does it say this very name? */
bool mailbox_filter_names(const struct mailbox_filter *filter, const char *shown);

#endif
