/* Mailboxes and accounts that are gone: built beside, put in place by one rename; rule 2 of restore.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/progress.h"
#include "admin/restore.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/sanger_mailbox.h"
#include "store/subscriptions.h"

#define RESTORE_PREFIX "sanger-restore." /* behind a dot: no account's name */
#define SMALL_FILE_MAX 65536
#define LOCK_WAIT_MS   20000

/* --- what both need ----------------------------------------------------------------------------- */

/* UIDs and mod-sequences go on far behind all that may have been given since. */
static void
add_gaps(struct sanger_mailbox *box)
{
	if (box->uid_lease < UINT32_MAX - 2 * RESTORE_UID_GAP)
		box->uid_lease += RESTORE_UID_GAP;
	if (box->modseq_lease < (UINT64_C(1) << 62))
		box->modseq_lease += RESTORE_MODSEQ_GAP;
}

/* Writes the folder's sanger-mailbox.  A special use that another mailbox has by now stays there.  One that is damaged is left
 * out: the mailbox then gets a new UIDVALIDITY. */
static enum store_err
write_identity(struct saved_account *s, const char *dir, int to_fd, const char *to,
    struct account *acct, struct home *home)
{
	struct sanger_mailbox box = { 0 };
	struct buf text = { 0 }, taken = { 0 };
	char *path = mem_printf("%ssanger-mailbox", dir);
	enum special_use use;
	unsigned version;
	enum store_err err = dir_read_file(s->home->fd, path, SMALL_FILE_MAX, &text);

	if (err == STORE_OK &&
	    sanger_mailbox_parse((struct str){ text.data, text.len }, &box, &version)) {
		add_gaps(&box);
		if (acct != NULL && special_use_parse(box.special_use, &use) &&
		    account_find_special(acct, use, &taken) == STORE_OK && taken.len > 0)
			box.special_use[0] = '\0';
		buf_reset(&text);
		sanger_mailbox_format(&text, &box);
		err = dir_replace_file(to_fd, to, (struct str){ text.data, text.len }, false);
		if (err == STORE_OK && home != NULL)
			err = sanger_uid_validity_seen(home, box.uid_validity);
		sanger_mailbox_free(&box);
	} else if (err == STORE_OK) {
		admin_refuse("%s: %s is damaged: the mailbox gets new UIDs", s->address, path);
	} else if (err == STORE_NOT_FOUND) {
		err = STORE_OK;
	}
	buf_free(&taken);
	buf_free(&text);
	free(path);
	return err;
}

static bool
is_identity(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash != NULL ? slash + 1 : path, "sanger-mailbox") == 0;
}

static enum store_err
make_subs(int fd, const char *dir)
{
	static const char *const SUBS[] = { "", "tmp", "new", "cur" };
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < ARRAY_LEN(SUBS) && err == STORE_OK; i++) {
		char *path = mem_printf("%s%s", dir, SUBS[i]);

		if (*path != '\0' && mkdirat(fd, path, DIR_MODE) != 0 && errno != EEXIST)
			err = dir_err(errno);
		free(path);
	}
	return err;
}

static enum store_err
sync_all(int fd)
{
	return syncfs(fd) == 0 ? STORE_OK : dir_err(errno);
}

/* --- a mailbox ---------------------------------------------------------------------------------- */

/* Messages that are wanted, under the names that they had. */
static enum store_err
fill_messages(struct restore *r, struct saved_account *s, struct saved_folder *f, int to_fd,
    const char *dir, size_t *done)
{
	struct progress *progress = progress_begin(f->name, f->count);
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < f->count && err == STORE_OK; i++) {
		struct saved_message *m = &f->messages[i];
		char *to;

		if (!m->wanted)
			continue;
		to = mem_printf("%s%s/%s", dir, m->in_new ? "new" : "cur", m->name);
		err = saved_copy(r, s, m->entry, to_fd, to);
		free(to);
		if (err == STORE_CORRUPT) {
			m->wanted = false;
			err = STORE_OK;
			continue;
		}
		*done += err == STORE_OK;
		progress_step(progress, i + 1);
	}
	progress_end(progress);
	return err;
}

/* Files of one folder that are no messages; the identity has its own way.  Damage in them costs a keyword's name, not
 * mail. */
static enum store_err
fill_files(struct restore *r, struct saved_account *s, const char *dir, int to_fd)
{
	size_t len = strlen(dir);
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < s->manifest.count && err == STORE_OK; i++) {
		const struct manifest_entry *e = &s->manifest.entries[i];
		struct str folder, unique;
		const char *name = e->path + len;

		if (strncmp(e->path, dir, len) != 0 ||
		    manifest_path_is_message(e->path, &folder, &unique) || is_identity(e->path) ||
		    strcmp(name, "maildirfolder") == 0)
			continue;
		if (strncmp(name, "courierimapkeywords/", 20) == 0)
			mkdirat(to_fd, "courierimapkeywords", DIR_MODE);
		err = saved_copy(r, s, e, to_fd, name);
		if (err == STORE_CORRUPT)
			err = STORE_OK;
	}
	return err;
}

static enum store_err
fill_folder(struct restore *r, struct saved_account *s, struct saved_folder *f, int to_fd,
    struct account *acct, struct home *home, size_t *done)
{
	enum store_err err = fill_messages(r, s, f, to_fd, "", done);

	if (err == STORE_OK)
		err = fill_files(r, s, f->dir, to_fd);
	if (err == STORE_OK)
		err = write_identity(s, f->dir, to_fd, "sanger-mailbox", acct, home);
	return err == STORE_OK ? sync_all(to_fd) : err;
}

