/* What an administrator does to messages that wait, while submitd runs. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/spool.h"
#include "store/spool_internal.h"

/* Runs an UPDATE. */
static enum store_err
update(struct spool *spool, sqlite3_stmt *stmt, size_t *count)
{
	enum store_err err = sql_run(&spool->sql, stmt);

	*count = err == STORE_OK ? (size_t)sqlite3_changes(spool->sql.db) : 0;
	return err;
}

/* --- rows; within a transaction, by id, or all with id NULL -------------------------------------- */

static enum store_err
flush_rows(struct spool *spool, const char *id, const char *unused, size_t *count)
{
	int64_t now = time(NULL);
	sqlite3_stmt *stmt = sql_get(&spool->sql,
	    "UPDATE recipient SET next_attempt = ?1 WHERE state = 0 AND message IN"
	    " (SELECT id FROM message WHERE claim IS NULL AND"
	    "   (id = ?2 OR (?2 IS NULL AND (release_at IS NULL OR release_at <= ?1))))");
	enum store_err err;

	(void)unused;
	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, now);
	sql_bind_text(stmt, 2, id);
	err = sql_run(&spool->sql, stmt);
	stmt = sql_get(&spool->sql,
	    "UPDATE message SET next_attempt = ?1 WHERE claim IS NULL AND parked IS NULL AND"
	    " (id = ?2 OR (?2 IS NULL AND (release_at IS NULL OR release_at <= ?1)))");
	if (err != STORE_OK || stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, now);
	sql_bind_text(stmt, 2, id);
	return update(spool, stmt, count);
}

/* What was parked is to be tried again: its failed recipients wait, as if nothing had been tried. */
static enum store_err
unpark_rows(struct spool *spool, const char *id)
{
	sqlite3_stmt *stmt = sql_get(&spool->sql,
	    "UPDATE recipient SET state = 0, attempts = 0, reported = 0, next_attempt = ?1"
	    " WHERE state = 2 AND message IN (SELECT id FROM message"
	    "   WHERE parked IS NOT NULL AND (?2 IS NULL OR id = ?2))");
	enum store_err err;

	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, time(NULL));
	sql_bind_text(stmt, 2, id);
	err = sql_run(&spool->sql, stmt);
	stmt = sql_get(&spool->sql, "UPDATE message SET next_attempt = ?1"
				    " WHERE parked IS NOT NULL AND (?2 IS NULL OR id = ?2)");
	if (err != STORE_OK || stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, time(NULL));
	sql_bind_text(stmt, 2, id);
	return sql_run(&spool->sql, stmt);
}

static enum store_err
set_held(struct spool *spool, const char *id, bool held, size_t *count)
{
	sqlite3_stmt *stmt =
	    sql_get(&spool->sql, "UPDATE message SET held = ?1, parked = iif(?1, parked, NULL),"
				 " turn = iif(?1, NULL, turn) WHERE ?2 IS NULL OR id = ?2");

	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int(stmt, 1, held);
	sql_bind_text(stmt, 2, id);
	return update(spool, stmt, count);
}

static enum store_err
hold_rows(struct spool *spool, const char *id, const char *unused, size_t *count)
{
	(void)unused;
	return set_held(spool, id, true, count);
}

static enum store_err
release_rows(struct spool *spool, const char *id, const char *unused, size_t *count)
{
	enum store_err err = unpark_rows(spool, id);

	(void)unused;
	return err == STORE_OK ? set_held(spool, id, false, count) : err;
}

static enum store_err
reroute_rows(struct spool *spool, const char *id, const char *route, size_t *count)
{
	sqlite3_stmt *stmt =
	    sql_get(&spool->sql, "UPDATE message SET route = ?1 WHERE ?2 IS NULL OR id = ?2");

	sql_bind_text(stmt, 1, route);
	sql_bind_text(stmt, 2, id);
	return update(spool, stmt, count);
}

static enum store_err
is_claimed(struct spool *spool, const char *id, bool *claimed_out)
{
	sqlite3_stmt *stmt =
	    sql_get(&spool->sql, "SELECT claim IS NOT NULL FROM message WHERE id = ?");
	enum store_err err;

	sql_bind_text(stmt, 1, id);
	err = sql_step(&spool->sql, stmt);
	if (err != STORE_OK)
		return err;
	*claimed_out = sqlite3_column_int(stmt, 0) != 0;
	sqlite3_reset(stmt);
	return STORE_OK;
}

/* --- looking ------------------------------------------------------------------------------------- */

enum store_err
spool_count_relays(
    struct spool *spool, size_t max, struct spool_relay_count **counts_out, size_t *count_out)
{
	struct spool_relay_count *counts = mem_zalloc((max + 1) * sizeof(*counts));
	sqlite3_stmt *stmt;
	enum store_err err;
	size_t n = 0;

