#include "store/state_metadata.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "store/state_internal.h"

#define VENDOR_COMPONENTS 4 /* RFC 5464 §3.2: /shared/vendor/TOKEN/… */

struct metadata {
	const char *mailbox;
	const char *other; /* of copy */
	const struct state_metadata_entry *entries;
	size_t count;
	char entry[STATE_ENTRY_MAX_BYTES + 1]; /* lower case */
	struct str value;
	struct arena *arena;
	bool (*each)(void *arg, const char *entry, struct str value);
	bool (*each_change)(void *arg, uint64_t number, const char *mailbox_id, const char *entry);
	void *arg;
	uint64_t first, last;
	int64_t grown_bytes; /* by what is set */
};

/* --- names -------------------------------------------------------------------------------------- */

static size_t
component_count(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += s.p[i] == '/';
	return n;
}

bool
state_metadata_entry_is_valid(struct str s)
{
	if (!str_has_prefix_nocase(s, STR("/private/")) &&
	    !str_has_prefix_nocase(s, STR("/shared/")))
		return false;
	if (s.len > STATE_ENTRY_MAX_BYTES || s.p[s.len - 1] == '/' ||
	    str_find(s, STR("//")) != SIZE_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x7f ||
		    s.p[i] == '*' || s.p[i] == '%')
			return false;
	if (str_has_prefix_nocase(s, STR("/private/vendor/")) ||
	    str_has_prefix_nocase(s, STR("/shared/vendor/")) ||
	    str_eq_nocase(s, STR("/private/vendor")) || str_eq_nocase(s, STR("/shared/vendor")))
		return component_count(s) >= VENDOR_COMPONENTS;
	return true;
}

static bool
take_name(struct metadata *m, const char *entry)
{
	if (!state_metadata_entry_is_valid(str_from(entry)))
		return false;
	snprintf(m->entry, sizeof(m->entry), "%s", entry);
	ascii_lower_all(m->entry, strlen(m->entry));
	return true;
}

static struct metadata
metadata_of(const char *mailbox_id)
{
	return (struct metadata){ .mailbox = mailbox_id != NULL ? mailbox_id : "" };
}

static sqlite3_stmt *
statement(struct sql *sql, const char *text, const struct metadata *m)
{
	sqlite3_stmt *stmt = sql_get(sql, text);

	sql_bind_text(stmt, 1, m->mailbox);
	if (m->entry[0] != '\0')
		sql_bind_text(stmt, 2, m->entry);
	return stmt;
}

/* --- reading ------------------------------------------------------------------------------------ */

static struct str
blob(sqlite3_stmt *stmt, int column)
{
	const char *p = sqlite3_column_blob(stmt, column);

	return (struct str){ p != NULL ? p : "", (size_t)sqlite3_column_bytes(stmt, column) };
}

static enum store_err
get(struct sql *sql, void *arg)
{
	struct metadata *m = arg;
	sqlite3_stmt *stmt =
	    statement(sql, "SELECT value FROM metadata WHERE mailbox = ?1 AND entry = ?2", m);
	enum store_err err = sql_step(sql, stmt);

	if (err != STORE_OK)
		return err;
	m->value = blob(stmt, 0);
	m->value.p = arena_strndup(m->arena, m->value.p, m->value.len);
	sqlite3_reset(stmt);
	return STORE_OK;
}

enum store_err
state_metadata_get(struct state *st, struct arena *a, const char *mailbox_id, const char *entry,
    struct str *value_out)
{
	struct metadata m = metadata_of(mailbox_id);
	enum store_err err;

	if (!take_name(&m, entry))
		return STORE_NOT_FOUND;
	m.arena = a;
	err = state_run(st, get, &m);
	*value_out = m.value;
	return err;
}

