#include "admin/import_batch.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/dir.h"
#include "store/keywords.h"

#define KEYWORDS_MAX (MAILBOX_KEYWORDS_MAX - 16) /* some are left for people */

struct batched {
	struct import_row row;
	uint32_t wanted_uid;
	char unique[DIR_UNIQUE_MAX_BYTES];
};

struct import_batch {
	struct account *acct;
	struct import_record *record;
	const struct import_box *box;
	struct append *append; /* NULL: nothing is in it */
	struct batched *items; /* IMPORT_BATCH_MESSAGES */
	size_t count;
	uint64_t bytes;
	struct arena arena;           /* flags of the items */
	char *keywords[KEYWORDS_MAX]; /* that the mailbox has */
	size_t keyword_count;
	enum store_err err;
	struct import_batch_facts facts;
};

/* --- flags -------------------------------------------------------------------------------------- */

bool
import_keyword_is_usable(struct str keyword)
{
	return keyword.len > 0 && keyword.len <= MAILBOX_KEYWORD_MAX_BYTES &&
	       keyword_is_valid(keyword);
}

static int
by_word(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
import_flags(struct buf *out, unsigned flags, const struct str *keywords, size_t count)
{
	char **words = mem_alloc((count + 1) * sizeof(char *));
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (!import_keyword_is_usable(keywords[i]))
			continue;
		words[n] = mem_strndup(keywords[i].p, keywords[i].len);
		ascii_lower_all(words[n], keywords[i].len);
		n++;
	}
	qsort(words, n, sizeof(char *), by_word);
	buf_printf(out, "%u", flags & MESSAGE_FLAGS_ALL);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(words[i], words[i - 1]) != 0)
			buf_printf(out, " %s", words[i]);
	for (size_t i = 0; i < n; i++)
		free(words[i]);
	free(words);
}

/* --- keywords ----------------------------------------------------------------------------------- */

static bool
knows_keyword(const struct import_batch *b, struct str name)
{
	for (size_t i = 0; i < b->keyword_count; i++)
		if (str_eq_nocase(str_from(b->keywords[i]), name))
			return true;
	return false;
}

/* A mailbox takes so many; the message matters more than its label. */
static bool
take_keyword(struct import_batch *b, struct str name)
{
	if (!import_keyword_is_usable(name))
		return false;
	if (knows_keyword(b, name))
		return true;
	if (b->keyword_count == KEYWORDS_MAX) {
		b->facts.keywords_dropped++;
		return false;
	}
	b->keywords[b->keyword_count++] = mem_strndup(name.p, name.len);
	return true;
}

static enum store_err
learn_keywords(struct import_batch *b)
{
	struct mailbox *box;
	enum store_err err = mailbox_open(b->acct, b->box->local, true, &box);

	if (err != STORE_OK)
		return err;
	for (unsigned i = 0; i < mailbox_keyword_count(box); i++) {
		const char *name = mailbox_keyword_name(box, i);

		if (name != NULL && *name != '\0' && b->keyword_count < KEYWORDS_MAX)
			b->keywords[b->keyword_count++] = mem_strdup(name);
	}
	mailbox_close(box);
	return STORE_OK;
}

/* --- the batch ---------------------------------------------------------------------------------- */

enum store_err
import_batch_new(struct account *acct, struct import_record *record, const struct import_box *box,
    struct import_batch **batch_out)
{
	struct import_batch *b = mem_zalloc(sizeof(*b));
	enum store_err err;

	b->acct = acct;
	b->record = record;
	b->box = box;
	b->items = mem_alloc(IMPORT_BATCH_MESSAGES * sizeof(*b->items));
	err = learn_keywords(b);
	if (err == STORE_OK)
		*batch_out = b;
	else
		import_batch_free(b);
	return err;
}

void
import_batch_free(struct import_batch *b)
{
	if (b == NULL)
		return;
	append_end(b->append);
	for (size_t i = 0; i < b->keyword_count; i++)
		free(b->keywords[i]);
	arena_free(&b->arena);
	free(b->items);
	free(b);
}

struct import_batch_facts
import_batch_facts(const struct import_batch *b)
{
	return b->facts;
}

static void
forget(struct import_batch *b)
{
	append_end(b->append);
	b->append = NULL;
	b->count = 0;
	b->bytes = 0;
	arena_reset(&b->arena);
}