	pthread_mutex_lock(&spool->mutex);
	stmt = sql_get(&spool->sql, "SELECT relay, max(reply), count(*) FROM recipient"
				    " WHERE state = 0 GROUP BY relay ORDER BY 3 DESC LIMIT ?");
	sqlite3_bind_int64(stmt, 1, (int64_t)max);
	while ((err = sql_step(&spool->sql, stmt)) == STORE_OK && n < max)
		counts[n++] = (struct spool_relay_count){
			.relay = sql_column_dup(stmt, 0),
			.reply = sql_column_dup(stmt, 1),
			.recipients = (uint64_t)sqlite3_column_int64(stmt, 2),
		};
	sqlite3_reset(stmt);
	pthread_mutex_unlock(&spool->mutex);
	if (err != STORE_OK && err != STORE_NOT_FOUND) {
		spool_relay_counts_free(counts, n);
		return err;
	}
	*counts_out = counts;
	*count_out = n;
	return STORE_OK;
}

void
spool_relay_counts_free(struct spool_relay_count *counts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(counts[i].relay);
		free(counts[i].reply);
	}
	free(counts);
}

/* --- some messages, in one transaction ---------------------------------------------------------- */

/* By enum spool_action; NULL: deleting, which is more than a row. */
static const struct {
	enum store_err (*rows)(struct spool *, const char *id, const char *route, size_t *count);
	bool now;  /* and it is due now */
	bool wait; /* one that is being sent is passed over */
} ACTIONS[] = {
	[SPOOL_ACT_FLUSH] = { .rows = flush_rows, .wait = true },
	[SPOOL_ACT_HOLD] = { .rows = hold_rows },
	[SPOOL_ACT_RELEASE] = { .rows = release_rows },
	[SPOOL_ACT_REROUTE] = { .rows = reroute_rows, .now = true },
	[SPOOL_ACT_DELETE] = { .wait = true },
};

/* The files of messages that go; they are unlinked when the rows are gone for good. */
struct doomed {
	char (*names)[SPOOL_FILE_NAME_BYTES];
	size_t count;
};

static enum store_err
doom(struct spool *spool, const char *id, struct doomed *doomed)
{
	enum store_err err;
	char *owner = spool_file_owner(&spool->sql, id, &err);

	if (owner == NULL)
		return err == STORE_OK ? STORE_CORRUPT : err;
	spool_file_name(doomed->names[doomed->count++], id, owner);
	free(owner);
	return spool_delete_rows(spool, id);
}

static enum store_err
change_one(struct spool *spool, const struct spool_change *change, const char *id,
    struct doomed *doomed, struct spool_changed *changed)
{
	bool claimed;
	enum store_err err = is_claimed(spool, id, &claimed);
	size_t count;

	if (err == STORE_NOT_FOUND) {
		changed->gone++;
		return STORE_OK;
	}
	if (err != STORE_OK)
		return err;
	changed->busy += claimed;
	if (claimed && ACTIONS[change->action].wait)
		return STORE_OK;
	changed->done++;
	if (ACTIONS[change->action].rows == NULL)
		return doom(spool, id, doomed);
	err = ACTIONS[change->action].rows(spool, id, change->route, &count);
	if (err == STORE_OK && ACTIONS[change->action].now && !claimed)
		err = flush_rows(spool, id, NULL, &count);
	return err;
}

static enum store_err
change_all(struct spool *spool, const struct spool_change *change, const char *const *ids,
    size_t count, struct doomed *doomed, struct spool_changed *changed)
{
	enum store_err err = sql_exec(&spool->sql, "BEGIN IMMEDIATE");

	if (err != STORE_OK)
		return err;
	for (size_t i = 0; err == STORE_OK && i < count; i++)
		err = change_one(spool, change, ids[i], doomed, changed);
	return sql_end(&spool->sql, err);
}

static void
unlink_all(struct spool *spool, const struct doomed *doomed)
{
	for (size_t i = 0; i < doomed->count; i++) {
		unlinkat(spool->msg_fd, doomed->names[i], 0);
		spool_count_one(spool, -1);
	}
}

enum store_err
spool_change(struct spool *spool, const struct spool_change *change, const char *const *ids,
    size_t count, struct spool_changed *changed_out)
{
	struct doomed doomed = { 0 };
	enum store_err err;

	*changed_out = (struct spool_changed){ 0 };
	if (change->route != NULL && strlen(change->route) > SPOOL_ADDRESS_MAX)
		return STORE_INVALID;
	if (change->action == SPOOL_ACT_DELETE)
		doomed.names = mem_realloc_array(NULL, count + 1, sizeof(*doomed.names));
	pthread_mutex_lock(&spool->mutex);
	err = spool_recover_claims(spool);
	if (err == STORE_OK)
		err = change_all(spool, change, ids, count, &doomed, changed_out);
	if (err == STORE_OK)
		unlink_all(spool, &doomed);
	pthread_mutex_unlock(&spool->mutex);
	free(doomed.names);
	if (err != STORE_OK)
		*changed_out = (struct spool_changed){ 0 };
	else if (change->action != SPOOL_ACT_HOLD && change->action != SPOOL_ACT_DELETE)
		spool_wake(spool);
	return err;
}

