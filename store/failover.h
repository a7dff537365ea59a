/* What an account needs when its mail tree goes on at another host, from a copy that may be older than what clients have seen. */
#ifndef STORE_FAILOVER_H
#define STORE_FAILOVER_H

#include "store/account.h"

/* The dead host may have given UIDs and mod-sequences after the copy was made, beyond the leases that the copy knows of.
 * So new ones begin that far above the leases: more than any mailbox gets between two copies, and little enough for
 * thousands of fail-overs in the 32 bits of a UID. */
#define FAILOVER_UID_JUMP    (UINT32_C(1) << 20)
#define FAILOVER_MODSEQ_JUMP (UINT64_C(1) << 40)

/* For each mailbox of the account, before any server opens it: raises the leases, durably.  UIDVALIDITY and the UIDs of what
 * is there stay; a mailbox made from now on gets a UIDVALIDITY that the other host has not given.  One whose UIDs would
 * run out gets a new UIDVALIDITY.  Indexes go: they are caches, and of another life.  Doing it twice does no harm. */
enum store_err account_jump(struct account *acct);

#endif
