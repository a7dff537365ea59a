/* A session's view of a mailbox: opening, sync, reading.  See mailbox.h. */
#include "store/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "store/crossing.h"
#include "store/dir.h"
#include "store/mailbox_internal.h"
#include "store/mailbox_name.h"
#include "store/mime.h"

/* --- keywords ---------------------------------------------------------------------------------- */

static const char *
keyword_at(const struct mailbox *box, unsigned number)
{
	return number < box->keyword_count ? box->keywords[number] : NULL;
}

static void
make_room(struct mailbox *box, unsigned count)
{
	box->keywords = mem_realloc_array(box->keywords, count, sizeof(*box->keywords));
	for (unsigned i = box->keyword_count; i < count; i++)
		box->keywords[i] = NULL;
	box->keyword_count = count;
}

/* The number under which this view knows the name, else the last free one; MAILBOX_KEYWORDS_MAX if there is
 * none. */
static unsigned
other_number(const struct mailbox *box, const char *name)
{
	unsigned free_number = MAILBOX_KEYWORDS_MAX;

	for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX; i++) {
		const char *known = keyword_at(box, i);

		if (known == NULL)
			free_number = i;
		else if (strcmp(known, name) == 0)
			return i;
	}
	return free_number;
}

/* A number keeps its name for the life of the view, also when a rebuilt index numbers the rare ones anew. */
static void
on_keyword(void *arg, unsigned number, const char *name)
{
	struct mailbox *box = arg;
	unsigned at = number;

	if (keyword_at(box, at) != NULL && strcmp(box->keywords[at], name) != 0)
		at = other_number(box, name);
	if (at == MAILBOX_KEYWORDS_MAX)
		return; /* full: the keyword stays invisible in this session */
	if (at >= box->keyword_count)
		make_room(box, at + 1);
	if (box->keywords[at] == NULL)
		box->keywords[at] = mem_strdup(name);
	box->keyword_map[number] = (uint16_t)at;
	if (at != number)
		box->keywords_moved = true;
}

static enum store_err
load_keywords(struct mailbox *box, const struct index_mailbox *row)
{
	if (row->modseq == box->keywords_modseq)
		return STORE_OK;
	for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX; i++)
		box->keyword_map[i] = (uint16_t)i;
	box->keywords_moved = false;
	box->keywords_modseq = row->modseq;
	return index_keywords(box->acct->ix, row->id, on_keyword, box);
}

unsigned
mailbox_keyword_count(const struct mailbox *box)
{
	return box->keyword_count;
}

const char *
mailbox_keyword_name(const struct mailbox *box, unsigned index)
{
	if (index >= box->keyword_count)
		return NULL;
	return box->keywords[index] != NULL ? box->keywords[index] : "";
}

int
mailbox_keyword_find(const struct mailbox *box, const char *name)
{
	for (unsigned i = 0; i < box->keyword_count; i++) {
		if (box->keywords[i] != NULL && ascii_eq_nocase(box->keywords[i], name))
			return (int)i;
	}
	return -1;
}

/* \Recent is for sessions that select read-write. */
static bool
claims_none(const struct mailbox *box)
{
	return box->read_only || box->aside;
}

/* --- the index, seen from a view --------------------------------------------------------------- */

enum store_err
mailbox_refresh(struct mailbox *box, unsigned flags)
{
	uint32_t from = 0, below = 0;
	enum store_err err;
	int tries = 0;

	do {
		err = claims_none(box) ? sync_refresh(box->acct, box->name, flags, NULL, NULL)
				       : sync_refresh(box->acct, box->name, flags, &from, &below);
	} while (account_should_retry(box->acct, err, &tries));
	if (err == STORE_OK && from < below)
		uidset_add_range(&box->claimed, from, below - 1);
	return err;
}

static enum store_err
read_begin_once(struct mailbox *box, struct index_mailbox *row_out)
{
	enum store_err err = account_read_begin(box->acct);

	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_CHANGED : err;
	err = index_mailbox_get(box->acct->ix, box->name, row_out);
	if (err == STORE_OK && strcmp(row_out->epoch, index_epoch(box->acct->ix)) != 0)
		err = STORE_CHANGED;
	else if (err == STORE_OK && box->facts.uidvalidity != 0 &&
		 (row_out->uidvalidity != box->facts.uidvalidity ||
		     strcmp(row_out->mailbox_id, box->facts.id) != 0))
		err = STORE_NOT_FOUND;
	else if (err == STORE_NOT_FOUND)
		err = STORE_CHANGED;
	if (err == STORE_OK)
		err = load_keywords(box, row_out);
	if (err != STORE_OK)
		mailbox_read_end(box, row_out);
	return err;
}

