/* Into the kept area, and what has to go from it.  kept_list.c reads it and brings back.  See kept.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/folder.h"
#include "store/kept_format.h"
#include "store/kept_internal.h"
#include "store/mailbox_internal.h"

#define PLACE_TRIES 16                 /* directories of the same hash, for different mailboxes */
#define PRUNED_MARK KEPT_DIR "/pruned" /* its mtime is when that was done last */

bool
kept_wanted(const struct account *acct)
{
	struct statvfs vfs;

	if (acct->st->keep_s == 0)
		return false;
	return acct->st->free_floor_bytes == 0 || fstatvfs(acct->home->fd, &vfs) != 0 ||
	       (uint64_t)vfs.f_bavail * vfs.f_frsize >= acct->st->free_floor_bytes;
}

/* --- messages ---------------------------------------------------------------------------------- */

/* A directory in the kept area that says of itself `text`; made if there is none. */
static enum store_err
open_place(int kept_fd, struct str text, int *fd_out)
{
	char name[KEPT_PLACE_BYTES];
	struct buf found = { 0 };
	enum store_err err = STORE_EXISTS;

	for (unsigned i = 0; i < PLACE_TRIES && err == STORE_EXISTS; i++) {
		kept_place_name(text, i, name);
		err = dir_open(kept_fd, name, fd_out);
		if (err == STORE_NOT_FOUND) {
			err = dir_make(kept_fd, name);
			if (err == STORE_OK)
				err = dir_open(kept_fd, name, fd_out);
		}
		if (err != STORE_OK)
			break;
		buf_reset(&found);
		err = dir_read_file(*fd_out, KEPT_PLACE_FILE, KEPT_PLACE_MAX_BYTES, &found);
		if (err == STORE_NOT_FOUND)
			err = dir_replace_file(*fd_out, KEPT_PLACE_FILE, text, true);
		else if (err == STORE_LIMIT ||
			 (err == STORE_OK && !str_eq((struct str){ found.data, found.len }, text)))
			err = STORE_EXISTS;
		if (err != STORE_OK)
			close(*fd_out);
	}
	buf_free(&found);
	return err;
}

static void
describe(const struct sync_box *sb, struct buf *out)
{
	struct kept_place place = { .mailbox = sb->row.name,
		.mailbox_id = sb->file.mailbox_id,
		.uidvalidity = sb->row.uidvalidity };

	for (unsigned i = 0; i < KEYWORDS_LETTERS; i++)
		place.letters[i] = sb->keywords[i];
	kept_place_format(&place, out);
}

enum store_err
keeping_begin(struct keeping *k, struct sync_box *sb)
{
	struct buf text = { 0 };
	enum store_err err;
	int kept_fd;

	*k = (struct keeping){ .sb = sb, .fd = -1, .now_s = time(NULL) };
	if (!kept_wanted(sb->acct))
		return STORE_OK;
	describe(sb, &text);
	err = dir_open(sb->acct->home->fd, KEPT_DIR, &kept_fd);
	if (err == STORE_NOT_FOUND) {
		err = dir_make(sb->acct->home->fd, KEPT_DIR);
		if (err == STORE_OK)
			err = dir_open(sb->acct->home->fd, KEPT_DIR, &kept_fd);
	}
	if (err == STORE_OK) {
		err = open_place(kept_fd, (struct str){ text.data, text.len }, &k->fd);
		close(kept_fd);
	}
	if (err != STORE_OK) {
		log_error(account_log(sb->acct), "kept", "account=%s mailbox=%s op=begin error=%s",
		    sb->acct->address, sb->row.name, store_err_text(err));
		k->fd = -1;
	}
	buf_free(&text);
	/* A full disk must not keep anybody from making room. */
	return err == STORE_FULL ? STORE_OK : err;
}

void
keeping_end(struct keeping *k)
{
	if (k->fd >= 0)
		close(k->fd);
	keyword_list_free(&k->extra);
	k->fd = -1;
}

