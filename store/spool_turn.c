/* Whose turn it is.
 *
 * Messages that are due stand in a line, ordered by `turn`; the least one is claimed next.  A message that comes
 * into the line stands behind those of its own flow (an account's usual mail, or its bulk and low-priority
 * mail) by SPOOL_TURN or SPOOL_TURN_LATE, but not before the head of the line.  So each account moves on by one
 * message while the others move by one, however many each has, and slow flows by a quarter of that
 * (start-time fair queueing).
 *
 * 1. turn is not NULL only of messages that are due, not held and not claimed.
 * 2. New messages come into the line when they are added, others as they become due, SPOOL_LINE_UP_MAX of them
 *    with each claim, those that are due longest first.
 * Each step looks up a few rows by an index, however long the queue. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/spool_internal.h"

#define SPOOL_TURN        1
#define SPOOL_TURN_LATE   4
#define SPOOL_LINE_UP_MAX 64

static enum store_err
one_integer(struct spool *spool, sqlite3_stmt *stmt, int64_t otherwise, int64_t *value_out)
{
	enum store_err err = sql_step(&spool->sql, stmt);

	*value_out = otherwise;
	if (err == STORE_OK && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
		*value_out = sqlite3_column_int64(stmt, 0);
	if (err == STORE_OK)
		sqlite3_reset(stmt);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
head_of_line(struct spool *spool, int64_t *turn_out)
{
	sqlite3_stmt *stmt = sql_get(
	    &spool->sql, "SELECT turn FROM message WHERE turn IS NOT NULL ORDER BY turn LIMIT 1");

	return one_integer(spool, stmt, 0, turn_out);
}

/* The last place that a flow has in the line; INT64_MIN: none. */
static enum store_err
last_of_flow(struct spool *spool, const char *account, int flow, int64_t *turn_out)
{
	sqlite3_stmt *stmt =
	    sql_get(&spool->sql, "SELECT turn FROM message WHERE account IS ? AND flow = ?"
				 " AND turn IS NOT NULL ORDER BY turn DESC LIMIT 1");

	if (stmt == NULL)
		return STORE_IO;
	sql_bind_text(stmt, 1, account);
	sqlite3_bind_int(stmt, 2, flow);
	return one_integer(spool, stmt, INT64_MIN, turn_out);
}

enum store_err
spool_next_turn(struct spool *spool, const char *account, bool late, int64_t *turn_out)
{
	int64_t head, last;
	enum store_err err = head_of_line(spool, &head);

	if (err == STORE_OK)
		err = last_of_flow(spool, account, late, &last);
	if (err != STORE_OK)
		return err;
	*turn_out = head;
	if (last != INT64_MIN) {
		last += late ? SPOOL_TURN_LATE : SPOOL_TURN;
		*turn_out = last > head ? last : head;
	}
	return STORE_OK;
}

static enum store_err
line_up_one(struct spool *spool, const char *id, const char *account, bool late)
{
	sqlite3_stmt *stmt;
	int64_t turn;
	enum store_err err = spool_next_turn(spool, account, late, &turn);

	if (err != STORE_OK)
		return err;
	stmt = sql_get(&spool->sql, "UPDATE message SET turn = ? WHERE id = ?");
	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, turn);
	sql_bind_text(stmt, 2, id);
	return sql_run(&spool->sql, stmt);
}

struct waiting { /* one that has become due */
	char *id, *account;
	bool late;
};

enum store_err
spool_line_up(struct spool *spool, int64_t now)
{
	sqlite3_stmt *stmt = sql_get(&spool->sql,
	    "SELECT id, account, flow FROM message WHERE held = 0 AND claim IS NULL"
	    " AND turn IS NULL AND next_attempt <= ? ORDER BY next_attempt, id LIMIT ?");
	struct waiting due[SPOOL_LINE_UP_MAX];
	size_t count = 0;
	enum store_err err = STORE_OK;

	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, now);
	sqlite3_bind_int(stmt, 2, SPOOL_LINE_UP_MAX);
	while (count < SPOOL_LINE_UP_MAX && (err = sql_step(&spool->sql, stmt)) == STORE_OK)
		due[count++] = (struct waiting){ sql_column_dup(stmt, 0), sql_column_dup(stmt, 1),
			sqlite3_column_int(stmt, 2) != 0 };
	sqlite3_reset(stmt);
	if (err == STORE_NOT_FOUND)
		err = STORE_OK;
	for (size_t i = 0; i < count; i++) {
		if (err == STORE_OK)
			err = line_up_one(spool, due[i].id, due[i].account, due[i].late);
		free(due[i].id);
		free(due[i].account);
	}
	return err;
}

static enum store_err
copy_id(sqlite3_stmt *stmt, char id_out[SPOOL_ID_LEN + 1])
{
	if (sqlite3_column_bytes(stmt, 0) != SPOOL_ID_LEN)
		return STORE_CORRUPT;
	memcpy(id_out, sqlite3_column_text(stmt, 0), SPOOL_ID_LEN + 1);
	return STORE_OK;
}

struct head {
	char id[SPOOL_ID_LEN + 1];
	char *account;
	int flow, priority;
	int64_t turn;
};

