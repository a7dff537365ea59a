#include "store/account_scripts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "store/account_db_internal.h"

/* Invariants: see the header.  Each public change is one transaction, so what it reads first still holds
 * when it writes. */

#define SCRIPTS_SINCE_VERSION 2
#define WHO_ELSE              "another program"

/* A script's row and whether it is account.filter. */
#define IS_ACTIVE                                                                                  \
	"active AND text = (SELECT CAST(filter AS BLOB) FROM account WHERE id = script.account)"

void
account_script_clear(struct account_script *script)
{
	free(script->name);
	free(script->text);
	*script = (struct account_script){ 0 };
}

void
account_scripts_free(struct account_script *scripts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		account_script_clear(&scripts[i]);
	free(scripts);
}

void
account_filter_clear(struct account_filter *filter)
{
	free(filter->name);
	free(filter->text);
	*filter = (struct account_filter){ 0 };
}

void
account_filter_version_clear(struct account_filter_version *version)
{
	free(version->who);
	free(version->name);
	free(version->text);
	*version = (struct account_filter_version){ 0 };
}

void
account_filter_versions_free(struct account_filter_version *versions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		account_filter_version_clear(&versions[i]);
	free(versions);
}

/* Forbidden are U+0000-001F, U+007F-009F, U+2028 and U+2029, RFC 5804 §1.6. */
bool
account_script_name_is_valid(struct str name)
{
	if (name.len == 0 || name.len > SCRIPT_NAME_MAX_BYTES || !text_is_utf8(name))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (c < 0x20 || c == 0x7f)
			return false;
		if (c == 0xc2 && (unsigned char)name.p[i + 1] < 0xa0)
			return false;
		if (c == 0xe2 && (unsigned char)name.p[i + 1] == 0x80 &&
		    ((unsigned char)name.p[i + 2] & 0xfe) == 0xa8)
			return false;
	}
	return true;
}

/* --- reading ------------------------------------------------------------------------------------ */

static sqlite3_stmt *
statement(struct sql *sql, const char *text, int64_t account, const char *name)
{
	sqlite3_stmt *stmt = sql_get(sql, text);

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, account);
	if (stmt != NULL && name != NULL)
		sql_bind_text(stmt, 2, name);
	return stmt;
}

struct script_list {
	int64_t account;
	struct account_script *rows;
	size_t count, room;
};

static void
clear_list(void *arg)
{
	struct script_list *l = arg;

	account_scripts_free(l->rows, l->count);
	*l = (struct script_list){ .account = l->account };
}

static enum store_err
list_scripts(struct sql *sql, void *arg)
{
	struct script_list *l = arg;
	sqlite3_stmt *stmt = statement(sql,
	    "SELECT name, length(text), " IS_ACTIVE ", created, changed FROM script"
	    " WHERE account = ?1 ORDER BY name",
	    l->account, NULL);
	enum store_err err;

	while ((err = sql_step(sql, stmt)) == STORE_OK) {
		if (l->count == l->room) {
			l->room = l->room == 0 ? 16 : l->room * 2;
			l->rows = mem_realloc_array(l->rows, l->room, sizeof(*l->rows));
		}
		l->rows[l->count++] = (struct account_script){
			.name = sql_column_dup(stmt, 0),
			.text_len = (size_t)sqlite3_column_int64(stmt, 1),
			.active = sqlite3_column_int(stmt, 2) != 0,
			.created_s = sqlite3_column_int64(stmt, 3),
			.changed_s = sqlite3_column_int64(stmt, 4),
		};
	}
	if (err == STORE_NOT_FOUND)
		return STORE_OK;
	clear_list(l);
	return err;
}

enum store_err
account_scripts_list(
    struct account_db *db, int64_t account, struct account_script **scripts_out, size_t *count_out)
{
	struct script_list l = { .account = account };
	enum store_err err =
	    account_db_look(db, SCRIPTS_SINCE_VERSION, list_scripts, clear_list, &l);

	*scripts_out = l.rows;
	*count_out = l.count;
	return err == STORE_NOT_FOUND ? STORE_OK : err; /* an older file */
}

struct script_get {
	int64_t account;
	const char *name;
	struct account_script script;
};

