/* verify: is a snapshot what its manifests say, and can all of it be read? */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/backup_status.h"
#include "admin/commands.h"
#include "admin/manifest.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "admin/snapshot.h"
#include "base/mem.h"
#include "store/dir.h"
#include "store/mime.h"
#include "store/sql_copy.h"

#define NS_PER_S INT64_C(1000000000)

/* Digests of files by inode: snapshots share them, and each is read once. */
struct seen {
	uint64_t inode;
	dev_t dev;
	struct file_digest digest;
	bool opens;
};

struct verification {
	struct admin *a;
	bool quick;
	struct seen *seen; /* open addressing; inode 0 is a free place */
	size_t seen_count, seen_size;
	/* The snapshot at hand: */
	int fd;
	const char *path;
	struct snapshot_facts found;
	struct progress *progress;
	json_t *findings; /* {snapshot, file, problem} */
	size_t snapshots, files;
};

static void
finding(struct verification *v, const char *file, const char *what)
{
	json_array_append_new(
	    v->findings, json_pack("{so so so}", "snapshot", output_string(v->path), "file",
			     output_string(file), "problem", output_string(what)));
	v->found.problems++;
}

/* --- files seen before -------------------------------------------------------------------------- */

static struct seen *
seen_place(struct seen *table, size_t size, const struct stat *st)
{
	uint64_t h = (st->st_ino ^ (uint64_t)st->st_dev << 40) * UINT64_C(0x9E3779B97F4A7C15) >> 16;

	while (table[h & (size - 1)].inode != 0 && (table[h & (size - 1)].inode != st->st_ino ||
						       table[h & (size - 1)].dev != st->st_dev))
		h++;
	return &table[h & (size - 1)];
}

static void
grow_seen(struct verification *v)
{
	size_t size = v->seen_size == 0 ? 1024 : 2 * v->seen_size;
	struct seen *table = mem_zalloc(size * sizeof(*table));

	for (size_t i = 0; i < v->seen_size; i++) {
		struct stat st = { .st_ino = v->seen[i].inode, .st_dev = v->seen[i].dev };

		if (v->seen[i].inode != 0)
			*seen_place(table, size, &st) = v->seen[i];
	}
	free(v->seen);
	v->seen = table;
	v->seen_size = size;
}

/* --- one file ----------------------------------------------------------------------------------- */

/* Its structure and its header can be read. */
static bool
message_opens(int fd)
{
	struct mime_message *m = mime_parse_fd(fd);
	bool ok = m != NULL && m->root != NULL && m->root->header.size > 0;

	if (m != NULL)
		mime_message_free(m);
	return ok;
}

/* NULL: it is what it should be.  A file with another link to it may have been read already. */
static const char *
read_file(struct verification *v, int fd, const struct stat *st, const struct manifest_entry *e,
    bool is_message)
{
	struct seen *known;
	uint64_t size;

	if (2 * (v->seen_count + 1) > v->seen_size)
		grow_seen(v);
	known = seen_place(v->seen, v->seen_size, st);
	if (known->inode == 0) {
		struct seen new = { .inode = st->st_ino, .dev = st->st_dev, .opens = true };

		if (file_digest_fd(fd, &size, &new.digest) != STORE_OK)
			return strerror(errno);
		if (is_message && size > 0)
			new.opens = message_opens(fd);
		*known = new;
		v->seen_count++;
	}
	if (!file_digest_eq(&known->digest, &e->digest))
		return "its bytes are not what was saved";
	return known->opens ? NULL : "no message can be read in it";
}

static bool
is_database(const char *path)
{
	size_t len = strlen(path);

	return len > 3 && strcmp(path + len - 3, ".db") == 0;
}

static void
check_database(struct verification *v, const char *place, const char *path)
{
	char *full = mem_printf("/proc/self/fd/%d/%s", v->fd, place);
	struct buf problems = { 0 };

	if (sql_check_file(full, NULL, &problems) != STORE_OK || problems.len > 0)
		finding(v, path, "the database is damaged");
	buf_free(&problems);
	free(full);
}

