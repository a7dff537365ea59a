/* The access control lists of an account's mailboxes (store/acl.h), on disk, and who shares something with whom.
 *
 * The lists lie in the folders; they go along with a renamed mailbox and end with a deleted one, and a new mailbox takes
 * over that of the nearest one above it.  They are replaced atomically, and durable when a change says STORE_OK.
 *
 * `.sanger-shares` in the mail root says which accounts have named which users in a list, so that a user's LIST need not
 * look into all accounts.  It only proposes: the lists decide.  It is written before a list that names somebody new,
 * and made anew from all lists if it is lost or damaged.  Everybody reads all of it, so one account names no more than
 * SHARES_OF_OWNER_MAX users; of lists from elsewhere that name more the rest are not shared with. */
#ifndef STORE_ACCOUNT_ACL_H
#define STORE_ACCOUNT_ACL_H

#include "store/account.h"
#include "store/acl.h"

#define SHARES_FILE           ".sanger-shares"
#define SHARES_FILE_MAX_BYTES (64u * 1024 * 1024)
#define SHARES_OF_OWNER_MAX   1000 /* users that the lists of one account name, all together */

/* STORE_NOT_FOUND: no such mailbox.  STORE_CORRUPT: the file is damaged, which is logged.  No file is an empty list.  The
 * caller ends *acl_out with acl_free(), also after an error.  As it stands in the file. */
enum store_err account_acl_read(struct account *acct, const char *name, struct acl *acl_out);
/* What `user` may do with the mailbox.  STORE_OK with 0 where there is no such mailbox, and
 * for another user where the list is damaged; the owner of a mailbox that is not there has ACL_ALL. */
enum store_err account_acl_rights(
    struct account *acct, const char *name, const struct acl_user *user, unsigned *rights_out);
/* On the nearest mailbox above `name`.  None above it: ACL_ALL for the owner, 0 for others. */
enum store_err account_acl_rights_above(
    struct account *acct, const char *name, const struct acl_user *user, unsigned *rights_out);

/* What counts of a list now, as account_acl_read(): without what was given to former holders of addresses. */
enum store_err account_acl_current(
    struct account *acct, const char *name, const struct acl_tenures *tenures, struct acl *acl_out);
/* A damaged list is STORE_CORRUPT for both; account_acl_clear() removes it.  Deleting what is not there is STORE_OK. */
enum store_err account_acl_set(struct account *acct, const char *name, const struct acl_id *id,
    enum acl_change change, unsigned rights, const struct acl_tenures *tenures);
enum store_err account_acl_delete(struct account *acct, const char *name, const struct acl_id *id);
enum store_err account_acl_clear(struct account *acct, const char *name);

/* Puts a whole list in place: of a mailbox that came from elsewhere. */
enum store_err account_acl_put(struct account *acct, const char *name, const struct acl *acl);

/* Of a mailbox that has just been made, under the writer lock: it takes the nearest list above it. */
enum store_err account_acl_inherit(struct account *acct, const char *name);

/* --- who shares -------------------------------------------------------------------------------- */

struct shares {
	struct arena arena;
	const char **owners; /* addresses, sorted, each once */
	size_t count;
};
/* The accounts that may share something with `user`.  Zero-initialise; ends with shares_free(), also after an error. */
enum store_err shares_with(struct store *st, const char *user, struct shares *shares_out);
void shares_free(struct shares *shares);
bool shares_has(struct store *st, const char *user, const char *owner);
/* Brings what is noted of one account in line with its lists: after they came from elsewhere. */
enum store_err shares_refresh(struct account *acct);
/* All of it, from all accounts' lists. */
enum store_err shares_rebuild(struct store *st);
/* Whoever asks next makes it anew: after trees came, went or got other addresses. */
void shares_forget(const char *mail_root);

/* The file's text, for tests and fuzzing: false if damaged. */
bool shares_parse(struct str text, size_t *pairs_out);

#endif
