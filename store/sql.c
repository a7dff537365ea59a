#include "store/sql.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define SET_UP_TRIES    1000
#define SET_UP_PAUSE_US 10000
#define BUSY_PAUSE_US   200 /* others hold the lock for the time of a sync or less … */
#define BUSY_SHORT_MS   20  /* … and if not, we ask less often: */
#define BUSY_LONG_US    2000

static const struct {
	int code;
	enum store_err err;
} CODES[] = {
	{ SQLITE_BUSY, STORE_BUSY },
	{ SQLITE_LOCKED, STORE_BUSY },
	{ SQLITE_FULL, STORE_FULL },
	{ SQLITE_CORRUPT, STORE_CORRUPT },
	{ SQLITE_NOTADB, STORE_CORRUPT },
	{ SQLITE_CONSTRAINT, STORE_EXISTS },
	{ SQLITE_READONLY, STORE_DENIED },
	{ SQLITE_PERM, STORE_DENIED },
	{ SQLITE_AUTH, STORE_DENIED },
	{ SQLITE_TOOBIG, STORE_LIMIT },
};

static enum store_err
translate(struct sql *s, int rc)
{
	int code = rc & 0xff, system_errno = s->db != NULL ? sqlite3_system_errno(s->db) : 0;

	if (code == SQLITE_NOMEM)
		abort();
	/* Never NOT_FOUND: that is an answer ("no such row"), and this is a failure. */
	if ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) &&
	    (system_errno == ENOSPC || system_errno == EDQUOT))
		return STORE_FULL;
	if (code == SQLITE_CANTOPEN && (system_errno == EACCES || system_errno == EPERM))
		return STORE_DENIED;
	for (size_t i = 0; i < ARRAY_LEN(CODES); i++)
		if (CODES[i].code == code)
			return CODES[i].err;
	return STORE_IO;
}

enum store_err
sql_err(struct sql *s, int rc, const char *doing)
{
	enum store_err err = translate(s, rc);

	if (err != STORE_EXISTS)
		log_error(s->log, "sqlite", "path=%s doing=%s code=%d error=%s", s->path, doing, rc,
		    s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
	return err;
}

/* "file:PATH?options" with what would end the path escaped. */
static char *
make_uri(const char *path, const char *options)
{
	struct buf uri = { 0 };

	buf_adds(&uri, "file:");
	for (const char *p = path; *p != '\0'; p++) {
		if (strchr("%?#", *p) != NULL)
			buf_printf(&uri, "%%%x%x", (unsigned)*p >> 4, (unsigned)*p & 15);
		else
			buf_addc(&uri, *p);
	}
	buf_printf(&uri, "?%s", options);
	return buf_take(&uri);
}

/* SQLite's own handler sleeps for up to 100 ms at a time, while all that is waited for is somebody's commit. */
static int
on_busy(void *arg, int times)
{
	struct sql *s = arg;
	int64_t waited_ms;

	if (times == 0)
		s->busy_since_ms = clock_ms();
	waited_ms = clock_ms() - s->busy_since_ms;
	if (waited_ms >= s->busy_ms)
		return 0;
	usleep(waited_ms < BUSY_SHORT_MS ? BUSY_PAUSE_US : BUSY_LONG_US);
	return 1;
}

enum store_err
sql_open(struct sql *s, const char *path, int flags, const char *uri_options, int busy_ms,
    const struct log *log)
{
	char *name = uri_options != NULL ? make_uri(path, uri_options) : mem_strdup(path);
	int rc;

	*s = (struct sql){ .log = log, .path = mem_strdup(path), .busy_ms = busy_ms };
	flags |= SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	if (uri_options != NULL)
		flags |= SQLITE_OPEN_URI;
	rc = sqlite3_open_v2(name, &s->db, flags, NULL);
	free(name);
	if (rc != SQLITE_OK)
		return translate(s, rc);
	sqlite3_busy_handler(s->db, on_busy, s);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	return STORE_OK;
}

void
sql_close(struct sql *s)
{
	for (size_t i = 0; i < s->statement_count; i++)
		sqlite3_finalize(s->statements[i].stmt);
	sqlite3_close(s->db);
	free(s->path);
	*s = (struct sql){ 0 };
}

sqlite3_stmt *
sql_get(struct sql *s, const char *text)
{
	sqlite3_stmt *stmt;
	int rc;

	for (size_t i = 0; i < s->statement_count; i++) {
		if (s->statements[i].text == text) {
			stmt = s->statements[i].stmt;
			sqlite3_reset(stmt);
			sqlite3_clear_bindings(stmt);
			return stmt;
		}
	}
	if (s->statement_count == SQL_STATEMENTS_MAX)
		abort(); /* texts are literals: there are only so many */
	rc = sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
	if (rc != SQLITE_OK) {
		sql_err(s, rc, text);
		return NULL;
	}
	s->statements[s->statement_count].text = text;
	s->statements[s->statement_count++].stmt = stmt;
	return stmt;
}

enum store_err
sql_step(struct sql *s, sqlite3_stmt *stmt)
{
	enum store_err err;
	int rc;

	if (stmt == NULL)
		return STORE_IO;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		return STORE_OK;
	err = rc == SQLITE_DONE ? STORE_NOT_FOUND : sql_err(s, rc, sqlite3_sql(stmt));
	sqlite3_reset(stmt);
	return err;
}

enum store_err
sql_run(struct sql *s, sqlite3_stmt *stmt)
{
	enum store_err err = sql_step(s, stmt);

	if (err == STORE_OK)
		sqlite3_reset(stmt);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
sql_exec(struct sql *s, const char *text)
{
	int rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);

	return rc == SQLITE_OK ? STORE_OK : sql_err(s, rc, text);
}

/* Two that open a new file at once both want it alone to switch it to WAL; SQLite tells one of them
 * "busy" at once, without asking the busy handler. */
enum store_err
sql_set_up(struct sql *s, const char *pragmas)
{
	int rc = SQLITE_BUSY;

	for (int tries = 0; tries < SET_UP_TRIES; tries++) {
		rc = sqlite3_exec(s->db, pragmas, NULL, NULL, NULL);
		if ((rc & 0xff) != SQLITE_BUSY)
			break;
		usleep(SET_UP_PAUSE_US);
	}
	return rc == SQLITE_OK ? STORE_OK : sql_err(s, rc, pragmas);
}

void
sql_bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
	if (stmt != NULL)
		sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}

