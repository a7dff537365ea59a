/* Finishes a move that died between the link in the destination and the end of the source, so that a message is never
 * in two mailboxes, nor in none.
 *
 * 1. A move commits to the index what it is going to do before it links anything (mailbox_copy.c), and forgets it in
 *    the commit that ends it.  So what is found here at the beginning of a transaction was left by a dead process.
 * 2. Source and destination are compared with their folders first: then the index knows both under the names they have
 *    by now.
 * 3. A source is unlinked only if the destination's file is there, is the very same file, and its directory is synced.
 * 4. No destination: nothing had been done, the message stays where it is.
 * If the index was lost as well, nobody knows of the move, and the message stays in both. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/mailbox_internal.h"

struct finishing {
	struct account *acct;
	struct sync_box from_sb, to_sb;
	struct sync_box *from, *to; /* the same one for a move into the mailbox itself */
	bool synced;
	unsigned count;
};

/* Are the source and what was linked from it both there? */
static bool
is_cut_in_two(struct finishing *f, const struct index_move *move, struct index_message *source_out)
{
	struct index *ix = f->acct->ix;
	struct maildir_name planned, found;
	struct index_message copy;
	struct stat a, b;

	return index_message_get(ix, f->from->row.id, move->from_uid, source_out) == STORE_OK &&
	       index_message_get(ix, f->to->row.id, move->to_uid, &copy) == STORE_OK &&
	       maildir_name_parse(str_from(move->to_name), &planned) &&
	       maildir_name_parse(str_from(copy.name), &found) &&
	       str_eq(planned.unique, found.unique) &&
	       fstatat(f->from->dir.cur_fd, source_out->name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(f->to->dir.cur_fd, copy.name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static enum store_err
finish_one(struct finishing *f, const struct index_move *move)
{
	struct index_message source;
	enum store_err err = STORE_OK;

	if (!is_cut_in_two(f, move, &source))
		return STORE_OK;
	if (!f->synced)
		err = dir_sync(f->to->dir.cur_fd);
	if (err != STORE_OK)
		return err;
	f->synced = true;
	f->count++;
	return sync_unlink(f->from, &source);
}

/* Opens both mailboxes.  STORE_NOT_FOUND: one of them is gone, and with it what was to be done. */
static enum store_err
finish_begin(struct finishing *f, const struct index_move *move)
{
	enum store_err err = sync_begin(f->acct, move->from, SYNC_VERIFY, &f->from_sb);

	if (err != STORE_OK)
		return err;
	f->from = f->to = &f->from_sb;
	if (strcmp(move->from, move->to) == 0)
		return STORE_OK;
	f->to = &f->to_sb;
	err = sync_begin(f->acct, move->to, SYNC_VERIFY, &f->to_sb);
	if (err != STORE_OK)
		sync_end(f->from, err);
	return err;
}

static enum store_err
finish_end(struct finishing *f, enum store_err err)
{
	if (f->to != f->from)
		err = sync_end(f->to, err);
	return sync_end(f->from, err);
}

/* All that is left was one move: from one mailbox to another. */
static enum store_err
finish_all(struct finishing *f, struct index_move *move)
{
	enum store_err err = finish_begin(f, move);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	while (err == STORE_OK) {
		int64_t id = move->id;

		err = finish_one(f, move);
		index_move_clear(move);
		if (err == STORE_OK)
			err = index_move_next(f->acct->ix, id, move);
	}
	return finish_end(f, err == STORE_NOT_FOUND ? STORE_OK : err);
}

enum store_err
account_finish_moves(struct account *acct)
{
	struct finishing f = { .acct = acct };
	struct index_move move = { 0 };
	enum store_err err = index_move_next(acct->ix, 0, &move);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	err = finish_all(&f, &move);
	if (err == STORE_OK)
		err = index_moves_drop(acct->ix);
	if (err == STORE_OK)
		err = index_commit(acct->ix);
	else
		index_rollback(acct->ix);
	index_move_clear(&move);
	log_info(account_log(acct), "move-finished", "account=%s messages=%u result=%s",
	    acct->address, f.count, store_err_text(err));
	/* What cannot be finished now (a broken folder) must not keep the account from everything else. */
	return err == STORE_CORRUPT ? err : index_begin(acct->ix, true);
}
