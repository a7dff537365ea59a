/* cleanup: what nobody needs any more goes, or out of the way; for a daily timer. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/backup_prune.h"
#include "admin/cleanup.h"
#include "admin/commands.h"
#include "admin/output.h"
#include "base/mem.h"
#include "service/service.h"
#include "store/dir.h"
#include "store/record.h"
#include "store/spool.h"

void
cleanup_problem(struct cleanup *c, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list args;

	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	admin_refuse("%s", buf_cstr(&text));
	buf_free(&text);
	c->problems++;
}

static void
clean_records(struct cleanup *c)
{
	char *dir = service_records_dir(c->a->config);

	c->records = records_prune(dir, config_duration_s(c->a->config, "record.keep"),
	    config_size(c->a->config, "record.size_max"), c->dry);
	free(dir);
}

static void
count_snapshot(void *arg, const char *name)
{
	struct cleanup *c = arg;

	(void)name;
	c->snapshots++;
}

/* mailadmin backup does it behind each success; this is for when there are no more backups.  Never while one is at work,
 * nor where this process may not write (the timer's service may only write where mail is). */
static void
clean_snapshots(struct cleanup *c)
{
	const struct config *config = c->a->config;
	const char *dir = config_string(config, "backup.dir");
	const struct prune_rules rules = {
		.daily = config_integer(config, "backup.keep_daily"),
		.weekly = config_integer(config, "backup.keep_weekly"),
		.monthly = config_integer(config, "backup.keep_monthly"),
	};
	int fd = -1, lock_fd = -1;

	if (dir != NULL && *dir != '\0' &&
	    faccessat(AT_FDCWD, dir, R_OK | W_OK | X_OK, AT_EACCESS) == 0)
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	lock_fd =
	    openat(fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW); /* none: no backup was ever made */
	if (lock_fd >= 0 && flock(lock_fd, LOCK_EX | LOCK_NB) == 0 &&
	    !prune_snapshots(fd, dir, &rules, c->dry, count_snapshot, c))
		c->problems++;
	if (lock_fd >= 0)
		close(lock_fd);
	close(fd);
}

/* Files in the spool whose row was never written; those of the living stay. */
static void
clean_spool(struct cleanup *c)
{
	if (c->dry || access(config_string(c->a->config, "store.spool"), F_OK) != 0)
		return;
	if (admin_open_spool(c->a))
		spool_sweep(c->a->spool);
	else
		c->problems++;
}

/* The lock says that only one such command is at work. */
static bool
open_removed_dir(struct cleanup *c)
{
	c->removed_dir = cleanup_removed_dir(c->a->config);
	if (!c->dry && mkdir(c->removed_dir, DIR_MODE) != 0 && errno != EEXIST) {
		admin_refuse("%s: %s; make it, or name another in cleanup.removed_dir",
		    c->removed_dir, strerror(errno));
		return false;
	}
	c->removed_fd = open(c->removed_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->removed_fd < 0 && c->dry && errno == ENOENT)
		return true;
	if (c->removed_fd < 0) {
		admin_refuse("%s: %s", c->removed_dir, strerror(errno));
		return false;
	}
	if (flock(c->removed_fd, LOCK_EX | LOCK_NB) != 0) {
		admin_refuse("another mailadmin cleanup is at work");
		return false;
	}
	return true;
}

static bool
summarise(const struct cleanup *c)
{
	static const struct output_column COLUMNS[] = {
		{ "accounts", "Accounts looked into", OUTPUT_TEXT },
		{ "trees", "Mail trees without an account, moved away", OUTPUT_TEXT },
		{ "trash", "Expunged from Trash", OUTPUT_TEXT },
		{ "junk", "Expunged from Junk", OUTPUT_TEXT },
		{ "kept", "Expunged long ago, removed for good", OUTPUT_TEXT },
		{ "kept_bytes", "Their size", OUTPUT_BYTES },
		{ "tmp_files", "Temporary files", OUTPUT_TEXT },
		{ "indexes", "Damaged indexes that were set aside", OUTPUT_TEXT },
		{ "records", "Old records", OUTPUT_TEXT },
		{ "snapshots", "Old snapshots", OUTPUT_TEXT },
		{ "problems", "Problems", OUTPUT_TEXT },
	};
	static const struct output_column MOVED[] = { { "account", "WITHOUT ACCOUNT", OUTPUT_TEXT },
		{ "to", "MOVED TO", OUTPUT_TEXT } };
	json_t *object = json_pack("{sI sI sI sI sI sI sI sI sI sI sI sO sb}", "accounts",
	    (json_int_t)c->accounts, "trees", (json_int_t)json_array_size(c->moved), "trash",
	    (json_int_t)c->trash, "junk", (json_int_t)c->junk, "kept", (json_int_t)c->kept,
	    "kept_bytes", (json_int_t)c->kept_bytes, "tmp_files", (json_int_t)c->tmp_files,
	    "indexes", (json_int_t)c->indexes, "records", (json_int_t)c->records, "snapshots",
	    (json_int_t)c->snapshots, "problems", (json_int_t)c->problems, "moved", c->moved,
	    "dry_run", c->dry);

	if (!c->a->json && json_array_size(c->moved) > 0 &&
	    !output_list(json_incref(c->moved), MOVED, ARRAY_LEN(MOVED), false))
		return false;
	return output_object(object, COLUMNS, ARRAY_LEN(COLUMNS), c->a->json);
}

static enum admin_status
run(struct admin *a)
{
	struct cleanup c = { .a = a,
		.dry = admin_option(a, "--dry-run") != NULL,
		.many = admin_option(a, "--many") != NULL,
		.removed_fd = -1,
		.moved = json_array() };
	bool ok = admin_may_act(a) && admin_open_accounts(a) && admin_open_store(a) &&
		  open_removed_dir(&c);

	if (ok) {
		cleanup_trees(&c);
		cleanup_accounts(&c);
		clean_spool(&c);
		clean_records(&c);
		clean_snapshots(&c);
		if (!c.dry && cleanup_status_note(c.removed_fd, c.problems) != STORE_OK)
			cleanup_problem(&c, "%s/status cannot be written", c.removed_dir);
		ok = summarise(&c) && c.problems == 0;
	}
	if (c.removed_fd >= 0)
		close(c.removed_fd);
	free(c.removed_dir);
	json_decref(c.moved);
	return ok ? ADMIN_DONE : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_cleanup = {
	.group = "cleanup",
	.args = "",
	.options = { { "--dry-run", NULL, "only say what would be done" },
	    { "--many", NULL, "also if more than half of all mail trees are without an account" },
	    { "--json", NULL, "the summary as JSON" } },
	.summary = "Clears away what nobody needs any more; for a daily timer.",
	.help =
	    "Mail of accounts that are no more goes to cleanup.removed_dir, never away.  Trash and "
	    "Junk\n"
	    "are emptied by cleanup.trash_days and cleanup.junk_days, and what was expunged longer "
	    "ago than\n"
	    "store.undelete_days is removed for good, as are temporary files of dead programs and "
	    "old records.\n"
	    "Trouble with one account does not stop the others; then the exit status is 1.",
	.example = "mailadmin cleanup --dry-run",
	.removes = true,
	.run = run,
};
