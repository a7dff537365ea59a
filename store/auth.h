/* Who is it?  Passwords and SCRAM keys against the account database.
 *
 * Unknown users, inactive accounts and wrong passwords look alike: the same answer after the same
 * work.  A verified password is remembered for some minutes as a digest under a random key of this process,
 * together with the account's id and stored hash; the account's row is read each time, so any change of
 * it forgets at once.  Works from any thread; burns CPU and waits for the disk: pool threads only.
 * Counting failures and delaying is the caller's (net/'s) work. */
#ifndef STORE_AUTH_H
#define STORE_AUTH_H

#include "base/log.h"
#include "store/account_db.h"

#define AUTH_CACHE_ENTRIES 8192

struct auth;

struct auth_options {
	const char *default_domain; /* for names without '@'; NULL: they are unknown */
	uint64_t cache_ttl_s;       /* 0: remember nothing */
	/* SASLprep of a {PLAIN} password before SCRAM keys are made of it: net's sasl_prep().  NULL:
	 * {PLAIN} accounts have no keys. */
	bool (*prepare)(struct str in, struct buf *out);
};

struct auth *auth_new(
    struct account_db *db, const struct auth_options *options, const struct log *log);
void auth_free(struct auth *auth); /* before account_db_close(); NULL is fine */

/* STORE_OK: row_out is filled (row_out may be NULL).  STORE_DENIED: whatever the reason.
 * All else is temporary: answer "try later" and count no failure.
 * *cached_out (may be NULL): no hash had to be computed. */
enum store_err auth_password(struct auth *auth, struct str user, struct str password,
    struct account_row *row_out, bool *cached_out);

/* The account of a user who has proved himself otherwise (SCRAM): active or STORE_DENIED. */
enum store_err auth_account(struct auth *auth, struct str user, struct account_row *row_out);

/* Fills keys_out in any case but a temporary error.  STORE_OK: they are the account's, and row_out
 * (may be NULL) is filled.  STORE_DENIED: the user is unknown, inactive or has no keys; they are
 * invented, the same for the same name each time, and no proof ever matches them: go on with them.
 * Accounts have keys when their password was set by mailadmin, is {SCRAM-SHA-256}, or {PLAIN}. */
enum store_err auth_scram_keys(
    struct auth *auth, struct str user, struct scram_keys *keys_out, struct account_row *row_out);

/* Forgets all verified passwords (on reload). */
void auth_forget(struct auth *auth);

#endif
