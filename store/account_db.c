#include "store/account_db_internal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistd.h>

#include "base/mem.h"

/* How reading goes on whatever writers do:
 *
 * 1. A reader opens the file read-only.  SQLite then reads the -wal and the -shm if they are there,
 *    or makes them if it may.  Our writers leave them in place (PERSIST_WAL), others remove them.
 * 2. Where they are missing and must not be made (a locked-in worker), the file alone is
 *    complete: it is read as immutable.  Its stamp is taken before and compared after each look-up; if
 *    it moved, or a -wal came up, the answer is thrown away and the connection opened anew.
 * 3. A file that was replaced (another inode: a restore) is opened anew too. */

#define READ_TRIES    20
#define READ_RETRY_US 5000
#define SECRET_NAME   "instance"

/* clang-format off */
static const char *const MIGRATIONS[ACCOUNT_DB_VERSION] = {
	/* 0 -> 1.  The table account may be there: relays and scripts of others made it. */
	"CREATE TABLE IF NOT EXISTS account ("
	"  id        INTEGER PRIMARY KEY,"
	"  localpart VARCHAR(128) NOT NULL COLLATE NOCASE,"
	"  domain    VARCHAR(128) NOT NULL COLLATE NOCASE,"
	"  password  VARCHAR NOT NULL,"
	"  realname  VARCHAR(64) NULL,"
	"  filter    BLOB NULL,"
	"  active    INTEGER NOT NULL DEFAULT 1,"
	"  quota     INTEGER NULL,"
	"  UNIQUE (localpart, domain));"
	/* Keys count only for the password they were made with: somebody may set account.password directly. */
	"CREATE TABLE account_scram ("
	"  account    INTEGER PRIMARY KEY,"
	"  password   VARCHAR NOT NULL,"
	"  salt       BLOB NOT NULL,"
	"  iterations INTEGER NOT NULL,"
	"  stored_key BLOB NOT NULL,"
	"  server_key BLOB NOT NULL);"
	"CREATE TABLE account_leave ("
	"  account    INTEGER PRIMARY KEY,"
	"  text       TEXT NOT NULL);"
	"CREATE TABLE secret ("
	"  name       TEXT PRIMARY KEY,"
	"  value      BLOB NOT NULL) WITHOUT ROWID;"
	"INSERT INTO secret VALUES ('" SECRET_NAME "', randomblob(32));"
	/* Ids are used again: nothing of the old account may pass to the next, whoever deletes it. */
	"CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN"
	"  DELETE FROM account_scram WHERE account = OLD.id;"
	"  DELETE FROM account_leave WHERE account = OLD.id;"
	" END;",
	/* 1 -> 2.  Scripts, the filter's history, lists. */
	"CREATE TABLE script ("
	"  id         INTEGER PRIMARY KEY,"
	"  account    INTEGER NOT NULL,"
	"  name       TEXT NOT NULL,"
	"  text       BLOB NOT NULL,"
	"  active     INTEGER NOT NULL DEFAULT 0,"
	"  created    INTEGER NOT NULL,"
	"  changed    INTEGER NOT NULL,"
	"  UNIQUE (account, name));"
	"CREATE UNIQUE INDEX script_active ON script (account) WHERE active;"
	/* AUTOINCREMENT: a version's number is never another's. */
	"CREATE TABLE filter_history ("
	"  id         INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  account    INTEGER NOT NULL,"
	"  set_at     INTEGER NOT NULL,"
	"  who        TEXT NOT NULL,"
	"  name       TEXT NULL,"
	"  text       BLOB NULL);"
	"CREATE INDEX filter_history_account ON filter_history (account, id);"
	"CREATE TABLE list ("
	"  id         INTEGER PRIMARY KEY,"
	"  account    INTEGER NOT NULL,"
	"  name       TEXT NOT NULL,"
	"  UNIQUE (account, name));"
	"CREATE TABLE list_member ("
	"  list       INTEGER NOT NULL,"
	"  value      TEXT NOT NULL COLLATE NOCASE,"
	"  PRIMARY KEY (list, value)) WITHOUT ROWID;"
	"DROP TRIGGER account_deleted;"
	"CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN"
	"  DELETE FROM account_scram WHERE account = OLD.id;"
	"  DELETE FROM account_leave WHERE account = OLD.id;"
	"  DELETE FROM script WHERE account = OLD.id;"
	"  DELETE FROM filter_history WHERE account = OLD.id;"
	"  DELETE FROM list_member WHERE list IN (SELECT id FROM list WHERE account = OLD.id);"
	"  DELETE FROM list WHERE account = OLD.id;"
	" END;",
	/* 2 -> 3.  Aliases ('' is a domain's catch-all), limits (NULL: as configured).  Texts kept until now were whole answers. */
	"ALTER TABLE account_leave ADD COLUMN whole INTEGER NOT NULL DEFAULT 0;"
	"UPDATE account_leave SET whole = 1;"
	"CREATE TABLE alias ("
	"  localpart  VARCHAR(128) NOT NULL COLLATE NOCASE,"
	"  domain     VARCHAR(128) NOT NULL COLLATE NOCASE,"
	"  account    INTEGER NOT NULL,"
	"  PRIMARY KEY (localpart, domain)) WITHOUT ROWID;"
	"CREATE INDEX alias_account ON alias (account);"
	"CREATE INDEX alias_domain ON alias (domain);"
	"CREATE TABLE account_limit ("
	"  account              INTEGER PRIMARY KEY,"
	"  messages_max         INTEGER NULL,"
	"  message_kb_max       INTEGER NULL,"
	"  sent_messages_hour   INTEGER NULL,"
	"  sent_messages_day    INTEGER NULL,"
	"  sent_recipients_hour INTEGER NULL,"
	"  sent_recipients_day  INTEGER NULL,"
	"  recipients_max       INTEGER NULL,"
	"  sent_copy            INTEGER NULL);"
	"DROP TRIGGER account_deleted;"
	"CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN"
	"  DELETE FROM account_scram WHERE account = OLD.id;"
	"  DELETE FROM account_leave WHERE account = OLD.id;"
	"  DELETE FROM script WHERE account = OLD.id;"
	"  DELETE FROM filter_history WHERE account = OLD.id;"
	"  DELETE FROM list_member WHERE list IN (SELECT id FROM list WHERE account = OLD.id);"
	"  DELETE FROM list WHERE account = OLD.id;"
	"  DELETE FROM alias WHERE account = OLD.id;"
	"  DELETE FROM account_limit WHERE account = OLD.id;"
	" END;",
	/* 3 -> 4.  App passwords (protocols NULL: all; expires NULL: never); what an account may log in with (app_only NULL or
	 * no row: as configured). */
	"CREATE TABLE app_password ("
	"  id         INTEGER PRIMARY KEY,"
	"  account    INTEGER NOT NULL,"
	"  label      TEXT NOT NULL COLLATE NOCASE,"
	"  password   VARCHAR NOT NULL,"
	"  protocols  TEXT NULL,"
	"  created    INTEGER NOT NULL,"
	"  expires    INTEGER NULL,"
	"  UNIQUE (account, label));"
	"CREATE TABLE account_login ("
	"  account    INTEGER PRIMARY KEY,"
	"  app_only   INTEGER NULL);"
	"DROP TRIGGER account_deleted;"
	"CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN"
	"  DELETE FROM account_scram WHERE account = OLD.id;"
	"  DELETE FROM account_leave WHERE account = OLD.id;"
	"  DELETE FROM script WHERE account = OLD.id;"
	"  DELETE FROM filter_history WHERE account = OLD.id;"
	"  DELETE FROM list_member WHERE list IN (SELECT id FROM list WHERE account = OLD.id);"
	"  DELETE FROM list WHERE account = OLD.id;"
	"  DELETE FROM alias WHERE account = OLD.id;"
	"  DELETE FROM account_limit WHERE account = OLD.id;"
	"  DELETE FROM app_password WHERE account = OLD.id;"
	"  DELETE FROM account_login WHERE account = OLD.id;"
	" END;",
	/* 4 -> 5.  How many mailboxes an account may have. */
	"ALTER TABLE account_limit ADD COLUMN mailboxes_max INTEGER NULL;",
	/* 5 -> 6.  Which of the holders of an address is meant (store/account_tenure.h).  DELETE and INSERT: an OR IGNORE of the
	 * statement that fires a trigger would hold for an INSERT OR REPLACE in it. */
	"CREATE TABLE tenure ("
	"  localpart  VARCHAR(128) NOT NULL COLLATE NOCASE,"
	"  domain     VARCHAR(128) NOT NULL COLLATE NOCASE,"
	"  word       TEXT NOT NULL,"
	"  PRIMARY KEY (localpart, domain)) WITHOUT ROWID;"
	"CREATE TRIGGER tenure_deleted AFTER DELETE ON account BEGIN"
	"  DELETE FROM tenure WHERE localpart = OLD.localpart AND domain = OLD.domain;"
	"  INSERT INTO tenure VALUES (OLD.localpart, OLD.domain, lower(hex(randomblob(8))));"
	" END;"
	"CREATE TRIGGER tenure_renamed AFTER UPDATE OF localpart, domain ON account"
	" WHEN OLD.localpart <> NEW.localpart COLLATE NOCASE OR OLD.domain <> NEW.domain COLLATE NOCASE BEGIN"
	"  DELETE FROM tenure WHERE localpart = OLD.localpart AND domain = OLD.domain;"
	"  INSERT INTO tenure VALUES (OLD.localpart, OLD.domain, lower(hex(randomblob(8))));"
	" END;",
};

