#include "store/index.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define INDEX_BUSY_MS   5000 /* another process commits; the writer lock keeps writers apart */
#define INDEX_WAL_PAGES 1000 /* then the journal is written back */
#define TEXT_OF(x)      #x
#define TEXT(x)         TEXT_OF(x)

static const char SCHEMA[] =
    "CREATE TABLE mailbox (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " mailbox_id TEXT, epoch TEXT, uidvalidity INTEGER, uidnext INTEGER, recent_uid INTEGER,"
    " modseq INTEGER, expunged_floor INTEGER, expunged_count INTEGER, uid_lease INTEGER,"
    " modseq_lease INTEGER, messages INTEGER, unseen INTEGER, deleted INTEGER, unsized INTEGER,"
    " bytes INTEGER, disk_bytes INTEGER, deleted_disk_bytes INTEGER,"
    " new_mtime INTEGER, new_ctime INTEGER, new_inode INTEGER,"
    " cur_mtime INTEGER, cur_ctime INTEGER, cur_inode INTEGER,"
    " keywords_mtime INTEGER, keywords_ctime INTEGER, keywords_inode INTEGER,"
    " new_racy INTEGER, verify_due INTEGER, verified INTEGER);"
    "CREATE TABLE uidmap (mailbox INTEGER, chunk INTEGER, uids BLOB NOT NULL,"
    " PRIMARY KEY (mailbox, chunk)) WITHOUT ROWID;"
    "CREATE TABLE keyword (mailbox INTEGER, number INTEGER, name TEXT NOT NULL,"
    " PRIMARY KEY (mailbox, number)) WITHOUT ROWID;"
    /* key = mailbox << 32 | uid */
    "CREATE TABLE message (key INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL, modseq INTEGER NOT "
    "NULL,"
    " flags INTEGER NOT NULL, keywords BLOB, internaldate INTEGER NOT NULL, size INTEGER,"
    " disk_size INTEGER NOT NULL, name TEXT NOT NULL);"
    "CREATE INDEX message_modseq ON message (mailbox, modseq);"
    "CREATE INDEX message_flags ON message (mailbox, flags);"
    "CREATE INDEX message_unsized ON message (mailbox) WHERE size IS NULL;"
    "CREATE TABLE expunged (mailbox INTEGER, modseq INTEGER, uid INTEGER,"
    " PRIMARY KEY (mailbox, modseq, uid)) WITHOUT ROWID;"
    "CREATE TABLE parsed (key INTEGER PRIMARY KEY, envelope BLOB, body BLOB, bodystructure BLOB,"
    " parts BLOB, sent_day INTEGER);";

enum statement {
	BEGIN_READ,
	BEGIN_WRITE,
	COMMIT,
	ROLLBACK,
	MAILBOX_GET,
	MAILBOX_INSERT,
	MAILBOX_UPDATE,
	MAILBOX_RENAME,
	DROP_MAILBOX,
	DROP_UIDMAP,
	DROP_KEYWORD,
	DROP_MESSAGE,
	DROP_EXPUNGED,
	DROP_PARSED,
	KEYWORDS,
	KEYWORD_PUT,
	UIDMAP_ALL,
	UIDMAP_FROM,
	UIDMAP_GET,
	UIDMAP_PUT,
	UIDMAP_DROP,
	MESSAGE_GET,
	MESSAGE_RANGE,
	MESSAGE_CHANGED,
	MESSAGE_FLAGS,
	MESSAGE_UNSEEN,
	MESSAGE_UNSIZED,
	MESSAGE_ADD,
	MESSAGE_CHANGE,
	MESSAGE_REMOVE,
	EXPUNGED_ADD,
	EXPUNGED_TRIM,
	EXPUNGED_GET,
	PARSED_GET,
	PARSED_PUT,
	PARSED_COPY,
	PARSED_REMOVE,
	STATEMENTS
};

#define MESSAGE_COLUMNS                                                                            \
	"key & 4294967295, flags, keywords, modseq, internaldate, size, disk_size, name"

