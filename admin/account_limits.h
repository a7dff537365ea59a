/* An account's own limits: as options of `account set`, and as `account show` shows them. */
#ifndef ADMIN_ACCOUNT_LIMITS_H
#define ADMIN_ACCOUNT_LIMITS_H

#include <jansson.h>

#include "admin/command.h"
#include "admin/output.h"
#include "store/account_limits.h"

/* For the row of a command. */
#define ACCOUNT_LIMIT_OPTIONS                                                                      \
	{ "--max-messages", "N", "messages kept; none: unlimited; default: as configured" },       \
	    { "--max-mailboxes", "N", "mailboxes that count towards quota" },                      \
	    { "--max-message-size", "SIZE", "of one message, delivered or sent (none, default)" }, \
	    { "--max-recipients", "N", "of one message that is sent (none, default)" },            \
	    { "--sent-per-hour", "N", "messages sent (none, default)" },                           \
	    { "--sent-per-day", "N", "messages sent (none, default)" },                            \
	    { "--rcpts-per-hour", "N", "recipients of messages sent (none, default)" },            \
	    { "--rcpts-per-day", "N", "recipients of messages sent (none, default)" },             \
	{                                                                                          \
		"--sent-copy", "yes|no|default", "keep a copy of what is sent in Sent"             \
	}

/* One of them, by its column, as it is typed; false: account_limit_wanted() says what is needed. */
bool account_limit_parse(size_t column, const char *text, int64_t *limit_out);
const char *account_limit_wanted(size_t column);
void account_limit_print(
    size_t column, int64_t limit, struct buf *out); /* the same way; nothing: the default */

/* Is any of them given? */
bool account_limits_asked(const struct admin *a);
/* Sets those that are given, and says what is wrong with one. */
enum admin_status account_limits_read(const struct admin *a, struct account_limits *limits);

/* Adds them to what is shown: null is the default, 0 unlimited. */
void account_limits_show(json_t *object, const struct account_limits *limits);
/* The rows of the table for those that are not the default; how many. */
size_t account_limits_columns(
    const struct account_limits *limits, struct output_column columns[ACCOUNT_LIMIT_COUNT]);

#endif
