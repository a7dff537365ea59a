/* import maildir: mail of a Dovecot, Courier or other Maildir tree, copied or taken over in place. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/maildir_adopt.h"
#include "admin/maildir_import.h"
#include "admin/output.h"
#include "admin/read_all.h"
#include "admin/tree_layout.h"
#include "base/mem.h"
#include "service/account_quota.h"

static const struct output_column COLUMNS[] = {
	{ "account", "ACCOUNT", OUTPUT_TEXT },
	{ "mailbox", "MAILBOX", OUTPUT_TEXT },
	{ "messages", "MESSAGES", OUTPUT_TEXT },
	{ "copied", "COPIED", OUTPUT_TEXT },
	{ "uids_kept", "UIDS KEPT", OUTPUT_TEXT },
	{ "changed", "CHANGED", OUTPUT_TEXT },
	{ "gone", "GONE", OUTPUT_TEXT },
	{ "waiting", "WAITING", OUTPUT_TEXT },
	{ "keywords", "KEYWORDS", OUTPUT_TEXT },
	{ "damaged", "DAMAGED", OUTPUT_TEXT },
	{ "failed", "FAILED", OUTPUT_TEXT },
};

struct import {
	struct admin *a;
	struct maildir_import_options options;
	bool in_place;
	struct output_stream *out;
	const char *label; /* the account at hand */
};

static void
on_row(void *arg, const struct maildir_import_result *r)
{
	struct import *im = arg;

	output_stream_row(
	    im->out, json_pack("{so so sI sI sI sI sI sI sI sI sI sb}", "account",
			 output_string(im->label), "mailbox", output_string(r->mailbox), "messages",
			 (json_int_t)r->messages, "copied", (json_int_t)r->copied, "uids_kept",
			 (json_int_t)r->uids_kept, "changed", (json_int_t)r->changed, "gone",
			 (json_int_t)r->gone, "waiting", (json_int_t)r->waiting, "keywords",
			 (json_int_t)r->keywords, "damaged", (json_int_t)r->damaged, "failed",
			 (json_int_t)r->failed, "same_uidvalidity", r->same_uidvalidity));
}

/* --- one account --------------------------------------------------------------------------------- */

static void
say_remarks(const struct import *im, const struct source_tree *tree)
{
	struct cursor c = cursor_from((struct str){ tree->remarks.data, tree->remarks.len });
	struct str line;

	while (cursor_take_line(&c, &line))
		fprintf(stderr, "mailadmin: %s: %.*s\n", im->label, (int)line.len, line.p);
}

/* Quota is for what comes in from now on: people move with the mail they have. */
static bool
copy_tree(struct import *im, const struct account_row *row, const struct source_tree *tree)
{
	static const struct quota_limits UNLIMITED = { 0 };
	struct quota_limits limits;
	struct account *mail = NULL;
	bool ok;

	if (!admin_open_mail(im->a, row, &mail))
		return false;
	account_set_quota_limits(mail, &UNLIMITED);
	ok = maildir_import(mail, tree, im->label, &im->options, on_row, im);
	limits = account_quota_limits(im->a->accounts, row, im->a->config);
	account_set_quota_limits(mail, &limits);
	if (account_quota_recount(mail) != STORE_OK)
		ok = false;
	account_close(mail);
	return ok;
}

/* Nothing is made, not even the account's tree. */
static bool
look_only(struct import *im, const struct account_row *row, const struct source_tree *tree)
{
	struct account *mail = NULL;
	enum store_err err;
	bool ok;

	if (!admin_open_store(im->a))
		return false;
	err = account_open(im->a->store, row->localpart, row->domain, 0, &mail);
	ok = (err == STORE_OK || err == STORE_NOT_FOUND ||
		 admin_result(err, im->label) == ADMIN_DONE) &&
	     maildir_import(mail, tree, im->label, &im->options, on_row, im);
	account_close(mail);
	return ok;
}

static bool
import_one(struct import *im, const struct account_row *row, const char *path)
{
	char *label = account_row_address(row);
	struct source_tree tree;
	struct buf problem = { 0 };
	bool ok;

	im->label = label;
	ok = source_tree_open(path, &tree, &problem);
	if (!ok)
		admin_refuse("%s: %s", label, buf_cstr(&problem));
	else
		say_remarks(im, &tree);
	if (ok && im->options.dry_run)
		ok = look_only(im, row, &tree);
	else if (ok && im->in_place)
		ok = maildir_adopt(im->a, row, &tree, label, on_row, im);
	else if (ok)
		ok = copy_tree(im, row, &tree);
	source_tree_close(&tree);
	buf_free(&problem);
	free(label);
	return ok;
}

/* --- all accounts -------------------------------------------------------------------------------- */

