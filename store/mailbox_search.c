#include "store/mailbox_search.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/casefold.h"
#include "store/mailbox_internal.h"
#include "store/mime.h"
#include "store/search_fuzzy.h"
#include "store/search_index.h"

#define LARGE_EXTRA_BYTES (UINT64_C(64) << 20) /* a slice may go beyond the limit */
#define FREE_FLOOR_TIMES  2 /* of the store's floor: mail goes before its index */

static struct search_index_box
index_box(const struct mailbox *box)
{
	return (struct search_index_box){ box->facts.id, box->facts.uidvalidity };
}

/* --- the account's open search.db, under search_mutex ------------------------------------------ */

static void
forget_open(struct account *acct)
{
	search_index_close(acct->search);
	acct->search = NULL;
}

/* Nobody may go on with it; a writer who has the lock just now will notice. */
static void
remove_torn(struct account *acct)
{
	int lock = search_index_lock(acct->index_dir);

	if (lock < 0)
		return;
	search_index_remove(acct->index_dir);
	close(lock);
}

/* A damaged one is set aside, unless a writer is at it, who will. */
static void
give_up(struct account *acct, enum store_err err)
{
	int lock;

	forget_open(acct);
	if (err != STORE_CORRUPT || (lock = search_index_lock(acct->index_dir)) < 0)
		return;
	search_index_set_aside(acct->index_dir, acct->st->log);
	close(lock);
}

/* False: there is none to be asked. */
static bool
open_to_read(struct account *acct)
{
	enum search_index_state state = SEARCH_INDEX_CURRENT;
	enum store_err err;

	if (acct->search != NULL)
		state = search_index_look(acct->search);
	if (state != SEARCH_INDEX_CURRENT)
		forget_open(acct);
	if (state == SEARCH_INDEX_TORN) {
		remove_torn(acct);
		return false;
	}
	if (acct->search == NULL) {
		err = search_index_open(acct->index_dir, acct->st->log, &acct->search);
		if (err != STORE_OK) {
			acct->search = NULL;
			give_up(acct, err);
			return false;
		}
	}
	return true;
}

/* --- proposals --------------------------------------------------------------------------------- */

static unsigned
parts_of(enum search_where where)
{
	switch (where) {
	case SEARCH_HEADER:
	case SEARCH_ADDRESSES: return SEARCH_INDEX_HEAD;
	case SEARCH_BODY: return SEARCH_INDEX_BODY;
	case SEARCH_TEXT: break;
	}
	return SEARCH_INDEX_HEAD | SEARCH_INDEX_BODY;
}

/* Texts with a piece of the word; STORE_INVALID: it has none that could be looked for. */
static enum store_err
find_word(struct search_index *ix, unsigned parts, const struct fuzzy *f, size_t word,
    struct uidset *docs)
{
	enum store_err err = STORE_INVALID;
	struct str piece;

	for (size_t i = 0; fuzzy_piece(f, word, i, &piece); i++) {
		err = search_index_find(ix, parts, piece, docs);
		if (err != STORE_OK)
			break;
	}
	return err;
}

/* A message must have all words.  STORE_INVALID: nothing can be said. */
static enum store_err
narrow_fuzzily(struct search_index *ix, const struct search_index_box *box,
    const struct search_key *key, struct uidset *uids, bool *whole_out)
{
	struct fuzzy *f = fuzzy_new(key->text);
	struct uidset docs = { 0 };
	enum store_err err = STORE_OK;
	bool said = false;

	for (size_t i = 0; f != NULL && i < fuzzy_word_count(f) && err == STORE_OK; i++) {
		uidset_clear(&docs);
		err = find_word(ix, parts_of(key->where), f, i, &docs);
		if (err == STORE_OK)
			err = search_index_keep(ix, box, &docs, uids, whole_out);
		said |= err == STORE_OK;
		err = err == STORE_INVALID ? STORE_OK : err;
	}
	uidset_free(&docs);
	fuzzy_free(f);
	return err == STORE_OK && !said ? STORE_INVALID : err;
}