static enum store_err
announce_one(struct keeping *k, const struct index_message *m)
{
	struct str names[MAILBOX_KEYWORDS_MAX];
	struct maildir_name name;
	enum store_err err = STORE_OK;
	size_t count = 0;

	for (unsigned i = KEYWORDS_LETTERS; i < k->sb->keyword_count; i++) {
		if (keyword_set_has(&m->keywords, i) && k->sb->keywords[i] != NULL)
			names[count++] = str_from(k->sb->keywords[i]);
	}
	if (count == 0 || !maildir_name_parse(str_from(m->name), &name))
		return STORE_OK;
	if (!k->extra_loaded)
		err = keyword_list_read(k->fd, &k->extra);
	if (err != STORE_OK)
		return err;
	k->extra_loaded = k->extra_changed = true;
	keyword_list_set(&k->extra, name.unique, names, count);
	return STORE_OK;
}

enum store_err
keeping_announce(struct keeping *k, const struct index_message *messages, size_t count)
{
	enum store_err err = STORE_OK;

	if (k->fd < 0 || k->sb->keyword_count <= KEYWORDS_LETTERS)
		return STORE_OK;
	for (size_t i = 0; i < count && err == STORE_OK; i++)
		err = announce_one(k, &messages[i]);
	if (err == STORE_OK && k->extra_changed)
		err = keyword_list_write(k->fd, &k->extra);
	k->extra_changed = false;
	return err;
}

/* The name in the kept area; a new one of ours where the old one is too long, or taken. */
static void
kept_name(const struct keeping *k, const struct index_message *m, bool anew, struct buf *out)
{
	buf_printf(out, "%" PRId64 "-%" PRIu32 "-", k->now_s, m->uid);
	if (!anew && out->len + strlen(m->name) <= MAILDIR_NAME_MAX_BYTES)
		buf_adds(out, m->name);
	else
		maildir_name_new(out, m->disk_size, m->size, 0, true, sync_letters_of(m->flags),
		    (uint32_t)(m->keywords.bits[0] & 0x3ffffff));
}

enum store_err
keeping_take(struct keeping *k, const struct index_message *m)
{
	struct buf name = { 0 };
	enum store_err err = STORE_FULL;

	for (int i = 0; k->fd >= 0 && i < 2; i++) {
		buf_reset(&name);
		kept_name(k, m, i > 0, &name);
		err = dir_rename_new(k->sb->dir.cur_fd, m->name, k->fd, buf_cstr(&name));
		if (err != STORE_EXISTS)
			break;
	}
	buf_free(&name);
	if (err == STORE_OK)
		k->bytes += m->disk_size;
	if (err == STORE_FULL && unlinkat(k->sb->dir.cur_fd, m->name, 0) == 0)
		return STORE_OK;
	return err == STORE_FULL ? dir_err(errno) : err;
}

/* --- whole mailboxes --------------------------------------------------------------------------- */

static enum store_err
rename_folder(const struct account *acct, int kept_fd, const char *place, const char *folder)
{
	enum store_err err = dir_make(kept_fd, place);
	int place_fd;

	if (err == STORE_OK)
		err = dir_open(kept_fd, place, &place_fd);
	if (err != STORE_OK)
		return err;
	err = dir_rename_new(acct->home->fd, folder, place_fd, folder);
	if (err == STORE_OK)
		err = dir_sync(place_fd);
	if (err == STORE_OK)
		err = dir_sync(acct->home->fd);
	close(place_fd);
	return err;
}

enum store_err
kept_take_folder(struct account *acct, const char *mailbox)
{
	char unique[DIR_UNIQUE_MAX_BYTES], *place;
	struct buf folder = { 0 };
	enum store_err err = folder_path(acct->home->fd, mailbox, &folder);
	int kept_fd;

	if (err != STORE_OK || folder.len == 0) {
		buf_free(&folder);
		return err != STORE_OK ? err : STORE_INVALID;
	}
	dir_unique_name(unique);
	place = mem_printf(KEPT_DELETED_PREFIX "%lld.%s", (long long)time(NULL), unique);
	err = dir_make(acct->home->fd, KEPT_DIR);
	if (err == STORE_OK)
		err = dir_open(acct->home->fd, KEPT_DIR, &kept_fd);
	if (err == STORE_OK) {
		err = rename_folder(acct, kept_fd, place, buf_cstr(&folder));
		if (err != STORE_OK)
			unlinkat(kept_fd, place, AT_REMOVEDIR);
		close(kept_fd);
	}
	if (err == STORE_FULL)
		err = folder_delete(acct->home, mailbox);
	else if (err != STORE_OK && err != STORE_NOT_FOUND)
		log_error(account_log(acct), "kept", "account=%s mailbox=%s op=delete error=%s",
		    acct->address, mailbox, store_err_text(err));
	free(place);
	buf_free(&folder);
	return err;
}