static enum store_err
list(struct sql *sql, void *arg)
{
	struct metadata *m = arg;
	sqlite3_stmt *stmt = statement(
	    sql, "SELECT entry, value FROM metadata WHERE mailbox = ?1 ORDER BY entry", m);
	enum store_err err;

	while ((err = sql_step(sql, stmt)) == STORE_OK) {
		const char *entry = (const char *)sqlite3_column_text(stmt, 0);

		if (entry != NULL && !m->each(m->arg, entry, blob(stmt, 1))) {
			sqlite3_reset(stmt);
			return STORE_OK;
		}
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
state_metadata_list(struct state *st, const char *mailbox_id,
    bool (*each)(void *arg, const char *entry, struct str value), void *arg)
{
	struct metadata m = metadata_of(mailbox_id);

	m.each = each;
	m.arg = arg;
	return state_run(st, list, &m);
}

static enum store_err
any(struct sql *sql, void *arg)
{
	const struct metadata *m = arg;
	sqlite3_stmt *stmt = sql_get(sql, "SELECT 1 FROM metadata WHERE entry = ?1 LIMIT 1");
	enum store_err err;

	sql_bind_text(stmt, 1, m->entry);
	err = sql_step(sql, stmt);
	if (err == STORE_OK)
		sqlite3_reset(stmt);
	return err;
}

enum store_err
state_metadata_any(struct state *st, const char *entry, bool *any_out)
{
	struct metadata m = { 0 };
	enum store_err err;

	*any_out = false;
	if (!take_name(&m, entry))
		return STORE_OK;
	err = state_run(st, any, &m);
	*any_out = err == STORE_OK;
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

/* --- changing ----------------------------------------------------------------------------------- */

static enum store_err
integer(struct sql *sql, sqlite3_stmt *stmt, uint64_t *n_out)
{
	enum store_err err = sql_step(sql, stmt);

	if (err != STORE_OK)
		return err;
	*n_out = (uint64_t)sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return STORE_OK;
}

static enum store_err
count_of(struct sql *sql, const struct metadata *m, uint64_t *n_out)
{
	struct metadata all = { .mailbox = m->mailbox };

	return integer(
	    sql, statement(sql, "SELECT count(*) FROM metadata WHERE mailbox = ?1", &all), n_out);
}

static enum store_err
write_value(struct sql *sql, const struct metadata *m)
{
	sqlite3_stmt *stmt;

	if (m->value.p == NULL)
		return sql_run(sql,
		    statement(sql, "DELETE FROM metadata WHERE mailbox = ?1 AND entry = ?2", m));
	stmt = statement(
	    sql, "INSERT OR REPLACE INTO metadata (mailbox, entry, value) VALUES (?1, ?2, ?3)", m);
	if (stmt != NULL)
		sqlite3_bind_blob(
		    stmt, 3, m->value.len > 0 ? m->value.p : "", (int)m->value.len, SQLITE_STATIC);
	return sql_run(sql, stmt);
}

/* The newest number of a change; the oldest are forgotten. */
static enum store_err
note_change(struct sql *sql, struct metadata *m)
{
	sqlite3_stmt *stmt;
	enum store_err err = sql_run(
	    sql, statement(sql,
		     "INSERT OR REPLACE INTO metadata_change (mailbox, entry) VALUES (?1, ?2)", m));

	if (err != STORE_OK)
		return err;
	m->last = (uint64_t)sqlite3_last_insert_rowid(sql->db);
	if (m->first == 0)
		m->first = m->last;
	if (m->last <= STATE_METADATA_CHANGES_MAX)
		return STORE_OK;
	stmt = sql_get(sql, "DELETE FROM metadata_change WHERE seq <= ?1");
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, (sqlite3_int64)(m->last - STATE_METADATA_CHANGES_MAX));
	return sql_run(sql, stmt);
}

/* Is there anything to be done?  What is set to what it is has not changed. */
static enum store_err
is_different(struct sql *sql, struct metadata *m, bool *is_out)
{
	sqlite3_stmt *stmt =
	    statement(sql, "SELECT value FROM metadata WHERE mailbox = ?1 AND entry = ?2", m);
	enum store_err err = sql_step(sql, stmt);

	if (err == STORE_NOT_FOUND) {
		*is_out = m->value.p != NULL;
		m->grown_bytes += (int64_t)m->value.len;
		return STORE_OK;
	}
	if (err != STORE_OK)
		return err;
	*is_out = m->value.p == NULL || !str_eq(blob(stmt, 0), m->value);
	m->grown_bytes += (int64_t)m->value.len - (int64_t)blob(stmt, 0).len;
	sqlite3_reset(stmt);
	return STORE_OK;
}

static enum store_err
set_one(struct sql *sql, struct metadata *m, const struct state_metadata_entry *e)
{
	bool different;
	enum store_err err;

	if (!take_name(m, e->name))
		return STORE_INVALID;
	m->value = e->value;
	err = is_different(sql, m, &different);
	if (err != STORE_OK || !different)
		return err;
	err = write_value(sql, m);
	return err == STORE_OK ? note_change(sql, m) : err;
}

/* Only what adds, or becomes longer, is refused: whoever is beyond a limit may still change and remove. */
static enum store_err
set_all(struct sql *sql, void *arg)
{
	struct metadata *m = arg;
	uint64_t before = 0, after = 0, bytes = 0;
	enum store_err err;

	m->first = m->last = 0;
	m->grown_bytes = 0;
	err = count_of(sql, m, &before);
	for (size_t i = 0; err == STORE_OK && i < m->count; i++)
		err = set_one(sql, m, &m->entries[i]);
	if (err == STORE_OK)
		err = count_of(sql, m, &after);
	if (err != STORE_OK || (after <= before && m->grown_bytes <= 0))
		return err;
	if (after > before && after > STATE_METADATA_MAX)
		return STORE_LIMIT;
	err = integer(
	    sql, sql_get(sql, "SELECT coalesce(sum(length(value)), 0) FROM metadata"), &bytes);
	return err == STORE_OK && bytes > STATE_METADATA_TOTAL_BYTES ? STORE_LIMIT : err;
}

enum store_err
state_metadata_set_all(struct state *st, const char *mailbox_id,
    const struct state_metadata_entry *entries, size_t count, uint64_t *first_out,
    uint64_t *last_out)
{
	struct metadata m = metadata_of(mailbox_id);
	enum store_err err;

	for (size_t i = 0; i < count; i++)
		if (entries[i].value.len > STATE_METADATA_BYTES_MAX)
			return STORE_LIMIT;
	m.entries = entries;
	m.count = count;
	err = state_run(st, set_all, &m);
	if (first_out != NULL)
		*first_out = m.first;
	if (last_out != NULL)
		*last_out = m.last;
	return err;
}

enum store_err
state_metadata_set(struct state *st, const char *mailbox_id, const char *entry, struct str value)
{
	return state_metadata_set_all(
	    st, mailbox_id, &(struct state_metadata_entry){ entry, value }, 1, NULL, NULL);
}

static enum store_err
drop(struct sql *sql, void *arg)
{
	enum store_err err =
	    sql_run(sql, statement(sql, "DELETE FROM metadata WHERE mailbox = ?1", arg));

	if (err != STORE_OK)
		return err;
	return sql_run(sql, statement(sql, "DELETE FROM metadata_change WHERE mailbox = ?1", arg));
}

enum store_err
state_metadata_drop(struct state *st, const char *mailbox_id)
{
	struct metadata m = metadata_of(mailbox_id);

	return state_run(st, drop, &m);
}

enum store_err
state_metadata_forget(int home_fd, const char *mailbox_id, const struct log *log)
{
	struct state *st;
	enum store_err err = state_open(home_fd, false, log, &st);

	if (err == STORE_OK) {
		err = state_metadata_drop(st, mailbox_id);
		state_close(st);
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
copy(struct sql *sql, void *arg)
{
	const struct metadata *m = arg;
	sqlite3_stmt *stmt =
	    sql_get(sql, "INSERT OR REPLACE INTO metadata (mailbox, entry, value)"
			 " SELECT ?2, entry, value FROM metadata WHERE mailbox = ?1");

	sql_bind_text(stmt, 1, m->mailbox);
	sql_bind_text(stmt, 2, m->other);
	return sql_run(sql, stmt);
}

enum store_err
state_metadata_copy(struct state *st, const char *from_id, const char *to_id)
{
	struct metadata m = { .mailbox = from_id, .other = to_id };

	return state_run(st, copy, &m);
}

/* --- what has changed --------------------------------------------------------------------------- */

static enum store_err
last_change(struct sql *sql, void *arg)
{
	return integer(sql,
	    sql_get(sql, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence"
			 " WHERE name = 'metadata_change'"),
	    arg);
}

enum store_err
state_metadata_last(struct state *st, uint64_t *last_out)
{
	*last_out = 0;
	return state_run(st, last_change, last_out);
}

static enum store_err
changes(struct sql *sql, void *arg)
{
	struct metadata *m = arg;
	sqlite3_stmt *stmt = sql_get(sql, "SELECT seq, mailbox, entry FROM metadata_change"
					  " WHERE seq > ?1 ORDER BY seq");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, (sqlite3_int64)m->first);
	while ((err = sql_step(sql, stmt)) == STORE_OK) {
		const char *mailbox = (const char *)sqlite3_column_text(stmt, 1);
		const char *entry = (const char *)sqlite3_column_text(stmt, 2);

		if (mailbox != NULL && entry != NULL &&
		    !m->each_change(
			m->arg, (uint64_t)sqlite3_column_int64(stmt, 0), mailbox, entry)) {
			sqlite3_reset(stmt);
			return STORE_OK;
		}
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
state_metadata_changes(struct state *st, uint64_t since,
    bool (*each)(void *arg, uint64_t number, const char *mailbox_id, const char *entry), void *arg)
{
	struct metadata m = { .first = since, .each_change = each, .arg = arg };

	return state_run(st, changes, &m);
}