static const char *const SQL[STATEMENTS] = {
	[BEGIN_READ] = "BEGIN",
	[BEGIN_WRITE] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[MAILBOX_GET] =
	    "SELECT id, mailbox_id, epoch, uidvalidity, uidnext, recent_uid, modseq, "
	    "expunged_floor,"
	    " expunged_count, uid_lease, modseq_lease, messages, unseen, deleted, unsized, bytes,"
	    " disk_bytes, deleted_disk_bytes, new_mtime, new_ctime, new_inode, cur_mtime, "
	    "cur_ctime,"
	    " cur_inode, keywords_mtime, keywords_ctime, keywords_inode, new_racy, verify_due, "
	    "verified"
	    " FROM mailbox WHERE name = ?1",
	[MAILBOX_INSERT] = "INSERT INTO mailbox (name) VALUES (?1)",
	[MAILBOX_UPDATE] =
	    "UPDATE mailbox SET mailbox_id = ?2, epoch = ?3, uidvalidity = ?4, uidnext = ?5,"
	    " recent_uid = ?6, modseq = ?7, expunged_floor = ?8, expunged_count = ?9, uid_lease = "
	    "?10,"
	    " modseq_lease = ?11, messages = ?12, unseen = ?13, deleted = ?14, unsized = ?15,"
	    " bytes = ?16, disk_bytes = ?17, deleted_disk_bytes = ?18, new_mtime = ?19,"
	    " new_ctime = ?20, new_inode = ?21, cur_mtime = ?22, cur_ctime = ?23, cur_inode = ?24,"
	    " keywords_mtime = ?25, keywords_ctime = ?26, keywords_inode = ?27, new_racy = ?28,"
	    " verify_due = ?29, verified = ?30 WHERE id = ?1",
	[MAILBOX_RENAME] = "UPDATE mailbox SET name = ?2 WHERE name = ?1",
	[DROP_MAILBOX] = "DELETE FROM mailbox WHERE id = ?1",
	[DROP_UIDMAP] = "DELETE FROM uidmap WHERE mailbox = ?1",
	[DROP_KEYWORD] = "DELETE FROM keyword WHERE mailbox = ?1",
	[DROP_MESSAGE] = "DELETE FROM message WHERE key >= ?1 << 32 AND key < (?1 + 1) << 32",
	[DROP_EXPUNGED] = "DELETE FROM expunged WHERE mailbox = ?1",
	[DROP_PARSED] = "DELETE FROM parsed WHERE key >= ?1 << 32 AND key < (?1 + 1) << 32",
	[KEYWORDS] = "SELECT number, name FROM keyword WHERE mailbox = ?1 ORDER BY number",
	[KEYWORD_PUT] =
	    "INSERT OR REPLACE INTO keyword (mailbox, number, name) VALUES (?1, ?2, ?3)",
	[UIDMAP_ALL] = "SELECT uids FROM uidmap WHERE mailbox = ?1 ORDER BY chunk",
	[UIDMAP_FROM] = "SELECT uids FROM uidmap WHERE mailbox = ?1 AND chunk >= ?2 ORDER BY chunk",
	[UIDMAP_GET] = "SELECT uids FROM uidmap WHERE mailbox = ?1 AND chunk = ?2",
	[UIDMAP_PUT] = "INSERT OR REPLACE INTO uidmap (mailbox, chunk, uids) VALUES (?1, ?2, ?3)",
	[UIDMAP_DROP] = "DELETE FROM uidmap WHERE mailbox = ?1 AND chunk = ?2",
	[MESSAGE_GET] = "SELECT " MESSAGE_COLUMNS " FROM message WHERE key = ?1",
	[MESSAGE_RANGE] =
	    "SELECT " MESSAGE_COLUMNS " FROM message WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
	[MESSAGE_CHANGED] =
	    "SELECT " MESSAGE_COLUMNS " FROM message INDEXED BY message_modseq"
	    " WHERE mailbox = ?1 AND (modseq, key) > (?2, ?3) ORDER BY modseq, key LIMIT ?4",
	[MESSAGE_FLAGS] = "SELECT key & 4294967295 FROM message INDEXED BY message_flags"
			  " WHERE mailbox = ?1 AND flags = ?2 ORDER BY key",
	[MESSAGE_UNSEEN] = "SELECT key & 4294967295 FROM message INDEXED BY message_flags"
			   " WHERE mailbox = ?1 AND flags = ?2 ORDER BY key LIMIT 1",
	[MESSAGE_UNSIZED] = "SELECT key & 4294967295 FROM message INDEXED BY message_unsized"
			    " WHERE mailbox = ?1 AND size IS NULL",
	[MESSAGE_ADD] =
	    "INSERT INTO message (key, mailbox, flags, keywords, modseq, internaldate, size,"
	    " disk_size, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[MESSAGE_CHANGE] =
	    "UPDATE message SET flags = ?3, keywords = ?4, modseq = ?5, internaldate = ?6,"
	    " size = ?7, disk_size = ?8, name = ?9 WHERE key = ?1 AND mailbox = ?2",
	[MESSAGE_REMOVE] = "DELETE FROM message WHERE key = ?1",
	[EXPUNGED_ADD] =
	    "INSERT OR IGNORE INTO expunged (mailbox, modseq, uid) VALUES (?1, ?2, ?3)",
	[EXPUNGED_TRIM] = "DELETE FROM expunged WHERE mailbox = ?1 AND modseq <= ?2",
	[EXPUNGED_GET] =
	    "SELECT uid, modseq FROM expunged WHERE mailbox = ?1 AND modseq > ?2 ORDER BY modseq",
	[PARSED_GET] =
	    "SELECT envelope, body, bodystructure, parts, sent_day FROM parsed WHERE key = ?1",
	[PARSED_PUT] =
	    "INSERT OR REPLACE INTO parsed (key, envelope, body, bodystructure, parts, sent_day)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[PARSED_COPY] =
	    "INSERT OR IGNORE INTO parsed (key, envelope, body, bodystructure, parts, sent_day)"
	    " SELECT ?2, envelope, body, bodystructure, parts, sent_day FROM parsed WHERE key = ?1",
	[PARSED_REMOVE] = "DELETE FROM parsed WHERE key = ?1",
};

struct index {
	const struct log *log;
	char *path;
	sqlite3 *db;
	sqlite3_stmt *stmts[STATEMENTS];
	dev_t dev;
	ino_t ino;
	char epoch[INDEX_EPOCH_BYTES];
	/* The chunk of the UID map being edited in this transaction. */
	int64_t chunk_mailbox; /* 0: none */
	uint32_t chunk_number;
	struct uidset chunk;
};

/* --- errors ------------------------------------------------------------------------------------ */

