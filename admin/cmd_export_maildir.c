/* export maildir: an account's mail as a tree that Dovecot serves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/commands.h"
#include "admin/maildir_export.h"
#include "admin/output.h"
#include "admin/tree_layout.h"
#include "base/mem.h"
#include "service/account_quota.h"
#include "store/account_tenure.h"

static const struct output_column COLUMNS[] = {
	{ "account", "ACCOUNT", OUTPUT_TEXT },
	{ "mailbox", "MAILBOX", OUTPUT_TEXT },
	{ "exported_as", "EXPORTED AS", OUTPUT_TEXT },
	{ "messages", "MESSAGES", OUTPUT_TEXT },
	{ "uidvalidity", "UIDVALIDITY", OUTPUT_TEXT },
	{ "uidnext", "UIDNEXT", OUTPUT_TEXT },
	{ "keywords", "KEYWORDS", OUTPUT_TEXT },
	{ "keywords_beyond", "BEYOND 26", OUTPUT_TEXT },
};

struct export
{
	struct admin *a;
	bool link;
	struct output_stream *out;
	const char *label;
};

static void
on_row(void *arg, const struct maildir_export_result *r)
{
	struct export *ex = arg;

	output_stream_row(
	    ex->out, json_pack("{so so so sI sI sI sI sI}", "account", output_string(ex->label),
			 "mailbox", output_string(r->mailbox), "exported_as",
			 output_string(r->name), "messages", (json_int_t)r->messages, "uidvalidity",
			 (json_int_t)r->uidvalidity, "uidnext", (json_int_t)r->uidnext, "keywords",
			 (json_int_t)r->keywords, "keywords_beyond", (json_int_t)r->beyond));
}

static bool
export_one(struct export *ex, const struct account_row *row, const char *dir)
{
	char *label = account_row_address(row);
	struct maildir_export_options options = { .link = ex->link,
		.limits = account_quota_limits(ex->a->accounts, row, ex->a->config),
		.tenures = account_tenures(ex->a->accounts) };
	struct account *mail = NULL;
	bool ok = admin_open_mail(ex->a, row, &mail);

	ex->label = label;
	ok = ok && maildir_export(mail, dir, label, &options, on_row, ex);
	account_close(mail);
	free(label);
	return ok;
}

/* One account that fails does not stop the others. */
static enum admin_status
export_all(struct export *ex, const char *root, const char *layout)
{
	struct account_row *rows;
	size_t count, done = 0;
	struct buf failed = { 0 };
	enum store_err err = account_db_list(ex->a->accounts, NULL, &rows, &count);
	enum admin_status status = ADMIN_DONE;

	if (err != STORE_OK)
		return admin_result(err, "account list");
	for (size_t i = 0; i < count; i++) {
		char *dir = tree_layout_path(root, layout, &rows[i]);

		if (tree_layout_make_parents(root, dir) && export_one(ex, &rows[i], dir))
			done++;
		else
			buf_printf(&failed, " %s@%s", rows[i].localpart, rows[i].domain);
		free(dir);
		store_idle(ex->a->store);
	}
	if (failed.len > 0)
		status = admin_refuse("%zu exported, failed:%s", done, buf_cstr(&failed));
	buf_free(&failed);
	account_rows_free(rows, count);
	return status;
}

static enum admin_status
export_run(struct admin *a)
{
	struct export ex = { .a = a, .link = admin_option(a, "--link") != NULL };
	bool all = admin_option(a, "--all") != NULL;
	const char *layout = admin_option(a, "--layout");
	struct account_row row = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if (a->arg_count != (all ? 1u : 2u))
		return admin_bad_usage(a, "either ADDRESS and DIR, or --all and DIR are needed");
	if (layout != NULL && !all)
		return admin_bad_usage(a, "--layout goes with --all");
	if (layout != NULL && !tree_layout_is_good(layout))
		return admin_bad_usage(a, "--layout %s: %%n or %%u must be in it", layout);
	if (!admin_open_accounts(a) || !admin_open_store(a))
		return ADMIN_REFUSED;
	if (!all && !admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	ex.out = output_stream_begin(COLUMNS, ARRAY_LEN(COLUMNS), a->json);
	if (all)
		status = export_all(&ex, a->args[0], layout != NULL ? layout : TREE_LAYOUT_DEFAULT);
	else if (export_one(&ex, &row, a->args[1]))
		status = ADMIN_DONE;
	if (!output_stream_end(ex.out))
		status = ADMIN_REFUSED;
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_export_maildir = {
	.group = "export",
	.name = "maildir",
	.args = "[ADDRESS] DIR",
	.args_least = 1,
	.args_most = 2,
	.options = {
	    { "--link", NULL, "hard links instead of copies, on the same file system" },
	    { "--all", NULL, "every account, each into a directory of its own below DIR" },
	    { "--layout", "TEMPLATE", "where in it, default %d/%n; %d domain, %n local part, %u both" },
	    { "--json", NULL, "as JSON" },
	},
	.summary = "Writes an account's mail as a Maildir that Dovecot serves as it is.",
	.help =
	    "With UIDs, UIDVALIDITY, flags, keywords, dates and subscriptions, so that clients find "
	    "all as it was.  The server\nmay run.  The tree is complete before it gets its name; a "
	    "directory that exists is never touched.  Dovecot knows no dot within a level of a\nname: there it is '_'.",
	.example = "mailadmin export maildir ann@example.org /var/vmail/example.org/ann",
	.run = export_run,
};
