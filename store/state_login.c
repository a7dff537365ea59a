#include "store/state_login.h"

#include <stdlib.h>

#include "store/state_internal.h"

void
state_logins_free(struct state_login *logins, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(logins[i].source);
		free(logins[i].client);
		free(logins[i].protocol);
		free(logins[i].method);
		free(logins[i].app);
		free(logins[i].outcome);
	}
	free(logins);
}

/* --- adding ------------------------------------------------------------------------------------- */

static void
bind_kind(sqlite3_stmt *stmt, const struct state_login *l)
{
	sql_bind_text(stmt, 1, l->source);
	sql_bind_text(stmt, 2, l->client);
	sql_bind_text(stmt, 3, l->protocol);
	sql_bind_text(stmt, 4, l->method);
	sql_bind_text(stmt, 5, l->app);
	sql_bind_text(stmt, 6, l->outcome);
}

static enum store_err
add_login(struct sql *sql, const struct state_login *l)
{
	sqlite3_stmt *stmt = sql_get(sql,
	    "INSERT INTO login (source, client, protocol, method, app, outcome, first, last, "
	    "count, delayed)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
	    " ON CONFLICT (source, client, protocol, method, app, outcome) DO UPDATE SET"
	    " first = min(first, excluded.first), last = max(last, excluded.last),"
	    " count = count + excluded.count, delayed = max(0, delayed + excluded.delayed)");

	if (stmt == NULL)
		return STORE_IO;
	bind_kind(stmt, l);
	sqlite3_bind_int64(stmt, 7, l->first_s);
	sqlite3_bind_int64(stmt, 8, l->last_s);
	sqlite3_bind_int64(stmt, 9, l->count);
	sqlite3_bind_int64(stmt, 10, l->delayed);
	return sql_run(sql, stmt);
}

static enum store_err
note_app(struct sql *sql, const struct state_login *l)
{
	sqlite3_stmt *stmt;

	if (l->app_id == 0)
		return STORE_OK;
	stmt = sql_get(sql, "INSERT INTO app_use (app, last) VALUES (?1, ?2)"
			    " ON CONFLICT (app) DO UPDATE SET last = max(last, excluded.last)");
	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, l->app_id);
	sqlite3_bind_int64(stmt, 2, l->last_s);
	return sql_run(sql, stmt);
}

/* What was counted as another kind is gone, and of the rest the latest stay, of each sort. */
static enum store_err
trim_logins(struct sql *sql)
{
	static const char *const STATEMENTS[] = {
		"DELETE FROM login WHERE count <= 0",
		"DELETE FROM login WHERE (source, client, protocol, method, app, outcome) IN"
		" (SELECT source, client, protocol, method, app, outcome FROM login"
		" WHERE outcome = '" STATE_LOGIN_OK "' ORDER BY last DESC LIMIT -1 OFFSET ?1)",
		"DELETE FROM login WHERE (source, client, protocol, method, app, outcome) IN"
		" (SELECT source, client, protocol, method, app, outcome FROM login"
		" WHERE outcome <> '" STATE_LOGIN_OK "' ORDER BY last DESC LIMIT -1 OFFSET ?1)",
		("DELETE FROM app_use WHERE app IN"
		 " (SELECT app FROM app_use ORDER BY last DESC LIMIT -1 OFFSET ?1)"),
	};
	enum store_err err = STORE_OK;

	for (size_t i = 0; err == STORE_OK && i < ARRAY_LEN(STATEMENTS); i++) {
		sqlite3_stmt *stmt = sql_get(sql, STATEMENTS[i]);

		if (stmt != NULL && i > 0)
			sqlite3_bind_int64(stmt, 1, STATE_LOGINS_MAX);
		err = sql_run(sql, stmt);
	}
	return err;
}

struct list {
	const struct state_login *add;
	size_t add_count;
	int64_t since;
	bool failed_only;
	struct state_login *rows;
	size_t count, room;
};

static enum store_err
add_logins(struct sql *sql, void *arg)
{
	const struct list *l = arg;
	enum store_err err = STORE_OK;

	for (size_t i = 0; err == STORE_OK && i < l->add_count; i++) {
		if (l->add[i].count != 0) /* else all turned out to be of another kind */
			err = add_login(sql, &l->add[i]);
		if (err == STORE_OK)
			err = note_app(sql, &l->add[i]);
	}
	return err == STORE_OK ? trim_logins(sql) : err;
}

enum store_err
state_logins_add(struct state *st, const struct state_login *logins, size_t count)
{
	struct list l = { .add = logins, .add_count = count };
	enum store_err err = state_relax(st);

	return err == STORE_OK ? state_run(st, add_logins, &l) : err;
}

/* --- reading ------------------------------------------------------------------------------------ */

static void
take_row(struct list *l, sqlite3_stmt *stmt)
{
	if (l->count == l->room) {
		l->room = l->room == 0 ? 16 : l->room * 2;
		l->rows = mem_realloc_array(l->rows, l->room, sizeof(*l->rows));
	}
	l->rows[l->count++] = (struct state_login){
		.source = sql_column_dup(stmt, 0),
		.client = sql_column_dup(stmt, 1),
		.protocol = sql_column_dup(stmt, 2),
		.method = sql_column_dup(stmt, 3),
		.app = sql_column_dup(stmt, 4),
		.outcome = sql_column_dup(stmt, 5),
		.first_s = sqlite3_column_int64(stmt, 6),
		.last_s = sqlite3_column_int64(stmt, 7),
		.count = sqlite3_column_int64(stmt, 8),
		.delayed = sqlite3_column_int64(stmt, 9),
	};
}

static enum store_err
list_logins(struct sql *sql, void *arg)
{
	struct list *l = arg;
	sqlite3_stmt *stmt = sql_get(sql,
	    "SELECT source, client, protocol, method, app, outcome, first, last, count, delayed"
	    " FROM login WHERE last >= ?1 AND (?2 = 0 OR outcome <> '" STATE_LOGIN_OK "')"
	    " ORDER BY last DESC, source, client, protocol, method");
	enum store_err err;

	state_logins_free(l->rows, l->count); /* of a try before */
	l->rows = NULL;
	l->count = l->room = 0;
	if (stmt != NULL) {
		sqlite3_bind_int64(stmt, 1, l->since);
		sqlite3_bind_int(stmt, 2, l->failed_only);
	}
	while ((err = sql_step(sql, stmt)) == STORE_OK)
		take_row(l, stmt);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
state_logins(struct state *st, int64_t since_s, bool failed_only, struct state_login **logins_out,
    size_t *count_out)
{
	struct list l = { .since = since_s, .failed_only = failed_only };
	enum store_err err = state_run(st, list_logins, &l);

	if (err != STORE_OK) {
		state_logins_free(l.rows, l.count);
		l.rows = NULL;
		l.count = 0;
	}
	*logins_out = l.rows;
	*count_out = l.count;
	return err;
}

struct use {
	int64_t app, last;
};

static enum store_err
find_use(struct sql *sql, void *arg)
{
	struct use *u = arg;
	sqlite3_stmt *stmt = sql_get(sql, "SELECT last FROM app_use WHERE app = ?");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, u->app);
	err = sql_step(sql, stmt);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	u->last = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return STORE_OK;
}

enum store_err
state_app_used(struct state *st, int64_t app_id, int64_t created_s, int64_t *last_s_out)
{
	struct use u = { .app = app_id };
	enum store_err err = state_run(st, find_use, &u);

	/* Ids are used again: what was before is another's. */
	*last_s_out = u.last >= created_s ? u.last : 0;
	return err;
}
