/* COPY and MOVE: hard links under new UIDs.  Order: (move: what will be done, committed to the index) → all links in the
 * destination → one fsync of its cur/ → (move: unlink the sources) → one index commit for both mailboxes.  A copy cut
 * short leaves links that carry UIDs nobody was told of, and the next opener finds them; a move cut short is finished
 * by it (mailbox_move.c).  See mailbox.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/mailbox_internal.h"

struct pair {
	uint32_t from_uid, to_uid;
	char *to_name;
	bool linked;
};

struct copy_op {
	struct mailbox *box;
	const struct copy_target *target;
	const char *to;  /* its mailbox, canonical */
	bool move, same; /* same: into the mailbox itself */
	struct sync_box from_sb, to_sb;
	struct sync_box *from, *dest; /* the same one if `same` */
	struct pair *pairs;
	size_t count;
	int keyword_map[MAILBOX_KEYWORDS_MAX]; /* -1: not asked yet */
	struct quota_room room;                /* as it is at the beginning */
	struct quota_room left;                /* of this try */
	bool skip_missing, missed;
	bool undone;             /* nothing of what was linked is left */
	int64_t bytes, messages; /* that were linked */
};

static enum store_err
map_keywords(struct copy_op *op, const struct keyword_set *in, struct keyword_set *out)
{
	*out = (struct keyword_set){ 0 };
	for (unsigned i = 0; i < op->from->keyword_count && op->target->keywords; i++) {
		if (!keyword_set_has(in, i) || op->from->keywords[i] == NULL)
			continue;
		if (op->keyword_map[i] < 0) {
			unsigned number = 0;
			enum store_err err =
			    sync_keyword(op->dest, str_from(op->from->keywords[i]), true, &number);

			if (err == STORE_LIMIT || err == STORE_INVALID)
				continue; /* the message matters more than its label */
			if (err != STORE_OK)
				return err;
			op->keyword_map[i] = (int)number;
		}
		keyword_set_add(out, (unsigned)op->keyword_map[i]);
	}
	return STORE_OK;
}

static void
note_pair(struct copy_op *op, uint32_t from_uid, uint32_t to_uid, const char *to_name)
{
	if ((op->count & (op->count - 1)) == 0) {
		op->pairs = mem_realloc_array(
		    op->pairs, op->count == 0 ? 1 : 2 * op->count, sizeof(*op->pairs));
	}
	op->pairs[op->count++] = (struct pair){ from_uid, to_uid, mem_strdup(to_name), false };
}

/* Decides on a UID and a name for one message; nothing is on disk yet. */
static enum store_err
plan_one(struct copy_op *op, const struct index_message *m)
{
	struct keyword_set keywords;
	struct buf name = { 0 };
	uint32_t uid = op->dest->row.uidnext + (uint32_t)op->count;
	enum store_err err = map_keywords(op, &m->keywords, &keywords);

	if (err != STORE_OK)
		return err;
	if (!quota_room_take(&op->left, m->disk_size))
		return STORE_OVER_QUOTA;
	maildir_name_new(&name, m->disk_size,
	    m->size == INDEX_SIZE_UNKNOWN ? MAILDIR_SIZE_UNKNOWN : m->size, uid, true,
	    sync_letters_of(m->flags & op->target->flags),
	    (uint32_t)(keywords.bits[0] & 0x3ffffff));
	note_pair(op, m->uid, uid, buf_cstr(&name));
	buf_free(&name);
	return STORE_OK;
}

static enum store_err
link_one(struct copy_op *op, const struct index_message *m, struct pair *pair)
{
	static const struct keyword_set NONE = { { 0 } };
	struct index_message copy = *m;
	enum store_err err = map_keywords(op, &m->keywords, &copy.keywords);

	if (err != STORE_OK)
		return err;
	copy.uid = pair->to_uid;
	copy.flags &= op->target->flags;
	copy.modseq = op->dest->modseq;
	snprintf(copy.name, sizeof(copy.name), "%s", pair->to_name);
	if (linkat(op->from->dir.cur_fd, m->name, op->dest->dir.cur_fd, copy.name, 0) != 0) {
		op->missed |= errno == ENOENT;
		return errno == ENOENT ? STORE_OK : dir_err(errno);
	}
	pair->linked = true;
	op->dest->touched_cur = true;
	op->dest->row.uidnext = copy.uid + 1;
	err = sync_extra_keywords(op->dest, copy.name, &NONE, &copy.keywords);
	if (err == STORE_OK)
		err = index_message_add(op->box->acct->ix, &op->dest->row, &copy);
	if (err == STORE_OK)
		err = index_parsed_copy(
		    op->box->acct->ix, op->from->row.id, m->uid, op->dest->row.id, copy.uid);
	sync_handed_out(op->dest, copy.uid, copy.name);
	op->bytes += (int64_t)m->disk_size;
	op->messages++;
	return err;
}

