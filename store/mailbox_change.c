/* Changing flags and expunging.  Order: rename the file (unlink it where nothing is kept), then the index; a crash in between is found by
 * the folder's stamp.  See mailbox.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/kept_internal.h"
#include "store/mailbox_internal.h"

/* --- the parts both need ----------------------------------------------------------------------- */

/* Remembers that changes with this mod-sequence are the view's own. */
static void
note_own(struct mailbox *box, uint64_t modseq)
{
	box->own_modseqs =
	    mem_realloc_array(box->own_modseqs, box->own_count + 1, sizeof(*box->own_modseqs));
	box->own_modseqs[box->own_count++] = modseq;
}

/* --- flags ------------------------------------------------------------------------------------- */

struct store_op {
	struct mailbox *box;
	struct sync_box sb;
	const struct flags_change *change;
	struct keyword_set keywords; /* of the change, in the index's numbers */
	struct flags_result *result;
	bool missed; /* a file was not at its name */
};

static enum store_err
resolve_keywords(struct store_op *op)
{
	const struct flags_change *c = op->change;

	op->keywords = (struct keyword_set){ 0 };
	if (c->keeps_keywords)
		return STORE_OK;
	for (size_t i = 0; i < c->keyword_count; i++) {
		unsigned number = 0;
		enum store_err err = sync_keyword(
		    &op->sb, str_from(c->keywords[i]), c->mode != FLAGS_REMOVE, &number);

		if (err == STORE_OK)
			keyword_set_add(&op->keywords, number);
		else if (err != STORE_NOT_FOUND)
			return err;
	}
	return STORE_OK;
}

static void
apply_change(const struct store_op *op, struct index_message *m)
{
	unsigned kept = op->change->kept_flags;
	unsigned flags = op->change->flags & MESSAGE_FLAGS_ALL & ~kept;

	switch (op->change->mode) {
	case FLAGS_REPLACE:
		m->flags = flags | (m->flags & kept);
		if (!op->change->keeps_keywords)
			m->keywords = op->keywords;
		break;
	case FLAGS_ADD:
		m->flags |= flags;
		for (size_t i = 0; i < ARRAY_LEN(m->keywords.bits); i++)
			m->keywords.bits[i] |= op->keywords.bits[i];
		break;
	case FLAGS_REMOVE:
		m->flags &= ~flags;
		for (size_t i = 0; i < ARRAY_LEN(m->keywords.bits); i++)
			m->keywords.bits[i] &= ~op->keywords.bits[i];
		break;
	}
}

/* Renames one message.  STORE_NOT_FOUND: its file is not where the index says. */
static enum store_err
rename_message(struct store_op *op, const struct index_message *from, struct index_message *to)
{
	struct maildir_name old;
	struct buf name = { 0 };
	enum store_err err = STORE_OK;
	uint32_t uid = maildir_name_parse(str_from(from->name), &old) ? old.uid : 0;

	sync_name(&name, from->name, uid, to->flags, &to->keywords, to->disk_size, to->size);
	if (strcmp(buf_cstr(&name), from->name) != 0) {
		err = dir_rename_new(
		    op->sb.dir.cur_fd, from->name, op->sb.dir.cur_fd, buf_cstr(&name));
		op->sb.touched_cur = true;
	}
	snprintf(to->name, sizeof(to->name), "%s", buf_cstr(&name));
	buf_free(&name);
	return err;
}

/* Since a mod-sequence of a lost past anything may have changed. */
static bool
may_have_changed(const struct index_mailbox *row, const struct index_message *m, uint64_t since)
{
	return m->modseq > since || (since > row->lost_from && since < row->lost_below);
}

static enum store_err
store_one(struct store_op *op, const struct index_message *from)
{
	struct index_message to = *from;
	enum store_err err;

	if (op->change->has_unchanged_since &&
	    may_have_changed(&op->sb.row, from, op->change->unchanged_since)) {
		uidset_add(&op->result->failed, from->uid);
		return STORE_OK;
	}
	apply_change(op, &to);
	if (to.flags == from->flags &&
	    memcmp(&to.keywords, &from->keywords, sizeof(to.keywords)) == 0)
		return STORE_OK;
	err = sync_modseq(&op->sb);
	if (err == STORE_OK)
		err = rename_message(op, from, &to);
	if (err == STORE_NOT_FOUND || err == STORE_EXISTS) {
		op->missed = true;
		return STORE_OK;
	}
	to.modseq = op->sb.modseq;
	if (err == STORE_OK)
		err = sync_extra_keywords(&op->sb, to.name, &from->keywords, &to.keywords);
	if (err == STORE_OK)
		err = index_message_change(op->box->acct->ix, &op->sb.row, from, &to);
	if (err == STORE_OK)
		uidset_add(&op->result->changed, from->uid);
	return err;
}