static enum store_err
index_err(const struct index *ix, int rc, const char *what)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return STORE_OK;
	default: break;
	}
	log_warn(ix->log, "index-error", "path=%s what=%s code=%d error=%s", ix->path, what, rc,
	    ix->db != NULL ? sqlite3_errmsg(ix->db) : sqlite3_errstr(rc));
	/* Whatever went wrong with a file that was deleted or replaced under us: a new one mends it. */
	if (ix->db != NULL && !index_is_current(ix))
		return STORE_CORRUPT;
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return STORE_BUSY;
	case SQLITE_FULL: return STORE_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table that is not there: not our file any more */
	case SQLITE_SCHEMA:
	case SQLITE_CONSTRAINT: /* rows that contradict each other */
	case SQLITE_MISMATCH: return STORE_CORRUPT;
	case SQLITE_IOERR:
		return rc == SQLITE_IOERR_SHORT_READ || rc == SQLITE_IOERR_CORRUPTFS ? STORE_CORRUPT
										     : STORE_IO;
	default: return STORE_IO;
	}
}

/* The statement, reset and ready to be bound; NULL and *err_out if it cannot be prepared. */
static sqlite3_stmt *
statement(struct index *ix, enum statement id, enum store_err *err_out)
{
	int rc = SQLITE_OK;

	if (ix->stmts[id] == NULL) {
		rc = sqlite3_prepare_v3(
		    ix->db, SQL[id], -1, SQLITE_PREPARE_PERSISTENT, &ix->stmts[id], NULL);
	}
	*err_out = index_err(ix, rc, SQL[id]);
	return *err_out == STORE_OK ? ix->stmts[id] : NULL;
}

/* Runs a statement that gives no rows. */
static enum store_err
run(struct index *ix, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	enum store_err err = index_err(ix, rc, sqlite3_sql(st));

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err;
}

static enum store_err
run_ints(struct index *ix, enum statement id, const int64_t *values, size_t count)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, id, &err);

	if (st == NULL)
		return err;
	for (size_t i = 0; i < count; i++)
		sqlite3_bind_int64(st, (int)i + 1, values[i]);
	return run(ix, st);
}

static int64_t
message_key(int64_t mailbox, uint32_t uid)
{
	return mailbox << 32 | uid;
}

/* --- opening ----------------------------------------------------------------------------------- */

void
index_close(struct index *ix)
{
	if (ix == NULL)
		return;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(ix->stmts[i]);
	sqlite3_close_v2(ix->db);
	uidset_free(&ix->chunk);
	free(ix->path);
	free(ix);
}

static void
read_epoch(struct index *ix)
{
	char boot[40] = "";
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (f != NULL) {
		if (fgets(boot, sizeof(boot), f) == NULL)
			boot[0] = '\0';
		fclose(f);
	}
	boot[strcspn(boot, "\n")] = '\0';
	snprintf(ix->epoch, sizeof(ix->epoch), "%s.%llx", boot, (unsigned long long)ix->ino);
}

