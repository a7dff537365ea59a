/* One account's part of a snapshot; see backup.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/backup.h"
#include "base/mem.h"
#include "store/account_view.h"
#include "store/dir.h"
#include "store/maildir_name.h"
#include "store/sql_copy.h"

#define PART_FLUSH_BYTES (64 * 1024)
#define SETTLED_S        2 /* a time stamp so much older than the view cannot hide a later change */
#define NS_PER_S         INT64_C(1000000000)

/* Where a message may be linked from: the round before of this run, an interrupted run, the snapshot before. */
enum { SOURCE_ROUND, SOURCE_PARTIAL, SOURCE_LAST, SOURCES };

struct account_backup {
	struct backup *b;
	struct account *acct;
	const char *place; /* DOMAIN/LOCALPART */
	int home_fd, dest_fd;
	struct manifest made; /* this round */
	struct {
		struct manifest m;
		int fd; /* the account's directory there; -1: none */
	} sources[SOURCES];
	int part_fd; /* the lines of `made` as they come, for the next run if this one is stopped */
	struct buf part;
	struct buf folders; /* made in the round before, a NUL behind each */
	/* Messages of the folder at hand that were not where the view says. */
	struct lost {
		struct str unique;
		bool found;
	} * lost;
	size_t lost_count;
	size_t missing; /* those that were nowhere in their folder */
};

/* --- lines as they come ------------------------------------------------------------------------- */

static void
flush_part(struct account_backup *w)
{
	size_t done = 0;

	while (w->part_fd >= 0 && done < w->part.len) {
		ssize_t n = write(w->part_fd, w->part.data + done, w->part.len - done);

		if (n <= 0) { /* only the next run's saving */
			close(w->part_fd);
			w->part_fd = -1;
		} else {
			done += (size_t)n;
		}
	}
	buf_reset(&w->part);
}

static void
open_part(struct account_backup *w)
{
	char *path = mem_printf("manifest.part/%s", w->place);

	w->part_fd = -1;
	if (!w->b->dry && backup_make_dirs(w->b->fd, path) == STORE_OK)
		w->part_fd = openat(w->b->fd, path,
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	free(path);
	if (w->part_fd >= 0)
		manifest_format_head(&w->part, 0);
}

static void
note(struct account_backup *w, const struct manifest_entry *e)
{
	manifest_add(&w->made, e);
	if (w->part_fd < 0)
		return;
	manifest_format_entry(&w->part, e);
	if (w->part.len >= PART_FLUSH_BYTES)
		flush_part(w);
}

/* --- one message -------------------------------------------------------------------------------- */

static bool
problem(struct account_backup *w, const char *path, const char *why)
{
	char *what = mem_printf("%s: %s", account_address(w->acct), path);

	backup_problem(w->b, what, why);
	free(what);
	return !w->b->failed;
}

static int64_t
ns_of(const struct statx_timestamp *t)
{
	return t->tv_sec * NS_PER_S + t->tv_nsec;
}

/* The name that is gone is looked for once the folder is done: mostly only its flags have changed. */
static void
note_lost(struct account_backup *w, const char *name)
{
	struct maildir_name parsed;

	if (!maildir_name_parse(str_from(name), &parsed))
		return;
	if ((w->lost_count & (w->lost_count - 1)) == 0)
		w->lost = mem_realloc_array(
		    w->lost, w->lost_count == 0 ? 1 : 2 * w->lost_count, sizeof(*w->lost));
	w->lost[w->lost_count++] = (struct lost){ .unique = parsed.unique };
}

/* What the file at the message's name is now; false: not a file, or gone. */
static bool
look(struct account_backup *w, int dir_fd, const char *name, struct manifest_entry *e)
{
	struct statx sx;

	if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW,
		STATX_TYPE | STATX_SIZE | STATX_MTIME | STATX_INO | STATX_BTIME, &sx) != 0) {
		if (errno == ENOENT)
			note_lost(w, name);
		else
			problem(w, e->path, strerror(errno));
		return false;
	}
	if (!S_ISREG(sx.stx_mode))
		return false;
	e->size = sx.stx_size;
	e->mtime_ns = ns_of(&sx.stx_mtime);
	e->inode = sx.stx_ino;
	e->born_ns = (sx.stx_mask & STATX_BTIME) != 0 ? ns_of(&sx.stx_btime) : 0;
	return true;
}