/* `root`: where the manifest's paths begin, "" or "mail/DOMAIN/LOCALPART/". */
static void
check_entry(struct verification *v, const char *root, const struct manifest_entry *e)
{
	char *path = mem_printf("%s%s", root, e->path);
	struct str folder, unique;
	bool is_message = *root != '\0' && manifest_path_is_message(e->path, &folder, &unique);
	const char *why = NULL;
	struct stat st = { 0 };
	int fd = -1;

	v->files++;
	v->found.bytes += e->size;
	v->found.messages += is_message;
	if (dir_open_file(v->fd, path, O_RDONLY | O_NONBLOCK, 0, &fd) != STORE_OK ||
	    fstat(fd, &st) != 0)
		why = errno == ENOENT ? "it is missing" : strerror(errno);
	else if (!S_ISREG(st.st_mode))
		why = "it is no file";
	else if ((uint64_t)st.st_size != e->size)
		why = "its size is not what was saved";
	else if (!v->quick)
		why = read_file(v, fd, &st, e, is_message);
	if (why == NULL && st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec != e->mtime_ns)
		why = "its time stamp is not what was saved";
	if (why != NULL)
		finding(v, path, why);
	else if (is_database(e->path) && !v->quick)
		check_database(v, path, path);
	if (fd >= 0)
		close(fd);
	free(path);
}

/* --- one account -------------------------------------------------------------------------------- */

struct strays {
	struct verification *v;
	struct manifest *m;
	char *dir; /* below the account: "", "cur/", ".Sent/cur/" */
	const char *root;
	int fd;
};

static bool look_for_strays(void *arg, const char *name, unsigned char type);

static void
look_into(struct verification *v, struct manifest *m, const char *root, const char *dir)
{
	struct strays s = { .v = v, .m = m, .root = root, .dir = mem_strdup(dir) };
	char *path = mem_printf("%s%s.", root, dir);

	if (dir_open(v->fd, path, &s.fd) == STORE_OK) {
		dir_list(s.fd, look_for_strays, &s);
		close(s.fd);
	}
	free(path);
	free(s.dir);
}

/* A file that no manifest knows: somebody has been at it, and a restore would not bring it. */
static bool
look_for_strays(void *arg, const char *name, unsigned char type)
{
	struct strays *s = arg;
	char *below = mem_printf("%s%s%s", s->dir, name, type == DT_DIR ? "/" : "");

	if (type == DT_DIR) {
		look_into(s->v, s->m, s->root, below);
	} else if (manifest_find_path(s->m, below) == NULL) {
		char *path = mem_printf("%s%s", s->root, below);

		finding(s->v, path, "it is in no manifest");
		free(path);
	}
	free(below);
	return true;
}

/* `path`: manifest/DOMAIN/LOCALPART. */
static void
check_account(struct verification *v, const char *path)
{
	char *root = mem_printf("mail/%s/", path + strlen("manifest/"));
	struct manifest m;
	enum store_err err = manifest_read(v->fd, path, true, &m, NULL);

	v->found.accounts++;
	if (err != STORE_OK)
		finding(v, path, store_err_text(err));
	for (size_t i = 0; i < m.count; i++)
		check_entry(v, root, &m.entries[i]);
	if (err == STORE_OK)
		look_into(v, &m, root, "");
	manifest_free(&m);
	free(root);
}

/* --- one snapshot ------------------------------------------------------------------------------- */

static void
compare_count(struct verification *v, const char *what, uint64_t saved, uint64_t found)
{
	char *text;

	if (saved == found)
		return;
	text = mem_printf("it says %llu %s, there are %llu", (unsigned long long)saved, what,
	    (unsigned long long)found);
	finding(v, "complete", text);
	free(text);
}

static bool
is_account_manifest(const char *path)
{
	return strncmp(path, "manifest/", 9) == 0;
}

/* manifest/DOMAIN/LOCALPART of the only account that is wanted; NULL: all are. */
static char *
wanted_manifest(struct admin *a)
{
	const char *address = admin_option(a, "--account"), *at;
	char *wanted;

	if (address == NULL)
		return NULL;
	at = strrchr(address, '@');
	wanted = at == NULL ? mem_strdup("manifest/")
			    : mem_printf("manifest/%s/%.*s", at + 1, (int)(at - address), address);
	ascii_lower_all(wanted, strlen(wanted));
	return wanted;
}