static enum store_err
narrow_exactly(struct search_index *ix, const struct search_index_box *box,
    const struct search_key *key, struct uidset *uids, bool *whole_out)
{
	struct buf text = { 0 };
	struct uidset docs = { 0 };
	enum store_err err;

	casefold_all(&text, key->text);
	err =
	    search_index_find(ix, parts_of(key->where), (struct str){ text.data, text.len }, &docs);
	if (err == STORE_OK)
		err = search_index_keep(ix, box, &docs, uids, whole_out);
	uidset_free(&docs);
	buf_free(&text);
	return err;
}

/* A fuzzy key without a word is an exact one (search_text_new()). */
static bool
has_words(const struct search_key *key)
{
	struct fuzzy *f = key->fuzzy ? fuzzy_new(key->text) : NULL;
	bool has = f != NULL;

	fuzzy_free(f);
	return has;
}

/* *whole_out: all of the messages are known, or that would be of no use. */
static enum store_err
narrow_in(struct mailbox *box, const struct search_key *key, struct uidset *uids, bool *whole_out)
{
	struct search_index *ix = box->acct->search;
	struct search_index_box at = index_box(box);
	struct uidset left = { 0 };
	enum store_err err = search_index_begin(ix);

	*whole_out = true;
	if (err != STORE_OK)
		return err;
	uidset_copy(&left, uids);
	err = has_words(key) ? narrow_fuzzily(ix, &at, key, &left, whole_out)
			     : narrow_exactly(ix, &at, key, &left, whole_out);
	search_index_end(ix);
	if (err == STORE_OK)
		uidset_swap(uids, &left);
	uidset_free(&left);
	return err;
}

/* Where index.db has the field, nothing is gained by a search.db that is not there. */
static bool
needs_files(const struct search_key *key)
{
	return !search_fields_keep(key->header);
}

static bool
narrow(void *arg, const struct search_key *key, struct uidset *uids)
{
	struct mailbox *box = arg;
	struct account *acct = box->acct;
	enum store_err err = STORE_NOT_FOUND;
	bool whole = false;

	if (acct->st->search == STORE_SEARCH_NEVER || key->text.len == 0 || uidset_is_empty(uids))
		return false;
	pthread_mutex_lock(&acct->search_mutex);
	if (open_to_read(acct)) {
		err = narrow_in(box, key, uids, &whole);
		if (err != STORE_OK && err != STORE_INVALID)
			give_up(acct, err);
	}
	pthread_mutex_unlock(&acct->search_mutex);
	if (!whole && needs_files(key) && acct->st->search_wanted != NULL)
		acct->st->search_wanted(acct->st->search_wanted_arg, acct, box->name);
	return err == STORE_OK;
}

struct search_candidates
mailbox_candidates(struct mailbox *box)
{
	return (struct search_candidates){ box, narrow };
}

void
store_on_search_wanted(
    struct store *st, void (*cb)(void *arg, struct account *acct, const char *mailbox), void *arg)
{
	st->search_wanted = cb;
	st->search_wanted_arg = arg;
}

/* --- building ---------------------------------------------------------------------------------- */

bool
account_search_is_kept(const struct account *acct)
{
	char *path;
	bool there;

	if (acct->st->search != STORE_SEARCH_SEARCHED)
		return acct->st->search == STORE_SEARCH_ALWAYS;
	path = mem_printf("%s/search.db", acct->index_dir);
	there = access(path, F_OK) == 0;
	free(path);
	return there;
}

/* Room for more? */
static bool
has_room(const struct account *acct)
{
	struct statvfs vfs;

	if (acct->st->search_max_bytes != 0 &&
	    search_index_bytes(acct->index_dir) >= acct->st->search_max_bytes)
		return false;
	return acct->st->free_floor_bytes == 0 || statvfs(acct->index_dir, &vfs) != 0 ||
	       (uint64_t)vfs.f_bavail * vfs.f_frsize >=
		   FREE_FLOOR_TIMES * acct->st->free_floor_bytes;
}