enum store_err
mailbox_read_begin(struct mailbox *box, struct index_mailbox *row_out)
{
	enum store_err err = STORE_OK;
	int tries = 0;

	*row_out = (struct index_mailbox){ 0 };
	for (int i = 0; i < MAILBOX_TRIES; i++) {
		err = read_begin_once(box, row_out);
		if (err == STORE_CHANGED)
			err = mailbox_refresh(box, 0);
		else if (!account_should_retry(box->acct, err, &tries))
			return err;
		else
			err = STORE_OK;
		if (err != STORE_OK)
			return err;
	}
	return STORE_BUSY;
}

void
mailbox_read_end(struct mailbox *box, struct index_mailbox *row)
{
	index_mailbox_clear(row);
	account_read_end(box->acct);
}

enum store_err
mailbox_keywords_read(struct mailbox *box)
{
	struct index_mailbox row;
	enum store_err err = mailbox_read_begin(box, &row);

	if (err == STORE_OK)
		mailbox_read_end(box, &row);
	return err;
}

bool
mailbox_is_same(const struct mailbox *box, const struct sync_box *sb)
{
	return sb->row.uidvalidity == box->facts.uidvalidity &&
	       strcmp(sb->row.mailbox_id, box->facts.id) == 0;
}

/* Names begin with the second, by maildir(5); what is long ago or in the future is no time. */
static int64_t
saved_s(const char *name)
{
	int64_t when = 0;

	while (*name >= '0' && *name <= '9' && when < MAILBOX_SAVED_MAX_S)
		when = when * 10 + (*name++ - '0');
	return *name == '.' && when >= MAILBOX_SAVED_MIN_S && when < MAILBOX_SAVED_MAX_S ? when : 0;
}

struct message
mailbox_present(const struct mailbox *box, const struct index_message *m)
{
	struct message out = {
		.seq = uidset_rank(&box->view, m->uid),
		.uid = m->uid,
		.flags = m->flags,
		.keywords = m->keywords,
		.modseq = m->modseq,
		.internaldate_s = m->internaldate_s,
		.size_bytes = m->size,
		.disk_bytes = m->disk_size,
		.saved_s = saved_s(m->name),
	};

	if (uidset_contains(&box->recent, m->uid))
		out.flags |= MESSAGE_RECENT;
	if (box->keywords_moved) {
		out.keywords = (struct keyword_set){ 0 };
		for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX; i++) {
			if (keyword_set_has(&m->keywords, i))
				keyword_set_add(&out.keywords, box->keyword_map[i]);
		}
	}
	return out;
}

/* --- sync -------------------------------------------------------------------------------------- */

static void
changes_reset(struct mailbox_changes *c)
{
	c->expunged_count = c->changed_count = 0;
	c->exists_changed = c->recent_changed = c->keywords_changed = c->more = false;
	uidset_clear(&c->expunged_uids);
	uidset_clear(&c->arrived);
}

void
mailbox_changes_free(struct mailbox_changes *c)
{
	free(c->expunged_seqs);
	free(c->changed);
	uidset_free(&c->expunged_uids);
	uidset_free(&c->arrived);
	*c = (struct mailbox_changes){ 0 };
}

static void
note_expunged(struct mailbox *box, const struct uidset *gone, struct mailbox_changes *c)
{
	uint32_t count = uidset_count(gone);

	c->expunged_seqs = mem_realloc_array(c->expunged_seqs, count + 1, sizeof(uint32_t));
	for (uint32_t n = count; n > 0; n--)
		c->expunged_seqs[c->expunged_count++] =
		    uidset_rank(&box->view, uidset_nth(gone, n));
	uidset_copy(&c->expunged_uids, gone);
}

/* The view becomes what the mailbox holds now, as far as this session may hear of it. */
static enum store_err
take_view(struct mailbox *box, const struct index_mailbox *row, bool allow_expunge,
    struct mailbox_changes *c)
{
	struct uidset now = { 0 }, gone = { 0 };
	enum store_err err = index_uids(box->acct->ix, row->id, &now);