void
sql_bind_str(sqlite3_stmt *stmt, int index, struct str text)
{
	if (stmt != NULL)
		sqlite3_bind_text(
		    stmt, index, text.len > 0 ? text.p : "", (int)text.len, SQLITE_STATIC);
}

char *
sql_column_dup(sqlite3_stmt *stmt, int column)
{
	const void *bytes = sqlite3_column_blob(stmt, column);
	int len = sqlite3_column_bytes(stmt, column);

	if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
		return NULL;
	return mem_strndup(bytes != NULL ? bytes : "", (size_t)len);
}

enum store_err
sql_end(struct sql *s, enum store_err err)
{
	if (err == STORE_OK)
		err = sql_exec(s, "COMMIT");
	if (err != STORE_OK && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

int
sql_version(struct sql *s)
{
	sqlite3_stmt *stmt = sql_get(s, "PRAGMA user_version");
	int version = sql_step(s, stmt) == STORE_OK ? sqlite3_column_int(stmt, 0) : -1;

	if (stmt != NULL)
		sqlite3_reset(stmt);
	return version;
}

static enum store_err
run_step(struct sql *s, const char *const *steps, int *version)
{
	char pragma[64];
	enum store_err err = sql_exec(s, "BEGIN IMMEDIATE");

	if (err != STORE_OK)
		return err;
	if (sql_version(s) != *version) { /* somebody else migrated it meanwhile */
		*version = sql_version(s);
		return sql_end(s, STORE_OK);
	}
	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", *version + 1);
	err = sql_exec(s, steps[*version]);
	if (err == STORE_OK)
		err = sql_exec(s, pragma);
	err = sql_end(s, err);
	if (err == STORE_OK)
		(*version)++;
	return err;
}

enum store_err
sql_migrate(struct sql *s, const char *const *steps, int count)
{
	int version = sql_version(s);
	enum store_err err = STORE_OK;

	while (err == STORE_OK && version >= 0 && version < count)
		err = run_step(s, steps, &version);
	if (err == STORE_OK && version > count) {
		log_error(s->log, "database-newer", "path=%s version=%d known=%d do=%s", s->path,
		    version, count, "use the newer software that made it");
		return STORE_VERSION;
	}
	return err == STORE_OK && version < 0 ? STORE_CORRUPT : err;
}

enum store_err
sql_check(struct sql *s, struct buf *problems)
{
	sqlite3_stmt *stmt = sql_get(s, "PRAGMA integrity_check(20)");
	enum store_err err;

	while ((err = sql_step(s, stmt)) == STORE_OK) {
		const char *line = (const char *)sqlite3_column_text(stmt, 0);

		if (line != NULL && strcmp(line, "ok") != 0)
			buf_printf(problems, "%s: %s\n", s->path, line);
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}
