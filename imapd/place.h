/* Where a mailbox name leads that a client says: into the session's own account, or, below the other users' namespace
 * (RFC 2342), into another account that shares something with this user.
 *
 *	Archive/2026                      own
 *	Other Users/bob/Projects          of bob, in the session's own domain
 *	Other Users/bob@example.net/INBOX of an account in another domain
 *
 * Every command that takes a mailbox name goes through here, and asks imap_place_may() before it uses the account. */
#ifndef IMAPD_PLACE_H
#define IMAPD_PLACE_H

#include <stdbool.h>

#include "imapd/commands.h"
#include "store/acl.h"
#include "store/err.h"

#define IMAP_OTHER_USERS "Other Users" /* the namespace's first level */
#define IMAP_OTHERS_MAX  1000          /* other accounts that a session holds open */

struct account;

struct imap_place {
	/* NULL: the name leads nowhere this user may know of; imap_place_may() then says no to everything.  Lives until
	 * logout. */
	struct account *acct;
	const char *name; /* in that account */
	const char *
	    shown; /* in this session's namespaces: for answers, and for subscriptions, which are the user's own */
	const char *written; /* what imap_arg_place() found, before it was normalised */
	bool own;
	/* enum acl_right bits; a mailbox of another account that does not exist: none.  An own one that does
	 * not exist: all. */
	unsigned rights;
	/* With no right to look at it: one of that name could be made (k above it), so that TRYCREATE is said. */
	bool creatable;
	enum store_err err; /* why that could not be found out now; imap_place_may() answers it */
};

/* `shown` is our UTF-8 (imap_arg_mailbox()); the place lives in the arena.  Errors are of the disk and the database:
 * a name that leads nowhere is STORE_OK with `acct` NULL. */
enum store_err imap_place_of(
    struct imap_session *s, struct arena *a, const char *shown, struct imap_place *out);
/* As imap_arg_mailbox(), for SP mailbox.  False: return IMAP_BAD. */
bool imap_arg_place(struct imap_session *s, struct imap_request *req, struct imap_place *out);
/* Does it have all of `rights`?  If not, *result_out is the reply: NO [NOPERM], or as if there were no such mailbox
 * where not even lookup is allowed (RFC 4314 §6). */
bool imap_place_may(struct imap_request *req, const struct imap_place *place, unsigned rights,
    enum imap_result *result_out);
/* May a mailbox of that name be made: k on the mailbox above it, RFC 4314 §4? */
bool imap_place_may_create(struct imap_session *s, struct imap_request *req,
    const struct imap_place *place, enum imap_result *result_out);
/* The same for the selected mailbox. */
bool imap_selected_may(struct imap_session *s, struct imap_request *req, unsigned rights,
    enum imap_result *result_out);

/* The system flags that these rights let one change: \Seen by s, \Deleted by t, the others (and keywords) by w. */
unsigned imap_flags_allowed(unsigned rights);
/* Is the selected mailbox this one? */
bool imap_place_is_selected(const struct imap_session *s, const struct imap_place *place);
/* Before a command on the selected mailbox, and before news of it: may this user still read it?  Where its rights have
 * changed, FLAGS and PERMANENTFLAGS say so.  False: the session must end it. */
bool imap_selected_is_open(struct imap_session *s);
/* The same within such a command, where nothing may be said: false ends the connection. */
bool imap_selected_goes_on(struct imap_session *s);
/* What was found by this name some time ago: does it still lead there, and with these rights? */
bool imap_place_still(
    struct imap_session *s, const char *shown, const struct account *acct, unsigned rights);

/* Who asks for rights.  Borrows the session's. */
struct acl_user imap_session_user(const struct imap_session *s);
/* Is the account that has logged in still there, with this address?  Who gets the address later is somebody else, and the
 * tree may be the same.  Cheap while the account database does not change.  False: BYE has been said. */
bool imap_account_is_there(struct imap_session *s);
/* The same, but not more often than once a second: for each command. */
bool imap_account_was_there(struct imap_session *s);

/* "Other Users" or below it. */
bool imap_name_is_of_others(const char *shown);
/* How a mailbox of another account is shown. */
const char *imap_place_shown(
    const struct imap_session *s, struct arena *a, const char *owner, const char *name);
/* The account of an address, held until logout, if it is active; else NULL. */
enum store_err imap_other_account(
    struct imap_session *s, const char *owner, struct account **acct_out);
/* Lets go of the other accounts. */
void imap_places_free(struct imap_session *s);

#endif
