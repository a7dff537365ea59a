/* The account's one quota root, named "". */
#ifndef IMAPD_QUOTA_H
#define IMAPD_QUOTA_H

#include "imapd/commands.h"
#include "store/account.h"

/* "* QUOTA "" (STORAGE used limit)" in units of 1024 octets, RFC 9208 §5.1; nothing where the account
 * has no limit. */
enum store_err imap_send_quota(struct imap_session *s, bool *limited_out);

#endif
