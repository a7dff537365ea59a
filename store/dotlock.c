#include "store/dotlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/dir.h"

#define POLL_MS         5
#define OWNER_MAX_BYTES (HOST_NAME_MAX + 24)

/* Is the lock's owner a process of this machine that is gone?  What cannot be told is no. */
static bool
owner_is_gone(int fd, const char *host)
{
	char text[OWNER_MAX_BYTES + 1];
	ssize_t len = pread(fd, text, OWNER_MAX_BYTES, 0);
	struct cursor c;
	uint32_t pid;

	if (len <= 0)
		return false;
	c = cursor_from((struct str){ text, (size_t)len });
	return cursor_take_u32(&c, &pid) && pid > 0 && pid <= INT32_MAX && cursor_take(&c, ':') &&
	       str_eq(str_trim((struct str){ c.p, cursor_left(&c) }), str_from(host)) &&
	       kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* Takes a stale lock away.  Only under flock on that very file, and only while the name still means
 * it: so of several who find it stale one removes it, and nobody a fresh one. */
static void
remove_stale(int dir_fd, const char *name, const char *host)
{
	struct stat opened, named;
	int fd;

	if (dir_open_file(dir_fd, name, O_RDONLY, 0, &fd) != STORE_OK)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &opened) == 0 &&
	    (time(NULL) - opened.st_mtime > DOTLOCK_STALE_S || owner_is_gone(fd, host)) &&
	    fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    named.st_ino == opened.st_ino && named.st_dev == opened.st_dev)
		unlinkat(dir_fd, name, 0);
	close(fd);
}

/* The lock under a name of its own, complete: it shows its owner from the moment it has its name. */
static enum store_err
write_lock(int dir_fd, const char *unique, const char *host)
{
	char owner[OWNER_MAX_BYTES + 1];
	enum store_err err;
	int fd, len = snprintf(owner, sizeof(owner), "%ld:%s", (long)getpid(), host);

	err = dir_open_file(dir_fd, unique, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE, &fd);
	if (err != STORE_OK)
		return err;
	if (write(fd, owner, (size_t)len) != len)
		err = store_err_from_errno(errno);
	close(fd);
	if (err != STORE_OK)
		unlinkat(dir_fd, unique, 0);
	return err;
}

static enum store_err
name_lock(int dir_fd, const char *unique, const char *name, const char *host, int wait_ms)
{
	const struct timespec pause = { 0, POLL_MS * 1000000L };
	enum store_err err;

	for (int waited = 0;; waited += POLL_MS) {
		err = dir_rename_new(dir_fd, unique, dir_fd, name);
		if (err != STORE_EXISTS)
			return err;
		remove_stale(dir_fd, name, host);
		if (waited >= wait_ms)
			return STORE_BUSY;
		nanosleep(&pause, NULL);
	}
}

enum store_err
dotlock_take(int dir_fd, const char *file, int wait_ms, struct dotlock *lock_out)
{
	char *name = mem_printf("%s.lock", file), *unique, part[DIR_UNIQUE_MAX_BYTES];
	char host[HOST_NAME_MAX + 1] = "";
	enum store_err err;

	*lock_out = (struct dotlock){ .dir_fd = dir_fd };
	gethostname(host, sizeof(host) - 1);
	dir_unique_name(part);
	unique = mem_printf("%s.%s", name, part);
	err = write_lock(dir_fd, unique, host);
	if (err == STORE_OK) {
		err = name_lock(dir_fd, unique, name, host, wait_ms);
		if (err != STORE_OK)
			unlinkat(dir_fd, unique, 0);
	}
	if (err == STORE_OK)
		lock_out->name = name;
	else
		free(name);
	free(unique);
	return err;
}

void
dotlock_release(struct dotlock *lock)
{
	if (lock->name != NULL)
		unlinkat(lock->dir_fd, lock->name, 0);
	free(lock->name);
	lock->name = NULL;
}
