#include "store/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/spool_internal.h"

#define SPOOL_VERSION      3
#define SPOOL_BUSY_MS      20000
#define COUNT_AGE_S        5 /* how old the number of messages may be that is compared with the most */
#define DRAFT_BUFFER_BYTES (64 * 1024)
#define OWNER_BIRTH_S      3600 /* by then a handle has locked and named its file in owner/ */

/* clang-format off */
static const char *const MIGRATIONS[SPOOL_VERSION] = {
	"CREATE TABLE message ("
	"  id           TEXT PRIMARY KEY,"
	"  owner        TEXT NOT NULL,"             /* the file is msg/ID.OWNER */
	"  sender       TEXT NOT NULL,"
	"  account      TEXT,"
	"  envid        TEXT,"
	"  ret          INTEGER NOT NULL,"
	"  body         INTEGER NOT NULL,"
	"  smtputf8     INTEGER NOT NULL,"
	"  held         INTEGER NOT NULL DEFAULT 0,"
	"  claim        TEXT,"                      /* the handle that is sending it */
	"  received     INTEGER NOT NULL,"
	"  next_attempt INTEGER NOT NULL,"          /* of the earliest pending recipient */
	"  size         INTEGER NOT NULL,"
	"  origin       TEXT) WITHOUT ROWID;"
	"CREATE INDEX message_due ON message (next_attempt);"
	"CREATE INDEX message_account ON message (account) WHERE account IS NOT NULL;"
	"CREATE INDEX message_claim ON message (claim) WHERE claim IS NOT NULL;"
	"CREATE TABLE recipient ("
	"  id           INTEGER PRIMARY KEY,"
	"  message      TEXT NOT NULL,"
	"  address      TEXT NOT NULL,"
	"  orcpt        TEXT,"
	"  notify       INTEGER NOT NULL,"
	"  state        INTEGER NOT NULL DEFAULT 0," /* enum spool_state */
	"  reply        TEXT,"
	"  relay        TEXT,"
	"  attempts     INTEGER NOT NULL DEFAULT 0,"
	"  next_attempt INTEGER NOT NULL,"
	"  reported     INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX recipient_message ON recipient (message);",
	"ALTER TABLE message ADD COLUMN deliver_by INTEGER;" /* NULL: whenever it can be */
	"ALTER TABLE message ADD COLUMN by_mode TEXT;"       /* N or R, RFC 2852 */
	"ALTER TABLE message ADD COLUMN by_trace INTEGER NOT NULL DEFAULT 0;",
	"ALTER TABLE message ADD COLUMN require_tls INTEGER NOT NULL DEFAULT 0;"  /* RFC 8689 */
	"ALTER TABLE message ADD COLUMN tls_optional INTEGER NOT NULL DEFAULT 0;" /* TLS-Required: No */
	"ALTER TABLE message ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"     /* RFC 6710 */
	"ALTER TABLE message ADD COLUMN bulk INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE message ADD COLUMN release_mode TEXT;"                       /* F or U, RFC 4865 */
	"ALTER TABLE message ADD COLUMN release_at INTEGER;"                      /* not sent before */
	"ALTER TABLE message ADD COLUMN route TEXT;"                              /* relays of its own */
	"ALTER TABLE message ADD COLUMN parked TEXT;"                             /* held for good: why */
	"ALTER TABLE message ADD COLUMN turn INTEGER;"                            /* spool_turn.c */
	"ALTER TABLE message ADD COLUMN flow INTEGER NOT NULL"                    /* 1: bulk, not urgent */
	"  GENERATED ALWAYS AS (bulk <> 0 OR priority < 0) VIRTUAL;"
	"DROP INDEX message_due; DROP INDEX message_account;"
	"CREATE INDEX message_due ON message (next_attempt)"
	"  WHERE held = 0 AND claim IS NULL AND turn IS NULL;"
	"CREATE INDEX message_turn ON message (turn) WHERE turn IS NOT NULL;"
	"CREATE INDEX message_account ON message (account, flow, turn);"
	"CREATE INDEX message_urgent ON message (account, flow, priority DESC, turn)"
	"  WHERE turn IS NOT NULL AND priority <> 0;"
	"CREATE INDEX message_deadline ON message (deliver_by) WHERE deliver_by IS NOT NULL;"
	"CREATE INDEX message_route ON message (next_attempt) WHERE route IS NOT NULL;"
	"CREATE INDEX message_parked ON message (next_attempt) WHERE parked IS NOT NULL;"
	"CREATE TABLE sent ("
	"  id         INTEGER PRIMARY KEY,"
	"  account    TEXT NOT NULL COLLATE NOCASE,"
	"  at         INTEGER NOT NULL,"
	"  recipients INTEGER NOT NULL);"
	"CREATE INDEX sent_account ON sent (account, at, recipients);"
	"CREATE INDEX sent_at ON sent (at);",
};
/* clang-format on */

