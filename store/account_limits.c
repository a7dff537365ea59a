#include "store/account_limits.h"

#include <string.h>

#include "base/mem.h"
#include "store/account_db_internal.h"

#define LIMITS_SINCE_VERSION    3
#define MAILBOXES_SINCE_VERSION 5

const struct account_limits ACCOUNT_LIMITS_DEFAULT = {
	ACCOUNT_LIMIT_DEFAULT,
	ACCOUNT_LIMIT_DEFAULT,
	ACCOUNT_LIMIT_DEFAULT,
	ACCOUNT_LIMIT_DEFAULT,
	ACCOUNT_LIMIT_DEFAULT,
	ACCOUNT_LIMIT_DEFAULT,
	ACCOUNT_LIMIT_DEFAULT,
	ACCOUNT_LIMIT_DEFAULT,
	ACCOUNT_LIMIT_DEFAULT,
};

/* In the order of LIMIT_COLUMNS. */
const struct account_limit_column ACCOUNT_LIMIT_COLUMNS[ACCOUNT_LIMIT_COUNT] = {
	{ "messages_max", offsetof(struct account_limits, messages_max) },
	{ "message_kb_max", offsetof(struct account_limits, message_kb_max) },
	{ "sent_messages_hour", offsetof(struct account_limits, sent_messages_hour) },
	{ "sent_messages_day", offsetof(struct account_limits, sent_messages_day) },
	{ "sent_recipients_hour", offsetof(struct account_limits, sent_recipients_hour) },
	{ "sent_recipients_day", offsetof(struct account_limits, sent_recipients_day) },
	{ "recipients_max", offsetof(struct account_limits, recipients_max) },
	{ "sent_copy", offsetof(struct account_limits, sent_copy) },
	{ "mailboxes_max", offsetof(struct account_limits, mailboxes_max) },
};
#define LIMIT_COLUMNS                                                                              \
	"messages_max, message_kb_max, sent_messages_hour, sent_messages_day,"                     \
	" sent_recipients_hour, sent_recipients_day, recipients_max, sent_copy"

int64_t *
account_limit_at(struct account_limits *limits, size_t column)
{
	return (int64_t *)((char *)limits + ACCOUNT_LIMIT_COLUMNS[column].offset);
}

uint64_t
account_limit_or(int64_t limit, uint64_t configured)
{
	return limit < 0 ? configured : (uint64_t)limit;
}

struct limits_of {
	int64_t account;
	bool older; /* the file has no mailboxes_max yet */
	struct account_limits limits;
};

/* A number that cannot be, of another program's making, counts as none. */
static enum store_err
read_row(struct sql *sql, int64_t account, bool older, struct account_limits *limits)
{
	sqlite3_stmt *stmt = sql_get(sql,
	    older ? "SELECT " LIMIT_COLUMNS ", NULL FROM account_limit WHERE account = ?"
		  : "SELECT " LIMIT_COLUMNS ", mailboxes_max FROM account_limit WHERE account = ?");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, account);
	err = sql_step(sql, stmt);
	if (err != STORE_OK)
		return err;
	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++) {
		int64_t number = sqlite3_column_int64(stmt, (int)i);

		if (sqlite3_column_type(stmt, (int)i) == SQLITE_INTEGER && number >= 0)
			*account_limit_at(limits, i) = number;
	}
	sqlite3_reset(stmt);
	return STORE_OK;
}

enum store_err
account_limits_look(struct sql *sql, int64_t account, struct account_limits *limits_out)
{
	enum store_err err;

	*limits_out = ACCOUNT_LIMITS_DEFAULT;
	err = read_row(sql, account, false, limits_out);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
read_limits(struct sql *sql, void *arg)
{
	struct limits_of *l = arg;

	return read_row(sql, l->account, l->older, &l->limits);
}

static void
clear_limits(void *arg)
{
	struct limits_of *l = arg;

	l->limits = ACCOUNT_LIMITS_DEFAULT;
}

enum store_err
account_limits_get(struct account_db *db, int64_t account, struct account_limits *limits_out)
{
	struct limits_of l = { account, false, ACCOUNT_LIMITS_DEFAULT };
	enum store_err err =
	    account_db_look(db, MAILBOXES_SINCE_VERSION, read_limits, clear_limits, &l);

	if (err == STORE_NOT_FOUND) { /* no row, or an older file */
		l.older = true;
		err = account_db_look(db, LIMITS_SINCE_VERSION, read_limits, clear_limits, &l);
	}

	*limits_out = l.limits;
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

bool
account_limits_fit(const struct account_limits *limits)
{
	struct account_limits copy = *limits;

	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++) {
		int64_t number = *account_limit_at(&copy, i);

		if (number < ACCOUNT_LIMIT_DEFAULT || number > ACCOUNT_LIMIT_MAX)
			return false;
	}
	return copy.sent_copy <= 1;
}

enum store_err
account_limits_write(struct sql *sql, int64_t account, const struct account_limits *limits)
{
	sqlite3_stmt *stmt = sql_get(sql,
	    "INSERT OR REPLACE INTO account_limit (account, " LIMIT_COLUMNS ", mailboxes_max)"
	    " SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM account WHERE id = ?1");
	struct account_limits copy = *limits;
	enum store_err err;

	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, account);
	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++)
		if (*account_limit_at(&copy, i) >= 0)
			sqlite3_bind_int64(stmt, (int)i + 2, *account_limit_at(&copy, i));
	err = sql_run(sql, stmt);
	return err == STORE_OK && sqlite3_changes(sql->db) == 0 ? STORE_NOT_FOUND : err;
}

static enum store_err
set_limits(struct sql *sql, void *arg)
{
	const struct limits_of *l = arg;

	return account_limits_write(sql, l->account, &l->limits);
}

enum store_err
account_limits_set(struct account_db *db, int64_t account, const struct account_limits *limits)
{
	struct limits_of l = { account, false, *limits };

	return account_limits_fit(limits) ? account_db_transaction(db, set_limits, &l)
					  : STORE_INVALID;
}