#define COLUMNS "id, localpart, domain, password, realname, filter, active, quota"
/* clang-format on */

struct stamp { /* of the database file while nobody has a -wal open */
	dev_t dev;
	ino_t inode;
	off_t size;
	struct timespec mtime, ctime;
};

struct conn {
	struct conn *next; /* in the pool */
	struct sql sql;
	bool immutable;
	struct stamp stamp;
};

struct account_db {
	char *path, *wal_path;
	enum account_db_mode mode;
	const struct log *log;
	pthread_mutex_t mutex; /* pool, watch, opens */
	struct conn *pool;
	struct conn *watch; /* for data_version; never in the pool */
	uint32_t watches;   /* how often it was opened */
	int version;
};

/* --- rows and addresses ------------------------------------------------------------------------ */

void
account_row_free(struct account_row *row)
{
	if (row->password != NULL)
		mem_wipe(row->password, strlen(row->password));
	free(row->localpart);
	free(row->domain);
	free(row->password);
	free(row->realname);
	free(row->filter);
	*row = (struct account_row){ 0 };
}

void
account_rows_free(struct account_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		account_row_free(&rows[i]);
	free(rows);
}

char *
account_row_address(const struct account_row *row)
{
	return mem_printf("%s@%s", row->localpart, row->domain);
}

