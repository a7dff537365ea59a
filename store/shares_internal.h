/* Between account_acl.c and shares.c. */
#ifndef STORE_SHARES_INTERNAL_H
#define STORE_SHARES_INTERNAL_H

#include "store/account.h"
#include "store/acl.h"

/* Before a list of the account names somebody: durable on STORE_OK. */
enum store_err shares_note(struct account *acct, const struct acl_id *id);

#endif
