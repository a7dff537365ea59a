#include "store/cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

void
cache_file_remove_journals(const char *path)
{
	char *wal = mem_printf("%s-wal", path), *shm = mem_printf("%s-shm", path);

	unlink(wal);
	unlink(shm);
	free(wal);
	free(shm);
}

static enum store_err
put_in_place(const char *fresh, const char *path)
{
	enum store_err err;

	if (chmod(fresh, 0600) == 0 && rename(fresh, path) == 0)
		return STORE_OK;
	err = store_err_from_errno(errno);
	unlink(fresh);
	return err;
}

enum store_err
cache_file_replace(const char *fresh, const char *path)
{
	cache_file_remove_journals(path);
	return put_in_place(fresh, path);
}

static enum store_err
make_empty(const char *path, const char *end)
{
	char *name = mem_printf("%s%s", path, end);
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	enum store_err err = fd >= 0 ? STORE_OK : store_err_from_errno(errno);

	if (fd >= 0)
		close(fd);
	free(name);
	return err;
}

enum store_err
cache_file_replace_with_journals(const char *fresh, const char *path)
{
	enum store_err err;

	cache_file_remove_journals(path);
	err = make_empty(path, "-wal");
	if (err == STORE_OK)
		err = make_empty(path, "-shm");
	if (err == STORE_OK)
		return put_in_place(fresh, path);
	unlink(fresh);
	return err;
}

void
cache_file_set_aside(const char *path, const struct log *log, const char *event)
{
	char *aside = mem_printf("%s.corrupt-%lld", path, (long long)time(NULL));

	log_error(log, event, "path=%s kept=%s", path, aside);
	if (rename(path, aside) != 0)
		unlink(path);
	free(aside);
}