/* atext of RFC 5322 §3.2.3 and RFC 6531 §3.3, without '/'. */
static bool
is_localpart_char(char c)
{
	return ascii_is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c != '\0' && strchr("!#$%&'*+-=?^_`{|}~", c) != NULL);
}

static bool
is_domain_char(char c)
{
	return ascii_is_alnum(c) || c == '-' || (unsigned char)c >= 0x80;
}

/* One or more runs of `accept`, divided by single dots. */
static bool
is_dotted(struct str s, bool (*accept)(char c))
{
	struct cursor c = cursor_from(s);

	do {
		if (cursor_take_while(&c, accept).len == 0)
			return false;
	} while (cursor_take(&c, '.'));
	return cursor_at_end(&c);
}

bool
account_localpart_is_valid(struct str s)
{
	return s.len <= ACCOUNT_LOCALPART_MAX && is_dotted(s, is_localpart_char) && text_is_utf8(s);
}

bool
account_domain_is_valid(struct str s)
{
	return s.len <= ACCOUNT_DOMAIN_MAX && is_dotted(s, is_domain_char) && text_is_utf8(s) &&
	       s.p[0] != '-' && s.p[s.len - 1] != '-';
}

bool
account_address_parse(struct str address, struct str *localpart_out, struct str *domain_out)
{
	const char *at = address.len > 0 ? memrchr(address.p, '@', address.len) : NULL;

	if (at == NULL)
		return false;
	*localpart_out = (struct str){ address.p, (size_t)(at - address.p) };
	*domain_out = (struct str){ at + 1, address.len - localpart_out->len - 1 };
	return account_localpart_is_valid(*localpart_out) && account_domain_is_valid(*domain_out);
}

