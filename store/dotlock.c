#include "store/dotlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"

#define POLL_MS 5

/* Takes a stale lock away.  Renamed first, so that of two who find it stale only one removes it, and
 * a fresh one that came in between is noticed and put back. */
static void
remove_stale(int dir_fd, const char *name)
{
	char unique[DIR_UNIQUE_MAX_BYTES], *aside;
	struct stat before, after;

	if (fstatat(dir_fd, name, &before, AT_SYMLINK_NOFOLLOW) < 0 ||
	    time(NULL) - before.st_mtime <= DOTLOCK_STALE_S)
		return;
	dir_unique_name(unique);
	aside = mem_printf("%s.%s", name, unique);
	if (renameat(dir_fd, name, dir_fd, aside) == 0) {
		if (fstatat(dir_fd, aside, &after, AT_SYMLINK_NOFOLLOW) == 0 &&
		    after.st_ino != before.st_ino)
			dir_rename_new(dir_fd, aside, dir_fd, name);
		else
			unlinkat(dir_fd, aside, 0);
	}
	free(aside);
}

static void
write_owner(int fd)
{
	char owner[320], host[256] = "";
	int len;

	gethostname(host, sizeof(host) - 1);
	len = snprintf(owner, sizeof(owner), "%ld:%s", (long)getpid(), host);
	if (write(fd, owner, (size_t)len) != len)
		return; /* it is there; who owns it is for people to read */
}

enum store_err
dotlock_take(int dir_fd, const char *file, int wait_ms, struct dotlock *lock_out)
{
	char *name = mem_printf("%s.lock", file);
	const struct timespec pause = { 0, POLL_MS * 1000000L };
	enum store_err err;
	int fd;

	*lock_out = (struct dotlock){ .dir_fd = dir_fd };
	for (int waited = 0;; waited += POLL_MS) {
		err = dir_open_file(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE, &fd);
		if (err != STORE_EXISTS)
			break;
		remove_stale(dir_fd, name);
		if (waited >= wait_ms) {
			err = STORE_BUSY;
			break;
		}
		nanosleep(&pause, NULL);
	}
	if (err != STORE_OK) {
		free(name);
		return err;
	}
	write_owner(fd);
	close(fd);
	lock_out->name = name;
	return STORE_OK;
}

void
dotlock_release(struct dotlock *lock)
{
	if (lock->name != NULL)
		unlinkat(lock->dir_fd, lock->name, 0);
	free(lock->name);
	lock->name = NULL;
}