	if (err != STORE_OK)
		return err;
	uidset_copy(&c->arrived, &now);
	uidset_subtract(&c->arrived, &box->view);
	/* What turns up among older UIDs (restored behind our back, with the index gone) would move the others: this
	 * session does not get to see it. */
	if (box->uidnext_seen > 1)
		uidset_remove_range(&c->arrived, 1, box->uidnext_seen - 1);
	box->has_held = (box->hold & MAILBOX_HOLD_ARRIVALS) != 0 && !uidset_is_empty(&c->arrived);
	if (box->has_held)
		uidset_clear(&c->arrived);
	uidset_copy(&gone, &box->view);
	uidset_subtract(&gone, &now);
	box->has_hidden_expunges = !allow_expunge && !uidset_is_empty(&gone);
	if (allow_expunge && !uidset_is_empty(&gone)) {
		note_expunged(box, &gone, c);
		uidset_subtract(&box->view, &gone);
	}
	uidset_union(&box->view, &c->arrived);
	c->exists_changed = !uidset_is_empty(&c->arrived);
	if (row->uidnext > box->uidnext_seen && !box->has_held)
		box->uidnext_seen = row->uidnext;
	uidset_free(&now);
	uidset_free(&gone);
	return STORE_OK;
}

static void
take_recent(struct mailbox *box, const struct index_mailbox *row, struct mailbox_changes *c)
{
	uint32_t before = uidset_count(&box->recent);

	if (claims_none(box)) { /* recent for nobody yet */
		uidset_clear(&box->claimed);
		if (row->recent_uid < row->uidnext)
			uidset_add_range(&box->claimed, row->recent_uid, row->uidnext - 1);
	}
	uidset_copy(&box->recent, &box->claimed);
	uidset_intersect(&box->recent, &box->view);
	c->recent = uidset_count(&box->recent);
	c->recent_changed = c->recent != before;
}

static bool
is_own(const struct mailbox *box, uint64_t modseq)
{
	for (size_t i = 0; i < box->own_count; i++) {
		if (box->own_modseqs[i] == modseq)
			return true;
	}
	return false;
}

static void
note_change(struct mailbox *box, const struct index_message *m, struct mailbox_changes *c)
{
	struct message shown = mailbox_present(box, m);

	if (shown.seq == 0 || uidset_contains(&c->arrived, m->uid))
		return;
	if ((box->hold & MAILBOX_HOLD_FLAGS) != 0 && !is_own(box, shown.modseq))
		return;
	c->changed[c->changed_count++] = (struct mailbox_change){
		.seq = shown.seq,
		.uid = shown.uid,
		.modseq = shown.modseq,
		.flags = shown.flags,
		.own = is_own(box, shown.modseq),
		.keywords = shown.keywords,
	};
}

static enum store_err
take_changes(struct mailbox *box, const struct index_mailbox *row, struct mailbox_changes *c)
{
	struct index_message *rows = mem_alloc(MAILBOX_SLICE_ROWS * sizeof(*rows));
	enum store_err err;
	size_t n, room = 0;

	do {
		if (c->changed_count + MAILBOX_SLICE_ROWS > room) {
			room = 2 * room + MAILBOX_SLICE_ROWS;
			c->changed = mem_realloc_array(c->changed, room, sizeof(*c->changed));
		}
		err = index_changed(box->acct->ix, row->id, box->told_modseq, box->told_uid, rows,
		    MAILBOX_SLICE_ROWS, &n);
		for (size_t i = 0; i < n && err == STORE_OK; i++)
			note_change(box, &rows[i], c);
		if (n > 0) {
			box->told_modseq = rows[n - 1].modseq;
			box->told_uid = rows[n - 1].uid;
		}
		c->more = n == MAILBOX_SLICE_ROWS;
	} while (err == STORE_OK && c->more &&
		 c->changed_count + MAILBOX_SLICE_ROWS <= MAILBOX_CHANGES_MAX);
	if (err == STORE_OK && !c->more) {
		box->told_modseq = row->modseq;
		box->told_uid = UINT32_MAX;
		box->own_count = 0;
	}
	free(rows);
	return err;
}

static void
take_facts(struct mailbox *box, const struct index_mailbox *row)
{
	struct mailbox_facts *f = &box->facts;

	f->messages = uidset_count(&box->view);
	f->recent = uidset_count(&box->recent);
	f->uidnext = row->uidnext;
	f->uidvalidity = row->uidvalidity;
	f->highestmodseq = row->modseq;
	if (!box->has_hidden_expunges && box->hold == 0)
		f->told_modseq = row->modseq;
	box->lost_from = row->lost_from;
	box->lost_below = row->lost_below;
	f->unseen = (uint32_t)row->unseen;
	memcpy(f->id, row->mailbox_id, sizeof(f->id));
}

static enum store_err
take_row(struct mailbox *box, const struct index_mailbox *row, bool allow_expunge,
    struct mailbox_changes *c)
{
	bool same = row->modseq == box->told_modseq && box->told_uid == UINT32_MAX &&
		    row->uidnext == box->facts.uidnext && box->facts.uidvalidity != 0;
	enum store_err err = STORE_OK;

