#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cache_file.h"
#include "store/dir.h"
#include "store/index_internal.h"

#define INDEX_BUSY_MS   5000 /* another process commits; the writer lock keeps writers apart */
#define INDEX_WAL_PAGES 1000 /* then the journal is written back */
#define TEXT_OF(x)      #x
#define TEXT(x)         TEXT_OF(x)

static const char SCHEMA[] =
    "CREATE TABLE mailbox (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " mailbox_id TEXT, epoch TEXT, uidvalidity INTEGER, uidnext INTEGER, recent_uid INTEGER,"
    " modseq INTEGER, expunged_floor INTEGER, expunged_count INTEGER, uid_lease INTEGER,"
    " modseq_lease INTEGER, lost_from INTEGER, lost_below INTEGER, messages INTEGER, unseen "
    "INTEGER, deleted INTEGER, unsized INTEGER,"
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
    " parts BLOB, sent_day INTEGER);"
    "CREATE TABLE searched (key INTEGER PRIMARY KEY, sent_day INTEGER, fields BLOB);"
    "CREATE TABLE sorted (key INTEGER PRIMARY KEY, sent INTEGER, keys BLOB);"
    "CREATE TABLE summary (key INTEGER PRIMARY KEY, summary BLOB);"
    "CREATE TABLE move_intent (id INTEGER PRIMARY KEY, from_box TEXT NOT NULL, from_uid INTEGER,"
    " to_box TEXT NOT NULL, to_uid INTEGER, to_name TEXT NOT NULL);";

#define MESSAGE_COLUMNS                                                                            \
	"key & 4294967295, flags, keywords, modseq, internaldate, size, disk_size, name"

/* In the order of bind_message(). */
#define MESSAGE_INSERT                                                                             \
	"INSERT INTO message (key, mailbox, flags, keywords, modseq, internaldate, size,"          \
	" disk_size, name) VALUES "
#define PLACES   "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define PLACES_8 PLACES "," PLACES "," PLACES "," PLACES "," PLACES "," PLACES "," PLACES "," PLACES

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
	    "verified, lost_from, lost_below"
	    " FROM mailbox WHERE name = ?1",
	[MAILBOX_HAS] = "SELECT 1 FROM mailbox WHERE mailbox_id = ?1 AND uidvalidity = ?2",
	[MAILBOX_INSERT] = "INSERT INTO mailbox (name) VALUES (?1)",
	[MAILBOX_UPDATE] =
	    "UPDATE mailbox SET mailbox_id = ?2, epoch = ?3, uidvalidity = ?4, uidnext = ?5,"
	    " recent_uid = ?6, modseq = ?7, expunged_floor = ?8, expunged_count = ?9, uid_lease = "
	    "?10,"
	    " modseq_lease = ?11, messages = ?12, unseen = ?13, deleted = ?14, unsized = ?15,"
	    " bytes = ?16, disk_bytes = ?17, deleted_disk_bytes = ?18, new_mtime = ?19,"
	    " new_ctime = ?20, new_inode = ?21, cur_mtime = ?22, cur_ctime = ?23, cur_inode = ?24,"
	    " keywords_mtime = ?25, keywords_ctime = ?26, keywords_inode = ?27, new_racy = ?28,"
	    " verify_due = ?29, verified = ?30, lost_from = ?31, lost_below = ?32 WHERE id = ?1",
	[MAILBOX_RENAME] = "UPDATE mailbox SET name = ?2 WHERE name = ?1",
	[DROP_MAILBOX] = "DELETE FROM mailbox WHERE id = ?1",
	[DROP_UIDMAP] = "DELETE FROM uidmap WHERE mailbox = ?1",
	[DROP_KEYWORD] = "DELETE FROM keyword WHERE mailbox = ?1",
	[DROP_MESSAGE] = "DELETE FROM message WHERE key >= ?1 << 32 AND key < (?1 + 1) << 32",
	[DROP_EXPUNGED] = "DELETE FROM expunged WHERE mailbox = ?1",
	[DROP_PARSED] = "DELETE FROM parsed WHERE key >= ?1 << 32 AND key < (?1 + 1) << 32",
	[DROP_SEARCHED] = "DELETE FROM searched WHERE key >= ?1 << 32 AND key < (?1 + 1) << 32",
	[DROP_SUMMARY] = "DELETE FROM summary WHERE key >= ?1 << 32 AND key < (?1 + 1) << 32",
	[DROP_SORTED] = "DELETE FROM sorted WHERE key >= ?1 << 32 AND key < (?1 + 1) << 32",
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
	[MESSAGE_ADD] = MESSAGE_INSERT PLACES,
	[MESSAGE_ADD_MANY] = MESSAGE_INSERT PLACES_8 "," PLACES_8 "," PLACES_8 "," PLACES_8,
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
	[SEARCHED_RANGE] = "SELECT key, sent_day, fields FROM searched"
			   " WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
	[SEARCHED_PUT] =
	    "INSERT OR REPLACE INTO searched (key, sent_day, fields) VALUES (?1, ?2, ?3)",
	[SEARCHED_COPY] = "INSERT OR IGNORE INTO searched (key, sent_day, fields)"
			  " SELECT ?2, sent_day, fields FROM searched WHERE key = ?1",
	[SEARCHED_REMOVE] = "DELETE FROM searched WHERE key = ?1",
	[SORTED_RANGE] = "SELECT key, sent, keys FROM sorted"
			 " WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
	[SORTED_PUT] = "INSERT OR REPLACE INTO sorted (key, sent, keys) VALUES (?1, ?2, ?3)",
	[SORTED_COPY] = "INSERT OR IGNORE INTO sorted (key, sent, keys)"
			" SELECT ?2, sent, keys FROM sorted WHERE key = ?1",
	[SORTED_REMOVE] = "DELETE FROM sorted WHERE key = ?1",
	[SUMMARY_RANGE] = "SELECT key, NULL, summary FROM summary"
			  " WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
	[SUMMARY_PUT] = "INSERT OR REPLACE INTO summary (key, summary) VALUES (?1, ?3)",
	[SUMMARY_COPY] = "INSERT OR IGNORE INTO summary (key, summary)"
			 " SELECT ?2, summary FROM summary WHERE key = ?1",
	[SUMMARY_REMOVE] = "DELETE FROM summary WHERE key = ?1",
	[MOVE_ADD] = "INSERT INTO move_intent (from_box, from_uid, to_box, to_uid, to_name)"
		     " VALUES (?1, ?2, ?3, ?4, ?5)",
	[MOVE_NEXT] = "SELECT id, from_box, from_uid, to_box, to_uid, to_name FROM move_intent"
		      " WHERE id > ?1 ORDER BY id LIMIT 1",
	[MOVE_CLEAR] = "DELETE FROM move_intent",
};