/* ASCII stays as it is (NOCASE sees to it); other letters become lower case, NFC. */
char *
account_db_fold(struct str s)
{
	bool ascii = true;
	uint8_t *folded;
	size_t len;
	char *copy;

	for (size_t i = 0; i < s.len; i++)
		ascii = ascii && (unsigned char)s.p[i] < 0x80;
	if (ascii)
		return mem_strndup(s.len > 0 ? s.p : "", s.len);
	folded = u8_tolower((const uint8_t *)s.p, s.len, NULL, UNINORM_NFC, NULL, &len);
	if (folded == NULL) /* not UTF-8: no account has such a name */
		return mem_strndup(s.p, s.len);
	copy = mem_strndup((const char *)folded, len);
	free(folded);
	return copy;
}

/* --- connections ------------------------------------------------------------------------------- */

static bool
take_stamp(const char *path, struct stamp *stamp)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	*stamp = (struct stamp){ st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
	return true;
}

static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
wal_is_empty(const struct account_db *db)
{
	struct stat st;

	return stat(db->wal_path, &st) != 0 || st.st_size == 0;
}

static void
conn_free(struct conn *c)
{
	if (c != NULL)
		sql_close(&c->sql);
	free(c);
}

/* Is what the connection reads still what the path names? */
static bool
conn_is_current(const struct account_db *db, const struct conn *c)
{
	struct stamp now;

	if (!take_stamp(db->path, &now) || now.dev != c->stamp.dev || now.inode != c->stamp.inode)
		return false;
	return !c->immutable ||
	       (now.size == c->stamp.size && same_time(now.mtime, c->stamp.mtime) &&
		   same_time(now.ctime, c->stamp.ctime) && wal_is_empty(db));
}

static bool
conn_can_read(struct conn *c)
{
	sqlite3_stmt *stmt;
	bool ok = sqlite3_prepare_v2(c->sql.db, "SELECT count(*) FROM sqlite_master", -1, &stmt,
		      NULL) == SQLITE_OK;

	if (ok) {
		ok = sqlite3_step(stmt) == SQLITE_ROW;
		sqlite3_finalize(stmt);
	}
	return ok;
}