static enum store_err
open_existing(struct index *ix)
{
	static const char SETUP[] =
	    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
	    "PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;"
	    "PRAGMA cache_size = -" TEXT(INDEX_CACHE_KIB) "; PRAGMA wal_autocheckpoint = " TEXT(
		INDEX_WAL_PAGES);
	sqlite3_stmt *st = NULL;
	struct stat sb;
	int rc, version = 0;

	if (stat(ix->path, &sb) != 0)
		return errno == ENOENT ? STORE_NOT_FOUND : STORE_IO;
	ix->dev = sb.st_dev;
	ix->ino = sb.st_ino;
	rc = sqlite3_open_v2(ix->path, &ix->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc != SQLITE_OK)
		return access(ix->path, F_OK) != 0 ? STORE_NOT_FOUND : index_err(ix, rc, "open");
	sqlite3_extended_result_codes(ix->db, 1);
	sqlite3_busy_timeout(ix->db, INDEX_BUSY_MS);
	rc = sqlite3_exec(ix->db, SETUP, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(ix->db, "PRAGMA user_version", -1, &st, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		version = sqlite3_column_int(st, 0);
	}
	sqlite3_finalize(st);
	if (rc != SQLITE_ROW && rc != SQLITE_OK)
		return index_is_current(ix) ? index_err(ix, rc, "setup") : STORE_NOT_FOUND;
	if (version != INDEX_VERSION) {
		log_info(ix->log, "index-version", "path=%s version=%d wanted=%d", ix->path,
		    version, INDEX_VERSION);
		return STORE_NOT_FOUND;
	}
	if (!index_is_current(ix))
		return STORE_NOT_FOUND; /* replaced while we looked */
	read_epoch(ix);
	return STORE_OK;
}

static void
close_db(struct index *ix)
{
	sqlite3_close_v2(ix->db);
	ix->db = NULL;
}

/* Removes a journal that belonged to another index.db.  Processes that still have that one open keep their
 * descriptors, and SQLite does not remove journals of a database that has moved. */
static void
remove_journals(const char *path)
{
	char *wal = mem_printf("%s-wal", path), *shm = mem_printf("%s-shm", path);

	unlink(wal);
	unlink(shm);
	free(wal);
	free(shm);
}

/* Makes the file whole under another name first: nobody ever opens a half one. */
static enum store_err
create(struct index *ix)
{
	char *fresh = mem_printf("%s.new", ix->path);
	enum store_err err;
	int rc;

	unlink(fresh);
	remove_journals(fresh);
	rc = sqlite3_open_v2(
	    fresh, &ix->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ix->db,
		    "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL;"
		    "PRAGMA synchronous = NORMAL; BEGIN;",
		    NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ix->db, SCHEMA, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ix->db, "PRAGMA user_version = " TEXT(INDEX_VERSION) "; COMMIT",
		    NULL, NULL, NULL);
	err = index_err(ix, rc, "create");
	close_db(ix); /* the last connection: writes the journal back and removes it */
	if (err == STORE_OK) {
		remove_journals(ix->path);
		if (chmod(fresh, 0600) != 0 || rename(fresh, ix->path) != 0)
			err = store_err_from_errno(errno);
	}
	if (err != STORE_OK)
		unlink(fresh);
	free(fresh);
	return err;
}

static void
set_aside(struct index *ix)
{
	char *aside = mem_printf("%s.corrupt-%lld", ix->path, (long long)time(NULL));

	log_error(ix->log, "index-corrupt", "path=%s kept=%s", ix->path, aside);
	if (rename(ix->path, aside) != 0)
		unlink(ix->path);
	free(aside);
}

enum store_err
index_open(const char *dir, bool may_create, const struct log *log, struct index **ix_out)
{
	struct index *ix = mem_zalloc(sizeof(*ix));
	enum store_err err;

	ix->log = log;
	ix->path = mem_printf("%s/index.db", dir);
	err = open_existing(ix);
	if (may_create && (err == STORE_NOT_FOUND || err == STORE_CORRUPT)) {
		close_db(ix);
		if (err == STORE_CORRUPT)
			set_aside(ix);
		log_info(log, "index-new", "path=%s", ix->path);
		err = create(ix);
		if (err == STORE_OK)
			err = open_existing(ix);
	}
	if (err != STORE_OK) {
		index_close(ix);
		return err;
	}
	*ix_out = ix;
	return STORE_OK;
}

bool
index_is_current(const struct index *ix)
{
	struct stat sb;

	return stat(ix->path, &sb) == 0 && sb.st_ino == ix->ino && sb.st_dev == ix->dev;
}

const char *
index_epoch(const struct index *ix)
{
	return ix->epoch;
}

/* --- transactions ------------------------------------------------------------------------------ */

enum store_err
index_begin(struct index *ix, bool write)
{
	return run_ints(ix, write ? BEGIN_WRITE : BEGIN_READ, NULL, 0);
}

static enum store_err
chunk_flush(struct index *ix)
{
	enum store_err err;
	sqlite3_stmt *st;
	struct buf blob = { 0 };

	if (ix->chunk_mailbox == 0)
		return STORE_OK;
	st = statement(ix, uidset_is_empty(&ix->chunk) ? UIDMAP_DROP : UIDMAP_PUT, &err);
	if (st == NULL)
		return err;
	uidset_pack(&ix->chunk, &blob);
	sqlite3_bind_int64(st, 1, ix->chunk_mailbox);
	sqlite3_bind_int64(st, 2, ix->chunk_number);
	if (!uidset_is_empty(&ix->chunk))
		sqlite3_bind_blob(st, 3, blob.data, (int)blob.len, SQLITE_STATIC);
	err = run(ix, st);
	buf_free(&blob);
	ix->chunk_mailbox = 0;
	return err;
}

enum store_err
index_commit(struct index *ix)
{
	enum store_err err = chunk_flush(ix);

	if (err == STORE_OK)
		err = run_ints(ix, COMMIT, NULL, 0);
	if (err != STORE_OK)
		index_rollback(ix);
	return err;
}

void
index_rollback(struct index *ix)
{
	ix->chunk_mailbox = 0;
	for (size_t i = 0; i < STATEMENTS; i++) {
		if (ix->stmts[i] != NULL)
			sqlite3_reset(ix->stmts[i]);
	}
	if (sqlite3_get_autocommit(ix->db) == 0)
		run_ints(ix, ROLLBACK, NULL, 0);
}

/* --- mailboxes --------------------------------------------------------------------------------- */

void
index_mailbox_clear(struct index_mailbox *row)
{
	free(row->name);
	*row = (struct index_mailbox){ 0 };
}

static void
column_text(sqlite3_stmt *st, int column, char *out, size_t cap)
{
	const char *text = (const char *)sqlite3_column_text(st, column);

	snprintf(out, cap, "%s", text != NULL ? text : "");
}

static void
column_stamp(sqlite3_stmt *st, int column, struct index_stamp *out)
{
	out->mtime_ns = sqlite3_column_int64(st, column);
	out->ctime_ns = sqlite3_column_int64(st, column + 1);
	out->inode = (uint64_t)sqlite3_column_int64(st, column + 2);
}

static void
mailbox_columns(sqlite3_stmt *st, struct index_mailbox *r)
{
	r->id = sqlite3_column_int64(st, 0);
	column_text(st, 1, r->mailbox_id, sizeof(r->mailbox_id));
	column_text(st, 2, r->epoch, sizeof(r->epoch));
	r->uidvalidity = (uint32_t)sqlite3_column_int64(st, 3);
	r->uidnext = (uint32_t)sqlite3_column_int64(st, 4);
	r->recent_uid = (uint32_t)sqlite3_column_int64(st, 5);
	r->modseq = (uint64_t)sqlite3_column_int64(st, 6);
	r->expunged_floor = (uint64_t)sqlite3_column_int64(st, 7);
	r->expunged_count = (uint32_t)sqlite3_column_int64(st, 8);
	r->uid_lease = (uint32_t)sqlite3_column_int64(st, 9);
	r->modseq_lease = (uint64_t)sqlite3_column_int64(st, 10);
	r->messages = sqlite3_column_int64(st, 11);
	r->unseen = sqlite3_column_int64(st, 12);
	r->deleted = sqlite3_column_int64(st, 13);
	r->unsized = sqlite3_column_int64(st, 14);
	r->bytes = sqlite3_column_int64(st, 15);
	r->disk_bytes = sqlite3_column_int64(st, 16);
	r->deleted_disk_bytes = sqlite3_column_int64(st, 17);
	column_stamp(st, 18, &r->new_stamp);
	column_stamp(st, 21, &r->cur_stamp);
	column_stamp(st, 24, &r->keywords_stamp);
	r->new_racy = sqlite3_column_int(st, 27) != 0;
	r->verify_due = sqlite3_column_int(st, 28) != 0;
	r->verified_s = sqlite3_column_int64(st, 29);
}

enum store_err
index_mailbox_get(struct index *ix, const char *name, struct index_mailbox *row_out)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, MAILBOX_GET, &err);
	int rc;

	if (st == NULL)
		return err;
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	err = index_err(ix, rc, "mailbox");
	if (rc == SQLITE_ROW) {
		*row_out = (struct index_mailbox){ .name = mem_strdup(name) };
		mailbox_columns(st, row_out);
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err == STORE_OK && rc != SQLITE_ROW ? STORE_NOT_FOUND : err;
}