	if (!same || (allow_expunge && box->has_hidden_expunges) ||
	    (box->has_held && (box->hold & MAILBOX_HOLD_ARRIVALS) == 0))
		err = take_view(box, row, allow_expunge, c);
	if (err != STORE_OK)
		return err;
	take_recent(box, row, c);
	if (!same)
		err = take_changes(box, row, c);
	take_facts(box, row);
	c->messages = box->facts.messages;
	c->keywords_changed = box->keyword_count > box->keywords_told;
	box->keywords_told = box->keyword_count;
	return err;
}

void
mailbox_hold(struct mailbox *box, unsigned hold)
{
	bool held = (box->hold & MAILBOX_HOLD_FLAGS) != 0, holds = (hold & MAILBOX_HOLD_FLAGS) != 0;

	if (!held && holds)
		box->held_modseq = box->told_modseq;
	if (held && !holds && box->held_modseq < box->told_modseq) {
		box->told_modseq = box->held_modseq;
		box->told_uid = UINT32_MAX;
	}
	box->hold = hold;
}

static void
forget_ahead(struct mailbox *box)
{
	free(box->ahead);
	box->ahead = NULL;
	box->ahead_count = box->ahead_at = 0;
}

enum store_err
mailbox_sync(struct mailbox *box, bool allow_expunge, struct mailbox_changes *c)
{
	enum store_err err = STORE_OK;
	int tries = 0;

	changes_reset(c);
	forget_ahead(box);
	for (int i = 0; i < MAILBOX_TRIES && err == STORE_OK; i++) {
		struct index_mailbox row;
		bool current;

		err = mailbox_read_begin(box, &row);
		if (err != STORE_OK)
			return err;
		current = sync_is_current(box->acct, &row, box->prefix) &&
			  (claims_none(box) || row.recent_uid >= row.uidnext);
		/* Somebody who changes the folder all the time must not keep us from answering. */
		if (current || i == MAILBOX_TRIES - 1) {
			err = take_row(box, &row, allow_expunge, c);
			mailbox_read_end(box, &row);
			if (!account_should_retry(box->acct, err, &tries))
				return err;
			err = STORE_OK;
			continue;
		}
		mailbox_read_end(box, &row);
		err = mailbox_refresh(box, 0);
	}
	return err;
}

enum store_err
mailbox_verify(struct mailbox *box)
{
	struct index_mailbox row;
	enum store_err err = mailbox_read_begin(box, &row);
	int64_t next;
	bool due;

	if (err != STORE_OK)
		return err;
	next = row.verified_s + SYNC_VERIFY_MIN_S + row.messages / SYNC_VERIFY_PER_S;
	due = row.verify_due && (time(NULL) >= next || time(NULL) < row.verified_s);
	mailbox_read_end(box, &row);
	return due ? mailbox_refresh(box, SYNC_VERIFY) : STORE_OK;
}

/* --- opening ----------------------------------------------------------------------------------- */

static enum store_err
first_unseen(struct mailbox *box)
{
	struct index_mailbox row;
	uint32_t uid = 0;
	enum store_err err = mailbox_read_begin(box, &row);

	if (err != STORE_OK)
		return err;
	err = index_first_unseen(box->acct->ix, row.id, &uid);
	mailbox_read_end(box, &row);
	box->facts.first_unseen_seq = uidset_rank(&box->view, uid);
	return err;
}

static enum store_err
open_box(
    struct account *acct, const char *name, bool read_only, bool aside, struct mailbox **box_out)
{
	struct mailbox *box = mem_zalloc(sizeof(*box));
	struct mailbox_changes changes = { 0 };
	struct buf prefix = { 0 };
	enum store_err err;

	box->acct = account_ref(acct);
	box->name = mailbox_canonical(name);
	box->read_only = read_only;
	box->aside = aside;
	box->told_uid = UINT32_MAX;
	box->told_modseq = UINT64_MAX >> 1; /* of what is there nothing is news */
	err = account_folder_prefix(acct, box->name, &prefix);
	box->prefix = buf_take(&prefix);
	box->path = mem_printf("%s/%s", acct->path, box->prefix);
	if (err == STORE_OK)
		err = mailbox_sync(box, true, &changes);
	if (err == STORE_OK && box->facts.unseen > 0)
		err = first_unseen(box);
	mailbox_changes_free(&changes);
	if (err != STORE_OK) {
		mailbox_close(box);
		return err;
	}
	*box_out = box;
	return STORE_OK;
}

enum store_err
mailbox_open(struct account *acct, const char *name, bool read_only, struct mailbox **box_out)
{
	crossing_finish_all(acct); /* what was moved to another account is not shown here again */
	return open_box(acct, name, read_only, false, box_out);
}