static bool
on_piece(void *arg, const char *bytes, size_t len)
{
	struct import_batch *b = arg;

	b->err = append_write(b->append, bytes, len);
	return b->err == STORE_OK;
}

static enum store_err
add(struct import_batch *b, const struct import_item *item, struct import_message *message)
{
	struct batched *to = &b->items[b->count];
	struct append_message_info info = { .flags = item->flags,
		.internaldate_s = item->date_s,
		.announced_bytes = import_message_size(message),
		.uid = item->wanted_uid < IMPORT_UID_MAX ? item->wanted_uid : 0,
		.unique = to->unique,
		.quota_exempt = true };
	struct str *kept = arena_alloc(&b->arena, (item->keyword_count + 1) * sizeof(*kept));
	const char **names = arena_alloc(&b->arena, (item->keyword_count + 1) * sizeof(*names));
	struct buf flags = { 0 };

	for (size_t i = 0; i < item->keyword_count; i++) {
		if (!take_keyword(b, item->keywords[i]))
			continue;
		kept[info.keyword_count] = item->keywords[i];
		names[info.keyword_count++] =
		    arena_strndup(&b->arena, item->keywords[i].p, item->keywords[i].len);
	}
	info.keywords = names;
	import_flags(&flags, item->flags, kept, info.keyword_count);
	to->row = (struct import_row){ .uid = item->uid,
		.size = item->size,
		.flags = arena_strdup(&b->arena, buf_cstr(&flags)) };
	buf_free(&flags);
	memcpy(to->row.digest, item->digest, IMPORT_DIGEST_BYTES);
	to->wanted_uid = item->wanted_uid;
	dir_unique_name(to->unique);
	if (b->append == NULL) {
		b->err = append_begin(b->acct, b->box->local, &b->append);
		if (b->err != STORE_OK)
			return b->err;
		append_in_bulk(b->append);
	}
	b->err = append_message(b->append, &info);
	if (b->err == STORE_OK && !import_message_read(message, on_piece, b) && b->err == STORE_OK)
		b->err = STORE_IO;
	b->count++;
	b->bytes += import_message_size(message);
	return b->err;
}

enum store_err
import_batch_add(
    struct import_batch *b, const struct import_item *item, struct import_message *message)
{
	if (b->err == STORE_OK)
		b->err = add(b, item, message);
	if (b->err == STORE_OK &&
	    (b->count == IMPORT_BATCH_MESSAGES || b->bytes >= IMPORT_BATCH_BYTES))
		import_batch_commit(b);
	return b->err;
}

static enum store_err
note_pending(struct import_batch *b)
{
	enum store_err err = import_record_begin(b->record);

	if (err != STORE_OK)
		return err;
	for (size_t i = 0; i < b->count && err == STORE_OK; i++)
		err = import_record_put_pending(
		    b->record, b->box->id, &b->items[i].row, b->items[i].unique);
	return import_record_end(b->record, err);
}

static enum store_err
note_done(struct import_batch *b, const struct uidset *uids)
{
	enum store_err err = import_record_begin(b->record);
	uint32_t uid = 0;

	if (err != STORE_OK)
		return err;
	for (size_t i = 0; i < b->count && err == STORE_OK; i++) {
		uid = uidset_next(uids, uid); /* the n-th is the n-th message's */
		b->items[i].row.local_uid = uid;
		if (b->items[i].wanted_uid != 0 && b->items[i].wanted_uid != uid)
			b->facts.uid_missed = true;
		err = import_record_put_row(b->record, b->box->id, &b->items[i].row);
	}
	if (err == STORE_OK)
		err = import_record_drop_pending(b->record, b->box->id);
	return import_record_end(b->record, err);
}

enum store_err
import_batch_commit(struct import_batch *b)
{
	struct uidset uids = { 0 };
	uint32_t validity;

	if (b->err != STORE_OK || b->count == 0)
		return b->err;
	b->err = note_pending(b);
	if (b->err == STORE_OK)
		b->err = append_commit(b->append, &validity, &uids);
	if (b->err == STORE_OK)
		b->err = note_done(b, &uids);
	if (b->err == STORE_OK)
		b->facts.imported += (uint32_t)b->count;
	uidset_free(&uids);
	forget(b);
	return b->err;
}
