/* Quota roots: each account has one, named "" for itself, and by its address for others. */
#ifndef IMAPD_QUOTA_H
#define IMAPD_QUOTA_H

#include "imapd/commands.h"
#include "store/account.h"

/* "* QUOTA root (STORAGE used limit MESSAGE used limit MAILBOX used limit)", RFC 9208 §5.1 (in units of 1024 octets) to §5.3:
 * those that the account has a limit of; where it has none nothing, or `always` an empty list. */
enum store_err imap_send_quota(
    struct imap_session *s, struct account *acct, bool always, bool *limited_out);
void imap_out_quota_root(struct imap_session *s, struct account *acct);
/* The account of a root: the own one, or for a quota administrator any that is active; else NULL. */
enum store_err imap_quota_account(
    struct imap_session *s, struct str root, struct account **acct_out);
/* imapd.quota_admins names this user. */
bool imap_is_quota_admin(const struct imap_session *s);
/* Do any limits of it say something? */
bool imap_quota_is_limited(const struct account_quota *q);

#endif