static enum store_err
store_all(struct store_op *op, const struct uidset *uids)
{
	struct index_message *rows = mem_alloc(MAILBOX_SLICE_ROWS * sizeof(*rows));
	enum store_err err = resolve_keywords(op);
	uint64_t done = 0, goal = uidset_count(uids);
	uint32_t after = 0;
	size_t n = 1;

	while (err == STORE_OK && n > 0) {
		err = index_messages(
		    op->box->acct->ix, op->sb.row.id, uids, after, rows, MAILBOX_SLICE_ROWS, &n);
		for (size_t i = 0; i < n && err == STORE_OK; i++) {
			err = store_one(op, &rows[i]);
			mailbox_progress(op->box, ++done, goal);
		}
		if (n > 0)
			after = rows[n - 1].uid;
	}
	free(rows);
	return err;
}

static enum store_err
store_once(struct store_op *op, const struct uidset *uids, unsigned sync_flags)
{
	struct account *acct = op->box->acct;
	enum store_err err = account_write_begin(acct);
	uint64_t modseq = 0;

	uidset_clear(&op->result->changed);
	uidset_clear(&op->result->failed);
	op->missed = false;
	if (err != STORE_OK)
		return err;
	err = sync_begin(acct, op->box->name, sync_flags, &op->sb);
	if (err != STORE_OK)
		return account_write_end(acct, err);
	err = mailbox_is_same(op->box, &op->sb) ? store_all(op, uids) : STORE_NOT_FOUND;
	op->sb.recheck |= op->missed;
	if (!uidset_is_empty(&op->result->changed))
		modseq = op->sb.modseq;
	err = account_write_end(acct, sync_end(&op->sb, err));
	if (err == STORE_OK) {
		if (modseq != 0)
			note_own(op->box, modseq);
		op->result->modseq = modseq;
	}
	return err;
}

enum store_err
mailbox_store_flags(struct mailbox *box, const struct uidset *uids,
    const struct flags_change *change, struct flags_result *result_out)
{
	struct flags_result result = { 0 }, all = { 0 };
	struct store_op op = { .box = box, .change = change, .result = &result };
	struct uidset wanted = { 0 };
	enum store_err err = STORE_DENIED;
	int tries = 0;

	if (box->read_only)
		return STORE_DENIED;
	uidset_copy(&wanted, uids);
	uidset_intersect(&wanted, &box->view);
	for (int i = 0; i < MAILBOX_TRIES; i++) {
		err = store_once(&op, &wanted, i == 0 ? 0 : SYNC_VERIFY);
		if (account_should_retry(box->acct, err, &tries))
			continue;
		if (err != STORE_OK)
			break;
		uidset_union(&all.changed, &result.changed);
		uidset_union(&all.failed, &result.failed);
		all.modseq = result.modseq != 0 ? result.modseq : all.modseq;
		if (!op.missed)
			break;
		uidset_subtract(
		    &wanted, &all.changed); /* the others: once more, under their new names */
		uidset_subtract(&wanted, &all.failed);
	}
	uidset_free(&wanted);
	uidset_free(&result.changed);
	uidset_free(&result.failed);
	if (result_out != NULL) {
		uidset_swap(&result_out->changed, &all.changed);
		uidset_swap(&result_out->failed, &all.failed);
		result_out->modseq = all.modseq;
	}
	uidset_free(&all.changed);
	uidset_free(&all.failed);
	return err;
}

/* --- expunge ----------------------------------------------------------------------------------- */

struct expunge_op {
	struct mailbox *box;
	unsigned flags; /* enum mailbox_expunge_flags */
	struct sync_box *sb;
	struct keeping keeping;
	struct uidset *expunged;
	int64_t bytes, messages; /* that quota gets back */
	bool missed;
	bool taken; /* a file has gone from where it was */
};

static enum store_err
expunge_one(struct expunge_op *op, const struct index_message *m)
{
	static const struct keyword_set NONE = { { 0 } };
	enum store_err err = sync_modseq(op->sb);

	if (err != STORE_OK)
		return err;
	err = keeping_take(&op->keeping, m);
	if (err != STORE_OK) {
		op->missed |= err == STORE_NOT_FOUND;
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	}
	op->taken = op->sb->touched_cur = true;
	err = sync_extra_keywords(op->sb, m->name, &m->keywords, &NONE);
	if (err == STORE_OK)
		err = index_message_remove(op->box->acct->ix, &op->sb->row, m, op->sb->modseq);
	if (err == STORE_OK) {
		uidset_add(op->expunged, m->uid);
		op->bytes += (int64_t)m->disk_size;
		op->messages++;
	}
	return err;
}

