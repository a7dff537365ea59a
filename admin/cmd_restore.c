/* restore: from a snapshot into the server that runs; see restore.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "admin/restore.h"
#include "admin/times.h"
#include "base/mem.h"
#include "store/account_restore.h"
#include "store/mailbox_name.h"

/* --- what was asked for ------------------------------------------------------------------------- */

static char *
canonical(const char *mailbox)
{
	struct buf name = { 0 };

	if (mailbox == NULL)
		return NULL;
	mailbox_name_canonical(&name, str_from(mailbox));
	return buf_take(&name);
}

/* --search TEXT, --header NAME:TEXT; both must hold. */
static bool
read_search(struct restore *r)
{
	const char *text = admin_option(r->a, "--search"), *header = admin_option(r->a, "--header");
	const char *colon = header != NULL ? strchr(header, ':') : NULL;
	struct search_key keys[2];
	size_t count = 0;

	if (header != NULL && (colon == NULL || colon == header)) {
		admin_bad_usage(r->a, "--header %s: NAME:TEXT is needed", header);
		return false;
	}
	if (text != NULL)
		keys[count++] = (struct search_key){ .where = SEARCH_TEXT, .text = str_from(text) };
	if (header != NULL)
		keys[count++] = (struct search_key){ .where = SEARCH_HEADER,
			.header = { header, (size_t)(colon - header) },
			.text = str_trim(str_from(colon + 1)) };
	r->choice.search_count = count;
	if (count > 0)
		r->choice.search = search_text_new(keys, count);
	return true;
}

static bool
read_time(struct restore *r, const char *option, int64_t *when_out, bool *has_out)
{
	const char *text = admin_option(r->a, option);

	*has_out = text != NULL;
	if (text == NULL || time_parse(text, when_out))
		return true;
	admin_bad_usage(
	    r->a, "%s %s: 2h, 2026-11-21 or \"2026-11-21 14:00\" is needed", option, text);
	return false;
}

static bool
read_choice(struct restore *r)
{
	struct restore_choice *c = &r->choice;
	const char *uids = admin_option(r->a, "--uid");

	c->mailbox = canonical(admin_option(r->a, "--mailbox"));
	r->into = canonical(admin_option(r->a, "--into"));
	c->message_id = admin_option(r->a, "--message-id");
	c->has_uids = uids != NULL;
	if (uids != NULL && !uidset_parse(&c->uids, str_from(uids))) {
		admin_bad_usage(r->a, "--uid %s: 7 or 3:9,12 is needed", uids);
		return false;
	}
	if (uids != NULL && c->mailbox == NULL) {
		admin_bad_usage(r->a, "--uid needs --mailbox");
		return false;
	}
	if (!read_time(r, "--since", &c->since_s, &c->has_since) ||
	    !read_time(r, "--until", &c->until_s, &c->has_until) || !read_search(r))
		return false;
	c->some = c->message_id != NULL || c->has_uids || c->has_since || c->has_until ||
		  c->search != NULL;
	if (r->into != NULL && mailbox_name_problem(str_from(r->into)) != NULL &&
	    !mailbox_name_is_inbox(r->into)) {
		admin_bad_usage(
		    r->a, "--into %s: %s", r->into, mailbox_name_problem(str_from(r->into)));
		return false;
	}
	return true;
}

/* Either an address, with what of it, or --everything. */
static bool
check_usage(struct restore *r)
{
	bool everything = admin_option(r->a, "--everything") != NULL;
	bool of_one = r->choice.some || r->choice.mailbox != NULL || r->into != NULL;

	if (everything == (r->a->arg_count > 1)) {
		admin_bad_usage(r->a, "an ADDRESS or --everything is needed");
		return false;
	}
	if (everything && of_one) {
		admin_bad_usage(
		    r->a, "--everything goes with --merge, --damaged and --dry-run only");
		return false;
	}
	return true;
}

/* --- everything --------------------------------------------------------------------------------- */

/* Into a server with accounts only if that is said: rows and mail of those that are there stay as they are. */
static bool
may_restore_everything(struct restore *r)
{
	struct account_row *rows = NULL;
	size_t count = 0;
	enum store_err err = account_db_list(r->a->accounts, NULL, &rows, &count);

	account_rows_free(rows, count);
	if (err != STORE_OK)
		return admin_result(err, "account list") == ADMIN_DONE;
	if (count > 0 && admin_option(r->a, "--merge") == NULL)
		return admin_refuse(
			   "there are %zu accounts here: with --merge what they lack is added",
			   count),
		       false;
	return true;
}

