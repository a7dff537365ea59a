#include "admin/log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "admin/command.h"
#include "admin/log_search.h"
#include "admin/read_all.h"
#include "base/mem.h"

#define BUFFER_BYTES (1024 * 1024)
#define STAMP_BYTES  19 /* "2026-11-21T17:55:34", in UTC with a Z somewhere behind */

/* --- which files --------------------------------------------------------------------------------- */

struct dated {
	char *path;
	int64_t modified_ns;
};

static int
by_time(const void *a, const void *b)
{
	const struct dated *x = a, *y = b;

	if (x->modified_ns != y->modified_ns)
		return x->modified_ns < y->modified_ns ? -1 : 1;
	return strcmp(y->path, x->path); /* log.2 before log.1 */
}

static bool
add_file(struct log_files *files, struct dated *all, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		admin_refuse("%s: %s", path, strerror(errno));
		return false;
	}
	if (files->since > 0 && st.st_mtim.tv_sec < files->since)
		return true; /* its last line is older */
	files->bytes += (uint64_t)st.st_size;
	all[files->count++] = (struct dated){ mem_strdup(path),
		st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec };
	return true;
}

static bool
has_suffix(const char *path, const char *suffix)
{
	size_t len = strlen(path), n = strlen(suffix);

	return len >= n && strcmp(path + len - n, suffix) == 0;
}

static bool
add_files(struct log_files *files, const char *const *paths, size_t count)
{
	struct dated *all = mem_zalloc((count + 1) * sizeof(*all));
	bool ok = true;

	for (size_t i = 0; i < count && ok; i++)
		ok = add_file(files, all, paths[i]);
	qsort(all, files->count, sizeof(*all), by_time);
	files->paths = mem_zalloc((files->count + 1) * sizeof(char *));
	for (size_t i = 0; i < files->count; i++)
		files->paths[i] = all[i].path;
	free(all);
	return ok;
}

/* log.file and its rotated ones; other files beside it begin otherwise. */
static bool
add_configured(struct log_files *files, const char *path)
{
	char *pattern = mem_printf("%s[.-]*", path);
	const char **all;
	glob_t found = { 0 };
	size_t count = 0;
	bool ok;

	if (glob(pattern, 0, NULL, &found) != 0)
		found.gl_pathc = 0;
	all = mem_realloc_array(NULL, found.gl_pathc + 1, sizeof(*all));
	all[count++] = path;
	for (size_t i = 0; i < found.gl_pathc; i++)
		all[count++] = found.gl_pathv[i];
	ok = add_files(files, all, count);
	free(all);
	globfree(&found);
	free(pattern);
	return ok;
}

bool
log_files_open(const struct config *config, const char *const *paths, size_t count, int64_t since,
    struct log_files *files)
{
	const char *path = config_string(config, "log.file");

	*files = (struct log_files){ .since = since };
	if (count > 0)
		return add_files(files, paths, count);
	if (path != NULL && *path != '\0')
		return add_configured(files, path);
	return true;
}

void
log_files_close(struct log_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->paths[i]);
	free(files->paths);
	*files = (struct log_files){ 0 };
}

/* --- reading ------------------------------------------------------------------------------------- */

struct reader {
	const struct log_files *files;
	char since[32]; /* "2026-11-21T17:55:34"; "": all */
	void (*line)(void *arg, struct str text);
	void (*progress)(void *arg, uint64_t done);
	void *arg;
	char *buffer;
	size_t used;
	bool cut;      /* within a line whose beginning was given already */
	uint64_t done; /* bytes of files */
};

static void
give(struct reader *r, struct str text)
{
	if (r->since[0] != '\0' && text.len > STAMP_BYTES && text.p[4] == '-' &&
	    text.p[10] == 'T' && memcmp(text.p, r->since, STAMP_BYTES) < 0)
		return;
	r->line(r->arg, text);
}

