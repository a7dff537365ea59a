#include "store/deliver.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/dir.h"
#include "store/folder_cache.h"
#include "store/maildir_name.h"

#define WRITE_BUFFER_BYTES (32 * 1024)
#define NAME_TRIES         16

enum delivery_state { DELIVERY_WRITING, DELIVERY_UNSYNCED, DELIVERY_SEALED, DELIVERY_PLACED };

struct maildir_delivery {
	struct store_root *root;
	struct open_folder *folder; /* borrowed from the cache until the end */
	enum delivery_state state;
	enum store_err err;                /* the first, kept */
	int fd;                            /* -1: not open */
	char unique[DIR_UNIQUE_MAX_BYTES]; /* also the tmp file's name */
	char *wanted_unique;               /* NULL: that of the tmp file */
	char *placed_name;                 /* in placed_fd; NULL: still in tmp/ */
	int placed_fd;                     /* new or cur of the folder, borrowed */
	bool cr_held;                      /* a CR that may turn out to be half of a CRLF */
	bool after_cr;                     /* what was last put out is a CR */
	bool keep_bytes;
	uint64_t size, crlf_size;
	size_t used;
	char buffer[WRITE_BUFFER_BYTES];
};

static enum store_err
failed(struct maildir_delivery *d, const char *op)
{
	int errnum = errno;

	if (d->err != STORE_OK)
		return d->err;
	d->err = dir_err(errnum);
	if (d->err == STORE_OK)
		d->err = STORE_IO;
	log_error(store_root_log(d->root), "delivery", "user=%s@%s mailbox=%s op=%s errno=%s",
	    d->folder->home->localpart, d->folder->home->domain, d->folder->name, op,
	    strerror(errnum));
	return d->err;
}

static bool
open_tmp(struct maildir_delivery *d)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		dir_unique_name(d->unique);
		d->fd = openat(d->folder->dir.tmp_fd, d->unique,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
		if (d->fd >= 0 || errno != EEXIST)
			break;
	}
	return d->fd >= 0;
}

enum store_err
maildir_delivery_begin(struct store_root *root, const char *localpart, const char *domain,
    const char *name, bool create_home, struct maildir_delivery **delivery_out)
{
	struct maildir_delivery *d = mem_alloc(sizeof(*d));
	enum store_err err;

	memset(d, 0, offsetof(struct maildir_delivery, buffer));
	*delivery_out = NULL;
	d->root = root;
	d->fd = -1;
	err = folder_cache_get(root, localpart, domain, name, create_home, &d->folder);
	if (err != STORE_OK) {
		free(d);
		return err;
	}
	if (!open_tmp(d)) {
		err = errno == ENOENT ? STORE_NOT_FOUND : failed(d, "create");
		maildir_delivery_abort(d);
		return err;
	}
	*delivery_out = d;
	return STORE_OK;
}

static void
flush(struct maildir_delivery *d)
{
	size_t done = 0;

	while (done < d->used && d->err == STORE_OK) {
		ssize_t n = write(d->fd, d->buffer + done, d->used - done);

		if (n < 0 && errno != EINTR)
			failed(d, "write");
		else if (n > 0)
			done += (size_t)n;
	}
	d->used = 0;
}

static void
put(struct maildir_delivery *d, const char *bytes, size_t len)
{
	d->size += len;
	while (len > 0 && d->err == STORE_OK) {
		size_t room = WRITE_BUFFER_BYTES - d->used, now = len < room ? len : room;

		memcpy(d->buffer + d->used, bytes, now);
		d->used += now;
		bytes += now;
		len -= now;
		if (d->used == WRITE_BUFFER_BYTES)
			flush(d);
	}
}

/* A line end; a CR of its own stands before it if one is held. */
static void
put_line_end(struct maildir_delivery *d)
{
	if (d->cr_held && d->after_cr)
		put(d, "\r\n", 2); /* CR CR LF: as it is, or the CR in front would be lost */
	else
		put(d, "\n", 1);
	d->crlf_size += 2;
	d->cr_held = false;
	d->after_cr = false;
}

