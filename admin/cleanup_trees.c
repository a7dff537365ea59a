/* Mail trees without an account go to REMOVED/YYYY-MM-DD/domain/localpart, by one rename each.
 *
 * 1. A tree that is not clearly ours stays: one without sanger-account or sanger-mailbox in it.
 * 2. So does one in which an `account rename` was stopped half-way.
 * 3. The account database is asked right before and right after the rename: an account that was made in between gets its tree
 *    back.
 * 4. If the database is empty, or more than half of many trees would go, it is more likely the wrong database: nothing is
 *    moved unless --many says so. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/cleanup.h"
#include "admin/output.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/root.h"

#define MANY_TREES 20 /* from which on more than half is suspicious */
#define SAME_DAY   1000

struct tree {
	char *domain, *localpart;
};
struct trees {
	struct cleanup *c;
	struct store_root *root;
	const char *domain; /* being listed */
	int domain_fd;
	struct tree *strays;
	size_t count, seen;
	char day[16];
};

/* --- which ------------------------------------------------------------------------------------- */

static enum store_err
has_account(struct trees *t, const char *localpart, const char *domain, bool *has_out)
{
	struct account_row row = { 0 };
	enum store_err err =
	    account_db_find(t->c->a->accounts, str_from(localpart), str_from(domain), &row);

	*has_out = err == STORE_OK;
	account_row_free(&row);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static bool
is_ours(int domain_fd, const char *localpart)
{
	static const char *const SIGNS[] = { "sanger-account", "sanger-mailbox" };
	bool found = false;
	int fd;

	if (dir_open(domain_fd, localpart, &fd) != STORE_OK)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(SIGNS); i++)
		found = found || faccessat(fd, SIGNS[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	found = found && dir_exists(fd, "cur");
	close(fd);
	return found;
}

static bool
is_being_renamed(struct trees *t, const char *localpart)
{
	struct buf note = { 0 };
	bool found = admin_rename_note(t->c->a, localpart, t->domain, &note);

	if (found)
		cleanup_problem(t->c,
		    "mailadmin account rename %s was stopped half-way: give it again",
		    buf_cstr(&note));
	buf_free(&note);
	return found;
}

static bool
on_tree(void *arg, const char *name, unsigned char type)
{
	struct trees *t = arg;
	bool known;
	enum store_err err;

	if (type != DT_DIR || name[0] == '.')
		return true;
	t->seen++;
	err = has_account(t, name, t->domain, &known);
	if (err != STORE_OK) {
		cleanup_problem(t->c, "%s/%s: %s", t->domain, name, store_err_text(err));
		return true;
	}
	if (known || !is_ours(t->domain_fd, name) || is_being_renamed(t, name))
		return true;
	t->strays = mem_realloc_array(t->strays, t->count + 1, sizeof(*t->strays));
	t->strays[t->count++] = (struct tree){ mem_strdup(t->domain), mem_strdup(name) };
	return true;
}

static bool
on_domain(void *arg, const char *name, unsigned char type)
{
	struct trees *t = arg;
	enum store_err err;

	if (type != DT_DIR || name[0] == '.')
		return true;
	t->domain = name;
	err = dir_open(store_root_fd(t->root), name, &t->domain_fd);
	if (err == STORE_OK) {
		err = dir_list(t->domain_fd, on_tree, t);
		close(t->domain_fd);
	}
	if (err == STORE_OK && !t->c->dry)
		err = home_remove_leftovers(t->root, name);
	if (err != STORE_OK)
		cleanup_problem(t->c, "%s: %s", name, store_err_text(err));
	return true;
}

/* --- moving ------------------------------------------------------------------------------------ */

static enum store_err
open_made(int at_fd, const char *name, int *fd_out)
{
	enum store_err err = dir_make(at_fd, name);

	return err == STORE_OK ? dir_open(at_fd, name, fd_out) : err;
}

/* REMOVED/DAY/DOMAIN, made. */
static enum store_err
open_target(struct trees *t, const char *domain, int *fd_out)
{
	enum store_err err;
	int day_fd;

	err = open_made(t->c->removed_fd, t->day, &day_fd);
	if (err != STORE_OK)
		return err;
	err = open_made(day_fd, domain, fd_out);
	close(day_fd);
	return err;
}

static enum store_err
move_tree(struct trees *t, const struct tree *tree, int from_fd, int to_fd, char **name_out)
{
	enum store_err err = STORE_EXISTS;
	bool back;

	for (unsigned n = 1; n < SAME_DAY && err == STORE_EXISTS; n++) {
		free(*name_out);
		*name_out =
		    n == 1 ? mem_strdup(tree->localpart) : mem_printf("%s.%u", tree->localpart, n);
		err = dir_rename_new(from_fd, tree->localpart, to_fd, *name_out);
	}
	if (err != STORE_OK)
		return err;
	if (has_account(t, tree->localpart, tree->domain, &back) != STORE_OK || back) {
		/* made just now, or not to be known */
		err = dir_rename_new(to_fd, *name_out, from_fd, tree->localpart);
		return err == STORE_OK ? STORE_CHANGED : err;
	}
	err = dir_sync(to_fd);
	return err == STORE_OK ? dir_sync(from_fd) : err;
}

/* The index of an account that is no more, where it lies apart: a cache. */
static void
remove_index(struct trees *t, const struct tree *tree)
{
	const char *index_root = config_string(t->c->a->config, "store.index_root");
	struct store_root *root;

	if (index_root == NULL || *index_root == '\0' ||
	    store_root_open(index_root, t->c->a->log, &root) != STORE_OK)
		return;
	home_remove(root, tree->localpart, tree->domain);
	store_root_close(root);
}

static void
remove_tree(struct trees *t, const struct tree *tree)
{
	char *name = NULL, *to = NULL;
	int from_fd = -1, to_fd = -1;
	enum store_err err = STORE_OK;
	bool known = false;

	if (!t->c->dry) {
		err = has_account(t, tree->localpart, tree->domain, &known);
		if (err == STORE_OK && known)
			return; /* made meanwhile */
		if (err == STORE_OK)
			err = dir_open(store_root_fd(t->root), tree->domain, &from_fd);
		if (err == STORE_OK)
			err = open_target(t, tree->domain, &to_fd);
		if (err == STORE_OK)
			err = move_tree(t, tree, from_fd, to_fd, &name);
	}
	to = mem_printf("%s/%s/%s/%s", t->c->removed_dir, t->day, tree->domain,
	    name != NULL ? name : tree->localpart);
	if (err == STORE_OK && !t->c->dry)
		remove_index(t, tree);
	if (err == STORE_OK)
		json_array_append_new(
		    t->c->moved, json_pack("{so so so}", "account",
				     json_sprintf("%s@%s", tree->localpart, tree->domain), "to",
				     output_string(to), "domain", output_string(tree->domain)));
	else if (err != STORE_CHANGED)
		cleanup_problem(t->c, "%s/%s cannot be moved to %s: %s%s", tree->domain,
		    tree->localpart, to, store_err_text(err),
		    errno == EXDEV ? "; cleanup.removed_dir must be on the mail root's file system"
				   : "");
	if (from_fd >= 0)
		close(from_fd);
	if (to_fd >= 0)
		close(to_fd);
	free(name);
	free(to);
}

/* --- all --------------------------------------------------------------------------------------- */

static bool
is_plausible(struct trees *t)
{
	struct account_row *rows;
	size_t count;
	enum store_err err = account_db_list(t->c->a->accounts, NULL, &rows, &count);

	if (err != STORE_OK) {
		cleanup_problem(t->c, "account list: %s", store_err_text(err));
		return false;
	}
	account_rows_free(rows, count);
	if (t->count == 0 || t->c->many)
		return true;
	if (count == 0 || (t->seen >= MANY_TREES && t->count * 2 > t->seen)) {
		cleanup_problem(t->c,
		    "%zu of %zu mail trees are without an account: is %s the right database?  "
		    "Nothing was moved; --many moves them",
		    t->count, t->seen, config_string(t->c->a->config, "store.account_db"));
		return false;
	}
	return true;
}

void
cleanup_trees(struct cleanup *c)
{
	struct trees t = { .c = c };
	time_t now = time(NULL);
	struct tm tm;
	enum store_err err =
	    store_root_open(config_string(c->a->config, "store.mail_root"), c->a->log, &t.root);

	if (err == STORE_OK)
		err = dir_list(store_root_fd(t.root), on_domain, &t);
	if (err != STORE_OK)
		cleanup_problem(c, "mail tree: %s", store_err_text(err));
	localtime_r(&now, &tm);
	strftime(t.day, sizeof(t.day), "%Y-%m-%d", &tm);
	if (err == STORE_OK && is_plausible(&t))
		for (size_t i = 0; i < t.count; i++)
			remove_tree(&t, &t.strays[i]);
	for (size_t i = 0; i < t.count; i++) {
		free(t.strays[i].domain);
		free(t.strays[i].localpart);
	}
	free(t.strays);
	store_root_close(t.root);
}