enum store_err
mailbox_open_aside(struct account *acct, const char *name, struct mailbox **box_out)
{
	return open_box(acct, name, false, true, box_out);
}

void
mailbox_close(struct mailbox *box)
{
	if (box == NULL)
		return;
	for (unsigned i = 0; i < box->keyword_count; i++)
		free(box->keywords[i]);
	free(box->keywords);
	uidset_free(&box->view);
	uidset_free(&box->claimed);
	uidset_free(&box->recent);
	free(box->own_modseqs);
	free(box->ahead);
	free(box->name);
	free(box->prefix);
	free(box->path);
	account_close(box->acct);
	free(box);
}

struct account *
mailbox_account(const struct mailbox *box)
{
	return box->acct;
}

const char *
mailbox_name(const struct mailbox *box)
{
	return box->name;
}

const char *
mailbox_path(const struct mailbox *box)
{
	return box->path;
}

bool
mailbox_is_read_only(const struct mailbox *box)
{
	return box->read_only;
}

void
mailbox_on_progress(
    struct mailbox *box, void (*cb)(void *arg, uint64_t done, uint64_t goal), void *arg)
{
	box->progress = cb;
	box->progress_arg = arg;
}

void
mailbox_facts(struct mailbox *box, struct mailbox_facts *out)
{
	*out = box->facts;
}

const struct uidset *
mailbox_view(const struct mailbox *box)
{
	return &box->view;
}

const struct uidset *
mailbox_recent(const struct mailbox *box)
{
	return &box->recent;
}

uint32_t
mailbox_seq_to_uid(const struct mailbox *box, uint32_t seq)
{
	return uidset_nth(&box->view, seq);
}

uint32_t
mailbox_uid_to_seq(const struct mailbox *box, uint32_t uid)
{
	return uidset_rank(&box->view, uid);
}

/* Adds the members with the numbers first … last. */
static void
add_members(const struct uidset *view, uint32_t first, uint32_t last, struct uidset *out)
{
	uint32_t uid = uidset_nth(view, first), end = uidset_nth(view, last);

	for (size_t i = 0; i < view->run_count; i++) {
		const struct uid_run *r = &view->runs[i];

		if (r->last < uid)
			continue;
		if (r->first > end)
			break;
		uidset_add_range(
		    out, r->first > uid ? r->first : uid, r->last < end ? r->last : end);
	}
}

bool
mailbox_seqs_to_uids(const struct mailbox *box, const struct uidset *seqs, struct uidset *uids)
{
	uint32_t count = uidset_count(&box->view);
	bool all = true;

	uidset_clear(uids);
	for (size_t i = 0; i < seqs->run_count; i++) {
		uint32_t first = seqs->runs[i].first, last = seqs->runs[i].last;

		if (last > count) {
			all = false;
			last = count;
		}
		if (first == last)
			uidset_add(uids, uidset_nth(&box->view, first));
		else if (first < last)
			add_members(&box->view, first, last, uids);
	}
	return all;
}

/* --- reading ----------------------------------------------------------------------------------- */

/* The next slice of messages of uids with a UID above `after`. */
static enum store_err
read_slice(struct mailbox *box, const struct uidset *uids, uint32_t after,
    struct index_message *rows, size_t max, size_t *n_out)
{
	struct index_mailbox row;
	enum store_err err = STORE_OK;
	int tries = 0;

	do {
		err = mailbox_read_begin(box, &row);
		if (err != STORE_OK)
			return err;
		err = index_messages(box->acct->ix, row.id, uids, after, rows, max, n_out);
		mailbox_read_end(box, &row);
	} while (account_should_retry(box->acct, err, &tries));
	return err;
}

/* A message whose name does not tell its CRLF size is read once to find it. */
static uint64_t
measure_message(struct mailbox *box, uint32_t uid)
{
	struct mime_crlf_count count = { 0 };
	char *bytes;
	ssize_t n;
	int fd;

	if (mailbox_message_open(box, uid, &fd) != STORE_OK)
		return 0;
	bytes = mem_alloc(64 * 1024);
	while ((n = read(fd, bytes, 64 * 1024)) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0)
			mime_crlf_count(&count, bytes, (size_t)n);
	}
	free(bytes);
	close(fd);
	return count.virtual_size;
}

