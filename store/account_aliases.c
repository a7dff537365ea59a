#include "store/account_aliases.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/account_db_internal.h"

#define ALIASES_SINCE_VERSION 3

void
account_aliases_free(struct account_alias *aliases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(aliases[i].localpart);
		free(aliases[i].domain);
		free(aliases[i].target);
	}
	free(aliases);
}

char *
account_alias_address(const struct account_alias *alias)
{
	return mem_printf("%s@%s", alias->localpart, alias->domain);
}

bool
account_alias_parse(struct str address, struct str *localpart_out, struct str *domain_out)
{
	struct str catch_all = address;

	if (str_has_prefix(address, STR("*@")))
		catch_all = (struct str){ address.p + 1, address.len - 1 };
	if (catch_all.len == 0 || catch_all.p[0] != '@')
		return account_address_parse(address, localpart_out, domain_out);
	*localpart_out = (struct str){ catch_all.p, 0 };
	*domain_out = (struct str){ catch_all.p + 1, catch_all.len - 1 };
	return account_domain_is_valid(*domain_out);
}

/* --- reading ------------------------------------------------------------------------------------ */

struct find {
	char *localpart, *domain; /* folded */
	char *stored;             /* the alias's local part in its own case */
	int64_t account;
};

static void
find_clear(void *arg)
{
	struct find *f = arg;

	free(f->stored);
	f->stored = NULL;
}

static enum store_err
find_alias(struct sql *sql, void *arg)
{
	struct find *f = arg;
	sqlite3_stmt *stmt =
	    sql_get(sql, "SELECT account, localpart FROM alias WHERE localpart = ? AND domain = ?");
	enum store_err err;

	sql_bind_text(stmt, 1, f->localpart);
	sql_bind_text(stmt, 2, f->domain);
	err = sql_step(sql, stmt);
	if (err == STORE_OK) {
		f->account = sqlite3_column_int64(stmt, 0);
		f->stored = sql_column_dup(stmt, 1);
		sqlite3_reset(stmt);
	}
	return err;
}

static enum store_err
look_alias(struct account_db *db, bool exact_case, struct str localpart, struct str domain,
    struct account_row *row_out)
{
	struct find f = { .localpart = account_db_fold(localpart),
		.domain = account_db_fold(domain) };
	enum store_err err = account_db_look(db, ALIASES_SINCE_VERSION, find_alias, find_clear, &f);

	*row_out = (struct account_row){ 0 };
	if (err == STORE_OK && exact_case && !str_eq(localpart, str_from(f.stored)))
		err = STORE_NOT_FOUND;
	if (err == STORE_OK)
		err = account_db_find_id(db, f.account, row_out);
	find_clear(&f);
	free(f.localpart);
	free(f.domain);
	return err;
}

enum store_err
account_alias_find(
    struct account_db *db, struct str localpart, struct str domain, struct account_row *row_out)
{
	return look_alias(db, false, localpart, domain, row_out);
}

struct list {
	int64_t account;
	const char *domain;
	struct account_alias *aliases;
	size_t count, room;
};

static void
list_clear(void *arg)
{
	struct list *l = arg;

	account_aliases_free(l->aliases, l->count);
	l->aliases = NULL;
	l->count = l->room = 0;
}

static enum store_err
list_rows(struct sql *sql, void *arg)
{
	struct list *l = arg;
	sqlite3_stmt *stmt =
	    sql_get(sql, "SELECT l.localpart, l.domain, l.account, a.localpart || '@' || a.domain"
			 " FROM alias l JOIN account a ON a.id = l.account"
			 " WHERE (?1 = 0 OR l.account = ?1) AND (?2 IS NULL OR l.domain = ?2)"
			 " ORDER BY l.domain, l.localpart");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, l->account);
	sql_bind_text(stmt, 2, l->domain);
	while ((err = sql_step(sql, stmt)) == STORE_OK) {
		if (l->count == l->room) {
			l->room = l->room == 0 ? 16 : l->room * 2;
			l->aliases = mem_realloc_array(l->aliases, l->room, sizeof(*l->aliases));
		}
		l->aliases[l->count++] = (struct account_alias){
			.localpart = sql_column_dup(stmt, 0),
			.domain = sql_column_dup(stmt, 1),
			.account = sqlite3_column_int64(stmt, 2),
			.target = sql_column_dup(stmt, 3),
		};
	}
	if (err == STORE_NOT_FOUND)
		return STORE_OK;
	list_clear(l);
	return err;
}