static enum store_err
conn_open_reader(struct account_db *db, struct conn *c)
{
	enum store_err err;
	bool immutable_fits;
	int rc;

	err = sql_open(&c->sql, db->path, SQLITE_OPEN_READONLY, NULL, ACCOUNT_DB_BUSY_MS, db->log);
	if (err == STORE_OK && conn_can_read(c))
		return STORE_OK;
	rc = sqlite3_extended_errcode(c->sql.db);
	immutable_fits = (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY;
	if (!immutable_fits || !wal_is_empty(db))
		return err == STORE_OK ? sql_err(&c->sql, rc, "open") : err;
	sql_close(&c->sql);
	c->immutable = true;
	err = sql_open(&c->sql, db->path, SQLITE_OPEN_READONLY, "immutable=1", 0, db->log);
	if (err == STORE_OK && !conn_can_read(c))
		err = sql_err(&c->sql, sqlite3_extended_errcode(c->sql.db), "open");
	return err;
}

static enum store_err
conn_open_writer(struct account_db *db, struct conn *c)
{
	int persist = 1;
	enum store_err err = sql_open(&c->sql, db->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	    NULL, ACCOUNT_DB_BUSY_MS, db->log);

	if (err != STORE_OK)
		return err;
	sqlite3_file_control(c->sql.db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	err = sql_set_up(&c->sql, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				  "PRAGMA journal_size_limit = 1048576");
	return err;
}

static enum store_err
conn_open(struct account_db *db, struct conn **conn_out)
{
	struct conn *c = mem_zalloc(sizeof(*c));
	enum store_err err = STORE_NOT_FOUND;

	/* The stamp first: what changes while we open shows. */
	if (take_stamp(db->path, &c->stamp) || db->mode == ACCOUNT_DB_WRITE)
		err = db->mode == ACCOUNT_DB_WRITE ? conn_open_writer(db, c)
						   : conn_open_reader(db, c);
	if (err == STORE_OK && db->mode == ACCOUNT_DB_WRITE && c->stamp.inode == 0)
		take_stamp(db->path, &c->stamp);
	if (err == STORE_OK) {
		*conn_out = c;
		return STORE_OK;
	}
	log_error(
	    db->log, "account-db", "path=%s doing=open error=%s", db->path, store_err_text(err));
	conn_free(c);
	return err;
}

static enum store_err
take(struct account_db *db, struct conn **conn_out)
{
	struct conn *c;

	for (;;) {
		pthread_mutex_lock(&db->mutex);
		c = db->pool;
		if (c != NULL)
			db->pool = c->next;
		pthread_mutex_unlock(&db->mutex);
		if (c == NULL)
			return conn_open(db, conn_out);
		if (conn_is_current(db, c))
			break;
		conn_free(c);
	}
	*conn_out = c;
	return STORE_OK;
}

static void
put(struct account_db *db, struct conn *c)
{
	pthread_mutex_lock(&db->mutex);
	c->next = db->pool;
	db->pool = c;
	pthread_mutex_unlock(&db->mutex);
}

/* A look-up: fills `arg`; leaves nothing in it when it fails. */
typedef enum store_err (*look_fn)(struct conn *c, void *arg);
typedef void (*clear_fn)(void *arg);

/* NOT_FOUND and DENIED would be answers about the account; this is about the file. */
static enum store_err
failed(enum store_err err)
{
	return err == STORE_NOT_FOUND || err == STORE_DENIED ? STORE_IO : err;
}

/* Runs the look-up until it was undisturbed (only ever twice for an immutable connection). */
static enum store_err
look(struct account_db *db, look_fn fn, clear_fn clear, void *arg)
{
	enum store_err err = STORE_BUSY;

	for (int i = 0; i < READ_TRIES; i++) {
		struct conn *c;

		if (i > 0)
			usleep(READ_RETRY_US);
		err = take(db, &c);
		if (err != STORE_OK)
			return failed(err);
		err = fn(c, arg);
		if ((err == STORE_OK || err == STORE_NOT_FOUND) && conn_is_current(db, c)) {
			put(db, c);
			return err;
		}
		if (err == STORE_OK)
			clear(arg);
		/* A reader without write permission may lose the -shm it stood on: anew. */
		conn_free(c);
		if (err == STORE_BUSY || (err != STORE_OK && err != STORE_NOT_FOUND && i > 1))
			return failed(err);
	}
	return STORE_BUSY;
}

struct outside { /* a look-up of another file */
	enum store_err (*fn)(struct sql *sql, void *arg);
	void (*clear)(void *arg);
	void *arg;
	int version_least;
};

static enum store_err
look_outside(struct conn *c, void *arg)
{
	const struct outside *o = arg;

	return sql_version(&c->sql) < o->version_least ? STORE_NOT_FOUND : o->fn(&c->sql, o->arg);
}

static void
clear_outside(void *arg)
{
	const struct outside *o = arg;

	o->clear(o->arg);
}

enum store_err
account_db_look(struct account_db *db, int version_least,
    enum store_err (*fn)(struct sql *sql, void *arg), void (*clear)(void *arg), void *arg)
{
	struct outside o = { fn, clear, arg, version_least };

	return look(db, look_outside, clear_outside, &o);
}

/* --- opening ----------------------------------------------------------------------------------- */

/* An adopted table must have our columns. */
static enum store_err
check_shape(struct account_db *db, struct conn *c)
{
	sqlite3_stmt *stmt = sql_get(&c->sql, "SELECT " COLUMNS " FROM account LIMIT 0");

	if (stmt != NULL)
		return STORE_OK;
	log_error(db->log, "account-db", "path=%s error=%s", db->path,
	    "the table account is missing or has other columns");
	return STORE_CORRUPT;
}

static enum store_err
prepare_file(struct account_db *db, struct conn *c)
{
	enum store_err err = STORE_OK;

	if (db->mode == ACCOUNT_DB_WRITE)
		err = sql_migrate(&c->sql, MIGRATIONS, ACCOUNT_DB_VERSION);
	if (err != STORE_OK)
		return err;
	db->version = sql_version(&c->sql);
	if (db->version > ACCOUNT_DB_VERSION) {
		log_error(db->log, "database-newer", "path=%s version=%d known=%d", db->path,
		    db->version, ACCOUNT_DB_VERSION);
		return STORE_VERSION;
	}
	return check_shape(db, c);
}

/* SQLite would make it with the umask's mode; the -wal and -shm follow the file's. */
static void
create_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd >= 0)
		close(fd);
}

