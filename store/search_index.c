#include "store/search_index.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/cache_file.h"
#include "store/search_trigrams.h"
#include "store/sql_checksum.h"

#define DIGEST_BYTES   32
#define BUSY_READ_MS   100 /* for another process that makes its journal new */
#define BUSY_WRITE_MS  2000
#define CACHE_KIB      2048
#define WAL_PAGES      1000
#define WAL_KEEP_BYTES 4194304 /* of a journal that has grown */
#define HASH_BYTES                                                                                 \
	4194304         /* that a transaction adds are sorted in memory; for head and body each */
#define LEAF_BYTES 4000 /* of a term's list: with what SQLite adds it fits into one page */
#define MERGED     8    /* pieces of one size, into a larger one */
#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

/* Of a term only the messages are kept, no places. */
#define FTS "fts5(text, content='', columnsize=0, detail=none, tokenize='" SEARCH_TOKENIZER "')"

#define FTS_SET(table, name, value)                                                                \
	"INSERT INTO " table " (" table ", rank) VALUES ('" name "', " TEXT(value) ");"

static const char SCHEMA[] =
    "CREATE TABLE box (id INTEGER PRIMARY KEY, mailbox_id TEXT NOT NULL,"
    " uidvalidity INTEGER NOT NULL, UNIQUE (mailbox_id, uidvalidity));"
    /* key = box << 32 | uid; doc 0: always named */
    "CREATE TABLE message (key INTEGER PRIMARY KEY, doc INTEGER NOT NULL);"
    "CREATE TABLE doc (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE,"
    " refs INTEGER NOT NULL);"
    "CREATE INDEX doc_dead ON doc (id) WHERE refs = 0;"
    "CREATE TABLE begun (unix_s INTEGER NOT NULL);"
    "INSERT INTO begun VALUES (unixepoch());"
    "CREATE TRIGGER message_out AFTER DELETE ON message"
    " BEGIN UPDATE doc SET refs = refs - 1 WHERE id = OLD.doc; END;"
    "CREATE VIRTUAL TABLE head USING " FTS ";"
    "CREATE VIRTUAL TABLE body USING " FTS ";"
    /* clang-format off */
    FTS_SET("head", "hashsize", HASH_BYTES) FTS_SET("body", "hashsize", HASH_BYTES)
    FTS_SET("head", "pgsz", LEAF_BYTES) FTS_SET("body", "pgsz", LEAF_BYTES)
    FTS_SET("head", "automerge", MERGED) FTS_SET("body", "automerge", MERGED);
/* clang-format on */

/* FTS5 gathers what a transaction adds in memory, but for a statement of several steps (one with a trigger, or of
 * several rows) it writes all that out first: none of those that add messages is such a one. */
enum statement {
	BEGIN_READ,
	BEGIN_WRITE,
	COMMIT,
	ROLLBACK,
	BOX_GET,
	BOX_PUT,
	BOXES,
	BOX_DROP,
	MESSAGES,
	MESSAGE_GET,
	MESSAGE_PUT,
	MESSAGE_DROP,
	MESSAGES_DROP,
	DOC_GET,
	DOC_PUT,
	DOC_AGAIN,
	DOC_COUNT,
	HEAD_PUT,
	BODY_PUT,
	HEAD_FIND,
	BODY_FIND,
	STATEMENTS
};

