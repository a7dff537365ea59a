/* An account's filter and its named scripts, in the account database.
 *
 * 1. account.filter is what delivery runs, whoever wrote it.  A named script is active when it is marked so
 *    and its text is account.filter, byte for byte: who sets the column directly need not know of scripts.
 * 2. At most one script is active.  Changing it, activating another and clearing change account.filter in the
 *    same transaction, and the version that was there before stays in the history.
 * 3. Nothing here compiles: callers refuse what is wrong before they put or activate it.
 *
 * Functions that change something need a database opened ACCOUNT_DB_WRITE (else STORE_DENIED); all others read an
 * older file too, which simply has no scripts.  `account` is account_row.id. */
#ifndef STORE_ACCOUNT_SCRIPTS_H
#define STORE_ACCOUNT_SCRIPTS_H

#include "store/account_db.h"

#define SCRIPT_NAME_MAX_BYTES    512 /* RFC 5804 §1.6 asks for 128 characters */
#define SCRIPT_TEXT_MAX_BYTES    ACCOUNT_FILTER_MAX_BYTES
#define FILTER_HISTORY_MAX       50                /* versions of one account's filter */
#define FILTER_HISTORY_BYTES     (8 * 1024 * 1024) /* of them together; the newest stays */
#define FILTER_HISTORY_WHO_BYTES 200

/* UTF-8 of 1 to SCRIPT_NAME_MAX_BYTES bytes without control characters, line and paragraph separators, RFC 5804 §1.6. */
bool account_script_name_is_valid(struct str name);

struct account_script {
	char *name;
	char *text; /* its bytes and a NUL; NULL in lists */
	size_t text_len;
	bool active;
	int64_t created_s, changed_s;
};
void account_script_clear(struct account_script *script); /* leaves it zeroed */
void account_scripts_free(struct account_script *scripts, size_t count);

/* By name; without their texts, with their lengths. */
enum store_err account_scripts_list(
    struct account_db *db, int64_t account, struct account_script **scripts_out, size_t *count_out);
/* With its text; STORE_NOT_FOUND.  Ends with account_script_clear(). */
enum store_err account_script_get(
    struct account_db *db, int64_t account, const char *name, struct account_script *script_out);

/* What an account may have together (settings filter.scripts_max, filter.script_bytes_max); active text set without
 * a name does not count. */
struct account_script_limits {
	uint64_t scripts_max, bytes_max;
};
/* Would it fit?  STORE_OK; STORE_LIMIT: too many scripts; STORE_OVER_QUOTA: too many bytes; STORE_INVALID: the name.
 * HAVESPACE of RFC 5804 §2.5. */
enum store_err account_script_fits(struct account_db *db, int64_t account, const char *name,
    uint64_t text_bytes, const struct account_script_limits *limits);

/* Adds or replaces.  Replacing the active one changes account.filter with it.  `who` is for the history ("managesieve
 * 10.1.2.3", "mailadmin").  As account_script_fits(), and STORE_NOT_FOUND for an account that is gone. */
enum store_err account_script_put(struct account_db *db, int64_t account, const char *name,
    struct str text, const struct account_script_limits *limits, const char *who);
/* STORE_NOT_FOUND; STORE_EXISTS: the new name is taken (its own is fine); STORE_INVALID. */
enum store_err account_script_rename(
    struct account_db *db, int64_t account, const char *name, const char *new_name);
/* STORE_NOT_FOUND; STORE_BUSY: it is active, RFC 5804 §2.10 forbids it. */
enum store_err account_script_delete(struct account_db *db, int64_t account, const char *name);
/* The script becomes account.filter; STORE_NOT_FOUND. */
enum store_err account_script_activate(
    struct account_db *db, int64_t account, const char *name, const char *who);

/* The active filter.  `name` NULL: it was set without a name (an Exim filter, a relay's tool). */
struct account_filter {
	char *name, *text; /* text NULL: the default filter */
	size_t text_len;
};
void account_filter_clear(struct account_filter *filter);
enum store_err account_filter_get(
    struct account_db *db, int64_t account, struct account_filter *filter_out);
/* Sets account.filter.  name NULL: no script is active any more; else that script is put and activated in one
 * transaction.  text.p NULL: back to the default filter (SETACTIVE ""); `name` must be NULL then. */
enum store_err account_filter_set(struct account_db *db, int64_t account, const char *name,
    struct str text, const struct account_script_limits *limits, const char *who);

/* A version of the active filter: what was set, when and by whom, the newest first.  What somebody wrote into the
 * column directly is noted when the next of our writers finds it (who "another program"). */
struct account_filter_version {
	int64_t id, set_s;
	char *who;
	char *name; /* or NULL */
	char *text; /* NULL: the default filter; in lists NULL too */
	size_t text_len;
	bool is_default;
};
enum store_err account_filter_history(struct account_db *db, int64_t account,
    struct account_filter_version **versions_out, size_t *count_out);
enum store_err account_filter_version_get(/* with its text; STORE_NOT_FOUND */
    struct account_db *db, int64_t account, int64_t id, struct account_filter_version *version_out);
void account_filter_version_clear(struct account_filter_version *version);
void account_filter_versions_free(struct account_filter_version *versions, size_t count);

#endif
