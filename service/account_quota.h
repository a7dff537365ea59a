/* What an account may hold: its quota and limits in the account database, and what the configuration gives to all
 * (store.messages_max, store.message_size_max, store.mailboxes_max). */
#ifndef SERVICE_ACCOUNT_QUOTA_H
#define SERVICE_ACCOUNT_QUOTA_H

#include "base/config.h"
#include "store/account_db.h"
#include "store/quota.h"

/* For account_set_quota_limits() and struct quota_rules.  No message_bytes is above store.message_size_max.  Limits that
 * cannot be read are the configuration's. */
struct quota_limits account_quota_limits(
    struct account_db *db, const struct account_row *row, const struct config *config);

#endif