/* manifest/DOMAIN/LOCALPART of the server's manifest. */
static bool
restore_account_at(struct restore *r, const char *path)
{
	char *place = mem_strdup(path + strlen("manifest/")), *slash = strchr(place, '/');
	bool ok = slash != NULL;

	if (ok) {
		*slash = '\0';
		ok = restore_account(r, slash + 1, place);
	}
	free(place);
	return ok;
}

/* Accounts without any mail have only a row. */
static bool
restore_rows(struct restore *r)
{
	const char *db = config_string(r->a->config, "store.account_db");
	char *copy = mem_printf("%s/user.db", r->path), **names;
	size_t count;
	enum store_err err = account_restore_list(copy, r->a->log, &names, &count);
	bool ok = admin_result(err, copy) == ADMIN_DONE;

	for (size_t i = 0; i + 1 < count; i += 2) {
		struct account_restored done;

		if (ok && !r->dry) {
			err = account_restore(
			    db, copy, str_from(names[i]), str_from(names[i + 1]), r->a->log, &done);
			ok = err == STORE_OK || err == STORE_EXISTS ||
			     admin_result(err, names[i]) == ADMIN_DONE;
		}
		free(names[i]);
		free(names[i + 1]);
	}
	free(names);
	free(copy);
	return ok;
}

static bool
restore_everything(struct restore *r)
{
	struct progress *progress;
	bool ok = true;

	if (!may_restore_everything(r))
		return false;
	progress = progress_begin("Accounts", r->server.count);
	for (size_t i = 0; i < r->server.count && !r->failed; i++) {
		const char *path = r->server.entries[i].path;

		if (strncmp(path, "manifest/", 9) == 0)
			ok = restore_account_at(r, path) && ok;
		store_idle(r->a->store);
		progress_step(progress, i + 1);
	}
	progress_end(progress);
	return restore_rows(r) && restore_spool(r) && ok && !r->failed;
}

/* --- one account -------------------------------------------------------------------------------- */

static bool
restore_address(struct restore *r, const char *address)
{
	struct str localpart, domain;
	char *local, *dom;
	bool ok;

	if (!account_address_parse(str_from(address), &localpart, &domain))
		return admin_refuse("%s is no address of an account", address), false;
	local = account_db_fold(localpart);
	dom = account_db_fold(domain);
	ascii_lower_all(local, strlen(local));
	ascii_lower_all(dom, strlen(dom));
	ok = restore_account(r, local, dom);
	free(local);
	free(dom);
	return ok;
}

/* --- the answer --------------------------------------------------------------------------------- */

static const struct output_column MAILBOX_COLUMNS[] = {
	{ "account", "ACCOUNT", OUTPUT_TEXT },
	{ "mailbox", "MAILBOX", OUTPUT_TEXT },
	{ "restored", "RESTORED", OUTPUT_TEXT },
	{ "there", "THERE", OUTPUT_TEXT },
	{ "damaged", "DAMAGED", OUTPUT_TEXT },
	{ "how", "HOW", OUTPUT_TEXT },
};
static const struct output_column MESSAGE_COLUMNS[] = {
	{ "mailbox", "MAILBOX", OUTPUT_TEXT },
	{ "uid", "UID", OUTPUT_TEXT },
	{ "date", "DATE", OUTPUT_TIME },
	{ "from", "FROM", OUTPUT_TEXT },
	{ "subject", "SUBJECT", OUTPUT_TEXT },
	{ "state", "STATE", OUTPUT_TEXT },
};

static bool
answer(struct restore *r)
{
	bool some = r->choice.some;

	if (some && json_array_size(r->rows) == 0 && !r->failed)
		admin_refuse("%s has no such message", r->a->args[0]);
	if (json_array_size(r->rows) == 0 && !r->a->json) {
		json_decref(r->rows);
		r->rows = NULL;
		return true;
	}
	some = output_list(r->rows, some ? MESSAGE_COLUMNS : MAILBOX_COLUMNS,
	    some ? ARRAY_LEN(MESSAGE_COLUMNS) : ARRAY_LEN(MAILBOX_COLUMNS), r->a->json);
	r->rows = NULL;
	return some;
}