/* All that is named in manifest.server, and behind each manifest in it the account. */
static void
check_snapshot(struct verification *v, const struct snapshot_facts *facts)
{
	char *wanted = wanted_manifest(v->a);
	struct file_digest digest;
	struct manifest server;
	bool found = false;

	v->found = (struct snapshot_facts){ 0 };
	if (manifest_read(v->fd, SNAPSHOT_SERVER, true, &server, &digest) != STORE_OK)
		finding(v, SNAPSHOT_SERVER, "it cannot be read");
	else if (!file_digest_eq(&digest, &facts->manifest_server))
		finding(v, SNAPSHOT_SERVER, "its bytes are not what was saved");
	v->progress = progress_begin(v->path, server.count);
	for (size_t i = 0; i < server.count; i++) {
		const struct manifest_entry *e = &server.entries[i];
		uint64_t bytes = v->found.bytes;

		if (wanted != NULL && strcmp(wanted, e->path) != 0)
			continue;
		found = true;
		check_entry(v, "", e);
		if (is_account_manifest(e->path)) {
			v->found.bytes = bytes; /* manifests do not count themselves */
			check_account(v, e->path);
		}
		progress_step(v->progress, i + 1);
	}
	progress_end(v->progress);
	if (wanted != NULL && !found)
		finding(v, wanted, "there is no such account in it");
	if (wanted == NULL && server.count > 0) {
		compare_count(v, "accounts", facts->accounts, v->found.accounts);
		compare_count(v, "messages", facts->messages, v->found.messages);
		compare_count(v, "bytes", facts->bytes, v->found.bytes);
	}
	manifest_free(&server);
	free(wanted);
}

/* Where the snapshot lies among others, their status tells of it. */
static void
note_status(struct verification *v, const char *name)
{
	int dir_fd;

	if (v->a->values[0] != NULL || !snapshot_name_parse(name, NULL)) /* one account only */
		return;
	dir_fd = openat(v->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return;
	if (faccessat(dir_fd, "status", F_OK, 0) == 0)
		backup_status_note(
		    dir_fd, v->found.problems == 0 ? BACKUP_VERIFIED : BACKUP_DAMAGED, name);
	close(dir_fd);
}

/* False: it could not be opened. */
static bool
verify_one(struct verification *v, const char *path, const char *name)
{
	struct snapshot s;
	char *found;

	v->fd = snapshot_open(path, name, &found, &s);
	if (v->fd < 0)
		return false;
	v->path = found;
	check_snapshot(v, &s.facts);
	note_status(v, s.name);
	v->snapshots++;
	close(v->fd);
	free(found);
	return true;
}

/* A snapshot, or all of a directory, the oldest first: so that the status ends with the newest. */
static bool
verify_all(struct verification *v, const char *path)
{
	struct snapshot_list list = { 0 };
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = true;

	if (fd >= 0)
		snapshot_list(fd, &list);
	if (list.count == 0)
		ok = verify_one(v, path, NULL);
	for (size_t i = 0; i < list.count; i++)
		ok = verify_one(v, path, list.items[i].name) && ok;
	snapshot_list_free(&list);
	if (fd >= 0)
		close(fd);
	return ok;
}

static const struct output_column COLUMNS[] = {
	{ "snapshot", "Snapshot", OUTPUT_TEXT },
	{ "file", "File", OUTPUT_TEXT },
	{ "problem", "Problem", OUTPUT_TEXT },
};

static enum admin_status
run(struct admin *a)
{
	struct verification v = { .a = a, .quick = admin_option(a, "--quick") != NULL };
	const char *path = a->arg_count > 0 ? a->args[0] : config_string(a->config, "backup.dir");
	size_t problems;
	bool ok;

	if (path == NULL || *path == '\0')
		return admin_bad_usage(a, "DIR or SNAPSHOT is needed: backup.dir is not set");
	v.findings = json_array();
	ok = verify_all(&v, path);
	problems = json_array_size(v.findings);
	free(v.seen);
	if (!a->json && ok && problems == 0) {
		json_decref(v.findings);
		printf("%zu snapshot%s, %zu files: all is %s\n", v.snapshots,
		    v.snapshots == 1 ? "" : "s", v.files,
		    v.quick ? "there (their bytes were not looked at)" : "as it was saved");
		return ADMIN_DONE;
	}
	ok = output_list(v.findings, COLUMNS, ARRAY_LEN(COLUMNS), a->json) && ok;
	return ok && problems == 0 ? ADMIN_DONE : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_verify = {
	.group = "verify",
	.args = "[DIR|SNAPSHOT]",
	.args_most = 1,
	.options = { { "--account", "ADDRESS", "only this account's mail" },
	    { "--quick", NULL, "only that every file is there with its size and time" },
	    { "--json", NULL, "what is wrong, as a JSON array" } },
	.summary = "Proves that a snapshot, or every one in DIR, can be restored.",
	.help = "Compares every file with its SHA-256, reads every message, checks every database, "
		"and names\n"
		"each that is damaged, missing or not of the snapshot.  A file that several "
		"snapshots share is\n"
		"read once.  Exit status 1 if anything is wrong.  Default: backup.dir.",
	.example = "mailadmin verify /srv/backup/sanger/2026-11-21T0230Z",
	.run = run,
};