/* --- errors ------------------------------------------------------------------------------------ */

enum store_err
index_check(struct index *ix, int rc, const char *what)
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
	/* What SQLite could not open to be written (no descriptor was left, say) it has opened to be read, for good: it is
	 * no longer current, and whoever comes next opens it anew. */
	if ((rc & 0xff) == SQLITE_READONLY)
		ix->ino = 0;
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

sqlite3_stmt *
index_statement(struct index *ix, enum statement id, enum store_err *err_out)
{
	int rc = SQLITE_OK;

	if (ix->stmts[id] == NULL) {
		rc = sqlite3_prepare_v3(
		    ix->db, SQL[id], -1, SQLITE_PREPARE_PERSISTENT, &ix->stmts[id], NULL);
	}
	*err_out = index_check(ix, rc, SQL[id]);
	return *err_out == STORE_OK ? ix->stmts[id] : NULL;
}

enum store_err
index_run(struct index *ix, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	enum store_err err = index_check(ix, rc, sqlite3_sql(st));

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err;
}

enum store_err
index_run_ints(struct index *ix, enum statement id, const int64_t *values, size_t count)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, id, &err);

	if (st == NULL)
		return err;
	for (size_t i = 0; i < count; i++)
		sqlite3_bind_int64(st, (int)i + 1, values[i]);
	return index_run(ix, st);
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
		return access(ix->path, F_OK) != 0 ? STORE_NOT_FOUND : index_check(ix, rc, "open");
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
		return index_is_current(ix) ? index_check(ix, rc, "setup") : STORE_NOT_FOUND;
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

static enum store_err
sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	enum store_err err = fd >= 0 ? dir_sync(fd) : dir_err(errno);

	if (fd >= 0)
		close(fd);
	return err;
}

/* Makes the file whole under another name first, and syncs it once: nobody ever opens a half one. */
static enum store_err
create(struct index *ix)
{
	char *fresh = mem_printf("%s.new", ix->path);
	enum store_err err;
	int rc;

	unlink(fresh);
	cache_file_remove_journals(fresh);
	rc = sqlite3_open_v2(
	    fresh, &ix->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ix->db,
		    "PRAGMA page_size = 4096; PRAGMA journal_mode = MEMORY;"
		    "PRAGMA synchronous = OFF; BEGIN;",
		    NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ix->db, SCHEMA, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ix->db,
		    "PRAGMA user_version = " TEXT(
			INDEX_VERSION) "; COMMIT; PRAGMA journal_mode = WAL",
		    NULL, NULL, NULL);
	err = index_check(ix, rc, "create");
	close_db(ix); /* the last connection: no journal stays */
	if (err == STORE_OK)
		err = sync_file(fresh);
	if (err == STORE_OK)
		err = cache_file_replace(fresh, ix->path);
	else
		unlink(fresh);
	free(fresh);
	return err;
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
			cache_file_set_aside(ix->path, ix->log, "index-corrupt");
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
	return index_run_ints(ix, write ? BEGIN_WRITE : BEGIN_READ, NULL, 0);
}

