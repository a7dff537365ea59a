/* The account's one quota root, named "". */
#ifndef IMAPD_QUOTA_H
#define IMAPD_QUOTA_H

#include "imapd/commands.h"
#include "store/account.h"

/* "* QUOTA "" (STORAGE used limit MESSAGE used limit)", RFC 9208 §5.1 (in units of 1024 octets) and §5.2: those that the
 * account has a limit of; nothing where it has none. */
enum store_err imap_send_quota(struct imap_session *s, struct account *acct, bool *limited_out);

#endif
