/* What one account may: numbers in place of those that the configuration gives to all.  In the account database, so
 * daemons only read them; they go with the account. */
#ifndef STORE_ACCOUNT_LIMITS_H
#define STORE_ACCOUNT_LIMITS_H

#include "store/account_db.h"

#define ACCOUNT_LIMIT_DEFAULT (-1) /* what the configuration says; NULL in the database */
#define ACCOUNT_LIMIT_NONE    0    /* unlimited, whatever the configuration says */
#define ACCOUNT_LIMIT_MAX     (INT64_C(1) << 40)

/* ACCOUNT_LIMIT_DEFAULT, ACCOUNT_LIMIT_NONE, or the limit. */
struct account_limits {
	int64_t messages_max;       /* kept in the account */
	int64_t message_kb_max;     /* of one message, delivered or submitted, in kilobytes */
	int64_t sent_messages_hour; /* submitted */
	int64_t sent_messages_day;
	int64_t sent_recipients_hour; /* of submitted messages */
	int64_t sent_recipients_day;
	int64_t recipients_max; /* of one submitted message */
	int64_t sent_copy;      /* a copy of what is submitted in Sent: 1 yes, 0 no */
	int64_t mailboxes_max;  /* that count towards quota, INBOX too */
};
extern const struct account_limits ACCOUNT_LIMITS_DEFAULT; /* everything as configured */

/* The row as a table, for whoever shows or sets them all. */
struct account_limit_column {
	const char *name; /* in the database, and in JSON */
	size_t offset;    /* of the int64_t in struct account_limits */
};
#define ACCOUNT_LIMIT_COUNT 9
extern const struct account_limit_column ACCOUNT_LIMIT_COLUMNS[ACCOUNT_LIMIT_COUNT];
int64_t *account_limit_at(struct account_limits *limits, size_t column);

/* What counts: the account's number, or where it has none the configuration's.  0: unlimited. */
uint64_t account_limit_or(int64_t limit, uint64_t configured);

/* An account without a row, and one in an older file, has ACCOUNT_LIMITS_DEFAULT.  STORE_BUSY, STORE_IO, STORE_CORRUPT;
 * then `limits_out` is the default too. */
enum store_err account_limits_get(
    struct account_db *db, int64_t account, struct account_limits *limits_out);
/* One durable transaction.  STORE_NOT_FOUND: no such account.  STORE_INVALID: a number out of range. */
enum store_err account_limits_set(
    struct account_db *db, int64_t account, const struct account_limits *limits);

#endif
