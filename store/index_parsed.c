/* What parsing a message learnt, kept; see index.h. */
#include "store/index_internal.h"

void
index_parsed_reset(struct index_parsed *p)
{
	buf_reset(&p->envelope);
	buf_reset(&p->body);
	buf_reset(&p->bodystructure);
	buf_reset(&p->parts);
	buf_reset(&p->fields);
	buf_reset(&p->sort);
	buf_reset(&p->summary);
	p->has_sent_date = false;
}

void
index_parsed_free(struct index_parsed *p)
{
	buf_free(&p->envelope);
	buf_free(&p->body);
	buf_free(&p->bodystructure);
	buf_free(&p->parts);
	buf_free(&p->fields);
	buf_free(&p->sort);
	buf_free(&p->summary);
	*p = (struct index_parsed){ 0 };
}

static void
column_buf(sqlite3_stmt *st, int column, struct buf *out)
{
	const void *blob = sqlite3_column_blob(st, column);

	if (blob != NULL)
		buf_add(out, blob, (size_t)sqlite3_column_bytes(st, column));
}

enum store_err
index_parsed_get(struct index *ix, int64_t mailbox, uint32_t uid, struct index_parsed *p_out)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, PARSED_GET, &err);
	int rc;

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, index_message_key(mailbox, uid));
	rc = sqlite3_step(st);
	err = index_check(ix, rc, "parsed");
	if (rc == SQLITE_ROW) {
		column_buf(st, 0, &p_out->envelope);
		column_buf(st, 1, &p_out->body);
		column_buf(st, 2, &p_out->bodystructure);
		column_buf(st, 3, &p_out->parts);
		p_out->has_sent_date = sqlite3_column_type(st, 4) != SQLITE_NULL;
		p_out->sent_date_days = sqlite3_column_int64(st, 4);
	}
	sqlite3_reset(st);
	return err == STORE_OK && rc != SQLITE_ROW ? STORE_NOT_FOUND : err;
}

static enum store_err
learnt_put(
    struct index *ix, enum statement id, int64_t key, const int64_t *sent, const struct buf *bytes)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, id, &err);

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, key);
	if (sent != NULL)
		sqlite3_bind_int64(st, 2, *sent);
	sqlite3_bind_blob64(st, 3, bytes->data, bytes->len, SQLITE_STATIC);
	return index_run(ix, st);
}

enum store_err
index_parsed_put(struct index *ix, int64_t mailbox, uint32_t uid, const struct index_parsed *p)
{
	const int64_t key = index_message_key(mailbox, uid);
	const struct buf *blobs[] = { &p->envelope, &p->body, &p->bodystructure, &p->parts };
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, PARSED_PUT, &err);

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, key);
	for (size_t i = 0; i < ARRAY_LEN(blobs); i++)
		sqlite3_bind_blob64(st, (int)i + 2, blobs[i]->data, blobs[i]->len, SQLITE_STATIC);
	if (p->has_sent_date)
		sqlite3_bind_int64(st, 6, p->sent_date_days);
	err = index_run(ix, st);
	if (err == STORE_OK)
		err = learnt_put(ix, SEARCHED_PUT, key,
		    p->has_sent_date ? &p->sent_date_days : NULL, &p->fields);
	if (err == STORE_OK)
		err =
		    learnt_put(ix, SORTED_PUT, key, p->has_sent_date ? &p->sent_s : NULL, &p->sort);
	return err == STORE_OK && p->summary.len > 0
		   ? learnt_put(ix, SUMMARY_PUT, key, NULL, &p->summary)
		   : err;
}

enum store_err
index_parsed_copy(struct index *ix, int64_t from, uint32_t from_uid, int64_t to, uint32_t to_uid)
{
	const int64_t keys[] = { index_message_key(from, from_uid), index_message_key(to, to_uid) };
	enum store_err err = index_run_ints(ix, PARSED_COPY, keys, ARRAY_LEN(keys));

	if (err == STORE_OK)
		err = index_run_ints(ix, SEARCHED_COPY, keys, ARRAY_LEN(keys));
	if (err == STORE_OK)
		err = index_run_ints(ix, SORTED_COPY, keys, ARRAY_LEN(keys));
	return err == STORE_OK ? index_run_ints(ix, SUMMARY_COPY, keys, ARRAY_LEN(keys)) : err;
}

struct learnt_walk {
	bool (*cb)(void *arg, const struct index_learnt_row *row);
	void *arg;
};

static bool
take_learnt(void *arg, uint32_t uid, sqlite3_stmt *st)
{
	const struct learnt_walk *walk = arg;
	struct index_learnt_row row = { .uid = uid,
		.has_sent = sqlite3_column_type(st, 1) != SQLITE_NULL };

	if (row.has_sent)
		row.sent = sqlite3_column_int64(st, 1);
	row.bytes.p = sqlite3_column_blob(st, 2);
	row.bytes.len = row.bytes.p != NULL ? (size_t)sqlite3_column_bytes(st, 2) : 0;
	return walk->cb(walk->arg, &row);
}

enum store_err
index_learnt(struct index *ix, enum index_learnt kind, int64_t mailbox, const struct uidset *uids,
    uint32_t after, bool (*cb)(void *arg, const struct index_learnt_row *row), void *arg)
{
	static const enum statement RANGES[INDEX_LEARNT_KINDS] = {
		[INDEX_SEARCHED] = SEARCHED_RANGE,
		[INDEX_SORTED] = SORTED_RANGE,
		[INDEX_SUMMARY] = SUMMARY_RANGE,
	};
	struct learnt_walk walk = { cb, arg };

	return index_walk(ix, RANGES[kind], mailbox, uids, after, take_learnt, &walk);
}