static void
bind_stamp(sqlite3_stmt *st, int at, const struct index_stamp *s)
{
	sqlite3_bind_int64(st, at, s->mtime_ns);
	sqlite3_bind_int64(st, at + 1, s->ctime_ns);
	sqlite3_bind_int64(st, at + 2, (int64_t)s->inode);
}

static void
bind_mailbox(sqlite3_stmt *st, const struct index_mailbox *r)
{
	const int64_t numbers[] = { r->uidvalidity, r->uidnext, r->recent_uid, (int64_t)r->modseq,
		(int64_t)r->expunged_floor, r->expunged_count, r->uid_lease,
		(int64_t)r->modseq_lease, r->messages, r->unseen, r->deleted, r->unsized, r->bytes,
		r->disk_bytes, r->deleted_disk_bytes };

	sqlite3_bind_int64(st, 1, r->id);
	sqlite3_bind_text(st, 2, r->mailbox_id, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, r->epoch, -1, SQLITE_STATIC);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sqlite3_bind_int64(st, 4 + (int)i, numbers[i]);
	bind_stamp(st, 19, &r->new_stamp);
	bind_stamp(st, 22, &r->cur_stamp);
	bind_stamp(st, 25, &r->keywords_stamp);
	sqlite3_bind_int(st, 28, r->new_racy);
	sqlite3_bind_int(st, 29, r->verify_due);
	sqlite3_bind_int64(st, 30, r->verified_s);
}

enum store_err
index_mailbox_put(struct index *ix, struct index_mailbox *row)
{
	enum store_err err;
	sqlite3_stmt *st;

	if (row->id == 0) {
		st = statement(ix, MAILBOX_INSERT, &err);
		if (st == NULL)
			return err;
		sqlite3_bind_text(st, 1, row->name, -1, SQLITE_STATIC);
		err = run(ix, st);
		if (err != STORE_OK)
			return err;
		row->id = sqlite3_last_insert_rowid(ix->db);
	}
	st = statement(ix, MAILBOX_UPDATE, &err);
	if (st == NULL)
		return err;
	bind_mailbox(st, row);
	return run(ix, st);
}

enum store_err
index_mailbox_drop(struct index *ix, int64_t id)
{
	static const enum statement DROPS[] = { DROP_MAILBOX, DROP_UIDMAP, DROP_KEYWORD,
		DROP_MESSAGE, DROP_EXPUNGED, DROP_PARSED };
	enum store_err err = chunk_flush(ix);

	for (size_t i = 0; i < ARRAY_LEN(DROPS) && err == STORE_OK; i++)
		err = run_ints(ix, DROPS[i], &id, 1);
	return err;
}

enum store_err
index_drop_all(struct index *ix)
{
	static const char ALL[] = "DELETE FROM mailbox; DELETE FROM uidmap; DELETE FROM keyword;"
				  "DELETE FROM message; DELETE FROM expunged; DELETE FROM parsed";

	ix->chunk_mailbox = 0;
	return index_err(ix, sqlite3_exec(ix->db, ALL, NULL, NULL, NULL), "drop all");
}

enum store_err
index_mailbox_rename(struct index *ix, const char *from, const char *to)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, MAILBOX_RENAME, &err);

	if (st == NULL)
		return err;
	sqlite3_bind_text(st, 1, from, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, to, -1, SQLITE_STATIC);
	return run(ix, st);
}

enum store_err
index_keywords(struct index *ix, int64_t mailbox,
    void (*cb)(void *arg, unsigned number, const char *name), void *arg)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, KEYWORDS, &err);
	int rc;

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 1);
		int number = sqlite3_column_int(st, 0);

		if (number >= 0 && number < MAILBOX_KEYWORDS_MAX)
			cb(arg, (unsigned)number, name != NULL ? name : "");
	}
	err = index_err(ix, rc, "keywords");
	sqlite3_reset(st);
	return err;
}