/* Is what would be linked what it should be? */
static bool
is_sound(struct account_backup *w, int fd, const struct manifest_entry *known)
{
	struct file_digest digest;
	struct stat st;
	uint64_t size;
	bool sound;
	int file;

	if (!w->b->careful)
		return true;
	if (dir_open_file(fd, known->path, O_RDONLY, 0, &file) != STORE_OK)
		return false;
	sound = fstat(file, &st) == 0 &&
		st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec == known->mtime_ns &&
		file_digest_fd(file, &size, &digest) == STORE_OK &&
		file_digest_eq(&digest, &known->digest);
	close(file);
	return sound;
}

/* Links it from where it is already; the digest comes along. */
static bool
link_known(struct account_backup *w, struct str folder, int to_fd, const char *name,
    struct manifest_entry *e)
{
	struct str path_folder, unique;

	if (!manifest_path_is_message(e->path, &path_folder, &unique))
		return false;
	for (size_t i = 0; i < SOURCES; i++) {
		struct manifest *m = &w->sources[i].m;
		const struct manifest_entry *known;

		if (m->count == 0)
			continue;
		known = manifest_find_message(m, folder, unique, e->size, e->mtime_ns);
		if (known == NULL)
			known = manifest_find_source(m, e->inode, e->born_ns, e->size, e->mtime_ns);
		if (known == NULL || !is_sound(w, w->sources[i].fd, known))
			continue;
		e->digest = known->digest;
		if (w->b->dry || linkat(w->sources[i].fd, known->path, to_fd, name, 0) == 0)
			return true;
		if (errno == EEXIST && unlinkat(to_fd, name, 0) == 0 &&
		    linkat(w->sources[i].fd, known->path, to_fd, name, 0) == 0)
			return true; /* of the round before, under the same name */
	}
	return false;
}

/* After a failed copy: is it the source that cannot be read? */
static bool
is_readable(int fd)
{
	struct file_digest digest;
	uint64_t size;

	return file_digest_fd(fd, &size, &digest) == STORE_OK;
}

static bool
pour(struct account_backup *w, int from, int to_fd, const char *name, struct manifest_entry *e)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = e->mtime_ns / NS_PER_S, .tv_nsec = e->mtime_ns % NS_PER_S } };
	enum store_err err;
	int to;

	if (times[1].tv_nsec < 0) {
		times[1].tv_nsec += NS_PER_S;
		times[1].tv_sec--;
	}
	unlinkat(to_fd, name, 0); /* a link that could not be made anew; mostly nothing */
	to = openat(to_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (to < 0)
		return backup_fail(w->b, e->path, strerror(errno));
	err = file_copy(from, to, &w->b->clone, &e->size, &e->digest);
	if (err == STORE_OK && futimens(to, times) != 0)
		err = STORE_IO;
	if (close(to) != 0 && err == STORE_OK)
		err = dir_err(errno);
	if (err == STORE_OK)
		return backup_has_room(w->b, e->size);
	unlinkat(to_fd, name, 0);
	if (err != STORE_FULL && !is_readable(from)) {
		problem(w, e->path, "cannot be read");
		return false;
	}
	return backup_fail(w->b, e->path, store_err_text(err));
}

/* False: it is not in the snapshot. */
static bool
copy_new(
    struct account_backup *w, int from_fd, int to_fd, const char *name, struct manifest_entry *e)
{
	int from;
	bool ok = true;