enum store_err
account_db_open(
    const char *path, enum account_db_mode mode, const struct log *log, struct account_db **db_out)
{
	struct account_db *db = mem_zalloc(sizeof(*db));
	struct conn *c = NULL;
	enum store_err err;

	*db_out = NULL;
	db->path = mem_strdup(path);
	db->wal_path = mem_printf("%s-wal", path);
	db->mode = mode;
	db->log = log;
	pthread_mutex_init(&db->mutex, NULL);
	if (mode == ACCOUNT_DB_WRITE)
		create_file(path);
	err = conn_open(db, &c);
	if (err == STORE_OK)
		err = prepare_file(db, c);
	if (err == STORE_OK) {
		put(db, c);
		*db_out = db;
		return STORE_OK;
	}
	conn_free(c);
	account_db_close(db);
	return err;
}

void
account_db_close(struct account_db *db)
{
	if (db == NULL)
		return;
	while (db->pool != NULL) {
		struct conn *c = db->pool;

		db->pool = c->next;
		conn_free(c);
	}
	conn_free(db->watch);
	pthread_mutex_destroy(&db->mutex);
	free(db->path);
	free(db->wal_path);
	free(db);
}

/* --- look-ups ---------------------------------------------------------------------------------- */

static void
read_row(sqlite3_stmt *stmt, struct account_row *row)
{
	int64_t quota_kb = sqlite3_column_int64(stmt, 7);

	*row = (struct account_row){ .id = sqlite3_column_int64(stmt, 0) };
	row->localpart = sql_column_dup(stmt, 1);
	row->domain = sql_column_dup(stmt, 2);
	row->password = sql_column_dup(stmt, 3);
	row->realname = sql_column_dup(stmt, 4);
	row->filter = sql_column_dup(stmt, 5);
	row->filter_len = (size_t)sqlite3_column_bytes(stmt, 5);
	row->active = sqlite3_column_int(stmt, 6) != 0;
	row->quota_kb = quota_kb > 0 ? (uint64_t)quota_kb : 0;
}

struct find {
	char *localpart, *domain;
	int64_t id;
	struct account_row row;
};

static void
find_clear(void *arg)
{
	struct find *f = arg;

	account_row_free(&f->row);
}

static enum store_err
find_step(struct conn *c, sqlite3_stmt *stmt, struct find *f)
{
	enum store_err err = sql_step(&c->sql, stmt);

	if (err == STORE_OK) {
		read_row(stmt, &f->row);
		sqlite3_reset(stmt);
	}
	return err;
}

static enum store_err
find_by_name(struct conn *c, void *arg)
{
	struct find *f = arg;
	sqlite3_stmt *stmt =
	    sql_get(&c->sql, "SELECT " COLUMNS " FROM account WHERE localpart = ? AND domain = ?");

	sql_bind_text(stmt, 1, f->localpart);
	sql_bind_text(stmt, 2, f->domain);
	return find_step(c, stmt, f);
}

static enum store_err
find_by_id(struct conn *c, void *arg)
{
	struct find *f = arg;
	sqlite3_stmt *stmt = sql_get(&c->sql, "SELECT " COLUMNS " FROM account WHERE id = ?");

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, f->id);
	return find_step(c, stmt, f);
}

enum store_err
account_db_find(
    struct account_db *db, struct str localpart, struct str domain, struct account_row *row_out)
{
	struct find f = { .localpart = account_db_fold(localpart),
		.domain = account_db_fold(domain) };
	enum store_err err = look(db, find_by_name, find_clear, &f);

	free(f.localpart);
	free(f.domain);
	*row_out = f.row;
	return err;
}

enum store_err
account_db_find_address(struct account_db *db, struct str address, struct account_row *row_out)
{
	struct str localpart, domain;

	*row_out = (struct account_row){ 0 };
	if (!account_address_parse(address, &localpart, &domain))
		return STORE_INVALID;
	return account_db_find(db, localpart, domain, row_out);
}

enum store_err
account_db_find_id(struct account_db *db, int64_t id, struct account_row *row_out)
{
	struct find f = { .id = id };
	enum store_err err = look(db, find_by_id, find_clear, &f);

	*row_out = f.row;
	return err;
}

static void
clear_nothing(void *arg)
{
	(void)arg;
}