static const char *const SQL[STATEMENTS] = {
	[BEGIN_READ] = "BEGIN",
	[BEGIN_WRITE] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[BOX_GET] = "SELECT id FROM box WHERE mailbox_id = ?1 AND uidvalidity = ?2",
	[BOX_PUT] = "INSERT INTO box (mailbox_id, uidvalidity) VALUES (?1, ?2)",
	[BOXES] = "SELECT id, mailbox_id, uidvalidity FROM box WHERE id > ?1 ORDER BY id",
	[BOX_DROP] = "DELETE FROM box WHERE id = ?1",
	[MESSAGES] = ("SELECT key & 4294967295, doc FROM message"
		      " WHERE key BETWEEN ?1 << 32 AND (?1 << 32) + 4294967295 ORDER BY key"),
	[MESSAGE_GET] = "SELECT doc FROM message WHERE key = ?1 << 32 | ?2",
	[MESSAGE_PUT] = "INSERT INTO message (key, doc) VALUES (?1 << 32 | ?2, ?3)",
	[MESSAGE_DROP] = "DELETE FROM message WHERE key = ?1 << 32 | ?2",
	[MESSAGES_DROP] =
	    "DELETE FROM message WHERE key BETWEEN ?1 << 32 AND (?1 << 32) + 4294967295",
	[DOC_GET] = "SELECT id FROM doc WHERE digest = ?1",
	[DOC_PUT] = "INSERT INTO doc (digest, refs) VALUES (?1, 1)",
	[DOC_AGAIN] = "UPDATE doc SET refs = refs + 1 WHERE id = ?1",
	[DOC_COUNT] = ("SELECT (SELECT count(*) FROM doc WHERE refs = 0),"
		       " (SELECT max(id) FROM doc), (SELECT unix_s FROM begun)"),
	[HEAD_PUT] = "INSERT INTO head (rowid, text) VALUES (?1, ?2)",
	[BODY_PUT] = "INSERT INTO body (rowid, text) VALUES (?1, ?2)",
	[HEAD_FIND] = "SELECT rowid FROM head WHERE head MATCH ?1",
	[BODY_FIND] = "SELECT rowid FROM body WHERE body MATCH ?1",
};

/* SQLite finds the journals by their names and trusts that all who have the file open see the same ones. */
enum file { MAIN, WAL, SHM, FILES };
static const char *const FILE_ENDS[FILES] = { [MAIN] = "", [WAL] = "-wal", [SHM] = "-shm" };

struct file_id {
	dev_t dev;
	ino_t ino; /* 0: it is not there */
};

struct search_index {
	const struct log *log;
	char *path;
	sqlite3 *db;
	sqlite3_stmt *stmts[STATEMENTS];
	struct file_id files[FILES]; /* that are open */
	struct buf match;            /* reused */
};

static char *
path_in(const char *dir)
{
	return mem_printf("%s/search.db", dir);
}

/* --- the three files --------------------------------------------------------------------------- */

static void
find_files(const char *path, struct file_id *ids_out)
{
	for (size_t i = 0; i < FILES; i++) {
		char *name = mem_printf("%s%s", path, FILE_ENDS[i]);
		struct stat sb;

		ids_out[i] = (struct file_id){ 0 };
		if (stat(name, &sb) == 0)
			ids_out[i] = (struct file_id){ sb.st_dev, sb.st_ino };
		free(name);
	}
}

static bool
is_same(const struct file_id *a, const struct file_id *b)
{
	return a->ino != 0 && a->ino == b->ino && a->dev == b->dev;
}

/* --- errors ------------------------------------------------------------------------------------ */

static enum store_err
check(const struct search_index *ix, int rc, const char *what)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return STORE_OK;
	default: break;
	}
	log_warn(ix->log, "search-index-error", "path=%s what=%s code=%d error=%s", ix->path, what,
	    rc, ix->db != NULL ? sqlite3_errmsg(ix->db) : sqlite3_errstr(rc));
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return STORE_BUSY;
	case SQLITE_FULL: return STORE_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_PROTOCOL: /* the journals are in disorder */
	case SQLITE_NOMEM:    /* so much is wanted by a damaged page only */
	case SQLITE_TOOBIG:
	case SQLITE_ERROR: /* a table that is not there, or not one of ours */
	case SQLITE_SCHEMA:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH: return STORE_CORRUPT;
	case SQLITE_IOERR:
		return rc == SQLITE_IOERR_SHORT_READ || rc == SQLITE_IOERR_DATA ||
			       rc == SQLITE_IOERR_CORRUPTFS
			   ? STORE_CORRUPT
			   : STORE_IO;
	default: return STORE_IO;
	}
}

static sqlite3_stmt *
statement(struct search_index *ix, enum statement id, enum store_err *err_out)
{
	int rc = SQLITE_OK;

	if (ix->stmts[id] == NULL)
		rc = sqlite3_prepare_v3(
		    ix->db, SQL[id], -1, SQLITE_PREPARE_PERSISTENT, &ix->stmts[id], NULL);
	*err_out = check(ix, rc, SQL[id]);
	return *err_out == STORE_OK ? ix->stmts[id] : NULL;
}

