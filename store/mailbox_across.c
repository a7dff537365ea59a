/* COPY and MOVE into another account; see mailbox.h.  Never are the locks of both accounts held.
 *
 * 1. Each message gets a second name in the destination's tmp/: a hard link, or where there can be none a copy of its
 *    bytes, fsynced.  Nobody sees it yet.  A move then notes durably what it is going to do (crossing.h).
 * 2. Under the destination's writer lock they get UIDs and are renamed into cur/, which is fsynced: all or none.
 * 3. A move then expunges them from the source, under its lock; the source keeps them as it keeps what is expunged.
 * A process that dies before 2. leaves files in tmp/, which go with the others there; before 3. the mail is in both until
 * somebody opens the source. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/crossing.h"
#include "store/dir.h"
#include "store/mailbox_internal.h"

struct item {
	uint32_t from_uid;
	struct keyword_set keywords;       /* the source view's */
	char unique[DIR_UNIQUE_MAX_BYTES]; /* of its names in the destination */
	char *from_name;                   /* in the source */
	bool in_tmp;                       /* there under that name */
	struct index_message m;            /* as it is published; an empty name: not yet */
};

struct across {
	struct mailbox *box;
	const struct copy_target *to;
	char *name; /* the destination's */
	struct maildir dest;
	int from_cur_fd;
	struct item *items;
	size_t count;
	int keyword_map[MAILBOX_KEYWORDS_MAX]; /* -1: not asked yet */
	uint32_t uidvalidity;
};

static bool
collect(void *arg, const struct message *m)
{
	struct across *op = arg;
	struct item *item;

	if ((op->count & (op->count - 1)) == 0)
		op->items = mem_realloc_array(
		    op->items, op->count == 0 ? 1 : 2 * op->count, sizeof(*op->items));
	item = &op->items[op->count++];
	*item = (struct item){ .from_uid = m->uid };
	item->keywords = m->keywords;
	item->m.flags = m->flags & MESSAGE_FLAGS_ALL & op->to->flags;
	item->m.internaldate_s = m->internaldate_s;
	item->m.size = m->size_bytes;
	item->m.disk_size = m->disk_bytes;
	return true;
}

/* --- second names ------------------------------------------------------------------------------ */

/* All there is.  False: errno says why; a message that is shorter than its name says is EIO. */
static bool
write_all(int from_fd, int to_fd, uint64_t size)
{
	char bytes[64 * 1024];
	uint64_t done = 0;

	for (;;) {
		ssize_t n = pread(from_fd, bytes, sizeof(bytes), (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 && done < size)
			errno = EIO;
		if (n <= 0)
			return n == 0 && done >= size;
		for (ssize_t at = 0; at < n;) {
			ssize_t w = write(to_fd, bytes + at, (size_t)(n - at));

			if (w < 0 && errno != EINTR)
				return false;
			at += w > 0 ? w : 0;
		}
		done += (uint64_t)n;
	}
	return true;
}

static enum store_err
copy_bytes(struct across *op, struct item *item, int from_fd)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = item->m.internaldate_s } };
	enum store_err err;
	int fd;

	err = dir_open_file(
	    op->dest.tmp_fd, item->unique, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE, &fd);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_CHANGED : err;
	if (!write_all(from_fd, fd, item->m.disk_size) || futimens(fd, times) < 0 || fsync(fd) < 0)
		err = dir_err(errno);
	close(fd);
	return err;
}

/* STORE_NOT_FOUND: expunged meanwhile. */
static enum store_err
take_one(struct across *op, struct item *item)
{
	struct buf name = { 0 };
	enum store_err err;
	int fd;

	err = mailbox_message_open_named(op->box, item->from_uid, &fd, &name);
	if (err == STORE_OK) {
		dir_unique_name(item->unique);
		item->in_tmp = true;
		if (linkat(op->from_cur_fd, buf_cstr(&name), op->dest.tmp_fd, item->unique, 0) != 0)
			err = copy_bytes(op, item, fd); /* another file system, or just renamed */
		close(fd);
		item->from_name = buf_take(&name);
	}
	buf_free(&name);
	return err;
}

