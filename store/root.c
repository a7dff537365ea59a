#include "store/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/deliver.h"
#include "store/dir.h"
#include "store/folder_cache.h"

#define LOCK_FIRST_WAIT_NS (50 * 1000) /* then twice as long each time, up to: */
#define LOCK_MOST_WAIT_NS  (2 * 1000 * 1000)
#define LOCK_PATIENCE_NS   (20 * 1000 * 1000) /* after which others wait for us */
#define GONE_PREFIX        ".sanger-gone."    /* beside accounts; no account starts with a dot */

struct store_root {
	int fd;
	const struct log *log;
	struct folder_cache *cache;
};

enum store_err
store_root_open(const char *path, const struct log *log, struct store_root **root_out)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct store_root *root;

	*root_out = NULL;
	if (fd < 0) {
		enum store_err err = dir_err(errno);

		log_error(log, "mail-root", "path=%s errno=%s", path, strerror(errno));
		return err;
	}
	root = mem_zalloc(sizeof(*root));
	root->fd = fd;
	root->log = log;
	root->cache = folder_cache_new(MAILDIR_CACHE_MAX);
	*root_out = root;
	return STORE_OK;
}

void
store_root_close(struct store_root *root)
{
	if (root == NULL)
		return;
	folder_cache_free(root->cache);
	close(root->fd);
	free(root);
}

const struct log *
store_root_log(const struct store_root *root)
{
	return root->log;
}

int
store_root_fd(const struct store_root *root)
{
	return root->fd;
}

struct folder_cache *
store_root_folder_cache(struct store_root *root)
{
	return root->cache;
}

/* The part in lower case, or NULL if it cannot be a directory's name here. */
static char *
address_part(const char *part, bool is_domain)
{
	size_t len = strlen(part);
	char *copy;

	if (len == 0 || len > ADDRESS_PART_MAX_BYTES || part[0] == '.' ||
	    !text_is_utf8((struct str){ part, len }))
		return NULL;
	for (const char *p = part; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7F || *p == '/' || (is_domain && *p == '@'))
			return NULL;
	copy = mem_strdup(part);
	ascii_lower_all(copy, len);
	return copy;
}

void
home_close(struct home *home)
{
	if (home == NULL)
		return;
	if (home->fd >= 0)
		close(home->fd);
	free(home->domain);
	free(home->localpart);
	free(home);
}

/* Checks the address; the directory is not open yet. */
static struct home *
home_new(struct store_root *root, const char *localpart, const char *domain)
{
	struct home *home = mem_zalloc(sizeof(*home));

	home->root = root;
	home->log = root->log;
	home->fd = -1;
	home->domain = address_part(domain, true);
	home->localpart = address_part(localpart, false);
	if (home->domain != NULL && home->localpart != NULL)
		return home;
	home_close(home);
	return NULL;
}

static enum store_err
home_failed(const struct home *home, const char *what, enum store_err err)
{
	log_error(home->log, "account-directory", "user=%s@%s op=%s errno=%s", home->localpart,
	    home->domain, what, strerror(errno));
	return err;
}

/* mkdir, and an fsync of the parent of each one made: nothing below it is promised before. */
static enum store_err
home_make(struct home *home)
{
	static const char *const DIRS[] = { "tmp", "new", "cur" };
	enum store_err err;
	bool made = false;
	int domain_fd = -1;

	err = dir_make(home->root->fd, home->domain);
	if (err == STORE_OK)
		err = dir_open(home->root->fd, home->domain, &domain_fd);
	if (err != STORE_OK)
		return err;
	err = dir_make(domain_fd, home->localpart);
	if (err == STORE_OK)
		err = dir_open(domain_fd, home->localpart, &home->fd);
	for (size_t i = 0; err == STORE_OK && i < ARRAY_LEN(DIRS); i++) {
		if (mkdirat(home->fd, DIRS[i], DIR_MODE) == 0)
			made = true;
		else if (errno != EEXIST)
			err = dir_err(errno);
	}
	if (err == STORE_OK && made)
		err = dir_sync(home->fd);
	close(domain_fd);
	return err;
}

enum store_err
home_open(struct store_root *root, const char *localpart, const char *domain, bool create,
    struct home **home_out)
{
	struct home *home = home_new(root, localpart, domain);
	enum store_err err;
	char *path;

	*home_out = NULL;
	if (home == NULL)
		return STORE_INVALID;
	path = mem_printf("%s/%s", home->domain, home->localpart);
	err = dir_open(root->fd, path, &home->fd);
	free(path);
	if (err == STORE_NOT_FOUND && create)
		err = home_make(home);
	if (err != STORE_OK) {
		if (err != STORE_NOT_FOUND)
			home_failed(home, "open", err);
		home_close(home);
		return err;
	}
	*home_out = home;
	return STORE_OK;
}

enum store_err
home_rename(struct store_root *root, const char *localpart, const char *domain,
    const char *new_localpart, const char *new_domain)
{
	struct home *from = home_new(root, localpart, domain);
	struct home *to = home_new(root, new_localpart, new_domain);
	int from_fd = -1, to_fd = -1;
	enum store_err err = STORE_INVALID;

	if (from == NULL || to == NULL)
		goto out;
	err = dir_open(root->fd, from->domain, &from_fd);
	if (err == STORE_OK && !dir_exists(from_fd, from->localpart))
		err = STORE_NOT_FOUND;
	if (err == STORE_OK)
		err = dir_make(root->fd, to->domain);
	if (err == STORE_OK)
		err = dir_open(root->fd, to->domain, &to_fd);
	if (err == STORE_OK)
		err = dir_rename_new(from_fd, from->localpart, to_fd, to->localpart);
	if (err == STORE_OK)
		err = dir_sync(to_fd);
	if (err == STORE_OK && strcmp(from->domain, to->domain) != 0)
		err = dir_sync(from_fd);
	if (err == STORE_IO || err == STORE_FULL)
		home_failed(from, "rename", err);
out:
	if (from_fd >= 0)
		close(from_fd);
	if (to_fd >= 0)
		close(to_fd);
	home_close(from);
	home_close(to);
	return err;
}