static enum store_err
keep_sizes(struct mailbox *box, const struct index_message *rows, size_t n)
{
	struct index_mailbox row = { 0 };
	enum store_err err = account_write_begin(box->acct);

	if (err != STORE_OK)
		return err;
	err = index_mailbox_get(box->acct->ix, box->name, &row);
	if (err == STORE_OK && row.uidvalidity != box->facts.uidvalidity)
		err = STORE_NOT_FOUND;
	for (size_t i = 0; i < n && err == STORE_OK; i++) {
		struct index_message now, sized;

		err = index_message_get(box->acct->ix, row.id, rows[i].uid, &now);
		if (err == STORE_OK && now.size == INDEX_SIZE_UNKNOWN) {
			sized = now;
			sized.size = rows[i].size;
			err = index_message_change(box->acct->ix, &row, &now, &sized);
		}
		if (err == STORE_NOT_FOUND)
			err = STORE_OK;
	}
	if (err == STORE_OK)
		err = index_mailbox_put(box->acct->ix, &row);
	index_mailbox_clear(&row);
	return account_write_end(box->acct, err);
}

/* Fills in unknown sizes of a slice and keeps them.  That they cannot be kept (disk full) is no reason not to answer. */
static void
measure_slice(struct mailbox *box, struct index_message *rows, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (rows[i].size == INDEX_SIZE_UNKNOWN) {
			rows[i].size = measure_message(box, rows[i].uid);
			any = true;
		}
	}
	if (any)
		keep_sizes(box, rows, n);
}

static enum store_err
measure_all(struct mailbox *box)
{
	struct index_message *rows;
	struct index_mailbox row;
	struct uidset uids = { 0 };
	enum store_err err = mailbox_read_begin(box, &row);
	uint32_t after = 0;
	size_t n;

	if (err != STORE_OK)
		return err;
	err = row.unsized > 0 ? index_unsized(box->acct->ix, row.id, &uids) : STORE_OK;
	mailbox_read_end(box, &row);
	rows = mem_alloc(MAILBOX_SLICE_ROWS * sizeof(*rows));
	do {
		n = 0;
		if (err == STORE_OK && !uidset_is_empty(&uids))
			err = read_slice(box, &uids, after, rows, MAILBOX_SLICE_ROWS, &n);
		measure_slice(box, rows, n);
		if (n > 0)
			after = rows[n - 1].uid;
	} while (err == STORE_OK && n > 0);
	free(rows);
	uidset_free(&uids);
	return err;
}

enum store_err
mailbox_measure(struct account *acct, const char *name)
{
	struct mailbox *box;
	enum store_err err = mailbox_open(acct, name, true, &box);

	if (err == STORE_OK) {
		err = measure_all(box);
		mailbox_close(box);
	}
	return err;
}

static const struct index_message *
name_ahead(struct mailbox *box, uint32_t uid)
{
	while (box->ahead_at < box->ahead_count && box->ahead[box->ahead_at].uid < uid)
		box->ahead_at++;
	return box->ahead_at < box->ahead_count && box->ahead[box->ahead_at].uid == uid
		   ? &box->ahead[box->ahead_at]
		   : NULL;
}

/* A message that was asked for alone is probably opened next.  Takes `row`. */
static void
keep_ahead(struct mailbox *box, struct index_message *row)
{
	if (name_ahead(box, row->uid) != NULL) {
		free(row);
		return;
	}
	forget_ahead(box);
	box->ahead = row;
	box->ahead_count = 1;
}

enum store_err
mailbox_messages(struct mailbox *box, const struct uidset *uids,
    bool (*cb)(void *arg, const struct message *m), void *arg)
{
	size_t max =
	    uidset_count(uids) < MAILBOX_SLICE_ROWS ? uidset_count(uids) : MAILBOX_SLICE_ROWS;
	struct index_message *rows;
	struct uidset wanted = { 0 };
	enum store_err err = STORE_OK;
	uint32_t after = 0;
	size_t n = 0;

	uidset_copy(&wanted, uids);
	uidset_intersect(&wanted, &box->view);
	rows = mem_alloc((max + 1) * sizeof(*rows));
	while (!uidset_is_empty(&wanted)) {
		err = read_slice(box, &wanted, after, rows, max, &n);
		if (err != STORE_OK || n == 0)
			break;
		measure_slice(box, rows, n);
		after = rows[n - 1].uid;
		for (size_t i = 0; i < n; i++) {
			struct message m = mailbox_present(box, &rows[i]);

			if (!cb(arg, &m))
				goto out;
		}
		if (n < max || after == uidset_last(&wanted))
			break;
	}
out:
	if (max == 1 && n == 1 && err == STORE_OK)
		keep_ahead(box, rows);
	else
		free(rows);
	uidset_free(&wanted);
	return err;
}

static bool
take_one(void *arg, const struct message *m)
{
	*(struct message *)arg = *m;
	return false;
}