static void
clear_get(void *arg)
{
	struct script_get *g = arg;

	account_script_clear(&g->script);
}

static enum store_err
get_script(struct sql *sql, void *arg)
{
	struct script_get *g = arg;
	sqlite3_stmt *stmt = statement(sql,
	    "SELECT name, text, " IS_ACTIVE ", created, changed FROM script"
	    " WHERE account = ?1 AND name = ?2",
	    g->account, g->name);
	enum store_err err = sql_step(sql, stmt);

	if (err != STORE_OK)
		return err;
	g->script = (struct account_script){
		.name = sql_column_dup(stmt, 0),
		.text = sql_column_dup(stmt, 1),
		.text_len = (size_t)sqlite3_column_bytes(stmt, 1),
		.active = sqlite3_column_int(stmt, 2) != 0,
		.created_s = sqlite3_column_int64(stmt, 3),
		.changed_s = sqlite3_column_int64(stmt, 4),
	};
	sqlite3_reset(stmt);
	return STORE_OK;
}

enum store_err
account_script_get(
    struct account_db *db, int64_t account, const char *name, struct account_script *script_out)
{
	struct script_get g = { .account = account, .name = name };
	enum store_err err = account_db_look(db, SCRIPTS_SINCE_VERSION, get_script, clear_get, &g);

	*script_out = g.script;
	return err;
}

struct filter_get {
	int64_t account;
	struct account_filter filter;
};

static void
clear_filter(void *arg)
{
	struct filter_get *g = arg;

	account_filter_clear(&g->filter);
}