enum store_err
index_keyword_put(struct index *ix, int64_t mailbox, unsigned number, const char *name)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, KEYWORD_PUT, &err);

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	sqlite3_bind_int64(st, 2, number);
	sqlite3_bind_text(st, 3, name, -1, SQLITE_STATIC);
	return run(ix, st);
}

/* --- the UID map ------------------------------------------------------------------------------- */

static enum store_err
read_chunks(struct index *ix, sqlite3_stmt *st, struct uidset *uids_out)
{
	struct uidset part = { 0 };
	enum store_err err = STORE_OK;
	int rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const void *blob = sqlite3_column_blob(st, 0);

		if (!uidset_unpack(&part, blob, (size_t)sqlite3_column_bytes(st, 0)) ||
		    uidset_first(&part) <= uidset_last(uids_out)) {
			err = STORE_CORRUPT;
			break;
		}
		for (size_t i = 0; i < part.run_count; i++)
			uidset_add_range(uids_out, part.runs[i].first, part.runs[i].last);
	}
	if (err == STORE_OK)
		err = index_err(ix, rc, "uidmap");
	sqlite3_reset(st);
	uidset_free(&part);
	return err;
}

enum store_err
index_uids(struct index *ix, int64_t mailbox, struct uidset *uids_out)
{
	enum store_err err = chunk_flush(ix);
	sqlite3_stmt *st;

	uidset_clear(uids_out);
	if (err != STORE_OK || (st = statement(ix, UIDMAP_ALL, &err)) == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	return read_chunks(ix, st, uids_out);
}

enum store_err
index_count_from(struct index *ix, int64_t mailbox, uint32_t uid, uint32_t *count_out)
{
	struct uidset uids = { 0 };
	enum store_err err = chunk_flush(ix);
	sqlite3_stmt *st;

	if (err != STORE_OK || (st = statement(ix, UIDMAP_FROM, &err)) == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	sqlite3_bind_int64(st, 2, uid / INDEX_CHUNK_UIDS);
	err = read_chunks(ix, st, &uids);
	*count_out = uidset_count(&uids) - (uid > 0 ? uidset_count_upto(&uids, uid - 1) : 0);
	uidset_free(&uids);
	return err;
}

static enum store_err
chunk_load(struct index *ix, int64_t mailbox, uint32_t uid)
{
	uint32_t number = uid / INDEX_CHUNK_UIDS;
	enum store_err err;
	sqlite3_stmt *st;

	if (ix->chunk_mailbox == mailbox && ix->chunk_number == number)
		return STORE_OK;
	err = chunk_flush(ix);
	if (err != STORE_OK || (st = statement(ix, UIDMAP_GET, &err)) == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	sqlite3_bind_int64(st, 2, number);
	uidset_clear(&ix->chunk);
	err = read_chunks(ix, st, &ix->chunk);
	if (err == STORE_OK) {
		ix->chunk_mailbox = mailbox;
		ix->chunk_number = number;
	}
	return err;
}

/* --- messages ---------------------------------------------------------------------------------- */

static void
message_columns(sqlite3_stmt *st, struct index_message *m)
{
	const void *keywords = sqlite3_column_blob(st, 2);
	size_t len = (size_t)sqlite3_column_bytes(st, 2);

	m->uid = (uint32_t)sqlite3_column_int64(st, 0);
	m->flags = (unsigned)sqlite3_column_int(st, 1) & MESSAGE_FLAGS_ALL;
	m->keywords = (struct keyword_set){ 0 };
	if (keywords != NULL && len <= sizeof(m->keywords))
		memcpy(&m->keywords, keywords, len);
	m->modseq = (uint64_t)sqlite3_column_int64(st, 3);
	m->internaldate_s = sqlite3_column_int64(st, 4);
	m->size = sqlite3_column_type(st, 5) == SQLITE_NULL ? INDEX_SIZE_UNKNOWN
							    : (uint64_t)sqlite3_column_int64(st, 5);
	m->disk_size = (uint64_t)sqlite3_column_int64(st, 6);
	column_text(st, 7, m->name, sizeof(m->name));
}

enum store_err
index_message_get(struct index *ix, int64_t mailbox, uint32_t uid, struct index_message *m_out)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, MESSAGE_GET, &err);
	int rc;

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, message_key(mailbox, uid));
	rc = sqlite3_step(st);
	err = index_err(ix, rc, "message");
	if (rc == SQLITE_ROW)
		message_columns(st, m_out);
	sqlite3_reset(st);
	return err == STORE_OK && rc != SQLITE_ROW ? STORE_NOT_FOUND : err;
}

/* One query per stretch of the set; small holes are read over. */
enum store_err
index_messages(struct index *ix, int64_t mailbox, const struct uidset *uids, uint32_t after,
    struct index_message *out, size_t max, size_t *count_out)
{
	enum { HOLE = 64 };
	uint32_t at = uidset_next(uids, after);
	enum store_err err;
	sqlite3_stmt *st = statement(ix, MESSAGE_RANGE, &err);

