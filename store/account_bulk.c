#include "store/account_bulk.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/account_db_internal.h"

struct bulk {
	struct account_bulk *items;
	size_t count;
	unsigned flags;
	void (*step)(void *arg, size_t done);
	void *arg;
	size_t bad;
};

/* An item's address as it is stored. */
struct name {
	char *localpart, *domain;
};

/* The number that `select` finds by local part and domain; 0: nothing. */
static enum store_err
find_number(struct sql *sql, const char *select, const struct name *name, int64_t *out)
{
	sqlite3_stmt *stmt = sql_get(sql, select);
	enum store_err err;

	*out = 0;
	sql_bind_text(stmt, 1, name->localpart);
	sql_bind_text(stmt, 2, name->domain);
	err = sql_step(sql, stmt);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	*out = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return STORE_OK;
}

static enum store_err
find_id(struct sql *sql, const struct name *name, int64_t *id_out)
{
	return find_number(
	    sql, "SELECT id FROM account WHERE localpart = ? AND domain = ?", name, id_out);
}

static enum store_err
refuse(struct account_bulk *item, enum account_bulk_result why)
{
	item->result = why;
	return STORE_OK;
}

static enum store_err
add(struct sql *sql, struct account_bulk *item, const struct name *name, int64_t *id_out)
{
	struct account_row row = { .localpart = name->localpart,
		.domain = name->domain,
		.password = (char *)(uintptr_t)item->password,
		.active = true };
	enum store_err err = account_alias_refuse(sql, name->localpart, name->domain);

	if (err == STORE_EXISTS)
		return refuse(item, ACCOUNT_BULK_IS_ALIAS);
	if (err != STORE_OK)
		return err;
	err = account_add_write(sql, &row, item->scram);
	*id_out = row.id;
	item->result = ACCOUNT_BULK_ADDED;
	return err;
}

static enum store_err
write_limits(struct sql *sql, const struct account_bulk *item, int64_t id)
{
	struct account_limits limits, given = *item->limits;
	enum store_err err = account_limits_look(sql, id, &limits);

	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++)
		if ((item->limits_given >> i & 1) != 0)
			*account_limit_at(&limits, i) = *account_limit_at(&given, i);
	return err == STORE_OK ? account_limits_write(sql, id, &limits) : err;
}

/* Whose an alias is; 0: nobody's. */
static enum store_err
alias_owner(struct sql *sql, const struct name *alias, int64_t *account_out)
{
	return find_number(sql, "SELECT account FROM alias WHERE localpart = ? AND domain = ?",
	    alias, account_out);
}

static enum store_err
write_alias(struct sql *sql, struct account_bulk *item, size_t i, int64_t id)
{
	struct name alias = { account_db_fold(item->aliases[i].localpart),
		account_db_fold(item->aliases[i].domain) };
	int64_t owner;
	enum store_err err = alias_owner(sql, &alias, &owner);

	if (err == STORE_OK && owner != id)
		err = owner == 0 ? account_alias_write(sql, id, alias.localpart, alias.domain)
				 : STORE_EXISTS;
	free(alias.localpart);
	free(alias.domain);
	if (err == STORE_EXISTS) {
		item->bad_alias = i;
		return refuse(item, ACCOUNT_BULK_ALIAS_TAKEN);
	}
	return err == STORE_LIMIT ? refuse(item, ACCOUNT_BULK_ALIASES_MAX) : err;
}

static bool
is_bad(const struct account_bulk *item)
{
	return item->result > ACCOUNT_BULK_CHANGED;
}

static enum store_err
change(struct sql *sql, struct account_bulk *item, int64_t id)
{
	struct account_change wanted = { .realname = item->realname,
		.quota_kb = item->quota_kb,
		.active = item->active,
		.app_only = item->app_only };
	enum store_err err = STORE_OK;

	if (item->result == ACCOUNT_BULK_CHANGED && item->password != NULL)
		err = account_password_write(sql, id, item->password, item->scram);
	if (err == STORE_OK)
		err = account_change_write(sql, id, &wanted);
	if (err == STORE_OK && item->limits_given != 0)
		err = write_limits(sql, item, id);
	for (size_t i = 0; err == STORE_OK && i < item->alias_count && !is_bad(item); i++)
		err = write_alias(sql, item, i, id);
	return err;
}

static enum store_err
take_named(struct sql *sql, struct account_bulk *item, const struct name *name, unsigned flags)
{
	int64_t id;
	enum store_err err = find_id(sql, name, &id);

	if (err != STORE_OK)
		return err;
	if (id != 0 && (flags & ACCOUNT_BULK_CHANGE) == 0)
		return refuse(item, ACCOUNT_BULK_EXISTS);
	if (id == 0 && (flags & ACCOUNT_BULK_ADD) == 0)
		return refuse(item, ACCOUNT_BULK_MISSING);
	if (id == 0 && item->password == NULL)
		return refuse(item, ACCOUNT_BULK_NO_PASSWORD);
	item->result = ACCOUNT_BULK_CHANGED;
	if (id == 0)
		err = add(sql, item, name, &id);
	if (err == STORE_OK && !is_bad(item))
		err = change(sql, item, id);
	return err == STORE_INVALID ? refuse(item, ACCOUNT_BULK_INVALID) : err;
}

static enum store_err
take(struct sql *sql, struct account_bulk *item, unsigned flags)
{
	struct name name;
	enum store_err err;

	item->result = ACCOUNT_BULK_NONE;
	if (!account_localpart_is_valid(item->localpart) ||
	    !account_domain_is_valid(item->domain) || !account_password_fits(item->password))
		return refuse(item, ACCOUNT_BULK_INVALID);
	name = (struct name){ account_db_fold(item->localpart), account_db_fold(item->domain) };
	err = take_named(sql, item, &name, flags);
	free(name.localpart);
	free(name.domain);
	return err;
}

/* What stands in the way is looked for to the end: somebody wants to hear of it all at once. */
static enum store_err
take_all(struct sql *sql, void *arg)
{
	struct bulk *b = arg;
	enum store_err err = STORE_OK;

	b->bad = 0;
	for (size_t i = 0; err == STORE_OK && i < b->count; i++) {
		err = take(sql, &b->items[i], b->flags);
		b->bad += is_bad(&b->items[i]);
		if (b->step != NULL)
			b->step(b->arg, i + 1);
	}
	if (err != STORE_OK)
		return err;
	/* Anything but OK takes it back. */
	return b->bad > 0 || (b->flags & ACCOUNT_BULK_DRY) != 0 ? STORE_INVALID : STORE_OK;
}

enum store_err
account_db_bulk(struct account_db *db, struct account_bulk *items, size_t count, unsigned flags,
    void (*step)(void *arg, size_t done), void *arg)
{
	struct bulk b = { items, count, flags, step, arg, 0 };
	enum store_err err = account_db_transaction(db, take_all, &b);

	return err == STORE_INVALID && b.bad == 0 ? STORE_OK : err;
}