enum store_err
mailbox_message(struct mailbox *box, uint32_t uid, struct message *out)
{
	struct uidset one = { 0 };
	enum store_err err;

	*out = (struct message){ 0 };
	uidset_add(&one, uid);
	err = mailbox_messages(box, &one, take_one, out);
	uidset_free(&one);
	return err == STORE_OK && out->uid == 0 ? STORE_NOT_FOUND : err;
}

/* The message's row, and with it those that follow if the message follows the one opened last. */
static enum store_err
read_ahead(struct mailbox *box, uint32_t uid)
{
	bool in_turn = uidset_next(&box->view, box->opened_uid) == uid;
	size_t max = in_turn ? MAILBOX_AHEAD_NAMES : 1;
	enum store_err err;

	forget_ahead(box);
	box->ahead = mem_realloc_array(NULL, max, sizeof(*box->ahead));
	err = read_slice(box, &box->view, uid - 1, box->ahead, max, &box->ahead_count);
	if (err != STORE_OK)
		forget_ahead(box);
	return err == STORE_OK && name_ahead(box, uid) == NULL ? STORE_NOT_FOUND : err;
}

/* STORE_NOT_FOUND: the file has another name by now, or is gone. */
static enum store_err
open_ahead(struct mailbox *box, uint32_t uid, int *fd_out)
{
	const struct index_message *m = name_ahead(box, uid);
	enum store_err err;
	char *path;

	if (m == NULL)
		return STORE_NOT_FOUND;
	path = mem_printf("%scur/%s", box->prefix, m->name);
	err = dir_open_file(box->acct->home->fd, path, O_RDONLY, 0, fd_out);
	free(path);
	if (err == STORE_OK)
		box->opened_uid = uid;
	return err;
}

enum store_err
mailbox_message_open(struct mailbox *box, uint32_t uid, int *fd_out)
{
	return mailbox_message_open_named(box, uid, fd_out, NULL);
}

enum store_err
mailbox_message_open_named(struct mailbox *box, uint32_t uid, int *fd_out, struct buf *name_out)
{
	enum store_err err;

	if (!uidset_contains(&box->view, uid))
		return STORE_NOT_FOUND;
	err = open_ahead(box, uid, fd_out);
	for (int i = 0; err == STORE_NOT_FOUND && i < MAILBOX_TRIES; i++) {
		/* Renamed by somebody: the folder knows. */
		if (i > 0 && (err = mailbox_refresh(box, i == 1 ? 0 : SYNC_VERIFY)) != STORE_OK)
			break;
		err = read_ahead(box, uid);
		if (err != STORE_OK)
			break;
		err = open_ahead(box, uid, fd_out);
	}
	if (err == STORE_OK && name_out != NULL)
		buf_adds(name_out, name_ahead(box, uid)->name);
	return err;
}

/* --- finding ----------------------------------------------------------------------------------- */

static bool
asks_rows(const struct mailbox_query *q)
{
	static const struct keyword_set NONE = { { 0 } };

	return q->has_since || q->has_before || q->larger_than > 0 || q->has_smaller ||
	       q->smaller_than > 0 || q->modseq_min > 0 ||
	       memcmp(&q->keywords_set, &NONE, sizeof(NONE)) != 0 ||
	       memcmp(&q->keywords_clear, &NONE, sizeof(NONE)) != 0;
}

static bool
keywords_match(const struct mailbox_query *q, const struct keyword_set *k)
{
	for (size_t i = 0; i < ARRAY_LEN(k->bits); i++) {
		if ((k->bits[i] & q->keywords_set.bits[i]) != q->keywords_set.bits[i] ||
		    (k->bits[i] & q->keywords_clear.bits[i]) != 0)
			return false;
	}
	return true;
}

static bool
matches(const struct mailbox_query *q, uint64_t modseq_min, const struct message *m)
{
	return (!q->has_since || m->internaldate_s >= q->since_s) &&
	       (!q->has_before || m->internaldate_s < q->before_s) &&
	       (q->larger_than == 0 || m->size_bytes > q->larger_than) &&
	       ((q->smaller_than == 0 && !q->has_smaller) || m->size_bytes < q->smaller_than) &&
	       m->modseq >= modseq_min && keywords_match(q, &m->keywords);
}

/* Nobody knows what has changed since a mod-sequence of a lost past, so for such a one everything may have. */
static uint64_t
least_modseq(const struct mailbox *box, uint64_t min)
{
	return min > box->lost_from + 1 && min <= box->lost_below ? 1 : min;
}

struct finding {
	const struct mailbox_query *query;
	uint64_t modseq_min;
	struct uidset *uids;
	uint64_t highest_modseq;
};