static enum store_err
expunge_all(struct expunge_op *op, const struct uidset *uids)
{
	struct index *ix = op->box->acct->ix;
	struct index_message *rows = mem_alloc(MAILBOX_SLICE_ROWS * sizeof(*rows));
	struct uidset doomed = { 0 };
	enum store_err err = STORE_OK;
	uint32_t after = 0;
	uint64_t done = 0;
	size_t n = 1;

	if ((op->flags & MAILBOX_EXPUNGE_UNMARKED) != 0)
		uidset_copy(&doomed, uids);
	else
		err =
		    index_with_flags(ix, op->sb->row.id, MESSAGE_DELETED, MESSAGE_DELETED, &doomed);
	uidset_intersect(&doomed, &op->box->view);
	if (uids != NULL)
		uidset_intersect(&doomed, uids);
	while (err == STORE_OK && n > 0) {
		err = index_messages(
		    ix, op->sb->row.id, &doomed, after, rows, MAILBOX_SLICE_ROWS, &n);
		if (err == STORE_OK)
			err = keeping_announce(&op->keeping, rows, n);
		for (size_t i = 0; i < n && err == STORE_OK; i++) {
			err = expunge_one(op, &rows[i]);
			mailbox_progress(op->box, ++done, uidset_count(&doomed));
		}
		if (n > 0)
			after = rows[n - 1].uid;
	}
	free(rows);
	uidset_free(&doomed);
	return err;
}

/* Looks for a place to keep them only where there is something to expunge. */
static enum store_err
expunge_locked(struct expunge_op *op, const struct uidset *uids)
{
	enum store_err err = STORE_OK;

	op->keeping = (struct keeping){ .sb = op->sb, .fd = -1 };
	if (!mailbox_is_same(op->box, op->sb))
		return STORE_NOT_FOUND;
	if ((op->flags & MAILBOX_EXPUNGE_UNMARKED) == 0 && op->sb->row.deleted == 0)
		return STORE_OK;
	if ((op->flags & MAILBOX_EXPUNGE_FOR_GOOD) == 0)
		err = keeping_begin(&op->keeping, op->sb);
	if (err == STORE_OK)
		err = expunge_all(op, uids);
	keeping_end(&op->keeping);
	return err;
}

static enum store_err
expunge_once(struct expunge_op *op, const struct uidset *uids, unsigned sync_flags)
{
	struct account *acct = op->box->acct;
	struct quota_rules rules = account_quota_rules(acct);
	enum store_err err = account_write_begin(acct);

	op->missed = false;
	op->bytes = op->messages = 0;
	if (err != STORE_OK)
		return err;
	err = sync_begin(acct, op->box->name, sync_flags, op->sb);
	if (err != STORE_OK)
		return account_write_end(acct, err);
	err = expunge_locked(op, uids);
	op->sb->recheck |= op->missed;
	err = account_write_end(acct, sync_end(op->sb, err));
	if (err == STORE_OK)
		quota_add(acct->home, &rules, op->box->name, -op->bytes, -op->messages);
	return err;
}

enum store_err
mailbox_expunge_with(
    struct mailbox *box, const struct uidset *uids, unsigned flags, struct uidset *expunged_out)
{
	struct uidset expunged = { 0 };
	struct sync_box sb;
	struct expunge_op op = { .box = box, .flags = flags, .sb = &sb, .expunged = &expunged };
	uint64_t kept_bytes = 0;
	enum store_err err = STORE_DENIED;
	int tries = 0;

	if (box->read_only)
		return STORE_DENIED;
	for (int i = 0; i < MAILBOX_TRIES; i++) {
		err = expunge_once(&op, uids, i == 0 ? 0 : SYNC_VERIFY);
		kept_bytes += op.keeping.bytes;
		if (account_should_retry(box->acct, err, &tries))
			continue;
		if (err != STORE_OK || !op.missed)
			break;
	}
	if (kept_bytes > 0)
		kept_prune_if_due(box->acct, kept_bytes);
	if (expunged_out != NULL)
		uidset_swap(expunged_out, &expunged);
	uidset_free(&expunged);
	return err;
}

enum store_err
mailbox_expunge(struct mailbox *box, const struct uidset *uids, struct uidset *expunged_out)
{
	return mailbox_expunge_with(box, uids, 0, expunged_out);
}

enum store_err
mailbox_expunge_in(
    struct mailbox *box, struct sync_box *sb, uint32_t uid, struct mailbox_expunged *out)
{
	struct uidset one = { 0 }, expunged = { 0 };
	struct expunge_op op = {
		.box = box, .flags = MAILBOX_EXPUNGE_UNMARKED, .sb = sb, .expunged = &expunged
	};
	enum store_err err;

	uidset_add(&one, uid);
	err = expunge_locked(&op, &one);
	sb->recheck |= op.missed;
	*out = (struct mailbox_expunged){ .taken = op.taken,
		.bytes = op.bytes,
		.messages = op.messages,
		.kept_bytes = op.keeping.bytes };
	uidset_free(&one);
	uidset_free(&expunged);
	return err;
}

/* --- the mailbox itself ------------------------------------------------------------------------- */

enum store_err
mailbox_raise_modseq(struct account *acct, const char *name)
{
	char *canonical = mailbox_canonical(name);
	enum store_err err;
	int tries = 0;

	do {
		struct sync_box sb;

		err = account_write_begin(acct);
		if (err != STORE_OK)
			break;
		err = sync_begin(acct, canonical, 0, &sb);
		if (err == STORE_OK)
			err = sync_end(&sb, sync_modseq(&sb));
		err = account_write_end(acct, err);
	} while (account_should_retry(acct, err, &tries));
	free(canonical);
	return err;
}
