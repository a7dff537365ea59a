#include "admin/account_csv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/account_limits.h"
#include "base/csv.h"
#include "base/mem.h"
#include "base/settings.h"
#include "store/account_aliases.h"
#include "store/account_apps.h"

static void
add_text(struct buf *line, const char *text)
{
	if (line->len > 0)
		buf_addc(line, ',');
	csv_add(line, str_from(text != NULL ? text : ""));
}

static void
add_header(struct buf *out)
{
	buf_adds(out, "address,realname,quota,active,aliases,app_only");
	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++)
		buf_printf(out, ",%s", ACCOUNT_LIMIT_COLUMNS[i].name);
	buf_addc(out, '\n');
}

static void
add_quota(struct buf *line, uint64_t kb)
{
	struct buf text = { 0 };

	if (kb > 0)
		setting_number(SETTING_SIZE, kb * 1024, &text);
	add_text(line, kb > 0 ? buf_cstr(&text) : "none");
	buf_free(&text);
}

static enum store_err
add_aliases(struct admin *a, int64_t account, struct buf *line)
{
	struct account_alias *aliases;
	struct buf text = { 0 };
	size_t count;
	enum store_err err = account_alias_list(a->accounts, account, NULL, &aliases, &count);

	for (size_t i = 0; i < count; i++)
		buf_printf(&text, "%s%s@%s", i > 0 ? " " : "",
		    *aliases[i].localpart != '\0' ? aliases[i].localpart : "*", aliases[i].domain);
	account_aliases_free(aliases, count);
	add_text(line, buf_cstr(&text));
	buf_free(&text);
	return err;
}

/* What is as configured is an empty field. */
static enum store_err
add_limits(struct admin *a, int64_t account, struct buf *line)
{
	struct account_limits limits;
	enum store_err err = account_limits_get(a->accounts, account, &limits);

	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++) {
		struct buf text = { 0 };

		account_limit_print(i, *account_limit_at(&limits, i), &text);
		add_text(line, buf_cstr(&text));
		buf_free(&text);
	}
	return err;
}

static enum store_err
add_account(struct admin *a, const struct account_row *row, struct buf *line)
{
	static const char *const APP_ONLY[] = {
		[ACCOUNT_APP_ONLY_DEFAULT] = "",
		[ACCOUNT_APP_ONLY_NO] = "no",
		[ACCOUNT_APP_ONLY_YES] = "yes",
	};
	char *address = account_row_address(row);
	enum account_app_only only;
	enum store_err err;

	add_text(line, address);
	free(address);
	add_text(line, row->realname);
	add_quota(line, row->quota_kb);
	add_text(line, row->active ? "yes" : "no");
	err = add_aliases(a, row->id, line);
	if (err == STORE_OK)
		err = account_app_only_get(a->accounts, row->id, &only);
	if (err != STORE_OK)
		return err;
	add_text(line, APP_ONLY[only]);
	return add_limits(a, row->id, line);
}

enum admin_status
account_csv_print(struct admin *a, const struct account_row *rows, size_t count)
{
	struct buf out = { 0 }, line = { 0 };
	enum store_err err = STORE_OK;
	bool ok;

	add_header(&out);
	for (size_t i = 0; i < count && err == STORE_OK; i++) {
		buf_reset(&line);
		err = add_account(a, &rows[i], &line);
		buf_add(&out, line.data, line.len);
		buf_addc(&out, '\n');
	}
	buf_free(&line);
	ok = err == STORE_OK &&
	     (fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0);
	buf_free(&out);
	if (err != STORE_OK)
		return admin_result(err, "account list");
	return ok ? ADMIN_DONE : admin_refuse("standard output cannot be written");
}