/* `name`: of a snapshot in the directory that was named; NULL: as it was named. */
static bool
open_all(struct restore *r, const char *name)
{
	char *mail;
	bool ok;

	r->fd = snapshot_open(r->a->args[0], name, &r->path, &r->snapshot);
	if (r->fd < 0 || !admin_open_accounts(r->a) || !admin_open_store(r->a))
		return false;
	if (manifest_read(r->fd, SNAPSHOT_SERVER, true, &r->server, NULL) != STORE_OK)
		return admin_refuse("%s/" SNAPSHOT_SERVER " cannot be read", r->path), false;
	mail = mem_printf("%s/mail", r->path);
	ok = store_root_open(mail, r->a->log, &r->saved_root) == STORE_OK &&
	     store_root_open(config_string(r->a->config, "store.mail_root"), r->a->log,
		 &r->live_root) == STORE_OK;
	free(mail);
	return ok;
}

static void
close_snapshot(struct restore *r)
{
	store_root_close(r->saved_root);
	store_root_close(r->live_root);
	r->saved_root = r->live_root = NULL;
	manifest_free(&r->server);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	free(r->path);
	r->path = NULL;
}

static void
close_all(struct restore *r)
{
	close_snapshot(r);
	search_text_free(r->choice.search);
	uidset_free(&r->choice.uids);
	free(r->choice.mailbox);
	free(r->into);
}

static bool
restore_from(struct restore *r, const char *name)
{
	if (!open_all(r, name))
		return false;
	return r->a->arg_count > 1 ? restore_address(r, r->a->args[1]) : restore_everything(r);
}

/* Of a directory it is the newest snapshot; for single messages the newest that has any of them. */
static bool
restore_newest(struct restore *r)
{
	struct snapshot_list list = { 0 };
	int fd = r->choice.some ? open(r->a->args[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	bool ok;

	if (fd >= 0)
		snapshot_list(fd, &list);
	if (fd >= 0)
		close(fd);
	if (list.count == 0)
		ok = restore_from(r, NULL);
	else
		ok = restore_from(r, list.items[list.count - 1].name);
	for (size_t i = list.count; i-- > 1 && json_array_size(r->rows) == 0 && !r->failed;) {
		close_snapshot(r);
		ok = restore_from(r, list.items[i - 1].name);
	}
	snapshot_list_free(&list);
	return ok;
}

static enum admin_status
run(struct admin *a)
{
	struct restore r = { .a = a,
		.fd = -1,
		.clone = true,
		.dry = admin_option(a, "--dry-run") != NULL,
		.damaged_too = admin_option(a, "--damaged") != NULL };
	bool ok, found;

	if (!read_choice(&r) || !check_usage(&r)) {
		close_all(&r);
		return ADMIN_USAGE;
	}
	r.rows = json_array();
	ok = restore_newest(&r);
	found = !r.choice.some || json_array_size(r.rows) > 0;
	ok = answer(&r) && ok && found && r.damaged == 0;
	close_all(&r);
	return ok ? ADMIN_DONE : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_restore = {
	.group = "restore",
	.args = "DIR|SNAPSHOT [ADDRESS]",
	.args_least = 1,
	.args_most = 2,
	.options = { { "--mailbox", "MAILBOX", "only what was in it" },
	    { "--message-id", "MESSAGE-ID", "only the message with this Message-ID" },
	    { "--uid", "UIDS", "only these UIDs of --mailbox: 7 or 3:9,12" },
	    { "--since", "TIME",
		"only what came since then: 2h, 2026-11-21, \"2026-11-21 14:00\"" },
	    { "--until", "TIME", "only what came before then" },
	    { "--search", "TEXT", "only messages with this in header or text" },
	    { "--header", "NAME:TEXT", "only messages with this in that header field" },
	    { "--into", "MAILBOX", "put it there, not where it was" },
	    { "--everything", NULL, "all accounts with their mail, and the spool, held" },
	    { "--merge", NULL, "with --everything: also where there are accounts" },
	    { "--damaged", NULL, "also what is not what was saved" },
	    { "--dry-run", NULL, "only say what would be restored" },
	    { "--json", NULL, "what was done, as a JSON array" } },
	.summary = "Brings back messages, mailboxes, an account, or everything from a snapshot.",
	.help = "The server runs on and clients see the messages come, with flags and dates.  "
		"Nothing that is\n"
		"there is removed, overwritten or doubled.  Mailboxes that are gone come back with "
		"their UIDs;\n"
		"in those that are there messages get new ones.  With DIR it is the newest "
		"snapshot.  Stopped,\n"
		"the same command goes on.",
	.example = "mailadmin restore /srv/backup/sanger ann@example.org --message-id "
		   "'<4711@news.example>'",
	.run = run,
};