/* Steps once and resets: for statements that give no rows. */
static enum store_err
run(struct search_index *ix, sqlite3_stmt *st)
{
	enum store_err err = check(ix, sqlite3_step(st), sqlite3_sql(st));

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err;
}

static enum store_err
run_ints(struct search_index *ix, enum statement id, const int64_t *values, size_t count)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, id, &err);

	if (st == NULL)
		return err;
	for (size_t i = 0; i < count; i++)
		sqlite3_bind_int64(st, (int)i + 1, values[i]);
	return run(ix, st);
}

/* The number in the only row; STORE_NOT_FOUND: there is none. */
static enum store_err
get_int(struct search_index *ix, sqlite3_stmt *st, int64_t *value_out)
{
	int rc = sqlite3_step(st);
	enum store_err err = check(ix, rc, sqlite3_sql(st));

	if (rc == SQLITE_ROW)
		*value_out = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err == STORE_OK && rc != SQLITE_ROW ? STORE_NOT_FOUND : err;
}

/* --- the file ---------------------------------------------------------------------------------- */

int
search_index_lock(const char *dir)
{
	char *path = mem_printf("%s/search.db.lock", dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	free(path);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		fd = -1;
	}
	return fd;
}

void
search_index_close(struct search_index *ix)
{
	if (ix == NULL)
		return;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(ix->stmts[i]);
	sqlite3_close_v2(ix->db);
	buf_free(&ix->match);
	free(ix->path);
	free(ix);
}

enum search_index_state
search_index_look(const struct search_index *ix)
{
	struct file_id now[FILES];

	find_files(ix->path, now);
	if (!is_same(&now[MAIN], &ix->files[MAIN]))
		return SEARCH_INDEX_REPLACED;
	return is_same(&now[WAL], &ix->files[WAL]) && is_same(&now[SHM], &ix->files[SHM])
		   ? SEARCH_INDEX_CURRENT
		   : SEARCH_INDEX_TORN;
}

static enum store_err
get_version(struct search_index *ix, int *version_out)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(ix->db, "PRAGMA user_version", -1, &st, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		*version_out = sqlite3_column_int(st, 0);
	}
	sqlite3_finalize(st);
	return check(ix, rc, "version");
}

/* Before anybody opens it: a file without its journals is not the whole, since they stay beside it as long as it lives
 * (PERSIST_WAL); SQLite would make empty ones. */
static enum store_err
find_to_open(struct search_index *ix)
{
	struct stat sb;

	find_files(ix->path, ix->files);
	if (ix->files[MAIN].ino == 0)
		return stat(ix->path, &sb) == 0 || errno == ENOENT ? STORE_NOT_FOUND
								   : store_err_from_errno(errno);
	if (ix->files[WAL].ino != 0 && ix->files[SHM].ino != 0)
		return STORE_OK;
	log_info(ix->log, "search-index-journal", "path=%s it is gone", ix->path);
	return STORE_NOT_FOUND;
}

