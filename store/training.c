#include "store/training.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/mailbox_internal.h"

#define TRAINING_DIR "sanger-training"

const char *
training_kind_name(enum training_kind kind)
{
	return kind == TRAINING_SPAM ? "spam" : "ham";
}

static enum store_err
open_kind(struct account *acct, enum training_kind kind, bool create, int *fd_out)
{
	const char *name = training_kind_name(kind);
	enum store_err err;
	int parent_fd;

	if (create)
		dir_make(account_dir_fd(acct), TRAINING_DIR);
	err = dir_open(account_dir_fd(acct), TRAINING_DIR, &parent_fd);
	if (err != STORE_OK)
		return err;
	if (create)
		dir_make(parent_fd, name);
	err = dir_open(parent_fd, name, fd_out);
	close(parent_fd);
	return err;
}

/* --- collecting --------------------------------------------------------------------------------- */

struct collecting {
	struct mailbox *box;
	int fd, other_fd, cur_fd;
	size_t room;
};

static bool
count_entry(void *arg, const char *name, unsigned char type)
{
	size_t *count = arg;

	(void)name, (void)type;
	(*count)++;
	return true;
}

static void
link_one(struct collecting *c, const char *file)
{
	struct stat st;
	char name[32];

	if (c->room == 0 || fstatat(c->cur_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode))
		return;
	snprintf(name, sizeof(name), "%" PRIu64, (uint64_t)st.st_ino);
	unlinkat(c->other_fd, name, 0);
	if (linkat(c->cur_fd, file, c->fd, name, 0) == 0)
		c->room--;
}

static enum store_err
link_all(struct collecting *c, const struct uidset *uids)
{
	struct index_message *rows = mem_alloc(MAILBOX_SLICE_ROWS * sizeof(*rows));
	enum store_err err = STORE_OK;
	uint32_t after = 0;
	size_t n = 1;

	while (err == STORE_OK && n > 0 && c->room > 0) {
		struct index_mailbox row;

		err = mailbox_read_begin(c->box, &row);
		if (err != STORE_OK)
			break;
		err = index_messages(
		    c->box->acct->ix, row.id, uids, after, rows, MAILBOX_SLICE_ROWS, &n);
		mailbox_read_end(c->box, &row);
		for (size_t i = 0; err == STORE_OK && i < n; i++)
			if (uidset_contains(&c->box->view, rows[i].uid))
				link_one(c, rows[i].name);
		if (n > 0)
			after = rows[n - 1].uid;
	}
	free(rows);
	return err;
}

enum store_err
training_collect(
    struct mailbox *box, const struct uidset *uids, enum training_kind kind, size_t max)
{
	enum training_kind other = kind == TRAINING_SPAM ? TRAINING_HAM : TRAINING_SPAM;
	struct collecting c = { .box = box, .fd = -1, .other_fd = -1, .cur_fd = -1 };
	char *cur = mem_printf("%scur", box->prefix);
	size_t count = 0;
	enum store_err err = open_kind(box->acct, kind, true, &c.fd);

	if (err == STORE_OK)
		err = open_kind(box->acct, other, true, &c.other_fd);
	if (err == STORE_OK)
		err = dir_open(box->acct->home->fd, cur, &c.cur_fd);
	if (err == STORE_OK)
		err = dir_list(c.fd, count_entry, &count);
	if (err == STORE_OK) {
		c.room = count < max ? max - count : 0;
		err = link_all(&c, uids);
	}
	free(cur);
	if (c.fd >= 0)
		close(c.fd);
	if (c.other_fd >= 0)
		close(c.other_fd);
	if (c.cur_fd >= 0)
		close(c.cur_fd);
	return err;
}

/* --- for mailadmin bayes ------------------------------------------------------------------------ */

struct names {
	char **names;
	size_t count;
};

static bool
add_name(void *arg, const char *name, unsigned char type)
{
	struct names *all = arg;
	uint64_t inode;

	if (type == DT_REG && text_u64(str_from(name), UINT64_MAX, &inode)) {
		all->names = mem_realloc_array(all->names, all->count + 1, sizeof(*all->names));
		all->names[all->count++] = mem_strdup(name);
	}
	return true;
}

enum store_err
training_list(struct account *acct, enum training_kind kind, char ***names_out, size_t *count_out)
{
	struct names all = { 0 };
	enum store_err err;
	int fd;

	*names_out = NULL;
	*count_out = 0;
	err = open_kind(acct, kind, false, &fd);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	err = dir_list(fd, add_name, &all);
	close(fd);
	*names_out = all.names;
	*count_out = all.count;
	return err;
}

enum store_err
training_open(struct account *acct, enum training_kind kind, const char *name, int *fd_out)
{
	char *path = mem_printf("%s/%s/%s", TRAINING_DIR, training_kind_name(kind), name);
	enum store_err err = dir_open_file(account_dir_fd(acct), path, O_RDONLY, 0, fd_out);

	free(path);
	return err;
}

enum store_err
training_remove(struct account *acct, enum training_kind kind, const char *name)
{
	uint64_t inode;
	enum store_err err;
	int fd;

	if (!text_u64(str_from(name), UINT64_MAX, &inode))
		return STORE_INVALID;
	err = open_kind(acct, kind, false, &fd);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	if (unlinkat(fd, name, 0) != 0 && errno != ENOENT)
		err = dir_err(errno);
	close(fd);
	return err;
}
