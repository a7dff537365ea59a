#include "store/sql_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/sql.h"

#define COPY_BUSY_MS 20000

/* VACUUM INTO writes a new file of just the rows, from one read transaction: neither pages of deleted rows nor a journal
 * come along, and what has not changed gives the same bytes, so that it is found to be the same. */
static enum store_err
vacuum_into(struct sql *s, const char *to)
{
	sqlite3_stmt *stmt = sql_get(s, "VACUUM INTO ?");

	sql_bind_text(stmt, 1, to);
	return sql_run(s, stmt);
}

enum store_err
sql_copy(const char *from, const char *to, const struct log *log)
{
	struct sql s = { 0 };
	enum store_err err = STORE_OK;
	int fd;

	if (access(from, F_OK) != 0)
		return store_err_from_errno(errno);
	/* An empty file is what VACUUM INTO takes, too; SQLite would make it with the umask's mode. */
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return store_err_from_errno(errno);
	close(fd);
	err = sql_open(&s, from, SQLITE_OPEN_READWRITE, NULL, COPY_BUSY_MS, log);
	if (err == STORE_OK) { /* its WAL stays: other connections may come */
		int persist = 1;

		sqlite3_file_control(s.db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
		sqlite3_db_config(s.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		err = vacuum_into(&s, to);
	}
	sql_close(&s);
	if (err != STORE_OK)
		unlink(to);
	return err;
}

enum store_err
sql_check_file(const char *path, const struct log *log, struct buf *problems)
{
	struct sql s = { 0 };
	enum store_err err =
	    sql_open(&s, path, SQLITE_OPEN_READONLY, "immutable=1", COPY_BUSY_MS, log);

	if (err == STORE_OK)
		err = sql_check(&s, problems);
	sql_close(&s);
	if (err != STORE_OK)
		buf_printf(problems, "%s: %s\n", path, store_err_text(err));
	return err;
}