enum store_err
account_alias_list(struct account_db *db, int64_t account, const char *domain,
    struct account_alias **aliases_out, size_t *count_out)
{
	char *folded = domain != NULL ? account_db_fold(str_from(domain)) : NULL;
	struct list l = { .account = account, .domain = folded };
	enum store_err err = account_db_look(db, ALIASES_SINCE_VERSION, list_rows, list_clear, &l);

	free(folded);
	*aliases_out = l.aliases;
	*count_out = l.count;
	return err == STORE_NOT_FOUND ? STORE_OK : err; /* an older file has none */
}

/* --- whose an address is ------------------------------------------------------------------------ */

/* The account of exactly this address, or of an alias that is. */
static enum store_err
find_exact(struct account_db *db, const struct account_resolve_rules *rules, struct str localpart,
    struct str domain, struct account_row *row_out)
{
	enum store_err err = account_db_find(db, localpart, domain, row_out);

	if (err == STORE_OK && rules->exact_case &&
	    !str_eq(localpart, str_from(row_out->localpart)))
		err = STORE_NOT_FOUND;
	if (err != STORE_NOT_FOUND)
		return err;
	account_row_free(row_out);
	return localpart.len > 0 ? look_alias(db, rules->exact_case, localpart, domain, row_out)
				 : STORE_NOT_FOUND;
}

enum store_err
account_resolve(struct account_db *db, const struct account_resolve_rules *rules,
    struct str localpart, struct str domain, struct account_row *row_out, struct str *detail_out)
{
	enum store_err err = find_exact(db, rules, localpart, domain, row_out);
	const char *at = NULL;

	*detail_out = (struct str){ NULL, 0 };
	if (err != STORE_NOT_FOUND)
		return err;
	if (rules->delimiter != '\0' && localpart.len > 0)
		at = memchr(localpart.p, rules->delimiter, localpart.len);
	if (at != NULL && at > localpart.p) {
		struct str user = { localpart.p, (size_t)(at - localpart.p) };

		err = find_exact(db, rules, user, domain, row_out);
		if (err == STORE_OK)
			*detail_out = (struct str){ at + 1, localpart.len - user.len - 1 };
	}
	if (err != STORE_NOT_FOUND || !rules->catch_all)
		return err;
	err = look_alias(db, false, STR(""), domain, row_out);
	if (err == STORE_OK && !row_out->active) { /* nobody is there to take it */
		account_row_free(row_out);
		err = STORE_NOT_FOUND;
	}
	return err;
}

enum store_err
account_owns_address(struct account_db *db, int64_t account,
    const struct account_resolve_rules *rules, struct str address)
{
	const struct account_resolve_rules own = { rules->delimiter, rules->exact_case, false };
	const char *at = address.len > 0 ? memrchr(address.p, '@', address.len) : NULL;
	struct account_row row = { 0 };
	struct str domain, detail;
	enum store_err err;

	if (at == NULL)
		return STORE_NOT_FOUND;
	domain = (struct str){ at + 1, (size_t)(address.p + address.len - at) - 1 };
	err = account_resolve(
	    db, &own, (struct str){ address.p, (size_t)(at - address.p) }, domain, &row, &detail);
	if (err == STORE_OK && row.id != account)
		err = STORE_NOT_FOUND;
	account_row_free(&row);
	return err;
}