/* --- one message, or all of them ---------------------------------------------------------------- */

static enum store_err
change_id(struct spool *spool, const struct spool_change *change, const char *id, size_t *count)
{
	struct spool_changed changed;
	enum store_err err = spool_change(spool, change, &id, 1, &changed);

	*count = changed.done;
	if (err == STORE_OK && changed.gone > 0)
		err = STORE_NOT_FOUND;
	if (err == STORE_OK && changed.done == 0)
		err = STORE_BUSY;
	return err;
}

/* All that there are, but for deleting, in one statement. */
static enum store_err
change_every(struct spool *spool, const struct spool_change *change, size_t *count)
{
	enum store_err err;

	pthread_mutex_lock(&spool->mutex);
	err = spool_recover_claims(spool);
	if (err == STORE_OK)
		err = sql_exec(&spool->sql, "BEGIN IMMEDIATE");
	if (err == STORE_OK)
		err = sql_end(
		    &spool->sql, ACTIONS[change->action].rows(spool, NULL, change->route, count));
	pthread_mutex_unlock(&spool->mutex);
	if (err == STORE_OK && change->action != SPOOL_ACT_HOLD)
		spool_wake(spool);
	return err;
}

static enum store_err
manage(struct spool *spool, const struct spool_change *change, const char *id, size_t *count_out)
{
	size_t count = 0;
	enum store_err err;

	if (change->route != NULL && strlen(change->route) > SPOOL_ADDRESS_MAX)
		err = STORE_INVALID;
	else if (id != NULL)
		err = change_id(spool, change, id, &count);
	else
		err = change_every(spool, change, &count);
	if (count_out != NULL)
		*count_out = count;
	return err;
}

enum store_err
spool_flush(struct spool *spool, const char *id, size_t *count_out)
{
	return manage(spool, &(struct spool_change){ .action = SPOOL_ACT_FLUSH }, id, count_out);
}

enum store_err
spool_hold(struct spool *spool, const char *id, bool held, size_t *count_out)
{
	return manage(spool,
	    &(struct spool_change){ .action = held ? SPOOL_ACT_HOLD : SPOOL_ACT_RELEASE }, id,
	    count_out);
}

enum store_err
spool_reroute(struct spool *spool, const char *id, const char *route, size_t *count_out)
{
	return manage(spool, &(struct spool_change){ .action = SPOOL_ACT_REROUTE, .route = route },
	    id, count_out);
}

#define DELETE_PAGE 500

/* The next messages after `after`; "" starts. */
static enum store_err
next_ids(struct spool *spool, const char *after, char ids[DELETE_PAGE][SPOOL_ID_LEN + 1],
    size_t *count_out)
{
	sqlite3_stmt *stmt;
	enum store_err err;

	*count_out = 0;
	pthread_mutex_lock(&spool->mutex);
	stmt = sql_get(&spool->sql, "SELECT id FROM message WHERE id > ? ORDER BY id LIMIT 500");
	sql_bind_text(stmt, 1, after);
	while ((err = sql_step(&spool->sql, stmt)) == STORE_OK)
		if (sqlite3_column_bytes(stmt, 0) == SPOOL_ID_LEN && *count_out < DELETE_PAGE)
			memcpy(ids[(*count_out)++], sqlite3_column_text(stmt, 0), SPOOL_ID_LEN + 1);
	pthread_mutex_unlock(&spool->mutex);
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

static enum store_err
delete_every(struct spool *spool, size_t *count)
{
	static const struct spool_change DELETE = { .action = SPOOL_ACT_DELETE };
	char ids[DELETE_PAGE][SPOOL_ID_LEN + 1], after[SPOOL_ID_LEN + 1] = "";
	const char *page[DELETE_PAGE];
	struct spool_changed changed;
	size_t found;
	enum store_err err;

	while ((err = next_ids(spool, after, ids, &found)) == STORE_OK && found > 0) {
		for (size_t i = 0; i < found; i++)
			page[i] = ids[i];
		err = spool_change(spool, &DELETE, page, found, &changed);
		if (err != STORE_OK)
			break;
		*count += changed.done;
		memcpy(after, ids[found - 1], sizeof(after));
	}
	return err;
}

enum store_err
spool_delete(struct spool *spool, const char *id, size_t *count_out)
{
	size_t count = 0;
	enum store_err err;

	if (id != NULL)
		return manage(
		    spool, &(struct spool_change){ .action = SPOOL_ACT_DELETE }, id, count_out);
	err = delete_every(spool, &count);
	if (count_out != NULL)
		*count_out = count;
	return err;
}