/* Plans (link false) or links (true) all messages of `uids`, in the same order. */
static enum store_err
for_all(struct copy_op *op, const struct uidset *uids, bool link)
{
	struct index_message *rows = mem_alloc(MAILBOX_SLICE_ROWS * sizeof(*rows));
	enum store_err err = STORE_OK;
	uint32_t after = 0;
	size_t at = 0, n = 1;

	while (err == STORE_OK && n > 0) {
		err = index_messages(
		    op->box->acct->ix, op->from->row.id, uids, after, rows, MAILBOX_SLICE_ROWS, &n);
		for (size_t i = 0; i < n && err == STORE_OK; i++) {
			if (!link)
				err = plan_one(op, &rows[i]);
			else if (at < op->count && op->pairs[at].from_uid == rows[i].uid)
				err = link_one(op, &rows[i], &op->pairs[at++]);
			if (link) /* of a move the first half */
				mailbox_progress(op->box, op->move ? at / 2 : at, op->count);
		}
		if (n > 0)
			after = rows[n - 1].uid;
	}
	free(rows);
	return err;
}

/* Commits what a move is about to do; see mailbox_move.c. */
static enum store_err
note_intent(struct copy_op *op)
{
	struct index *ix = op->box->acct->ix;
	enum store_err err = sync_put_unfinished(op->from);

	if (err == STORE_OK && !op->same)
		err = sync_put_unfinished(op->dest);
	for (size_t i = 0; i < op->count && err == STORE_OK; i++) {
		struct index_move move = { .from = op->box->name,
			.to = op->dest->row.name,
			.from_uid = op->pairs[i].from_uid,
			.to_uid = op->pairs[i].to_uid };

		snprintf(move.to_name, sizeof(move.to_name), "%s", op->pairs[i].to_name);
		err = index_move_add(ix, &move);
	}
	if (err == STORE_OK)
		err = index_commit(ix);
	return err == STORE_OK ? index_begin(ix, true) : err;
}

static enum store_err
link_all(struct copy_op *op, const struct uidset *uids)
{
	enum store_err err = sync_modseq(op->dest);

	if (err == STORE_OK)
		err = for_all(op, uids, true);
	if (err == STORE_OK && op->missed && !op->skip_missing)
		err = STORE_CHANGED;
	if (err == STORE_OK && op->messages > 0)
		err = dir_sync(op->dest->dir.cur_fd);
	return err;
}

static enum store_err
unlink_sources(struct copy_op *op)
{
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < op->count && err == STORE_OK; i++) {
		struct index_message m;

		if (!op->pairs[i].linked)
			continue;
		err = index_message_get(
		    op->box->acct->ix, op->from->row.id, op->pairs[i].from_uid, &m);
		if (err == STORE_OK)
			err = sync_unlink(op->from, &m);
		mailbox_progress(op->box, (op->count + i) / 2, op->count);
	}
	return err == STORE_OK ? index_moves_drop(op->box->acct->ix) : err;
}

/* Nothing of a failed copy stays.  A move that has begun to unlink keeps its links: they are the mail now. */
static void
undo_links(struct copy_op *op)
{
	op->undone = true;
	for (size_t i = 0; i < op->count; i++) {
		if (op->pairs[i].linked &&
		    unlinkat(op->dest->dir.cur_fd, op->pairs[i].to_name, 0) != 0)
			op->undone = false;
	}
}

static void
forget_pairs(struct copy_op *op)
{
	for (size_t i = 0; i < op->count; i++)
		free(op->pairs[i].to_name);
	free(op->pairs);
	op->pairs = NULL;
	op->count = 0;
}

static enum store_err
copy_locked(struct copy_op *op, const struct uidset *uids)
{
	enum store_err err;

	if (!mailbox_is_same(op->box, op->from))
		return STORE_NOT_FOUND;
	err = for_all(op, uids, false);
	if (err == STORE_OK) /* not for what is over quota */
		err = sync_reserve_uids(op->dest, (uint32_t)op->count);
	if (err != STORE_OK || op->count == 0)
		return err;
	if (op->move)
		err = note_intent(op);
	if (err == STORE_OK)
		err = link_all(op, uids);
	if (err != STORE_OK) {
		undo_links(op);
		return err;
	}
	return op->move ? unlink_sources(op) : STORE_OK;
}

/* A copy whose commit failed: the folders are closed by now. */
static void
undo_uncommitted(struct copy_op *op)
{
	struct buf path = { 0 };
	size_t prefix_len;

	if (account_folder_prefix(op->box->acct, op->to, &path) == STORE_OK) {
		prefix_len = path.len;
		for (size_t i = 0; i < op->count; i++) {
			if (!op->pairs[i].linked)
				continue;
			path.len = prefix_len;
			buf_printf(&path, "cur/%s", op->pairs[i].to_name);
			unlinkat(op->box->acct->home->fd, buf_cstr(&path), 0);
		}
	}
	buf_free(&path);
}