static enum store_err
take_all(struct across *op)
{
	size_t kept = 0;

	for (size_t i = 0; i < op->count; i++) {
		enum store_err err = take_one(op, &op->items[i]);

		if (err != STORE_OK && err != STORE_NOT_FOUND) {
			op->items[kept++] = op->items[i];
			op->count = kept;
			return err;
		}
		if (err == STORE_OK)
			op->items[kept++] = op->items[i];
		mailbox_progress(op->box, i + 1, op->count);
	}
	op->count = kept;
	return STORE_OK;
}

/* --- publishing -------------------------------------------------------------------------------- */

static enum store_err
map_keywords(struct across *op, struct sync_box *sb, struct item *item)
{
	unsigned count = mailbox_keyword_count(op->box);

	for (unsigned i = 0; i < count && op->to->keywords; i++) {
		const char *name = mailbox_keyword_name(op->box, i);
		unsigned number = 0;
		enum store_err err;

		if (!keyword_set_has(&item->keywords, i) || name == NULL || name[0] == '\0')
			continue;
		if (op->keyword_map[i] < 0) {
			err = sync_keyword(sb, str_from(name), true, &number);
			if (err == STORE_LIMIT || err == STORE_INVALID)
				continue; /* the message matters more than its label */
			if (err != STORE_OK)
				return err;
			op->keyword_map[i] = (int)number;
		}
		keyword_set_add(&item->m.keywords, (unsigned)op->keyword_map[i]);
	}
	return STORE_OK;
}

static enum store_err
place(struct across *op, struct sync_box *sb, struct item *item)
{
	static const struct keyword_set NONE = { { 0 } };
	struct buf name = { 0 };
	enum store_err err = map_keywords(op, sb, item);

	if (err != STORE_OK)
		return err;
	item->m.uid = sync_take_uid(sb);
	item->m.modseq = sb->modseq;
	maildir_name_build(&name, str_from(item->unique), item->m.disk_size, item->m.size,
	    item->m.uid, true, sync_letters_of(item->m.flags),
	    (uint32_t)(item->m.keywords.bits[0] & 0x3ffffff));
	sb->touched_cur = true;
	err = dir_rename_new(op->dest.tmp_fd, item->unique, sb->dir.cur_fd, buf_cstr(&name));
	if (err == STORE_OK) {
		item->in_tmp = false;
		snprintf(item->m.name, sizeof(item->m.name), "%s", buf_cstr(&name));
		err = sync_extra_keywords(sb, item->m.name, &NONE, &item->m.keywords);
	}
	buf_free(&name);
	return err;
}

static enum store_err
publish_locked(struct across *op, struct sync_box *sb)
{
	struct account *acct = op->to->acct;
	enum store_err err = sync_reserve_uids(sb, (uint32_t)op->count);

	if (err == STORE_OK)
		err = sync_modseq(sb);
	for (size_t i = 0; i < op->count && err == STORE_OK; i++)
		err = place(op, sb, &op->items[i]);
	if (err == STORE_OK)
		err = dir_sync(sb->dir.cur_fd);
	for (size_t i = 0; i < op->count && err == STORE_OK; i++) {
		err = index_message_add(acct->ix, &sb->row, &op->items[i].m);
		sync_handed_out(sb, op->items[i].m.uid, op->items[i].m.name);
	}
	return err;
}

/* All or none, before anybody else can take the lock. */
static void
unpublish(struct across *op)
{
	for (size_t i = 0; i < op->count; i++)
		if (op->items[i].m.name[0] != '\0')
			unlinkat(op->dest.cur_fd, op->items[i].m.name, 0);
}

static enum store_err
publish(struct across *op)
{
	struct account *acct = op->to->acct;
	struct sync_box sb;
	enum store_err err;
	uint32_t uidnext;
	int tries = 0;

	do {
		err = account_write_begin(acct);
		if (err == STORE_OK) {
			err = sync_begin(acct, op->name, 0, &sb);
			if (err != STORE_OK)
				account_write_end(acct, err);
		}
	} while (account_should_retry(acct, err, &tries));
	if (err != STORE_OK)
		return err;
	op->uidvalidity = sb.row.uidvalidity;
	err = publish_locked(op, &sb);
	uidnext = sb.row.uidnext;
	err = account_write_commit(acct, sync_end(&sb, err));
	if (err != STORE_OK) {
		unpublish(op);
		sync_burn_uids(acct, op->name, op->uidvalidity, uidnext);
	}
	account_write_unlock(acct);
	return err;
}

/* --- all of it --------------------------------------------------------------------------------- */

