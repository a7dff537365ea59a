#include "store/account_lists.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/account_db_internal.h"

#define LISTS_SINCE_VERSION 2

void
account_texts_free(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

static bool
is_text(struct str s, size_t max)
{
	if (s.len == 0 || s.len > max || !text_is_utf8(s))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

bool
account_list_name_is_valid(struct str name)
{
	return is_text(name, LIST_NAME_MAX_BYTES);
}

bool
account_list_member_is_valid(struct str member)
{
	return is_text(member, LIST_MEMBER_MAX_BYTES);
}

/* --- reading ------------------------------------------------------------------------------------ */

struct query {
	int64_t account;
	const char *name;
	struct str member;
	char **texts;
	size_t count, room;
};

static void
clear_texts(void *arg)
{
	struct query *q = arg;

	account_texts_free(q->texts, q->count);
	q->texts = NULL;
	q->count = q->room = 0;
}

static enum store_err
read_texts(struct sql *sql, struct query *q, sqlite3_stmt *stmt)
{
	enum store_err err;

	while ((err = sql_step(sql, stmt)) == STORE_OK) {
		if (q->count == q->room) {
			q->room = q->room == 0 ? 16 : q->room * 2;
			q->texts = mem_realloc_array(q->texts, q->room, sizeof(*q->texts));
		}
		q->texts[q->count++] = sql_column_dup(stmt, 0);
	}
	if (err == STORE_NOT_FOUND)
		return STORE_OK;
	clear_texts(q);
	return err;
}

static enum store_err
list_names(struct sql *sql, void *arg)
{
	struct query *q = arg;
	sqlite3_stmt *stmt = sql_get(sql, "SELECT name FROM list WHERE account = ? ORDER BY name");

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, q->account);
	return read_texts(sql, q, stmt);
}

enum store_err
account_lists(struct account_db *db, int64_t account, char ***names_out, size_t *count_out)
{
	struct query q = { .account = account };
	enum store_err err = account_db_look(db, LISTS_SINCE_VERSION, list_names, clear_texts, &q);

	*names_out = q.texts;
	*count_out = q.count;
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
find_list(struct sql *sql, int64_t account, const char *name, int64_t *list_out)
{
	sqlite3_stmt *stmt = sql_get(sql, "SELECT id FROM list WHERE account = ? AND name = ?");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, account);
	sql_bind_text(stmt, 2, name);
	err = sql_step(sql, stmt);
	if (err == STORE_OK) {
		*list_out = sqlite3_column_int64(stmt, 0);
		sqlite3_reset(stmt);
	}
	return err;
}

static enum store_err
list_members(struct sql *sql, void *arg)
{
	struct query *q = arg;
	sqlite3_stmt *stmt;
	int64_t list;
	enum store_err err = find_list(sql, q->account, q->name, &list);

	if (err != STORE_OK)
		return err;
	stmt = sql_get(sql, "SELECT value FROM list_member WHERE list = ? ORDER BY value");
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, list);
	return read_texts(sql, q, stmt);
}

enum store_err
account_list_members(struct account_db *db, int64_t account, const char *name, char ***members_out,
    size_t *count_out)
{
	struct query q = { .account = account, .name = name };
	enum store_err err =
	    account_db_look(db, LISTS_SINCE_VERSION, list_members, clear_texts, &q);

	*members_out = q.texts;
	*count_out = q.count;
	return err;
}

static enum store_err
look_list(struct sql *sql, void *arg)
{
	const struct query *q = arg;
	int64_t list;

	return find_list(sql, q->account, q->name, &list);
}

static enum store_err
look_member(struct sql *sql, void *arg)
{
	const struct query *q = arg;
	sqlite3_stmt *stmt = sql_get(sql, "SELECT 1 FROM list l JOIN list_member m ON m.list = l.id"
					  " WHERE l.account = ? AND l.name = ? AND m.value = ?");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, q->account);
	sql_bind_text(stmt, 2, q->name);
	sql_bind_str(stmt, 3, q->member);
	err = sql_step(sql, stmt);
	if (err == STORE_OK)
		sqlite3_reset(stmt);
	return err;
}

enum store_err
account_list_exists(struct account_db *db, int64_t account, const char *name)
{
	struct query q = { .account = account, .name = name };

	return account_db_look(db, LISTS_SINCE_VERSION, look_list, clear_texts, &q);
}

