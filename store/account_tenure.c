#include "store/account_tenure.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/account_db_internal.h"

#define TENURES_SINCE_VERSION 6

struct asked {
	char *localpart, *domain; /* folded */
	struct buf *out;
	size_t len; /* of *out before */
};

static enum store_err
look(struct sql *sql, void *arg)
{
	struct asked *a = arg;
	sqlite3_stmt *stmt =
	    sql_get(sql, "SELECT word FROM tenure WHERE localpart = ? AND domain = ?");
	enum store_err err;

	sql_bind_text(stmt, 1, a->localpart);
	sql_bind_text(stmt, 2, a->domain);
	err = sql_step(sql, stmt);
	if (err == STORE_OK) {
		buf_adds(a->out, (const char *)sqlite3_column_text(stmt, 0));
		sqlite3_reset(stmt);
	}
	return err;
}

static void
clear(void *arg)
{
	struct asked *a = arg;

	a->out->len = a->len;
}

enum store_err
account_tenure(struct account_db *db, struct str address, struct buf *tenure_out)
{
	struct asked a = { .out = tenure_out, .len = tenure_out->len };
	struct str localpart, domain;
	enum store_err err;

	if (!account_address_parse(address, &localpart, &domain))
		return STORE_OK; /* no account ever had it */
	a.localpart = account_db_fold(localpart);
	a.domain = account_db_fold(domain);
	err = account_db_look(db, TENURES_SINCE_VERSION, look, clear, &a);
	free(a.localpart);
	free(a.domain);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
account_tenure_lasts(struct account_db *db, struct str address, const char *tenure, bool *lasts_out)
{
	struct account_row row = { 0 };
	struct buf now = { 0 };
	enum store_err err = account_db_find_address(db, address, &row);

	*lasts_out = false;
	if (err == STORE_OK)
		err = account_tenure(db, address, &now);
	if (err == STORE_OK)
		*lasts_out = str_eq(str_from(tenure), (struct str){ buf_cstr(&now), now.len });
	account_row_free(&row);
	buf_free(&now);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
tenure_of(void *arg, const char *address, struct buf *tenure_out)
{
	return account_tenure(arg, str_from(address), tenure_out);
}

struct acl_tenures
account_tenures(struct account_db *db)
{
	return (struct acl_tenures){ tenure_of, db };
}
