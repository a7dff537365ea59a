#include "store/account_db_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static enum store_err
run_on_account(struct sql *sql, sqlite3_stmt *stmt)
{
	enum store_err err = sql_run(sql, stmt);

	return err == STORE_OK && sqlite3_changes(sql->db) == 0 ? STORE_NOT_FOUND : err;
}

struct password_change {
	int64_t id;
	const char *stored;
	const struct scram_keys *scram;
};

/* Keys of the password before go in any case. */
static enum store_err
write_scram(struct sql *sql, const struct password_change *p)
{
	sqlite3_stmt *stmt = sql_get(sql, "DELETE FROM account_scram WHERE account = ?");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, p->id);
	err = sql_run(sql, stmt);
	if (err != STORE_OK || p->scram == NULL)
		return err;
	stmt = sql_get(sql, "INSERT INTO account_scram"
			    " (account, password, salt, iterations, stored_key, server_key)"
			    " VALUES (?, ?, ?, ?, ?, ?)");
	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, p->id);
	sql_bind_text(stmt, 2, p->stored);
	sqlite3_bind_blob(stmt, 3, p->scram->salt, (int)p->scram->salt_len, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 4, p->scram->iterations);
	sqlite3_bind_blob(stmt, 5, p->scram->stored_key, SCRAM_KEY_BYTES, SQLITE_STATIC);
	sqlite3_bind_blob(stmt, 6, p->scram->server_key, SCRAM_KEY_BYTES, SQLITE_STATIC);
	return sql_run(sql, stmt);
}

static void
bind_quota(sqlite3_stmt *stmt, int index, uint64_t quota_kb)
{
	if (stmt != NULL && quota_kb > 0) /* else it stays NULL: unlimited */
		sqlite3_bind_int64(stmt, index, (int64_t)quota_kb);
}

enum store_err
account_add_write(struct sql *sql, struct account_row *row, const struct scram_keys *scram)
{
	sqlite3_stmt *stmt = sql_get(sql, "INSERT INTO account (localpart, domain, password,"
					  " realname, filter, active, quota)"
					  " VALUES (?, ?, ?, ?, ?, ?, ?)");
	struct password_change password = { .stored = row->password, .scram = scram };
	enum store_err err;

	if (stmt == NULL)
		return STORE_IO;
	sql_bind_text(stmt, 1, row->localpart);
	sql_bind_text(stmt, 2, row->domain);
	sql_bind_text(stmt, 3, row->password);
	sql_bind_text(stmt, 4, row->realname);
	if (row->filter != NULL)
		sqlite3_bind_blob(stmt, 5, row->filter, (int)row->filter_len, SQLITE_STATIC);
	sqlite3_bind_int(stmt, 6, row->active);
	bind_quota(stmt, 7, row->quota_kb);
	err = sql_run(sql, stmt);
	password.id = sqlite3_last_insert_rowid(sql->db);
	if (err == STORE_OK)
		err = write_scram(sql, &password);
	row->id = password.id;
	return err;
}

struct add {
	struct account_row row; /* with folded names; the rest is the caller's */
	const struct scram_keys *scram;
};

static enum store_err
add_account(struct sql *sql, void *arg)
{
	struct add *a = arg;
	enum store_err err = account_alias_refuse(sql, a->row.localpart, a->row.domain);

	return err == STORE_OK ? account_add_write(sql, &a->row, a->scram) : err;
}

static bool
text_fits(const char *text, size_t max)
{
	return text == NULL || (strlen(text) <= max && text_is_utf8(str_from(text)));
}

bool
account_password_fits(const char *stored)
{
	return text_fits(stored, PASSWORD_STORED_MAX);
}

enum store_err
account_db_add(struct account_db *db, struct account_row *row, const struct scram_keys *scram)
{
	struct add a = { .row = *row, .scram = scram };
	enum store_err err;

	if (!account_localpart_is_valid(str_from(row->localpart)) ||
	    !account_domain_is_valid(str_from(row->domain)) ||
	    !text_fits(row->realname, ACCOUNT_REALNAME_MAX) ||
	    !account_password_fits(row->password) || row->quota_kb > INT64_MAX ||
	    row->filter_len > ACCOUNT_FILTER_MAX_BYTES)
		return STORE_INVALID;
	a.row.localpart = account_db_fold(str_from(row->localpart));
	a.row.domain = account_db_fold(str_from(row->domain));
	err = account_db_transaction(db, add_account, &a);
	row->id = a.row.id;
	free(a.row.localpart);
	free(a.row.domain);
	return err;
}