struct spool_draft {
	struct spool *spool;
	char id[SPOOL_ID_LEN + 1];
	char name[SPOOL_FILE_NAME_BYTES];
	int fd;
	uint64_t size; /* written to the draft; what is in the buffer included */
	struct buf buffer;
	enum store_err err; /* the first one; nothing more is done then */
};

struct adding {
	struct spool_waiting waiting; /* first, so that it is found by it */
	const struct spool_draft *draft;
	const struct spool_message *envelope;
	int64_t received, first_attempt;
};

/* --- names and owners -------------------------------------------------------------------------- */

static const char ID_ALPHABET[33] = "0123456789abcdefghijklmnopqrstuv"; /* base32hex, RFC 4648 §7 */

static void
write_id(uint64_t ms, const uint8_t chance[static 4], char id_out[SPOOL_ID_LEN + 1])
{
	uint8_t bytes[10];

	for (size_t i = 0; i < 6; i++)
		bytes[i] = (uint8_t)(ms >> (8 * (5 - i)));
	memcpy(bytes + 6, chance, 4);
	for (size_t i = 0; i < SPOOL_ID_LEN; i++) {
		size_t bit = i * 5;
		unsigned pair =
		    (unsigned)bytes[bit / 8] << 8 | (bit / 8 < 9 ? bytes[bit / 8 + 1] : 0);

		id_out[i] = ID_ALPHABET[pair >> (11 - bit % 8) & 31];
	}
	id_out[SPOOL_ID_LEN] = '\0';
}