static void
put_held_cr(struct maildir_delivery *d)
{
	if (!d->cr_held)
		return;
	put(d, "\r", 1);
	d->crlf_size++;
	d->cr_held = false;
	d->after_cr = true;
}

void
maildir_delivery_keep_bytes(struct maildir_delivery *d)
{
	d->keep_bytes = true;
}

static void
put_as_is(struct maildir_delivery *d, const char *p, size_t len)
{
	d->crlf_size += len;
	for (size_t i = 0; i < len; i++) {
		d->crlf_size += p[i] == '\n' && !d->after_cr;
		d->after_cr = p[i] == '\r';
	}
	put(d, p, len);
}

enum store_err
maildir_delivery_write(struct maildir_delivery *d, const void *bytes, size_t len)
{
	const char *p = bytes, *end = p + len;

	if (d->state != DELIVERY_WRITING)
		return STORE_INVALID;
	if (d->keep_bytes) {
		put_as_is(d, p, len);
		return d->err;
	}
	while (p < end && d->err == STORE_OK) {
		size_t plain = 0;

		while (p + plain < end && p[plain] != '\n' && p[plain] != '\r')
			plain++;
		if (plain > 0) {
			put_held_cr(d);
			put(d, p, plain);
			d->crlf_size += plain;
			d->after_cr = false;
			p += plain;
		} else if (*p++ == '\n') {
			put_line_end(d);
		} else {
			put_held_cr(d);
			d->cr_held = true;
		}
	}
	return d->err;
}

uint64_t
maildir_delivery_size(const struct maildir_delivery *d)
{
	return d->size;
}

uint64_t
maildir_delivery_crlf_size(const struct maildir_delivery *d)
{
	return d->crlf_size;
}

int
maildir_delivery_fd(const struct maildir_delivery *d)
{
	return d->fd;
}

enum store_err
maildir_delivery_seal_unsynced(struct maildir_delivery *d, time_t internal_date)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = internal_date } };
	struct stat st;

	if (d->err != STORE_OK || d->state != DELIVERY_WRITING)
		return d->err != STORE_OK ? d->err : STORE_INVALID;
	put_held_cr(d);
	flush(d);
	if (d->err != STORE_OK)
		return d->err;
	if (fstat(d->fd, &st) < 0)
		return failed(d, "stat");
	if ((uint64_t)st.st_size != d->size) {
		errno = EIO;
		return failed(d, "size");
	}
	if (internal_date >= 0 && futimens(d->fd, times) < 0)
		return failed(d, "date");
	d->state = DELIVERY_UNSYNCED;
	return STORE_OK;
}

enum store_err
maildir_delivery_seal(struct maildir_delivery *d, time_t internal_date)
{
	enum store_err err = maildir_delivery_seal_unsynced(d, internal_date);

	if (err != STORE_OK)
		return err;
	if (fsync(d->fd) < 0)
		return failed(d, "fsync"); /* never again on this file: its pages may be gone */
	d->state = DELIVERY_SEALED;
	return STORE_OK;
}

enum store_err
maildir_delivery_sync_all(struct maildir_delivery *const *d, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (d[i]->state != DELIVERY_UNSYNCED)
			return d[i]->err != STORE_OK ? d[i]->err : STORE_INVALID;
	if (count > 0 && syncfs(d[0]->fd) < 0)
		return failed(d[0], "syncfs");
	for (size_t i = 0; i < count; i++)
		d[i]->state = DELIVERY_SEALED;
	return STORE_OK;
}

void
maildir_delivery_set_unique(struct maildir_delivery *d, const char *unique)
{
	struct maildir_name name;
	bool good = maildir_name_parse(str_from(unique), &name) &&
		    name.unique.len == strlen(unique) && name.unique.len < sizeof(d->unique);

	free(d->wanted_unique);
	d->wanted_unique = good ? mem_strdup(unique) : NULL;
}

