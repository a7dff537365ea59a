#include "store/account_restore.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/account_db.h"
#include "store/sql.h"

/* Tables with a column `account`.  Ids of their rows are given anew. */
static const char *const TABLES[] = { "account_scram", "account_leave", "script", "filter_history",
	"list", "alias", "account_limit", "app_password", "account_login" };

struct restoring {
	struct sql sql;
	struct str localpart, domain;
	sqlite3_int64 old_id, new_id;
	struct account_restored *out;
};

/* The columns that both have, without `id` and `account`, each with a ',' in front. */
static enum store_err
common_columns(struct restoring *r, const char *table, struct buf *columns)
{
	sqlite3_stmt *stmt = sql_get(&r->sql,
	    "SELECT name FROM pragma_table_info(?1, 'main') WHERE name NOT IN ('id', 'account')"
	    " AND name IN (SELECT name FROM pragma_table_info(?1, 'copy'))");
	enum store_err err;

	sql_bind_text(stmt, 1, table);
	while ((err = sql_step(&r->sql, stmt)) == STORE_OK)
		buf_printf(columns, ", \"%s\"", (const char *)sqlite3_column_text(stmt, 0));
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

/* A statement made for this once; ?1 is the old id, ?2 the new one. */
static enum store_err
run_made(struct restoring *r, const char *text, size_t *changes_out)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(r->sql.db, text, -1, &stmt, NULL);
	enum store_err err = STORE_OK;

	if (rc == SQLITE_OK && sqlite3_bind_parameter_count(stmt) > 0)
		sqlite3_bind_int64(stmt, 1, r->old_id);
	if (rc == SQLITE_OK && sqlite3_bind_parameter_count(stmt) > 1)
		sqlite3_bind_int64(stmt, 2, r->new_id);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		err = sql_err(&r->sql, rc, text);
	sqlite3_finalize(stmt);
	if (changes_out != NULL)
		*changes_out = err == STORE_OK ? (size_t)sqlite3_changes(r->sql.db) : 0;
	return err;
}

static enum store_err
copy_table(struct restoring *r, const char *table)
{
	struct buf columns = { 0 };
	enum store_err err = common_columns(r, table, &columns);
	size_t added = 0;
	char *text;

	if (err == STORE_OK && columns.len > 0) {
		/* In the order in which they were made: filter_history's ids tell it. */
		text = mem_printf("INSERT OR IGNORE INTO main.%s (account%s)"
				  " SELECT ?2%s FROM copy.%s WHERE account = ?1 ORDER BY %s",
		    table, buf_cstr(&columns), buf_cstr(&columns), table,
		    strcmp(table, "filter_history") == 0 ? "id" : "1");
		err = run_made(r, text, &added);
		free(text);
		r->out->rows += added;
	}
	buf_free(&columns);
	return err;
}

static bool
has_table(struct restoring *r, const char *schema, const char *table)
{
	sqlite3_stmt *stmt = sql_get(&r->sql, "SELECT count(*) FROM pragma_table_info(?1, ?2)");
	bool has;

	sql_bind_text(stmt, 1, table);
	sql_bind_text(stmt, 2, schema);
	has = sql_step(&r->sql, stmt) == STORE_OK && sqlite3_column_int(stmt, 0) > 0;
	if (stmt != NULL)
		sqlite3_reset(stmt);
	return has;
}

static enum store_err
copy_list_members(struct restoring *r)
{
	if (!has_table(r, "copy", "list_member"))
		return STORE_OK;
	return run_made(r,
	    "INSERT OR IGNORE INTO main.list_member (list, value)"
	    " SELECT n.id, m.value FROM copy.list_member AS m"
	    " JOIN copy.list AS o ON o.id = m.list AND o.account = ?1"
	    " JOIN main.list AS n ON n.account = ?2 AND n.name = o.name",
	    NULL);
}

/* An alias with an account's address, or one that somebody else has got since, stays theirs. */
static enum store_err
drop_taken_aliases(struct restoring *r)
{
	size_t dropped = 0, all = 0;
	enum store_err err;
	sqlite3_stmt *stmt;

	if (!has_table(r, "copy", "alias"))
		return STORE_OK;
	err = run_made(r,
	    "DELETE FROM main.alias WHERE ?1 = ?1 AND account = ?2 AND EXISTS (SELECT 1 FROM "
	    "main.account AS a"
	    " WHERE a.localpart = alias.localpart AND a.domain = alias.domain)",
	    &dropped);
	if (err != STORE_OK)
		return err;
	stmt = sql_get(&r->sql, "SELECT (SELECT count(*) FROM copy.alias WHERE account = ?1)"
				" - (SELECT count(*) FROM main.alias WHERE account = ?2)");
	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, r->old_id);
	sqlite3_bind_int64(stmt, 2, r->new_id);
	err = sql_step(&r->sql, stmt);
	if (err == STORE_OK)
		all = (size_t)sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	r->out->aliases_taken = all;
	return err;
}

static enum store_err
find_old(struct restoring *r)
{
	sqlite3_stmt *stmt =
	    sql_get(&r->sql, "SELECT id FROM copy.account WHERE localpart = ? AND domain = ?");
	enum store_err err;

	sql_bind_str(stmt, 1, r->localpart);
	sql_bind_str(stmt, 2, r->domain);
	err = sql_step(&r->sql, stmt);
	if (err == STORE_OK) {
		r->old_id = sqlite3_column_int64(stmt, 0);
		sqlite3_reset(stmt);
	}
	return err;
}

