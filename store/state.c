#include "store/state_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* 1. Each change is one transaction, begun with the write lock: what it reads first still holds when it writes.
 * 2. The file is opened by the path that the account's descriptor has at that moment, and looked at again through
 *    the descriptor: an account that is renamed under us is noticed, not followed to another's file.
 * 3. The -wal and -shm stay when a connection closes, so none is ever removed from under a file of the same name.
 *    They go aside with a damaged file: a new one must not find the old journal.
 * 4. Making a file and setting one aside happen under a flock of the account's tmp/. */

#define FILE_NAME        "state.db"
#define OPEN_TRIES       5
#define NEVER            INT64_MAX
#define KEY_BYTES        32 /* SHA-256: keys may be long, and hold what is in messages */
#define REPORTS_PER_DAY  10 /* of all errors of an account together */
#define ERROR_TEXT_BYTES 1024

/* clang-format off */
static const char *const MIGRATIONS[STATE_VERSION] = {
	"CREATE TABLE once ("
	"  key       BLOB NOT NULL,"
	"  recipient TEXT NOT NULL COLLATE NOCASE,"
	"  claimed   INTEGER NOT NULL,"
	"  expires   INTEGER NOT NULL,"
	"  PRIMARY KEY (key, recipient)) WITHOUT ROWID;"
	"CREATE INDEX once_expires ON once (expires);"
	"CREATE INDEX once_claimed ON once (claimed);"
	"CREATE TABLE memory ("
	"  key       BLOB PRIMARY KEY,"
	"  expires   INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX memory_expires ON memory (expires);"
	"CREATE TABLE filter_error ("
	"  kind      TEXT NOT NULL,"
	"  line      INTEGER NOT NULL,"
	"  text      TEXT NOT NULL,"
	"  first     INTEGER NOT NULL,"
	"  last      INTEGER NOT NULL,"
	"  count     INTEGER NOT NULL,"
	"  reported  INTEGER NOT NULL DEFAULT 0,"
	"  PRIMARY KEY (kind, line, text)) WITHOUT ROWID;"
	/* mailbox: its MAILBOXID, '' for the server. */
	"CREATE TABLE metadata ("
	"  mailbox   TEXT NOT NULL,"
	"  entry     TEXT NOT NULL,"
	"  value     BLOB NOT NULL,"
	"  PRIMARY KEY (mailbox, entry)) WITHOUT ROWID;",
	"CREATE TABLE quota_warning ("
	"  threshold INTEGER PRIMARY KEY);",
	/* Logins, counted by where they came from and what became of them; app: label of the app password, '': none. */
	"CREATE TABLE login ("
	"  source    TEXT NOT NULL,"
	"  client    TEXT NOT NULL,"
	"  protocol  TEXT NOT NULL,"
	"  method    TEXT NOT NULL,"
	"  app       TEXT NOT NULL,"
	"  outcome   TEXT NOT NULL,"
	"  first     INTEGER NOT NULL,"
	"  last      INTEGER NOT NULL,"
	"  count     INTEGER NOT NULL,"
	"  delayed   INTEGER NOT NULL,"
	"  PRIMARY KEY (source, client, protocol, method, app, outcome)) WITHOUT ROWID;"
	"CREATE TABLE app_use ("
	"  app       INTEGER PRIMARY KEY,"
	"  last      INTEGER NOT NULL);",
	/* Which annotations have changed, in order: the newest change of each. */
	"CREATE TABLE metadata_change ("
	"  seq       INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  mailbox   TEXT NOT NULL,"
	"  entry     TEXT NOT NULL,"
	"  UNIQUE (mailbox, entry));",
};
/* clang-format on */

struct state {
	int home_fd; /* our own */
	const struct log *log;
	struct sql sql;
	dev_t dev;
	ino_t inode;
};

/* --- the file ----------------------------------------------------------------------------------- */

