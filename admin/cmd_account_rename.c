/* account rename: the row, the mail tree and the index get another address.
 *
 * Deliveries and sessions go on meanwhile, and we may be stopped at any point.  The order:
 * 1. A note "OLD NEW" is put, durably, into the old tree.
 * 2. The tree is renamed, durably.  Who holds it open goes on with it, wherever it is.
 * 3. The index directory follows (where index_root is set); it is a cache.
 * 4. The row is renamed: from now on the new address is served and the old one refused.
 * 5. Mail that came for the old address between 2 and 4 lies in a new tree of the old name: it
 *    is moved over.
 * 6. The note goes.
 * Stopped after 2, the same command finishes it: the note tells that the tree of the new name is
 * ours and not the mail of somebody who had that address before.  Before 2 nothing has happened. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "base/mem.h"
#include "store/account_acl.h"
#include "store/account_aliases.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/root.h"

#define NOTE_NAME      "sanger-account-rename"
#define NOTE_MAX_BYTES 1024

struct renaming {
	struct admin *a;
	struct store_root *root;
	int64_t id;
	char *old_local, *old_domain, *new_local, *new_domain; /* as they are stored */
	size_t moved;                                          /* messages of step 5 */
};

/* --- the note ----------------------------------------------------------------------------------- */

static void
note_text(const struct renaming *r, struct buf *out)
{
	buf_printf(out, "%s@%s %s@%s\n", r->old_local, r->old_domain, r->new_local, r->new_domain);
}

static enum store_err
write_note(const struct renaming *r)
{
	struct buf text = { 0 };
	struct home *home;
	enum store_err err = home_open(r->root, r->old_local, r->old_domain, false, &home);

	if (err != STORE_OK)
		return err;
	note_text(r, &text);
	err = dir_replace_file(home->fd, NOTE_NAME, (struct str){ text.data, text.len }, true);
	buf_free(&text);
	home_close(home);
	return err;
}

/* Is the tree of the new name there, and is it the one that we moved before we were stopped? */
static enum store_err
look_at_new_tree(const struct renaming *r, bool *is_there, bool *is_ours)
{
	struct buf wanted = { 0 }, found = { 0 };
	struct home *home;
	enum store_err err = home_open(r->root, r->new_local, r->new_domain, false, &home);

	*is_there = err == STORE_OK;
	*is_ours = false;
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	note_text(r, &wanted);
	err = dir_read_file(home->fd, NOTE_NAME, NOTE_MAX_BYTES, &found);
	*is_ours = err == STORE_OK && str_eq((struct str){ found.data, found.len },
					  (struct str){ wanted.data, wanted.len });
	buf_free(&wanted);
	buf_free(&found);
	home_close(home);
	return err == STORE_NOT_FOUND || err == STORE_LIMIT ? STORE_OK : err;
}

static void
remove_note(const struct renaming *r)
{
	struct home *home;

	if (home_open(r->root, r->new_local, r->new_domain, false, &home) != STORE_OK)
		return;
	unlinkat(home->fd, NOTE_NAME, 0); /* one that stays does no harm */
	home_close(home);
}

bool
admin_rename_note(struct admin *a, const char *localpart, const char *domain, struct buf *note_out)
{
	struct store_root *root;
	struct home *home;
	bool found = false;

	if (store_root_open(config_string(a->config, "store.mail_root"), a->log, &root) != STORE_OK)
		return false;
	if (home_open(root, localpart, domain, false, &home) == STORE_OK) {
		found = dir_read_file(home->fd, NOTE_NAME, NOTE_MAX_BYTES, note_out) == STORE_OK;
		home_close(home);
	}
	store_root_close(root);
	while (note_out->len > 0 && note_out->data[note_out->len - 1] == '\n')
		note_out->len--;
	return found;
}

/* --- the index ---------------------------------------------------------------------------------- */

/* An index of the new name is one of an earlier account: it goes.  If ours cannot follow, it will
 * be built anew. */