	*count_out = 0;
	while (st != NULL && at != 0 && *count_out < max) {
		uint32_t next = 0; /* where the next stretch begins */
		int rc;

		sqlite3_bind_int64(st, 1, message_key(mailbox, at));
		sqlite3_bind_int64(st, 2, message_key(mailbox, uidset_last(uids)));
		while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
			uint32_t uid = (uint32_t)sqlite3_column_int64(st, 0);

			if (uidset_contains(uids, uid)) {
				message_columns(st, &out[(*count_out)++]);
				if (*count_out == max)
					break;
				continue;
			}
			next = uidset_next(uids, uid);
			if (next == 0 || next - uid > HOLE)
				break;
			next = 0;
		}
		err = index_err(ix, rc, "messages");
		sqlite3_reset(st);
		if (err != STORE_OK)
			return err;
		at = next;
	}
	return err;
}

enum store_err
index_changed(struct index *ix, int64_t mailbox, uint64_t modseq, uint32_t uid,
    struct index_message *out, size_t max, size_t *count_out)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, MESSAGE_CHANGED, &err);
	int rc;

	*count_out = 0;
	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	sqlite3_bind_int64(st, 2, (int64_t)modseq);
	sqlite3_bind_int64(st, 3, message_key(mailbox, uid));
	sqlite3_bind_int64(st, 4, (int64_t)max);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && *count_out < max)
		message_columns(st, &out[(*count_out)++]);
	err = index_err(ix, rc, "changed");
	sqlite3_reset(st);
	return err;
}

enum store_err
index_with_flags(
    struct index *ix, int64_t mailbox, unsigned mask, unsigned value, struct uidset *uids_out)
{
	struct uidset some = { 0 };
	enum store_err err;
	sqlite3_stmt *st = statement(ix, MESSAGE_FLAGS, &err);

	uidset_clear(uids_out);
	for (unsigned flags = 0; flags <= MESSAGE_FLAGS_ALL && err == STORE_OK; flags++) {
		int rc;

		if ((flags & mask) != value)
			continue;
		uidset_clear(&some);
		sqlite3_bind_int64(st, 1, mailbox);
		sqlite3_bind_int64(st, 2, flags);
		while ((rc = sqlite3_step(st)) == SQLITE_ROW)
			uidset_add(&some, (uint32_t)sqlite3_column_int64(st, 0));
		err = index_err(ix, rc, "flags");
		sqlite3_reset(st);
		uidset_union(uids_out, &some);
	}
	uidset_free(&some);
	return err;
}

enum store_err
index_first_unseen(struct index *ix, int64_t mailbox, uint32_t *uid_out)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, MESSAGE_UNSEEN, &err);

	*uid_out = 0;
	for (unsigned flags = 0; flags <= MESSAGE_FLAGS_ALL && err == STORE_OK; flags++) {
		int rc;

		if ((flags & MESSAGE_SEEN) != 0)
			continue;
		sqlite3_bind_int64(st, 1, mailbox);
		sqlite3_bind_int64(st, 2, flags);
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW) {
			uint32_t uid = (uint32_t)sqlite3_column_int64(st, 0);

			if (*uid_out == 0 || uid < *uid_out)
				*uid_out = uid;
		}
		err = index_err(ix, rc, "unseen");
		sqlite3_reset(st);
	}
	return err;
}

enum store_err
index_unsized(struct index *ix, int64_t mailbox, struct uidset *uids_out)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, MESSAGE_UNSIZED, &err);
	int rc;

	uidset_clear(uids_out);
	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		uidset_add(uids_out, (uint32_t)sqlite3_column_int64(st, 0));
	err = index_err(ix, rc, "unsized");
	sqlite3_reset(st);
	return err;
}

static enum store_err
message_write(struct index *ix, enum statement id, int64_t mailbox, const struct index_message *m)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, id, &err);
	size_t len = ARRAY_LEN(m->keywords.bits);

	if (st == NULL)
		return err;
	while (len > 0 && m->keywords.bits[len - 1] == 0)
		len--;
	sqlite3_bind_int64(st, 1, message_key(mailbox, m->uid));
	sqlite3_bind_int64(st, 2, mailbox);
	sqlite3_bind_int64(st, 3, m->flags & MESSAGE_FLAGS_ALL);
	if (len > 0)
		sqlite3_bind_blob(
		    st, 4, m->keywords.bits, (int)(len * sizeof(uint64_t)), SQLITE_STATIC);
	sqlite3_bind_int64(st, 5, (int64_t)m->modseq);
	sqlite3_bind_int64(st, 6, m->internaldate_s);
	if (m->size != INDEX_SIZE_UNKNOWN)
		sqlite3_bind_int64(st, 7, (int64_t)m->size);
	sqlite3_bind_int64(st, 8, (int64_t)m->disk_size);
	sqlite3_bind_text(st, 9, m->name, -1, SQLITE_STATIC);
	return run(ix, st);
}

static void
count(struct index_mailbox *row, const struct index_message *m, int sign)
{
	row->messages += sign;
	if ((m->flags & MESSAGE_SEEN) == 0)
		row->unseen += sign;
	if ((m->flags & MESSAGE_DELETED) != 0) {
		row->deleted += sign;
		row->deleted_disk_bytes += sign * (int64_t)m->disk_size;
	}
	if (m->size == INDEX_SIZE_UNKNOWN)
		row->unsized += sign;
	else
		row->bytes += sign * (int64_t)m->size;
	row->disk_bytes += sign * (int64_t)m->disk_size;
}

enum store_err
index_message_add(struct index *ix, struct index_mailbox *row, const struct index_message *m)
{
	enum store_err err = chunk_load(ix, row->id, m->uid);

	if (err == STORE_OK)
		err = message_write(ix, MESSAGE_ADD, row->id, m);
	if (err != STORE_OK)
		return err;
	uidset_add(&ix->chunk, m->uid);
	count(row, m, 1);
	return STORE_OK;
}

