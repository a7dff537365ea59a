/* Access control lists, RFC 4314: who may do what with a mailbox.
 *
 * A mailbox's list is the file `dovecot-acl` in its folder, in Dovecot's own format, so that trees that come from there
 * and go there keep it:
 *
 *	user=bob@example.org lrws          -user=bob@example.org w     what bob has, and what is taken from him
 *	owner lr    anyone lr    authenticated lr    group=team lr    group-override=team lr    "user=a b" lr
 *
 * Letters are those of RFC 4314 §2.1; what stands behind them after " :" is kept.  Groups are kept and listed; nobody is
 * in one.  A name without '@' is one of the owner's domain.
 *
 * How entries combine, as in Dovecot: of the positive ones that fit a user those of the most specific kind count alone
 * (user, owner, authenticated, anyone, in this order; the owner has all rights where neither of the first two is there),
 * then all that the negative ones name is taken away.  The owner always keeps ACL_OWNER_ALWAYS.
 *
 * An address may pass to somebody else, when its account is deleted or gets another name.  What a user was given is for
 * who had the address then: a positive entry keeps the tenure of that time (store/account_tenure.h; " :tenure=WORD" in
 * the file, nothing for the address's first holder) and gives nothing to the next.  What was taken from a user stays so.
 *
 * A damaged file gives nobody but the owner anything. */
#ifndef STORE_ACL_H
#define STORE_ACL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/err.h"

#define ACL_FILE                 "dovecot-acl"
#define ACL_FILE_MAX_BYTES       (256u * 1024)
#define ACL_ENTRIES_MAX          1000
#define ACL_IDENTIFIER_MAX_BYTES 300
#define ACL_NAME_MAX_BYTES       270 /* what is named in it, with its domain */

/* RFC 4314 §2.1, in the order in which rights are written. */
enum acl_right {
	ACL_LOOKUP = 1 << 0,          /* l: the mailbox is there at all */
	ACL_READ = 1 << 1,            /* r: SELECT, STATUS, copying out of it */
	ACL_SEEN = 1 << 2,            /* s: the flag \Seen */
	ACL_WRITE = 1 << 3,           /* w: other flags and keywords */
	ACL_INSERT = 1 << 4,          /* i: APPEND, COPY and MOVE into it */
	ACL_POST = 1 << 5,            /* p: mail by SMTP; IMAP does not ask for it */
	ACL_CREATE = 1 << 6,          /* k: new mailboxes below it */
	ACL_DELETE_MAILBOX = 1 << 7,  /* x */
	ACL_DELETE_MESSAGES = 1 << 8, /* t: the flag \Deleted */
	ACL_EXPUNGE = 1 << 9,         /* e */
	ACL_ADMIN = 1 << 10,          /* a: the list itself */
	ACL_ALL = (1 << 11) - 1,
	ACL_OWNER_ALWAYS = ACL_LOOKUP | ACL_ADMIN,
};

/* Letters into bits; "c" is k and x, "d" is e and t (RFC 4314 §2.1.1).  False: one that is none. */
bool acl_rights_parse(struct str letters, unsigned *rights_out);
/* Appends the letters; `obsolete`: also c and d where one of theirs is there, as clients are told. */
void acl_rights_format(struct buf *out, unsigned rights, bool obsolete);

/* In the file's order, and from the least to the most specific. */
enum acl_kind {
	ACL_ANYONE,
	ACL_AUTHENTICATED, /* the same here: nobody is anonymous */
	ACL_GROUP,
	ACL_OWNER,
	ACL_USER,
	ACL_GROUP_OVERRIDE,
};

struct acl_id {
	enum acl_kind kind;
	bool negative;
	const char *name; /* of USER ("bob@example.org") and of the groups; else NULL */
};
/* An identifier of IMAP's: "anyone", "authenticated", "owner", an address, "$group", "!$group", each with "-" in front or not.
 * A user's name becomes the account's address as it is stored: in lower case, and without '@' one of the owner's domain; the
 * owner's own is "owner".  False: empty, too long, or with control characters.  The name lives in the arena. */
bool acl_id_parse(struct arena *a, struct str identifier, const char *owner, struct acl_id *id_out);
/* Whom the name of an ACL_USER means: without '@' one of the owner's domain.  The caller's. */
char *acl_user_address(const char *name, const char *owner);
/* Appends it as IMAP shows it; "owner" is shown as the owner's address. */
void acl_id_format(struct buf *out, const struct acl_id *id, const char *owner);

struct acl_entry {
	struct acl_id id;
	unsigned rights;
	const char *tenure; /* of a user's address when it was given; "" is the first */
	const char *more;   /* what else stood behind the letters, or NULL */
};
struct acl {
	struct arena arena;
	struct acl_entry *entries; /* sorted by kind, name, sign; each once */
	size_t count, cap;
};
/* Zero-initialise it; ends with acl_free(), also after false: damaged. */
bool acl_parse(struct str text, struct acl *acl_out);
void acl_format(struct buf *out, const struct acl *acl);
void acl_free(struct acl *acl);

/* Whose address it is: who asks.  Both live as long as the user. */
struct acl_user {
	const char *address;
	const char *tenure; /* "" is the first */
};
/* The tenure that an address has now, of an account or not: how a list learns who is meant. */
struct acl_tenures {
	enum store_err (*of)(void *arg, const char *address, struct buf *tenure_out);
	void *arg;
};
/* Drops what was given to users whose address is somebody else's now, or will be. */
enum store_err acl_drop_former(
    struct acl *acl, const char *owner, const struct acl_tenures *tenures);
/* Of what is left after that: lists that go elsewhere, where tenures are others. */
void acl_forget_tenures(struct acl *acl);

enum acl_change { ACL_REPLACE, ACL_ADD, ACL_REMOVE };
/* Changes or makes the entry; one without rights stays, it takes what less specific ones give.  That of the owner begins with
 * all rights and keeps ACL_OWNER_ALWAYS; `owner`'s own name in the list is taken for it.  `tenure` is of a user's address:
 * what somebody before had does not count.  STORE_LIMIT. */
enum store_err acl_set(struct acl *acl, const char *owner, const struct acl_id *id,
    const char *tenure, enum acl_change change, unsigned rights);
/* False: there was none. */
bool acl_delete(struct acl *acl, const char *owner, const struct acl_id *id);

/* What `user` may; addresses are as accounts have them. */
unsigned acl_rights_of(const struct acl *acl, const char *owner, const struct acl_user *user);
/* Does the list say what the owner may?  Otherwise that is ACL_ALL. */
bool acl_names_owner(const struct acl *acl, const char *owner);

#endif