/* --- pruning ----------------------------------------------------------------------------------- */

static void
remove_message(struct account *acct, const struct kept_message *m, struct kept_pruned *out)
{
	char *path = mem_printf(KEPT_DIR "/%s/%s", m->dir, m->name);

	if (unlinkat(acct->home->fd, path, 0) == 0) {
		out->messages++;
		out->bytes += m->disk_bytes;
	}
	free(path);
}

struct tidying {
	int kept_fd;
	struct buf names; /* NUL-terminated, one behind the other */
};

static bool
note_directory(void *arg, const char *name, unsigned char type)
{
	struct tidying *t = arg;

	if (type == DT_DIR && kept_is_place(name) && !kept_place_has_messages(t->kept_fd, name))
		buf_add(&t->names, name, strlen(name) + 1);
	return true;
}

/* Directories in which no message is left. */
static enum store_err
tidy(struct account *acct)
{
	struct tidying t = { .kept_fd = -1 };
	enum store_err err = account_lock(acct);

	if (err != STORE_OK)
		return err;
	err = dir_open(acct->home->fd, KEPT_DIR, &t.kept_fd);
	if (err == STORE_OK) {
		err = dir_list(t.kept_fd, note_directory, &t);
		for (size_t at = 0; err == STORE_OK && at < t.names.len;
		     at += strlen(t.names.data + at) + 1)
			err = dir_remove_tree(t.kept_fd, t.names.data + at);
		close(t.kept_fd);
	}
	account_unlock(acct);
	buf_free(&t.names);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
kept_prune(struct account *acct, uint64_t keep_s, uint64_t max_bytes, bool dry_run,
    struct kept_pruned *out)
{
	struct kept_list list = { 0 };
	int64_t before = (int64_t)time(NULL) - (int64_t)keep_s;
	enum store_err err = kept_list(acct, &list);
	uint64_t left = list.bytes;

	*out = (struct kept_pruned){ 0 };
	for (size_t i = 0; i < list.count; i++) {
		const struct kept_message *m = &list.messages[i];

		if (keep_s > 0 && m->expunged_s >= before &&
		    (max_bytes == 0 || left <= max_bytes)) {
			out->left++;
			out->left_bytes += m->disk_bytes;
			continue;
		}
		left -= m->disk_bytes;
		if (dry_run) {
			out->messages++;
			out->bytes += m->disk_bytes;
		} else {
			remove_message(acct, m, out);
		}
	}
	kept_list_free(&list);
	return err == STORE_OK && !dry_run ? tidy(acct) : err;
}

void
kept_prune_if_due(struct account *acct, uint64_t added_bytes)
{
	const struct timespec now[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };
	uint64_t max = acct->st->keep_max_bytes;
	struct kept_pruned pruned;
	struct stat st;
	int fd;

	if (acct->st->keep_s == 0)
		return;
	if (fstatat(acct->home->fd, PRUNED_MARK, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		/* from now on */
		if (dir_open_file(acct->home->fd, PRUNED_MARK, O_WRONLY | O_CREAT, FILE_MODE,
			&fd) == STORE_OK)
			close(fd);
		return;
	}
	if (time(NULL) - st.st_mtime < KEPT_PRUNE_EVERY_S && (max == 0 || added_bytes < max / 4))
		return;
	utimensat(acct->home->fd, PRUNED_MARK, now, AT_SYMLINK_NOFOLLOW);
	if (kept_prune(acct, acct->st->keep_s, max, false, &pruned) != STORE_OK)
		log_warn(account_log(acct), "kept", "account=%s op=prune", acct->address);
	else if (pruned.messages > 0)
		log_info(account_log(acct), "kept-pruned", "account=%s messages=%zu bytes=%" PRIu64,
		    acct->address, pruned.messages, pruned.bytes);
}