static enum store_err
place_folder(struct home *home, const char *making, const char *name)
{
	struct home_lock lock;
	enum store_err err = home_lock(home, LOCK_WAIT_MS, &lock);

	if (err == STORE_OK) {
		err = folder_place(home, making, name);
		home_unlock(&lock);
	}
	return err;
}

enum store_err
restore_folder(struct restore *r, struct saved_account *s, struct saved_folder *f,
    struct account *acct, struct home *home)
{
	size_t done = 0, damaged = r->damaged;
	char *making = NULL;
	int fd = -1;
	enum store_err err = STORE_OK;

	if (r->dry) {
		for (size_t i = 0; i < f->count; i++)
			done += f->messages[i].wanted;
	} else {
		err = folder_prepare(home, &making, &fd);
		if (err == STORE_OK)
			err = fill_folder(r, s, f, fd, acct, home, &done);
		if (err == STORE_OK)
			err = place_folder(home, making, f->name);
		if (fd >= 0)
			close(fd);
		if (err != STORE_OK && making != NULL)
			folder_drop(home, making);
		else if (f->is_subscribed)
			account_subscribe(acct, f->name);
		free(making);
	}
	if (err != STORE_OK)
		return err;
	r->restored += done;
	if (!r->choice.some)
		restore_report(r, s, f->name, done, 0, r->damaged - damaged, "made, UIDs kept");
	return STORE_OK;
}

/* --- an account --------------------------------------------------------------------------------- */

static enum store_err
fill_tree(struct restore *r, struct saved_account *s, int to_fd)
{
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < s->folder_count && err == STORE_OK; i++) {
		struct saved_folder *f = &s->folders[i];
		size_t done = 0, damaged = r->damaged;

		for (size_t k = 0; k < f->count; k++)
			f->messages[k].wanted = true;
		err = make_subs(to_fd, f->dir);
		if (err == STORE_OK)
			err = fill_messages(r, s, f, to_fd, f->dir, &done);
		if (err == STORE_OK) {
			char *identity = mem_printf("%ssanger-mailbox", f->dir);

			err = write_identity(s, f->dir, to_fd, identity, NULL, NULL);
			free(identity);
		}
		r->restored += done;
		restore_report(r, s, f->name, done, 0, r->damaged - damaged, "made, UIDs kept");
	}
	for (size_t i = 0; i < s->manifest.count && err == STORE_OK; i++) {
		const struct manifest_entry *e = &s->manifest.entries[i];
		struct str folder, unique;
		const char *slash;

		if (manifest_path_is_message(e->path, &folder, &unique) || is_identity(e->path))
			continue;
		slash = strstr(e->path, "courierimapkeywords/");
		if (slash != NULL) {
			char *dir = mem_strndup(
			    e->path, (size_t)(slash - e->path) + strlen("courierimapkeywords"));

			mkdirat(to_fd, dir, DIR_MODE);
			free(dir);
		}
		err = saved_copy(r, s, e, to_fd, e->path);
		if (err == STORE_CORRUPT)
			err = STORE_OK;
	}
	return err == STORE_OK ? sync_all(to_fd) : err;
}

struct stale {
	int domain_fd;
	const char *prefix;
};

/* What a restore that was stopped has left; one that is at work holds its lock. */
static bool
remove_stale(void *arg, const char *name, unsigned char type)
{
	struct stale *s = arg;
	int fd;

	if (type != DT_DIR || strncmp(name, s->prefix, strlen(s->prefix)) != 0 ||
	    dir_open(s->domain_fd, name, &fd) != STORE_OK)
		return true;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		dir_remove_tree(s->domain_fd, name);
	close(fd);
	return true;
}

static void
report_tree(struct restore *r, struct saved_account *s)
{
	for (size_t i = 0; i < s->folder_count; i++) {
		r->restored += s->folders[i].count;
		restore_report(
		    r, s, s->folders[i].name, s->folders[i].count, 0, 0, "made, UIDs kept");
	}
}

enum store_err
restore_tree(struct restore *r, struct saved_account *s)
{
	char *localpart = mem_strdup(strchr(s->place, '/') + 1);
	char *domain = mem_strndup(s->place, strcspn(s->place, "/"));
	char *prefix = mem_printf("." RESTORE_PREFIX "%s.", localpart);
	char unique[DIR_UNIQUE_MAX_BYTES], *making;
	size_t rows = json_array_size(r->rows), restored = r->restored;
	int domain_fd = -1, fd = -1;
	enum store_err err;

	dir_unique_name(unique);
	making = mem_printf("%s%s", prefix, unique);
	if (r->dry) {
		report_tree(r, s);
		err = STORE_OK;
		goto out;
	}
	err = dir_make(store_root_fd(r->live_root), domain);
	if (err == STORE_OK)
		err = dir_open(store_root_fd(r->live_root), domain, &domain_fd);
	if (err == STORE_OK) {
		struct stale stale = { domain_fd, prefix };

		dir_list(domain_fd, remove_stale, &stale);
		err = dir_exists(domain_fd, localpart) ? STORE_EXISTS : dir_make(domain_fd, making);
	}
	if (err == STORE_OK)
		err = dir_open(domain_fd, making, &fd);
	if (err == STORE_OK) {
		flock(fd, LOCK_EX);
		err = fill_tree(r, s, fd);
		if (err == STORE_OK)
			err = dir_rename_new(domain_fd, making, domain_fd, localpart);
		if (err == STORE_OK)
			err = dir_sync(domain_fd);
		if (err != STORE_OK) { /* nothing was done after all */
			dir_remove_tree(domain_fd, making);
			r->restored = restored;
			while (json_array_size(r->rows) > rows)
				json_array_remove(r->rows, rows);
		}
	}
out:
	if (fd >= 0)
		close(fd);
	if (domain_fd >= 0)
		close(domain_fd);
	free(making);
	free(prefix);
	free(domain);
	free(localpart);
	return err;
}
