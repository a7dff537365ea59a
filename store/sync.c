#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/sync_internal.h"

/* --- stamps ------------------------------------------------------------------------------------ */

static int64_t
timestamp_ns(const struct statx_timestamp *t)
{
	return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

bool
sync_read_stamp(int dir_fd, const char *path, struct index_stamp *out)
{
	struct statx sx;

	*out = (struct index_stamp){ 0 };
	if (statx(dir_fd, path, AT_SYMLINK_NOFOLLOW, STATX_MTIME | STATX_CTIME | STATX_INO, &sx) !=
	    0)
		return false;
	*out = (struct index_stamp){ timestamp_ns(&sx.stx_mtime), timestamp_ns(&sx.stx_ctime),
		sx.stx_ino };
	return true;
}

bool
sync_stamp_eq(const struct index_stamp *a, const struct index_stamp *b)
{
	return a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->inode == b->inode;
}

bool
sync_stamp_is_racy(const struct index_stamp *s)
{
	struct timespec now;
	int64_t newest = s->mtime_ns > s->ctime_ns ? s->mtime_ns : s->ctime_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec - newest < SYNC_RACY_NS;
}

static bool
is_message(void *arg, const char *name, unsigned char type)
{
	struct maildir_name parsed;
	bool *found = arg;

	if (type == DT_REG && maildir_name_parse(str_from(name), &parsed))
		*found = true;
	return !*found;
}

static bool
has_messages(int at_fd, const char *path)
{
	bool found = false;
	int fd;

	if (dir_open(at_fd, path, &fd) != STORE_OK)
		return true; /* let the slow way say what is wrong */
	dir_list(fd, is_message, &found);
	close(fd);
	return found;
}

/* The index says of a new/ from which mail was taken that its stamp is not to be trusted, until the next change.
 * Who only reads remembers here that he has looked, and that there will be another stamp if anything comes. */
static struct index_stamp *
empty_new(struct account *acct, const struct index_stamp *now)
{
	return &acct->empty_new[now->inode % ACCOUNT_EMPTY_NEW];
}

bool
sync_is_current(struct account *acct, const struct index_mailbox *row, const char *prefix)
{
	struct index_stamp cur_now, new_now;
	char path[MAILDIR_NAME_MAX_BYTES + 8];

	snprintf(path, sizeof(path), "%scur", prefix);
	if (!sync_read_stamp(acct->home->fd, path, &cur_now) ||
	    !sync_stamp_eq(&cur_now, &row->cur_stamp))
		return false;
	snprintf(path, sizeof(path), "%snew", prefix);
	if (!sync_read_stamp(acct->home->fd, path, &new_now))
		return false;
	if ((!row->new_racy && sync_stamp_eq(&new_now, &row->new_stamp)) ||
	    sync_stamp_eq(&new_now, empty_new(acct, &new_now)))
		return true;
	if (has_messages(acct->home->fd, path))
		return false;
	if (!sync_stamp_is_racy(&new_now))
		*empty_new(acct, &new_now) = new_now;
	return true;
}

/* --- leases ------------------------------------------------------------------------------------ */

/* If this fails the file may be in place without being durable.  The row, rolled back, then has another lease than the
 * file: the next sync_begin() takes it for stale and leases anew before any UID is given. */
static enum store_err
write_leases(struct sync_box *sb, uint32_t uid_lease, uint64_t modseq_lease)
{
	sb->row.uid_lease = sb->file.uid_lease = uid_lease;
	sb->row.modseq_lease = sb->file.modseq_lease = modseq_lease;
	return sanger_mailbox_write(sb->acct->home, sb->dir.fd, &sb->file);
}

enum store_err
sync_reserve_uids(struct sync_box *sb, uint32_t count)
{
	uint64_t need = (uint64_t)sb->row.uidnext + count;
	uint64_t modseq_lease = sb->file.modseq_lease;

	if (need >= UINT32_MAX - SYNC_UID_LEASE)
		return STORE_LIMIT;
	if (need <= sb->file.uid_lease)
		return STORE_OK;
	if (modseq_lease < sb->row.modseq + SYNC_MODSEQ_LEASE / 2)
		modseq_lease = sb->row.modseq + SYNC_MODSEQ_LEASE;
	return write_leases(sb, (uint32_t)need + SYNC_UID_LEASE, modseq_lease);
}

uint32_t
sync_take_uid(struct sync_box *sb)
{
	return sb->row.uidnext++;
}

enum store_err
sync_modseq(struct sync_box *sb)
{
	enum store_err err = STORE_OK;

	if (sb->modseq != 0)
		return STORE_OK;
	if (sb->row.modseq + 1 >= sb->file.modseq_lease)
		err = write_leases(sb, sb->file.uid_lease, sb->row.modseq + 1 + SYNC_MODSEQ_LEASE);
	if (err == STORE_OK)
		sb->modseq = ++sb->row.modseq;
	return err;
}

void
sync_handed_out(struct sync_box *sb, uint32_t uid, const char *file_name)
{
	struct maildir_name name;

	if (sb->file.uid_source != SANGER_UIDS_DOVECOT ||
	    !maildir_name_parse(str_from(file_name), &name))
		return;
	if ((sb->handed_out_count & (sb->handed_out_count - 1)) == 0) {
		size_t cap = sb->handed_out_count == 0 ? 1 : 2 * sb->handed_out_count;

		sb->handed_out = mem_realloc_array(sb->handed_out, cap, sizeof(*sb->handed_out));
	}
	sb->handed_out[sb->handed_out_count++] = (struct uidlist_entry){
		.uid = uid,
		.size = name.size,
		.crlf_size = name.crlf_size,
		.base = { mem_strndup(name.base.p, name.base.len), name.base.len },
	};
}

/* --- beginning and end ------------------------------------------------------------------------- */

static bool
has_own_uid(void *arg, const char *name, unsigned char type)
{
	struct maildir_name parsed;
	bool *found = arg;

	(void)type;
	*found = maildir_name_parse(str_from(name), &parsed) && parsed.uid != 0;
	return !*found;
}

/* A tree of another program: its UIDs and UIDVALIDITY, as long as nothing of ours was here before. */
static bool
adopt_uidlist(struct sync_box *sb)
{
	struct uidlist list = { 0 };
	bool ours = false;

	dir_list(sb->dir.cur_fd, has_own_uid, &ours);
	if (ours)
		return false; /* our file was lost: UIDVALIDITY must grow */
	if (uidlist_read_dovecot(sb->dir.fd, &list) == STORE_OK)
		sb->file.uid_source = SANGER_UIDS_DOVECOT;
	else if (uidlist_read_courier(sb->dir.fd, &list) == STORE_OK)
		sb->file.uid_source = SANGER_UIDS_COURIER;
	if (sb->file.uid_source == SANGER_UIDS_OWN || list.uid_validity == 0) {
		sb->file.uid_source = SANGER_UIDS_OWN;
		uidlist_free(&list);
		return false;
	}
	sb->file.uid_validity = list.uid_validity;
	sb->file.uid_lease = list.next_uid;
	log_info(account_log(sb->acct), "adopted",
	    "account=%s mailbox=%s uidvalidity=%u uidnext=%u", sb->acct->address, sb->row.name,
	    list.uid_validity, list.next_uid);
	uidlist_free(&list);
	return true;
}

/* Courier keeps keywords beside the messages: they become ours, once. */
static enum store_err
adopt_courier_keywords(struct sync_box *sb)
{
	struct keyword_list list = { 0 };
	enum store_err err = keyword_list_read_courier(sb->dir.fd, &list);

	if (err == STORE_OK && list.count > 0 && !account_has_file(sb->dir.fd, "sanger-keywords"))
		err = keyword_list_write(sb->dir.fd, &list);
	keyword_list_free(&list);
	return err;
}

/* Which list has the UIDs of messages without U=, if the file that said so was lost. */
static enum sanger_uid_source
guess_uid_source(const struct sync_box *sb)
{
	enum sanger_uid_source source = SANGER_UIDS_OWN;
	struct uidlist list = { 0 };

	if (uidlist_read_dovecot(sb->dir.fd, &list) == STORE_OK)
		source = SANGER_UIDS_DOVECOT;
	else if (uidlist_read_courier(sb->dir.fd, &list) == STORE_OK)
		source = SANGER_UIDS_COURIER;
	if (list.uid_validity != sb->row.uidvalidity)
		source = SANGER_UIDS_OWN;
	uidlist_free(&list);
	return source;
}

static enum store_err
make_file(struct sync_box *sb)
{
	struct index_mailbox *row = &sb->row;
	enum store_err err;

	if (row->id != 0) { /* only the file was lost: the index still knows */
		sb->file = (struct sanger_mailbox){ .uid_validity = row->uidvalidity,
			.uid_lease = row->uid_lease,
			.modseq_lease = row->modseq_lease,
			.uid_source = guess_uid_source(sb) };
		memcpy(sb->file.mailbox_id, row->mailbox_id, sizeof(sb->file.mailbox_id) - 1);
		return sanger_mailbox_write(sb->acct->home, sb->dir.fd, &sb->file);
	}
	err = sanger_mailbox_new(sb->acct->home, &sb->file);
	if (err != STORE_OK)
		return err;
	if (adopt_uidlist(sb)) {
		err = sanger_uid_validity_seen(sb->acct->home, sb->file.uid_validity);
		if (err == STORE_OK && sb->file.uid_source == SANGER_UIDS_COURIER)
			err = adopt_courier_keywords(sb);
	}
	if (err == STORE_OK)
		err = sanger_mailbox_write(sb->acct->home, sb->dir.fd, &sb->file);
	return err;
}

/* Joins the row with sanger-mailbox.  *stale_out: the row may be older than the tree. */
static enum store_err
join_row(struct sync_box *sb, bool *stale_out)
{
	struct index_mailbox *row = &sb->row;
	struct index *ix = sb->acct->ix;
	enum store_err err = sanger_mailbox_read(sb->acct->home, sb->dir.fd, &sb->file);

	if (err == STORE_NOT_FOUND)
		err = make_file(sb);
	if (err != STORE_OK)
		return err;
	if (row->id != 0 && (row->uidvalidity != sb->file.uid_validity ||
				strcmp(row->mailbox_id, sb->file.mailbox_id) != 0)) {
		err = index_mailbox_drop(ix, row->id);
		*row = (struct index_mailbox){ .name = row->name };
	}
	sb->fresh = row->id == 0;
	*stale_out = sb->fresh || strcmp(row->epoch, index_epoch(ix)) != 0 ||
		     row->uid_lease != sb->file.uid_lease ||
		     row->modseq_lease != sb->file.modseq_lease;
	if (sb->fresh) {
		row->uidvalidity = sb->file.uid_validity;
		row->uidnext = 1;
		row->recent_uid = sb->file.uid_lease;
		row->expunged_floor = sb->file.modseq_lease;
		snprintf(row->mailbox_id, sizeof(row->mailbox_id), "%s", sb->file.mailbox_id);
		if (err == STORE_OK)
			err = index_mailbox_put(ix, row);
	}
	return err;
}

/* The row may be older than the tree: a client may have heard of mod-sequences that it knows nothing of. */
static void
note_lost(struct sync_box *sb)
{
	struct index_mailbox *row = &sb->row;

	if (row->modseq + 1 >= sb->file.modseq_lease)
		return;
	if (row->lost_below == 0 || row->modseq < row->lost_from)
		row->lost_from = row->modseq;
	row->lost_below = sb->file.modseq_lease;
	row->modseq = sb->file.modseq_lease - 1;
}

static enum store_err
bring_together(struct sync_box *sb, unsigned flags)
{
	struct index_mailbox *row = &sb->row;
	struct sync_belief belief = { 0 };
	struct index_stamp new_now, cur_now;
	bool stale, with_cur, with_new;
	enum store_err err = join_row(sb, &stale);

	if (err == STORE_OK)
		err = sync_load_keywords(sb);
	if (err != STORE_OK)
		return err;
	belief.from = row->uidnext;
	belief.below = sb->file.uid_lease;
	if (stale) {
		row->uidnext =
		    row->uidnext > sb->file.uid_lease ? row->uidnext : sb->file.uid_lease;
		note_lost(sb);
		snprintf(row->epoch, sizeof(row->epoch), "%s", index_epoch(sb->acct->ix));
		row->uid_lease = sb->file.uid_lease;
		row->modseq_lease = sb->file.modseq_lease;
		err = sync_modseq(sb); /* leases the next block too */
		if (err != STORE_OK)
			return err;
	}
	if (!sync_read_stamp(sb->dir.new_fd, ".", &new_now) ||
	    !sync_read_stamp(sb->dir.cur_fd, ".", &cur_now))
		return STORE_IO;
	with_cur = stale || (flags & SYNC_VERIFY) != 0 || !sync_stamp_eq(&cur_now, &row->cur_stamp);
	with_new = with_cur || row->new_racy || !sync_stamp_eq(&new_now, &row->new_stamp);
	if (with_cur) {
		row->cur_stamp = cur_now;
		row->verify_due = sync_stamp_is_racy(&cur_now);
		row->verified_s = time(NULL);
	}
	if (with_new)
		err = sync_scan(sb, with_cur, &belief);
	if (with_new && err == STORE_OK) {
		if (sb->touched_cur) /* what came meanwhile is still in new/, with a stamp of its own */
			row->new_racy = true;
		else
			row->new_racy = sync_stamp_is_racy(&new_now);
		row->new_stamp = new_now;
	}
	return err;
}

static void
sync_free(struct sync_box *sb)
{
	for (size_t i = 0; i < MAILBOX_KEYWORDS_MAX; i++)
		free(sb->keywords[i]);
	for (size_t i = 0; i < sb->handed_out_count; i++)
		free((void *)(uintptr_t)sb->handed_out[i].base.p);
	free(sb->handed_out);
	keyword_list_free(&sb->extra);
	sanger_mailbox_free(&sb->file);
	index_mailbox_clear(&sb->row);
	maildir_close(&sb->dir);
}

enum store_err
sync_begin(struct account *acct, const char *name, unsigned flags, struct sync_box *sb)
{
	enum store_err err;

	*sb = (struct sync_box){ .acct = acct };
	err = maildir_open(acct->home, name, &sb->dir);
	if (err != STORE_OK)
		return err;
	err = index_mailbox_get(acct->ix, name, &sb->row);
	if (err == STORE_NOT_FOUND) {
		sb->row.name = mem_strdup(name);
		err = STORE_OK;
	}
	if (err == STORE_OK)
		err = bring_together(sb, flags);
	if (err != STORE_OK)
		sync_free(sb);
	return err;
}

enum store_err
sync_end(struct sync_box *sb, enum store_err err)
{
	if (err == STORE_OK && sb->extra_changed)
		err = keyword_list_write(sb->dir.fd, &sb->extra);
	if (err == STORE_OK && sb->touched_cur) {
		if (!sync_read_stamp(sb->dir.cur_fd, ".", &sb->row.cur_stamp))
			err = STORE_IO;
		sb->row.verify_due = true;
	}
	if (sb->recheck)
		sb->row.cur_stamp = (struct index_stamp){ 0 };
	if (err == STORE_OK)
		err = index_mailbox_put(sb->acct->ix, &sb->row);
	if (err == STORE_OK && sb->handed_out_count > 0) {
		/* only for the way back to Dovecot: harmless if it fails */
		enum store_err listed = uidlist_append(
		    sb->dir.fd, sb->handed_out, sb->handed_out_count, SYNC_FOREIGN_MS);

		if (listed != STORE_OK)
			log_warn(account_log(sb->acct), "uidlist-append",
			    "account=%s mailbox=%s error=%s", sb->acct->address, sb->row.name,
			    store_err_text(listed));
	}
	sync_free(sb);
	return err;
}

enum store_err
sync_put_unfinished(struct sync_box *sb)
{
	const struct index_stamp stamp = sb->row.cur_stamp;
	enum store_err err;

	sb->row.cur_stamp = (struct index_stamp){ 0 };
	err = index_mailbox_put(sb->acct->ix, &sb->row);
	sb->row.cur_stamp = stamp;
	sb->modseq = 0;
	return err;
}

enum store_err
sync_unlink(struct sync_box *sb, const struct index_message *m)
{
	static const struct keyword_set NONE = { { 0 } };
	enum store_err err = sync_modseq(sb);

	if (err != STORE_OK)
		return err;
	sb->touched_cur = true;
	if (unlinkat(sb->dir.cur_fd, m->name, 0) != 0 && errno != ENOENT)
		return dir_err(errno);
	err = sync_extra_keywords(sb, m->name, &m->keywords, &NONE);
	if (err == STORE_OK)
		err = index_message_remove(sb->acct->ix, &sb->row, m, sb->modseq);
	return err;
}

void
sync_burn_uids(struct account *acct, const char *name, uint32_t uidvalidity, uint32_t uidnext)
{
	struct index_mailbox row = { 0 };
	enum store_err err = index_begin(acct->ix, true);

	if (err == STORE_OK)
		err = index_mailbox_get(acct->ix, name, &row);
	if (err == STORE_OK && row.uidvalidity == uidvalidity) {
		if (row.uidnext < uidnext)
			row.uidnext = uidnext;
		row.cur_stamp = (struct index_stamp){ 0 };
		err = index_mailbox_put(acct->ix, &row);
	}
	if (err == STORE_OK)
		index_commit(acct->ix);
	else
		index_rollback(acct->ix);
	index_mailbox_clear(&row);
}

enum store_err
sync_refresh(struct account *acct, const char *name, unsigned flags, uint32_t *claimed_from_out,
    uint32_t *claimed_below_out)
{
	struct sync_box sb;
	enum store_err err = account_write_begin(acct);

	if (err != STORE_OK)
		return err;
	err = sync_begin(acct, name, flags, &sb);
	if (err != STORE_OK)
		return account_write_end(acct, err);
	if (claimed_from_out != NULL) {
		*claimed_from_out = sb.row.recent_uid;
		*claimed_below_out = sb.row.uidnext;
		sb.row.recent_uid = sb.row.uidnext;
	}
	return account_write_end(acct, sync_end(&sb, STORE_OK));
}