/* --- writing ------------------------------------------------------------------------------------ */

struct change {
	int64_t account;
	char *localpart, *domain; /* folded */
};

static enum store_err
count_within(struct sql *sql, int64_t account)
{
	sqlite3_stmt *stmt = sql_get(sql, "SELECT count(*) FROM alias WHERE account = ?");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, account);
	err = sql_step(sql, stmt);
	if (err != STORE_OK)
		return err;
	err = sqlite3_column_int64(stmt, 0) > ALIASES_MAX ? STORE_LIMIT : STORE_OK;
	sqlite3_reset(stmt);
	return err;
}

/* STORE_EXISTS where the query finds the address. */
static enum store_err
refuse_found(struct sql *sql, sqlite3_stmt *stmt, const char *localpart, const char *domain)
{
	enum store_err err;

	sql_bind_text(stmt, 1, localpart);
	sql_bind_text(stmt, 2, domain);
	err = sql_step(sql, stmt);
	if (err == STORE_NOT_FOUND)
		return STORE_OK;
	sqlite3_reset(stmt);
	return err == STORE_OK ? STORE_EXISTS : err;
}

enum store_err
account_alias_refuse(struct sql *sql, const char *localpart, const char *domain)
{
	return refuse_found(sql,
	    sql_get(sql, "SELECT 1 FROM alias WHERE localpart = ? AND domain = ?"), localpart,
	    domain);
}

enum store_err
account_alias_write(struct sql *sql, int64_t account, const char *localpart, const char *domain)
{
	enum store_err err = refuse_found(sql,
	    sql_get(sql, "SELECT 1 FROM account WHERE localpart = ? AND domain = ?"), localpart,
	    domain);
	sqlite3_stmt *stmt;

	if (err != STORE_OK)
		return err;
	stmt = sql_get(sql, "INSERT INTO alias (localpart, domain, account)"
			    " SELECT ?1, ?2, id FROM account WHERE id = ?3");
	sql_bind_text(stmt, 1, localpart);
	sql_bind_text(stmt, 2, domain);
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 3, account);
	err = sql_run(sql, stmt);
	if (err == STORE_OK && sqlite3_changes(sql->db) == 0)
		return STORE_NOT_FOUND;
	return err == STORE_OK ? count_within(sql, account) : err;
}

static enum store_err
add_alias(struct sql *sql, void *arg)
{
	const struct change *c = arg;

	return account_alias_write(sql, c->account, c->localpart, c->domain);
}

static enum store_err
delete_alias(struct sql *sql, void *arg)
{
	const struct change *c = arg;
	sqlite3_stmt *stmt = sql_get(sql, "DELETE FROM alias WHERE localpart = ? AND domain = ?");
	enum store_err err;

	sql_bind_text(stmt, 1, c->localpart);
	sql_bind_text(stmt, 2, c->domain);
	err = sql_run(sql, stmt);
	return err == STORE_OK && sqlite3_changes(sql->db) == 0 ? STORE_NOT_FOUND : err;
}

static enum store_err
run_change(struct account_db *db, int64_t account, struct str localpart, struct str domain,
    enum store_err (*fn)(struct sql *sql, void *arg))
{
	struct change c = { account, account_db_fold(localpart), account_db_fold(domain) };
	enum store_err err = account_db_transaction(db, fn, &c);

	free(c.localpart);
	free(c.domain);
	return err;
}

enum store_err
account_alias_add(struct account_db *db, int64_t account, struct str localpart, struct str domain)
{
	if ((localpart.len > 0 && !account_localpart_is_valid(localpart)) ||
	    !account_domain_is_valid(domain))
		return STORE_INVALID;
	return run_change(db, account, localpart, domain, add_alias);
}

enum store_err
account_alias_delete(struct account_db *db, struct str localpart, struct str domain)
{
	return run_change(db, 0, localpart, domain, delete_alias);
}
