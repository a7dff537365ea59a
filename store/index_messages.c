/* The UID map and the rows of messages; see index.h. */
#include "store/index_internal.h"

/* --- the UID map ------------------------------------------------------------------------------- */

enum store_err
index_chunk_flush(struct index *ix)
{
	enum store_err err;
	sqlite3_stmt *st;
	struct buf blob = { 0 };

	if (ix->chunk_mailbox == 0)
		return STORE_OK;
	st = index_statement(ix, uidset_is_empty(&ix->chunk) ? UIDMAP_DROP : UIDMAP_PUT, &err);
	if (st == NULL)
		return err;
	uidset_pack(&ix->chunk, &blob);
	sqlite3_bind_int64(st, 1, ix->chunk_mailbox);
	sqlite3_bind_int64(st, 2, ix->chunk_number);
	if (!uidset_is_empty(&ix->chunk))
		sqlite3_bind_blob(st, 3, blob.data, (int)blob.len, SQLITE_STATIC);
	err = index_run(ix, st);
	buf_free(&blob);
	ix->chunk_mailbox = 0;
	return err;
}

static enum store_err
read_chunks(struct index *ix, sqlite3_stmt *st, struct uidset *uids_out)
{
	struct uidset part = { 0 };
	enum store_err err = STORE_OK;
	int rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const void *blob = sqlite3_column_blob(st, 0);

		if (!uidset_unpack(&part, blob, (size_t)sqlite3_column_bytes(st, 0)) ||
		    uidset_first(&part) <= uidset_last(uids_out)) {
			err = STORE_CORRUPT;
			break;
		}
		for (size_t i = 0; i < part.run_count; i++)
			uidset_add_range(uids_out, part.runs[i].first, part.runs[i].last);
	}
	if (err == STORE_OK)
		err = index_check(ix, rc, "uidmap");
	sqlite3_reset(st);
	uidset_free(&part);
	return err;
}

enum store_err
index_uids(struct index *ix, int64_t mailbox, struct uidset *uids_out)
{
	enum store_err err = index_chunk_flush(ix);
	sqlite3_stmt *st;

	uidset_clear(uids_out);
	if (err != STORE_OK || (st = index_statement(ix, UIDMAP_ALL, &err)) == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	return read_chunks(ix, st, uids_out);
}

enum store_err
index_count_from(struct index *ix, int64_t mailbox, uint32_t uid, uint32_t *count_out)
{
	struct uidset uids = { 0 };
	enum store_err err = index_chunk_flush(ix);
	sqlite3_stmt *st;

	if (err != STORE_OK || (st = index_statement(ix, UIDMAP_FROM, &err)) == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	sqlite3_bind_int64(st, 2, uid / INDEX_CHUNK_UIDS);
	err = read_chunks(ix, st, &uids);
	*count_out = uidset_count(&uids) - (uid > 0 ? uidset_count_upto(&uids, uid - 1) : 0);
	uidset_free(&uids);
	return err;
}

static enum store_err
chunk_load(struct index *ix, int64_t mailbox, uint32_t uid)
{
	uint32_t number = uid / INDEX_CHUNK_UIDS;
	enum store_err err;
	sqlite3_stmt *st;

	if (ix->chunk_mailbox == mailbox && ix->chunk_number == number)
		return STORE_OK;
	err = index_chunk_flush(ix);
	if (err != STORE_OK || (st = index_statement(ix, UIDMAP_GET, &err)) == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	sqlite3_bind_int64(st, 2, number);
	uidset_clear(&ix->chunk);
	err = read_chunks(ix, st, &ix->chunk);
	if (err == STORE_OK) {
		ix->chunk_mailbox = mailbox;
		ix->chunk_number = number;
	}
	return err;
}

/* --- messages ---------------------------------------------------------------------------------- */

static void
message_columns(sqlite3_stmt *st, struct index_message *m)
{
	const void *keywords = sqlite3_column_blob(st, 2);
	size_t len = (size_t)sqlite3_column_bytes(st, 2);

	m->uid = (uint32_t)sqlite3_column_int64(st, 0);
	m->flags = (unsigned)sqlite3_column_int(st, 1) & MESSAGE_FLAGS_ALL;
	m->keywords = (struct keyword_set){ 0 };
	if (keywords != NULL && len <= sizeof(m->keywords))
		memcpy(&m->keywords, keywords, len);
	m->modseq = (uint64_t)sqlite3_column_int64(st, 3);
	m->internaldate_s = sqlite3_column_int64(st, 4);
	m->size = sqlite3_column_type(st, 5) == SQLITE_NULL ? INDEX_SIZE_UNKNOWN
							    : (uint64_t)sqlite3_column_int64(st, 5);
	m->disk_size = (uint64_t)sqlite3_column_int64(st, 6);
	index_column_text(st, 7, m->name, sizeof(m->name));
}

enum store_err
index_message_get(struct index *ix, int64_t mailbox, uint32_t uid, struct index_message *m_out)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, MESSAGE_GET, &err);
	int rc;

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, index_message_key(mailbox, uid));
	rc = sqlite3_step(st);
	err = index_check(ix, rc, "message");
	if (rc == SQLITE_ROW)
		message_columns(st, m_out);
	sqlite3_reset(st);
	return err == STORE_OK && rc != SQLITE_ROW ? STORE_NOT_FOUND : err;
}

