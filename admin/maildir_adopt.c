#include "admin/maildir_adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/maildir_bytes.h"
#include "base/mem.h"
#include "store/account_acl.h"
#include "store/dir.h"
#include "store/folder.h"

struct adoption {
	struct admin *a;
	const struct account_row *row;
	struct source_tree *tree;
	const char *label;
	char *domain, *localpart; /* as directories */
};

/* --- checks -------------------------------------------------------------------------------------- */

struct checks {
	int fd;
	const char *dir;
	struct buf first; /* of what is wrong */
	size_t wrong;
};

/* The server's own user must own all of it, and may read and write it. */
static void
check_file(struct checks *c, const char *path, bool is_dir)
{
	const mode_t need = is_dir ? 0700 : 0600;
	struct stat st;

	if (fstatat(c->fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	if (st.st_uid == geteuid() && (st.st_mode & need) == need)
		return;
	if (c->wrong++ == 0)
		buf_printf(&c->first, "%s/%s belongs to user %lu with mode %04o", c->dir, path,
		    (unsigned long)st.st_uid, (unsigned)(st.st_mode & 07777));
}

static bool
on_checked(void *arg, const char *name, unsigned char type)
{
	struct checks *c = arg;

	check_file(c, name, type == DT_DIR);
	return true;
}

static void
check_directory(const struct source_tree *tree, const char *dir, struct checks *c)
{
	if (dir_open(tree->fd, *dir != '\0' ? dir : ".", &c->fd) != STORE_OK) {
		if (c->wrong++ == 0)
			buf_printf(&c->first, "%s/%s: %s", tree->path, dir, strerror(errno));
		return;
	}
	dir_list(c->fd, on_checked, c);
	close(c->fd);
}

static bool
check_owner(const struct adoption *ad)
{
	static const char *const SUBS[] = { "", "cur", "new", "tmp" };
	struct checks c = { 0 };

	for (size_t i = 0; i < ad->tree->count * ARRAY_LEN(SUBS); i++) {
		const char *dir = ad->tree->folders[i / ARRAY_LEN(SUBS)].dir;
		const char *sub = SUBS[i % ARRAY_LEN(SUBS)];
		char *path =
		    mem_printf("%s%s%s", dir, *dir != '\0' && *sub != '\0' ? "/" : "", sub);

		c.dir = path;
		if (*sub == '\0' || dir_exists(ad->tree->fd, path))
			check_directory(ad->tree, path, &c);
		free(path);
	}
	if (c.wrong > 0)
		admin_refuse("%s: %zu file%s of %s cannot stay as %s: %s; chown -R %lu %s first",
		    ad->label, c.wrong, c.wrong == 1 ? "" : "s", ad->tree->path,
		    c.wrong == 1 ? "it is" : "they are", buf_cstr(&c.first),
		    (unsigned long)geteuid(), ad->tree->path);
	buf_free(&c.first);
	return c.wrong == 0;
}

static bool
check_layout(const struct adoption *ad)
{
	bool inbox = false;

	for (size_t i = 0; i < ad->tree->count; i++) {
		const char *dir = ad->tree->folders[i].dir;

		inbox = inbox || *dir == '\0';
		if (*dir != '\0' && *dir != '.') {
			admin_refuse(
			    "%s: %s is of Dovecot's LAYOUT=fs, which can be copied (without "
			    "--in-place), not taken over in place",
			    ad->label, ad->tree->path);
			return false;
		}
	}
	if (!inbox)
		admin_refuse("%s: %s has no INBOX: neither cur nor new", ad->label, ad->tree->path);
	return inbox;
}

/* Packed messages would be served as they lie there. */
static bool
check_bytes(
    const struct adoption *ad, const struct source_folder *folder, const struct source_mailbox *box)
{
	for (size_t i = 0; i < box->count; i++) {
		const char *why = NULL;
		char start[16];
		ssize_t n;
		int fd;

		if (source_message_open(ad->tree, folder, &box->messages[i], &fd) != STORE_OK)
			continue;
		n = pread(fd, start, sizeof(start), 0);
		close(fd);
		if (n < 0 ||
		    maildir_bytes_packing((struct str){ start, (size_t)n }, &why) == MAILDIR_PLAIN)
			continue;
		admin_refuse("%s: %s: %s: %s", ad->label, folder->name, box->messages[i].path,
		    why != NULL ? why : "packed with gzip: import without --in-place unpacks it");
		return false;
	}
	return true;
}

/* --- the place ----------------------------------------------------------------------------------- */

static bool
is_empty(struct account *mail)
{
	struct mailbox_list list = { 0 };
	bool empty = account_list(mail, &list) == STORE_OK;

	for (size_t i = 0; i < list.count && empty; i++) {
		struct mailbox_status s;

		if ((list.boxes[i].attributes & MAILBOX_NONEXISTENT) == 0)
			empty = account_status(mail, list.boxes[i].name, &s) == STORE_OK &&
				s.messages == 0;
	}
	mailbox_list_free(&list);
	return empty;
}

static bool
rename_failed(const struct adoption *ad)
{
	if (errno == EXDEV)
		admin_refuse("%s: %s lies on another file system: import it without --in-place",
		    ad->label, ad->tree->path);
	else
		admin_refuse("%s: renaming %s: %s", ad->label, ad->tree->path, strerror(errno));
	return false;
}

/* What the account has that is no mail, and mail that can still be undeleted, goes along. */
static bool
take_along(const struct adoption *ad, int old_fd, int new_fd)
{
	static const char *const NAMES[] = { "state.db", "state.db-wal", "state.db-shm",
		"sanger-expunged" };

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		enum store_err err = dir_rename_new(old_fd, NAMES[i], new_fd, NAMES[i]);

		if (err != STORE_OK && err != STORE_NOT_FOUND)
			return admin_refuse("%s: %s: %s", ad->label, NAMES[i],
				   store_err_text(err)) == ADMIN_DONE;
	}
	return dir_sync(new_fd) == STORE_OK;
}

/* What came into the empty tree at the last moment goes into the new one; then the old one goes. */
static bool
clear_old_tree(const struct adoption *ad, struct account *mail, int parent_fd, const char *base)
{
	const struct maildir_import_options all = { 0 };
	struct source_tree old;
	struct buf problem = { 0 };
	bool ok = source_tree_open(ad->tree->path, &old, &problem);

	if (!ok)
		admin_refuse("%s: %s", ad->label, buf_cstr(&problem));
	ok = ok && (source_tree_count(&old) == 0 ||
		       maildir_import(mail, &old, ad->label, &all, NULL, NULL));
	ok = ok && take_along(ad, old.fd, account_dir_fd(mail));
	ok = ok && dir_remove_tree(parent_fd, base) == STORE_OK && dir_sync(parent_fd) == STORE_OK;
	buf_free(&problem);
	source_tree_close(&old);
	return ok;
}

static enum store_err
make_domain(const struct adoption *ad, int *fd_out)
{
	const char *root = config_string(ad->a->config, "store.mail_root");
	int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum store_err err;

	if (root_fd < 0)
		return store_err_from_errno(errno);
	err = dir_make(root_fd, ad->domain);
	if (err == STORE_OK)
		err = dir_open(root_fd, ad->domain, fd_out);
	close(root_fd);
	return err;
}

/* One rename, so that there is never half a tree; with an empty tree in the place the two change places. */
static bool
swap_in(struct adoption *ad, bool there, int domain_fd)
{
	char *copy = mem_strdup(ad->tree->path), *copy_2 = mem_strdup(ad->tree->path);
	const char *base = basename(copy);
	int parent_fd = open(dirname(copy_2), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct account *mail = NULL;
	bool ok = parent_fd >= 0;

	if (!ok || renameat2(parent_fd, base, domain_fd, ad->localpart,
		       there ? RENAME_EXCHANGE : RENAME_NOREPLACE) != 0)
		ok = rename_failed(ad);
	else if (fsync(domain_fd) != 0 || fsync(parent_fd) != 0)
		ok = rename_failed(ad);
	if (ok && there) {
		enum store_err err =
		    account_open(ad->a->store, ad->row->localpart, ad->row->domain, 0, &mail);

		ok = err == STORE_OK && clear_old_tree(ad, mail, parent_fd, base);
		if (!ok)
			admin_refuse("%s: the empty tree that was there before is now %s",
			    ad->label, ad->tree->path);
	}
	shares_forget(config_string(ad->a->config, "store.mail_root"));
	account_close(mail);
	if (parent_fd >= 0)
		close(parent_fd);
	free(copy);
	free(copy_2);
	return ok;
}

static bool
is_in_place(const struct adoption *ad, int domain_fd)
{
	struct stat a, b;

	return fstat(ad->tree->fd, &a) == 0 &&
	       fstatat(domain_fd, ad->localpart, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool
put_in_place(struct adoption *ad)
{
	struct account *mail = NULL;
	bool there, ok = true;
	int domain_fd = -1;
	enum store_err err = make_domain(ad, &domain_fd);

	if (err != STORE_OK) {
		admin_refuse("%s: store.mail_root: %s", ad->label, store_err_text(err));
		return false;
	}
	if (!is_in_place(ad, domain_fd)) {
		err = account_open(ad->a->store, ad->row->localpart, ad->row->domain, 0, &mail);
		there = err == STORE_OK;
		if (err != STORE_OK && err != STORE_NOT_FOUND)
			ok = admin_result(err, ad->label) == ADMIN_DONE;
		else if (there && !is_empty(mail))
			ok = admin_refuse("%s has mail already: import without --in-place to add "
					  "to it",
				 ad->label) == ADMIN_DONE;
		account_close(mail);
		ok = ok && swap_in(ad, there, domain_fd);
	}
	close(domain_fd);
	return ok;
}

/* --- all of it ----------------------------------------------------------------------------------- */

static bool
report_folder(struct adoption *ad, struct account *mail, size_t i,
    const struct source_mailbox *before, maildir_import_row_fn *result, void *arg)
{
	struct maildir_import_result r = { .mailbox = ad->tree->folders[i].name,
		.messages = before->count,
		.keywords = before->keyword_count,
		.damaged = before->damaged_lines };
	struct mailbox_status s;
	struct buf name = { 0 };
	enum store_err err = STORE_OK;

	/* In place names stay as they are, also those that nobody could choose. */
	if (!folder_name(ad->tree->fd, ad->tree->folders[i].dir, &name))
		err = STORE_INVALID;
	if (err == STORE_OK)
		err = account_status(mail, buf_cstr(&name), &s);
	if (err == STORE_OK) {
		r.same_uidvalidity =
		    before->uidvalidity != 0 && s.uidvalidity == before->uidvalidity;
		for (size_t k = 0; r.same_uidvalidity && k < before->count; k++)
			r.uids_kept += before->messages[k].uid != 0;
		result(arg, &r);
	} else {
		admin_refuse("%s: %s: %s", ad->label, r.mailbox, store_err_text(err));
	}
	buf_free(&name);
	return err == STORE_OK;
}

/* Opens every mailbox once, so that what is wrong shows now; and the lists as they were are kept for the report. */
static bool
adopt(struct adoption *ad, maildir_import_row_fn *result, void *arg)
{
	struct source_mailbox *before = mem_zalloc((ad->tree->count + 1) * sizeof(*before));
	struct account *mail = NULL;
	bool ok = true;

	for (size_t i = 0; i < ad->tree->count && ok; i++) {
		const struct source_folder *folder = &ad->tree->folders[i];

		ok = admin_result(source_mailbox_read(ad->tree, folder, &before[i]),
			 folder->name) == ADMIN_DONE &&
		     check_bytes(ad, folder, &before[i]);
	}
	ok = ok && put_in_place(ad);
	ok = ok && admin_open_mail(ad->a, ad->row, &mail);
	for (size_t i = 0; i < ad->tree->count; i++) {
		if (ok)
			ok = report_folder(ad, mail, i, &before[i], result, arg);
		source_mailbox_free(&before[i]);
	}
	if (ok)
		ok = admin_result(account_quota_recount(mail), ad->label) == ADMIN_DONE;
	account_close(mail);
	free(before);
	return ok;
}

bool
maildir_adopt(struct admin *a, const struct account_row *row, struct source_tree *tree,
    const char *label, maildir_import_row_fn *result, void *arg)
{
	struct adoption ad = { .a = a,
		.row = row,
		.tree = tree,
		.label = label,
		.domain = mem_strdup(row->domain),
		.localpart = mem_strdup(row->localpart) };
	bool ok;

	ascii_lower_all(ad.domain, strlen(ad.domain));
	ascii_lower_all(ad.localpart, strlen(ad.localpart));
	ok =
	    admin_open_store(a) && check_layout(&ad) && check_owner(&ad) && adopt(&ad, result, arg);
	free(ad.domain);
	free(ad.localpart);
	return ok;
}