/* One message; what cannot be read or is too large is always proposed. */
static enum store_err
add_message(struct search_index *ix, struct mailbox *box, uint32_t uid, struct search_texts *texts)
{
	struct search_index_box at = index_box(box);
	struct mime_message *m;
	enum store_err err;
	bool whole;
	int fd;

	err = mailbox_message_open(box, uid, &fd);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err; /* expunged meanwhile */
	m = mime_parse_fd(fd);
	whole = m != NULL && search_texts_collect(texts, SEARCH_INDEX_TEXT_MAX_BYTES, fd, m);
	mime_message_free(m);
	close(fd);
	return search_index_add(ix, &at, uid, whole ? texts : NULL);
}

struct build {
	struct account *acct;
	struct mailbox *box;
	struct search_index *ix;
	int64_t until_ms;
	bool done;
};

static enum store_err
add_missing(struct build *b, const struct uidset *missing)
{
	struct search_texts texts = { 0 };
	enum store_err err = STORE_OK;
	uint32_t uid = 0;

	for (int i = 0; i < MAILBOX_INDEX_SLICE_MESSAGES && err == STORE_OK; i++) {
		uid = uidset_next(missing, uid);
		if (uid == 0 || (i > 0 && clock_ms() >= b->until_ms))
			break;
		err = add_message(b->ix, b->box, uid, &texts);
	}
	b->done = uid == 0;
	search_texts_free(&texts);
	return err;
}

struct living {
	struct account *acct;
	enum store_err err;
};

/* A mailbox that index.db has.  One that it does not have yet is indexed anew, which costs little: its texts are there. */
static bool
lives(void *arg, const struct search_index_box *box)
{
	struct living *l = arg;

	if (l->err == STORE_OK)
		l->err = index_has_mailbox(l->acct->ix, box->mailbox_id, box->uidvalidity);
	if (l->err != STORE_NOT_FOUND)
		return true; /* also where we do not know */
	l->err = STORE_OK;
	return false;
}

static enum store_err
forget_gone(struct build *b, const struct uidset *gone)
{
	struct search_index_box at = index_box(b->box);
	struct living l = { .acct = b->acct };
	enum store_err err = search_index_forget(b->ix, &at, gone);

	if (err != STORE_OK || account_read_begin(b->acct) != STORE_OK)
		return err;
	err = search_index_forget_boxes(b->ix, lives, &l);
	account_read_end(b->acct);
	return err;
}

/* The messages that search.db lacks and those it has too many. */
static enum store_err
compare(struct build *b, struct uidset *missing, struct uidset *gone)
{
	struct search_index_box at = index_box(b->box);
	enum store_err err = search_index_begin(b->ix);

	if (err != STORE_OK)
		return err;
	err = search_index_known(b->ix, &at, gone);
	search_index_end(b->ix);
	uidset_copy(missing, &b->box->view);
	/* UIDs that have not been given: the tree was put back to what it once was, and gives them again. */
	if (uidset_last(gone) >= b->box->facts.uidnext)
		return err;
	uidset_subtract(missing, gone);
	uidset_subtract(gone, &b->box->view);
	return err;
}

static enum store_err
write_slice(struct build *b, const struct uidset *missing, const struct uidset *gone)
{
	enum store_err err = search_index_begin_write(b->ix);

	if (err != STORE_OK)
		return err;
	if (!uidset_is_empty(gone))
		err = forget_gone(b, gone);
	if (err == STORE_OK)
		err = add_missing(b, missing);
	if (err == STORE_OK)
		return search_index_commit(b->ix);
	search_index_rollback(b->ix);
	return err;
}

static enum store_err
build_slice(struct build *b)
{
	struct uidset missing = { 0 }, gone = { 0 };
	enum store_err err = compare(b, &missing, &gone);

	if (err == STORE_OK && !uidset_is_empty(&missing) && !has_room(b->acct)) {
		if (!atomic_exchange(&b->acct->search_full_told, true))
			log_info(b->acct->st->log, "search-index-full", "account=%s missing=%u",
			    b->acct->address, uidset_count(&missing));
		uidset_clear(&missing);
	}
	b->done = uidset_is_empty(&missing) && uidset_is_empty(&gone);
	if (err == STORE_OK && !b->done)
		err = write_slice(b, &missing, &gone);
	if (err == STORE_OK && b->done && search_index_is_stale(b->ix, time(NULL))) {
		log_info(b->acct->st->log, "search-index-stale", "account=%s", b->acct->address);
		search_index_remove(b->acct->index_dir);
		b->done = false;
	}
	uidset_free(&missing);
	uidset_free(&gone);
	return err;
}

