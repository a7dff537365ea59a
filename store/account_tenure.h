/* Who has an address.
 *
 * Addresses pass from one to the next: an account is deleted or renamed, and somebody else's gets its address.  What others
 * have granted to an address is for who had it then, so it carries the address's tenure: a word that is chosen anew, at random,
 * whenever an account loses the address, whoever takes it away (a trigger of the database).  An address that no account has
 * lost yet has the empty one.  Being put back from a backup is no loss: the account has its old tenure again. */
#ifndef STORE_ACCOUNT_TENURE_H
#define STORE_ACCOUNT_TENURE_H

#include "base/buf.h"
#include "store/account_db.h"
#include "store/acl.h"

/* Appends it, of any address, for which there need not be an account. */
enum store_err account_tenure(struct account_db *db, struct str address, struct buf *tenure_out);
/* Does an account have the address, and with that tenure? */
enum store_err account_tenure_lasts(
    struct account_db *db, struct str address, const char *tenure, bool *lasts_out);

/* For lists of who may do what; borrows `db`. */
struct acl_tenures account_tenures(struct account_db *db);

#endif
