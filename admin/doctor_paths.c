/* Can the daemons get at what the settings name, and nobody else? */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "base/mem.h"

enum path_kind {
	PATH_DIR,      /* must be there and writable */
	PATH_MADE_DIR, /* the same, but whoever needs it makes it */
	PATH_RUN_DIR,  /* root may own it: the parent process writes there */
	PATH_FILE,     /* appended to or made */
	PATH_DATABASE, /* made by us; with its directory, for SQLite's journal */
};

struct path_row {
	const char *setting;
	enum path_kind kind;
	bool private; /* mail is in it: not for others' eyes */
};

static const struct path_row PATHS[] = {
	{ "store.mail_root", PATH_DIR, true },
	{ "store.index_root", PATH_MADE_DIR, true },
	{ "store.account_db", PATH_DATABASE, true },
	{ "store.spool", PATH_MADE_DIR, true },
	{ "server.run_dir", PATH_RUN_DIR, false },
	{ "log.file", PATH_FILE, false },
};

static char *
parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return mem_strndup(path, slash > path ? (size_t)(slash - path) : 1);
}

/* The first directory on the way that cannot be walked through, the caller's; or NULL. */
static char *
blocked_at(const char *path)
{
	for (const char *p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
		char *above = mem_strndup(path, (size_t)(p - path));

		if (faccessat(AT_FDCWD, above, X_OK, AT_EACCESS) != 0 && errno == EACCES)
			return above;
		free(above);
	}
	return NULL;
}

static void
say_no_way(struct doctor *d, const char *setting, const char *path, int error)
{
	char *block = blocked_at(path);

	if (block != NULL)
		doctor_fail(d, setting, "chmod o+x it, or chown it to server.user",
		    "%s cannot be reached: %s is closed to the daemons' user", path, block);
	else
		doctor_fail(d, setting, "chown it to server.user, or name another place", "%s: %s",
		    path, strerror(error));
	free(block);
}

static bool
may(const char *path, int mode)
{
	return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

/* Something that may be missing as long as it can be made. */
static void
check_makeable(struct doctor *d, const char *setting, const char *path)
{
	char *parent = parent_of(path);

	if (may(parent, W_OK | X_OK))
		doctor_ok(d, setting, "%s will be made when it is needed", path);
	else
		say_no_way(d, setting, path, errno);
	free(parent);
}

static void
check_strangers(
    struct doctor *d, const struct path_row *row, const char *path, const struct stat *st)
{
	if ((st->st_mode & S_IWOTH) != 0 && (st->st_mode & S_ISVTX) == 0)
		doctor_fail(d, row->setting, "chmod o-w it", "%s: everybody may write there", path);
	else if (row->private && (st->st_mode & (S_IROTH | S_IXOTH)) == (S_IROTH | S_IXOTH) &&
		 S_ISDIR(st->st_mode))
		doctor_warn(
		    d, row->setting, "chmod o-rwx it", "%s: everybody may look into it", path);
	else if (row->private && S_ISREG(st->st_mode) && (st->st_mode & S_IROTH) != 0)
		doctor_fail(d, row->setting, "chmod o-r it", "%s: everybody may read it", path);
	else if (row->kind != PATH_RUN_DIR && row->kind != PATH_FILE && st->st_uid != geteuid())
		doctor_warn(d, row->setting, "chown it to server.user",
		    "%s belongs to user %u, not to the daemons' user", path, (unsigned)st->st_uid);
	else
		doctor_ok(d, row->setting, "%s", path);
}

/* SQLite makes its journal beside the database. */
static void
check_database_dir(struct doctor *d, const struct path_row *row, const char *path)
{
	char *parent = parent_of(path);

	if (!may(parent, W_OK | X_OK))
		doctor_fail(d, row->setting, "chown or chmod the directory for server.user",
		    "%s: mailadmin cannot write beside it: %s is closed", path, parent);
	free(parent);
}

static void
check_path(struct doctor *d, const struct path_row *row)
{
	const char *path = config_string(d->a->config, row->setting);
	bool want_dir = row->kind != PATH_FILE && row->kind != PATH_DATABASE;
	struct stat st;

	if (path == NULL || *path == '\0')
		return;
	if (stat(path, &st) != 0) {
		if (errno == ENOENT && row->kind != PATH_DIR && row->kind != PATH_RUN_DIR)
			check_makeable(d, row->setting, path);
		else if (errno == ENOENT)
			doctor_fail(d, row->setting, "mkdir it and chown it to server.user",
			    "%s is not there", path);
		else
			say_no_way(d, row->setting, path, errno);
		return;
	}
	if (want_dir != S_ISDIR(st.st_mode)) {
		doctor_fail(d, row->setting, "name another place in the configuration",
		    want_dir ? "%s is no directory" : "%s is a directory", path);
		return;
	}
	if (!may(path, want_dir ? R_OK | W_OK | X_OK : R_OK | W_OK) &&
	    !(row->kind == PATH_RUN_DIR && st.st_uid == 0)) {
		say_no_way(d, row->setting, path, errno);
		return;
	}
	if (row->kind == PATH_DATABASE)
		check_database_dir(d, row, path);
	check_strangers(d, row, path, &st);
}

void
doctor_paths(struct doctor *d)
{
	for (size_t i = 0; i < ARRAY_LEN(PATHS); i++)
		check_path(d, &PATHS[i]);
}