void
spool_make_id(char id_out[SPOOL_ID_LEN + 1])
{
	struct timespec now;
	uint8_t chance[4];

	clock_gettime(CLOCK_REALTIME, &now);
	if (getrandom(chance, sizeof(chance), 0) != (ssize_t)sizeof(chance))
		abort();
	write_id((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, chance, id_out);
}

void
spool_id_of_time(int64_t when, char id_out[SPOOL_ID_LEN + 1])
{
	write_id((uint64_t)when * 1000, (const uint8_t[4]){ 0 }, id_out);
}

bool
spool_id_is_valid(const char *id)
{
	return strlen(id) == SPOOL_ID_LEN && strspn(id, ID_ALPHABET) == SPOOL_ID_LEN;
}

void
spool_file_name(char name_out[SPOOL_FILE_NAME_BYTES], const char *id, const char *owner)
{
	snprintf(name_out, SPOOL_FILE_NAME_BYTES, "%s.%s", id, owner);
}

static bool
split_file_name(const char *name, char id[SPOOL_ID_LEN + 1], char owner[SPOOL_ID_LEN + 1])
{
	if (strlen(name) != SPOOL_FILE_NAME_BYTES - 1 || name[SPOOL_ID_LEN] != '.')
		return false;
	memcpy(id, name, SPOOL_ID_LEN);
	id[SPOOL_ID_LEN] = '\0';
	memcpy(owner, name + SPOOL_ID_LEN + 1, SPOOL_ID_LEN + 1);
	return spool_id_is_valid(id) && spool_id_is_valid(owner);
}

bool
spool_owner_is_dead(struct spool *spool, const char *owner)
{
	int fd;
	bool dead;

	if (strcmp(owner, spool->owner) == 0)
		return false;
	if (!spool_id_is_valid(owner))
		return true;
	fd = openat(spool->owner_fd, owner, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT;
	dead = flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (dead)
		unlinkat(spool->owner_fd, owner, 0);
	close(fd);
	return dead;
}

/* Locked before it gets its name: nobody finds it unlocked while we live. */
static enum store_err
become_owner(struct spool *spool)
{
	char tmp[SPOOL_FILE_NAME_BYTES];

	spool_make_id(spool->owner);
	spool_file_name(tmp, spool->owner, spool->owner);
	spool->lock_fd =
	    openat(spool->tmp_fd, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (spool->lock_fd < 0)
		return store_err_from_errno(errno);
	if (flock(spool->lock_fd, LOCK_EX | LOCK_NB) == 0 &&
	    renameat(spool->tmp_fd, tmp, spool->owner_fd, spool->owner) == 0)
		return STORE_OK;
	unlinkat(spool->tmp_fd, tmp, 0);
	return STORE_IO;
}

void
spool_wake(struct spool *spool)
{
	futimens(spool->wake_fd, NULL);
}

/* --- opening ----------------------------------------------------------------------------------- */

static int
open_dir(int at, const char *name)
{
	if (mkdirat(at, name, 0750) != 0 && errno != EEXIST)
		return -1;
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum store_err
open_dirs(struct spool *spool, const char *dir)
{
	spool->dir_fd = open_dir(AT_FDCWD, dir);
	if (spool->dir_fd >= 0)
		spool->msg_fd = open_dir(spool->dir_fd, "msg");
	if (spool->msg_fd >= 0)
		spool->tmp_fd = open_dir(spool->dir_fd, "tmp");
	if (spool->tmp_fd >= 0)
		spool->owner_fd = open_dir(spool->dir_fd, "owner");
	if (spool->owner_fd >= 0)
		spool->wake_fd = openat(
		    spool->dir_fd, "wake", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (spool->wake_fd < 0) {
		int errnum = errno;

		log_error(
		    spool->log, "spool", "path=%s doing=open error=%s", dir, strerror(errnum));
		return errnum == ENOENT ? STORE_IO : store_err_from_errno(errnum);
	}
	fsync(spool->dir_fd);
	return become_owner(spool);
}

static enum store_err
open_sql(struct spool *spool, const char *dir)
{
	char *path = mem_printf("%s/spool.db", dir);
	int fd = openat(spool->dir_fd, "spool.db", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	enum store_err err = STORE_IO;

	if (fd >= 0) {
		close(fd); /* made here for its mode; before SQLite locks it */
		err = sql_open(
		    &spool->sql, path, SQLITE_OPEN_READWRITE, NULL, SPOOL_BUSY_MS, spool->log);
	}
	if (err == STORE_OK)
		err =
		    sql_set_up(&spool->sql, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
					    " PRAGMA temp_store = MEMORY");
	if (err == STORE_OK)
		err = sql_migrate(&spool->sql, MIGRATIONS, SPOOL_VERSION);
	if (err == STORE_OK)
		err = sql_open(
		    &spool->reader, path, SQLITE_OPEN_READWRITE, NULL, SPOOL_BUSY_MS, spool->log);
	if (err == STORE_OK)
		err =
		    sql_set_up(&spool->reader, "PRAGMA query_only = 1; PRAGMA temp_store = MEMORY");
	if (err != STORE_OK)
		log_error(
		    spool->log, "spool", "path=%s doing=open error=%s", path, store_err_text(err));
	free(path);
	return err;
}

enum store_err
spool_has_row(struct spool *spool, const char *id)
{
	sqlite3_stmt *stmt = sql_get(&spool->sql, "SELECT 1 FROM message WHERE id = ?");
	enum store_err err;

	sql_bind_text(stmt, 1, id);
	err = sql_step(&spool->sql, stmt);
	if (err == STORE_OK)
		sqlite3_reset(stmt);
	return err;
}

/* After an error nothing is removed. */
static bool
may_have_row(struct spool *spool, const char *id)
{
	enum store_err err;

	pthread_mutex_lock(&spool->mutex);
	err = spool_has_row(spool, id);
	pthread_mutex_unlock(&spool->mutex);
	return err != STORE_NOT_FOUND;
}

/* An owner's file before its rename is not locked for a moment: it goes only when it is old. */
static bool
is_being_born(int dir_fd, const char *name, const char *id, const char *owner)
{
	struct stat st;

	return strcmp(id, owner) == 0 && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_mtime > time(NULL) - OWNER_BIRTH_S;
}

/* Removes what the dead left: unfinished files in tmp/, files without a row in msg/. */
static void
sweep(struct spool *spool, int dir_fd, bool rows)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		char id[SPOOL_ID_LEN + 1], owner[SPOOL_ID_LEN + 1];

		/* The owner first: the dead commit no rows after we looked. */
		if (!split_file_name(e->d_name, id, owner) || !spool_owner_is_dead(spool, owner) ||
		    is_being_born(dir_fd, e->d_name, id, owner) ||
		    (rows && may_have_row(spool, id)))
			continue;
		log_info(spool->log, "spool-sweep", "file=%s", e->d_name);
		unlinkat(dir_fd, e->d_name, 0);
	}
	closedir(dir);
}

static void
sweep_owners(struct spool *spool)
{
	int fd = openat(spool->owner_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL)
		if (spool_id_is_valid(e->d_name))
			(void)spool_owner_is_dead(spool, e->d_name);
	closedir(dir);
}

void
spool_sweep(struct spool *spool)
{
	if (flock(spool->msg_fd, LOCK_EX | LOCK_NB) != 0)
		return; /* somebody does it already */
	sweep(spool, spool->msg_fd, true);
	flock(spool->msg_fd, LOCK_UN);
}

enum store_err
spool_open(const char *dir, const struct spool_options *options, const struct log *log,
    struct spool **spool_out)
{
	struct spool *spool = mem_zalloc(sizeof(*spool));
	enum store_err err;

	*spool_out = NULL;
	spool->log = log;
	spool->dir_fd = spool->msg_fd = spool->tmp_fd = spool->owner_fd = -1;
	spool->wake_fd = spool->lock_fd = -1;
	if (options != NULL)
		spool->options = *options;
	pthread_mutex_init(&spool->mutex, NULL);
	pthread_mutex_init(&spool->read_mutex, NULL);
	pthread_mutex_init(&spool->count_mutex, NULL);
	spool_group_init(&spool->names);
	spool_group_init(&spool->rows);
	err = open_dirs(spool, dir);
	if (err == STORE_OK)
		err = open_sql(spool, dir);
	if (err == STORE_OK)
		err = spool_recover_claims(spool);
	if (err != STORE_OK) {
		spool_close(spool);
		return err;
	}
	if (options != NULL) {
		sweep(spool, spool->tmp_fd, false);
		sweep_owners(spool);
	}
	*spool_out = spool;
	return STORE_OK;
}

static void
close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
spool_close(struct spool *spool)
{
	if (spool == NULL)
		return;
	sql_close(&spool->reader);
	sql_close(&spool->sql);
	while (spool->unsaved != NULL) {
		struct unsaved *u = spool->unsaved;

		spool->unsaved = u->next;
		spool_message_free(u->msg);
		free(u);
	}
	if (spool->lock_fd >= 0 && spool->owner_fd >= 0)
		unlinkat(spool->owner_fd, spool->owner, 0);
	close_fd(spool->lock_fd);
	close_fd(spool->wake_fd);
	close_fd(spool->owner_fd);
	close_fd(spool->tmp_fd);
	close_fd(spool->msg_fd);
	close_fd(spool->dir_fd);
	pthread_mutex_destroy(&spool->mutex);
	pthread_mutex_destroy(&spool->read_mutex);
	pthread_mutex_destroy(&spool->count_mutex);
	spool_group_end(&spool->names);
	spool_group_end(&spool->rows);
	free(spool);
}

/* --- drafts ------------------------------------------------------------------------------------ */

static int64_t
monotonic_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + 1;
}

static enum store_err
check_room(struct spool *spool)
{
	uint64_t floor = spool->options.free_space_floor;
	struct spool_counts counts;
	struct statvfs fs;
	enum store_err err = STORE_OK;
	bool old;

	if (fstatvfs(spool->msg_fd, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < floor)
		return STORE_FULL;
	if (spool->options.messages_max == 0)
		return STORE_OK;
	pthread_mutex_lock(&spool->count_mutex);
	old = spool->counted_s == 0 || monotonic_s() - spool->counted_s > COUNT_AGE_S;
	pthread_mutex_unlock(&spool->count_mutex);
	if (old)
		err = spool_count(spool, &counts);
	pthread_mutex_lock(&spool->count_mutex);
	if (old && err == STORE_OK) {
		spool->message_count = counts.messages;
		spool->counted_s = monotonic_s();
	}
	if (err == STORE_OK && spool->message_count >= spool->options.messages_max)
		err = STORE_LIMIT;
	pthread_mutex_unlock(&spool->count_mutex);
	return err;
}

void
spool_count_one(struct spool *spool, int change)
{
	pthread_mutex_lock(&spool->count_mutex);
	if (change > 0)
		spool->message_count++;
	else if (spool->message_count > 0)
		spool->message_count--;
	pthread_mutex_unlock(&spool->count_mutex);
}

enum store_err
spool_begin(struct spool *spool, struct spool_draft **draft_out)
{
	struct spool_draft *d;
	enum store_err err = check_room(spool);

	*draft_out = NULL;
	if (err != STORE_OK)
		return err;
	d = mem_zalloc(sizeof(*d));
	d->spool = spool;
	spool_make_id(d->id);
	spool_file_name(d->name, d->id, spool->owner);
	d->fd = openat(
	    spool->tmp_fd, d->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->fd < 0) {
		int errnum = errno;

		log_error(
		    spool->log, "spool", "id=%s doing=create error=%s", d->id, strerror(errnum));
		free(d);
		err = store_err_from_errno(errnum);
		return err == STORE_FULL ? err : STORE_IO;
	}
	*draft_out = d;
	return STORE_OK;
}

const char *
spool_draft_id(const struct spool_draft *draft)
{
	return draft->id;
}

uint64_t
spool_draft_size(const struct spool_draft *draft)
{
	return draft->size;
}

static enum store_err
draft_failed(struct spool_draft *d, const char *doing)
{
	int errnum = errno;

	log_error(
	    d->spool->log, "spool", "id=%s doing=%s error=%s", d->id, doing, strerror(errnum));
	d->err = errnum == ENOSPC || errnum == EDQUOT ? STORE_FULL : STORE_IO;
	return d->err;
}

static enum store_err
flush_draft(struct spool_draft *d)
{
	const char *p = d->buffer.data;
	size_t left = d->buffer.len;

	while (left > 0) {
		ssize_t n = write(d->fd, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return draft_failed(d, "write");
		p += n;
		left -= (size_t)n;
	}
	buf_reset(&d->buffer);
	return STORE_OK;
}

enum store_err
spool_write(struct spool_draft *draft, const void *bytes, size_t len)
{
	if (draft->err != STORE_OK)
		return draft->err;
	if (draft->spool->options.message_size_max > 0 &&
	    len > draft->spool->options.message_size_max - draft->size)
		return draft->err = STORE_LIMIT;
	buf_add(&draft->buffer, bytes, len);
	draft->size += len;
	return draft->buffer.len >= DRAFT_BUFFER_BYTES ? flush_draft(draft) : STORE_OK;
}

static void
draft_free(struct spool_draft *d)
{
	close_fd(d->fd);
	buf_free(&d->buffer);
	free(d);
}

void
spool_abort(struct spool_draft *draft)
{
	if (draft == NULL)
		return;
	unlinkat(draft->spool->tmp_fd, draft->name, 0);
	draft_free(draft);
}

/* One fsync of msg/ makes all names durable that were there when it began. */
static void
sync_names(struct spool *spool, struct spool_waiting *first)
{
	enum store_err err = STORE_OK;

	if (fsync(spool->msg_fd) != 0) {
		int errnum = errno;

		log_error(spool->log, "spool", "doing=fsync-directory error=%s", strerror(errnum));
		err = errnum == ENOSPC || errnum == EDQUOT ? STORE_FULL : STORE_IO;
	}
	for (struct spool_waiting *w = first; w != NULL; w = w->next)
		w->err = err;
}

/* All bytes on disk, under the final name, and the name too. */
static enum store_err
make_durable(struct spool_draft *d)
{
	struct spool *spool = d->spool;
	struct spool_waiting name = { 0 };
	struct stat st;

	if (flush_draft(d) != STORE_OK)
		return d->err;
	if (fstat(d->fd, &st) != 0 || (uint64_t)st.st_size != d->size) {
		errno = EIO;
		return draft_failed(d, "size");
	}
	if (fsync(d->fd) != 0)
		return draft_failed(d, "fsync");
	if (renameat2(spool->tmp_fd, d->name, spool->msg_fd, d->name, RENAME_NOREPLACE) != 0)
		return draft_failed(d, "rename");
	spool_group_join(spool, &spool->names, &name, sync_names);
	d->err = name.err;
	if (d->err != STORE_OK)
		unlinkat(spool->msg_fd, d->name, 0);
	return d->err;
}

/* --- rows -------------------------------------------------------------------------------------- */

static enum store_err
insert_recipient(struct spool *spool, const struct adding *a, const struct spool_recipient *r)
{
	sqlite3_stmt *stmt = sql_get(&spool->sql,
	    "INSERT INTO recipient (message, address, orcpt, notify, next_attempt)"
	    " VALUES (?, ?, ?, ?, ?)");

	if (stmt == NULL)
		return STORE_IO;
	sql_bind_text(stmt, 1, a->draft->id);
	sql_bind_text(stmt, 2, r->address);
	sql_bind_text(stmt, 3, r->orcpt);
	sqlite3_bind_int(stmt, 4, (int)r->notify);
	sqlite3_bind_int64(stmt, 5, a->first_attempt);
	return sql_run(&spool->sql, stmt);
}

static enum store_err
insert_message(struct spool *spool, const struct adding *a)
{
	const struct spool_message *e = a->envelope;
	sqlite3_stmt *stmt = sql_get(&spool->sql,
	    "INSERT INTO message (id, owner, sender, account, envid, ret, body, smtputf8,"
	    " received, next_attempt, size, origin, deliver_by, by_mode, by_trace, require_tls,"
	    " tls_optional, priority, bulk, release_at, release_mode, turn)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	char mode[2] = { e->by_mode, '\0' }, release[2] = { e->release_mode, '\0' };
	bool due = a->first_attempt <= a->received;
	int64_t turn = 0;
	enum store_err err = STORE_OK;

	if (due)
		err = spool_next_turn(spool, e->account, e->bulk || e->priority < 0, &turn);
	if (stmt == NULL || err != STORE_OK)
		return STORE_IO;
	sql_bind_text(stmt, 1, a->draft->id);
	sql_bind_text(stmt, 2, spool->owner);
	sql_bind_text(stmt, 3, e->sender);
	sql_bind_text(stmt, 4, e->account);
	sql_bind_text(stmt, 5, e->envid);
	sqlite3_bind_int(stmt, 6, (int)e->ret);
	sqlite3_bind_int(stmt, 7, (int)e->body);
	sqlite3_bind_int(stmt, 8, e->smtputf8);
	sqlite3_bind_int64(stmt, 9, a->received);
	sqlite3_bind_int64(stmt, 10, a->first_attempt);
	sqlite3_bind_int64(stmt, 11, (int64_t)a->draft->size);
	sql_bind_text(stmt, 12, e->origin);
	if (e->by_mode != 0)
		sqlite3_bind_int64(stmt, 13, e->deliver_by);
	sql_bind_text(stmt, 14, e->by_mode != 0 ? mode : NULL);
	sqlite3_bind_int(stmt, 15, e->by_mode != 0 && e->by_trace);
	sqlite3_bind_int(stmt, 16, e->require_tls);
	sqlite3_bind_int(stmt, 17, e->tls_optional);
	sqlite3_bind_int(stmt, 18, e->priority);
	sqlite3_bind_int(stmt, 19, e->bulk);
	if (e->release_mode != 0)
		sqlite3_bind_int64(stmt, 20, e->release_at);
	sql_bind_text(stmt, 21, e->release_mode != 0 ? release : NULL);
	if (due)
		sqlite3_bind_int64(stmt, 22, turn);
	err = sql_run(&spool->sql, stmt);
	for (size_t i = 0; err == STORE_OK && i < e->recipient_count; i++)
		err = insert_recipient(spool, a, &e->recipients[i]);
	return err;
}

/* Counted in the same transaction, so that no two can both be the last one that is allowed. */
static enum store_err
note_sent(struct spool *spool, const struct adding *a)
{
	const struct spool_message *e = a->envelope;
	struct spool_sent before;

	if (e->most == NULL || e->account == NULL)
		return STORE_OK;
	return spool_note_sent(
	    spool, e->account, a->received, e->recipient_count, e->most, &before);
}

static enum store_err
write_adding(struct spool *spool, struct spool_waiting *w)
{
	const struct adding *a = (const struct adding *)w;
	enum store_err err = note_sent(spool, a);

	if (err != STORE_OK)
		return err;
	err = insert_message(spool, a);
	/* These would be answers, with something written already. */
	return err == STORE_LIMIT || err == STORE_NOT_FOUND ? STORE_IO : err;
}

static enum store_err
add_row(struct spool *spool, struct adding *a)
{
	enum store_err err;

	a->waiting.write = write_adding;
	err = spool_write_together(spool, &a->waiting);
	if (err == STORE_OK)
		spool_count_one(spool, 1);
	return err;
}

static bool
text_fits(const char *text, size_t max)
{
	return text == NULL || strlen(text) <= max;
}

static bool
envelope_is_fine(const struct spool_message *e)
{
	if (e->sender == NULL || e->recipient_count == 0 ||
	    e->recipient_count > SPOOL_RECIPIENTS_MAX || !text_fits(e->sender, SPOOL_ADDRESS_MAX) ||
	    !text_fits(e->account, SPOOL_ADDRESS_MAX) || !text_fits(e->envid, SPOOL_ADDRESS_MAX) ||
	    !text_fits(e->origin, SPOOL_REPLY_MAX) ||
	    (e->by_mode != 0 && e->by_mode != 'N' && e->by_mode != 'R') ||
	    (e->release_mode != 0 && e->release_mode != 'F' && e->release_mode != 'U') ||
	    e->priority < SPOOL_PRIORITY_MIN || e->priority > SPOOL_PRIORITY_MAX)
		return false;
	for (size_t i = 0; i < e->recipient_count; i++) {
		const struct spool_recipient *r = &e->recipients[i];

		if (r->address == NULL || *r->address == '\0' ||
		    !text_fits(r->address, SPOOL_ADDRESS_MAX) ||
		    !text_fits(r->orcpt, SPOOL_ADDRESS_MAX))
			return false;
	}
	return true;
}

enum store_err
spool_commit(struct spool_draft *draft, const struct spool_message *envelope, int64_t not_before)
{
	struct spool *spool = draft->spool;
	struct adding a = { .draft = draft, .envelope = envelope, .received = time(NULL) };
	enum store_err err = draft->err;

	a.first_attempt = not_before > 0 ? not_before : a.received;
	if (envelope->release_mode != 0 && envelope->release_at > a.first_attempt)
		a.first_attempt = envelope->release_at;
	if (err == STORE_OK && !envelope_is_fine(envelope))
		err = STORE_INVALID;
	if (err == STORE_OK)
		err = make_durable(draft);
	if (err != STORE_OK) {
		spool_abort(draft);
		return err;
	}
	/* If this fails the file stays until we end: a commit that failed in its sync may still
	 * come back after a power failure, and its row must find the file. */
	err = add_row(spool, &a);
	if (err == STORE_OK)
		spool_wake(spool);
	else if (err == STORE_LIMIT) /* it never had a row */
		unlinkat(spool->msg_fd, draft->name, 0);
	else if (err == STORE_EXISTS || err == STORE_DENIED)
		err = STORE_IO;
	draft_free(draft);
	return err;
}
