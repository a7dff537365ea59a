#include "admin/import_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/mailbox.h"
#include "store/sql.h"

#define RECORD_BUSY_MS    20000
#define RECORD_CACHE_ROWS 1024

struct import_record {
	struct account *acct;
	struct sql sql;
	int lock_fd; /* opened before SQLite opens the file, closed after: its locks are the process's */
};

static const char *const STEPS[] = {
	"CREATE TABLE box ("
	"  id INTEGER PRIMARY KEY, source TEXT NOT NULL, name TEXT NOT NULL,"
	"  uidvalidity INTEGER NOT NULL, local TEXT NOT NULL, local_uidvalidity INTEGER NOT NULL,"
	"  kept INTEGER NOT NULL, UNIQUE (source, name));"
	"CREATE TABLE message ("
	"  box INTEGER NOT NULL, uid INTEGER NOT NULL, local_uid INTEGER NOT NULL,"
	"  flags TEXT NOT NULL, size INTEGER NOT NULL, digest BLOB NOT NULL,"
	"  PRIMARY KEY (box, uid)) WITHOUT ROWID;"
	"CREATE INDEX message_digest ON message (digest);"
	"CREATE TABLE pending ("
	"  box INTEGER NOT NULL, uid INTEGER NOT NULL, file TEXT NOT NULL,"
	"  flags TEXT NOT NULL, size INTEGER NOT NULL, digest BLOB NOT NULL,"
	"  PRIMARY KEY (box, uid)) WITHOUT ROWID;",
};

/* --- opening ------------------------------------------------------------------------------------ */