	if (!w->b->dry) {
		from = openat(from_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (from < 0 && errno == ENOENT) {
			note_lost(w, name);
			return false;
		}
		if (from < 0) {
			problem(w, e->path, strerror(errno));
			return false;
		}
		ok = pour(w, from, to_fd, name, e);
		close(from);
	}
	w->b->facts.copied_files += ok;
	w->b->facts.copied_bytes += ok ? e->size : 0;
	return ok;
}

/* Same path as in the round before: it is in place, and messages do not change. */
static bool
is_in_place(struct account_backup *w, struct manifest_entry *e)
{
	const struct manifest_entry *known;
	const char *path = e->path;

	if (w->sources[SOURCE_ROUND].m.count == 0)
		return false;
	known = manifest_find_path(&w->sources[SOURCE_ROUND].m, path);
	if (known == NULL)
		return false;
	*e = *known;
	e->path = path;
	return true;
}

static void
carry(struct account_backup *w, const struct view_folder *folder, const char *sub, int from_fd,
    int to_fd, const char *name)
{
	char path[NAME_MAX * 2 + 8];
	struct manifest_entry e = { .path = path };
	int len = snprintf(path, sizeof(path), "%s%s/%s", folder->path, sub, name);

	if (len < 0 || (size_t)len >= sizeof(path))
		return;
	if (is_in_place(w, &e)) {
		note(w, &e);
		return;
	}
	if (!look(w, from_fd, name, &e))
		return;
	if (link_known(w, str_from(folder->path), to_fd, name, &e) ||
	    (!w->b->failed && copy_new(w, from_fd, to_fd, name, &e)))
		note(w, &e);
}

/* --- folders ------------------------------------------------------------------------------------ */

static bool
carry_names(struct account_backup *w, const struct view_folder *folder, const char *sub,
    const char **names, size_t count)
{
	char *path = mem_printf("%s%s", folder->path, sub);
	int from_fd = -1, to_fd = -1;
	enum store_err err = STORE_OK;

	if (!w->b->dry)
		err = dir_open(w->dest_fd, path, &to_fd);
	if (err != STORE_OK)
		backup_fail(w->b, path, store_err_text(err));
	else if (dir_open(w->home_fd, path, &from_fd) != STORE_OK)
		w->missing += count; /* the folder was renamed or deleted since */
	for (size_t i = 0; from_fd >= 0 && i < count && !w->b->failed; i++)
		carry(w, folder, sub, from_fd, to_fd, names[i]);
	if (from_fd >= 0)
		close(from_fd);
	if (to_fd >= 0)
		close(to_fd);
	free(path);
	return !w->b->failed;
}

/* --- messages that are not where they were --- */

static int
by_unique(const void *a, const void *b)
{
	const struct lost *x = a, *y = b;
	size_t len = x->unique.len < y->unique.len ? x->unique.len : y->unique.len;
	int order = memcmp(x->unique.p, y->unique.p, len);

	if (order != 0 || x->unique.len == y->unique.len)
		return order;
	return x->unique.len < y->unique.len ? -1 : 1;
}

struct searching {
	struct account_backup *w;
	const struct view_folder *folder;
	const char *sub;
	struct lost *lost;
	size_t count;
	int from_fd, to_fd;
};

static bool
on_present(void *arg, const char *name, unsigned char type)
{
	struct searching *s = arg;
	struct lost wanted = { 0 }, *lost;
	struct maildir_name parsed;
	size_t before = s->w->lost_count;

	if (type != DT_REG || !maildir_name_parse(str_from(name), &parsed))
		return true;
	wanted.unique = parsed.unique;
	lost = bsearch(&wanted, s->lost, s->count, sizeof(*s->lost), by_unique);
	if (lost == NULL || lost->found)
		return true;
	carry(s->w, s->folder, s->sub, s->from_fd, s->to_fd, name);
	lost->found = s->w->lost_count == before; /* not renamed once more */
	s->w->lost_count = before;
	return !s->w->b->failed;
}

static void
search_in(struct account_backup *w, const struct view_folder *folder, const char *sub,
    struct lost *lost, size_t count)
{
	struct searching s = { w, folder, sub, lost, count, -1, -1 };
	char *path = mem_printf("%s%s", folder->path, sub);