enum store_err
index_message_change(struct index *ix, struct index_mailbox *row, const struct index_message *from,
    const struct index_message *to)
{
	enum store_err err = message_write(ix, MESSAGE_CHANGE, row->id, to);

	if (err == STORE_OK) {
		count(row, from, -1);
		count(row, to, 1);
	}
	return err;
}

/* Half of the history goes when it is too long; the floor says so. */
static enum store_err
expunged_trim(struct index *ix, struct index_mailbox *row)
{
	enum store_err err;
	sqlite3_stmt *st;
	uint64_t floor = 0;
	uint32_t n = 0;

	if (row->expunged_count <= INDEX_EXPUNGED_MAX)
		return STORE_OK;
	st = statement(ix, EXPUNGED_GET, &err);
	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, row->id);
	sqlite3_bind_int64(st, 2, 0);
	while (sqlite3_step(st) == SQLITE_ROW) {
		uint64_t modseq = (uint64_t)sqlite3_column_int64(st, 1);

		if (n >= row->expunged_count - INDEX_EXPUNGED_MAX / 2 && modseq != floor)
			break;
		floor = modseq;
		n++;
	}
	sqlite3_reset(st);
	err = run_ints(ix, EXPUNGED_TRIM, (const int64_t[]){ row->id, (int64_t)floor }, 2);
	if (err == STORE_OK) {
		row->expunged_floor = floor;
		row->expunged_count -= n < row->expunged_count ? n : row->expunged_count;
	}
	return err;
}

enum store_err
index_message_remove(
    struct index *ix, struct index_mailbox *row, const struct index_message *m, uint64_t modseq)
{
	const int64_t key = message_key(row->id, m->uid);
	enum store_err err = chunk_load(ix, row->id, m->uid);

	if (err == STORE_OK)
		err = run_ints(ix, MESSAGE_REMOVE, &key, 1);
	if (err == STORE_OK)
		err = run_ints(ix, PARSED_REMOVE, &key, 1);
	if (err == STORE_OK)
		err = run_ints(
		    ix, EXPUNGED_ADD, (const int64_t[]){ row->id, (int64_t)modseq, m->uid }, 3);
	if (err != STORE_OK)
		return err;
	row->expunged_count++;
	uidset_remove(&ix->chunk, m->uid);
	count(row, m, -1);
	return expunged_trim(ix, row);
}

enum store_err
index_expunged(struct index *ix, int64_t mailbox, uint64_t modseq, struct uidset *uids_out)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, EXPUNGED_GET, &err);
	int rc;

	uidset_clear(uids_out);
	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	sqlite3_bind_int64(st, 2, (int64_t)modseq);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		uidset_add(uids_out, (uint32_t)sqlite3_column_int64(st, 0));
	err = index_err(ix, rc, "expunged");
	sqlite3_reset(st);
	return err;
}

/* --- what parsing learnt ----------------------------------------------------------------------- */

void
index_parsed_free(struct index_parsed *p)
{
	buf_free(&p->envelope);
	buf_free(&p->body);
	buf_free(&p->bodystructure);
	buf_free(&p->parts);
	*p = (struct index_parsed){ 0 };
}

static void
column_buf(sqlite3_stmt *st, int column, struct buf *out)
{
	const void *blob = sqlite3_column_blob(st, column);

	if (blob != NULL)
		buf_add(out, blob, (size_t)sqlite3_column_bytes(st, column));
}

enum store_err
index_parsed_get(struct index *ix, int64_t mailbox, uint32_t uid, struct index_parsed *p_out)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, PARSED_GET, &err);
	int rc;

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, message_key(mailbox, uid));
	rc = sqlite3_step(st);
	err = index_err(ix, rc, "parsed");
	if (rc == SQLITE_ROW) {
		column_buf(st, 0, &p_out->envelope);
		column_buf(st, 1, &p_out->body);
		column_buf(st, 2, &p_out->bodystructure);
		column_buf(st, 3, &p_out->parts);
		p_out->has_sent_date = sqlite3_column_type(st, 4) != SQLITE_NULL;
		p_out->sent_date_days = sqlite3_column_int64(st, 4);
	}
	sqlite3_reset(st);
	return err == STORE_OK && rc != SQLITE_ROW ? STORE_NOT_FOUND : err;
}

enum store_err
index_parsed_put(struct index *ix, int64_t mailbox, uint32_t uid, const struct index_parsed *p)
{
	const struct buf *blobs[] = { &p->envelope, &p->body, &p->bodystructure, &p->parts };
	enum store_err err;
	sqlite3_stmt *st = statement(ix, PARSED_PUT, &err);

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, message_key(mailbox, uid));
	for (size_t i = 0; i < ARRAY_LEN(blobs); i++)
		sqlite3_bind_blob64(st, (int)i + 2, blobs[i]->data, blobs[i]->len, SQLITE_STATIC);
	if (p->has_sent_date)
		sqlite3_bind_int64(st, 6, p->sent_date_days);
	return run(ix, st);
}

enum store_err
index_parsed_copy(struct index *ix, int64_t from, uint32_t from_uid, int64_t to, uint32_t to_uid)
{
	return run_ints(ix, PARSED_COPY,
	    (const int64_t[]){ message_key(from, from_uid), message_key(to, to_uid) }, 2);
}
