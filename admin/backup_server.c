/* What a snapshot has of the server itself: the account database, the configuration, the spool. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/backup.h"
#include "base/mem.h"
#include "base/settings.h"
#include "store/dir.h"
#include "store/sql.h"
#include "store/sql_copy.h"

#define CONFIG_FILE_MAX (16 * 1024 * 1024)
#define NS_PER_S        INT64_C(1000000000)

/* --- putting files ------------------------------------------------------------------------------ */

/* What lies at `path` in the snapshot by now is the same as in the one before: one file for both. */
static bool
link_same(struct backup *b, struct manifest_entry *e)
{
	const struct manifest_entry *known =
	    b->last_fd >= 0 ? manifest_find_path(&b->last_server, e->path) : NULL;
	char *linked;
	bool ok;

	if (b->careful || known == NULL || known->size != e->size ||
	    !file_digest_eq(&known->digest, &e->digest))
		return false;
	linked = mem_printf("%s.link", e->path);
	ok = linkat(b->last_fd, e->path, b->fd, linked, 0) == 0 &&
	     renameat(b->fd, linked, b->fd, e->path) == 0;
	if (!ok)
		unlinkat(b->fd, linked, 0);
	free(linked);
	if (ok)
		e->mtime_ns = known->mtime_ns;
	return ok;
}

bool
backup_put_server_file(struct backup *b, const char *path, int64_t mtime_ns)
{
	struct manifest_entry e = { .path = path, .mtime_ns = mtime_ns };
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = mtime_ns / NS_PER_S, .tv_nsec = mtime_ns % NS_PER_S } };
	int fd;
	enum store_err err = dir_open_file(b->fd, path, O_RDONLY, 0, &fd);

	if (err == STORE_OK) {
		err = file_digest_fd(fd, &e.size, &e.digest);
		if (err == STORE_OK && futimens(fd, times) != 0)
			err = dir_err(errno);
		close(fd);
	}
	if (err != STORE_OK)
		return backup_fail(b, path, store_err_text(err));
	if (!link_same(b, &e)) {
		b->facts.copied_files++;
		b->facts.copied_bytes += e.size;
	}
	b->facts.bytes += e.size;
	manifest_add(&b->server, &e);
	return backup_has_room(b, e.size);
}

static bool
copy_database(struct backup *b, const char *from, const char *path)
{
	char *to = mem_printf("/proc/self/fd/%d/%s", b->fd, path);
	enum store_err err = sql_copy(from, to, b->a->log);

	free(to);
	if (err == STORE_OK)
		return backup_put_server_file(b, path, time(NULL) * NS_PER_S);
	if (err == STORE_FULL)
		return backup_fail(b, path, store_err_text(err));
	backup_problem(b, from, store_err_text(err));
	return !b->failed;
}

/* --- the configuration -------------------------------------------------------------------------- */

/* Files that settings name.  No keys and no passwords: who keeps snapshots need not keep those. */
static const char *const CONFIG_FILES[] = { "lda.leave_template", "lda.quota_warning_template",
	"filter.default", "filter.before", "filter.after" };

/* Under config/ it has the path that it had: config/etc/sanger/sanger.conf. */
static bool
put_config_file(struct backup *b, const char *path)
{
	char *real = realpath(path, NULL), *to;
	struct buf bytes = { 0 };
	struct stat st;
	enum store_err err;

	if (real == NULL || stat(real, &st) != 0) {
		backup_problem(b, path, strerror(errno));
		free(real);
		return !b->failed;
	}
	to = mem_printf("config%s", real);
	err = backup_read_path(real, CONFIG_FILE_MAX, &bytes);
	if (err != STORE_OK) {
		backup_problem(b, path, store_err_text(err));
	} else if (manifest_find_path(&b->server, to) == NULL) {
		err = backup_make_dirs(b->fd, to);
		if (err == STORE_OK)
			err = dir_replace_file(
			    b->fd, to, (struct str){ bytes.data, bytes.len }, false);
		if (err != STORE_OK)
			backup_fail(b, to, store_err_text(err));
		else
			backup_put_server_file(
			    b, to, st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec);
	}
	buf_free(&bytes);
	free(to);
	free(real);
	return !b->failed;
}

struct script_dir {
	struct backup *b;
	const char *path;
};

static bool
put_script(void *arg, const char *name, unsigned char type)
{
	struct script_dir *d = arg;
	size_t len = strlen(name);

	if (type == DT_REG && len > 6 && strcmp(name + len - 6, ".sieve") == 0) {
		char *path = mem_printf("%s/%s", d->path, name);

		put_config_file(d->b, path);
		free(path);
	}
	return !d->b->failed;
}