static enum store_err
active_name(struct sql *sql, int64_t account, char **name_out)
{
	sqlite3_stmt *stmt = statement(
	    sql, "SELECT name FROM script WHERE account = ?1 AND " IS_ACTIVE, account, NULL);
	enum store_err err = sql_step(sql, stmt);

	*name_out = NULL;
	if (err == STORE_OK) {
		*name_out = sql_column_dup(stmt, 0);
		sqlite3_reset(stmt);
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
get_filter(struct sql *sql, void *arg)
{
	struct filter_get *g = arg;
	sqlite3_stmt *stmt =
	    statement(sql, "SELECT filter FROM account WHERE id = ?1", g->account, NULL);
	enum store_err err = sql_step(sql, stmt);

	if (err != STORE_OK)
		return err;
	g->filter.text = sql_column_dup(stmt, 0);
	g->filter.text_len = (size_t)sqlite3_column_bytes(stmt, 0);
	sqlite3_reset(stmt);
	if (g->filter.text != NULL && sql_version(sql) >= SCRIPTS_SINCE_VERSION)
		err = active_name(sql, g->account, &g->filter.name);
	if (err != STORE_OK)
		account_filter_clear(&g->filter);
	return err;
}

enum store_err
account_filter_get(struct account_db *db, int64_t account, struct account_filter *filter_out)
{
	struct filter_get g = { .account = account };
	enum store_err err = account_db_look(db, 0, get_filter, clear_filter, &g);

	*filter_out = g.filter;
	return err;
}

/* --- history ------------------------------------------------------------------------------------ */

struct history {
	int64_t account, id;
	struct account_filter_version *rows;
	size_t count, room;
};

static void
clear_history(void *arg)
{
	struct history *h = arg;

	account_filter_versions_free(h->rows, h->count);
	*h = (struct history){ .account = h->account, .id = h->id };
}

static enum store_err
read_history(struct sql *sql, struct history *h, sqlite3_stmt *stmt, bool with_text)
{
	enum store_err err;

	while ((err = sql_step(sql, stmt)) == STORE_OK) {
		if (h->count == h->room) {
			h->room = h->room == 0 ? 16 : h->room * 2;
			h->rows = mem_realloc_array(h->rows, h->room, sizeof(*h->rows));
		}
		h->rows[h->count++] = (struct account_filter_version){
			.id = sqlite3_column_int64(stmt, 0),
			.set_s = sqlite3_column_int64(stmt, 1),
			.who = sql_column_dup(stmt, 2),
			.name = sql_column_dup(stmt, 3),
			.text_len = (size_t)sqlite3_column_int64(stmt, 4),
			.is_default = sqlite3_column_type(stmt, 4) == SQLITE_NULL,
			.text = with_text ? sql_column_dup(stmt, 5) : NULL,
		};
	}
	if (err == STORE_NOT_FOUND)
		return STORE_OK;
	clear_history(h);
	return err;
}

static enum store_err
list_history(struct sql *sql, void *arg)
{
	struct history *h = arg;
	sqlite3_stmt *stmt = statement(sql,
	    "SELECT id, set_at, who, name, length(text) FROM filter_history"
	    " WHERE account = ?1 ORDER BY id DESC",
	    h->account, NULL);

	return read_history(sql, h, stmt, false);
}

enum store_err
account_filter_history(struct account_db *db, int64_t account,
    struct account_filter_version **versions_out, size_t *count_out)
{
	struct history h = { .account = account };
	enum store_err err =
	    account_db_look(db, SCRIPTS_SINCE_VERSION, list_history, clear_history, &h);

	*versions_out = h.rows;
	*count_out = h.count;
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
get_version(struct sql *sql, void *arg)
{
	struct history *h = arg;
	sqlite3_stmt *stmt = statement(sql,
	    "SELECT id, set_at, who, name, length(text), text FROM filter_history"
	    " WHERE account = ?1 AND id = ?2",
	    h->account, NULL);
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 2, h->id);
	err = read_history(sql, h, stmt, true);
	return err == STORE_OK && h->count == 0 ? STORE_NOT_FOUND : err;
}

enum store_err
account_filter_version_get(
    struct account_db *db, int64_t account, int64_t id, struct account_filter_version *version_out)
{
	struct history h = { .account = account, .id = id };
	enum store_err err =
	    account_db_look(db, SCRIPTS_SINCE_VERSION, get_version, clear_history, &h);

	*version_out =
	    h.count > 0 ? h.rows[0] : (struct account_filter_version){ 0 }; /* takes it over */
	free(h.rows);
	return err;
}

static enum store_err
add_history(struct sql *sql, int64_t account, const char *name, const char *who)
{
	sqlite3_stmt *stmt = statement(sql,
	    "INSERT INTO filter_history (account, name, set_at, who, text)"
	    " SELECT id, ?2, ?3, substr(?4, 1, ?5), CAST(filter AS BLOB) FROM account"
	    " WHERE id = ?1",
	    account, name);

	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 3, time(NULL));
	sql_bind_text(stmt, 4, who);
	sqlite3_bind_int(stmt, 5, FILTER_HISTORY_WHO_BYTES);
	return sql_run(sql, stmt);
}

/* Adds account.filter, unless it is the newest version already. */
static enum store_err
note_version(struct sql *sql, int64_t account, const char *name, const char *who)
{
	sqlite3_stmt *stmt = statement(sql,
	    "SELECT 1 FROM account WHERE id = ?1 AND CAST(filter AS BLOB) IS NOT"
	    " (SELECT text FROM filter_history WHERE account = ?1 ORDER BY id DESC LIMIT 1)",
	    account, NULL);
	enum store_err err = sql_step(sql, stmt);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	sqlite3_reset(stmt);
	return add_history(sql, account, name, who);
}

/* The oldest go: beyond the count, or where all that is newer already fills the bytes. */
static enum store_err
trim_history(struct sql *sql, int64_t account)
{
	sqlite3_stmt *stmt = statement(sql,
	    "DELETE FROM filter_history WHERE id IN (SELECT id FROM ("
	    "  SELECT id, row_number() OVER w AS position,"
	    "   sum(coalesce(length(text), 0)) OVER w AS bytes"
	    "   FROM filter_history WHERE account = ?1 WINDOW w AS (ORDER BY id DESC))"
	    " WHERE position > ?2 OR (position > 1 AND bytes > ?3))",
	    account, NULL);

	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int(stmt, 2, FILTER_HISTORY_MAX);
	sqlite3_bind_int(stmt, 3, FILTER_HISTORY_BYTES);
	return sql_run(sql, stmt);
}

/* --- changing ----------------------------------------------------------------------------------- */

struct change {
	int64_t account;
	const char *name, *new_name, *who;
	struct str text;
	const struct account_script_limits *limits;
};

static enum store_err
check_account(struct sql *sql, int64_t account)
{
	sqlite3_stmt *stmt = statement(sql, "SELECT 1 FROM account WHERE id = ?1", account, NULL);
	enum store_err err = sql_step(sql, stmt);

	if (err == STORE_OK)
		sqlite3_reset(stmt);
	return err;
}

/* account.filter and its history; `name` is the script's, or NULL. */
static enum store_err
write_filter(struct sql *sql, const struct change *c, const char *name)
{
	sqlite3_stmt *stmt;
	/* What is there was perhaps never noted: by another program, or before there was a history. */
	enum store_err err = note_version(sql, c->account, NULL, WHO_ELSE);

	if (err != STORE_OK)
		return err;
	stmt = statement(sql, "UPDATE account SET filter = ?2 WHERE id = ?1", c->account, NULL);
	if (stmt != NULL && c->text.p != NULL)
		sqlite3_bind_blob64(stmt, 2, c->text.p, c->text.len, SQLITE_STATIC);
	err = sql_run(sql, stmt);
	if (err == STORE_OK && sqlite3_changes(sql->db) == 0)
		return STORE_NOT_FOUND;
	if (err == STORE_OK)
		err = note_version(sql, c->account, name, c->who);
	return err == STORE_OK ? trim_history(sql, c->account) : err;
}

static enum store_err
mark_active(struct sql *sql, int64_t account, const char *name)
{
	enum store_err err = sql_run(
	    sql, statement(sql, "UPDATE script SET active = 0 WHERE account = ?1 AND active",
		     account, NULL));

	if (err != STORE_OK || name == NULL)
		return err;
	return sql_run(
	    sql, statement(sql, "UPDATE script SET active = 1 WHERE account = ?1 AND name = ?2",
		     account, name));
}

/* Counts all scripts but the one of that name. */
static enum store_err
check_limits(struct sql *sql, const struct change *c, uint64_t text_bytes)
{
	sqlite3_stmt *stmt = statement(sql,
	    "SELECT count(*), coalesce(sum(length(text)), 0) FROM script"
	    " WHERE account = ?1 AND name <> ?2",
	    c->account, c->name);
	enum store_err err = sql_step(sql, stmt);
	uint64_t count, bytes;

	if (err != STORE_OK)
		return err;
	count = (uint64_t)sqlite3_column_int64(stmt, 0);
	bytes = (uint64_t)sqlite3_column_int64(stmt, 1);
	sqlite3_reset(stmt);
	if (count >= c->limits->scripts_max)
		return STORE_LIMIT;
	if (text_bytes > SCRIPT_TEXT_MAX_BYTES || bytes + text_bytes > c->limits->bytes_max)
		return STORE_OVER_QUOTA;
	return STORE_OK;
}

static enum store_err
write_script(struct sql *sql, const struct change *c)
{
	sqlite3_stmt *stmt;
	enum store_err err = check_account(sql, c->account);

	if (err == STORE_OK)
		err = check_limits(sql, c, c->text.len);
	if (err != STORE_OK)
		return err;
	stmt = statement(sql,
	    "INSERT INTO script (account, name, text, created, changed) VALUES (?1, ?2, ?3, ?4, ?4)"
	    " ON CONFLICT (account, name) DO UPDATE SET text = excluded.text,"
	    " changed = excluded.changed",
	    c->account, c->name);
	if (stmt == NULL)
		return STORE_IO;
	/* An empty text is an empty blob, not NULL. */
	sqlite3_bind_blob64(stmt, 3, c->text.len > 0 ? c->text.p : "", c->text.len, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 4, time(NULL));
	return sql_run(sql, stmt);
}

static enum store_err
is_active(struct sql *sql, const struct change *c, bool *active_out)
{
	char *name;
	enum store_err err = active_name(sql, c->account, &name);

	*active_out = name != NULL && strcmp(name, c->name) == 0;
	free(name);
	return err;
}

static enum store_err
put_script(struct sql *sql, void *arg)
{
	const struct change *c = arg;
	bool active;
	enum store_err err = is_active(sql, c, &active);

	if (err == STORE_OK)
		err = write_script(sql, c);
	return err == STORE_OK && active ? write_filter(sql, c, c->name) : err;
}

enum store_err
account_script_put(struct account_db *db, int64_t account, const char *name, struct str text,
    const struct account_script_limits *limits, const char *who)
{
	struct change c = {
		.account = account, .name = name, .text = text, .limits = limits, .who = who
	};

	if (!account_script_name_is_valid(str_from(name)))
		return STORE_INVALID;
	if (c.text.p == NULL)
		c.text = STR("");
	return account_db_transaction(db, put_script, &c);
}

struct fits {
	struct change change;
	uint64_t text_bytes;
};

static enum store_err
look_limits(struct sql *sql, void *arg)
{
	const struct fits *f = arg;

	return check_limits(sql, &f->change, f->text_bytes);
}

static void
clear_nothing(void *arg)
{
	(void)arg;
}

enum store_err
account_script_fits(struct account_db *db, int64_t account, const char *name, uint64_t text_bytes,
    const struct account_script_limits *limits)
{
	struct fits f = { { .account = account, .name = name, .limits = limits }, text_bytes };

	if (!account_script_name_is_valid(str_from(name)))
		return STORE_INVALID;
	return account_db_look(db, SCRIPTS_SINCE_VERSION, look_limits, clear_nothing, &f);
}

static enum store_err
rename_script(struct sql *sql, void *arg)
{
	const struct change *c = arg;
	sqlite3_stmt *stmt = statement(sql,
	    "UPDATE script SET name = ?3 WHERE account = ?1 AND name = ?2", c->account, c->name);
	enum store_err err;

	sql_bind_text(stmt, 3, c->new_name);
	err = sql_run(sql, stmt);
	return err == STORE_OK && sqlite3_changes(sql->db) == 0 ? STORE_NOT_FOUND : err;
}

enum store_err
account_script_rename(
    struct account_db *db, int64_t account, const char *name, const char *new_name)
{
	struct change c = { .account = account, .name = name, .new_name = new_name };

	if (!account_script_name_is_valid(str_from(new_name)))
		return STORE_INVALID;
	return account_db_transaction(db, rename_script, &c);
}

static enum store_err
delete_script(struct sql *sql, void *arg)
{
	const struct change *c = arg;
	bool active;
	enum store_err err = is_active(sql, c, &active);

	if (err == STORE_OK && active)
		return STORE_BUSY;
	if (err == STORE_OK)
		err = sql_run(
		    sql, statement(sql, "DELETE FROM script WHERE account = ?1 AND name = ?2",
			     c->account, c->name));
	return err == STORE_OK && sqlite3_changes(sql->db) == 0 ? STORE_NOT_FOUND : err;
}

enum store_err
account_script_delete(struct account_db *db, int64_t account, const char *name)
{
	struct change c = { .account = account, .name = name };

	return account_db_transaction(db, delete_script, &c);
}

static enum store_err
activate_script(struct sql *sql, void *arg)
{
	struct change *c = arg;
	struct script_get g = { .account = c->account, .name = c->name };
	enum store_err err = get_script(sql, &g);

	if (err != STORE_OK)
		return err;
	c->text = (struct str){ g.script.text, g.script.text_len };
	err = mark_active(sql, c->account, c->name);
	if (err == STORE_OK && !g.script.active)
		err = write_filter(sql, c, c->name);
	account_script_clear(&g.script);
	return err;
}

enum store_err
account_script_activate(struct account_db *db, int64_t account, const char *name, const char *who)
{
	struct change c = { .account = account, .name = name, .who = who };

	return account_db_transaction(db, activate_script, &c);
}

static enum store_err
set_filter(struct sql *sql, void *arg)
{
	const struct change *c = arg;
	enum store_err err = c->name != NULL ? write_script(sql, c) : STORE_OK;

	if (err == STORE_OK)
		err = mark_active(sql, c->account, c->name);
	return err == STORE_OK ? write_filter(sql, c, c->name) : err;
}

enum store_err
account_filter_set(struct account_db *db, int64_t account, const char *name, struct str text,
    const struct account_script_limits *limits, const char *who)
{
	struct change c = {
		.account = account, .name = name, .text = text, .limits = limits, .who = who
	};

	if (name != NULL && (text.p == NULL || !account_script_name_is_valid(str_from(name))))
		return STORE_INVALID;
	return text.len > ACCOUNT_FILTER_MAX_BYTES ? STORE_LIMIT
						   : account_db_transaction(db, set_filter, &c);
}