static int
set_up(struct search_index *ix)
{
	static const char SETUP[] =
	    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;"
	    "PRAGMA journal_size_limit = " TEXT(
		WAL_KEEP_BYTES) ";"
				"PRAGMA cache_size = -" TEXT(
				    CACHE_KIB) "; PRAGMA wal_autocheckpoint = " TEXT(WAL_PAGES);
	int persist = 1, rc;

	sqlite3_extended_result_codes(ix->db, 1);
	sqlite3_busy_timeout(ix->db, BUSY_READ_MS);
	sqlite3_db_config(ix->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	rc = sqlite3_file_control(ix->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ix->db, SETUP, NULL, NULL, NULL);
	return rc;
}

static enum store_err
open_existing(struct search_index *ix)
{
	enum store_err err = find_to_open(ix);
	int version = 0, rc;

	if (err != STORE_OK)
		return err;
	rc = sqlite3_open_v2(ix->path, &ix->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, sql_checksum_vfs());
	if (rc != SQLITE_OK)
		return check(ix, rc, "open");
	err = check(ix, set_up(ix), "setup");
	if (err == STORE_OK)
		err = check(ix, search_trigrams_register(ix->db), "tokenizer");
	if (err == STORE_OK)
		err = get_version(ix, &version);
	if (search_index_look(ix) != SEARCH_INDEX_CURRENT)
		return STORE_NOT_FOUND;
	if (err != STORE_OK || version == SEARCH_INDEX_VERSION)
		return err;
	log_info(ix->log, "search-index-version", "path=%s version=%d wanted=%d", ix->path, version,
	    SEARCH_INDEX_VERSION);
	return STORE_NOT_FOUND;
}

static struct search_index *
new_index(const char *dir, const struct log *log)
{
	struct search_index *ix = mem_zalloc(sizeof(*ix));

	ix->log = log;
	ix->path = path_in(dir);
	return ix;
}

enum store_err
search_index_open(const char *dir, const struct log *log, struct search_index **ix_out)
{
	struct search_index *ix = new_index(dir, log);
	enum store_err err = open_existing(ix);

	if (err == STORE_OK)
		*ix_out = ix;
	else
		search_index_close(ix);
	return err;
}

/* Makes the file whole under another name first: nobody ever opens a half one. */
static enum store_err
create(const struct search_index *for_path, const struct log *log)
{
	struct search_index *ix = mem_zalloc(sizeof(*ix));
	int rc, reserve = SQL_CHECKSUM_BYTES;
	enum store_err err;

	ix->log = log;
	ix->path = mem_printf("%s.new", for_path->path);
	unlink(ix->path);
	cache_file_remove_journals(ix->path);
	rc = sqlite3_open_v2(ix->path, &ix->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, sql_checksum_vfs());
	if (rc == SQLITE_OK)
		rc = sqlite3_file_control(ix->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ix->db,
		    "PRAGMA page_size = " TEXT(
			SQL_CHECKSUM_PAGE_BYTES) "; PRAGMA journal_mode = WAL;"
						 "PRAGMA synchronous = NORMAL; BEGIN;",
		    NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = search_trigrams_register(ix->db);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ix->db, SCHEMA, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ix->db,
		    "PRAGMA user_version = " TEXT(SEARCH_INDEX_VERSION) "; COMMIT", NULL, NULL,
		    NULL);
	err = check(ix, rc, "create");
	sqlite3_close_v2(ix->db); /* the last connection: writes the journal back and removes it */
	ix->db = NULL;
	if (err == STORE_OK)
		err = cache_file_replace_with_journals(ix->path, for_path->path);
	else
		unlink(ix->path);
	search_index_close(ix);
	return err;
}

void
search_index_set_aside(const char *dir, const struct log *log)
{
	char *path = path_in(dir);

	cache_file_set_aside(path, log, "search-index-corrupt");
	cache_file_remove_journals(path);
	free(path);
}

static enum store_err
open_or_create(const char *dir, const struct log *log, struct search_index **ix_out)
{
	enum store_err err = search_index_open(dir, log, ix_out);
	struct search_index *ix;

	if (err != STORE_NOT_FOUND && err != STORE_CORRUPT)
		return err;
	if (err == STORE_CORRUPT)
		search_index_set_aside(dir, log);
	ix = new_index(dir, log);
	log_info(log, "search-index-new", "path=%s", ix->path);
	err = create(ix, log);
	search_index_close(ix);
	return err == STORE_OK ? search_index_open(dir, log, ix_out) : err;
}

enum store_err
search_index_open_to_write(const char *dir, const struct log *log, struct search_index **ix_out)
{
	enum store_err err = open_or_create(dir, log, ix_out);

	if (err == STORE_OK)
		sqlite3_busy_timeout((*ix_out)->db, BUSY_WRITE_MS);
	return err;
}

void
search_index_remove(const char *dir)
{
	char *path = path_in(dir);

	unlink(path);
	cache_file_remove_journals(path);
	free(path);
}

uint64_t
search_index_bytes(const char *dir)
{
	static const char *const ENDS[] = { "", "-wal" };
	uint64_t bytes = 0;
	struct stat sb;

	for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
		char *path = mem_printf("%s/search.db%s", dir, ENDS[i]);

		if (stat(path, &sb) == 0)
			bytes += (uint64_t)sb.st_size;
		free(path);
	}
	return bytes;
}