static enum store_err
copy_once(struct copy_op *op, const struct uidset *uids, unsigned sync_flags)
{
	struct account *acct = op->box->acct;
	uint32_t uidvalidity, uidnext;
	enum store_err err;

	forget_pairs(op);
	op->bytes = op->messages = 0;
	op->missed = op->undone = false;
	op->left = op->room;
	memset(op->keyword_map, 0xff, sizeof(op->keyword_map));
	err = account_write_begin(acct);
	if (err != STORE_OK)
		return err;
	err = sync_begin(acct, op->box->name, sync_flags, &op->from_sb);
	if (err != STORE_OK)
		return account_write_end(acct, err);
	op->from = &op->from_sb;
	op->dest = op->same ? &op->from_sb : &op->to_sb;
	if (!op->same) {
		err = sync_begin(acct, op->to, 0, &op->to_sb);
		if (err != STORE_OK)
			return account_write_end(acct, sync_end(op->from, err));
	}
	err = copy_locked(op, uids);
	uidvalidity = op->dest->row.uidvalidity;
	uidnext = op->dest->row.uidnext;
	if (!op->same)
		err = sync_end(op->dest, err);
	err = account_write_commit(acct, sync_end(op->from, err));
	if (err != STORE_OK && !op->move)
		undo_uncommitted(op);
	/* A move whose links stay is finished by the next writer, who must find their UIDs still to come. */
	if (err != STORE_OK && (!op->move || op->undone))
		sync_burn_uids(acct, op->to, uidvalidity, uidnext);
	account_write_unlock(acct);
	return err;
}

/* A move between mailboxes that both count needs no room. */
static void
look_for_room(struct copy_op *op)
{
	struct quota_rules rules = account_quota_rules(op->box->acct);

	if (!op->move || quota_excludes(&rules, op->box->name))
		quota_room(op->box->acct->home, &rules, op->to, &op->room);
}

static void
finish_copy(struct copy_op *op, struct copy_result *r)
{
	struct quota_rules rules = account_quota_rules(op->box->acct);

	for (size_t i = 0; i < op->count; i++) {
		if (!op->pairs[i].linked)
			continue;
		uidset_add(&r->from, op->pairs[i].from_uid);
		uidset_add(&r->to, op->pairs[i].to_uid);
	}
	quota_add(op->box->acct->home, &rules, op->to, op->bytes, op->messages);
	if (op->move)
		quota_add(op->box->acct->home, &rules, op->box->name, -op->bytes, -op->messages);
}

static enum store_err
transfer(struct mailbox *box, const struct uidset *uids, const struct copy_target *to, bool move,
    struct copy_result *result_out)
{
	struct copy_op op = { .box = box, .target = to, .move = move };
	char *name = mailbox_canonical(to->name);
	struct mailbox_status status;
	struct uidset wanted = { 0 };
	enum store_err err;
	int tries = 0;

	op.to = name;
	op.same = strcmp(name, box->name) == 0;
	uidset_copy(&wanted, uids);
	uidset_intersect(&wanted, &box->view);
	uidset_clear(&result_out->from);
	uidset_clear(&result_out->to);
	err = account_status(box->acct, name, &status);
	if (err != STORE_OK)
		goto out;
	look_for_room(&op);
	for (int i = 0; i < MAILBOX_TRIES; i++) {
		op.skip_missing = i > 0;
		err = copy_once(&op, &wanted, i == 0 ? 0 : SYNC_VERIFY);
		if (err != STORE_CHANGED && !account_should_retry(box->acct, err, &tries))
			break;
	}
	if (err == STORE_OK)
		finish_copy(&op, result_out);
	result_out->uidvalidity = status.uidvalidity;
out:
	forget_pairs(&op);
	uidset_free(&wanted);
	free(name);
	return err;
}

enum store_err
mailbox_transfer(struct mailbox *box, const struct uidset *uids, const struct copy_target *to,
    bool move, struct copy_result *result_out)
{
	if (move && box->read_only)
		return STORE_DENIED;
	if (to->acct != box->acct)
		return mailbox_across(box, uids, to, move, result_out);
	return transfer(box, uids, to, move, result_out);
}

static enum store_err
with_all_flags(struct mailbox *box, const struct uidset *uids, struct account *to_acct,
    const char *to, bool move, struct copy_result *result_out)
{
	struct copy_target target = {
		.acct = to_acct != NULL ? to_acct : box->acct,
		.name = to,
		.flags = MESSAGE_FLAGS_ALL,
		.keywords = true,
	};

	return mailbox_transfer(box, uids, &target, move, result_out);
}

enum store_err
mailbox_copy(struct mailbox *box, const struct uidset *uids, struct account *to_acct,
    const char *to, struct copy_result *result_out)
{
	return with_all_flags(box, uids, to_acct, to, false, result_out);
}

enum store_err
mailbox_move(struct mailbox *box, const struct uidset *uids, struct account *to_acct,
    const char *to, struct copy_result *result_out)
{
	return with_all_flags(box, uids, to_acct, to, true, result_out);
}
