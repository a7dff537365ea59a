#include "store/account_view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/account_internal.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/sync_internal.h"

#define LIST_TRIES 4 /* while a foreign program renames in a folder */

/* A folder as it was listed, and the stamps by which to see whether it still is so. */
struct listed {
	struct view_folder folder;
	struct index_stamp cur_stamp, new_stamp;
	bool racy;
};

struct listing {
	struct account_view *view;
	struct listed *items;
	size_t count;
};

/* --- names -------------------------------------------------------------------------------------- */

struct names {
	struct arena *arena;
	const char **names;
	size_t count, cap;
};

static bool
add_name(void *arg, const char *name, unsigned char type)
{
	struct names *n = arg;
	struct maildir_name parsed;

	if (type != DT_REG || !maildir_name_parse(str_from(name), &parsed))
		return true;
	if (n->count == n->cap) {
		n->cap = n->cap == 0 ? 64 : 2 * n->cap;
		n->names = mem_realloc_array(n->names, n->cap, sizeof(*n->names));
	}
	n->names[n->count++] = arena_strdup(n->arena, name);
	return true;
}

static enum store_err
list_names(struct account_view *view, int home_fd, const char *path, const char ***names_out,
    size_t *count_out)
{
	struct names n = { .arena = &view->arena };
	enum store_err err;
	int fd;

	*count_out = 0;
	free(*names_out);
	*names_out = NULL;
	err = dir_open(home_fd, path, &fd);
	if (err == STORE_NOT_FOUND)
		return STORE_OK; /* a folder of another program that has no new/ yet */
	if (err == STORE_OK) {
		err = dir_list(fd, add_name, &n);
		close(fd);
	}
	*names_out = n.names;
	*count_out = n.count;
	return err;
}

static void
read_stamps(int home_fd, struct listed *l, struct index_stamp *cur, struct index_stamp *fresh)
{
	char *path = mem_printf("%scur", l->folder.path);

	sync_read_stamp(home_fd, path, cur);
	free(path);
	path = mem_printf("%snew", l->folder.path);
	sync_read_stamp(home_fd, path, fresh);
	free(path);
}

/* Lists cur/ and new/.  new/ goes first: what is moved on from there meanwhile is then seen in both, and the stamps tell. */
static enum store_err
list_folder(struct account_view *view, int home_fd, struct listed *l)
{
	struct view_folder *f = &l->folder;
	char *cur = mem_printf("%scur", f->path), *fresh = mem_printf("%snew", f->path);
	char *marker = mem_printf("%smaildirfolder", f->path);
	enum store_err err;

	read_stamps(home_fd, l, &l->cur_stamp, &l->new_stamp);
	l->racy = sync_stamp_is_racy(&l->cur_stamp) || sync_stamp_is_racy(&l->new_stamp);
	err = list_names(view, home_fd, fresh, &f->fresh, &f->fresh_count);
	if (err == STORE_OK)
		err = list_names(view, home_fd, cur, &f->cur, &f->cur_count);
	f->has_marker = account_has_file(home_fd, marker);
	free(cur);
	free(fresh);
	free(marker);
	return err;
}

static bool
is_unchanged(int home_fd, struct listed *l)
{
	struct index_stamp cur, fresh;

	read_stamps(home_fd, l, &cur, &fresh);
	return !l->racy && sync_stamp_eq(&cur, &l->cur_stamp) &&
	       sync_stamp_eq(&fresh, &l->new_stamp);
}

/* Under the writer lock only foreign programs change cur/, and deliveries new/: once more, then it is taken as it is. */
static enum store_err
list_again(struct account_view *view, int home_fd, struct listed *l)
{
	enum store_err err = STORE_OK;

	for (int i = 0; i < LIST_TRIES && err == STORE_OK; i++) {
		struct index_stamp cur, fresh;

		err = list_folder(view, home_fd, l);
		read_stamps(home_fd, l, &cur, &fresh);
		if (sync_stamp_eq(&cur, &l->cur_stamp))
			break;
	}
	return err;
}

