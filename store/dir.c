#include "store/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define OPEN_TRIES       64 /* openat2 says EAGAIN while something is being renamed */
#define HOST_MAX_BYTES   64
#define REMOVE_DEPTH_MAX 64
#define READ_STEP_BYTES  (64 * 1024)

enum store_err
dir_err(int errnum)
{
	if (errnum == EACCES || errnum == EPERM || errnum == EROFS)
		return STORE_IO;
	return store_err_from_errno(errnum);
}

/* openat2 in its strictest form; -1 and ENOSYS where the kernel lacks it. */
static int
open_beneath(int at_fd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	for (int i = 0; i < OPEN_TRIES; i++) {
		fd = syscall(SYS_openat2, at_fd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return (int)fd;
}

/* The same by hand: each component on its own, none of them a link. */
static int
open_stepwise(int at_fd, const char *path, int flags, mode_t mode)
{
	char step[256];
	int dir = at_fd, next, saved;

	for (;;) {
		size_t len = strcspn(path, "/");
		bool last = path[len] == '\0';

		if (len >= sizeof(step) || len == 0 || (len == 2 && memcmp(path, "..", 2) == 0)) {
			errno = len >= sizeof(step) ? ENAMETOOLONG : EXDEV;
			next = -1;
		} else {
			memcpy(step, path, len);
			step[len] = '\0';
			next = openat(dir, step,
			    last ? flags | O_NOFOLLOW | O_CLOEXEC
				 : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
			    mode);
		}
		saved = errno;
		if (dir != at_fd)
			close(dir);
		errno = saved;
		if (next < 0 || last)
			return next;
		dir = next;
		path += len + 1;
	}
}

enum store_err
dir_open_file(int at_fd, const char *path, int flags, mode_t mode, int *fd_out)
{
	*fd_out = open_beneath(at_fd, path, flags, mode);
	if (*fd_out < 0 && errno == ENOSYS)
		*fd_out = open_stepwise(at_fd, path, flags, mode);
	return *fd_out >= 0 ? STORE_OK : dir_err(errno);
}

enum store_err
dir_open(int at_fd, const char *path, int *fd_out)
{
	enum store_err err = dir_open_file(at_fd, path, O_RDONLY | O_DIRECTORY, 0, fd_out);

	return err != STORE_OK && errno == ENOTDIR ? STORE_NOT_FOUND : err;
}

enum store_err
dir_sync(int fd)
{
	return fsync(fd) == 0 ? STORE_OK : dir_err(errno);
}

enum store_err
dir_make(int at_fd, const char *name)
{
	enum store_err err;
	int saved;

	if (mkdirat(at_fd, name, DIR_MODE) != 0)
		return errno == EEXIST ? STORE_OK : dir_err(errno);
	err = dir_sync(at_fd);
	if (err != STORE_OK) { /* or the next caller would take it for durable */
		saved = errno;
		unlinkat(at_fd, name, AT_REMOVEDIR);
		errno = saved;
	}
	return err;
}

bool
dir_exists(int at_fd, const char *path)
{
	struct stat st;

	return fstatat(at_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static enum store_err
rename_checked(int from_fd, const char *from, int to_fd, const char *to)
{
	struct stat st;

	if (fstatat(from_fd, from, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return dir_err(errno);
	if (!S_ISDIR(st.st_mode)) {
		if (linkat(from_fd, from, to_fd, to, 0) < 0)
			return dir_err(errno);
		return unlinkat(from_fd, from, 0) == 0 ? STORE_OK : dir_err(errno);
	}
	if (fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return STORE_EXISTS;
	return renameat(from_fd, from, to_fd, to) == 0 ? STORE_OK : dir_err(errno);
}

enum store_err
dir_rename_new(int from_fd, const char *from, int to_fd, const char *to)
{
	if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
		return STORE_OK;
	if (errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP)
		return rename_checked(from_fd, from, to_fd, to);
	return dir_err(errno);
}

static enum store_err
read_all(int fd, size_t max_bytes, struct buf *out)
{
	size_t start = out->len;

	for (;;) {
		ssize_t got;

		buf_reserve(out, READ_STEP_BYTES);
		got = read(fd, out->data + out->len, out->cap - out->len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return dir_err(errno);
		if (got == 0)
			return STORE_OK;
		out->len += (size_t)got;
		if (out->len - start > max_bytes)
			return STORE_LIMIT;
	}
}

enum store_err
dir_read_file(int at_fd, const char *path, size_t max_bytes, struct buf *out)
{
	enum store_err err;
	size_t start = out->len;
	int fd, saved;

	/* Not to hang on a FIFO somebody put there. */
	err = dir_open_file(at_fd, path, O_RDONLY | O_NONBLOCK, 0, &fd);
	if (err != STORE_OK)
		return err;
	err = read_all(fd, max_bytes, out);
	saved = errno;
	close(fd);
	errno = saved;
	if (err != STORE_OK)
		out->len = start;
	return err;
}

bool
dir_write_all(int fd, struct str bytes)
{
	while (bytes.len > 0) {
		ssize_t done = write(fd, bytes.p, bytes.len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes.p += done;
		bytes.len -= (size_t)done;
	}
	return true;
}

enum store_err
dir_replace_file(int dir_fd, const char *name, struct str bytes, bool durable)
{
	char unique[DIR_UNIQUE_MAX_BYTES], *tmp;
	enum store_err err;
	int fd, saved;

	dir_unique_name(unique);
	tmp = mem_printf("%s.new.%s", name, unique);
	err = dir_open_file(dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE, &fd);
	if (err != STORE_OK)
		goto out;
	if (!dir_write_all(fd, bytes) || (durable && fsync(fd) < 0)) {
		err = dir_err(errno);
		saved = errno;
		close(fd);
		errno = saved;
	} else if (close(fd) < 0 || renameat(dir_fd, tmp, dir_fd, name) < 0) {
		err = dir_err(errno);
	} else if (durable) {
		err = dir_sync(dir_fd);
		goto out; /* the new bytes are there, if perhaps not for good */
	}
	if (err != STORE_OK) {
		saved = errno;
		unlinkat(dir_fd, tmp, 0);
		errno = saved;
	}
out:
	saved = errno;
	free(tmp);
	errno = saved;
	return err;
}

/* For file systems whose readdir does not say. */
static unsigned char
entry_type(int dir_fd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type;
	if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return (unsigned char)IFTODT(st.st_mode);
}

enum store_err
dir_list(int dir_fd, dir_entry_fn *each, void *arg)
{
	enum store_err err;
	struct dirent *entry;
	DIR *dir;
	int fd;

	err = dir_open(dir_fd, ".", &fd); /* a reading position of our own */
	if (err != STORE_OK)
		return err;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return STORE_IO;
	}
	for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (!each(arg, entry->d_name, entry_type(fd, entry)))
			break;
	}
	if (entry == NULL && errno != 0)
		err = dir_err(errno);
	closedir(dir);
	return err;
}

struct removal {
	int fd;
	int depth;
	enum store_err err;
};

static enum store_err remove_tree(int at_fd, const char *name, int depth);

static bool
remove_entry(void *arg, const char *name, unsigned char type)
{
	struct removal *r = arg;

	if (type == DT_DIR)
		r->err = remove_tree(r->fd, name, r->depth + 1);
	else if (unlinkat(r->fd, name, 0) < 0 && errno != ENOENT)
		r->err = dir_err(errno);
	return r->err == STORE_OK;
}

static enum store_err
remove_tree(int at_fd, const char *name, int depth)
{
	struct removal r = { .depth = depth };
	enum store_err err;

	if (depth > REMOVE_DEPTH_MAX)
		return STORE_LIMIT;
	err = dir_open(at_fd, name, &r.fd);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	err = dir_list(r.fd, remove_entry, &r);
	close(r.fd);
	if (err == STORE_OK)
		err = r.err;
	if (err == STORE_OK && unlinkat(at_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		err = dir_err(errno);
	return err;
}

enum store_err
dir_remove_tree(int at_fd, const char *name)
{
	return remove_tree(at_fd, name, 0);
}

/* '/' and ':' cannot be, ',' would look like a field: written as octal, maildir(5). */
static void
host_name(char host_out[HOST_MAX_BYTES])
{
	char host[256] = "";
	size_t len = 0;

	if (gethostname(host, sizeof(host) - 1) < 0 || host[0] == '\0')
		strcpy(host, "localhost");
	for (const char *p = host; *p != '\0' && len + 5 < HOST_MAX_BYTES; p++) {
		if (ascii_is_alnum(*p) || *p == '.' || *p == '-' || *p == '_')
			host_out[len++] = *p;
		else
			len += (size_t)snprintf(host_out + len, HOST_MAX_BYTES - len, "\\%03o",
			    (unsigned)(unsigned char)*p);
	}
	host_out[len] = '\0';
}

void
dir_unique_name(char name_out[DIR_UNIQUE_MAX_BYTES])
{
	static atomic_uint counter; /* one process gives no name twice */
	char host[HOST_MAX_BYTES];
	struct timespec now;

	host_name(host);
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(name_out, DIR_UNIQUE_MAX_BYTES, "%lld.M%06ldP%ldQ%u.%s", (long long)now.tv_sec,
	    now.tv_nsec / 1000, (long)getpid(), atomic_fetch_add(&counter, 1), host);
}