/* All whole lines in the buffer; what is left moves to its beginning.  A line that fills it is cut. */
static void
give_lines(struct reader *r, bool end)
{
	const char *p = r->buffer, *stop = r->buffer + r->used, *lf;

	while ((lf = memchr(p, '\n', (size_t)(stop - p))) != NULL) {
		if (!r->cut)
			give(r, (struct str){ p, (size_t)(lf - p) });
		r->cut = false;
		p = lf + 1;
	}
	r->used = (size_t)(stop - p);
	if (r->used > 0 && (end || r->used == BUFFER_BYTES)) {
		if (!r->cut)
			give(r, (struct str){ p, r->used });
		r->cut = !end;
		r->used = 0;
	}
	memmove(r->buffer, p, r->used);
	if (end)
		r->cut = false;
}

static bool
read_plain(struct reader *r, int fd, const char *path)
{
	ssize_t n;

	while ((n = read(fd, r->buffer + r->used, BUFFER_BYTES - r->used)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return admin_refuse("%s: %s", path, strerror(errno)) == ADMIN_DONE;
		r->used += (size_t)n;
		r->done += (uint64_t)n;
		give_lines(r, false);
		r->progress(r->arg, r->done);
	}
	give_lines(r, true);
	return true;
}

static bool
read_gzip(struct reader *r, int fd, const char *path)
{
	gzFile in = gzdopen(fd, "rb");
	uint64_t before = r->done;
	bool ok = in != NULL;
	int n = 0;

	if (!ok) {
		close(fd);
		return admin_refuse("%s: %s", path, strerror(errno)) == ADMIN_DONE;
	}
	while ((n = gzread(in, r->buffer + r->used, (unsigned)(BUFFER_BYTES - r->used))) > 0) {
		r->used += (size_t)n;
		r->done = before + (uint64_t)gzoffset(in);
		give_lines(r, false);
		r->progress(r->arg, r->done);
	}
	give_lines(r, true);
	if (gzclose(in) != Z_OK || n < 0)
		ok = admin_refuse("%s: damaged gzip data", path) == ADMIN_DONE;
	return ok;
}

static bool
read_file(struct reader *r, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return admin_refuse("%s: %s", path, strerror(errno)) == ADMIN_DONE;
	if (has_suffix(path, ".gz"))
		return read_gzip(r, fd, path); /* closes it */
	ok = read_plain(r, fd, path);
	close(fd);
	return ok;
}

static void
exec_journalctl(const struct log_files *files, int out)
{
	char since[40];
	const char *argv[] = { "journalctl", "--no-pager", "-q", "-o", "short-iso-precise", "-u",
		"sanger-*", NULL, NULL };

	read_all_hand_on();
	snprintf(since, sizeof(since), "--since=@%lld", (long long)files->since);
	if (files->since > 0)
		argv[7] = since;
	dup2(out, STDOUT_FILENO);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static bool
read_journal(struct reader *r)
{
	int pipe_fds[2], status = 0;
	pid_t child;
	bool ok;

	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return admin_refuse("journalctl: %s", strerror(errno)) == ADMIN_DONE;
	child = fork();
	if (child == 0)
		exec_journalctl(r->files, pipe_fds[1]);
	close(pipe_fds[1]);
	ok = child > 0 && read_plain(r, pipe_fds[0], "journalctl");
	close(pipe_fds[0]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (child < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 127))
		return admin_refuse(
			   "log.file is not set and there is no journalctl: name the files") ==
		       ADMIN_DONE;
	return ok;
}

bool
log_files_each(const struct log_files *files, void (*line)(void *arg, struct str text),
    void (*progress)(void *arg, uint64_t done), void *arg)
{
	struct reader r = { .files = files, .line = line, .progress = progress, .arg = arg };
	time_t since = (time_t)files->since;
	struct tm tm;
	bool ok = true;

	if (since > 0 && gmtime_r(&since, &tm) != NULL)
		strftime(r.since, sizeof(r.since), "%Y-%m-%dT%H:%M:%S", &tm);
	r.buffer = mem_alloc(BUFFER_BYTES);
	for (size_t i = 0; i < files->count && ok; i++)
		ok = read_file(&r, files->paths[i]);
	if (files->paths == NULL) {
		r.since[0] = '\0'; /* journalctl looks at it, and its times are local */
		ok = read_journal(&r);
	}
	free(r.buffer);
	return ok;
}