static enum store_err
find_domain(struct conn *c, void *arg)
{
	sqlite3_stmt *stmt = sql_get(&c->sql, "SELECT 1 FROM account WHERE domain = ? LIMIT 1");
	enum store_err err;

	sql_bind_text(stmt, 1, arg);
	err = sql_step(&c->sql, stmt);
	if (err == STORE_OK)
		sqlite3_reset(stmt);
	return err;
}

enum store_err
account_db_has_domain(struct account_db *db, struct str domain)
{
	char *folded = account_db_fold(domain);
	enum store_err err = look(db, find_domain, clear_nothing, folded);

	free(folded);
	return err;
}

struct list {
	const char *domain;
	struct account_row *rows;
	size_t count, room;
};

static void
list_clear(void *arg)
{
	struct list *l = arg;

	account_rows_free(l->rows, l->count);
	l->rows = NULL;
	l->count = l->room = 0;
}

static enum store_err
list_rows(struct conn *c, void *arg)
{
	struct list *l = arg;
	enum store_err err;
	sqlite3_stmt *stmt = sql_get(&c->sql, "SELECT " COLUMNS " FROM account"
					      " WHERE ?1 IS NULL OR domain = ?1"
					      " ORDER BY domain, localpart");

	sql_bind_text(stmt, 1, l->domain);
	while ((err = sql_step(&c->sql, stmt)) == STORE_OK) {
		if (l->count == l->room) {
			l->room = l->room == 0 ? 64 : l->room * 2;
			l->rows = mem_realloc_array(l->rows, l->room, sizeof(*l->rows));
		}
		read_row(stmt, &l->rows[l->count++]);
	}
	if (err == STORE_NOT_FOUND)
		return STORE_OK;
	list_clear(l);
	return err;
}

enum store_err
account_db_list(
    struct account_db *db, const char *domain, struct account_row **rows_out, size_t *count_out)
{
	char *folded = domain != NULL ? account_db_fold(str_from(domain)) : NULL;
	struct list l = { .domain = folded };
	enum store_err err = look(db, list_rows, list_clear, &l);

	free(folded);
	*rows_out = l.rows;
	*count_out = l.count;
	return err;
}

struct text_of {
	int64_t id;
	char *text;
	bool whole;
};

static void
text_clear(void *arg)
{
	struct text_of *t = arg;

	free(t->text);
	t->text = NULL;
}

static enum store_err
leave_text(struct conn *c, void *arg)
{
	struct text_of *t = arg;
	sqlite3_stmt *stmt;
	enum store_err err;

	if (sql_version(&c->sql) < 1)
		return STORE_NOT_FOUND;
	stmt = sql_version(&c->sql) < 3
		   ? sql_get(&c->sql, "SELECT text, 1 FROM account_leave WHERE account = ?")
		   : sql_get(&c->sql, "SELECT text, whole FROM account_leave WHERE account = ?");
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, t->id);
	err = sql_step(&c->sql, stmt);
	if (err == STORE_OK) {
		t->text = sql_column_dup(stmt, 0);
		t->whole = sqlite3_column_int(stmt, 1) != 0;
		sqlite3_reset(stmt);
	}
	return err;
}

enum store_err
account_db_leave_text(struct account_db *db, int64_t id, char **text_out, bool *whole_out)
{
	struct text_of t = { .id = id };
	enum store_err err = look(db, leave_text, text_clear, &t);

	*text_out = t.text;
	if (whole_out != NULL)
		*whole_out = t.whole;
	return err;
}

struct scram_of {
	int64_t id;
	struct scram_keys keys;
};

static bool
copy_blob(sqlite3_stmt *stmt, int column, uint8_t *bytes, size_t least, size_t most)
{
	size_t len = (size_t)sqlite3_column_bytes(stmt, column);
	const void *blob = sqlite3_column_blob(stmt, column);

	if (blob == NULL || len < least || len > most)
		return false;
	memcpy(bytes, blob, len);
	return true;
}

