/* Many accounts added and changed in one transaction: all of them or none. */
#ifndef STORE_ACCOUNT_BULK_H
#define STORE_ACCOUNT_BULK_H

#include "store/account_db.h"
#include "store/account_limits.h"

enum account_bulk_result {
	ACCOUNT_BULK_NONE, /* was not looked at */
	ACCOUNT_BULK_ADDED,
	ACCOUNT_BULK_CHANGED,
	/* and what stands in the way */
	ACCOUNT_BULK_EXISTS,      /* to be added only */
	ACCOUNT_BULK_MISSING,     /* to be changed only */
	ACCOUNT_BULK_NO_PASSWORD, /* to be added without one */
	ACCOUNT_BULK_IS_ALIAS,    /* the address is an alias */
	ACCOUNT_BULK_ALIAS_TAKEN, /* an alias is somebody else's, or an account */
	ACCOUNT_BULK_ALIASES_MAX,
	ACCOUNT_BULK_INVALID,
};

struct account_bulk_alias {
	struct str localpart, domain; /* as account_alias_parse() splits it */
};

/* One account.  Strings are borrowed.  What is NULL stays as it is; of an account that is added it is not set. */
struct account_bulk {
	struct str localpart, domain;
	const char *password;
	const struct scram_keys *scram; /* with password: NULL: none */
	const char *realname;           /* "": none */
	const uint64_t *quota_kb;
	const bool *active;
	const int *app_only; /* enum account_app_only */
	const struct account_limits
	    *limits; /* those of limits_given, bits by ACCOUNT_LIMIT_COLUMNS */
	unsigned limits_given;
	const struct account_bulk_alias *aliases; /* it gets these too; what it has stays */
	size_t alias_count;

	enum account_bulk_result result;
	size_t bad_alias; /* with ACCOUNT_BULK_ALIAS_TAKEN */
};

enum account_bulk_flags {
	ACCOUNT_BULK_ADD = 1,    /* those that are not there */
	ACCOUNT_BULK_CHANGE = 2, /* those that are */
	ACCOUNT_BULK_DRY = 4,    /* changes nothing, and says what would come of it */
};

/* Looks at each and fills its result.  STORE_OK: all of it is done, durably, or with DRY could be.  STORE_INVALID: nothing
 * is, because some cannot be.  Other errors: nothing is, and results mean nothing.
 * `step` (NULL: none) is called after each. */
enum store_err account_db_bulk(struct account_db *db, struct account_bulk *items, size_t count,
    unsigned flags, void (*step)(void *arg, size_t done), void *arg);

#endif