/* One query per stretch of the set; small holes are read over. */
enum store_err
index_walk(struct index *ix, enum statement id, int64_t mailbox, const struct uidset *uids,
    uint32_t after, bool (*cb)(void *arg, uint32_t uid, sqlite3_stmt *row), void *arg)
{
	enum { HOLE = 64 };
	uint32_t at = uidset_next(uids, after);
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, id, &err);

	while (st != NULL && at != 0) {
		uint32_t next = 0; /* where the next stretch begins */
		int rc;

		sqlite3_bind_int64(st, 1, index_message_key(mailbox, at));
		sqlite3_bind_int64(st, 2, index_message_key(mailbox, uidset_last(uids)));
		while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
			uint32_t uid = (uint32_t)sqlite3_column_int64(st, 0);

			if (uidset_contains(uids, uid)) {
				if (!cb(arg, uid, st))
					break;
				continue;
			}
			next = uidset_next(uids, uid);
			if (next == 0 || next - uid > HOLE)
				break;
			next = 0;
		}
		err = index_check(ix, rc, sqlite3_sql(st));
		sqlite3_reset(st);
		if (err != STORE_OK)
			return err;
		at = next;
	}
	return err;
}

struct message_rows {
	struct index_message *out;
	size_t max, count;
};

static bool
take_message(void *arg, uint32_t uid, sqlite3_stmt *row)
{
	struct message_rows *rows = arg;

	(void)uid;
	message_columns(row, &rows->out[rows->count++]);
	return rows->count < rows->max;
}

enum store_err
index_messages(struct index *ix, int64_t mailbox, const struct uidset *uids, uint32_t after,
    struct index_message *out, size_t max, size_t *count_out)
{
	struct message_rows rows = { .out = out, .max = max };
	enum store_err err = STORE_OK;

	if (max > 0)
		err = index_walk(ix, MESSAGE_RANGE, mailbox, uids, after, take_message, &rows);
	*count_out = rows.count;
	return err;
}

enum store_err
index_changed(struct index *ix, int64_t mailbox, uint64_t modseq, uint32_t uid,
    struct index_message *out, size_t max, size_t *count_out)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, MESSAGE_CHANGED, &err);
	int rc;

	*count_out = 0;
	if (st == NULL)
		return err;
	/* All of this mod-sequence are behind: after a bulk of mail they are many. */
	if (uid == UINT32_MAX && modseq < INT64_MAX) {
		modseq++;
		uid = 0;
	}
	sqlite3_bind_int64(st, 1, mailbox);
	sqlite3_bind_int64(st, 2, (int64_t)modseq);
	sqlite3_bind_int64(st, 3, index_message_key(mailbox, uid));
	sqlite3_bind_int64(st, 4, (int64_t)max);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && *count_out < max)
		message_columns(st, &out[(*count_out)++]);
	err = index_check(ix, rc, "changed");
	sqlite3_reset(st);
	return err;
}