static enum store_err
read_head(struct spool *spool, struct head *head_out)
{
	sqlite3_stmt *stmt =
	    sql_get(&spool->sql, "SELECT id, account, flow, priority, turn FROM message"
				 " WHERE turn IS NOT NULL ORDER BY turn, id LIMIT 1");
	enum store_err err = sql_step(&spool->sql, stmt);

	*head_out = (struct head){ 0 };
	if (err != STORE_OK)
		return err;
	err = copy_id(stmt, head_out->id);
	head_out->account = sql_column_dup(stmt, 1);
	head_out->flow = sqlite3_column_int(stmt, 2);
	head_out->priority = sqlite3_column_int(stmt, 3);
	head_out->turn = sqlite3_column_int64(stmt, 4);
	sqlite3_reset(stmt);
	return err;
}

/* The flow's most urgent message goes in the place of its first one, which takes its place in turn: nobody
 * comes before other accounts by calling his mail urgent (RFC 6710 §4.2 leaves the policy to us). */
static enum store_err
let_urgent_go(struct spool *spool, const struct head *head, char id_out[SPOOL_ID_LEN + 1])
{
	sqlite3_stmt *stmt =
	    sql_get(&spool->sql, "SELECT id, turn FROM message WHERE account IS ? AND flow = ?"
				 " AND turn IS NOT NULL AND priority <> 0 AND priority > ?"
				 " ORDER BY priority DESC, turn LIMIT 1");
	int64_t turn = 0;
	enum store_err err;

	memcpy(id_out, head->id, SPOOL_ID_LEN + 1);
	if (stmt == NULL)
		return STORE_IO;
	sql_bind_text(stmt, 1, head->account);
	sqlite3_bind_int(stmt, 2, head->flow);
	sqlite3_bind_int(stmt, 3, head->priority);
	err = sql_step(&spool->sql, stmt);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	err = copy_id(stmt, id_out);
	turn = sqlite3_column_int64(stmt, 1);
	sqlite3_reset(stmt);
	stmt = sql_get(&spool->sql, "UPDATE message SET turn = ? WHERE id = ?");
	if (err != STORE_OK || stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, turn);
	sql_bind_text(stmt, 2, head->id);
	return sql_run(&spool->sql, stmt);
}

enum store_err
spool_first_in_line(struct spool *spool, char id_out[SPOOL_ID_LEN + 1])
{
	struct head head;
	enum store_err err = read_head(spool, &head);

	if (err == STORE_OK)
		err = let_urgent_go(spool, &head, id_out);
	free(head.account);
	return err;
}

enum store_err
spool_first_overdue(
    struct spool *spool, int64_t now, int64_t received_before, char id_out[SPOOL_ID_LEN + 1])
{
	/* by its time of delivery, by a route of its own, or by age: ids sort by their time */
	static const char *const QUERIES[] = {
		"SELECT id FROM message WHERE deliver_by <= ?1 AND held = 0 AND claim IS NULL"
		" AND next_attempt <= ?1 AND ?2 <> '' LIMIT 1",
		"SELECT id FROM message WHERE route IS NOT NULL AND held = 0 AND claim IS NULL"
		" AND next_attempt <= ?1 AND ?2 <> '' LIMIT 1",
		"SELECT id FROM message WHERE id < ?2 AND held = 0 AND claim IS NULL"
		" AND next_attempt <= ?1 LIMIT 1",
	};
	char bound[SPOOL_ID_LEN + 1];
	enum store_err err = STORE_NOT_FOUND;

	spool_id_of_time(received_before > 0 ? received_before : 0, bound);
	for (size_t i = 0; i < sizeof(QUERIES) / sizeof(*QUERIES) && err == STORE_NOT_FOUND; i++) {
		sqlite3_stmt *stmt = sql_get(&spool->sql, QUERIES[i]);

		if (stmt == NULL)
			return STORE_IO;
		sqlite3_bind_int64(stmt, 1, now);
		sql_bind_text(stmt, 2, bound);
		err = sql_step(&spool->sql, stmt);
		if (err == STORE_OK) {
			err = copy_id(stmt, id_out);
			sqlite3_reset(stmt);
		}
	}
	return err;
}

/* --- when ----------------------------------------------------------------------------------------- */

static enum store_err
first_of(struct spool *spool, const char *query, int64_t after, int64_t *when_out)
{
	sqlite3_stmt *stmt;
	enum store_err err;

	pthread_mutex_lock(&spool->mutex);
	stmt = sql_get(&spool->sql, query);
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, after);
	err = sql_step(&spool->sql, stmt);
	if (err == STORE_OK) {
		*when_out = sqlite3_column_int64(stmt, 0);
		sqlite3_reset(stmt);
	}
	pthread_mutex_unlock(&spool->mutex);
	return err;
}

enum store_err
spool_next_due(struct spool *spool, int64_t *when_out)
{
	enum store_err err = first_of(spool,
	    "SELECT next_attempt FROM message WHERE turn IS NOT NULL AND ?1 = 0 LIMIT 1", 0,
	    when_out);

	if (err != STORE_NOT_FOUND)
		return err;
	return first_of(spool,
	    "SELECT next_attempt FROM message WHERE held = 0 AND claim IS NULL AND turn IS NULL"
	    " AND ?1 = 0 ORDER BY next_attempt LIMIT 1",
	    0, when_out);
}

enum store_err
spool_next_deadline(struct spool *spool, int64_t now, int64_t *when_out)
{
	return first_of(spool,
	    "SELECT deliver_by FROM message WHERE deliver_by > ?1 AND held = 0 AND claim IS NULL"
	    " ORDER BY deliver_by LIMIT 1",
	    now, when_out);
}
