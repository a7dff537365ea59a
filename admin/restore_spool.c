/* Outgoing mail of a snapshot.  Nobody knows what of it has been sent since: it comes back held, for a person to decide. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/restore.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/spool.h"
#include "store/sql.h"

#define BUSY_MS 20000

struct spooling {
	struct restore *r;
	struct sql sql; /* the live spool, with the snapshot's attached as `copy` */
	int live_fd;
	size_t count;
};

/* The columns that both have, but those in `except`, each with a ',' in front. */
static enum store_err
common_columns(struct sql *s, const char *table, const char *except, struct buf *out)
{
	sqlite3_stmt *stmt = sql_get(s,
	    "SELECT name FROM pragma_table_info(?1, 'main') WHERE instr(?2, ' ' || name || ' ') = 0"
	    " AND name IN (SELECT name FROM pragma_table_info(?1, 'copy'))");
	enum store_err err;

	sql_bind_text(stmt, 1, table);
	sql_bind_text(stmt, 2, except);
	while ((err = sql_step(s, stmt)) == STORE_OK)
		buf_printf(out, ", \"%s\"", (const char *)sqlite3_column_text(stmt, 0));
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

/* One message's file; false: it is damaged or cannot be had. */
static bool
copy_file(struct spooling *p, const char *name)
{
	char *path = mem_printf("msg/%s", name), *saved = mem_printf("spool/%s", path);
	const struct manifest_entry *e = manifest_find_path(&p->r->server, saved);
	struct file_digest digest;
	uint64_t size;
	int from = -1, to = -1;
	bool ok = e != NULL && dir_open_file(p->r->fd, saved, O_RDONLY, 0, &from) == STORE_OK &&
		  file_digest_fd(from, &size, &digest) == STORE_OK &&
		  (file_digest_eq(&digest, &e->digest) || p->r->damaged_too);

	if (!ok) {
		admin_refuse("%s/%s is not what was saved: left out", p->r->path, saved);
		p->r->damaged++;
	} else if (!p->r->dry) {
		unlinkat(p->live_fd, path, 0); /* of a restore that was stopped: it has no row */
		ok = dir_open_file(p->live_fd, path, O_RDWR | O_CREAT | O_EXCL, FILE_MODE, &to) ==
			 STORE_OK &&
		     file_copy(from, to, &p->r->clone, &size, &digest) == STORE_OK &&
		     fsync(to) == 0;
	}
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	free(path);
	free(saved);
	return ok;
}

static enum store_err
copy_files(struct spooling *p)
{
	sqlite3_stmt *stmt, *put;
	enum store_err err = sql_exec(&p->sql, "CREATE TEMP TABLE come (id TEXT PRIMARY KEY)");
	int msg_fd;

	stmt = sql_get(&p->sql, "SELECT id, id || '.' || owner FROM copy.message"
				" WHERE id NOT IN (SELECT id FROM main.message)");
	while (err == STORE_OK && (err = sql_step(&p->sql, stmt)) == STORE_OK) {
		if (!copy_file(p, (const char *)sqlite3_column_text(stmt, 1)))
			continue;
		put = sql_get(&p->sql, "INSERT INTO temp.come VALUES (?)");
		sql_bind_text(put, 1, (const char *)sqlite3_column_text(stmt, 0));
		err = sql_run(&p->sql, put);
		p->count++;
	}
	if (err != STORE_NOT_FOUND)
		return err;
	err = dir_open(p->live_fd, "msg", &msg_fd);
	if (err == STORE_OK) {
		err = dir_sync(msg_fd);
		close(msg_fd);
	}
	return err;
}

static enum store_err
add_rows(struct spooling *p)
{
	struct buf message = { 0 }, recipient = { 0 };
	enum store_err err = common_columns(&p->sql, "message", " held claim turn ", &message);
	char *text;

	if (err == STORE_OK)
		err = common_columns(&p->sql, "recipient", " id ", &recipient);
	text = mem_printf("BEGIN IMMEDIATE;"
			  "DELETE FROM temp.come WHERE id IN (SELECT id FROM main.message);"
			  "INSERT INTO main.message (held%s) SELECT 1%s FROM copy.message"
			  " WHERE id IN (SELECT id FROM temp.come);"
			  "INSERT INTO main.recipient (%s) SELECT %s FROM copy.recipient"
			  " WHERE message IN (SELECT id FROM temp.come);",
	    buf_cstr(&message), buf_cstr(&message),
	    buf_cstr(&recipient) + (recipient.len > 0 ? 2 : 0),
	    buf_cstr(&recipient) + (recipient.len > 0 ? 2 : 0));
	if (err == STORE_OK)
		err = sql_end(&p->sql, sql_exec(&p->sql, text));
	free(text);
	buf_free(&message);
	buf_free(&recipient);
	return err;
}

static enum store_err
open_both(struct spooling *p)
{
	const char *dir = config_string(p->r->a->config, "store.spool");
	char *live = mem_printf("%s/spool.db", dir);
	char *copy =
	    mem_printf("file:/proc/self/fd/%d/spool/spool.db?mode=ro&immutable=1", p->r->fd);
	enum store_err err =
	    sql_open(&p->sql, live, SQLITE_OPEN_READWRITE, "", BUSY_MS, p->r->a->log);
	sqlite3_stmt *attach;

	if (err == STORE_OK)
		err = sql_set_up(&p->sql, "PRAGMA synchronous = FULL");
	if (err == STORE_OK) {
		attach = sql_get(&p->sql, "ATTACH ? AS copy");
		sql_bind_text(attach, 1, copy);
		err = sql_run(&p->sql, attach);
	}
	if (err == STORE_OK) {
		p->live_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = p->live_fd >= 0 ? STORE_OK : dir_err(errno);
	}
	free(live);
	free(copy);
	return err;
}

bool
restore_spool(struct restore *r)
{
	struct spooling p = { .r = r, .live_fd = -1 };
	enum store_err err;

	if (manifest_find_path(&r->server, "spool/spool.db") == NULL)
		return true;
	if (!admin_open_spool(r->a)) /* makes what is missing */
		return false;
	err = open_both(&p);
	if (err == STORE_OK)
		err = copy_files(&p);
	if (err == STORE_OK && p.count > 0 && !r->dry)
		err = add_rows(&p);
	sql_close(&p.sql);
	if (p.live_fd >= 0)
		close(p.live_fd);
	if (err != STORE_OK) {
		r->failed = true;
		return admin_result(err, "the spool") == ADMIN_DONE;
	}
	if (p.count > 0)
		admin_refuse(
		    "%zu outgoing message%s held: mailadmin queue list; release what was not sent",
		    p.count, p.count == 1 ? " is" : "s are");
	return true;
}