enum store_err
index_with_flags(
    struct index *ix, int64_t mailbox, unsigned mask, unsigned value, struct uidset *uids_out)
{
	struct uidset some = { 0 };
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, MESSAGE_FLAGS, &err);

	uidset_clear(uids_out);
	for (unsigned flags = 0; flags <= MESSAGE_FLAGS_ALL && err == STORE_OK; flags++) {
		int rc;

		if ((flags & mask) != value)
			continue;
		uidset_clear(&some);
		sqlite3_bind_int64(st, 1, mailbox);
		sqlite3_bind_int64(st, 2, flags);
		while ((rc = sqlite3_step(st)) == SQLITE_ROW)
			uidset_add(&some, (uint32_t)sqlite3_column_int64(st, 0));
		err = index_check(ix, rc, "flags");
		sqlite3_reset(st);
		uidset_union(uids_out, &some);
	}
	uidset_free(&some);
	return err;
}

enum store_err
index_first_unseen(struct index *ix, int64_t mailbox, uint32_t *uid_out)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, MESSAGE_UNSEEN, &err);

	*uid_out = 0;
	for (unsigned flags = 0; flags <= MESSAGE_FLAGS_ALL && err == STORE_OK; flags++) {
		int rc;

		if ((flags & MESSAGE_SEEN) != 0)
			continue;
		sqlite3_bind_int64(st, 1, mailbox);
		sqlite3_bind_int64(st, 2, flags);
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW) {
			uint32_t uid = (uint32_t)sqlite3_column_int64(st, 0);

			if (*uid_out == 0 || uid < *uid_out)
				*uid_out = uid;
		}
		err = index_check(ix, rc, "unseen");
		sqlite3_reset(st);
	}
	return err;
}

enum store_err
index_unsized(struct index *ix, int64_t mailbox, struct uidset *uids_out)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, MESSAGE_UNSIZED, &err);
	int rc;

	uidset_clear(uids_out);
	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		uidset_add(uids_out, (uint32_t)sqlite3_column_int64(st, 0));
	err = index_check(ix, rc, "unsized");
	sqlite3_reset(st);
	return err;
}

#define MESSAGE_PLACES 9

/* The places of a message in a statement, from the one behind `before` on. */
static void
bind_message(sqlite3_stmt *st, int before, int64_t mailbox, const struct index_message *m)
{
	size_t len = ARRAY_LEN(m->keywords.bits);

	while (len > 0 && m->keywords.bits[len - 1] == 0)
		len--;
	sqlite3_bind_int64(st, before + 1, index_message_key(mailbox, m->uid));
	sqlite3_bind_int64(st, before + 2, mailbox);
	sqlite3_bind_int64(st, before + 3, m->flags & MESSAGE_FLAGS_ALL);
	if (len > 0)
		sqlite3_bind_blob(
		    st, before + 4, m->keywords.bits, (int)(len * sizeof(uint64_t)), SQLITE_STATIC);
	sqlite3_bind_int64(st, before + 5, (int64_t)m->modseq);
	sqlite3_bind_int64(st, before + 6, m->internaldate_s);
	if (m->size != INDEX_SIZE_UNKNOWN)
		sqlite3_bind_int64(st, before + 7, (int64_t)m->size);
	sqlite3_bind_int64(st, before + 8, (int64_t)m->disk_size);
	sqlite3_bind_text(st, before + 9, m->name, -1, SQLITE_STATIC);
}

/* As many messages as the statement has places for. */
static enum store_err
messages_write(struct index *ix, enum statement id, int64_t mailbox, const struct index_message *m,
    size_t count)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, id, &err);

	if (st == NULL)
		return err;
	for (size_t i = 0; i < count; i++)
		bind_message(st, (int)i * MESSAGE_PLACES, mailbox, &m[i]);
	return index_run(ix, st);
}

static void
count_message(struct index_mailbox *row, const struct index_message *m, int sign)
{
	row->messages += sign;
	if ((m->flags & MESSAGE_SEEN) == 0)
		row->unseen += sign;
	if ((m->flags & MESSAGE_DELETED) != 0) {
		row->deleted += sign;
		row->deleted_disk_bytes += sign * (int64_t)m->disk_size;
	}
	if (m->size == INDEX_SIZE_UNKNOWN)
		row->unsized += sign;
	else
		row->bytes += sign * (int64_t)m->size;
	row->disk_bytes += sign * (int64_t)m->disk_size;
}