static bool
is_directory(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Trees for which there is no account: forgotten, or really to be left behind. */
static void
name_strangers(const char *root, const char *layout, const struct account_row *rows, size_t count)
{
	char *pattern = tree_layout_path(root, layout, NULL);
	glob_t found = { 0 };

	if (glob(pattern, GLOB_ONLYDIR, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			bool known = !is_directory(found.gl_pathv[i]);

			for (size_t k = 0; k < count && !known; k++) {
				char *path = tree_layout_path(root, layout, &rows[k]);

				known = strcasecmp(path, found.gl_pathv[i]) == 0;
				free(path);
			}
			if (!known)
				fprintf(stderr, "mailadmin: %s: no account has this tree\n",
				    found.gl_pathv[i]);
		}
		globfree(&found);
	}
	free(pattern);
}

static enum admin_status
import_all(struct import *im, const char *root, const char *layout)
{
	struct account_row *rows;
	size_t count, done = 0, missing = 0;
	struct buf failed = { 0 };
	enum store_err err = account_db_list(im->a->accounts, NULL, &rows, &count);
	enum admin_status status = ADMIN_DONE;

	if (err != STORE_OK)
		return admin_result(err, "account list");
	for (size_t i = 0; i < count; i++) {
		char *path = tree_layout_path(root, layout, &rows[i]);

		if (!is_directory(path))
			missing++;
		else if (import_one(im, &rows[i], path))
			done++;
		else
			buf_printf(&failed, " %s@%s", rows[i].localpart, rows[i].domain);
		free(path);
		if (im->a->store != NULL)
			store_idle(im->a->store);
	}
	name_strangers(root, layout, rows, count);
	if (missing > 0)
		fprintf(stderr, "mailadmin: %zu account%s no tree in %s\n", missing,
		    missing == 1 ? " has" : "s have", root);
	if (failed.len > 0)
		status = admin_refuse("%zu imported, failed:%s", done, buf_cstr(&failed));
	else if (done == 0)
		status = admin_refuse("no account has a tree %s/%s", root, layout);
	buf_free(&failed);
	account_rows_free(rows, count);
	return status;
}

/* --- the command --------------------------------------------------------------------------------- */

static enum admin_status
import_given(struct import *im, const char *layout, bool all)
{
	struct account_row row = { 0 };
	bool ok;

	if (all)
		return import_all(im, im->a->args[0], layout);
	if (!admin_find_account(im->a, im->a->args[0], &row))
		return ADMIN_REFUSED;
	ok = import_one(im, &row, im->a->args[1]);
	account_row_free(&row);
	return ok ? ADMIN_DONE : ADMIN_REFUSED;
}

static enum admin_status
import_run(struct admin *a)
{
	struct import im = { .a = a,
		.in_place = admin_option(a, "--in-place") != NULL,
		.options = { .dry_run = admin_option(a, "--dry-run") != NULL,
		    .running = admin_option(a, "--running") != NULL,
		    .expunge = admin_option(a, "--expunge") != NULL } };
	bool all = admin_option(a, "--all") != NULL;
	const char *layout = admin_option(a, "--layout");
	enum admin_status status;

	if (a->arg_count != (all ? 1u : 2u))
		return admin_bad_usage(a, "either ADDRESS and DIR, or --all and DIR are needed");
	if (layout != NULL && !all)
		return admin_bad_usage(a, "--layout goes with --all");
	if (im.in_place && (im.options.running || im.options.expunge))
		return admin_bad_usage(
		    a, "--in-place takes the tree itself: nothing is copied a second time");
	if (layout == NULL)
		layout = TREE_LAYOUT_DEFAULT;
	if (all && !tree_layout_is_good(layout))
		return admin_bad_usage(a, "--layout %s: %%n or %%u must be in it", layout);
	if (!read_all_start(a) || !admin_open_accounts(a))
		return ADMIN_REFUSED;
	im.out = output_stream_begin(COLUMNS, ARRAY_LEN(COLUMNS), a->json);
	status = import_given(&im, layout, all);
	if (!output_stream_end(im.out))
		status = ADMIN_REFUSED;
	return status;
}

const struct admin_command admin_cmd_import_maildir = {
	.group = "import",
	.name = "maildir",
	.args = "[ADDRESS] DIR",
	.args_least = 1,
	.args_most = 2,
	.options = {
	    { "--in-place", NULL, "move the tree into the mail tree instead of copying it" },
	    { "--running", NULL, "the other server is still at work: leave what it gave no UID yet" },
	    { "--expunge", NULL, "expunge here what was imported and is gone there" },
	    { "--all", NULL, "every account; DIR holds all their trees" },
	    { "--layout", "TEMPLATE", "where they lie in it, default %d/%n; %d domain, %n local part, %u both" },
	    { "--dry-run", NULL, "only say what would be done" },
	    { "--json", NULL, "as JSON" },
	},
	.summary = "Takes mail over from a Maildir of Dovecot, Courier or another program.",
	.help =
	    "An empty mailbox takes UIDVALIDITY and UIDs over, so that clients download nothing again; "
	    "flags, keywords,\ndates, special uses and subscriptions come along.  Mailboxes that have "
	    "mail get the rest added, with new UIDs.\nThe tree is only read, the other server may go "
	    "on.  Give the command again for what has changed since, also\nafter it was stopped: "
	    "nothing is doubled.",
	.example = "mailadmin import maildir ann@example.org /var/vmail/example.org/ann",
	.before_config = true,
	.run = import_run,
};
