/* The mailboxes that a session can list: the account's own, and below the other users' namespace those that others let
 * it look at (imapd/place.h). */
#ifndef IMAPD_LIST_OTHERS_H
#define IMAPD_LIST_OTHERS_H

#include "imapd/list.h"

#define IMAP_LIST_OTHERS_MAX 100000 /* other users' mailboxes in one list */

struct imap_session;

/* As account_list(), with what patterns of the query may reach of the others'.  Special uses are told of own mailboxes
 * only: nobody's client shall take another's Sent for its own. */
/* What comes to the account's own list, which imap_list_all() begins with. */
enum store_err imap_list_add_others(
    struct imap_session *s, const struct list_query *query, struct mailbox_list *list);
enum store_err imap_list_all(
    struct imap_session *s, const struct list_query *query, struct mailbox_list *list_out);

#endif