/* --- transactions ------------------------------------------------------------------------------ */

enum store_err
search_index_begin(struct search_index *ix)
{
	return run_ints(ix, BEGIN_READ, NULL, 0);
}

void
search_index_end(struct search_index *ix)
{
	search_index_rollback(ix);
}

enum store_err
search_index_begin_write(struct search_index *ix)
{
	return run_ints(ix, BEGIN_WRITE, NULL, 0);
}

enum store_err
search_index_commit(struct search_index *ix)
{
	enum store_err err = run_ints(ix, COMMIT, NULL, 0);

	if (err != STORE_OK)
		search_index_rollback(ix);
	return err;
}

void
search_index_rollback(struct search_index *ix)
{
	for (size_t i = 0; i < STATEMENTS; i++)
		if (ix->stmts[i] != NULL)
			sqlite3_reset(ix->stmts[i]);
	if (sqlite3_get_autocommit(ix->db) == 0)
		run_ints(ix, ROLLBACK, NULL, 0);
}

/* --- texts ------------------------------------------------------------------------------------- */

static void
write_phrase(struct buf *out, struct str trigram)
{
	buf_adds(out, out->len > 0 ? " AND \"" : "\"");
	for (size_t i = 0; i < trigram.len; i++) {
		if (trigram.p[i] == '"')
			buf_addc(out, '"');
		buf_addc(out, trigram.p[i]);
	}
	buf_addc(out, '"');
}

/* `"ABC" AND "BCD" …`: of a long text a sample, spread over it.  False: there is nothing to look for. */
static bool
write_match(struct buf *out, struct str text)
{
	struct search_trigrams all = { text }, t = { text };
	struct str trigram;
	size_t count = 0, step;

	buf_reset(out);
	while (search_trigrams_next(&all, &trigram))
		count++;
	if (count == 0)
		return false;
	step = (count + SEARCH_INDEX_TRIGRAMS_MAX - 1) / SEARCH_INDEX_TRIGRAMS_MAX;
	for (size_t i = 0; search_trigrams_next(&t, &trigram); i++)
		if (i % step == 0)
			write_phrase(out, trigram);
	return true;
}

static enum store_err
find_in(struct search_index *ix, enum statement id, struct uidset *docs)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, id, &err);
	int rc;

	if (st == NULL)
		return err;
	sqlite3_bind_text(st, 1, ix->match.data, (int)ix->match.len, SQLITE_STATIC);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		int64_t doc = sqlite3_column_int64(st, 0);

		if (doc > 0 && doc <= UINT32_MAX)
			uidset_add(docs, (uint32_t)doc);
	}
	err = check(ix, rc, "find");
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err;
}

enum store_err
search_index_find(struct search_index *ix, unsigned parts, struct str text, struct uidset *docs)
{
	struct uidset more = { 0 };
	enum store_err err = STORE_OK;

	if (!write_match(&ix->match, text))
		return STORE_INVALID;
	if ((parts & SEARCH_INDEX_HEAD) != 0)
		err = find_in(ix, HEAD_FIND, &more);
	if (err == STORE_OK)
		uidset_union(docs, &more);
	uidset_clear(&more);
	if (err == STORE_OK && (parts & SEARCH_INDEX_BODY) != 0)
		err = find_in(ix, BODY_FIND, &more);
	if (err == STORE_OK)
		uidset_union(docs, &more);
	uidset_free(&more);
	return err;
}

/* --- mailboxes and messages -------------------------------------------------------------------- */

static enum store_err
get_box(struct search_index *ix, const struct search_index_box *box, int64_t *id_out)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, BOX_GET, &err);

	*id_out = 0;
	if (st == NULL)
		return err;
	sqlite3_bind_text(st, 1, box->mailbox_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, box->uidvalidity);
	return get_int(ix, st, id_out);
}

