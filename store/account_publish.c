#include "store/account_publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/account_db.h"
#include "store/sql.h"

#define NEW_FILE   "." ACCOUNT_PUBLISH_FILE ".new"
#define COPY_BYTES 65536

const char *const ACCOUNT_PUBLISH_COLUMNS[] = { "quota", "realname", NULL };

/* The same content gives the same bytes: made anew each time, in one order, without leftovers. */
static const char SET_UP[] =
    "PRAGMA main.page_size = 4096; PRAGMA main.journal_mode = OFF; PRAGMA main.synchronous = OFF;"
    "PRAGMA main.secure_delete = ON; PRAGMA encoding = 'UTF-8';";

static const char ALIASES[] =
    "CREATE TABLE alias (localpart VARCHAR(128) NOT NULL COLLATE NOCASE,"
    " domain VARCHAR(128) NOT NULL COLLATE NOCASE,"
    " target_localpart VARCHAR(128) NOT NULL COLLATE NOCASE,"
    " target_domain VARCHAR(128) NOT NULL COLLATE NOCASE,"
    " PRIMARY KEY (localpart, domain)) WITHOUT ROWID;"
    "INSERT INTO alias SELECT s.localpart, s.domain, a.localpart, a.domain"
    " FROM store.alias AS s JOIN store.account AS a ON a.id = s.account"
    " WHERE is_name(a.localpart, a.domain) ORDER BY s.localpart, s.domain;"
    "CREATE VIEW recipient AS SELECT localpart, domain FROM account WHERE active OR leaving"
    " UNION SELECT alias.localpart, alias.domain FROM alias JOIN account"
    " ON account.localpart = target_localpart AND account.domain = target_domain"
    " WHERE active OR leaving;";

/* A column that there is, for the first time. */
static bool
may_be_asked_for(const char *const *columns, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (strcmp(columns[j], columns[i]) == 0)
			return false;
	for (size_t j = 0; ACCOUNT_PUBLISH_COLUMNS[j] != NULL; j++)
		if (strcmp(ACCOUNT_PUBLISH_COLUMNS[j], columns[i]) == 0)
			return true;
	return false;
}

static struct str
value_str(sqlite3_value *value)
{
	const char *text = (const char *)sqlite3_value_text(value);

	return (struct str){ text != NULL ? text : "", (size_t)sqlite3_value_bytes(value) };
}

/* is_name(localpart, domain): could it be an account's? */
static void
is_name(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	sqlite3_result_int(context, account_localpart_is_valid(value_str(values[0])) &&
					account_domain_is_valid(value_str(values[1])));
}

static char *
make_accounts_sql(const char *const *columns, size_t count)
{
	struct buf names = { 0 }, sql = { 0 };

	for (size_t i = 0; i < count; i++)
		buf_printf(&names, ", %s", columns[i]);
	buf_printf(&sql,
	    "CREATE TABLE account (localpart VARCHAR(128) NOT NULL COLLATE NOCASE,"
	    " domain VARCHAR(128) NOT NULL COLLATE NOCASE, active INTEGER NOT NULL,"
	    " leaving INTEGER NOT NULL%s, PRIMARY KEY (localpart, domain)) WITHOUT ROWID;"
	    "INSERT INTO account SELECT localpart, domain, active <> 0, active = 0 AND EXISTS"
	    " (SELECT 1 FROM store.account_leave AS l WHERE l.account = a.id)%s"
	    " FROM store.account AS a WHERE is_name(localpart, domain) ORDER BY localpart, domain;",
	    buf_cstr(&names), buf_cstr(&names));
	buf_free(&names);
	return buf_take(&sql);
}

static enum store_err
attach(struct sql *s, const char *db_path)
{
	sqlite3_stmt *stmt = sql_get(s, "ATTACH ? AS store");

	sql_bind_text(stmt, 1, db_path);
	return sql_run(s, stmt);
}

static enum store_err
copy_rows(struct sql *s, const char *accounts_sql)
{
	enum store_err err = sql_exec(s, "BEGIN");

	if (err == STORE_OK)
		err = sql_exec(s, accounts_sql);
	if (err == STORE_OK)
		err = sql_exec(s, ALIASES);
	if (err == STORE_OK)
		err = sql_exec(s, "PRAGMA user_version = 1");
	return sql_end(s, err);
}
_Static_assert(ACCOUNT_PUBLISH_VERSION == 1, "as copy_rows() sets it");

static enum store_err
write_copy(const char *db_path, const char *new_path, const char *const *columns, size_t count,
    const struct log *log)
{
	char *accounts_sql = make_accounts_sql(columns, count);
	struct sql s;
	enum store_err err = sql_open(&s, new_path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	    NULL, ACCOUNT_DB_BUSY_MS, log);

	if (err == STORE_OK)
		sqlite3_create_function_v2(s.db, "is_name", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
		    NULL, is_name, NULL, NULL, NULL);
	if (err == STORE_OK)
		err = sql_exec(&s, SET_UP);
	if (err == STORE_OK)
		err = attach(&s, db_path);
	if (err == STORE_OK)
		err = copy_rows(&s, accounts_sql);
	sql_close(&s);
	free(accounts_sql);
	return err;
}

static bool
same_bytes(int a, int b)
{
	static char x[COPY_BYTES], y[COPY_BYTES];
	off_t at = 0;
	ssize_t n, m;

	do {
		n = pread(a, x, sizeof(x), at);
		m = pread(b, y, sizeof(y), at);
		if (n < 0 || n != m || memcmp(x, y, (size_t)n) != 0)
			return false;
		at += n;
	} while (n > 0);
	return true;
}

static bool
same_files(int dir_fd, int new_fd)
{
	int old_fd = openat(dir_fd, ACCOUNT_PUBLISH_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool same = old_fd >= 0 && same_bytes(old_fd, new_fd);

	if (old_fd >= 0)
		close(old_fd);
	return same;
}

/* What is written takes its place, or goes where it is what is there. */
static enum store_err
put_in_place(int dir_fd, bool *changed_out)
{
	int fd = openat(dir_fd, NEW_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	enum store_err err = STORE_OK;

	if (fd < 0)
		return store_err_from_errno(errno);
	*changed_out = !same_files(dir_fd, fd);
	if (*changed_out && (fchmod(fd, 0644) != 0 || fsync(fd) != 0 ||
				renameat(dir_fd, NEW_FILE, dir_fd, ACCOUNT_PUBLISH_FILE) != 0 ||
				fsync(dir_fd) != 0))
		err = store_err_from_errno(errno);
	close(fd);
	return err;
}

enum store_err
account_publish(const char *db_path, int dir_fd, const char *const *columns, size_t column_count,
    const struct log *log, bool *changed_out)
{
	char *new_path = mem_printf("/proc/self/fd/%d/" NEW_FILE, dir_fd);
	enum store_err err = STORE_OK;

	*changed_out = false;
	for (size_t i = 0; i < column_count; i++)
		if (!may_be_asked_for(columns, i))
			err = STORE_INVALID;
	if (err == STORE_OK && flock(dir_fd, LOCK_EX | LOCK_NB) != 0)
		err = store_err_from_errno(errno);
	if (err == STORE_OK) {
		unlinkat(dir_fd, NEW_FILE, 0); /* of one that was killed */
		err = write_copy(db_path, new_path, columns, column_count, log);
		if (err == STORE_OK)
			err = put_in_place(dir_fd, changed_out);
		unlinkat(dir_fd, NEW_FILE, 0);
		flock(dir_fd, LOCK_UN);
	}
	free(new_path);
	return err;
}