enum store_err
index_commit(struct index *ix)
{
	enum store_err err = index_chunk_flush(ix);

	if (err == STORE_OK)
		err = index_run_ints(ix, COMMIT, NULL, 0);
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
		index_run_ints(ix, ROLLBACK, NULL, 0);
}

/* --- mailboxes --------------------------------------------------------------------------------- */

void
index_mailbox_clear(struct index_mailbox *row)
{
	free(row->name);
	*row = (struct index_mailbox){ 0 };
}

void
index_column_text(sqlite3_stmt *st, int column, char *out, size_t cap)
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
	index_column_text(st, 1, r->mailbox_id, sizeof(r->mailbox_id));
	index_column_text(st, 2, r->epoch, sizeof(r->epoch));
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
	r->lost_from = (uint64_t)sqlite3_column_int64(st, 30);
	r->lost_below = (uint64_t)sqlite3_column_int64(st, 31);
}

enum store_err
index_mailbox_get(struct index *ix, const char *name, struct index_mailbox *row_out)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, MAILBOX_GET, &err);
	int rc;

	if (st == NULL)
		return err;
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	err = index_check(ix, rc, "mailbox");
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
	sqlite3_bind_int64(st, 31, (int64_t)r->lost_from);
	sqlite3_bind_int64(st, 32, (int64_t)r->lost_below);
}

enum store_err
index_mailbox_put(struct index *ix, struct index_mailbox *row)
{
	enum store_err err;
	sqlite3_stmt *st;

	if (row->id == 0) {
		st = index_statement(ix, MAILBOX_INSERT, &err);
		if (st == NULL)
			return err;
		sqlite3_bind_text(st, 1, row->name, -1, SQLITE_STATIC);
		err = index_run(ix, st);
		if (err != STORE_OK)
			return err;
		row->id = sqlite3_last_insert_rowid(ix->db);
	}
	st = index_statement(ix, MAILBOX_UPDATE, &err);
	if (st == NULL)
		return err;
	bind_mailbox(st, row);
	return index_run(ix, st);
}

enum store_err
index_mailbox_drop(struct index *ix, int64_t id)
{
	static const enum statement DROPS[] = { DROP_MAILBOX, DROP_UIDMAP, DROP_KEYWORD,
		DROP_MESSAGE, DROP_EXPUNGED, DROP_PARSED, DROP_SEARCHED, DROP_SORTED,
		DROP_SUMMARY };
	enum store_err err = index_chunk_flush(ix);

	for (size_t i = 0; i < ARRAY_LEN(DROPS) && err == STORE_OK; i++)
		err = index_run_ints(ix, DROPS[i], &id, 1);
	return err;
}

enum store_err
index_has_mailbox(struct index *ix, const char *mailbox_id, uint32_t uidvalidity)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, MAILBOX_HAS, &err);
	int rc;

	if (st == NULL)
		return err;
	sqlite3_bind_text(st, 1, mailbox_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, uidvalidity);
	rc = sqlite3_step(st);
	err = index_check(ix, rc, "has mailbox");
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err == STORE_OK && rc != SQLITE_ROW ? STORE_NOT_FOUND : err;
}

enum store_err
index_drop_all(struct index *ix)
{
	static const char ALL[] = "DELETE FROM mailbox; DELETE FROM uidmap; DELETE FROM keyword;"
				  "DELETE FROM message; DELETE FROM expunged; DELETE FROM parsed;"
				  "DELETE FROM searched; DELETE FROM move_intent";

	ix->chunk_mailbox = 0;
	return index_check(ix, sqlite3_exec(ix->db, ALL, NULL, NULL, NULL), "drop all");
}

enum store_err
index_mailbox_rename(struct index *ix, const char *from, const char *to)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, MAILBOX_RENAME, &err);

	if (st == NULL)
		return err;
	sqlite3_bind_text(st, 1, from, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, to, -1, SQLITE_STATIC);
	return index_run(ix, st);
}

enum store_err
index_keywords(struct index *ix, int64_t mailbox,
    void (*cb)(void *arg, unsigned number, const char *name), void *arg)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, KEYWORDS, &err);
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
	err = index_check(ix, rc, "keywords");
	sqlite3_reset(st);
	return err;
}

enum store_err
index_keyword_put(struct index *ix, int64_t mailbox, unsigned number, const char *name)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, KEYWORD_PUT, &err);

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	sqlite3_bind_int64(st, 2, number);
	sqlite3_bind_text(st, 3, name, -1, SQLITE_STATIC);
	return index_run(ix, st);
}