static void
move_index(const struct renaming *r)
{
	const char *index_root = config_string(r->a->config, "store.index_root");
	struct store_root *root;

	if (index_root == NULL || *index_root == '\0' ||
	    store_root_open(index_root, r->a->log, &root) != STORE_OK)
		return;
	home_remove(root, r->new_local, r->new_domain);
	if (home_rename(root, r->old_local, r->old_domain, r->new_local, r->new_domain) != STORE_OK)
		home_remove(root, r->old_local, r->old_domain);
	store_root_close(root);
}

/* --- mail that came in between ------------------------------------------------------------------ */

struct sweep {
	struct renaming *r;
	int from_fd;
	const struct maildir *to;
	enum store_err err;
};

/* Its UID and flags were given in the stray tree, where they meant something else. */
static bool
sweep_message(void *arg, const char *name, unsigned char type)
{
	struct sweep *s = arg;
	size_t len = strcspn(name, ":");
	const char *uid = strstr(name, ",U=");
	char *plain;

	if (type != DT_REG || name[0] == '.')
		return true;
	if (uid != NULL && (size_t)(uid - name) < len)
		len = (size_t)(uid - name);
	plain = mem_strndup(name, len);
	s->err = dir_rename_new(s->from_fd, name, s->to->new_fd, plain);
	free(plain);
	if (s->err == STORE_NOT_FOUND) /* moved from new/ to cur/ by a reader: it is found there */
		s->err = STORE_OK;
	else if (s->err == STORE_OK)
		s->r->moved++;
	return s->err == STORE_OK;
}

static enum store_err
sweep_folder(struct renaming *r, const struct home *from, const struct home *to, const char *name)
{
	struct maildir source, target;
	enum store_err err = maildir_open(from, name, &source);

	if (err != STORE_OK)
		return err;
	err = maildir_open(to, name, &target);
	if (err == STORE_NOT_FOUND) /* made by a filter in between */
		err = maildir_open(to, "INBOX", &target);
	if (err == STORE_OK) {
		struct sweep s = { .r = r, .from_fd = source.new_fd, .to = &target };

		err = dir_list(source.new_fd, sweep_message, &s);
		s.from_fd = source.cur_fd;
		if (err == STORE_OK && s.err == STORE_OK)
			err = dir_list(source.cur_fd, sweep_message, &s);
		if (err == STORE_OK)
			err = s.err;
		if (dir_sync(target.new_fd) != STORE_OK)
			err = STORE_IO;
		maildir_close(&target);
	}
	maildir_close(&source);
	return err;
}

/* The emptied tree stays: a delivery may have it open, and what it files there must not vanish. */
static enum store_err
sweep(struct renaming *r)
{
	struct folder_list folders = { 0 };
	struct home *from, *to;
	enum store_err err = home_open(r->root, r->old_local, r->old_domain, false, &from);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	err = home_open(r->root, r->new_local, r->new_domain, false, &to);
	if (err == STORE_OK) {
		err = folder_list(from, &folders);
		for (size_t i = 0; err == STORE_OK && i < folders.count; i++)
			if (folders.items[i].selectable)
				err = sweep_folder(r, from, to, folders.items[i].name);
		folder_list_free(&folders);
		home_close(to);
	}
	home_close(from);
	return err;
}

/* --- all of it ---------------------------------------------------------------------------------- */

static bool
same_tree(const struct renaming *r)
{
	return ascii_eq_nocase(r->old_local, r->new_local) &&
	       ascii_eq_nocase(r->old_domain, r->new_domain);
}

/* Steps 1 to 3. */
static enum admin_status
move_tree(struct renaming *r)
{
	bool is_there, is_ours;
	enum store_err err = look_at_new_tree(r, &is_there, &is_ours);

	if (err != STORE_OK)
		return admin_result(err, r->a->args[1]);
	if (is_there && !is_ours)
		return admin_refuse("mail of an earlier %s lies in %s/%s/%s: move it away first",
		    r->a->args[1], config_string(r->a->config, "store.mail_root"), r->new_domain,
		    r->new_local);
	if (is_there)
		return ADMIN_DONE; /* stopped before: go on behind step 2 */
	err = write_note(r);
	if (err == STORE_OK)
		err =
		    home_rename(r->root, r->old_local, r->old_domain, r->new_local, r->new_domain);
	if (err == STORE_NOT_FOUND) /* nobody has opened the account yet: there is no tree */
		err = STORE_OK;
	else if (err == STORE_OK)
		move_index(r);
	return admin_result(err, "the mail tree was not renamed");
}

