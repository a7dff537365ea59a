/* The login history of an account, in its state.db: who came from where with what, and what was refused and why.
 *
 * A row counts the logins that are alike: same source, client, protocol, method, app password and outcome.  The latest
 * STATE_LOGINS_MAX kinds that succeeded are kept, and as many that were refused: whoever guesses passwords from many
 * addresses does not wash away who was let in.
 *
 * Writing them is not synced, so that it costs a busy server nothing: a crash of the machine may take the last ones. */
#ifndef STORE_STATE_LOGIN_H
#define STORE_STATE_LOGIN_H

#include "store/state.h"

#define STATE_LOGINS_MAX     200  /* that succeeded, and as many that did not */
#define STATE_LOGIN_TEXT_MAX 128  /* bytes of a source or client */
#define STATE_LOGIN_OK       "ok" /* the outcome of a login; all others are refusals */

struct state_login {
	char *source;   /* address, "local" */
	char *client;   /* "Thunderbird 128.3", an EHLO name; "": it did not say */
	char *protocol; /* "imap", "submission", "sieve" */
	char *method;   /* "SCRAM-SHA-256" */
	char *app;      /* label of the app password; "": none */
	char *outcome;  /* STATE_LOGIN_OK, or why not (store/auth.h) */
	int64_t first_s, last_s;
	int64_t
	    count; /* to be added: may be negative, where logins turn out to be of another kind */
	int64_t delayed; /* how many of them had to wait, because others had failed before */
	int64_t app_id;  /* only to be added: account_app.id of `app`; 0: none */
};
void state_logins_free(struct state_login *logins, size_t count);

/* Adds the counts, and when app passwords were last used, in one transaction.  This handle syncs nothing from then on:
 * open one for it alone. */
enum store_err state_logins_add(struct state *st, const struct state_login *logins, size_t count);
/* Those seen since `since_s`, the latest first; the caller's. */
enum store_err state_logins(struct state *st, int64_t since_s, bool failed_only,
    struct state_login **logins_out, size_t *count_out);
/* When was app password `app_id`, made at `created_s`, last used?  0: never. */
enum store_err state_app_used(
    struct state *st, int64_t app_id, int64_t created_s, int64_t *last_s_out);

#endif