/* The file stays open from slice to slice: the last to close it would write its journal back. */
static enum store_err
build_locked(struct build *b)
{
	struct account *acct = b->acct;
	enum store_err err = STORE_OK;

	if (acct->building != NULL) {
		enum search_index_state state = search_index_look(acct->building);

		if (state != SEARCH_INDEX_CURRENT) {
			search_index_close(acct->building);
			acct->building = NULL;
		}
		if (state == SEARCH_INDEX_TORN)
			search_index_remove(acct->index_dir);
	}
	if (acct->building == NULL)
		err = search_index_open_to_write(acct->index_dir, acct->st->log, &acct->building);
	if (err == STORE_OK) {
		b->ix = acct->building;
		err = build_slice(b);
	} else {
		acct->building = NULL;
	}
	if (err == STORE_OK)
		return err;
	search_index_close(acct->building);
	acct->building = NULL;
	if (err == STORE_CORRUPT)
		search_index_set_aside(acct->index_dir, acct->st->log);
	return err;
}

enum store_err
account_search_build(struct account *acct, const char *mailbox, int budget_ms, bool *done_out)
{
	struct build b = { .acct = acct, .until_ms = clock_ms() + budget_ms, .done = true };
	enum store_err err;
	int lock;

	*done_out = true;
	if (acct->st->search == STORE_SEARCH_NEVER)
		return STORE_OK;
	err = mailbox_open(acct, mailbox, true, &b.box);
	if (err != STORE_OK)
		return err;
	lock = search_index_lock(acct->index_dir);
	if (lock < 0) {
		err = errno == EWOULDBLOCK ? STORE_BUSY : store_err_from_errno(errno);
	} else {
		pthread_mutex_lock(&acct->build_mutex);
		err = build_locked(&b);
		pthread_mutex_unlock(&acct->build_mutex);
		close(lock);
	}
	mailbox_close(b.box);
	*done_out = err == STORE_OK ? b.done : err != STORE_CORRUPT;
	return err;
}

static enum account_search
judge(struct account *acct, uint64_t bytes, bool whole)
{
	uint64_t max = acct->st->search_max_bytes;
	struct search_index *ix;
	enum account_search found = ACCOUNT_SEARCH_FINE;
	enum store_err err = search_index_open(acct->index_dir, acct->st->log, &ix);

	if (err == STORE_CORRUPT)
		return ACCOUNT_SEARCH_DAMAGED;
	if (err != STORE_OK)
		return ACCOUNT_SEARCH_NONE;
	if (whole && search_index_check(ix) == STORE_CORRUPT)
		found = ACCOUNT_SEARCH_DAMAGED;
	else if (max != 0 && bytes > max + LARGE_EXTRA_BYTES)
		found = ACCOUNT_SEARCH_LARGE;
	else if (search_index_is_stale(ix, time(NULL)))
		found = ACCOUNT_SEARCH_STALE;
	search_index_close(ix);
	return found;
}

enum account_search
account_search_check(struct account *acct, uint64_t most_bytes, uint64_t *bytes_out)
{
	enum account_search found;

	*bytes_out = search_index_bytes(acct->index_dir);
	found = judge(acct, *bytes_out, *bytes_out <= most_bytes);
	if (found != ACCOUNT_SEARCH_NONE && found != ACCOUNT_SEARCH_FINE)
		account_search_drop(acct);
	return found;
}

enum store_err
account_search_drop(struct account *acct)
{
	int lock = search_index_lock(acct->index_dir);

	if (lock < 0)
		return errno == EWOULDBLOCK ? STORE_BUSY : store_err_from_errno(errno);
	search_index_remove(acct->index_dir);
	close(lock);
	return STORE_OK;
}
