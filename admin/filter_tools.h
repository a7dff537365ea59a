/* What the commands for filters share: texts from files, an account's surroundings, and how what a filter does is
 * said in JSON and in words. */
#ifndef ADMIN_FILTER_TOOLS_H
#define ADMIN_FILTER_TOOLS_H

#include <jansson.h>

#include "admin/command.h"
#include "filter/account.h"
#include "filter/filter.h"
#include "store/account_scripts.h"

struct state;

/* Reads FILE, or standard input for "-".  Commands do it before they become server.user, who may not see what the
 * administrator has.  Says what is wrong and returns false. */
bool filter_input(const char *path, size_t max_bytes, struct buf *out);

/* "mailadmin (ann)": who changes a filter, for its history. */
void filter_who(char *out, size_t size);

/* The words of that line (the first is 1) on one line without control bytes; nothing for 0, for one that is not there
 * or is not UTF-8. */
void filter_line(struct str text, unsigned number, struct buf *out);

/* Compiles and says errors and warnings as "NAME:LINE: …" on stderr, an error with the line's words below. */
bool filter_explain(const char *name, struct str text);

/* An account's surroundings. */
struct filter_bed {
	struct store_root *root;
	struct filter_cache *cache;
	struct filter_settings *settings;
	struct filter_account *account;
};
bool filter_bed_open(struct admin *a, const struct account_row *row, struct filter_bed *bed_out);
void filter_bed_close(struct filter_bed *bed); /* a zeroed one is fine */

/* What filters an account's mail: its own text, else that of filter.default, else the built-in one.  Says what is wrong
 * and returns false. */
bool filter_active_text(struct admin *a, const struct account_row *row, struct buf *text_out);

/* The text of FILE or "-", or where there is no such file of an account's active filter: starts the command (before_config)
 * then.  Says what is wrong and returns false. */
bool filter_named_text(struct admin *a, const char *name, struct buf *text);

/* The address in the first of these fields (NULL-terminated) that has one; "" of "<>"; NULL: none. */
const char *filter_address_in(
    const struct filter_message *message, const char *const *names, struct arena *arena);

/* The contract of `filter test --json`: see mailadmin(1).  `error` NULL or the one that ended the run. */
json_t *filter_json(
    const char *language, const struct filter_result *result, const struct filter_error *error);
json_t *filter_action_json(const struct filter_action *action);
/* Is it one that nobody wrote and that is not listed (Exim's normal delivery)? */
bool filter_action_is_hidden(const char *language, const struct filter_action *action);
/* "fileinto Lists \Seen": one line. */
void filter_action_text(const struct filter_action *action, struct buf *out);
const char *filter_error_kind_name(enum filter_error_kind kind);

#endif
