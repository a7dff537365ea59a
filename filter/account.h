/* The surroundings (filter/surroundings.h) of a real account: its mailboxes, scripts, lists, memory and METADATA.
 * Opened lazily: a filter that asks nothing costs nothing.  For one run or several of one account, one thread at a time. */
#ifndef FILTER_ACCOUNT_H
#define FILTER_ACCOUNT_H

#include "filter/filter.h"
#include "filter/surroundings.h"

struct account_db;
struct account_script_limits;
struct config;
struct filter_cache;
struct log;
struct state;
struct store_root;

struct filter_account_spec { /* all borrowed until filter_account_close() */
	struct store_root *root;
	struct account_db *accounts;
	const char *mail_root;                     /* what `root` was opened from */
	struct filter_cache *cache;                /* for scripts that are included */
	struct filter_settings *settings;          /* NULL: the defaults */
	const char *global_dir;                    /* NAME.sieve of include :global; NULL: none */
	const char *server_admin, *server_comment; /* METADATA of the server; NULL: none */
	const struct log *log;
	const char *localpart, *domain; /* of the account */
	int64_t now;                    /* unix time; 0: the clock's */
};

struct filter_account;

/* A spec with what the configuration says of it: mail_root, global_dir, server_admin, server_comment.  Borrows the configuration's strings. */
struct filter_account_spec filter_account_spec_of(const struct config *config);

struct filter_account *filter_account_open(const struct filter_account_spec *spec);
void filter_account_close(struct filter_account *fa); /* NULL is fine */

/* For filter_run_options.around; lives as long as `fa`, and so do the included scripts. */
const struct filter_surroundings *filter_account_around(struct filter_account *fa);

/* The account's state.db, opened when first asked for; borrowed.  NULL with a log line where it cannot be opened. */
struct state *filter_account_state(struct filter_account *fa);

/* The settings of [filter], [lda] and [auth] that filters see.  Borrows the configuration's strings. */
struct filter_settings *filter_settings_new(const struct config *config);
void filter_settings_free(struct filter_settings *settings); /* NULL is fine */
/* filter.scripts_max and filter.script_bytes_max. */
void filter_script_limits(const struct config *config, struct account_script_limits *limits_out);

#endif
