/* The mailboxes that filters (imapd/mailbox_filter.h) cover, of all that the session can list. */
#ifndef IMAPD_MAILBOX_SCOPE_H
#define IMAPD_MAILBOX_SCOPE_H

#include "imapd/mailbox_filter.h"
#include "imapd/place.h"
#include "store/account.h"

struct imap_session;

/* All names in the session's namespaces, as account_list() has them; those of other users only where `others`.  Nobody of ours
 * is in the middle of changing the own tree. */
enum store_err mailbox_scope_list(
    struct imap_session *s, bool others, struct mailbox_list *list_out);
struct mailbox_candidate mailbox_scope_candidate(const struct mailbox_info *info);

struct mailbox_scope {
	struct imap_place *places; /* in the arena; each mailbox once, in the order of its list */
	size_t count;
};
/* The mailboxes that exist, that one of the filters covers and that the user may read: those that are not named must be
 * visible to him too, RFC 7377 §2.2.  The selected one is in it if it is asked for by a name or its like. */
enum store_err mailbox_scope_find(struct imap_session *s, struct arena *a,
    const struct mailbox_filter *filters, size_t count, struct mailbox_scope *scope_out);

#endif
