/* An account's scripts as ManageSieve shows them: the named ones of store/account_scripts.h and, where the
 * active filter was set without a name (mailadmin filter set, a relay's tool), that one too.
 *
 * 1. It gets a name here: "exim-filter" or "sieve-filter", with a number behind it where a script is called so.
 * 2. An Exim filter, named or not, can be read, activated and replaced by activating another, but not changed
 *    or renamed: ManageSieve's clients write Sieve.
 * 3. An unnamed Sieve filter becomes a named script when it is first changed or renamed. */
#ifndef MANAGESIEVED_SCRIPTS_H
#define MANAGESIEVED_SCRIPTS_H

#include "base/mem.h"
#include "managesieved/commands.h"
#include "store/err.h"

struct msieve_script { /* in the arena */
	const char *name;
	bool active;
	bool unnamed;    /* it is account.filter alone */
	bool exim;       /* filled by msieve_script_find() */
	struct str text; /* as above */
};

/* In the order of their names, the unnamed one last. */
enum store_err msieve_scripts_list(struct msieve_session *s, struct arena *a,
    struct msieve_script **scripts_out, size_t *count_out);
/* STORE_NOT_FOUND */
enum store_err msieve_script_find(
    struct msieve_session *s, struct arena *a, const char *name, struct msieve_script *script_out);

/* For the history: who changes the filter. */
const char *msieve_who(const struct msieve_session *s, struct arena *a);

/* Compiles what is to be stored or activated.  False: the reply says why not.  True: the reply is OK, with
 * warnings if there are any; a handler that goes on may replace it. */
bool msieve_check_text(struct msieve_session *s, struct msieve_request *req, struct str text);

/* The newest run-time error of the account's filter as a sentence, or NULL. */
const char *msieve_filter_error(struct msieve_session *s, struct arena *a);
/* Another filter is active now: those of the old one say nothing about it. */
void msieve_filter_errors_clear(struct msieve_session *s);

#endif
