/* Names in an account's directory that are ours while they are being worked on; no Maildir++ reader
 * lists a directory without a dot in front:
 *   sanger-new.<unique>    a folder being made          sanger-gone.<unique>   one being removed
 *   sanger-rename          what folder_rename() has begun: "1\n", then "<from>/<to>/" per directory */
#include "store/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"
#include "store/mailbox_name.h"

#define NEW_PREFIX            "sanger-new."
#define FILLED_PREFIX         NEW_PREFIX "filled." /* folder_prepare()'s */
#define GONE_PREFIX           "sanger-gone."
#define RENAME_FILE           "sanger-rename"
#define RENAME_VERSION        STR("1\n")
#define RENAME_FILE_MAX_BYTES (64u * 1024 * 1024)
#define MARKER_FILE           "maildirfolder" /* Courier's: "this is a folder, not an account" */

static const char *const SUBDIRS[] = { "tmp", "new", "cur" };

static enum store_err
failed(const struct home *home, const char *op, const char *name, enum store_err err)
{
	if (err == STORE_IO || err == STORE_FULL)
		log_error(home->log, "folder", "user=%s@%s op=%s mailbox=%s errno=%s",
		    home->localpart, home->domain, op, name, strerror(errno));
	return err;
}

/* A directory with a dot that has nothing of a Maildir is somebody's dot directory (".ssh"). */
static bool
is_maildir(int home_fd, const char *path)
{
	static const char *const SIGNS[] = { "cur", "new", MARKER_FILE };
	char at[MAILBOX_FOLDER_MAX_BYTES + 32];
	struct stat st;
	size_t len = strlen(path);

	if (len > MAILBOX_FOLDER_MAX_BYTES)
		return false;
	memcpy(at, path, len);
	at[len] = '/';
	for (size_t i = 0; i < ARRAY_LEN(SIGNS); i++) {
		strcpy(at + len + 1, SIGNS[i]);
		if (fstatat(home_fd, at, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

/* Is there this directory of a mailbox, and no link? */
static bool
is_folder(int home_fd, const char *path)
{
	return dir_exists(home_fd, path) && is_maildir(home_fd, path);
}

enum store_err
folder_path(int home_fd, const char *name, struct buf *out)
{
	size_t start = out->len;
	enum store_err err = mailbox_name_to_folder(out, str_from(name));
	struct buf plain = { 0 };

	if (err == STORE_OK && mailbox_name_to_utf8_folder(&plain, str_from(name)) &&
	    is_folder(home_fd, buf_cstr(&plain)) && !is_folder(home_fd, buf_cstr(out) + start)) {
		out->len = start;
		buf_add(out, plain.data, plain.len);
	}
	buf_free(&plain);
	return err;
}

bool
folder_name(int home_fd, const char *dir, struct buf *out)
{
	size_t start = out->len;
	struct buf other = { 0 };
	bool plain = mailbox_name_from_utf8_folder(out, str_from(dir));

	if (plain && mailbox_name_to_folder(&other, str_from(buf_cstr(out) + start)) == STORE_OK)
		plain = !is_folder(home_fd, buf_cstr(&other));
	buf_free(&other);
	if (plain)
		return true;
	out->len = start;
	return mailbox_name_from_folder(out, str_from(dir));
}

/* The folder's path below the account: ".A.B", or "." for INBOX.  NULL: no such name can be. */
static char *
path_of(const struct home *home, const char *name)
{
	struct buf path = { 0 };

	if (folder_path(home->fd, name, &path) != STORE_OK) {
		buf_free(&path);
		return NULL;
	}
	if (path.len == 0)
		buf_addc(&path, '.');
	return buf_take(&path);
}

static enum store_err
open_subdir(int fd, const char *name, bool make, int *fd_out)
{
	enum store_err err = dir_open(fd, name, fd_out);

	if (err != STORE_NOT_FOUND || !make)
		return err;
	err = dir_make(fd, name);
	return err == STORE_OK ? dir_open(fd, name, fd_out) : err;
}

enum store_err
maildir_open(const struct home *home, const char *name, struct maildir *dir_out)
{
	int *subs[] = { &dir_out->tmp_fd, &dir_out->new_fd, &dir_out->cur_fd };
	char *path = path_of(home, name);
	enum store_err err;

	*dir_out = (struct maildir){ -1, -1, -1, -1 };
	if (path == NULL)
		return STORE_INVALID;
	err = dir_open(home->fd, path, &dir_out->fd);
	if (err == STORE_OK && strcmp(path, ".") != 0 && !is_maildir(home->fd, path))
		err = STORE_NOT_FOUND;
	for (size_t i = 0; err == STORE_OK && i < ARRAY_LEN(SUBDIRS); i++)
		err = open_subdir(dir_out->fd, SUBDIRS[i], true, subs[i]);
	if (err != STORE_OK) {
		failed(home, "open", name, err);
		maildir_close(dir_out);
	}
	free(path);
	return err;
}

void
maildir_close(struct maildir *dir)
{
	int *fds[] = { &dir->fd, &dir->tmp_fd, &dir->new_fd, &dir->cur_fd };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static bool
same_file(int held_fd, int at_fd, const char *path)
{
	struct stat held, named;

	return fstat(held_fd, &held) == 0 &&
	       fstatat(at_fd, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

bool
maildir_is_current(const struct maildir *dir, const struct home *home, const char *name)
{
	char *path = path_of(home, name);
	bool current = path != NULL && same_file(dir->fd, home->fd, path) &&
		       same_file(dir->tmp_fd, dir->fd, "tmp") &&
		       same_file(dir->new_fd, dir->fd, "new") &&
		       same_file(dir->cur_fd, dir->fd, "cur");

	free(path);
	return current;
}

/* What folder_list() gathers. */
struct listing {
	int home_fd;
	struct folder_list *list;
	size_t room;
};

static void
list_add(struct listing *l, char *name, bool selectable)
{
	if (l->list->count == l->room) {
		l->room = l->room > 0 ? l->room * 2 : 16;
		l->list->items =
		    mem_realloc_array(l->list->items, l->room, sizeof(*l->list->items));
	}
	l->list->items[l->list->count++] =
	    (struct folder){ .name = name, .selectable = selectable };
}

static bool
list_entry(void *arg, const char *entry, unsigned char type)
{
	struct listing *l = arg;
	struct buf name = { 0 };

	if (entry[0] != '.' || type != DT_DIR)
		return true;
	if (!folder_name(l->home_fd, entry, &name) || !is_maildir(l->home_fd, entry))
		buf_free(&name);
	else
		list_add(l, buf_take(&name), true);
	return true;
}

static bool
is_inbox_or_below(const char *name)
{
	return strncmp(name, "INBOX", 5) == 0 && (name[5] == '\0' || name[5] == '/');
}

/* INBOX and its children first; then by bytes with '/' lowest, so children follow their parent; of
 * equal names the selectable one first. */
static int
compare_folders(const void *va, const void *vb)
{
	const struct folder *a = va, *b = vb;
	const unsigned char *p = (const unsigned char *)a->name,
			    *q = (const unsigned char *)b->name;

	if (is_inbox_or_below(a->name) != is_inbox_or_below(b->name))
		return is_inbox_or_below(a->name) ? -1 : 1;
	while (*p != '\0' && *p == *q) {
		p++;
		q++;
	}
	if (*p == *q)
		return (int)b->selectable - (int)a->selectable;
	if (*p == '\0' || *q == '\0')
		return *p == '\0' ? -1 : 1;
	if (*p == '/' || *q == '/')
		return *p == '/' ? -1 : 1;
	return *p < *q ? -1 : 1;
}

/* Parents that exist only because their children do. */
static void
list_add_parents(struct listing *l)
{
	size_t count = l->list->count;

	for (size_t i = 0; i < count; i++)
		for (const char *p = l->list->items[i].name; (p = strchr(p, '/')) != NULL; p++)
			list_add(l,
			    mem_strndup(
				l->list->items[i].name, (size_t)(p - l->list->items[i].name)),
			    false);
}

static void
list_finish(struct folder_list *list)
{
	size_t kept = 0;

	qsort(list->items, list->count, sizeof(*list->items), compare_folders);
	for (size_t i = 0; i < list->count; i++) {
		if (kept > 0 && strcmp(list->items[kept - 1].name, list->items[i].name) == 0)
			free(list->items[i].name);
		else
			list->items[kept++] = list->items[i];
	}
	list->count = kept;
	for (size_t i = 0; i + 1 < kept; i++)
		list->items[i].has_children = mailbox_name_is_below(
		    str_from(list->items[i + 1].name), str_from(list->items[i].name));
}

enum store_err
folder_list(const struct home *home, struct folder_list *list_out)
{
	struct listing l = { .home_fd = home->fd, .list = list_out };
	enum store_err err;

	*list_out = (struct folder_list){ 0 };
	list_add(&l, mem_strdup("INBOX"), true);
	err = dir_list(home->fd, list_entry, &l);
	if (err != STORE_OK) {
		failed(home, "list", "", err);
		folder_list_free(list_out);
		return err;
	}
	list_add_parents(&l);
	list_finish(list_out);
	return STORE_OK;
}

void
folder_list_free(struct folder_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].name);
	free(list->items);
	*list = (struct folder_list){ 0 };
}

bool
folder_exists(const struct home *home, const char *name)
{
	char *path = path_of(home, name);
	bool exists = path != NULL && (strcmp(path, ".") == 0 || is_folder(home->fd, path));

	free(path);
	return exists;
}

/* The directory with all that belongs in it, on disk. */
static enum store_err
build_folder(int home_fd, const char *path)
{
	enum store_err err = STORE_OK;
	int fd = -1, file;

	if (mkdirat(home_fd, path, DIR_MODE) < 0)
		return dir_err(errno);
	err = dir_open(home_fd, path, &fd);
	if (err != STORE_OK)
		return err;
	for (size_t i = 0; err == STORE_OK && i < ARRAY_LEN(SUBDIRS); i++)
		if (mkdirat(fd, SUBDIRS[i], DIR_MODE) < 0)
			err = dir_err(errno);
	if (err == STORE_OK)
		err = dir_open_file(fd, MARKER_FILE, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE, &file);
	if (err == STORE_OK) {
		close(file);
		err = dir_sync(fd);
	}
	close(fd);
	return err;
}

enum store_err
folder_create(const struct home *home, const char *name)
{
	char unique[DIR_UNIQUE_MAX_BYTES], *path, *making;
	enum store_err err;

	if (mailbox_name_is_inbox(name))
		return STORE_EXISTS;
	if (mailbox_name_problem(str_from(name)) != NULL)
		return STORE_INVALID;
	path = path_of(home, name);
	if (path == NULL)
		return STORE_INVALID;
	dir_unique_name(unique);
	making = mem_printf(NEW_PREFIX "%s", unique);
	err = dir_exists(home->fd, path) ? STORE_EXISTS : build_folder(home->fd, making);
	if (err == STORE_OK)
		err = dir_rename_new(home->fd, making, home->fd, path);
	if (err != STORE_OK) {
		failed(home, "create", name, err);
		dir_remove_tree(home->fd, making);
	} else {
		err = failed(home, "create", name, dir_sync(home->fd));
	}
	free(making);
	free(path);
	return err;
}

/* One that somebody is filling is locked. */
static bool
drop_abandoned(void *arg, const char *name, unsigned char type)
{
	const struct home *home = arg;
	int fd;

	if (type != DT_DIR || strncmp(name, FILLED_PREFIX, strlen(FILLED_PREFIX)) != 0 ||
	    dir_open(home->fd, name, &fd) != STORE_OK)
		return true;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		dir_remove_tree(home->fd, name);
	close(fd);
	return true;
}

enum store_err
folder_prepare(const struct home *home, char **making_out, int *fd_out)
{
	char unique[DIR_UNIQUE_MAX_BYTES];
	enum store_err err;

	dir_list(home->fd, drop_abandoned, (void *)(uintptr_t)home);
	dir_unique_name(unique);
	*fd_out = -1;
	*making_out = mem_printf(FILLED_PREFIX "%s", unique);
	err = build_folder(home->fd, *making_out);
	if (err == STORE_OK)
		err = dir_open(home->fd, *making_out, fd_out);
	if (err == STORE_OK) {
		flock(*fd_out, LOCK_EX);
		return STORE_OK;
	}
	failed(home, "create", "", err);
	folder_drop(home, *making_out);
	free(*making_out);
	*making_out = NULL;
	return err;
}

enum store_err
folder_place(const struct home *home, const char *making, const char *name)
{
	char *path = mailbox_name_is_inbox(name) ? NULL : path_of(home, name);
	enum store_err err;

	if (path == NULL)
		return STORE_INVALID;
	err = dir_rename_new(home->fd, making, home->fd, path);
	if (err == STORE_OK)
		err = dir_sync(home->fd);
	free(path);
	return failed(home, "create", name, err);
}

void
folder_drop(const struct home *home, const char *making)
{
	dir_remove_tree(home->fd, making);
}

enum store_err
folder_delete(const struct home *home, const char *name)
{
	char unique[DIR_UNIQUE_MAX_BYTES], *path, *gone;
	enum store_err err;

	if (mailbox_name_is_inbox(name))
		return STORE_INVALID;
	path = path_of(home, name);
	if (path == NULL)
		return STORE_INVALID;
	dir_unique_name(unique);
	gone = mem_printf(GONE_PREFIX "%s", unique);
	err = folder_exists(home, name) ? dir_rename_new(home->fd, path, home->fd, gone)
					: STORE_NOT_FOUND;
	if (err == STORE_OK)
		err = dir_sync(home->fd);
	if (err == STORE_OK && dir_remove_tree(home->fd, gone) != STORE_OK)
		log_warn(home->log, "folder-remains", "user=%s@%s directory=%s errno=%s",
		    home->localpart, home->domain, gone, strerror(errno));
	failed(home, "delete", name, err);
	free(gone);
	free(path);
	return err;
}

/* The plan of a rename: "<from>/<to>/" for each directory. */
struct rename_plan {
	struct buf text;
	size_t count;
};

static bool
plan_next(struct str *rest, char **from_out, char **to_out)
{
	const char *end = rest->p + rest->len, *first, *second;

	first = rest->len > 0 ? memchr(rest->p, '/', rest->len) : NULL;
	second = first != NULL ? memchr(first + 1, '/', (size_t)(end - first - 1)) : NULL;
	if (second == NULL)
		return false;
	*from_out = mem_strndup(rest->p, (size_t)(first - rest->p));
	*to_out = mem_strndup(first + 1, (size_t)(second - first - 1));
	*rest = (struct str){ second + 1, (size_t)(end - second - 1) };
	return true;
}

/* Does what is left to do; doing it twice is harmless.  A plan that was begun goes on where one of
 * its names has been taken meanwhile; one of a single step, not written down, fails. */
static enum store_err
plan_run(const struct home *home, struct str plan, bool begun)
{
	enum store_err err = STORE_OK;
	char *from, *to;

	while (err == STORE_OK && plan_next(&plan, &from, &to)) {
		if (from[0] == '.' && to[0] == '.' && dir_exists(home->fd, from))
			err = dir_rename_new(home->fd, from, home->fd, to);
		if (begun && (err == STORE_EXISTS || err == STORE_NOT_FOUND)) {
			log_warn(home->log, "folder-rename", "user=%s@%s from=%s to=%s reason=%s",
			    home->localpart, home->domain, from, to, store_err_text(err));
			err = STORE_OK; /* somebody else was at it; nothing is lost */
		}
		free(from);
		free(to);
	}
	return err == STORE_OK ? dir_sync(home->fd) : err;
}

static enum store_err
finish_rename(const struct home *home)
{
	struct buf plan = { 0 };
	struct str text;
	enum store_err err = dir_read_file(home->fd, RENAME_FILE, RENAME_FILE_MAX_BYTES, &plan);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	text = (struct str){ plan.data, plan.len };
	if (str_has_prefix(text, RENAME_VERSION)) {
		text.p += RENAME_VERSION.len;
		text.len -= RENAME_VERSION.len;
		err = plan_run(home, text, true);
	} else {
		log_error(home->log, "folder-rename", "user=%s@%s reason=%s", home->localpart,
		    home->domain, "damaged plan");
	}
	buf_free(&plan);
	if (err == STORE_OK && unlinkat(home->fd, RENAME_FILE, 0) < 0 && errno != ENOENT)
		err = dir_err(errno);
	return err;
}

/* One directory more, if its new name can be and is free. */
static enum store_err
plan_add(const struct home *home, struct rename_plan *plan, const char *name, const char *from,
    const char *to)
{
	char *new_name = mem_printf("%s%s", to, name + strlen(from));
	char *old_path = path_of(home, name), *new_path = path_of(home, new_name);
	enum store_err err = STORE_OK;

	if (old_path == NULL || new_path == NULL || mailbox_name_problem(str_from(to)) != NULL)
		err = STORE_INVALID;
	else if (dir_exists(home->fd, new_path))
		err = STORE_EXISTS;
	if (err == STORE_OK) {
		buf_printf(&plan->text, "%s/%s/", old_path, new_path);
		plan->count++;
	}
	free(old_path);
	free(new_path);
	free(new_name);
	return err;
}

static enum store_err
plan_make(const struct home *home, const char *from, const char *to, struct rename_plan *plan_out)
{
	struct folder_list list;
	enum store_err err = folder_list(home, &list);

	buf_add(&plan_out->text, RENAME_VERSION.p, RENAME_VERSION.len);
	for (size_t i = 0; err == STORE_OK && i < list.count; i++) {
		const struct folder *f = &list.items[i];

		if (f->selectable && (strcmp(f->name, from) == 0 ||
					 mailbox_name_is_below(str_from(f->name), str_from(from))))
			err = plan_add(home, plan_out, f->name, from, to);
	}
	folder_list_free(&list);
	return err == STORE_OK && plan_out->count == 0 ? STORE_NOT_FOUND : err;
}

/* Writes down what will be done, does it, and forgets it. */
static enum store_err
plan_commit(const struct home *home, const struct rename_plan *plan)
{
	struct str text = { plan->text.data, plan->text.len };
	enum store_err err;

	if (plan->count == 1) { /* one rename is whole by itself */
		text.p += RENAME_VERSION.len;
		text.len -= RENAME_VERSION.len;
		return plan_run(home, text, false);
	}
	err = dir_replace_file(home->fd, RENAME_FILE, text, true);
	return err == STORE_OK ? finish_rename(home) : err;
}

enum store_err
folder_rename(const struct home *home, const char *from, const char *to)
{
	struct buf from_name = { 0 }, to_name = { 0 };
	struct rename_plan plan = { 0 };
	enum store_err err = STORE_OK;

	mailbox_name_canonical(&from_name, str_from(from));
	mailbox_name_canonical(&to_name, str_from(to));
	from = buf_cstr(&from_name);
	to = buf_cstr(&to_name);
	if (mailbox_name_is_inbox(from) || mailbox_name_is_below(str_from(to), str_from(from)))
		err = STORE_INVALID;
	else if (mailbox_name_is_inbox(to) || strcmp(from, to) == 0)
		err = STORE_EXISTS;
	if (err == STORE_OK)
		err = finish_rename(home);
	if (err == STORE_OK && folder_exists(home, to))
		err = STORE_EXISTS;
	if (err == STORE_OK)
		err = plan_make(home, from, to, &plan);
	if (err == STORE_OK)
		err = plan_commit(home, &plan);
	failed(home, "rename", from, err);
	buf_free(&plan.text);
	buf_free(&from_name);
	buf_free(&to_name);
	return err;
}

/* Leftovers in the account's directory. */
struct cleaning {
	const struct home *home;
	time_t now;
	struct buf names; /* NUL-terminated, one behind the other */
};

/* Both: mtime is INTERNALDATE in our files, ctime moves with backups. */
static bool
is_old(int fd, const char *name, time_t now)
{
	struct stat st;

	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       now - st.st_mtime > FOLDER_TMP_MAX_AGE_S && now - st.st_ctime > FOLDER_TMP_MAX_AGE_S;
}

static bool
is_replacement_rest(const char *name)
{
	static const char *const FILES[] = { "sanger-account.new.", "sanger-mailbox.new.",
		"sanger-keywords.new.", "sanger-rename.new.", "maildirsize.new.",
		"subscriptions.new.", "dovecot-keywords.new." };

	for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
		if (strncmp(name, FILES[i], strlen(FILES[i])) == 0)
			return true;
	return false;
}

static bool
clean_entry(void *arg, const char *name, unsigned char type)
{
	struct cleaning *c = arg;
	bool remove = false;

	if (type == DT_DIR && strncmp(name, GONE_PREFIX, strlen(GONE_PREFIX)) == 0)
		remove = true;
	else if ((type == DT_DIR && strncmp(name, NEW_PREFIX, strlen(NEW_PREFIX)) == 0) ||
		 (type == DT_REG && is_replacement_rest(name)))
		remove = is_old(c->home->fd, name, c->now);
	if (remove)
		buf_add(&c->names, name, strlen(name) + 1);
	return true;
}

enum store_err
folder_clean(const struct home *home)
{
	struct cleaning c = { .home = home, .now = time(NULL) };
	enum store_err err = finish_rename(home);

	if (err == STORE_OK)
		err = dir_list(home->fd, clean_entry, &c);
	for (size_t at = 0; err == STORE_OK && at < c.names.len;
	     at += strlen(c.names.data + at) + 1) {
		const char *name = c.names.data + at;

		if (strncmp(name, "sanger-new.", 11) == 0 || strncmp(name, "sanger-gone.", 12) == 0)
			err = dir_remove_tree(home->fd, name);
		else if (unlinkat(home->fd, name, 0) < 0 && errno != ENOENT)
			err = dir_err(errno);
	}
	failed(home, "clean", "", err);
	buf_free(&c.names);
	return err;
}

struct tmp_cleaning {
	int fd;
	time_t now;
	bool only_ours; /* the folder itself: what is left of replaced small files */
	bool dry_run;
	size_t removed;
};

static bool
clean_tmp_entry(void *arg, const char *name, unsigned char type)
{
	struct tmp_cleaning *c = arg;

	if (type == DT_REG && (!c->only_ours || is_replacement_rest(name)) &&
	    is_old(c->fd, name, c->now) && (c->dry_run || unlinkat(c->fd, name, 0) == 0))
		c->removed++;
	return true;
}

enum store_err
folder_clean_tmp(const struct maildir *dir, time_t now, bool dry_run, size_t *removed_out)
{
	struct tmp_cleaning c = { .fd = dir->tmp_fd, .now = now, .dry_run = dry_run };
	enum store_err err = dir_list(dir->tmp_fd, clean_tmp_entry, &c);

	c.fd = dir->fd;
	c.only_ours = true;
	if (err == STORE_OK)
		err = dir_list(dir->fd, clean_tmp_entry, &c);
	*removed_out = c.removed;
	return err;
}