	if ((w->b->dry || dir_open(w->dest_fd, path, &s.to_fd) == STORE_OK) &&
	    dir_open(w->home_fd, path, &s.from_fd) == STORE_OK)
		dir_list(s.from_fd, on_present, &s);
	if (s.from_fd >= 0)
		close(s.from_fd);
	if (s.to_fd >= 0)
		close(s.to_fd);
	free(path);
}

/* Under other flags, or moved on from new/, it is the same message; what is found nowhere in its folder needs
 * another view. */
static void
find_lost(struct account_backup *w, const struct view_folder *folder)
{
	struct lost *lost = w->lost;
	size_t count = w->lost_count;

	w->lost = NULL;
	w->lost_count = 0;
	if (count > 0)
		qsort(lost, count, sizeof(*lost), by_unique);
	if (count > 0)
		search_in(w, folder, "new", lost, count);
	if (count > 0 && !w->b->failed)
		search_in(w, folder, "cur", lost, count);
	for (size_t i = 0; i < count; i++)
		w->missing += !lost[i].found;
	free(lost);
	free(w->lost);
	w->lost = NULL;
	w->lost_count = 0;
}

static bool
make_folder(struct account_backup *w, const struct view_folder *folder)
{
	static const char *const SUBS[] = { "", "tmp", "new", "cur" };

	for (size_t i = 0; !w->b->dry && i < ARRAY_LEN(SUBS); i++) {
		char *path = mem_printf("%s%s", folder->path, SUBS[i]);

		if (*path != '\0' && mkdirat(w->dest_fd, path, DIR_MODE) != 0 && errno != EEXIST)
			backup_fail(w->b, path, strerror(errno));
		free(path);
	}
	return !w->b->failed;
}

static bool
carry_folder(struct account_backup *w, const struct view_folder *folder)
{
	if (make_folder(w, folder) &&
	    carry_names(w, folder, "new", folder->fresh, folder->fresh_count) &&
	    carry_names(w, folder, "cur", folder->cur, folder->cur_count))
		find_lost(w, folder);
	return !w->b->failed;
}

/* --- small files -------------------------------------------------------------------------------- */

static bool
link_file(struct account_backup *w, const struct manifest_entry *e)
{
	for (size_t i = 0; i < SOURCES; i++) {
		struct manifest *m = &w->sources[i].m;
		const struct manifest_entry *known =
		    m->count > 0 ? manifest_find_path(m, e->path) : NULL;

		if (known == NULL || known->size != e->size || known->mtime_ns != e->mtime_ns ||
		    !file_digest_eq(&known->digest, &e->digest) ||
		    !is_sound(w, w->sources[i].fd, known))
			continue;
		if (i == SOURCE_ROUND || w->b->dry) /* it is in place */
			return true;
		unlinkat(w->dest_fd, e->path, 0);
		if (linkat(w->sources[i].fd, e->path, w->dest_fd, e->path, 0) == 0)
			return true;
	}
	return false;
}

static bool
write_file(struct account_backup *w, const struct view_file *file, struct manifest_entry *e)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = file->mtime_ns / NS_PER_S, .tv_nsec = file->mtime_ns % NS_PER_S } };
	enum store_err err = backup_make_dirs(w->dest_fd, file->path);

	if (err == STORE_OK) {
		unlinkat(w->dest_fd, file->path, 0); /* never through a link to another snapshot */
		err = dir_replace_file(w->dest_fd, file->path, file->bytes, false);
	}
	if (err == STORE_OK && utimensat(w->dest_fd, file->path, times, AT_SYMLINK_NOFOLLOW) != 0)
		err = dir_err(errno);
	if (err != STORE_OK)
		return backup_fail(w->b, e->path, store_err_text(err));
	return backup_has_room(w->b, e->size);
}

static bool
carry_file(struct account_backup *w, const struct view_file *file)
{
	struct manifest_entry e = { .path = file->path,
		.size = file->bytes.len,
		.mtime_ns = file->mtime_ns,
		.inode = file->inode };

	file_digest_str(file->bytes, &e.digest);
	if (!link_file(w, &e)) {
		if (!w->b->dry && !write_file(w, file, &e))
			return false;
		w->b->facts.copied_files++;
		w->b->facts.copied_bytes += e.size;
	}
	note(w, &e);
	return true;
}

