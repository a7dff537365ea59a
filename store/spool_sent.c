#include <stdlib.h>
#include <string.h>

#include "store/spool.h"
#include "store/spool_internal.h"

#define HOUR_S 3600
#define DAY_S  (24 * HOUR_S)

/* With the mutex of that connection held. */
static enum store_err
count_sent(struct sql *sql, const char *account, int64_t now, struct spool_sent *sent)
{
	sqlite3_stmt *stmt = sql_get(sql,
	    "SELECT count(*), total(recipients), count(iif(at > ?2, 1, NULL)),"
	    " total(iif(at > ?2, recipients, 0)) FROM sent WHERE account = ?1 AND at > ?3");
	enum store_err err;

	if (stmt == NULL)
		return STORE_IO;
	sql_bind_text(stmt, 1, account);
	sqlite3_bind_int64(stmt, 2, now - HOUR_S);
	sqlite3_bind_int64(stmt, 3, now - DAY_S);
	err = sql_step(sql, stmt);
	if (err != STORE_OK)
		return err;
	*sent = (struct spool_sent){
		.messages_day = (uint64_t)sqlite3_column_int64(stmt, 0),
		.recipients_day = (uint64_t)sqlite3_column_int64(stmt, 1),
		.messages_hour = (uint64_t)sqlite3_column_int64(stmt, 2),
		.recipients_hour = (uint64_t)sqlite3_column_int64(stmt, 3),
	};
	sqlite3_reset(stmt);
	return STORE_OK;
}

enum store_err
spool_sent_count(struct spool *spool, const char *account, int64_t now, struct spool_sent *sent_out)
{
	enum store_err err;

	*sent_out = (struct spool_sent){ 0 };
	pthread_mutex_lock(&spool->read_mutex);
	err = count_sent(&spool->reader, account, now, sent_out);
	pthread_mutex_unlock(&spool->read_mutex);
	return err;
}

static bool
passes(uint64_t before, uint64_t more, uint64_t most)
{
	return most > 0 && (more > most || before > most - more);
}

static bool
is_too_much(const struct spool_sent *before, uint64_t recipients, const struct spool_sent *most)
{
	return passes(before->messages_hour, 1, most->messages_hour) ||
	       passes(before->messages_day, 1, most->messages_day) ||
	       passes(before->recipients_hour, recipients, most->recipients_hour) ||
	       passes(before->recipients_day, recipients, most->recipients_day);
}

/* The new row, and everybody's rows of the day before go. */
static enum store_err
add_sent(struct spool *spool, const char *account, int64_t now, uint64_t recipients)
{
	sqlite3_stmt *stmt =
	    sql_get(&spool->sql, "INSERT INTO sent (account, at, recipients) VALUES (?, ?, ?)");
	enum store_err err;

	if (stmt == NULL)
		return STORE_IO;
	sql_bind_text(stmt, 1, account);
	sqlite3_bind_int64(stmt, 2, now);
	sqlite3_bind_int64(stmt, 3, (int64_t)recipients);
	err = sql_run(&spool->sql, stmt);
	stmt = sql_get(&spool->sql, "DELETE FROM sent WHERE at <= ?");
	if (err != STORE_OK || stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, now - DAY_S);
	return sql_run(&spool->sql, stmt);
}

static bool
is_limited(const struct spool_sent *most)
{
	return most->messages_hour > 0 || most->messages_day > 0 || most->recipients_hour > 0 ||
	       most->recipients_day > 0;
}

enum store_err
spool_note_sent(struct spool *spool, const char *account, int64_t now, uint64_t recipients,
    const struct spool_sent *most, struct spool_sent *before_out)
{
	enum store_err err = STORE_OK;

	*before_out = (struct spool_sent){ 0 };
	if (is_limited(most))
		err = count_sent(&spool->sql, account, now, before_out);
	if (err == STORE_OK && is_too_much(before_out, recipients, most))
		err = STORE_LIMIT;
	return err == STORE_OK ? add_sent(spool, account, now, recipients) : err;
}

enum store_err
spool_sent_add(struct spool *spool, const char *account, int64_t now, uint64_t recipients,
    const struct spool_sent *most, struct spool_sent *sent_out)
{
	struct spool_sent before = { 0 };
	enum store_err err;

	pthread_mutex_lock(&spool->mutex);
	err = spool_begin_unsynced(spool);
	if (err == STORE_OK)
		err = spool_note_sent(spool, account, now, recipients, most, &before);
	err = spool_end_unsynced(spool, err);
	pthread_mutex_unlock(&spool->mutex);
	if (sent_out != NULL)
		*sent_out = before;
	return err;
}