/* The rename into new/ or cur/. */
static enum store_err
place(struct maildir_delivery *d, int to_fd, uint32_t uid, bool with_info, uint32_t flags,
    uint32_t keywords)
{
	struct buf name = { 0 };
	char unique[DIR_UNIQUE_MAX_BYTES];
	enum store_err err = STORE_EXISTS;

	if (d->state != DELIVERY_SEALED)
		return d->err != STORE_OK ? d->err : STORE_INVALID;
	strcpy(unique, d->wanted_unique != NULL ? d->wanted_unique : d->unique);
	for (int i = 0; err == STORE_EXISTS && i < NAME_TRIES; i++) {
		if (i > 0) /* somebody has that name, against all odds */
			dir_unique_name(unique);
		buf_reset(&name);
		maildir_name_build(&name, str_from(unique), d->size, d->crlf_size, uid, with_info,
		    flags, keywords);
		err = dir_rename_new(d->folder->dir.tmp_fd, d->unique, to_fd, buf_cstr(&name));
	}
	if (err == STORE_NOT_FOUND) { /* the folder is gone, and our file with it */
		d->err = STORE_NOT_FOUND;
	} else if (err != STORE_OK) {
		failed(d, "rename");
	} else {
		d->placed_name = buf_take(&name);
		d->placed_fd = to_fd;
		d->state = DELIVERY_PLACED;
	}
	buf_free(&name);
	return d->err;
}

enum store_err
maildir_delivery_place(struct maildir_delivery *d, uint32_t uid, uint32_t flags, uint32_t keywords,
    const char **name_out)
{
	enum store_err err = place(d, d->folder->dir.cur_fd, uid, true, flags, keywords);

	*name_out = d->placed_name;
	return err;
}

/* Ends a delivery whose message stays. */
static void
delivery_free(struct maildir_delivery *d)
{
	if (d->fd >= 0)
		close(d->fd);
	folder_cache_put(d->root, d->folder);
	free(d->placed_name);
	free(d->wanted_unique);
	free(d);
}

void
maildir_delivery_abort(struct maildir_delivery *d)
{
	if (d == NULL)
		return;
	if (d->placed_name != NULL)
		unlinkat(d->placed_fd, d->placed_name, 0);
	else if (d->fd >= 0)
		unlinkat(d->folder->dir.tmp_fd, d->unique, 0);
	delivery_free(d);
}

/* After the fsync of the directory: is that still the directory of the mailbox?  If the folder was
 * deleted or renamed under us, the message is taken back, and the caller looks for another place; were
 * it already gone, too: one too many is better than none. */
static enum store_err
directory_durable(struct maildir_delivery *d)
{
	if (fsync(d->placed_fd) < 0)
		return failed(d, "fsync-directory");
	return folder_cache_is_current(d->folder) ? STORE_OK : STORE_NOT_FOUND;
}

enum store_err
maildir_delivery_confirm(struct maildir_delivery *const *d, size_t count)
{
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < count && err == STORE_OK; i++)
		if (d[i]->state != DELIVERY_PLACED || d[i]->placed_fd != d[0]->placed_fd)
			err = d[i]->err != STORE_OK ? d[i]->err : STORE_INVALID;
	if (err == STORE_OK && count > 0)
		err = directory_durable(d[0]);
	for (size_t i = 0; i < count; i++) {
		if (err == STORE_OK)
			delivery_free(d[i]);
		else
			maildir_delivery_abort(d[i]);
	}
	return err;
}

enum store_err
maildir_delivery_finish(struct maildir_delivery *d, time_t internal_date, uint32_t flags,
    uint32_t keywords, char **name_out)
{
	enum store_err err = maildir_delivery_seal(d, internal_date);
	char *name = NULL;

	if (err == STORE_OK)
		err = place(
		    d, d->folder->dir.new_fd, 0, flags != 0 || keywords != 0, flags, keywords);
	if (err != STORE_OK) {
		maildir_delivery_abort(d);
		return err;
	}
	if (name_out != NULL)
		name = mem_strdup(d->placed_name);
	err = maildir_delivery_confirm(&d, 1);
	if (err == STORE_OK && name_out != NULL)
		*name_out = name;
	else
		free(name);
	return err;
}