enum store_err
account_list_has(struct account_db *db, int64_t account, const char *name, struct str member)
{
	struct query q = { .account = account, .name = name, .member = member };

	return account_db_look(db, LISTS_SINCE_VERSION, look_member, clear_texts, &q);
}

/* --- changing ----------------------------------------------------------------------------------- */

struct change {
	int64_t account;
	const char *name;
	const char *const *members;
	size_t member_count;
};

static enum store_err
count_rows(struct sql *sql, sqlite3_stmt *stmt, int64_t id, int64_t most)
{
	enum store_err err;
	int64_t count;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, id);
	err = sql_step(sql, stmt);
	if (err != STORE_OK)
		return err;
	count = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return count > most ? STORE_LIMIT : STORE_OK;
}

static enum store_err
make_list(struct sql *sql, const struct change *c, int64_t *list_out)
{
	sqlite3_stmt *stmt = sql_get(
	    sql, "INSERT INTO list (account, name) SELECT id, ?2 FROM account WHERE id = ?1");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, c->account);
	sql_bind_text(stmt, 2, c->name);
	err = sql_run(sql, stmt);
	if (err != STORE_OK)
		return err;
	if (sqlite3_changes(sql->db) == 0)
		return STORE_NOT_FOUND; /* no such account */
	*list_out = sqlite3_last_insert_rowid(sql->db);
	return count_rows(sql, sql_get(sql, "SELECT count(*) FROM list WHERE account = ?"),
	    c->account, LISTS_MAX);
}

static enum store_err
run_on_member(struct sql *sql, sqlite3_stmt *stmt, int64_t list, const char *member)
{
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, list);
	sql_bind_text(stmt, 2, member);
	return sql_run(sql, stmt);
}

static enum store_err
add_members(struct sql *sql, void *arg)
{
	const struct change *c = arg;
	int64_t list;
	enum store_err err = find_list(sql, c->account, c->name, &list);

	if (err == STORE_NOT_FOUND)
		err = make_list(sql, c, &list);
	for (size_t i = 0; err == STORE_OK && i < c->member_count; i++)
		err = run_on_member(sql,
		    sql_get(sql, "INSERT OR IGNORE INTO list_member (list, value) VALUES (?, ?)"),
		    list, c->members[i]);
	if (err == STORE_OK)
		err =
		    count_rows(sql, sql_get(sql, "SELECT count(*) FROM list_member WHERE list = ?"),
			list, LIST_MEMBERS_MAX);
	return err;
}

enum store_err
account_list_add(struct account_db *db, int64_t account, const char *name,
    const char *const *members, size_t member_count)
{
	struct change c = { account, name, members, member_count };

	if (!account_list_name_is_valid(str_from(name)))
		return STORE_INVALID;
	for (size_t i = 0; i < member_count; i++)
		if (!account_list_member_is_valid(str_from(members[i])))
			return STORE_INVALID;
	return account_db_transaction(db, add_members, &c);
}

static enum store_err
remove_list(struct sql *sql, int64_t list)
{
	sqlite3_stmt *stmt = sql_get(sql, "DELETE FROM list_member WHERE list = ?");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, list);
	err = sql_run(sql, stmt);
	stmt = sql_get(sql, "DELETE FROM list WHERE id = ?");
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, list);
	return err == STORE_OK ? sql_run(sql, stmt) : err;
}

static enum store_err
remove_members(struct sql *sql, void *arg)
{
	const struct change *c = arg;
	int64_t list;
	enum store_err err = find_list(sql, c->account, c->name, &list);

	if (err == STORE_OK && c->member_count == 0)
		return remove_list(sql, list);
	for (size_t i = 0; err == STORE_OK && i < c->member_count; i++) {
		err = run_on_member(sql,
		    sql_get(sql, "DELETE FROM list_member WHERE list = ? AND value = ?"), list,
		    c->members[i]);
		if (err == STORE_OK && sqlite3_changes(sql->db) == 0)
			err = STORE_NOT_FOUND;
	}
	return err;
}

enum store_err
account_list_remove(struct account_db *db, int64_t account, const char *name,
    const char *const *members, size_t member_count)
{
	struct change c = { account, name, members, member_count };

	return account_db_transaction(db, remove_members, &c);
}