/* Calls back with each message of the mailbox, ascending. */
static enum store_err
walk(struct search_index *ix, const struct search_index_box *box,
    void (*cb)(void *arg, uint32_t uid, int64_t doc), void *arg)
{
	enum store_err err;
	sqlite3_stmt *st;
	int64_t id;
	int rc;

	err = get_box(ix, box, &id);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	st = statement(ix, MESSAGES, &err);
	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, id);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		cb(arg, (uint32_t)sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1));
	err = check(ix, rc, "messages");
	sqlite3_reset(st);
	return err;
}

struct keeping {
	const struct uidset *docs, *uids;
	struct uidset no;
	uint32_t known;
};

static void
on_kept(void *arg, uint32_t uid, int64_t doc)
{
	struct keeping *k = arg;

	if (!uidset_contains(k->uids, uid))
		return;
	k->known++;
	if (doc > 0 && doc <= UINT32_MAX && !uidset_contains(k->docs, (uint32_t)doc))
		uidset_add(&k->no, uid);
}

enum store_err
search_index_keep(struct search_index *ix, const struct search_index_box *box,
    const struct uidset *docs, struct uidset *uids, bool *whole_out)
{
	struct keeping k = { .docs = docs, .uids = uids };
	enum store_err err = walk(ix, box, on_kept, &k);

	*whole_out = k.known == uidset_count(uids);
	if (err == STORE_OK)
		uidset_subtract(uids, &k.no);
	uidset_free(&k.no);
	return err;
}

static void
on_known(void *arg, uint32_t uid, int64_t doc)
{
	(void)doc;
	uidset_add(arg, uid);
}

enum store_err
search_index_known(
    struct search_index *ix, const struct search_index_box *box, struct uidset *uids_out)
{
	uidset_clear(uids_out);
	return walk(ix, box, on_known, uids_out);
}

/* --- writing ----------------------------------------------------------------------------------- */

static enum store_err
need_box(struct search_index *ix, const struct search_index_box *box, int64_t *id_out)
{
	enum store_err err = get_box(ix, box, id_out);
	sqlite3_stmt *st;

	if (err != STORE_NOT_FOUND)
		return err;
	st = statement(ix, BOX_PUT, &err);
	if (st == NULL)
		return err;
	sqlite3_bind_text(st, 1, box->mailbox_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, box->uidvalidity);
	err = run(ix, st);
	*id_out = sqlite3_last_insert_rowid(ix->db);
	return err;
}

static enum store_err
put_text(struct search_index *ix, enum statement id, int64_t doc, const struct buf *text)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, id, &err);

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, doc);
	sqlite3_bind_text(st, 2, text->len > 0 ? text->data : "", (int)text->len, SQLITE_STATIC);
	return run(ix, st);
}

static void
digest_texts(const struct search_texts *texts, unsigned char *digest)
{
	uint64_t head_bytes = texts->head.len; /* so that no byte can change sides */
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(ctx, &head_bytes, sizeof(head_bytes)) != 1 ||
	    EVP_DigestUpdate(ctx, texts->head.data, texts->head.len) != 1 ||
	    EVP_DigestUpdate(ctx, texts->body.data, texts->body.len) != 1 ||
	    EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
}

static enum store_err
need_doc(struct search_index *ix, const struct search_texts *texts, int64_t *doc_out)
{
	unsigned char digest[DIGEST_BYTES];
	enum store_err err;
	sqlite3_stmt *st = statement(ix, DOC_GET, &err);

	if (st == NULL)
		return err;
	digest_texts(texts, digest);
	sqlite3_bind_blob(st, 1, digest, sizeof(digest), SQLITE_STATIC);
	err = get_int(ix, st, doc_out);
	if (err == STORE_OK)
		return run_ints(ix, DOC_AGAIN, doc_out, 1);
	if (err != STORE_NOT_FOUND)
		return err;
	st = statement(ix, DOC_PUT, &err);
	if (st == NULL)
		return err;
	sqlite3_bind_blob(st, 1, digest, sizeof(digest), SQLITE_STATIC);
	err = run(ix, st);
	*doc_out = sqlite3_last_insert_rowid(ix->db);
	if (err == STORE_OK)
		err = put_text(ix, HEAD_PUT, *doc_out, &texts->head);
	if (err == STORE_OK)
		err = put_text(ix, BODY_PUT, *doc_out, &texts->body);
	return err;
}

