/* backup: a dated snapshot of everything, beside those there are; see backup.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "admin/backup.h"
#include "admin/backup_prune.h"
#include "admin/backup_status.h"
#include "admin/commands.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/root.h"

#define ROOM_STEP_BYTES (16u << 20) /* written between two looks at the free space */
#define ROOM_FILE_BYTES 4096        /* what a file takes at least */
#define BOOT_FILE       "boot"      /* in NAME.partial: of this boot */

/* --- what goes wrong ---------------------------------------------------------------------------- */

void
backup_problem(struct backup *b, const char *what, const char *why)
{
	admin_refuse("%s: %s", what, why);
	if (b->reason == NULL)
		b->reason = mem_printf("%s: %s", what, why);
	b->facts.problems++;
}

bool
backup_fail(struct backup *b, const char *what, const char *why)
{
	if (!b->failed)
		admin_refuse("%s: %s; the snapshot was not finished", what, why);
	if (!b->failed) {
		free(b->reason);
		b->reason = mem_printf("%s: %s", what, why);
	}
	b->failed = true;
	return false;
}

bool
backup_has_room(struct backup *b, uint64_t bytes)
{
	uint64_t floor = config_size(b->a->config, "store.free_space_floor");
	struct statvfs vfs;

	b->unchecked_bytes += bytes + ROOM_FILE_BYTES;
	if (b->failed || b->unchecked_bytes < ROOM_STEP_BYTES)
		return !b->failed;
	b->unchecked_bytes = 0;
	if (fstatvfs(b->dir_fd, &vfs) == 0 && (uint64_t)vfs.f_bavail * vfs.f_frsize < floor)
		return backup_fail(b, b->dir, "less than store.free_space_floor is free there");
	return true;
}

enum store_err
backup_read_path(const char *path, size_t max_bytes, struct buf *out)
{
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum store_err err = root >= 0 ? STORE_OK : dir_err(errno);

	if (err == STORE_OK) {
		err = dir_read_file(root, path + 1, max_bytes, out);
		close(root);
	}
	return err;
}

enum store_err
backup_make_dirs(int at_fd, const char *path)
{
	enum store_err err = STORE_OK;

	for (const char *p = strchr(path, '/'); p != NULL && err == STORE_OK;
	     p = strchr(p + 1, '/')) {
		char *dir = mem_strndup(path, (size_t)(p - path));

		if (mkdirat(at_fd, dir, DIR_MODE) != 0 && errno != EEXIST)
			err = dir_err(errno);
		free(dir);
	}
	return err;
}

/* --- the directory ------------------------------------------------------------------------------ */

static bool
is_below(const char *path, const char *root)
{
	char *real_path = realpath(path, NULL), *real_root = realpath(root, NULL);
	size_t len = real_root != NULL ? strlen(real_root) : 0;
	bool below = real_path != NULL && real_root != NULL &&
		     strncmp(real_path, real_root, len) == 0 &&
		     (real_path[len] == '/' || real_path[len] == '\0');

	free(real_path);
	free(real_root);
	return below;
}

/* Only one at a time: the lock ends with the descriptor, which stays open until the process ends. */
static bool
lock_dir(struct backup *b)
{
	int fd = openat(b->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);

	if (fd < 0)
		return admin_refuse("%s/lock: %s", b->dir, strerror(errno)), false;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return admin_refuse("%s: another backup is at work there", b->dir), false;
	return true;
}

static bool
open_backup_dir(struct backup *b)
{
	bool made = !b->dry && mkdir(b->dir, DIR_MODE) == 0;

	if (!made && !b->dry && errno != EEXIST)
		return admin_refuse("%s: %s", b->dir, strerror(errno)), false;
	if (is_below(b->dir, config_string(b->a->config, "store.mail_root"))) {
		if (made)
			rmdir(b->dir);
		return admin_refuse("%s lies in the mail tree itself", b->dir), false;
	}
	b->dir_fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dir_fd < 0 && (!b->dry || errno != ENOENT))
		return admin_refuse("%s: %s", b->dir, strerror(errno)), false;
	return b->dry || lock_dir(b);
}