static enum admin_status
rename_all(struct renaming *r)
{
	enum admin_status status = same_tree(r) ? ADMIN_DONE : move_tree(r);
	enum store_err err;

	if (status != ADMIN_DONE)
		return status;
	err = account_db_rename(
	    r->a->accounts, r->id, str_from(r->new_local), str_from(r->new_domain));
	if (err != STORE_OK)
		return admin_refuse(
		    "the account was not renamed, but its mail tree was: %s; give the "
		    "same command again",
		    store_err_text(err));
	if (same_tree(r))
		return ADMIN_DONE;
	err = sweep(r);
	if (err != STORE_OK)
		return admin_refuse("renamed, but mail that came meanwhile stays in %s/%s/%s: %s",
		    config_string(r->a->config, "store.mail_root"), r->old_domain, r->old_local,
		    store_err_text(err));
	shares_forget(config_string(r->a->config, "store.mail_root"));
	remove_note(r);
	if (r->moved > 0)
		printf("%zu message%s that came meanwhile moved over\n", r->moved,
		    r->moved == 1 ? "" : "s");
	return ADMIN_DONE;
}

/* The same account in other letters is fine; anybody else's address is not. */
static bool
target_is_free(struct admin *a, int64_t id)
{
	struct account_row row = { 0 };
	enum store_err err = account_db_find_address(a->accounts, str_from(a->args[1]), &row);
	bool taken = err == STORE_OK && row.id != id;
	struct str localpart, domain;

	account_row_free(&row);
	if (taken)
		admin_refuse("%s exists already", a->args[1]);
	if (err == STORE_NOT_FOUND &&
	    account_address_parse(str_from(a->args[1]), &localpart, &domain)) {
		err = account_alias_find(a->accounts, localpart, domain, &row);
		account_row_free(&row);
		taken = err == STORE_OK;
		if (taken)
			admin_refuse(
			    "%s is an alias: mailadmin alias delete takes it away", a->args[1]);
	}
	if (taken)
		return false;
	if (err != STORE_OK && err != STORE_NOT_FOUND)
		admin_result(err, a->args[1]);
	return err == STORE_OK || err == STORE_NOT_FOUND;
}

static enum admin_status
rename_run(struct admin *a)
{
	struct account_row row = { 0 };
	struct renaming r = { .a = a };
	struct str localpart, domain;
	enum admin_status status = ADMIN_REFUSED;

	if (!account_address_parse(str_from(a->args[1]), &localpart, &domain))
		return admin_refuse("%s cannot be an account's address", a->args[1]);
	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	r.id = row.id;
	r.old_local = mem_strdup(row.localpart);
	r.old_domain = mem_strdup(row.domain);
	r.new_local = account_db_fold(localpart);
	r.new_domain = account_db_fold(domain);
	if (target_is_free(a, row.id)) {
		enum store_err err =
		    store_root_open(config_string(a->config, "store.mail_root"), a->log, &r.root);

		status = err == STORE_OK ? rename_all(&r) : admin_result(err, "store.mail_root");
	}
	store_root_close(r.root);
	free(r.old_local);
	free(r.old_domain);
	free(r.new_local);
	free(r.new_domain);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_account_rename = {
	.group = "account",
	.name = "rename",
	.args = "ADDRESS NEW-ADDRESS",
	.args_least = 2,
	.args_most = 2,
	.summary = "Gives an account another address; its mail goes along.",
	.help =
	    "The old address is unknown from then on.  First the mail tree is renamed, then the "
	    "row in\nthe account database, then mail that came in between is moved over.  If it is "
	    "stopped\nhalf-way, give the same command again: it goes on where it was.  Open "
	    "sessions "
	    "end.\nWhat others share with the old address has to be shared anew.",
	.example = "mailadmin account rename ann@example.org ann.smith@example.org",
	.run = rename_run,
};