static enum store_err
scram_row(struct conn *c, void *arg)
{
	struct scram_of *s = arg;
	sqlite3_stmt *stmt;
	enum store_err err;
	int64_t iterations;

	if (sql_version(&c->sql) < 1)
		return STORE_NOT_FOUND;
	stmt = sql_get(&c->sql, "SELECT s.salt, s.iterations, s.stored_key, s.server_key"
				" FROM account_scram s JOIN account a ON a.id = s.account"
				" AND a.password = s.password WHERE s.account = ?");
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, s->id);
	err = sql_step(&c->sql, stmt);
	if (err != STORE_OK)
		return err;
	iterations = sqlite3_column_int64(stmt, 1);
	s->keys.salt_len = (size_t)sqlite3_column_bytes(stmt, 0);
	s->keys.iterations = (uint32_t)iterations;
	if (iterations < 1 || iterations > PASSWORD_ITERATIONS_MAX ||
	    !copy_blob(stmt, 0, s->keys.salt, 1, SCRAM_SALT_MAX) ||
	    !copy_blob(stmt, 2, s->keys.stored_key, SCRAM_KEY_BYTES, SCRAM_KEY_BYTES) ||
	    !copy_blob(stmt, 3, s->keys.server_key, SCRAM_KEY_BYTES, SCRAM_KEY_BYTES))
		err = STORE_NOT_FOUND;
	sqlite3_reset(stmt);
	return err;
}

enum store_err
account_db_scram_keys(struct account_db *db, int64_t id, struct scram_keys *keys_out)
{
	struct scram_of s = { .id = id };
	enum store_err err = look(db, scram_row, clear_nothing, &s);

	*keys_out = s.keys;
	return err;
}

static enum store_err
secret_row(struct conn *c, void *arg)
{
	sqlite3_stmt *stmt;
	enum store_err err;

	if (sql_version(&c->sql) < 1)
		return STORE_NOT_FOUND;
	stmt = sql_get(&c->sql, "SELECT value FROM secret WHERE name = '" SECRET_NAME "'");
	err = sql_step(&c->sql, stmt);
	if (err != STORE_OK)
		return err;
	if (!copy_blob(stmt, 0, arg, ACCOUNT_DB_SECRET_BYTES, ACCOUNT_DB_SECRET_BYTES))
		err = STORE_NOT_FOUND;
	sqlite3_reset(stmt);
	return err;
}

enum store_err
account_db_secret(struct account_db *db, uint8_t secret_out[ACCOUNT_DB_SECRET_BYTES])
{
	return look(db, secret_row, clear_nothing, secret_out);
}

static enum store_err
check_all(struct conn *c, void *arg)
{
	return sql_check(&c->sql, arg);
}

static void
check_clear(void *arg)
{
	buf_reset(arg);
}

enum store_err
account_db_check(struct account_db *db, struct buf *problems)
{
	return look(db, check_all, check_clear, problems);
}

int
account_db_version(struct account_db *db)
{
	return db->version;
}

/* --- changes ----------------------------------------------------------------------------------- */

/* data_version of one connection that never writes; a new connection counts as a change. */
static uint64_t
watched_version(struct account_db *db)
{
	struct conn *c = db->watch;
	sqlite3_stmt *stmt;
	uint64_t version = UINT64_MAX;

	if (c != NULL && !conn_is_current(db, c)) {
		conn_free(c);
		db->watch = c = NULL;
	}
	if (c == NULL) {
		if (conn_open(db, &c) != STORE_OK)
			return UINT64_MAX;
		db->watch = c;
		db->watches++;
	}
	stmt = sql_get(&c->sql, "PRAGMA data_version");
	if (sql_step(&c->sql, stmt) == STORE_OK) {
		version = (uint64_t)db->watches << 32 | (uint32_t)sqlite3_column_int(stmt, 0);
		sqlite3_reset(stmt);
	}
	return version;
}

uint64_t
account_db_generation(struct account_db *db)
{
	uint64_t version;

	pthread_mutex_lock(&db->mutex);
	version = watched_version(db);
	pthread_mutex_unlock(&db->mutex);
	return version;
}

/* --- writing ----------------------------------------------------------------------------------- */

enum store_err
account_db_transaction(
    struct account_db *db, enum store_err (*fn)(struct sql *sql, void *arg), void *arg)
{
	struct conn *c;
	enum store_err err;

	if (db->mode != ACCOUNT_DB_WRITE)
		return STORE_DENIED;
	err = take(db, &c);
	if (err != STORE_OK)
		return err;
	err = sql_exec(&c->sql, "BEGIN IMMEDIATE");
	if (err == STORE_OK)
		err = sql_end(&c->sql, fn(&c->sql, arg));
	put(db, c);
	return err;
}
