/* reindex: the index is a cache; this makes it anew from the mail tree. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/commands.h"

/* An account that nobody has opened yet has no tree and needs no index. */
static enum admin_status
reindex(struct admin *a, const struct account_row *row)
{
	char *address = account_row_address(row);
	struct account *mail = NULL;
	enum admin_status status;
	enum store_err err;

	err = account_open(a->store, row->localpart, row->domain, 0, &mail);
	if (err == STORE_OK)
		err = account_reindex(mail);
	else if (err == STORE_NOT_FOUND)
		err = STORE_OK;
	account_close(mail);
	status = admin_result(err, address);
	if (status == ADMIN_DONE)
		printf("%s %s\n", address, mail != NULL ? "done" : "has no mail");
	free(address);
	return status;
}

/* One account that fails does not stop the others. */
static enum admin_status
reindex_all(struct admin *a)
{
	struct account_row *rows;
	size_t count;
	enum admin_status status = ADMIN_DONE;
	enum store_err err = account_db_list(a->accounts, NULL, &rows, &count);

	if (err != STORE_OK)
		return admin_result(err, "account list");
	for (size_t i = 0; i < count; i++) {
		if (reindex(a, &rows[i]) != ADMIN_DONE)
			status = ADMIN_REFUSED;
		store_idle(a->store);
	}
	account_rows_free(rows, count);
	return status;
}

static enum admin_status
reindex_run(struct admin *a)
{
	bool all = admin_option(a, "--all") != NULL;
	struct account_row row = { 0 };
	enum admin_status status;

	if (all == (a->arg_count == 1))
		return admin_bad_usage(a, "either one address or --all is needed");
	if (!admin_open_accounts(a) || !admin_open_store(a))
		return ADMIN_REFUSED;
	if (all)
		return reindex_all(a);
	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	status = reindex(a, &row);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_reindex = {
	.group = "reindex",
	.args = "[ADDRESS]",
	.args_most = 1,
	.options = { { "--all", NULL, "every account" } },
	.summary = "Makes an account's index anew from its mail tree.",
	.help =
	    "Never needed for safety: a missing or damaged index is noticed and rebuilt.  It may "
	    "run\nwhile the daemons do; no UID, flag or subscription changes.",
	.example = "mailadmin reindex ann@example.org",
	.run = reindex_run,
};