/* Where the account's directory is now; NULL if it is gone.  The caller's. */
static char *
home_path(int home_fd)
{
	char link[64], target[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", home_fd);
	len = readlink(link, target, sizeof(target));
	if (len <= 0 || (size_t)len == sizeof(target))
		return NULL;
	return mem_strndup(target, (size_t)len);
}

/* Held while a file is made or set aside; -1 if it cannot be had, and then we do without. */
static int
lock_files(const struct state *st)
{
	int fd = openat(st->home_fd, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
unlock_files(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* SQLite would make it with the umask's mode. */
static enum store_err
create_file(const struct state *st)
{
	int lock = lock_files(st);
	int fd = openat(
	    st->home_fd, FILE_NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum store_err err = STORE_OK;

	if (fd < 0 && errno != EEXIST)
		err = store_err_from_errno(errno);
	else if (fd >= 0 && fsync(st->home_fd) != 0)
		err = store_err_from_errno(errno);
	if (fd >= 0)
		close(fd);
	unlock_files(lock);
	return err == STORE_DENIED || err == STORE_NOT_FOUND ? STORE_IO : err;
}

static bool
is_current(const struct state *st)
{
	struct stat sb;

	return st->sql.db != NULL &&
	       fstatat(st->home_fd, FILE_NAME, &sb, AT_SYMLINK_NOFOLLOW) == 0 &&
	       sb.st_ino == st->inode && sb.st_dev == st->dev;
}

static enum store_err
set_up(struct state *st)
{
	int persist = 1;
	enum store_err err;

	sqlite3_file_control(st->sql.db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	err = sql_set_up(&st->sql, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				   "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -256;"
				   "PRAGMA journal_size_limit = 1048576");
	return err == STORE_OK ? sql_migrate(&st->sql, MIGRATIONS, STATE_VERSION) : err;
}

/* STORE_CHANGED: the file that was opened is not the account's (any more). */
static enum store_err
open_file(struct state *st)
{
	char *home = home_path(st->home_fd), *path;
	struct stat sb;
	enum store_err err;

	if (home == NULL)
		return STORE_IO;
	path = mem_printf("%s/" FILE_NAME, home);
	free(home);
	err = stat(path, &sb) == 0 ? STORE_OK : STORE_CHANGED;
	if (err == STORE_OK) {
		st->dev = sb.st_dev;
		st->inode = sb.st_ino;
		err = sql_open(&st->sql, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL,
		    STATE_BUSY_MS, st->log);
	}
	if (err == STORE_OK && !is_current(st))
		err = STORE_CHANGED;
	if (err == STORE_OK)
		err = set_up(st);
	free(path);
	if (err != STORE_OK)
		sql_close(&st->sql);
	return err;
}

static void
move_aside(const struct state *st, const char *aside, const char *end)
{
	char *from = mem_printf(FILE_NAME "%s", end), *to = mem_printf("%s%s", aside, end);

	if (renameat(st->home_fd, from, st->home_fd, to) != 0)
		unlinkat(st->home_fd, from, 0);
	free(from);
	free(to);
}

/* The file that was found to be damaged, if nobody has done it meanwhile. */
static void
set_aside(struct state *st)
{
	char *home = home_path(st->home_fd),
	     *aside = mem_printf(FILE_NAME ".damaged-%lld", (long long)time(NULL));
	int lock = lock_files(st);
	struct stat sb;

	sql_close(&st->sql);
	if (fstatat(st->home_fd, FILE_NAME, &sb, AT_SYMLINK_NOFOLLOW) == 0 &&
	    sb.st_ino == st->inode && sb.st_dev == st->dev) {
		log_error(st->log, "state-damaged", "account_dir=%s kept=%s", home, aside);
		move_aside(st, aside, "-wal");
		move_aside(st, aside, "-shm");
		move_aside(st, aside, "");
	}
	unlock_files(lock);
	free(aside);
	free(home);
}

static enum store_err
open_or_create(struct state *st, bool create)
{
	enum store_err err = STORE_CHANGED;

	for (int i = 0; i < OPEN_TRIES && (err == STORE_CHANGED || err == STORE_CORRUPT); i++) {
		struct stat sb;

		if (err == STORE_CORRUPT)
			set_aside(st);
		if (fstatat(st->home_fd, FILE_NAME, &sb, AT_SYMLINK_NOFOLLOW) != 0) {
			if (errno != ENOENT)
				return STORE_IO;
			if (!create && err != STORE_CORRUPT)
				return STORE_NOT_FOUND;
			err = create_file(st);
			if (err != STORE_OK)
				return err;
		}
		err = open_file(st);
	}
	return err == STORE_CHANGED || err == STORE_CORRUPT || err == STORE_DENIED ? STORE_IO : err;
}

enum store_err
state_open(int home_fd, bool create, const struct log *log, struct state **state_out)
{
	struct state *st = mem_zalloc(sizeof(*st));
	enum store_err err = STORE_IO;

	*state_out = NULL;
	st->log = log;
	st->home_fd = openat(home_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (st->home_fd >= 0)
		err = open_or_create(st, create);
	if (err == STORE_OK) {
		*state_out = st;
		return STORE_OK;
	}
	if (err != STORE_NOT_FOUND) {
		char *home = st->home_fd >= 0 ? home_path(st->home_fd) : NULL;

		log_error(
		    log, "state", "account_dir=%s doing=open error=%s", home, store_err_text(err));
		free(home);
	}
	state_close(st);
	return err;
}

void
state_close(struct state *st)
{
	if (st == NULL)
		return;
	sql_close(&st->sql);
	if (st->home_fd >= 0)
		close(st->home_fd);
	free(st);
}

/* --- transactions ------------------------------------------------------------------------------- */

/* In a new file if this one turns out to be damaged or was replaced. */
enum store_err
state_run(struct state *st, state_fn fn, void *arg)
{
	enum store_err err = STORE_OK, answer = STORE_OK;

	for (int tries = 0; tries < 2; tries++) {
		if (!is_current(st)) {
			sql_close(&st->sql);
			err = open_or_create(st, true);
			if (err != STORE_OK)
				return err;
		}
		err = sql_exec(&st->sql, "BEGIN IMMEDIATE");
		if (err == STORE_OK) {
			answer = fn(&st->sql, arg);
			err = sql_end(&st->sql, answer == STORE_NOT_FOUND ? STORE_OK : answer);
		}
		if (err != STORE_CORRUPT)
			break;
		set_aside(st);
	}
	if (err == STORE_CORRUPT || err == STORE_DENIED)
		return STORE_IO;
	return err == STORE_OK ? answer : err;
}

/* Between state_run()s. */
enum store_err
state_relax(struct state *st)
{
	sqlite3_db_config(st->sql.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return sql_exec(&st->sql, "PRAGMA synchronous = NORMAL");
}

static void
hash_key(const char *key, uint8_t hash_out[KEY_BYTES])
{
	if (EVP_Digest(key, strlen(key), hash_out, NULL, EVP_sha256(), NULL) != 1)
		abort();
}

/* A statement whose first parameters are a key's hash and a text (NULL: none). */
static sqlite3_stmt *
keyed(struct sql *sql, const char *text, const uint8_t key[KEY_BYTES], const char *recipient)
{
	sqlite3_stmt *stmt = sql_get(sql, text);

	if (stmt != NULL)
		sqlite3_bind_blob(stmt, 1, key, KEY_BYTES, SQLITE_STATIC);
	if (recipient != NULL)
		sql_bind_text(stmt, 2, recipient);
	return stmt;
}

static enum store_err
run_ints(struct sql *sql, sqlite3_stmt *stmt, int index, int64_t a, int64_t b)
{
	if (stmt != NULL) {
		sqlite3_bind_int64(stmt, index, a);
		sqlite3_bind_int64(stmt, index + 1, b);
	}
	return sql_run(sql, stmt);
}

static int64_t
add_seconds(int64_t now, uint64_t seconds)
{
	return seconds > (uint64_t)(NEVER - now) ? NEVER : now + (int64_t)seconds;
}

/* --- stamps ------------------------------------------------------------------------------------- */

#define STAMP_SETTLED_NS UINT64_C(50000000) /* some ticks of the clock that file times come from */

static uint64_t
stamp_file(int home_fd, const char *name, uint64_t words[3])
{
	struct stat sb;

	if (fstatat(home_fd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	words[0] = sb.st_ino;
	words[1] = (uint64_t)sb.st_size;
	words[2] =
	    (uint64_t)sb.st_mtim.tv_sec * UINT64_C(1000000000) + (uint64_t)sb.st_mtim.tv_nsec;
	return words[2];
}

bool
state_stamp(int home_fd, struct state_stamp *stamp_out)
{
	struct timespec now;
	uint64_t newest, other, now_ns;

	*stamp_out = (struct state_stamp){ 0 };
	clock_gettime(CLOCK_REALTIME, &now);
	now_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
	newest = stamp_file(home_fd, FILE_NAME, stamp_out->words);
	other = stamp_file(home_fd, FILE_NAME "-wal", stamp_out->words + 3);
	newest = other > newest ? other : newest;
	return newest + STAMP_SETTLED_NS < now_ns;
}

/* --- once --------------------------------------------------------------------------------------- */

struct once {
	uint8_t key[KEY_BYTES];
	const char *recipient;
	uint64_t seconds;
	int64_t now;
	bool may;
};

static enum store_err
look_once(struct sql *sql, struct once *o)
{
	sqlite3_stmt *stmt =
	    keyed(sql, "SELECT claimed, expires FROM once WHERE key = ?1 AND recipient = ?2",
		o->key, o->recipient);
	enum store_err err = sql_step(sql, stmt);

	o->may = err == STORE_NOT_FOUND;
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	o->may =
	    o->now >= sqlite3_column_int64(stmt, 1) ||
	    (o->seconds > 0 && o->now >= add_seconds(sqlite3_column_int64(stmt, 0), o->seconds));
	sqlite3_reset(stmt);
	return STORE_OK;
}

static enum store_err
trim_once(struct sql *sql, int64_t now)
{
	enum store_err err = run_ints(sql,
	    sql_get(sql, "DELETE FROM once WHERE (key, recipient) IN (SELECT key, recipient FROM"
			 " once WHERE expires <= ?1 LIMIT ?2)"),
	    1, now, STATE_ONCE_MAX);

	if (err != STORE_OK)
		return err;
	return run_ints(sql,
	    sql_get(sql, "DELETE FROM once WHERE (key, recipient) IN (SELECT key, recipient FROM"
			 " once ORDER BY claimed LIMIT max(?1, (SELECT count(*) FROM once) - ?2))"),
	    1, 0, STATE_ONCE_MAX);
}

static enum store_err
claim_once(struct sql *sql, void *arg)
{
	struct once *o = arg;
	enum store_err err = look_once(sql, o);

	if (err != STORE_OK || !o->may)
		return err;
	err = run_ints(sql,
	    keyed(sql,
		"INSERT OR REPLACE INTO once (key, recipient, claimed, expires) VALUES (?1, ?2, "
		"?3, ?4)",
		o->key, o->recipient),
	    3, o->now, o->seconds == 0 ? NEVER : add_seconds(o->now, o->seconds));
	return err == STORE_OK ? trim_once(sql, o->now) : err;
}

enum store_err
state_once(struct state *st, const char *key, const char *recipient, uint64_t seconds, int64_t now,
    bool *may_out)
{
	struct once o = { .recipient = recipient, .seconds = seconds, .now = now };
	enum store_err err;

	hash_key(key, o.key);
	err = state_run(st, claim_once, &o);
	*may_out = err == STORE_OK && o.may;
	return err;
}

static enum store_err
undo_once(struct sql *sql, void *arg)
{
	const struct once *o = arg;

	return sql_run(sql,
	    keyed(sql, "DELETE FROM once WHERE key = ?1 AND recipient = ?2", o->key, o->recipient));
}

enum store_err
state_once_undo(struct state *st, const char *key, const char *recipient)
{
	struct once o = { .recipient = recipient };

	hash_key(key, o.key);
	return state_run(st, undo_once, &o);
}

/* --- memory ------------------------------------------------------------------------------------- */

struct memory {
	uint8_t key[KEY_BYTES];
	uint64_t seconds;
	int64_t now;
	bool is;
};

static enum store_err
remember(struct sql *sql, void *arg)
{
	const struct memory *m = arg;
	sqlite3_stmt *stmt = keyed(
	    sql, "INSERT OR REPLACE INTO memory (key, expires) VALUES (?1, ?2)", m->key, NULL);
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 2, add_seconds(m->now, m->seconds));
	err = sql_run(sql, stmt);
	if (err == STORE_OK)
		err = run_ints(sql,
		    sql_get(sql, "DELETE FROM memory WHERE key IN"
				 " (SELECT key FROM memory WHERE expires <= ?1 LIMIT ?2)"),
		    1, m->now, STATE_MEMORY_MAX);
	if (err == STORE_OK) /* what would be forgotten first goes first */
		err = run_ints(sql,
		    sql_get(sql, "DELETE FROM memory WHERE key IN (SELECT key FROM memory"
				 " ORDER BY expires"
				 " LIMIT max(?1, (SELECT count(*) FROM memory) - ?2))"),
		    1, 0, STATE_MEMORY_MAX);
	return err;
}

enum store_err
state_remember(struct state *st, const char *key, uint64_t seconds, int64_t now)
{
	struct memory m = { .seconds = seconds, .now = now };

	hash_key(key, m.key);
	return state_run(st, remember, &m);
}

static enum store_err
remembered(struct sql *sql, void *arg)
{
	struct memory *m = arg;
	sqlite3_stmt *stmt =
	    keyed(sql, "SELECT 1 FROM memory WHERE key = ?1 AND expires > ?2", m->key, NULL);
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 2, m->now);
	err = sql_step(sql, stmt);
	m->is = err == STORE_OK;
	if (m->is)
		sqlite3_reset(stmt);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
state_remembered(struct state *st, const char *key, int64_t now, bool *is_out)
{
	struct memory m = { .now = now };
	enum store_err err;

	hash_key(key, m.key);
	err = state_run(st, remembered, &m);
	*is_out = err == STORE_OK && m.is;
	return err;
}

/* --- quota warnings ----------------------------------------------------------------------------- */

struct warnings {
	const unsigned *thresholds;
	size_t count;
	bool (*percent)(void *arg, uint64_t *percent_out);
	void *arg;
	unsigned due;
};

static enum store_err
run_threshold(struct sql *sql, const char *text, uint64_t threshold)
{
	sqlite3_stmt *stmt = sql_get(sql, text);

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, threshold > INT64_MAX ? INT64_MAX : (int64_t)threshold);
	return sql_run(sql, stmt);
}

static enum store_err
settle_warnings(struct sql *sql, void *arg)
{
	struct warnings *w = arg;
	enum store_err err;
	uint64_t percent;

	w->due = 0;
	if (!w->percent(w->arg, &percent))
		return STORE_IO;
	err = run_threshold(sql, "DELETE FROM quota_warning WHERE threshold > ?", percent);
	for (size_t i = 0; err == STORE_OK && i < w->count && w->thresholds[i] <= percent; i++) {
		err = run_threshold(sql,
		    "INSERT OR IGNORE INTO quota_warning (threshold) VALUES (?)", w->thresholds[i]);
		if (err == STORE_OK && sqlite3_changes(sql->db) > 0)
			w->due = w->thresholds[i];
	}
	return err;
}

enum store_err
state_warnings(struct state *st, const unsigned *thresholds, size_t count,
    bool (*percent)(void *arg, uint64_t *percent_out), void *arg, unsigned *due_out)
{
	struct warnings w = { thresholds, count, percent, arg, 0 };
	enum store_err err = state_run(st, settle_warnings, &w);

	*due_out = err == STORE_OK ? w.due : 0;
	return err;
}

static enum store_err
undo_warning(struct sql *sql, void *arg)
{
	return run_threshold(
	    sql, "DELETE FROM quota_warning WHERE threshold = ?", *(const unsigned *)arg);
}

enum store_err
state_warning_undo(struct state *st, unsigned threshold)
{
	return state_run(st, undo_warning, &threshold);
}

/* --- errors ------------------------------------------------------------------------------------- */

struct error_add {
	const char *kind;
	unsigned line;
	struct str text;
	int64_t now;
	bool due;
};

static enum store_err
note_error(struct sql *sql, const struct error_add *e)
{
	sqlite3_stmt *stmt = sql_get(sql,
	    "INSERT INTO filter_error (kind, line, text, first, last, count)"
	    " VALUES (?1, ?2, ?3, ?4, ?4, 1) ON CONFLICT (kind, line, text) DO UPDATE SET"
	    " count = count + 1, last = excluded.last");

	sql_bind_text(stmt, 1, e->kind);
	sql_bind_str(stmt, 3, e->text);
	if (stmt != NULL) {
		sqlite3_bind_int64(stmt, 2, e->line);
		sqlite3_bind_int64(stmt, 4, e->now);
	}
	return sql_run(sql, stmt);
}

/* Due when neither this error was reported for a day, nor too many others were. */
static enum store_err
claim_report(struct sql *sql, struct error_add *e)
{
	sqlite3_stmt *stmt = sql_get(sql,
	    "UPDATE filter_error SET reported = ?4 WHERE kind = ?1 AND line = ?2 AND text = ?3"
	    " AND (reported = 0 OR reported <= ?5)"
	    " AND (SELECT count(*) FROM filter_error WHERE reported > ?5) < ?6");
	enum store_err err;

	sql_bind_text(stmt, 1, e->kind);
	sql_bind_str(stmt, 3, e->text);
	if (stmt != NULL) {
		sqlite3_bind_int64(stmt, 2, e->line);
		sqlite3_bind_int64(stmt, 4, e->now);
		sqlite3_bind_int64(stmt, 5, e->now - STATE_REPORT_PAUSE_S);
		sqlite3_bind_int64(stmt, 6, REPORTS_PER_DAY);
	}
	err = sql_run(sql, stmt);
	e->due = err == STORE_OK && sqlite3_changes(sql->db) > 0;
	return err;
}

/* Those that were reported lately stay longest: they are what keeps reports rare. */
static enum store_err
add_error(struct sql *sql, void *arg)
{
	struct error_add *e = arg;
	enum store_err err = note_error(sql, e);

	if (err == STORE_OK)
		err = claim_report(sql, e);
	if (err != STORE_OK)
		return err;
	return run_ints(sql,
	    sql_get(sql, "DELETE FROM filter_error WHERE (kind, line, text) IN"
			 " (SELECT kind, line, text FROM filter_error ORDER BY reported > ?1, last"
			 " LIMIT max(0, (SELECT count(*) FROM filter_error) - ?2))"),
	    1, e->now - STATE_REPORT_PAUSE_S, STATE_ERRORS_MAX);
}

enum store_err
state_error_add(struct state *st, const char *kind, unsigned line, const char *text, int64_t now,
    bool *report_due_out)
{
	struct error_add e = { .kind = kind, .line = line, .text = str_from(text), .now = now };
	enum store_err err;

	if (e.text.len > ERROR_TEXT_BYTES)
		e.text.len = ERROR_TEXT_BYTES;
	err = state_run(st, add_error, &e);
	*report_due_out = err == STORE_OK && e.due;
	return err;
}

struct error_list {
	struct state_error *rows;
	size_t count, room;
};

static enum store_err
list_errors(struct sql *sql, void *arg)
{
	struct error_list *l = arg;
	sqlite3_stmt *stmt = sql_get(sql, "SELECT kind, line, text, first, last, count, reported"
					  " FROM filter_error ORDER BY last DESC, line");
	enum store_err err;

	state_errors_free(l->rows, l->count); /* of a try before */
	*l = (struct error_list){ 0 };
	while ((err = sql_step(sql, stmt)) == STORE_OK) {
		if (l->count == l->room) {
			l->room = l->room == 0 ? 16 : l->room * 2;
			l->rows = mem_realloc_array(l->rows, l->room, sizeof(*l->rows));
		}
		l->rows[l->count++] = (struct state_error){
			.kind = sql_column_dup(stmt, 0),
			.line = (unsigned)sqlite3_column_int64(stmt, 1),
			.text = sql_column_dup(stmt, 2),
			.first_s = sqlite3_column_int64(stmt, 3),
			.last_s = sqlite3_column_int64(stmt, 4),
			.count = (uint64_t)sqlite3_column_int64(stmt, 5),
			.reported_s = sqlite3_column_int64(stmt, 6),
		};
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
state_errors(struct state *st, struct state_error **errors_out, size_t *count_out)
{
	struct error_list l = { 0 };
	enum store_err err = state_run(st, list_errors, &l);

	if (err != STORE_OK) {
		state_errors_free(l.rows, l.count);
		l = (struct error_list){ 0 };
	}
	*errors_out = l.rows;
	*count_out = l.count;
	return err;
}

void
state_errors_free(struct state_error *errors, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(errors[i].kind);
		free(errors[i].text);
	}
	free(errors);
}

static enum store_err
clear_errors(struct sql *sql, void *arg)
{
	(void)arg;
	return sql_run(sql, sql_get(sql, "DELETE FROM filter_error"));
}

enum store_err
state_errors_clear(struct state *st)
{
	return state_run(st, clear_errors, NULL);
}

enum store_err
state_check(struct state *st, struct buf *problems)
{
	return sql_check(&st->sql, problems);
}
