/* App passwords: further passwords of an account, each for one program or device, made by us, shown once and taken
 * back one by one; and whether an account logs in by nothing else.
 *
 * They are random, 20 characters of an alphabet of 32: 100 bits.  So nobody tries them all, whatever the hash, and they
 * are kept as a salted digest ({SSHA512}), which costs a login microseconds.  A {SCHEME} that is slow by purpose would
 * protect nothing.  Letter case, hyphens and blanks do not matter when they are typed, and 0 is o.
 *
 * In the account database, so daemons only read them; they go with their account, and relays see nothing of them.  When
 * one was last used is in the account's state.db (store/state_login.h). */
#ifndef STORE_ACCOUNT_APPS_H
#define STORE_ACCOUNT_APPS_H

#include "store/account_db.h"

#define ACCOUNT_APPS_MAX           64 /* of one account */
#define ACCOUNT_APP_LABEL_MAX      64 /* bytes, UTF-8 without control characters */
#define ACCOUNT_APP_PASSWORD_CHARS 20 /* without hyphens */

/* What a login is for; a set of them is what an app password is good for. */
enum login_protocol {
	LOGIN_IMAP = 1,
	LOGIN_SUBMISSION = 2,
	LOGIN_SIEVE = 4,
};
#define LOGIN_PROTOCOLS_ALL (LOGIN_IMAP | LOGIN_SUBMISSION | LOGIN_SIEVE)
const char *login_protocol_name(enum login_protocol protocol); /* "imap", "submission", "sieve" */
/* "imap submission", also with commas; false: an unknown word, or none. */
bool login_protocols_parse(struct str text, unsigned *set_out);
void login_protocols_print(unsigned set, struct buf *out); /* divided by blanks */

struct account_app {
	int64_t id, account;
	char *label;
	char *password;     /* "{SCHEME}hash": never log it */
	unsigned protocols; /* set of enum login_protocol */
	int64_t created_s;  /* unix time */
	int64_t expires_s;  /* from then on it is no good; 0: never */
};
void account_apps_free(struct account_app *apps, size_t count); /* wipes; NULL is fine */

/* A fresh one as it is shown, "xxxxx-xxxxx-xxxxx-xxxxx"; the caller wipes and frees it. */
char *account_app_generate(void);
/* What was typed in the form that is hashed.  False: no app password looks like that. */
bool account_app_normalise(
    struct str typed, char normal_out[static ACCOUNT_APP_PASSWORD_CHARS + 1]);
bool account_app_label_is_valid(struct str label);

/* Adds `plain`, which stays the caller's to wipe, hashed, with all that `app` says but its id and password.
 * STORE_EXISTS: the account has that label (in any letter case); STORE_LIMIT, STORE_INVALID, STORE_NOT_FOUND (account)
 * and what writing may fail of. */
enum store_err account_app_add(
    struct account_db *db, const struct account_app *app, struct str plain);
/* STORE_NOT_FOUND: the account has none of that label. */
enum store_err account_app_delete(struct account_db *db, int64_t account, struct str label);
/* Those of an account, by label; the caller's. */
enum store_err account_app_list(
    struct account_db *db, int64_t account, struct account_app **apps_out, size_t *count_out);

/* Does an account log in by app passwords alone? */
enum account_app_only {
	ACCOUNT_APP_ONLY_DEFAULT, /* as auth.app_passwords_only says */
	ACCOUNT_APP_ONLY_NO,
	ACCOUNT_APP_ONLY_YES,
};
enum store_err account_app_only_get(
    struct account_db *db, int64_t account, enum account_app_only *only_out);
enum store_err account_app_only_set(
    struct account_db *db, int64_t account, enum account_app_only only);

/* What a login asks, in one look-up: an account without a row, and one in an older file, has the default and no app
 * passwords.  Those are read only if `want_apps`; free them by account_apps_free(). */
struct account_login_facts {
	enum account_app_only only;
	struct account_app *apps;
	size_t app_count;
};
enum store_err account_login_facts(
    struct account_db *db, int64_t account, bool want_apps, struct account_login_facts *facts_out);

#endif