static enum store_err
lock_file(struct import_record *r, bool create)
{
	enum store_err err = dir_open_file(account_dir_fd(r->acct), IMPORT_RECORD_FILE,
	    O_RDWR | (create ? O_CREAT : 0), FILE_MODE, &r->lock_fd);

	if (err != STORE_OK)
		return err;
	if (flock(r->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? STORE_BUSY : dir_err(errno);
	return STORE_OK;
}

static enum store_err
open_file(struct import_record *r, bool create, const struct log *log)
{
	char *path = mem_printf("%s/%s", account_path(r->acct), IMPORT_RECORD_FILE);
	enum store_err err = lock_file(r, create);

	if (err == STORE_OK)
		err = sql_open(&r->sql, path, SQLITE_OPEN_READWRITE, NULL, RECORD_BUSY_MS, log);
	if (err == STORE_OK)
		err = sql_set_up(&r->sql, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
	if (err == STORE_OK)
		err = sql_migrate(&r->sql, STEPS, ARRAY_LEN(STEPS));
	free(path);
	return err;
}

static void
bind_row(sqlite3_stmt *stmt, int at, const struct import_row *row)
{
	if (stmt == NULL)
		return;
	sqlite3_bind_text(stmt, at, row->flags, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, at + 1, (sqlite3_int64)row->size);
	sqlite3_bind_blob(stmt, at + 2, row->digest, IMPORT_DIGEST_BYTES, SQLITE_STATIC);
}

static void
read_row(sqlite3_stmt *stmt, int at, struct arena *arena, struct import_row *row)
{
	const unsigned char *flags = sqlite3_column_text(stmt, at);

	row->flags = arena_strdup(arena, flags != NULL ? (const char *)flags : "");
	row->size = (uint64_t)sqlite3_column_int64(stmt, at + 1);
	if (sqlite3_column_bytes(stmt, at + 2) == IMPORT_DIGEST_BYTES)
		memcpy(row->digest, sqlite3_column_blob(stmt, at + 2), IMPORT_DIGEST_BYTES);
}

/* --- what a killed run has left ----------------------------------------------------------------- */

struct pending {
	struct import_row *rows;
	const char **files;
	size_t count;
	struct arena arena;
};

static enum store_err
read_pending(struct import_record *r, int64_t box, struct pending *p)
{
	sqlite3_stmt *stmt = sql_get(&r->sql,
	    "SELECT uid, file, flags, size, digest FROM pending WHERE box = ? ORDER BY uid");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, box);
	while ((err = sql_step(&r->sql, stmt)) == STORE_OK) {
		const unsigned char *file = sqlite3_column_text(stmt, 1);

		p->rows = mem_realloc_array(p->rows, p->count + 1, sizeof(*p->rows));
		p->files = mem_realloc_array(p->files, p->count + 1, sizeof(*p->files));
		p->rows[p->count] =
		    (struct import_row){ .uid = (uint32_t)sqlite3_column_int64(stmt, 0) };
		read_row(stmt, 2, &p->arena, &p->rows[p->count]);
		p->files[p->count++] =
		    arena_strdup(&p->arena, file != NULL ? (const char *)file : "");
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

/* The first box with pending rows; STORE_NOT_FOUND: none. */
static enum store_err
next_pending(struct import_record *r, int64_t *box_out, char **local_out)
{
	sqlite3_stmt *stmt = sql_get(&r->sql, "SELECT p.box, b.local FROM pending p LEFT JOIN box b"
					      " ON b.id = p.box LIMIT 1");
	enum store_err err = sql_step(&r->sql, stmt);

	if (err == STORE_OK) {
		*box_out = sqlite3_column_int64(stmt, 0);
		*local_out = sql_column_dup(stmt, 1);
		sqlite3_reset(stmt);
	}
	return err;
}

static enum store_err
finish_box(struct import_record *r, int64_t box, const char *local)
{
	struct pending p = { 0 };
	uint32_t *uids;
	enum store_err err = read_pending(r, box, &p), found;

	uids = mem_zalloc((p.count + 1) * sizeof(*uids));
	if (err == STORE_OK && local != NULL) {
		found = append_find(r->acct, local, p.files, p.count, uids);
		if (found != STORE_OK &&
		    found != STORE_NOT_FOUND) /* the mailbox is gone, all with it */
			err = found;
	}
	if (err == STORE_OK)
		err = import_record_begin(r);
	if (err == STORE_OK) {
		for (size_t i = 0; i < p.count && err == STORE_OK; i++) {
			p.rows[i].local_uid = uids[i];
			if (uids[i] != 0)
				err = import_record_put_row(r, box, &p.rows[i]);
		}
		if (err == STORE_OK)
			err = import_record_drop_pending(r, box);
		err = import_record_end(r, err);
	}
	free(uids);
	free(p.rows);
	free(p.files);
	arena_free(&p.arena);
	return err;
}

static enum store_err
finish_pending(struct import_record *r)
{
	enum store_err err;
	int64_t box;
	char *local = NULL;

	while ((err = next_pending(r, &box, &local)) == STORE_OK) {
		err = finish_box(r, box, local);
		free(local);
		local = NULL;
		if (err != STORE_OK)
			return err;
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
import_record_open(
    struct account *acct, const struct log *log, bool create, struct import_record **record_out)
{
	struct import_record *r = mem_zalloc(sizeof(*r));
	enum store_err err;

	*record_out = NULL;
	r->acct = account_ref(acct);
	r->lock_fd = -1;
	err = open_file(r, create, log);
	if (err == STORE_OK && create)
		err = finish_pending(r);
	if (err == STORE_OK) {
		*record_out = r;
		return STORE_OK;
	}
	import_record_close(r);
	return err == STORE_NOT_FOUND && !create ? STORE_OK : err;
}

void
import_record_close(struct import_record *r)
{
	if (r == NULL)
		return;
	sql_close(&r->sql);
	if (r->lock_fd >= 0)
		close(r->lock_fd);
	account_close(r->acct);
	free(r);
}

enum store_err
import_record_begin(struct import_record *r)
{
	return sql_exec(&r->sql, "BEGIN IMMEDIATE");
}

enum store_err
import_record_end(struct import_record *r, enum store_err err)
{
	return sql_end(&r->sql, err);
}

/* --- boxes -------------------------------------------------------------------------------------- */

enum store_err
import_record_find_box(struct import_record *r, struct import_box *box)
{
	sqlite3_stmt *stmt =
	    sql_get(&r->sql, "SELECT id, uidvalidity, local, local_uidvalidity, kept FROM box"
			     " WHERE source = ? AND name = ?");
	enum store_err err;

	sql_bind_text(stmt, 1, box->source);
	sql_bind_text(stmt, 2, box->name);
	err = sql_step(&r->sql, stmt);
	if (err != STORE_OK)
		return err;
	box->id = sqlite3_column_int64(stmt, 0);
	box->uidvalidity = (uint32_t)sqlite3_column_int64(stmt, 1);
	free(box->local);
	box->local = sql_column_dup(stmt, 2);
	box->local_uidvalidity = (uint32_t)sqlite3_column_int64(stmt, 3);
	box->kept = sqlite3_column_int(stmt, 4) != 0;
	sqlite3_reset(stmt);
	return STORE_OK;
}

enum store_err
import_record_put_box(struct import_record *r, struct import_box *box)
{
	sqlite3_stmt *stmt = sql_get(&r->sql,
	    "INSERT INTO box (source, name, uidvalidity, local, local_uidvalidity, kept)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (source, name) DO UPDATE SET"
	    " uidvalidity = ?3, local = ?4, local_uidvalidity = ?5, kept = ?6");
	enum store_err err;

	sql_bind_text(stmt, 1, box->source);
	sql_bind_text(stmt, 2, box->name);
	sql_bind_text(stmt, 4, box->local);
	if (stmt != NULL) {
		sqlite3_bind_int64(stmt, 3, box->uidvalidity);
		sqlite3_bind_int64(stmt, 5, box->local_uidvalidity);
		sqlite3_bind_int(stmt, 6, box->kept);
	}
	err = sql_run(&r->sql, stmt);
	if (err == STORE_OK && box->id == 0)
		err = import_record_find_box(r, box);
	return err;
}

enum store_err
import_record_locals(struct import_record *r, const char *source,
    void (*cb)(void *arg, const char *name, const char *local), void *arg)
{
	sqlite3_stmt *stmt = sql_get(&r->sql, "SELECT name, local FROM box WHERE source = ?");
	enum store_err err;

	sql_bind_text(stmt, 1, source);
	while ((err = sql_step(&r->sql, stmt)) == STORE_OK) {
		char *name = sql_column_dup(stmt, 0), *local = sql_column_dup(stmt, 1);

		if (name != NULL && local != NULL)
			cb(arg, name, local);
		free(name);
		free(local);
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

/* --- rows --------------------------------------------------------------------------------------- */

enum store_err
import_record_rows(struct import_record *r, int64_t box, struct arena *arena,
    struct import_row **rows_out, size_t *count_out)
{
	sqlite3_stmt *stmt =
	    sql_get(&r->sql, "SELECT uid, local_uid, flags, size, digest FROM message"
			     " WHERE box = ? ORDER BY uid");
	struct import_row *rows = NULL;
	size_t count = 0, cap = 0;
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, box);
	while ((err = sql_step(&r->sql, stmt)) == STORE_OK) {
		if (count == cap) {
			cap = cap == 0 ? RECORD_CACHE_ROWS : 2 * cap;
			rows = mem_realloc_array(rows, cap, sizeof(*rows));
		}
		rows[count] = (struct import_row){ .uid = (uint32_t)sqlite3_column_int64(stmt, 0),
			.local_uid = (uint32_t)sqlite3_column_int64(stmt, 1) };
		read_row(stmt, 2, arena, &rows[count++]);
	}
	*rows_out = arena_alloc(arena, (count + 1) * sizeof(*rows));
	if (count > 0)
		memcpy(*rows_out, rows, count * sizeof(*rows));
	*count_out = count;
	free(rows);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
import_record_put_row(struct import_record *r, int64_t box, const struct import_row *row)
{
	sqlite3_stmt *stmt = sql_get(&r->sql,
	    "INSERT OR REPLACE INTO message (box, uid, local_uid, flags, size, digest)"
	    " VALUES (?, ?, ?, ?, ?, ?)");

	bind_row(stmt, 4, row);
	if (stmt != NULL) {
		sqlite3_bind_int64(stmt, 1, box);
		sqlite3_bind_int64(stmt, 2, row->uid);
		sqlite3_bind_int64(stmt, 3, row->local_uid);
	}
	return sql_run(&r->sql, stmt);
}

enum store_err
import_record_drop_row(struct import_record *r, int64_t box, uint32_t uid)
{
	sqlite3_stmt *stmt = sql_get(&r->sql, "DELETE FROM message WHERE box = ? AND uid = ?");

	if (stmt != NULL) {
		sqlite3_bind_int64(stmt, 1, box);
		sqlite3_bind_int64(stmt, 2, uid);
	}
	return sql_run(&r->sql, stmt);
}

static enum store_err
run_for_box(struct import_record *r, const char *text, int64_t box)
{
	sqlite3_stmt *stmt = sql_get(&r->sql, text);

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, box);
	return sql_run(&r->sql, stmt);
}

enum store_err
import_record_drop_rows(struct import_record *r, int64_t box)
{
	return run_for_box(r, "DELETE FROM message WHERE box = ?", box);
}

static enum store_err
ask_number(struct import_record *r, sqlite3_stmt *stmt, uint32_t *out)
{
	enum store_err err = sql_step(&r->sql, stmt);

	*out = 0;
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	*out = (uint32_t)sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return STORE_OK;
}

enum store_err
import_record_last_uid(struct import_record *r, int64_t box, uint32_t *uid_out)
{
	sqlite3_stmt *stmt = sql_get(&r->sql, "SELECT max(uid) FROM message WHERE box = ?");

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, box);
	return ask_number(r, stmt, uid_out);
}

enum store_err
import_record_count(struct import_record *r, int64_t box,
    const uint8_t digest[static IMPORT_DIGEST_BYTES], uint32_t *count_out)
{
	sqlite3_stmt *stmt =
	    sql_get(&r->sql, "SELECT count(*) FROM message WHERE digest = ? AND box = ?");

	if (stmt != NULL) {
		sqlite3_bind_blob(stmt, 1, digest, IMPORT_DIGEST_BYTES, SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 2, box);
	}
	return ask_number(r, stmt, count_out);
}

enum store_err
import_record_elsewhere(struct import_record *r, const struct import_box *box,
    const uint8_t digest[static IMPORT_DIGEST_BYTES], uint64_t size, bool *found_out)
{
	sqlite3_stmt *stmt = sql_get(&r->sql,
	    "SELECT count(*) FROM message m JOIN box b ON b.id = m.box WHERE m.digest = ?"
	    " AND m.size = ? AND b.source = ? AND b.id <> ? AND m.local_uid <> 0");
	uint32_t count = 0;
	enum store_err err;

	sql_bind_text(stmt, 3, box->source);
	if (stmt != NULL) {
		sqlite3_bind_blob(stmt, 1, digest, IMPORT_DIGEST_BYTES, SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 2, (sqlite3_int64)size);
		sqlite3_bind_int64(stmt, 4, box->id);
	}
	err = ask_number(r, stmt, &count);
	*found_out = count > 0;
	return err;
}

enum store_err
import_record_put_pending(
    struct import_record *r, int64_t box, const struct import_row *row, const char *file)
{
	sqlite3_stmt *stmt =
	    sql_get(&r->sql, "INSERT OR REPLACE INTO pending (box, uid, file, flags, size, digest)"
			     " VALUES (?, ?, ?, ?, ?, ?)");

	bind_row(stmt, 4, row);
	sql_bind_text(stmt, 3, file);
	if (stmt != NULL) {
		sqlite3_bind_int64(stmt, 1, box);
		sqlite3_bind_int64(stmt, 2, row->uid);
	}
	return sql_run(&r->sql, stmt);
}

enum store_err
import_record_drop_pending(struct import_record *r, int64_t box)
{
	return run_for_box(r, "DELETE FROM pending WHERE box = ?", box);
}