/* --- state.db ----------------------------------------------------------------------------------- */

/* The newest of the database's and its journal's time stamps: it moves with each change. */
static bool
look_at_state(struct account_backup *w, struct manifest_entry *e)
{
	struct stat st;

	if (fstatat(w->home_fd, "state.db", &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return false;
	e->inode = st.st_ino;
	e->mtime_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	if (fstatat(w->home_fd, "state.db-wal", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec > e->mtime_ns)
		e->mtime_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	return true;
}

static bool
link_state(struct account_backup *w, struct manifest_entry *e)
{
	for (size_t i = SOURCE_PARTIAL; i < SOURCES; i++) {
		struct manifest *m = &w->sources[i].m;
		const struct manifest_entry *known =
		    m->count > 0 ? manifest_find_path(m, e->path) : NULL;

		if (known == NULL || known->inode != e->inode || known->mtime_ns != e->mtime_ns ||
		    e->mtime_ns / NS_PER_S >= m->taken_s - SETTLED_S ||
		    !is_sound(w, w->sources[i].fd, known))
			continue;
		e->digest = known->digest;
		e->size = known->size;
		if (w->b->dry || linkat(w->sources[i].fd, e->path, w->dest_fd, e->path, 0) == 0)
			return true;
	}
	return false;
}

static bool
copy_state(struct account_backup *w, struct manifest_entry *e)
{
	char *from = mem_printf("/proc/self/fd/%d/state.db", w->home_fd);
	char *to = mem_printf("/proc/self/fd/%d/state.db", w->dest_fd);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = e->mtime_ns / NS_PER_S, .tv_nsec = e->mtime_ns % NS_PER_S } };
	enum store_err err = sql_copy(from, to, w->b->a->log);
	int fd;

	if (err == STORE_OK)
		err = dir_open_file(w->dest_fd, "state.db", O_RDONLY, 0, &fd);
	if (err == STORE_OK) {
		err = file_digest_fd(fd, &e->size, &e->digest);
		futimens(fd, times);
		close(fd);
	}
	free(from);
	free(to);
	if (err == STORE_OK)
		return backup_has_room(w->b, e->size);
	if (err == STORE_FULL)
		return backup_fail(w->b, "state.db", store_err_text(err));
	problem(w, "state.db", store_err_text(err));
	return false;
}

/* Once for an account: it is a database, with a moment of its own. */
static void
carry_state(struct account_backup *w)
{
	struct manifest_entry e = { .path = "state.db" };

	if (w->b->failed || !look_at_state(w, &e))
		return;
	if (!link_state(w, &e)) {
		if (!w->b->dry && !copy_state(w, &e))
			return;
		w->b->facts.copied_files++;
		w->b->facts.copied_bytes += e.size;
	}
	note(w, &e);
}

/* --- rounds ------------------------------------------------------------------------------------- */

/* What the round before has put there and this one has not found any more. */
static void
drop_old(struct account_backup *w)
{
	const struct manifest *before = &w->sources[SOURCE_ROUND].m;

	for (size_t i = 0; i < before->count && !w->b->dry; i++)
		if (manifest_find_path(&w->made, before->entries[i].path) == NULL)
			unlinkat(w->dest_fd, before->entries[i].path, 0);
}

static bool
view_has(const struct account_view *view, const char *path)
{
	for (size_t i = 0; i < view->folder_count; i++)
		if (strcmp(view->folders[i].path, path) == 0)
			return true;
	return false;
}

/* Folders that were renamed or deleted since the round before. */
static void
drop_old_folders(struct account_backup *w, const struct account_view *view)
{
	struct buf now = { 0 };

	for (size_t at = 0; at < w->folders.len; at += strlen(w->folders.data + at) + 1)
		if (!view_has(view, w->folders.data + at))
			dir_remove_tree(w->dest_fd, w->folders.data + at);
	for (size_t i = 0; i < view->folder_count && !w->b->dry; i++)
		buf_add(&now, view->folders[i].path, strlen(view->folders[i].path) + 1);
	buf_free(&w->folders);
	w->folders = now;
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool
run_round(struct account_backup *w, bool hold, bool *again_out)
{
	struct account_view view = { 0 };
	uint64_t locked_us, since_us;
	enum store_err err = account_view_take(w->acct, hold, &view);

	w->missing = 0;
	*again_out = false;
	if (err != STORE_OK) {
		problem(w, "the account", store_err_text(err));
		account_view_free(&view);
		return false;
	}
	locked_us = view.locked_us;
	since_us = now_us();
	w->made.taken_s = view.taken_s;
	for (size_t i = 0; i < view.folder_count && !w->b->failed; i++)
		carry_folder(w, &view.folders[i]);
	for (size_t i = 0; i < view.file_count && !w->b->failed; i++)
		carry_file(w, &view.files[i]);
	drop_old(w);
	drop_old_folders(w, &view);
	account_view_free(&view);
	if (hold)
		locked_us += now_us() - since_us;
	if (locked_us > w->b->longest_lock_us)
		w->b->longest_lock_us = locked_us;
	manifest_free(&w->sources[SOURCE_ROUND].m);
	w->sources[SOURCE_ROUND].m = w->made;
	w->made = (struct manifest){ 0 };
	*again_out = w->missing > 0;
	return !w->b->failed;
}

/* True: what w->made has is the account as it was at one moment. */
static bool
run_rounds(struct account_backup *w)
{
	bool again = true;

	for (int i = 0; again && i < BACKUP_ROUNDS_MAX; i++)
		if (!run_round(w, i >= BACKUP_ROUNDS_FREE, &again))
			return false;
	if (again) {
		char *why =
		    mem_printf("%zu messages kept being moved while they were copied", w->missing);

		problem(w, "the account", why);
		free(why);
	}
	w->made = w->sources[SOURCE_ROUND].m;
	w->sources[SOURCE_ROUND].m = (struct manifest){ 0 };
	return true;
}

/* The account cannot be looked at now: it stays as it was in the snapshot before, and the problem is counted. */
static void
carry_over_last(struct account_backup *w)
{
	struct manifest *last = &w->sources[SOURCE_LAST].m;

	manifest_free(&w->made);
	w->made.taken_s = last->taken_s;
	for (size_t i = 0; i < last->count && !w->b->failed; i++) {
		const struct manifest_entry *e = &last->entries[i];
		enum store_err err = w->b->dry ? STORE_OK : backup_make_dirs(w->dest_fd, e->path);

		if (err != STORE_OK) {
			backup_fail(w->b, e->path, store_err_text(err));
		} else if (w->b->dry ||
			   linkat(w->sources[SOURCE_LAST].fd, e->path, w->dest_fd, e->path, 0) ==
			       0 ||
			   errno == EEXIST) {
			note(w, e);
		}
	}
}

/* --- beginning and end -------------------------------------------------------------------------- */

/* A manifest that has rotted would hand its rot on: without it all is copied anew. */
static void
check_manifest(struct account_backup *w, const char *path, const struct file_digest *digest)
{
	const struct manifest_entry *known = manifest_find_path(&w->b->last_server, path);

	if (known != NULL && file_digest_eq(&known->digest, digest))
		return;
	admin_refuse("%s of the snapshot before is damaged: the account is copied anew", path);
	manifest_free(&w->sources[SOURCE_LAST].m);
}

static void
open_source(struct account_backup *w, int which, int snapshot_fd)
{
	char *place = mem_printf("mail/%s", w->place);
	char *manifest = mem_printf("manifest/%s", w->place);
	char *part = mem_printf("manifest.part/%s", w->place);
	enum store_err err = STORE_NOT_FOUND;
	struct file_digest digest;

	w->sources[which].fd = -1;
	if (snapshot_fd >= 0 && dir_open(snapshot_fd, place, &w->sources[which].fd) == STORE_OK) {
		err = manifest_read(snapshot_fd, manifest, true, &w->sources[which].m, &digest);
		if (err == STORE_OK && which == SOURCE_LAST)
			check_manifest(w, manifest, &digest);
		if (err != STORE_OK && which == SOURCE_PARTIAL)
			manifest_read(snapshot_fd, part, false, &w->sources[which].m, NULL);
	}
	free(place);
	free(manifest);
	free(part);
}

static bool
open_dest(struct account_backup *w)
{
	char *place = mem_printf("mail/%s/.", w->place);
	enum store_err err;

	w->dest_fd = -1;
	if (w->b->dry) {
		free(place);
		return true;
	}
	err = backup_make_dirs(w->b->fd, place);
	if (err == STORE_OK)
		err = dir_open(w->b->fd, place, &w->dest_fd);
	free(place);
	return err == STORE_OK || backup_fail(w->b, w->place, store_err_text(err));
}

static void
count_up(struct account_backup *w)
{
	struct snapshot_facts *f = &w->b->facts;
	struct str folder, unique;

	f->accounts++;
	for (size_t i = 0; i < w->made.count; i++) {
		f->bytes += w->made.entries[i].size;
		f->messages += manifest_path_is_message(w->made.entries[i].path, &folder, &unique);
	}
}

static void
write_manifest(struct account_backup *w)
{
	char *path = mem_printf("manifest/%s", w->place);
	char *part = mem_printf("manifest.part/%s", w->place);
	struct manifest_entry e = { .path = path, .mtime_ns = time(NULL) * NS_PER_S };
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) } };
	struct buf text = { 0 };
	enum store_err err;

	manifest_format(&text, &w->made);
	e.size = text.len;
	file_digest_str((struct str){ text.data, text.len }, &e.digest);
	err = backup_make_dirs(w->b->fd, path);
	if (err == STORE_OK)
		err = dir_replace_file(w->b->fd, path, (struct str){ text.data, text.len }, false);
	times[1].tv_sec = e.mtime_ns / NS_PER_S;
	if (err == STORE_OK && utimensat(w->b->fd, path, times, 0) != 0)
		err = dir_err(errno);
	if (err != STORE_OK)
		backup_fail(w->b, path, store_err_text(err));
	else
		unlinkat(w->b->fd, part, 0);
	manifest_add(&w->b->server, &e);
	backup_has_room(w->b, text.len);
	buf_free(&text);
	free(path);
	free(part);
}