/* Hard links, and names as messages have them: a file system without is no place for snapshots, and that is said
 * before anything is copied. */
static bool
can_hold_snapshots(struct backup *b)
{
	static const char FILE_NAME[] = "probe:2,S", LINK_NAME[] = "probe:2,RS";
	int fd = openat(b->fd, FILE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	bool ok = fd >= 0 && linkat(b->fd, FILE_NAME, b->fd, LINK_NAME, 0) == 0;

	if (!ok)
		admin_refuse("%s: its file system cannot hold snapshots: hard links and names with "
			     "':' are needed (%s)",
		    b->dir, strerror(errno));
	if (fd >= 0)
		close(fd);
	unlinkat(b->fd, FILE_NAME, 0);
	unlinkat(b->fd, LINK_NAME, 0);
	return ok;
}

/* --- interrupted runs --------------------------------------------------------------------------- */

static void
boot_id(struct buf *out)
{
	if (backup_read_path("/proc/sys/kernel/random/boot_id", 1024, out) != STORE_OK)
		buf_adds(out, "unknown\n");
}

static bool
is_of_this_boot(int fd)
{
	struct buf now = { 0 }, then = { 0 };
	bool same;

	boot_id(&now);
	same = dir_read_file(fd, BOOT_FILE, 1024, &then) == STORE_OK &&
	       str_eq((struct str){ now.data, now.len }, (struct str){ then.data, then.len }) &&
	       str_find((struct str){ now.data, now.len }, STR("unknown")) == SIZE_MAX;
	buf_free(&now);
	buf_free(&then);
	return same;
}

struct partials {
	char **names;
	size_t count;
};

static bool
add_partial(void *arg, const char *name, unsigned char type)
{
	struct partials *p = arg;
	size_t len = strlen(name), end = strlen(SNAPSHOT_PARTIAL);
	char *stem;

	if (type != DT_DIR || len <= end || strcmp(name + len - end, SNAPSHOT_PARTIAL) != 0)
		return true;
	stem = mem_strndup(name, len - end);
	if (snapshot_name_parse(stem, NULL)) {
		p->names = mem_realloc_array(p->names, p->count + 1, sizeof(char *));
		p->names[p->count++] = mem_strdup(name);
	}
	free(stem);
	return true;
}

/* What it has copied need not be copied again.  Of several the newest. */
static void
find_partial(struct backup *b, struct partials *p)
{
	size_t best = 0;

	dir_list(b->dir_fd, add_partial, p);
	for (size_t i = 1; i < p->count; i++)
		if (strcmp(p->names[i], p->names[best]) > 0)
			best = i;
	if (p->count == 0 || dir_open(b->dir_fd, p->names[best], &b->partial_fd) != STORE_OK)
		return;
	if (!is_of_this_boot(b->partial_fd)) {
		close(b->partial_fd);
		b->partial_fd = -1;
	}
}

static void
remove_partials(struct backup *b, struct partials *p)
{
	for (size_t i = 0; i < p->count; i++) {
		if (!b->dry)
			dir_remove_tree(b->dir_fd, p->names[i]);
		free(p->names[i]);
	}
	free(p->names);
	*p = (struct partials){ 0 };
}

/* --- beginning ---------------------------------------------------------------------------------- */

static void
open_last(struct backup *b)
{
	struct snapshot_list list;

	if (snapshot_list(b->dir_fd, &list) == STORE_OK && list.count > 0 &&
	    dir_open(b->dir_fd, list.items[list.count - 1].name, &b->last_fd) == STORE_OK)
		manifest_read(b->last_fd, SNAPSHOT_SERVER, true, &b->last_server, NULL);
	snapshot_list_free(&list);
}

static bool
make_partial(struct backup *b)
{
	char *partial = mem_printf("%s" SNAPSHOT_PARTIAL, b->name);
	struct buf boot = { 0 };
	enum store_err err = dir_make(b->dir_fd, partial);

	if (err == STORE_OK)
		err = dir_open(b->dir_fd, partial, &b->fd);
	if (err == STORE_OK) {
		boot_id(&boot);
		err =
		    dir_replace_file(b->fd, BOOT_FILE, (struct str){ boot.data, boot.len }, false);
		buf_free(&boot);
	}
	if (err == STORE_OK)
		err = backup_make_dirs(b->fd, "mail/.");
	if (err == STORE_OK)
		err = backup_make_dirs(b->fd, "manifest/.");
	if (err != STORE_OK)
		admin_refuse("%s/%s: %s", b->dir, partial, store_err_text(err));
	free(partial);
	return err == STORE_OK && can_hold_snapshots(b);
}

/* --- the accounts ------------------------------------------------------------------------------- */

struct places {
	char **names; /* DOMAIN, LOCALPART, … */
	size_t count;
	int root_fd, domain_fd;
	const char *domain;
};

static void
add_place(struct places *p, const char *name)
{
	if (p->count % 128 == 0)
		p->names = mem_realloc_array(p->names, p->count + 128, sizeof(char *));
	p->names[p->count++] = mem_strdup(name);
}

static bool
on_localpart(void *arg, const char *name, unsigned char type)
{
	struct places *p = arg;

	if (type == DT_DIR && name[0] != '.') {
		add_place(p, p->domain);
		add_place(p, name);
	}
	return true;
}

static bool
on_domain(void *arg, const char *name, unsigned char type)
{
	struct places *p = arg;

	if (type == DT_DIR && name[0] != '.' &&
	    dir_open(p->root_fd, name, &p->domain_fd) == STORE_OK) {
		p->domain = name;
		dir_list(p->domain_fd, on_localpart, p);
		close(p->domain_fd);
	}
	return true;
}

static int
by_place(const void *a, const void *b)
{
	char *const *x = a, *const *y = b;
	int order = strcmp(x[0], y[0]);

	return order != 0 ? order : strcmp(x[1], y[1]);
}

/* All mail there is, of accounts and of those that were deleted. */
static bool
find_places(struct backup *b, struct places *p)
{
	const char *root = config_string(b->a->config, "store.mail_root");
	enum store_err err;

	*p = (struct places){ .root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	err = p->root_fd >= 0 ? dir_list(p->root_fd, on_domain, p) : dir_err(errno);
	if (p->root_fd >= 0)
		close(p->root_fd);
	if (p->count > 0)
		qsort(p->names, p->count / 2, 2 * sizeof(char *), by_place);
	return err == STORE_OK || backup_fail(b, root, store_err_text(err));
}

static bool
backup_accounts(struct backup *b)
{
	struct progress *progress = NULL;
	struct places p;
	bool ok = find_places(b, &p);

	if (ok)
		progress = progress_begin("Accounts", p.count / 2);
	for (size_t i = 0; i + 1 < p.count && ok; i += 2) {
		ok = backup_account(b, p.names[i + 1], p.names[i]);
		store_idle(b->a->store);
		progress_step(progress, i / 2 + 1);
	}
	progress_end(progress);
	for (size_t i = 0; i < p.count; i++)
		free(p.names[i]);
	free(p.names);
	return ok;
}

/* --- the end ------------------------------------------------------------------------------------ */

static enum store_err
write_server_manifest(struct backup *b)
{
	struct buf text = { 0 };
	enum store_err err;

	b->server.taken_s = b->facts.began_s;
	manifest_format(&text, &b->server);
	file_digest_str((struct str){ text.data, text.len }, &b->facts.manifest_server);
	err = dir_replace_file(b->fd, SNAPSHOT_SERVER, (struct str){ text.data, text.len }, false);
	buf_free(&text);
	return err;
}

/* Everything is on the disk before `complete` says so, and that before the name does. */
static bool
seal(struct backup *b)
{
	char *partial = mem_printf("%s" SNAPSHOT_PARTIAL, b->name);
	enum store_err err;

	dir_remove_tree(b->fd, "manifest.part");
	err = write_server_manifest(b);
	if (err == STORE_OK && syncfs(b->fd) != 0)
		err = dir_err(errno);
	b->facts.ended_s = time(NULL);
	if (err == STORE_OK)
		err = snapshot_facts_write(b->fd, &b->facts);
	if (err == STORE_OK && unlinkat(b->fd, BOOT_FILE, 0) != 0)
		err = dir_err(errno);
	if (err == STORE_OK)
		err = dir_rename_new(b->dir_fd, partial, b->dir_fd, b->name);
	if (err == STORE_OK)
		err = dir_sync(b->dir_fd);
	if (err != STORE_OK)
		backup_fail(b, partial, store_err_text(err));
	free(partial);
	return err == STORE_OK;
}

/* --- what is said ------------------------------------------------------------------------------- */

static const struct output_column COLUMNS[] = {
	{ "snapshot", "Snapshot", OUTPUT_TEXT },
	{ "accounts", "Accounts", OUTPUT_TEXT },
	{ "messages", "Messages", OUTPUT_TEXT },
	{ "bytes", "Size", OUTPUT_BYTES },
	{ "copied_files", "Files copied", OUTPUT_TEXT },
	{ "copied_bytes", "Bytes copied", OUTPUT_BYTES },
	{ "problems", "Problems", OUTPUT_TEXT },
	{ "seconds", "Seconds", OUTPUT_TEXT },
	{ "locked_ms", "Longest lock of an account (ms)", OUTPUT_TEXT },
	{ "removed_names", "Snapshots removed", OUTPUT_TEXT },
};

static bool
summarise(const struct backup *b, json_t *removed)
{
	char *path = mem_printf("%s/%s", b->dir, b->name);
	struct buf names = { 0 };
	json_t *object;

	for (size_t i = 0; i < json_array_size(removed); i++)
		buf_printf(&names, "%s%s", i > 0 ? " " : "",
		    json_string_value(json_array_get(removed, i)));
	object = json_pack("{so sI sI sI sI sI sI sI sI sO sb}", "snapshot", output_string(path),
	    "accounts", (json_int_t)b->facts.accounts, "messages", (json_int_t)b->facts.messages,
	    "bytes", (json_int_t)b->facts.bytes, "copied_files", (json_int_t)b->facts.copied_files,
	    "copied_bytes", (json_int_t)b->facts.copied_bytes, "problems",
	    (json_int_t)b->facts.problems, "seconds", (json_int_t)(time(NULL) - b->facts.began_s),
	    "locked_ms", (json_int_t)(b->longest_lock_us + 999) / 1000, "removed", removed,
	    "dry_run", b->dry);
	if (!b->a->json)
		json_object_set_new(object, "removed_names",
		    output_string(names.len > 0 ? buf_cstr(&names) : NULL));
	buf_free(&names);
	free(path);
	return output_object(object, COLUMNS, ARRAY_LEN(COLUMNS), b->a->json);
}

static void
add_removed(void *arg, const char *name)
{
	json_array_append_new(arg, output_string(name));
}

/* --- a run -------------------------------------------------------------------------------------- */

static bool
was_found_damaged(const struct backup *b)
{
	struct backup_status status;
	bool damaged;

	backup_status_read(b->dir_fd, &status);
	damaged = status.events[BACKUP_DAMAGED].at != 0;
	backup_status_free(&status);
	return damaged;
}

/* The snapshot, then what is not needed any more. */
static bool
make_snapshot(struct backup *b, const struct prune_rules *rules, json_t *removed)
{
	struct partials partials = { 0 };
	bool ok;

	snapshot_name_make(b->dir_fd, time(NULL), b->name);
	find_partial(b, &partials);
	open_last(b);
	b->careful = was_found_damaged(b);
	if (!b->dry)
		backup_status_note(b->dir_fd, BACKUP_BEGAN, b->name);
	ok = (b->dry || make_partial(b)) && backup_has_room(b, ROOM_STEP_BYTES) &&
	     (b->dry || backup_server(b)) && backup_accounts(b) && (b->dry || seal(b));
	if (ok || b->failed)
		remove_partials(b, &partials);
	if (ok && b->facts.problems == 0)
		ok = prune_snapshots(b->dir_fd, b->dir, rules, b->dry, add_removed, removed);
	return ok && b->facts.problems == 0;
}

/* A run that has failed leaves nothing: what it has copied might be all the space there is. */
static void
note_result(struct backup *b, bool ok)
{
	char *partial = mem_printf("%s" SNAPSHOT_PARTIAL, b->name);

	if (!b->dry && ok)
		backup_status_note(b->dir_fd, BACKUP_SUCCEEDED, b->name);
	else if (!b->dry)
		backup_status_note(
		    b->dir_fd, BACKUP_FAILED, b->reason != NULL ? b->reason : "it said why");
	if (!b->dry && !ok && b->facts.ended_s == 0)
		dir_remove_tree(b->dir_fd, partial);
	free(partial);
}

static void
close_all(struct backup *b)
{
	const int fds[] = { b->fd, b->partial_fd, b->last_fd, b->dir_fd };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	manifest_free(&b->server);
	manifest_free(&b->last_server);
	free(b->reason);
}

static enum admin_status
run(struct admin *a)
{
	struct backup b = { .a = a,
		.dir = a->arg_count > 0 ? a->args[0] : config_string(a->config, "backup.dir"),
		.dir_fd = -1,
		.fd = -1,
		.partial_fd = -1,
		.last_fd = -1,
		.clone = true,
		.dry = admin_option(a, "--dry-run") != NULL,
		.facts.began_s = time(NULL) };
	struct prune_rules rules;
	json_t *removed;
	bool ok;

	if (b.dir == NULL || *b.dir == '\0')
		return admin_bad_usage(a, "DIR is needed: backup.dir is not set");
	if (!prune_rules_read(a, &rules))
		return ADMIN_USAGE;
	if (!admin_open_store(a) || !open_backup_dir(&b)) {
		close_all(&b);
		return ADMIN_REFUSED;
	}
	removed = json_array();
	ok = make_snapshot(&b, &rules, removed);
	note_result(&b, ok);
	ok = (b.failed || summarise(&b, removed)) && ok;
	json_decref(removed);
	close_all(&b);
	return ok ? ADMIN_DONE : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_backup = {
	.group = "backup",
	.args = "[DIR]",
	.args_most = 1,
	.options = { { "--keep-daily", "N", "instead of backup.keep_daily" },
	    { "--keep-weekly", "N", "instead of backup.keep_weekly" },
	    { "--keep-monthly", "N", "instead of backup.keep_monthly" },
	    { "--dry-run", NULL, "only say what would be copied and which snapshots would go" },
	    { "--json", NULL, "the summary as JSON" } },
	.summary = "Makes a snapshot of mail, accounts, configuration and spool, while all runs.",
	.help = "DIR (default: backup.dir) gets a directory 2026-11-21T0230Z with a mail tree, "
		"user.db,\n"
		"config/, spool/ and manifest/.  What the snapshot before has is a hard link to "
		"it.  After\n"
		"success, snapshots that backup.keep_* do not ask for are removed.  A run that was "
		"stopped\n"
		"leaves NAME.partial, from which the next one goes on.",
	.example = "mailadmin backup /srv/backup/sanger",
	.removes = true,
	.run = run,
};