enum store_err
account_password_write(
    struct sql *sql, int64_t id, const char *stored, const struct scram_keys *scram)
{
	struct password_change p = { id, stored, scram };
	sqlite3_stmt *stmt = sql_get(sql, "UPDATE account SET password = ? WHERE id = ?");
	enum store_err err;

	sql_bind_text(stmt, 1, stored);
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 2, id);
	err = run_on_account(sql, stmt);
	return err == STORE_OK ? write_scram(sql, &p) : err;
}

static enum store_err
set_password(struct sql *sql, void *arg)
{
	const struct password_change *p = arg;

	return account_password_write(sql, p->id, p->stored, p->scram);
}

enum store_err
account_db_set_password(
    struct account_db *db, int64_t id, const char *stored, const struct scram_keys *scram)
{
	struct password_change p = { id, stored, scram };

	return account_password_fits(stored) ? account_db_transaction(db, set_password, &p)
					     : STORE_INVALID;
}

/* One column of one account. */
struct set {
	int64_t id;
	const char *text; /* TEXT or BLOB; NULL: the number, or NULL if it is 0 and null_if_0 */
	size_t len;
	const char *statement; /* its columns are the value and the id */
	int64_t number;
	bool is_text, null_if_0;
};

static enum store_err
set_column(struct sql *sql, void *arg)
{
	const struct set *s = arg;
	sqlite3_stmt *stmt = sql_get(sql, s->statement);

	if (stmt == NULL)
		return STORE_IO;
	if (s->is_text && s->text != NULL)
		sqlite3_bind_text(stmt, 1, s->text, (int)s->len, SQLITE_STATIC);
	else if (!s->is_text && !(s->null_if_0 && s->number == 0))
		sqlite3_bind_int64(stmt, 1, s->number);
	sqlite3_bind_int64(stmt, 2, s->id);
	return run_on_account(sql, stmt);
}

static const char SET_REALNAME[] = "UPDATE account SET realname = ? WHERE id = ?";
static const char SET_QUOTA[] = "UPDATE account SET quota = ? WHERE id = ?";
static const char SET_ACTIVE[] = "UPDATE account SET active = ? WHERE id = ?";
/* REPLACE: whatever was said of the old text goes with it. */
static const char SET_LEAVE_TEXT[] = "INSERT OR REPLACE INTO account_leave (text, account)"
				     " SELECT ?1, id FROM account WHERE id = ?2";
static const char SET_LEAVE_WHOLE[] = "UPDATE account_leave SET whole = ? WHERE account = ?";

enum store_err
account_db_set_realname(struct account_db *db, int64_t id, const char *realname)
{
	struct set s = { .id = id,
		.statement = SET_REALNAME,
		.is_text = true,
		.text = realname,
		.len = realname != NULL ? strlen(realname) : 0 };

	if (!text_fits(realname, ACCOUNT_REALNAME_MAX))
		return STORE_INVALID;
	return account_db_transaction(db, set_column, &s);
}

enum store_err
account_db_set_quota(struct account_db *db, int64_t id, uint64_t quota_kb)
{
	struct set s = {
		.id = id, .statement = SET_QUOTA, .null_if_0 = true, .number = (int64_t)quota_kb
	};

	return quota_kb > INT64_MAX ? STORE_INVALID : account_db_transaction(db, set_column, &s);
}

enum store_err
account_db_set_active(struct account_db *db, int64_t id, bool active)
{
	struct set s = { .id = id, .statement = SET_ACTIVE, .number = active };

	return account_db_transaction(db, set_column, &s);
}

enum store_err
account_db_set_filter(struct account_db *db, int64_t id, const char *filter, size_t filter_len)
{
	struct set s = { .id = id,
		.statement = "UPDATE account SET filter = CAST(? AS BLOB) WHERE id = ?",
		.is_text = true,
		.text = filter,
		.len = filter_len };

	return filter_len > ACCOUNT_FILTER_MAX_BYTES ? STORE_LIMIT
						     : account_db_transaction(db, set_column, &s);
}

enum store_err
account_db_set_leave_text(struct account_db *db, int64_t id, const char *text)
{
	struct set s = { .id = id,
		.statement = SET_LEAVE_TEXT,
		.is_text = true,
		.text = text,
		.len = text != NULL ? strlen(text) : 0 };
	enum store_err err;

	if (!text_fits(text, ACCOUNT_FILTER_MAX_BYTES))
		return STORE_INVALID;
	if (text != NULL)
		return account_db_transaction(db, set_column, &s);
	s.statement = "DELETE FROM account_leave WHERE ?1 IS NULL AND account = ?2";
	err = account_db_transaction(db, set_column, &s);
	return err == STORE_NOT_FOUND ? STORE_OK : err; /* had none: cleared already */
}