static bool
on_candidate(void *arg, const struct message *m)
{
	struct finding *f = arg;

	if (matches(f->query, f->modseq_min, m)) {
		uidset_add(f->uids, m->uid);
		if (m->modseq > f->highest_modseq)
			f->highest_modseq = m->modseq;
	}
	return true;
}

/* Flags are asked of an index of their own: no row is read. */
static enum store_err
narrow_by_flags(struct mailbox *box, const struct mailbox_query *q, struct uidset *uids)
{
	unsigned set = q->flags_set & MESSAGE_FLAGS_ALL, clear = q->flags_clear & MESSAGE_FLAGS_ALL;
	struct uidset with = { 0 };
	struct index_mailbox row;
	enum store_err err;

	if ((q->flags_set & MESSAGE_RECENT) != 0)
		uidset_intersect(uids, &box->recent);
	if ((q->flags_clear & MESSAGE_RECENT) != 0)
		uidset_subtract(uids, &box->recent);
	if ((set & clear) != 0)
		uidset_clear(uids);
	if ((set | clear) == 0 || uidset_is_empty(uids))
		return STORE_OK;
	err = mailbox_read_begin(box, &row);
	if (err != STORE_OK)
		return err;
	err = index_with_flags(box->acct->ix, row.id, set | clear, set, &with);
	mailbox_read_end(box, &row);
	uidset_intersect(uids, &with);
	uidset_free(&with);
	return err;
}

static int
uid_order(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The next messages changed after (*modseq, *uid), which moves on.  One that changes meanwhile comes again, later. */
static enum store_err
changed_slice(
    struct mailbox *box, uint64_t *modseq, uint32_t *uid, struct index_message *rows, size_t *n_out)
{
	struct index_mailbox row;
	enum store_err err;
	int tries = 0;

	do {
		err = mailbox_read_begin(box, &row);
		if (err != STORE_OK)
			return err;
		err = index_changed(
		    box->acct->ix, row.id, *modseq, *uid, rows, MAILBOX_SLICE_ROWS, n_out);
		mailbox_read_end(box, &row);
	} while (account_should_retry(box->acct, err, &tries));
	if (err == STORE_OK && *n_out > 0) {
		*modseq = rows[*n_out - 1].modseq;
		*uid = rows[*n_out - 1].uid;
	}
	return err;
}

/* mod-sequences too have an index of their own: what has not changed is not looked at. */
static enum store_err
narrow_by_modseq(struct mailbox *box, uint64_t min, struct uidset *uids)
{
	struct index_message *rows;
	struct uidset changed = { 0 };
	uint64_t modseq = min - 1;
	uint32_t uid = UINT32_MAX, *all = NULL;
	size_t count = 0, n = MAILBOX_SLICE_ROWS;
	enum store_err err = STORE_OK;

	if (min <= 1 || uidset_is_empty(uids))
		return STORE_OK;
	rows = mem_alloc(MAILBOX_SLICE_ROWS * sizeof(*rows));
	while (err == STORE_OK && n == MAILBOX_SLICE_ROWS) {
		err = changed_slice(box, &modseq, &uid, rows, &n);
		all = mem_realloc_array(all, count + MAILBOX_SLICE_ROWS, sizeof(*all));
		for (size_t i = 0; err == STORE_OK && i < n; i++)
			all[count++] = rows[i].uid;
	}
	qsort(all, count, sizeof(*all), uid_order);
	for (size_t i = 0; i < count; i++)
		uidset_add(&changed, all[i]);
	uidset_intersect(uids, &changed);
	uidset_free(&changed);
	free(all);
	free(rows);
	return err;
}

enum store_err
mailbox_find(struct mailbox *box, const struct mailbox_query *query, struct uidset *uids_out,
    uint64_t *highest_modseq_out)
{
	struct uidset candidates = { 0 };
	struct finding f = {
		.query = query, .modseq_min = least_modseq(box, query->modseq_min), .uids = uids_out
	};
	enum store_err err;

	uidset_copy(&candidates, &box->view);
	if (query->within != NULL)
		uidset_intersect(&candidates, query->within);
	uidset_clear(uids_out);
	err = narrow_by_flags(box, query, &candidates);
	if (err == STORE_OK)
		err = narrow_by_modseq(box, f.modseq_min, &candidates);
	if (err == STORE_OK && (asks_rows(query) || highest_modseq_out != NULL))
		err = mailbox_messages(box, &candidates, on_candidate, &f);
	else
		uidset_copy(uids_out, &candidates);
	if (highest_modseq_out != NULL)
		*highest_modseq_out = f.highest_modseq;
	uidset_free(&candidates);
	return err;
}