/* STORE_OK: nobody has the address. */
static enum store_err
is_free(struct restoring *r)
{
	sqlite3_stmt *stmt = sql_get(&r->sql,
	    "SELECT 1 FROM main.account WHERE localpart = ?1 AND domain = ?2"
	    " UNION ALL SELECT 1 FROM main.alias WHERE localpart = ?1 AND domain = ?2");
	enum store_err err;

	sql_bind_str(stmt, 1, r->localpart);
	sql_bind_str(stmt, 2, r->domain);
	err = sql_step(&r->sql, stmt);
	if (err == STORE_OK)
		sqlite3_reset(stmt);
	return err == STORE_OK ? STORE_EXISTS : err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
add_account(struct restoring *r)
{
	struct buf columns = { 0 };
	enum store_err err = common_columns(r, "account", &columns);
	const char *names = columns.len > 2 ? buf_cstr(&columns) + 2 : "";
	char *text =
	    mem_printf("INSERT INTO main.account (%s) SELECT %s FROM copy.account WHERE id = ?1",
		names, names);

	if (err == STORE_OK)
		err = run_made(r, text, NULL);
	r->new_id = sqlite3_last_insert_rowid(r->sql.db);
	free(text);
	buf_free(&columns);
	return err;
}

/* It is who it was: what others had granted then counts again, and what they have granted since to another does not. */
static enum store_err
restore_tenure(struct restoring *r)
{
	enum store_err err = run_made(r,
	    "DELETE FROM main.tenure WHERE ?1 = ?1 AND EXISTS (SELECT 1 FROM main.account AS a"
	    " WHERE a.id = ?2 AND a.localpart = tenure.localpart AND a.domain = tenure.domain)",
	    NULL);

	if (err != STORE_OK || !has_table(r, "copy", "tenure"))
		return err;
	err = run_made(r,
	    "INSERT INTO main.tenure SELECT t.localpart, t.domain, t.word FROM copy.tenure AS t"
	    " JOIN copy.account AS a ON a.id = ?1 AND a.localpart = t.localpart AND a.domain = "
	    "t.domain",
	    NULL);
	if (err != STORE_OK)
		return err;
	/* The lists of rights that come with the mail may grant something to who lost an address on the host of before. */
	return run_made(r,
	    "INSERT OR IGNORE INTO main.tenure SELECT t.localpart, t.domain, t.word"
	    " FROM copy.tenure AS t WHERE NOT EXISTS (SELECT 1 FROM main.account AS a"
	    " WHERE a.localpart = t.localpart AND a.domain = t.domain)",
	    NULL);
}

static enum store_err
restore_rows(struct restoring *r)
{
	enum store_err err = find_old(r);

	if (err == STORE_OK)
		err = is_free(r);
	if (err == STORE_OK)
		err = add_account(r);
	if (err == STORE_OK)
		err = restore_tenure(r);
	for (size_t i = 0; i < ARRAY_LEN(TABLES) && err == STORE_OK; i++)
		if (has_table(r, "copy", TABLES[i]) && has_table(r, "main", TABLES[i]))
			err = copy_table(r, TABLES[i]);
	if (err == STORE_OK)
		err = copy_list_members(r);
	return err == STORE_OK ? drop_taken_aliases(r) : err;
}

/* Read-only, as what nobody writes. */
static enum store_err
attach(struct restoring *r, const char *copy_path)
{
	struct buf uri = { 0 };
	sqlite3_stmt *stmt = sql_get(&r->sql, "ATTACH ? AS copy");
	enum store_err err;

	buf_adds(&uri, "file:");
	for (const char *p = copy_path; *p != '\0'; p++) {
		if (strchr("%?#", *p) != NULL)
			buf_printf(&uri, "%%%x%x", (unsigned)*p >> 4, (unsigned)*p & 15);
		else
			buf_addc(&uri, *p);
	}
	buf_adds(&uri, "?mode=ro&immutable=1");
	sql_bind_text(stmt, 1, buf_cstr(&uri));
	err = sql_run(&r->sql, stmt);
	buf_free(&uri);
	return err;
}

enum store_err
account_restore(const char *db_path, const char *copy_path, struct str localpart, struct str domain,
    const struct log *log, struct account_restored *out)
{
	struct restoring r = { .localpart = localpart, .domain = domain, .out = out };
	enum store_err err =
	    sql_open(&r.sql, db_path, SQLITE_OPEN_READWRITE, "", ACCOUNT_DB_BUSY_MS, log);

	*out = (struct account_restored){ 0 };
	if (err == STORE_OK)
		err = sql_set_up(&r.sql, "PRAGMA synchronous = FULL");
	if (err == STORE_OK) {
		int persist = 1;

		sqlite3_file_control(r.sql.db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
		err = attach(&r, copy_path);
	}
	if (err == STORE_OK)
		err = sql_exec(&r.sql, "BEGIN IMMEDIATE");
	if (err == STORE_OK)
		err = sql_end(&r.sql, restore_rows(&r));
	sql_close(&r.sql);
	return err;
}

enum store_err
account_restore_list(
    const char *copy_path, const struct log *log, char ***names_out, size_t *count_out)
{
	struct sql s;
	enum store_err err =
	    sql_open(&s, copy_path, SQLITE_OPEN_READONLY, "immutable=1", ACCOUNT_DB_BUSY_MS, log);
	sqlite3_stmt *stmt = NULL;

	*names_out = NULL;
	*count_out = 0;
	if (err == STORE_OK) {
		stmt =
		    sql_get(&s, "SELECT localpart, domain FROM account ORDER BY domain, localpart");
		while ((err = sql_step(&s, stmt)) == STORE_OK) {
			*names_out =
			    mem_realloc_array(*names_out, *count_out + 2, sizeof(**names_out));
			(*names_out)[(*count_out)++] = sql_column_dup(stmt, 0);
			(*names_out)[(*count_out)++] = sql_column_dup(stmt, 1);
		}
	}
	sql_close(&s);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}