static bool
put_configuration(struct backup *b)
{
	const struct config *c = b->a->config;
	struct script_dir scripts = { .b = b, .path = config_string(c, "filter.global_dir") };

	put_config_file(b, config_file(c));
	for (size_t i = 0; i < ARRAY_LEN(CONFIG_FILES) && !b->failed; i++) {
		const struct setting *s = setting_find(CONFIG_FILES[i]);

		for (size_t k = 0; s->list && k < config_count(c, CONFIG_FILES[i]); k++)
			put_config_file(b, config_string_at(c, CONFIG_FILES[i], k));
		if (!s->list && config_string(c, CONFIG_FILES[i]) != NULL &&
		    *config_string(c, CONFIG_FILES[i]) != '\0')
			put_config_file(b, config_string(c, CONFIG_FILES[i]));
	}
	if (scripts.path != NULL && *scripts.path != '\0') {
		int fd = open(scripts.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			backup_problem(b, scripts.path, strerror(errno));
		else
			dir_list(fd, put_script, &scripts);
		if (fd >= 0)
			close(fd);
	}
	return !b->failed;
}

/* --- the spool ---------------------------------------------------------------------------------- */

/* The rows are of one moment; a message whose file has gone since was sent in between, and its row goes, too. */
static enum store_err
put_messages(struct backup *b, int spool_fd, struct sql *s)
{
	sqlite3_stmt *stmt = sql_get(s, "SELECT id || '.' || owner FROM message");
	enum store_err err;

	sql_exec(s, "CREATE TEMP TABLE gone (name TEXT)");
	while ((err = sql_step(s, stmt)) == STORE_OK && !b->failed) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);
		char *path = mem_printf("msg/%s", name), *to = mem_printf("spool/%s", path);
		struct file_digest digest;
		uint64_t size;
		int from, fd = -1;

		err = dir_open_file(spool_fd, path, O_RDONLY, 0, &from);
		if (err == STORE_OK) {
			err = dir_open_file(b->fd, to, O_RDWR | O_CREAT | O_EXCL, FILE_MODE, &fd);
			if (err == STORE_OK)
				err = file_copy(from, fd, &b->clone, &size, &digest);
			close(from);
			if (fd >= 0)
				close(fd);
			if (err != STORE_OK)
				backup_fail(b, to, store_err_text(err));
			else
				backup_put_server_file(b, to, time(NULL) * NS_PER_S);
		} else if (err == STORE_NOT_FOUND) {
			sqlite3_stmt *gone = sql_get(s, "INSERT INTO gone VALUES (?)");

			sql_bind_text(gone, 1, name);
			sql_run(s, gone);
		} else {
			backup_problem(b, path, store_err_text(err));
		}
		free(path);
		free(to);
	}
	return err == STORE_NOT_FOUND || err == STORE_OK ? STORE_OK : err;
}

static bool
put_spool(struct backup *b)
{
	const char *dir = config_string(b->a->config, "store.spool");
	char *from = mem_printf("%s/spool.db", dir);
	char *to = mem_printf("/proc/self/fd/%d/spool/spool.db", b->fd);
	struct sql s = { 0 };
	enum store_err err = STORE_OK;
	int spool_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (spool_fd >= 0 && access(from, F_OK) == 0) {
		err = backup_make_dirs(b->fd, "spool/msg/.");
		if (err == STORE_OK)
			err = sql_copy(from, to, b->a->log);
		if (err == STORE_OK)
			err = sql_open(&s, to, SQLITE_OPEN_READWRITE, NULL, 0, b->a->log);
		if (err == STORE_OK)
			err = put_messages(b, spool_fd, &s);
		if (err == STORE_OK)
			err = sql_exec(&s, "DELETE FROM recipient WHERE message IN (SELECT id FROM "
					   "message WHERE id || '.' || owner IN gone);"
					   "DELETE FROM message WHERE id || '.' || owner IN gone;"
					   "UPDATE message SET claim = NULL;");
		sql_close(&s);
		if (err == STORE_OK && !b->failed)
			backup_put_server_file(b, "spool/spool.db", time(NULL) * NS_PER_S);
		else if (err != STORE_OK)
			backup_problem(b, from, store_err_text(err));
	}
	if (spool_fd >= 0)
		close(spool_fd);
	free(from);
	free(to);
	return !b->failed;
}

bool
backup_server(struct backup *b)
{
	return copy_database(b, config_string(b->a->config, "store.account_db"), "user.db") &&
	       put_configuration(b) && put_spool(b);
}