/* --- folders ------------------------------------------------------------------------------------ */

/* `hint`: mostly it stands where it stood. */
static struct listed *
find_listed(struct listing *l, size_t hint, const char *path)
{
	if (hint < l->count && strcmp(l->items[hint].folder.path, path) == 0)
		return &l->items[hint];
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->items[i].folder.path, path) == 0)
			return &l->items[i];
	return NULL;
}

static void
listing_free(struct listing *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->items[i].folder.cur);
		free(l->items[i].folder.fresh);
	}
	free(l->items);
	*l = (struct listing){ 0 };
}

/* The folders there are now; what `before` (NULL: nothing) has of one that has not changed is taken from there. */
static enum store_err
list_folders(
    struct account *acct, struct account_view *view, struct listing *before, struct listing *out)
{
	struct folder_list folders;
	enum store_err err = folder_list(acct->home, &folders);

	*out = (struct listing){ .view = view };
	if (err != STORE_OK)
		return err;
	out->items = mem_zalloc((folders.count + 1) * sizeof(*out->items));
	for (size_t i = 0; i < folders.count && err == STORE_OK; i++) {
		struct listed *l = &out->items[out->count], *known;
		struct buf path = { 0 };

		if (!folders.items[i].selectable ||
		    account_folder_prefix(acct, folders.items[i].name, &path) != STORE_OK)
			continue;
		known = before != NULL ? find_listed(before, out->count, buf_cstr(&path)) : NULL;
		out->count++;
		if (known != NULL && is_unchanged(acct->home->fd, known)) {
			*l = *known;
			*known = (struct listed){ .folder.path = "?" };
		} else {
			l->folder.path = arena_strdup(&view->arena, buf_cstr(&path));
			err = before != NULL ? list_again(view, acct->home->fd, l)
					     : list_folder(view, acct->home->fd, l);
		}
		buf_free(&path);
	}
	folder_list_free(&folders);
	return err;
}

/* --- small files -------------------------------------------------------------------------------- */

bool
account_view_wants(const char *name)
{
	static const char *const NOT[] = { "index.db", "search.db", "state.db", "maildirsize",
		"dovecot.index", "dovecot.list.index", "dovecot-uidlist.tmp", "sanger-new.",
		"sanger-gone." };
	static const char *const NOT_ENDS[] = { ".lock", ".tmp" };
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_LEN(NOT); i++)
		if (strncmp(name, NOT[i], strlen(NOT[i])) == 0)
			return false;
	for (size_t i = 0; i < ARRAY_LEN(NOT_ENDS); i++) {
		size_t end = strlen(NOT_ENDS[i]);

		if (len >= end && strcmp(name + len - end, NOT_ENDS[i]) == 0)
			return false;
	}
	return strstr(name, ".new.") == NULL; /* half-written: dir_replace_file() */
}

struct file_reading {
	struct account_view *view;
	const char *folder, *below; /* path of the folder; a directory in it, or "" */
	int fd;
	size_t cap;
	enum store_err err;
};

