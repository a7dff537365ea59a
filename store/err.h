/* How things in store/ end.  The detail (path, errno, SQL error) is logged where it is known; these
 * say what the caller has to answer.  A daemon translates them into its protocol by one table. */
#ifndef STORE_ERR_H
#define STORE_ERR_H

#include <stdbool.h>

enum store_err {
	STORE_OK = 0,
	STORE_NOT_FOUND,  /* no such account, mailbox, message, spool entry */
	STORE_EXISTS,     /* the name is taken */
	STORE_BUSY,       /* somebody else holds the lock, longer than we wait */
	STORE_IO,         /* the disk or the database failed */
	STORE_FULL,       /* no space left on the device (ENOSPC, EDQUOT), or below the floor */
	STORE_OVER_QUOTA, /* the account's own quota */
	STORE_INVALID,    /* a name or value that cannot be; a mistake of the caller's peer */
	STORE_CORRUPT,    /* what is on disk contradicts itself and could not be repaired */
	STORE_LIMIT,      /* beyond a limit of ours: size, count, depth */
	STORE_DENIED,     /* wrong password, inactive account, no permission */
	STORE_CHANGED,    /* it changed underneath; look again */
	STORE_VERSION,    /* made by a newer version of this software */
	STORE_ERR_COUNT
};

/* "no such object" and the like: for logs and mailadmin, never NULL. */
const char *store_err_text(enum store_err err);

/* Worth trying again later (a 4xx): BUSY, IO, FULL, CORRUPT, CHANGED, VERSION. */
bool store_err_is_temporary(enum store_err err);

/* ENOSPC and EDQUOT are FULL, ENOENT is NOT_FOUND, EEXIST and ENOTEMPTY are EXISTS, EACCES and EPERM
 * are DENIED, ENAMETOOLONG is INVALID, EAGAIN and EBUSY are BUSY; all others are IO. */
enum store_err store_err_from_errno(int errnum);

#endif