static enum store_err
check_room(const struct across *op)
{
	struct account *acct = op->to->acct;
	struct quota_rules rules = account_quota_rules(acct);
	struct quota_room room;
	struct statvfs vfs;

	quota_room(acct->home, &rules, op->name, &room);
	for (size_t i = 0; i < op->count; i++)
		if (!quota_room_take(&room, op->items[i].m.disk_size))
			return STORE_OVER_QUOTA;
	if (acct->st->free_floor_bytes > 0 && fstatvfs(acct->home->fd, &vfs) == 0 &&
	    (uint64_t)vfs.f_bavail * vfs.f_frsize < acct->st->free_floor_bytes)
		return STORE_FULL;
	return STORE_OK;
}

static enum store_err
open_source(struct across *op)
{
	struct buf path = { 0 };
	enum store_err err = account_folder_prefix(op->box->acct, op->box->name, &path);

	buf_adds(&path, "cur");
	if (err == STORE_OK)
		err = dir_open(op->box->acct->home->fd, buf_cstr(&path), &op->from_cur_fd);
	buf_free(&path);
	return err;
}

static void
finish(struct across *op, struct copy_result *r)
{
	struct quota_rules rules = account_quota_rules(op->to->acct);
	int64_t bytes = 0;

	for (size_t i = 0; i < op->count; i++) {
		uidset_add(&r->from, op->items[i].from_uid);
		uidset_add(&r->to, op->items[i].m.uid);
		bytes += (int64_t)op->items[i].m.disk_size;
	}
	r->uidvalidity = op->uidvalidity;
	quota_add(op->to->acct->home, &rules, op->name, bytes, (int64_t)op->count);
}

static void
across_end(struct across *op)
{
	for (size_t i = 0; i < op->count; i++) {
		if (op->items[i].in_tmp)
			unlinkat(op->dest.tmp_fd, op->items[i].unique, 0);
		free(op->items[i].from_name);
	}
	free(op->items);
	maildir_close(&op->dest);
	if (op->from_cur_fd >= 0)
		close(op->from_cur_fd);
	free(op->name);
}

static enum store_err
note_crossing(struct across *op, struct crossing *crossing)
{
	struct crossing_item *items = mem_alloc(op->count * sizeof(*items));
	struct arena arena = { 0 };
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < op->count; i++) {
		const struct item *item = &op->items[i];
		struct maildir_name parsed = { 0 };

		maildir_name_parse(str_from(item->from_name), &parsed);
		items[i] = (struct crossing_item){ item->from_uid, item->unique,
			arena_strndup(&arena, parsed.unique.p, parsed.unique.len) };
	}
	err = crossing_note(crossing, op->box, op->to->acct, op->name, items, op->count);
	arena_free(&arena);
	free(items);
	return err;
}

enum store_err
mailbox_across(struct mailbox *box, const struct uidset *uids, const struct copy_target *to,
    bool move, struct copy_result *r)
{
	struct across op = {
		.box = box, .to = to, .name = mailbox_canonical(to->name), .from_cur_fd = -1
	};
	struct crossing *crossing = NULL;
	enum store_err err;

	memset(op.keyword_map, 0xff, sizeof(op.keyword_map));
	err = maildir_open(to->acct->home, op.name, &op.dest);
	if (err != STORE_OK) {
		free(op.name);
		return err;
	}
	uidset_clear(&r->from);
	uidset_clear(&r->to);
	if (move)
		err = crossing_begin(box->acct, &crossing);
	if (err == STORE_OK)
		err = mailbox_messages(box, uids, collect, &op);
	if (err == STORE_OK)
		err = check_room(&op);
	if (err == STORE_OK)
		err = open_source(&op);
	if (err == STORE_OK)
		err = take_all(&op);
	if (err == STORE_OK && op.count > 0 && move)
		err = note_crossing(&op, crossing);
	if (err == STORE_OK && op.count > 0)
		err = publish(&op);
	if (err != STORE_OK) {
		crossing_end(crossing, true);
		across_end(&op);
		return err;
	}
	finish(&op, r);
	across_end(&op);
	if (move && !uidset_is_empty(&r->from))
		err = mailbox_expunge_with(box, &r->from, MAILBOX_EXPUNGE_UNMARKED, NULL);
	crossing_end(crossing, err == STORE_OK);
	return err;
}
