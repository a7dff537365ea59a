/* Who is it?  Passwords, app passwords and SCRAM keys against the account database.
 *
 * Unknown users, inactive accounts and wrong passwords look alike, and so does whatever else is refused: the same
 * answer after the same work.  Why it was refused is for the account's login history alone.
 *
 * App passwords (store/account_apps.h) log in where the daemon's protocol is one of theirs, by PLAIN and LOGIN: SCRAM
 * knows one key for an account, that of the main password.  One costs a digest, no more than a look into the cache
 * would.  Where only app passwords log in, the main password and SCRAM are refused.
 *
 * A verified main password is remembered for some minutes as a digest under a random key of this process,
 * together with the account's id and stored hash; the account's row is read each time, so any change of
 * it forgets at once.  Works from any thread; burns CPU and waits for the disk: pool threads only.
 * Counting failures and delaying is the caller's (net/'s) work. */
#ifndef STORE_AUTH_H
#define STORE_AUTH_H

#include "base/log.h"
#include "store/account_apps.h"
#include "store/account_db.h"

#define AUTH_CACHE_ENTRIES 8192

struct auth;

struct auth_options {
	const char *default_domain; /* for names without '@'; NULL: they are unknown */
	uint64_t cache_ttl_s;       /* 0: remember nothing */
	/* What the logins are for.  0: for managing the account itself, by the main password alone, also where only
	 * app passwords log in. */
	enum login_protocol protocol;
	bool app_only; /* accounts that say nothing else log in by app passwords alone */
	/* SASLprep of a {PLAIN} password before SCRAM keys are made of it: net's sasl_prep().  NULL:
	 * {PLAIN} accounts have no keys. */
	bool (*prepare)(struct str in, struct buf *out);
};

struct auth *auth_new(
    struct account_db *db, const struct auth_options *options, const struct log *log);
void auth_free(struct auth *auth); /* before account_db_close(); NULL is fine */

enum auth_outcome {
	AUTH_OK,
	AUTH_UNKNOWN, /* there is no such account */
	AUTH_WRONG,   /* password, or proof of SCRAM */
	AUTH_INACTIVE,
	AUTH_APP_ONLY,     /* the main password, where only app passwords log in */
	AUTH_APP_EXPIRED,  /* right, but no longer good */
	AUTH_APP_PROTOCOL, /* right, but not for this protocol */
	AUTH_NO_KEYS,      /* SCRAM, for an account without keys */
	AUTH_OTHER_USER,   /* right, but to act as somebody else */
	AUTH_OUTCOME_COUNT
};
const char *auth_outcome_name(enum auth_outcome outcome); /* "ok", "wrong-password" */

struct auth_login {
	enum auth_outcome outcome;
	struct account_row row; /* also of a login that is refused; zeroed where AUTH_UNKNOWN */
	bool cached;            /* no slow hash had to be computed */
	/* the app password that was given, also one that is refused; id 0, "": none */
	int64_t app_id;
	char app[ACCOUNT_APP_LABEL_MAX + 1];
};
void auth_login_free(struct auth_login *login);

/* STORE_OK: logged in.  STORE_DENIED: whatever the reason, which login_out->outcome has.  All else is temporary:
 * answer "try later" and count no failure.  login_out is filled in any case; auth_login_free(). */
enum store_err auth_login(
    struct auth *auth, struct str user, struct str password, struct auth_login *login_out);
/* The same for who needs no more than the account: STORE_OK: row_out is filled.  row_out and cached_out may be NULL. */
enum store_err auth_password(struct auth *auth, struct str user, struct str password,
    struct account_row *row_out, bool *cached_out);

/* The account of a user who has proved himself otherwise (SCRAM): active or STORE_DENIED. */
enum store_err auth_account(struct auth *auth, struct str user, struct account_row *row_out);

/* Fills keys_out and login_out in any case but a temporary error.  STORE_OK: they are the account's.  STORE_DENIED: the
 * user is unknown, inactive, has no keys or logs in by app passwords alone; they are invented, the same for the same
 * name each time, and no proof ever matches them: go on with them.
 * Accounts have keys when their password was set by mailadmin, is {SCRAM-SHA-256}, or {PLAIN}. */
enum store_err auth_login_keys(
    struct auth *auth, struct str user, struct scram_keys *keys_out, struct auth_login *login_out);
enum store_err auth_scram_keys(/* the same; row_out may be NULL */
    struct auth *auth, struct str user, struct scram_keys *keys_out, struct account_row *row_out);

/* Forgets all verified passwords (on reload). */
void auth_forget(struct auth *auth);

#endif