struct gone_list {
	struct buf names; /* NUL-terminated, one behind the other */
};

static bool
note_gone(void *arg, const char *name, unsigned char type)
{
	struct gone_list *gone = arg;

	(void)type;
	if (strncmp(name, GONE_PREFIX, strlen(GONE_PREFIX)) == 0)
		buf_add(&gone->names, name, strlen(name) + 1);
	return true;
}

/* Removes what this call and earlier ones that were killed have set aside. */
static enum store_err
remove_gone(int domain_fd)
{
	struct gone_list gone = { 0 };
	enum store_err err = dir_list(domain_fd, note_gone, &gone);

	for (size_t at = 0; err == STORE_OK && at < gone.names.len;
	     at += strlen(gone.names.data + at) + 1)
		err = dir_remove_tree(domain_fd, gone.names.data + at);
	buf_free(&gone.names);
	return err;
}

enum store_err
home_remove(struct store_root *root, const char *localpart, const char *domain)
{
	char unique[DIR_UNIQUE_MAX_BYTES], *aside;
	struct home *home = home_new(root, localpart, domain);
	enum store_err err;
	int domain_fd;

	if (home == NULL)
		return STORE_INVALID;
	dir_unique_name(unique);
	aside = mem_printf(GONE_PREFIX "%s", unique);
	err = dir_open(root->fd, home->domain, &domain_fd);
	if (err == STORE_OK) {
		err = dir_rename_new(domain_fd, home->localpart, domain_fd, aside);
		if (err == STORE_OK)
			err = dir_sync(domain_fd);
		if (err == STORE_OK)
			err = remove_gone(domain_fd);
		if (err != STORE_OK && err != STORE_NOT_FOUND)
			home_failed(home, "remove", err);
		close(domain_fd);
	}
	free(aside);
	home_close(home);
	return err;
}

enum store_err
home_remove_leftovers(struct store_root *root, const char *domain)
{
	enum store_err err;
	int domain_fd;

	err = dir_open(root->fd, domain, &domain_fd);
	if (err != STORE_OK)
		return err;
	err = remove_gone(domain_fd);
	close(domain_fd);
	return err;
}

static int64_t
monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* flock() knows no queue: who has just let go is the first to have it again.  Who has waited for long marks that with a
 * read lock of the other kind (an OFD lock, which does not conflict with flock()) on the same directory, and whoever
 * comes then waits until no such mark is left.  Where there are no such locks it goes without. */
static bool
somebody_is_impatient(int fd)
{
	struct flock mark = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &mark) == 0 && mark.l_type != F_UNLCK;
}

static void
set_impatient(int fd, bool impatient)
{
	struct flock mark = {
		.l_type = impatient ? F_RDLCK : F_UNLCK, .l_whence = SEEK_SET, .l_len = 1
	};

	(void)fcntl(fd, F_OFD_SETLK, &mark);
}

/* STORE_BUSY after `wait_ms`. */
static enum store_err
lock_directory(const struct home *home, int fd, int wait_ms)
{
	const int64_t since = monotonic_ns();
	struct timespec pause = { 0, LOCK_FIRST_WAIT_NS };
	bool impatient = false;

	/* flock has no time limit of its own, and a signal for it would be the process's. */
	for (;;) {
		int64_t waited;

		if (impatient || !somebody_is_impatient(fd)) {
			if (flock(fd, LOCK_EX | LOCK_NB) == 0)
				break;
			if (errno != EWOULDBLOCK && errno != EINTR)
				return home_failed(home, "lock", STORE_IO);
		}
		waited = monotonic_ns() - since;
		if (waited >= (int64_t)wait_ms * 1000000)
			return STORE_BUSY;
		if (!impatient && waited >= LOCK_PATIENCE_NS) {
			impatient = true;
			set_impatient(fd, true);
		}
		nanosleep(&pause, NULL);
		if (pause.tv_nsec * 2 <= LOCK_MOST_WAIT_NS)
			pause.tv_nsec *= 2;
	}
	if (impatient)
		set_impatient(fd, false);
	return STORE_OK;
}

enum store_err
home_lock(const struct home *home, int wait_ms, struct home_lock *lock_out)
{
	enum store_err err;
	int fd;

	lock_out->fd = -1;
	err = dir_open(home->fd, ".", &fd);
	if (err != STORE_OK)
		return home_failed(home, "lock", err);
	err = lock_directory(home, fd, wait_ms);
	if (err == STORE_BUSY)
		log_warn(home->log, "account-busy", "user=%s@%s waited_ms=%d", home->localpart,
		    home->domain, wait_ms);
	if (err != STORE_OK) {
		close(fd);
		return err;
	}
	lock_out->fd = fd;
	return STORE_OK;
}

void
home_unlock(struct home_lock *lock)
{
	if (lock->fd >= 0)
		close(lock->fd); /* the only descriptor of its open file: the lock ends with it */
	lock->fd = -1;
}