enum store_err
index_messages_add(
    struct index *ix, struct index_mailbox *row, const struct index_message *m, size_t count)
{
	enum store_err err = STORE_OK;

	for (size_t done = 0, n; done < count && err == STORE_OK; done += n) {
		bool many = count - done >= INDEX_ADD_ROWS;

		n = many ? INDEX_ADD_ROWS : 1;
		err =
		    messages_write(ix, many ? MESSAGE_ADD_MANY : MESSAGE_ADD, row->id, m + done, n);
	}
	for (size_t i = 0; i < count && err == STORE_OK; i++) {
		err = chunk_load(ix, row->id, m[i].uid);
		if (err == STORE_OK) {
			uidset_add(&ix->chunk, m[i].uid);
			count_message(row, &m[i], 1);
		}
	}
	return err;
}

enum store_err
index_message_add(struct index *ix, struct index_mailbox *row, const struct index_message *m)
{
	return index_messages_add(ix, row, m, 1);
}

enum store_err
index_message_change(struct index *ix, struct index_mailbox *row, const struct index_message *from,
    const struct index_message *to)
{
	enum store_err err = messages_write(ix, MESSAGE_CHANGE, row->id, to, 1);

	if (err == STORE_OK) {
		count_message(row, from, -1);
		count_message(row, to, 1);
	}
	return err;
}

/* Half of the history goes when it is too long; the floor says so. */
static enum store_err
expunged_trim(struct index *ix, struct index_mailbox *row)
{
	enum store_err err;
	sqlite3_stmt *st;
	uint64_t floor = 0;
	uint32_t n = 0;

	if (row->expunged_count <= INDEX_EXPUNGED_MAX)
		return STORE_OK;
	st = index_statement(ix, EXPUNGED_GET, &err);
	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, row->id);
	sqlite3_bind_int64(st, 2, 0);
	while (sqlite3_step(st) == SQLITE_ROW) {
		uint64_t modseq = (uint64_t)sqlite3_column_int64(st, 1);

		if (n >= row->expunged_count - INDEX_EXPUNGED_MAX / 2 && modseq != floor)
			break;
		floor = modseq;
		n++;
	}
	sqlite3_reset(st);
	err = index_run_ints(ix, EXPUNGED_TRIM, (const int64_t[]){ row->id, (int64_t)floor }, 2);
	if (err == STORE_OK) {
		row->expunged_floor = floor;
		row->expunged_count -= n < row->expunged_count ? n : row->expunged_count;
	}
	return err;
}

enum store_err
index_message_remove(
    struct index *ix, struct index_mailbox *row, const struct index_message *m, uint64_t modseq)
{
	const int64_t key = index_message_key(row->id, m->uid);
	enum store_err err = chunk_load(ix, row->id, m->uid);

	if (err == STORE_OK)
		err = index_run_ints(ix, MESSAGE_REMOVE, &key, 1);
	if (err == STORE_OK)
		err = index_run_ints(ix, PARSED_REMOVE, &key, 1);
	if (err == STORE_OK)
		err = index_run_ints(ix, SEARCHED_REMOVE, &key, 1);
	if (err == STORE_OK)
		err = index_run_ints(ix, SORTED_REMOVE, &key, 1);
	if (err == STORE_OK)
		err = index_run_ints(ix, SUMMARY_REMOVE, &key, 1);
	if (err == STORE_OK)
		err = index_run_ints(
		    ix, EXPUNGED_ADD, (const int64_t[]){ row->id, (int64_t)modseq, m->uid }, 3);
	if (err != STORE_OK)
		return err;
	row->expunged_count++;
	uidset_remove(&ix->chunk, m->uid);
	count_message(row, m, -1);
	return expunged_trim(ix, row);
}

enum store_err
index_expunged(struct index *ix, int64_t mailbox, uint64_t modseq, struct uidset *uids_out)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, EXPUNGED_GET, &err);
	int rc;

	uidset_clear(uids_out);
	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	sqlite3_bind_int64(st, 2, (int64_t)modseq);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		uidset_add(uids_out, (uint32_t)sqlite3_column_int64(st, 0));
	err = index_check(ix, rc, "expunged");
	sqlite3_reset(st);
	return err;
}