static void
read_one(struct file_reading *r, const char *name)
{
	struct account_view *view = r->view;
	struct buf bytes = { 0 };
	struct stat st;
	enum store_err err = dir_read_file(r->fd, name, VIEW_FILE_MAX_BYTES, &bytes);

	if (err == STORE_OK && fstatat(r->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		err = dir_err(errno);
	if (err == STORE_OK) {
		if (view->file_count % 64 == 0)
			view->files = mem_realloc_array(
			    view->files, view->file_count + 64, sizeof(*view->files));
		view->files[view->file_count++] = (struct view_file){
			.path = arena_printf(&view->arena, "%s%s%s", r->folder, r->below, name),
			.bytes = { arena_strndup(
				       &view->arena, bytes.len > 0 ? bytes.data : "", bytes.len),
			    bytes.len },
			.mtime_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec,
			.inode = st.st_ino,
		};
	} else if (err != STORE_NOT_FOUND) { /* gone again: it was somebody's temporary file */
		r->err = err;
	}
	buf_free(&bytes);
}

static bool
read_entry(void *arg, const char *name, unsigned char type)
{
	struct file_reading *r = arg;

	if (type == DT_REG && account_view_wants(name))
		read_one(r, name);
	return r->err == STORE_OK;
}

static enum store_err
read_files_in(
    struct account *acct, struct account_view *view, const char *folder, const char *below)
{
	struct file_reading r = { .view = view, .folder = folder, .below = below };
	char *path = mem_printf("%s%s.", folder, below);
	enum store_err err = dir_open(acct->home->fd, path, &r.fd);

	free(path);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	err = dir_list(r.fd, read_entry, &r);
	close(r.fd);
	return err == STORE_OK ? r.err : err;
}

static enum store_err
read_files(struct account *acct, struct account_view *view, const struct listing *l)
{
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < l->count && err == STORE_OK; i++) {
		err = read_files_in(acct, view, l->items[i].folder.path, "");
		if (err == STORE_OK) /* Courier's, in adopted trees */
			err = read_files_in(
			    acct, view, l->items[i].folder.path, "courierimapkeywords/");
	}
	return err;
}

/* --- the moment --------------------------------------------------------------------------------- */

/* The writer lock, with what a dead process left undone finished.  Where the index cannot be had (a full disk), the
 * directory's lock does: it is the one that keeps others out. */
static enum store_err
lock_account(struct account *acct, bool *with_index_out)
{
	enum store_err err;
	int tries = 0;

	do
		err = account_write_begin(acct);
	while (account_should_retry(acct, err, &tries));
	*with_index_out = err == STORE_OK;
	if (err == STORE_OK || err == STORE_BUSY || err == STORE_NOT_FOUND)
		return err;
	pthread_mutex_lock(&acct->write_mutex);
	err = home_lock(acct->home, STORE_LOCK_WAIT_S * 1000, &acct->lock);
	if (err != STORE_OK)
		pthread_mutex_unlock(&acct->write_mutex);
	return err;
}

static void
unlock_account(struct account *acct, bool with_index)
{
	if (with_index) {
		account_write_end(acct, STORE_OK);
		return;
	}
	home_unlock(&acct->lock);
	pthread_mutex_unlock(&acct->write_mutex);
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Hands the folders over to the view. */
static void
keep_folders(struct account_view *view, struct listing *l)
{
	view->folders = mem_zalloc((l->count + 1) * sizeof(*view->folders));
	view->folder_count = l->count;
	for (size_t i = 0; i < l->count; i++)
		view->folders[i] = l->items[i].folder;
	free(l->items);
	*l = (struct listing){ 0 };
}

enum store_err
account_view_take(struct account *acct, bool hold, struct account_view *view_out)
{
	struct listing before = { 0 }, now = { 0 };
	bool with_index;
	uint64_t since;
	enum store_err err = list_folders(acct, view_out, NULL, &before);

	if (err != STORE_OK)
		goto out;
	err = lock_account(acct, &with_index);
	if (err != STORE_OK)
		goto out;
	since = now_us();
	view_out->taken_s = time(NULL);
	err = list_folders(acct, view_out, &before, &now);
	if (err == STORE_OK)
		err = read_files(acct, view_out, &now);
	view_out->locked_us = now_us() - since;
	if (hold) {
		view_out->held = acct;
		view_out->held_with_index = with_index;
	} else {
		unlock_account(acct, with_index);
	}
	if (err == STORE_OK)
		keep_folders(view_out, &now);
out:
	listing_free(&before);
	listing_free(&now);
	return err;
}

void
account_view_free(struct account_view *view)
{
	if (view->held != NULL)
		unlock_account(view->held, view->held_with_index);
	for (size_t i = 0; i < view->folder_count; i++) {
		free(view->folders[i].cur);
		free(view->folders[i].fresh);
	}
	free(view->folders);
	free(view->files);
	arena_free(&view->arena);
	*view = (struct account_view){ 0 };
}