static void
end(struct account_backup *w)
{
	flush_part(w);
	if (w->part_fd >= 0)
		close(w->part_fd);
	buf_free(&w->part);
	buf_free(&w->folders);
	free(w->lost);
	for (size_t i = 0; i < SOURCES; i++)
		manifest_free(&w->sources[i].m);
	for (size_t i = SOURCE_PARTIAL; i < SOURCES; i++)
		if (w->sources[i].fd >= 0)
			close(w->sources[i].fd);
	manifest_free(&w->made);
	if (w->dest_fd >= 0)
		close(w->dest_fd);
	account_close(w->acct);
}

bool
backup_account(struct backup *b, const char *localpart, const char *domain)
{
	char *place = mem_printf("%s/%s", domain, localpart);
	struct account_backup w = { .b = b, .place = place, .part_fd = -1, .dest_fd = -1 };
	enum store_err err = account_open(b->a->store, localpart, domain, 0, &w.acct);

	if (err != STORE_OK) {
		if (err != STORE_NOT_FOUND) /* gone since it was listed */
			backup_problem(b, place, store_err_text(err));
		free(place);
		return !b->failed;
	}
	w.home_fd = account_dir_fd(w.acct);
	open_source(&w, SOURCE_PARTIAL, b->partial_fd);
	open_source(&w, SOURCE_LAST, b->last_fd);
	if (open_dest(&w)) {
		w.sources[SOURCE_ROUND].fd = w.dest_fd;
		open_part(&w);
		if (run_rounds(&w))
			carry_state(&w);
		else if (!b->failed)
			carry_over_last(&w);
		count_up(&w);
		if (!b->dry && !b->failed)
			write_manifest(&w);
	}
	end(&w);
	free(place);
	return !b->failed;
}