static bool
change_fits(const struct account_change *c)
{
	return text_fits(c->realname, ACCOUNT_REALNAME_MAX) &&
	       text_fits(c->leave_text, ACCOUNT_FILTER_MAX_BYTES) &&
	       (c->quota_kb == NULL || *c->quota_kb <= INT64_MAX) &&
	       (c->limits == NULL || account_limits_fit(c->limits));
}

#define CHANGES_MAX 5

/* What is to be set, column by column; how many. */
static size_t
list_changes(int64_t id, const struct account_change *wanted, struct set items[CHANGES_MAX])
{
	const char *name = wanted->realname, *text = wanted->leave_text;
	size_t count = 0;

	if (name != NULL)
		items[count++] = (struct set){ .id = id,
			.statement = SET_REALNAME,
			.is_text = true,
			.text = *name != '\0' ? name : NULL,
			.len = strlen(name) };
	if (wanted->quota_kb != NULL)
		items[count++] = (struct set){ .id = id,
			.statement = SET_QUOTA,
			.null_if_0 = true,
			.number = (int64_t)*wanted->quota_kb };
	if (text != NULL)
		items[count++] = (struct set){ .id = id,
			.statement = SET_LEAVE_TEXT,
			.is_text = true,
			.text = text,
			.len = strlen(text) };
	if (text != NULL && wanted->leave_whole)
		items[count++] =
		    (struct set){ .id = id, .statement = SET_LEAVE_WHOLE, .number = 1 };
	if (wanted->active != NULL)
		items[count++] =
		    (struct set){ .id = id, .statement = SET_ACTIVE, .number = *wanted->active };
	return count;
}

enum store_err
account_change_write(struct sql *sql, int64_t id, const struct account_change *wanted)
{
	struct set items[CHANGES_MAX];
	size_t count = list_changes(id, wanted, items);
	enum store_err err = change_fits(wanted) ? STORE_OK : STORE_INVALID;

	for (size_t i = 0; err == STORE_OK && i < count; i++)
		err = set_column(sql, &items[i]);
	if (err == STORE_OK && wanted->limits != NULL)
		err = account_limits_write(sql, id, wanted->limits);
	if (err == STORE_OK && wanted->app_only != NULL)
		err = account_app_only_write(sql, id, (enum account_app_only) * wanted->app_only);
	return err;
}

struct changing {
	int64_t id;
	const struct account_change *wanted;
};

static enum store_err
change_account(struct sql *sql, void *arg)
{
	const struct changing *c = arg;

	return account_change_write(sql, c->id, c->wanted);
}

enum store_err
account_db_change(struct account_db *db, int64_t id, const struct account_change *wanted)
{
	struct changing c = { id, wanted };

	return change_fits(wanted) ? account_db_transaction(db, change_account, &c) : STORE_INVALID;
}

struct renaming {
	int64_t id;
	char *localpart, *domain;
};

static enum store_err
rename_account(struct sql *sql, void *arg)
{
	const struct renaming *r = arg;
	sqlite3_stmt *stmt =
	    sql_get(sql, "UPDATE account SET localpart = ?, domain = ? WHERE id = ?");
	enum store_err err = account_alias_refuse(sql, r->localpart, r->domain);

	if (err != STORE_OK)
		return err;
	sql_bind_text(stmt, 1, r->localpart);
	sql_bind_text(stmt, 2, r->domain);
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 3, r->id);
	return run_on_account(sql, stmt);
}

enum store_err
account_db_rename(struct account_db *db, int64_t id, struct str localpart, struct str domain)
{
	struct renaming r = { .id = id };
	enum store_err err;

	if (!account_localpart_is_valid(localpart) || !account_domain_is_valid(domain))
		return STORE_INVALID;
	r.localpart = account_db_fold(localpart);
	r.domain = account_db_fold(domain);
	err = account_db_transaction(db, rename_account, &r);
	free(r.localpart);
	free(r.domain);
	return err;
}

static enum store_err
delete_account(struct sql *sql, void *arg)
{
	const int64_t *id = arg;
	sqlite3_stmt *stmt = sql_get(sql, "DELETE FROM account WHERE id = ?");

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, *id);
	return run_on_account(sql, stmt);
}

enum store_err
account_db_delete(struct account_db *db, int64_t id)
{
	return account_db_transaction(db, delete_account, &id);
}