enum store_err
search_index_add(struct search_index *ix, const struct search_index_box *box, uint32_t uid,
    const struct search_texts *texts)
{
	int64_t id, doc = 0;
	enum store_err err = need_box(ix, box, &id);
	sqlite3_stmt *st;

	if (err != STORE_OK)
		return err;
	st = statement(ix, MESSAGE_GET, &err);
	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, id);
	sqlite3_bind_int64(st, 2, uid);
	err = get_int(ix, st, &doc);
	if (err != STORE_NOT_FOUND)
		return err; /* it is there */
	err = texts != NULL ? need_doc(ix, texts, &doc) : STORE_OK;
	if (err != STORE_OK)
		return err;
	return run_ints(ix, MESSAGE_PUT, (int64_t[]){ id, uid, doc }, 3);
}

enum store_err
search_index_forget(
    struct search_index *ix, const struct search_index_box *box, const struct uidset *uids)
{
	int64_t id;
	enum store_err err = get_box(ix, box, &id);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	for (uint32_t uid = uidset_next(uids, 0); uid != 0 && err == STORE_OK;
	     uid = uidset_next(uids, uid))
		err = run_ints(ix, MESSAGE_DROP, (int64_t[]){ id, uid }, 2);
	return err;
}

/* The next mailbox above *id that does not live any more; 0: none. */
static enum store_err
next_gone(struct search_index *ix, bool (*lives)(void *arg, const struct search_index_box *box),
    void *arg, int64_t *id)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, BOXES, &err);
	bool gone = false;
	int rc = SQLITE_DONE;

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, *id);
	while (!gone && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct search_index_box box = { (const char *)sqlite3_column_text(st, 1),
			(uint32_t)sqlite3_column_int64(st, 2) };

		*id = sqlite3_column_int64(st, 0);
		gone = box.mailbox_id == NULL || !lives(arg, &box);
	}
	err = check(ix, rc, "boxes");
	sqlite3_reset(st);
	if (!gone)
		*id = 0;
	return err;
}

enum store_err
search_index_forget_boxes(struct search_index *ix,
    bool (*lives)(void *arg, const struct search_index_box *box), void *arg)
{
	int64_t id = 0;
	enum store_err err;

	while ((err = next_gone(ix, lives, arg, &id)) == STORE_OK && id != 0) {
		err = run_ints(ix, MESSAGES_DROP, &id, 1);
		if (err == STORE_OK)
			err = run_ints(ix, BOX_DROP, &id, 1);
		if (err != STORE_OK)
			break;
	}
	return err;
}

bool
search_index_is_stale(struct search_index *ix, int64_t now_s)
{
	enum store_err err;
	sqlite3_stmt *st = statement(ix, DOC_COUNT, &err);
	int64_t dead = 0, all = 0, begun_s = 0;

	if (st == NULL)
		return false;
	if (check(ix, sqlite3_step(st), "count") == STORE_OK) {
		dead = sqlite3_column_int64(st, 0);
		all = sqlite3_column_int64(st, 1);
		begun_s = sqlite3_column_int64(st, 2);
	}
	sqlite3_reset(st);
	return (dead >= SEARCH_INDEX_DEAD_MIN && dead > all / 2) ||
	       (dead > 0 && now_s - begun_s > SEARCH_INDEX_DEAD_MAX_S);
}

enum store_err
search_index_check(struct search_index *ix)
{
	sqlite3_stmt *st = NULL;
	const char *said = "";
	enum store_err err;
	int rc;

	rc = sqlite3_prepare_v2(ix->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	err = check(ix, rc, "check");
	if (rc == SQLITE_ROW)
		said = (const char *)sqlite3_column_text(st, 0);
	if (err == STORE_OK && (said == NULL || strcmp(said, "ok") != 0))
		err = STORE_CORRUPT;
	sqlite3_finalize(st);
	return err;
}
