/* reindex: the index is a cache; this makes it anew from the mail tree. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/commands.h"
#include "admin/progress.h"

struct reindexing {
	struct admin *a;
	struct progress *progress;
	bool one; /* its mailboxes are what is counted */
};

static void
on_mailbox(void *arg, size_t done, size_t count)
{
	struct reindexing *r = arg;

	if (r->one && r->progress == NULL)
		r->progress = progress_begin("Reindexing mailboxes", count);
	if (r->one)
		progress_step(r->progress, done);
}

/* An account that nobody has opened yet has no tree and needs no index. */
static enum admin_status
reindex(struct reindexing *r, const struct account_row *row)
{
	char *address = account_row_address(row);
	struct account *mail = NULL;
	enum admin_status status;
	enum store_err err;

	err = account_open(r->a->store, row->localpart, row->domain, 0, &mail);
	if (err == STORE_OK)
		err = account_reindex(mail, on_mailbox, r);
	else if (err == STORE_NOT_FOUND)
		err = STORE_OK;
	account_close(mail);
	progress_hide(r->progress);
	status = admin_result(err, address);
	if (status == ADMIN_DONE)
		printf("%s %s\n", address, mail != NULL ? "done" : "has no mail");
	free(address);
	return status;
}

/* One account that fails does not stop the others. */
static enum admin_status
reindex_all(struct reindexing *r)
{
	struct account_row *rows;
	size_t count;
	enum admin_status status = ADMIN_DONE;
	enum store_err err = account_db_list(r->a->accounts, NULL, &rows, &count);

	if (err != STORE_OK)
		return admin_result(err, "account list");
	r->progress = progress_begin("Reindexing accounts", count);
	for (size_t i = 0; i < count; i++) {
		if (reindex(r, &rows[i]) != ADMIN_DONE)
			status = ADMIN_REFUSED;
		store_idle(r->a->store);
		progress_step(r->progress, i + 1);
	}
	account_rows_free(rows, count);
	return status;
}

static enum admin_status
reindex_run(struct admin *a)
{
	bool all = admin_option(a, "--all") != NULL;
	struct reindexing r = { .a = a, .one = !all };
	struct account_row row = { 0 };
	enum admin_status status;

	if (all == (a->arg_count == 1))
		return admin_bad_usage(a, "either one address or --all is needed");
	if (!admin_open_accounts(a) || !admin_open_store(a))
		return ADMIN_REFUSED;
	if (!all && !admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	status = all ? reindex_all(&r) : reindex(&r, &row);
	progress_end(r.progress);
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
