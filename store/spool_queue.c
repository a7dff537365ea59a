#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/spool.h"
#include "store/spool_internal.h"

#define CLAIM_OWNERS_MAX 1024 /* distinct holders of claims: processes */

/* clang-format off */
#define MESSAGE_COLUMNS                                                                            \
	"id, sender, account, envid, ret, body, smtputf8, held, claim, received, next_attempt, size, origin, "      \
	"deliver_by, by_mode, by_trace, require_tls, tls_optional, priority, bulk, release_at, release_mode, "          \
	"route, parked"
#define RECIPIENT_COLUMNS                                                                          \
	"id, address, orcpt, notify, state, reply, relay, attempts, next_attempt, reported"
/* clang-format on */

/* --- reading ----------------------------------------------------------------------------------- */

void
spool_message_free(struct spool_message *msg)
{
	if (msg == NULL)
		return;
	for (size_t i = 0; i < msg->recipient_count; i++) {
		struct spool_recipient *r = &msg->recipients[i];

		free(r->address);
		free(r->orcpt);
		free(r->reply);
		free(r->relay);
	}
	free(msg->recipients);
	free(msg->sender);
	free(msg->account);
	free(msg->envid);
	free(msg->origin);
	free(msg->route);
	free(msg->parked);
	free(msg);
}

void
spool_messages_free(struct spool_message **messages, size_t count)
{
	for (size_t i = 0; i < count; i++)
		spool_message_free(messages[i]);
	free(messages);
}

static enum spool_state
state_from(int number)
{
	return number == SPOOL_DELIVERED || number == SPOOL_FAILED ? (enum spool_state)number
								   : SPOOL_PENDING;
}

static void
note_saved(struct spool_recipient *r)
{
	r->saved.state = r->state;
	r->saved.attempts = r->attempts;
	r->saved.reported = r->reported;
	r->saved.next_attempt = r->next_attempt;
}

/* A message to thousands is saved after each transaction with a relay, which are many. */
static bool
is_saved(const struct spool_recipient *r)
{
	return r->saved.state == r->state && r->saved.attempts == r->attempts &&
	       r->saved.reported == r->reported && r->saved.next_attempt == r->next_attempt;
}

static void
read_recipient(sqlite3_stmt *stmt, struct spool_recipient *r)
{
	*r = (struct spool_recipient){
		.row = sqlite3_column_int64(stmt, 0),
		.address = sql_column_dup(stmt, 1),
		.orcpt = sql_column_dup(stmt, 2),
		.notify = (unsigned)sqlite3_column_int(stmt, 3),
		.state = state_from(sqlite3_column_int(stmt, 4)),
		.reply = sql_column_dup(stmt, 5),
		.relay = sql_column_dup(stmt, 6),
		.attempts = (unsigned)sqlite3_column_int(stmt, 7),
		.next_attempt = sqlite3_column_int64(stmt, 8),
		.reported = (unsigned)sqlite3_column_int(stmt, 9),
	};
	note_saved(r);
}

static enum store_err
read_recipients(struct spool *spool, struct spool_message *msg)
{
	sqlite3_stmt *stmt = sql_get(&spool->sql,
	    "SELECT " RECIPIENT_COLUMNS " FROM recipient WHERE message = ? ORDER BY id");
	size_t room = 0;
	enum store_err err;

	sql_bind_text(stmt, 1, msg->id);
	while ((err = sql_step(&spool->sql, stmt)) == STORE_OK) {
		if (msg->recipient_count == room) {
			room = room == 0 ? 4 : room * 2;
			msg->recipients =
			    mem_realloc_array(msg->recipients, room, sizeof(*msg->recipients));
		}
		read_recipient(stmt, &msg->recipients[msg->recipient_count++]);
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

/* One letter of `modes`; 0 for anything else. */
static char
mode_from(const unsigned char *text, const char *modes)
{
	char mode = text != NULL ? (char)text[0] : 0;

	return mode != 0 && strchr(modes, mode) != NULL ? mode : 0;
}

/* The message of the statement's row, without recipients. */
static struct spool_message *
read_message(sqlite3_stmt *stmt)
{
	struct spool_message *msg = mem_zalloc(sizeof(*msg));
	const char *id = (const char *)sqlite3_column_text(stmt, 0);

	if (id != NULL && strlen(id) == SPOOL_ID_LEN)
		memcpy(msg->id, id, SPOOL_ID_LEN);
	msg->sender = sql_column_dup(stmt, 1);
	msg->account = sql_column_dup(stmt, 2);
	msg->envid = sql_column_dup(stmt, 3);
	msg->ret = (enum spool_ret)sqlite3_column_int(stmt, 4);
	msg->body = (enum spool_body)sqlite3_column_int(stmt, 5);
	msg->smtputf8 = sqlite3_column_int(stmt, 6) != 0;
	msg->held = sqlite3_column_int(stmt, 7) != 0;
	msg->claimed = sqlite3_column_type(stmt, 8) != SQLITE_NULL;
	msg->received = sqlite3_column_int64(stmt, 9);
	msg->next_attempt = sqlite3_column_int64(stmt, 10);
	msg->size_bytes = (uint64_t)sqlite3_column_int64(stmt, 11);
	msg->origin = sql_column_dup(stmt, 12);
	msg->deliver_by = sqlite3_column_int64(stmt, 13);
	msg->by_mode = mode_from(sqlite3_column_text(stmt, 14), "NR");
	msg->by_trace = sqlite3_column_int(stmt, 15) != 0;
	msg->require_tls = sqlite3_column_int(stmt, 16) != 0;
	msg->tls_optional = sqlite3_column_int(stmt, 17) != 0;
	msg->priority = sqlite3_column_int(stmt, 18);
	msg->bulk = sqlite3_column_int(stmt, 19) != 0;
	msg->release_at = sqlite3_column_int64(stmt, 20);
	msg->release_mode = mode_from(sqlite3_column_text(stmt, 21), "FU");
	msg->route = sql_column_dup(stmt, 22);
	msg->parked = sql_column_dup(stmt, 23);
	return msg;
}

static enum store_err
load(struct spool *spool, const char *id, struct spool_message **msg_out)
{
	sqlite3_stmt *stmt =
	    sql_get(&spool->sql, "SELECT " MESSAGE_COLUMNS " FROM message WHERE id = ?");
	struct spool_message *msg;
	enum store_err err;

	*msg_out = NULL;
	sql_bind_text(stmt, 1, id);
	err = sql_step(&spool->sql, stmt);
	if (err != STORE_OK)
		return err;
	msg = read_message(stmt);
	sqlite3_reset(stmt);
	err = read_recipients(spool, msg);
	if (err == STORE_OK)
		*msg_out = msg;
	else
		spool_message_free(msg);
	return err;
}

enum store_err
spool_find(struct spool *spool, const char *id, struct spool_message **msg_out)
{
	enum store_err err;

	pthread_mutex_lock(&spool->mutex);
	err = load(spool, id, msg_out);
	pthread_mutex_unlock(&spool->mutex);
	return err;
}

enum store_err
spool_list(struct spool *spool, const char *after_id, size_t max,
    struct spool_message ***messages_out, size_t *count_out)
{
	struct spool_message **messages = NULL;
	size_t count = 0;
	sqlite3_stmt *stmt;
	enum store_err err;

	*messages_out = NULL;
	*count_out = 0;
	pthread_mutex_lock(&spool->mutex);
	stmt = sql_get(&spool->sql,
	    "SELECT " MESSAGE_COLUMNS " FROM message WHERE id > ? ORDER BY id LIMIT ?");
	sql_bind_text(stmt, 1, after_id != NULL ? after_id : "");
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 2, (int64_t)max);
	while ((err = sql_step(&spool->sql, stmt)) == STORE_OK) {
		messages = mem_realloc_array(messages, count + 1, sizeof(*messages));
		messages[count++] = read_message(stmt);
	}
	if (err == STORE_NOT_FOUND)
		err = STORE_OK;
	for (size_t i = 0; err == STORE_OK && i < count; i++)
		err = read_recipients(spool, messages[i]);
	pthread_mutex_unlock(&spool->mutex);
	if (err == STORE_OK) {
		*messages_out = messages;
		*count_out = count;
	} else {
		spool_messages_free(messages, count);
	}
	return err;
}

enum store_err
spool_count(struct spool *spool, struct spool_counts *counts_out)
{
	sqlite3_stmt *stmt;
	enum store_err err;

	*counts_out = (struct spool_counts){ 0 };
	pthread_mutex_lock(&spool->mutex);
	stmt = sql_get(&spool->sql,
	    "SELECT count(*), ifnull(sum(held), 0), count(claim), ifnull(sum(size), 0),"
	    " ifnull(min(received), 0),"
	    " (SELECT count(*) FROM recipient WHERE state = 0), count(parked) FROM message");
	err = sql_step(&spool->sql, stmt);
	if (err == STORE_OK) {
		counts_out->messages = (uint64_t)sqlite3_column_int64(stmt, 0);
		counts_out->held = (uint64_t)sqlite3_column_int64(stmt, 1);
		counts_out->claimed = (uint64_t)sqlite3_column_int64(stmt, 2);
		counts_out->bytes = (uint64_t)sqlite3_column_int64(stmt, 3);
		counts_out->oldest = sqlite3_column_int64(stmt, 4);
		counts_out->recipients_pending = (uint64_t)sqlite3_column_int64(stmt, 5);
		counts_out->parked = (uint64_t)sqlite3_column_int64(stmt, 6);
		sqlite3_reset(stmt);
	}
	pthread_mutex_unlock(&spool->mutex);
	return err;
}

enum store_err
spool_count_account(struct spool *spool, const char *account, uint64_t *messages_out)
{
	sqlite3_stmt *stmt;
	enum store_err err;

	*messages_out = 0;
	pthread_mutex_lock(&spool->mutex);
	stmt = sql_get(&spool->sql, "SELECT count(*) FROM message WHERE account = ?");
	sql_bind_text(stmt, 1, account);
	err = sql_step(&spool->sql, stmt);
	if (err == STORE_OK) {
		*messages_out = (uint64_t)sqlite3_column_int64(stmt, 0);
		sqlite3_reset(stmt);
	}
	pthread_mutex_unlock(&spool->mutex);
	return err;
}

char *
spool_file_owner(struct sql *sql, const char *id, enum store_err *err_out)
{
	sqlite3_stmt *stmt = sql_get(sql, "SELECT owner FROM message WHERE id = ?");
	char *owner = NULL;

	sql_bind_text(stmt, 1, id);
	*err_out = sql_step(sql, stmt);
	if (*err_out == STORE_OK) {
		owner = sql_column_dup(stmt, 0);
		sqlite3_reset(stmt);
	}
	return owner;
}

enum store_err
spool_content(struct spool *spool, const char *id, int *fd_out)
{
	char name[SPOOL_FILE_NAME_BYTES];
	enum store_err err;
	char *owner;

	*fd_out = -1;
	pthread_mutex_lock(&spool->read_mutex);
	owner = spool_file_owner(&spool->reader, id, &err);
	pthread_mutex_unlock(&spool->read_mutex);
	if (owner == NULL)
		return err;
	spool_file_name(name, id, owner);
	free(owner);
	*fd_out = openat(spool->msg_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd_out >= 0)
		return STORE_OK;
	log_error(spool->log, "spool", "id=%s doing=open error=%s", id, strerror(errno));
	return errno == ENOENT ? STORE_CORRUPT : STORE_IO;
}

/* --- claims ------------------------------------------------------------------------------------ */

static enum store_err
void_claims_of(struct spool *spool, const char *owner)
{
	sqlite3_stmt *stmt =
	    sql_get(&spool->sql, "UPDATE message SET claim = NULL WHERE claim = ?");

	log_info(spool->log, "spool-recover", "owner=%s", owner);
	sql_bind_text(stmt, 1, owner);
	return sql_run(&spool->sql, stmt);
}

enum store_err
spool_recover_claims(struct spool *spool)
{
	sqlite3_stmt *stmt = sql_get(
	    &spool->sql, "SELECT DISTINCT claim FROM message WHERE claim IS NOT NULL LIMIT 1024");
	char *owners[CLAIM_OWNERS_MAX];
	size_t count = 0;
	enum store_err err;

	while (count < CLAIM_OWNERS_MAX && (err = sql_step(&spool->sql, stmt)) == STORE_OK)
		owners[count++] = sql_column_dup(stmt, 0);
	if (stmt != NULL)
		sqlite3_reset(stmt);
	if (count == CLAIM_OWNERS_MAX || err == STORE_NOT_FOUND)
		err = STORE_OK;
	for (size_t i = 0; i < count; i++) {
		if (err == STORE_OK && spool_owner_is_dead(spool, owners[i]))
			err = void_claims_of(spool, owners[i]);
		free(owners[i]);
	}
	return err;
}

static enum store_err
take(struct spool *spool, const char *id, struct spool_message **msg_out)
{
	sqlite3_stmt *stmt = sql_get(&spool->sql,
	    "UPDATE message SET claim = ?, turn = NULL WHERE id = ? AND claim IS NULL");
	enum store_err err;

	sql_bind_text(stmt, 1, spool->owner);
	sql_bind_text(stmt, 2, id);
	err = sql_run(&spool->sql, stmt);
	if (err == STORE_OK && sqlite3_changes(spool->sql.db) == 0)
		err = STORE_BUSY;
	return err == STORE_OK ? load(spool, id, msg_out) : err;
}

/* A claim that a crash takes away is void anyway, so its commit need not be synced: what
 * must last is synced later with it, in order. */
enum store_err
spool_begin_unsynced(struct spool *spool)
{
	enum store_err err = sql_exec(&spool->sql, "PRAGMA synchronous = NORMAL");

	return err == STORE_OK ? sql_exec(&spool->sql, "BEGIN IMMEDIATE") : err;
}

enum store_err
spool_end_unsynced(struct spool *spool, enum store_err err)
{
	err = sql_end(&spool->sql, err);
	if (sql_exec(&spool->sql, "PRAGMA synchronous = FULL") != STORE_OK)
		abort(); /* what is answered from now on would not be durable */
	return err;
}

/* What is asked for: a turn, or (`old` > 0) what is overdue. */
static enum store_err
choose(struct spool *spool, int64_t now, int64_t old, char id_out[SPOOL_ID_LEN + 1])
{
	enum store_err err;

	if (old > 0)
		return spool_first_overdue(spool, now, old, id_out);
	err = spool_line_up(spool, now);
	return err == STORE_OK ? spool_first_in_line(spool, id_out) : err;
}

/* Without a lock, so that nobody waits where nothing is. */
static enum store_err
look(struct spool *spool, int64_t now, int64_t old)
{
	sqlite3_stmt *stmt;
	char id[SPOOL_ID_LEN + 1];
	enum store_err err;

	if (old > 0)
		return spool_first_overdue(spool, now, old, id);
	stmt = sql_get(&spool->sql,
	    "SELECT EXISTS (SELECT 1 FROM message WHERE turn IS NOT NULL)"
	    " OR EXISTS (SELECT 1 FROM message WHERE held = 0 AND claim IS NULL"
	    "   AND turn IS NULL AND next_attempt <= ?)");
	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, now);
	err = sql_step(&spool->sql, stmt);
	if (err == STORE_OK && sqlite3_column_int(stmt, 0) == 0)
		err = STORE_NOT_FOUND;
	sqlite3_reset(stmt);
	return err;
}

static enum store_err
claim_due(struct spool *spool, int64_t now, int64_t old, struct spool_message **msg_out)
{
	char id[SPOOL_ID_LEN + 1];
	enum store_err err = look(spool, now, old);

	if (err != STORE_OK)
		return err;
	err = spool_begin_unsynced(spool);
	if (err == STORE_OK)
		err = choose(spool, now, old, id);
	if (err == STORE_OK)
		err = take(spool, id, msg_out);
	err = spool_end_unsynced(spool, err);
	if (err != STORE_OK) {
		spool_message_free(*msg_out);
		*msg_out = NULL;
	}
	return err;
}

static enum store_err retry_unsaved(struct spool *spool);

static enum store_err
claim(struct spool *spool, int64_t now, int64_t old, struct spool_message **msg_out)
{
	enum store_err err;

	*msg_out = NULL;
	pthread_mutex_lock(&spool->mutex);
	err = retry_unsaved(spool);
	if (err == STORE_OK)
		err = claim_due(spool, now, old, msg_out);
	if (err == STORE_NOT_FOUND) { /* nobody's; what the dead held is the next to try */
		err = spool_recover_claims(spool);
		if (err == STORE_OK)
			err = claim_due(spool, now, old, msg_out);
	}
	pthread_mutex_unlock(&spool->mutex);
	return err;
}

enum store_err
spool_claim(struct spool *spool, int64_t now, struct spool_message **msg_out)
{
	return claim(spool, now, 0, msg_out);
}

enum store_err
spool_claim_overdue(
    struct spool *spool, int64_t now, int64_t received_before, struct spool_message **msg_out)
{
	return claim(spool, now, received_before > 0 ? received_before : 1, msg_out);
}

enum store_err
spool_claim_id(struct spool *spool, const char *id, struct spool_message **msg_out)
{
	enum store_err err;

	*msg_out = NULL;
	pthread_mutex_lock(&spool->mutex);
	err = load(spool, id, msg_out); /* is it there at all? */
	spool_message_free(*msg_out);
	*msg_out = NULL;
	if (err == STORE_OK)
		err = spool_recover_claims(spool);
	if (err == STORE_OK) {
		err = spool_begin_unsynced(spool);
		if (err == STORE_OK)
			err = take(spool, id, msg_out);
		err = spool_end_unsynced(spool, err);
	}
	if (err != STORE_OK) {
		spool_message_free(*msg_out);
		*msg_out = NULL;
	}
	pthread_mutex_unlock(&spool->mutex);
	return err;
}

/* --- results ----------------------------------------------------------------------------------- */

static enum store_err
save_recipient(struct spool *spool, const struct spool_recipient *r)
{
	sqlite3_stmt *stmt = sql_get(&spool->sql,
	    "UPDATE recipient SET state = ?, reply = ?, relay = ?, attempts = ?, next_attempt = ?,"
	    " reported = ? WHERE id = ?");
	size_t reply_len = r->reply != NULL ? strlen(r->reply) : 0;

	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int(stmt, 1, (int)r->state);
	if (r->reply != NULL)
		sqlite3_bind_text(stmt, 2, r->reply,
		    (int)(reply_len < SPOOL_REPLY_MAX ? reply_len : SPOOL_REPLY_MAX),
		    SQLITE_STATIC);
	sql_bind_text(stmt, 3, r->relay);
	sqlite3_bind_int64(stmt, 4, r->attempts);
	sqlite3_bind_int64(stmt, 5, r->next_attempt);
	sqlite3_bind_int(stmt, 6, (int)r->reported);
	sqlite3_bind_int64(stmt, 7, r->row);
	return sql_run(&spool->sql, stmt);
}

/* When the earliest pending recipient is due; false if none is pending. */
static bool
next_attempt_of(const struct spool_message *msg, int64_t *when_out)
{
	bool pending = false;

	for (size_t i = 0; i < msg->recipient_count; i++) {
		const struct spool_recipient *r = &msg->recipients[i];

		if (r->state != SPOOL_PENDING)
			continue;
		if (!pending || r->next_attempt < *when_out)
			*when_out = r->next_attempt;
		pending = true;
	}
	return pending;
}

static enum store_err
save_message(struct spool *spool, const struct spool_message *msg, bool give_back)
{
	sqlite3_stmt *stmt = sql_get(&spool->sql,
	    "UPDATE message SET next_attempt = ?1, claim = ?2, held = held OR ?5 IS NOT NULL,"
	    " parked = coalesce(?5, parked) WHERE id = ?3 AND claim = ?4");
	int64_t when = msg->next_attempt;
	enum store_err err;

	if (stmt == NULL)
		return STORE_IO;
	(void)next_attempt_of(msg, &when);
	sqlite3_bind_int64(stmt, 1, when);
	sql_bind_text(stmt, 2, give_back ? NULL : spool->owner);
	sql_bind_text(stmt, 3, msg->id);
	sql_bind_text(stmt, 4, spool->owner);
	sql_bind_text(stmt, 5, msg->parked);
	err = sql_run(&spool->sql, stmt);
	if (err == STORE_OK && sqlite3_changes(spool->sql.db) == 0)
		err = STORE_CHANGED; /* not ours any more */
	for (size_t i = 0; err == STORE_OK && i < msg->recipient_count; i++)
		if (!is_saved(&msg->recipients[i]))
			err = save_recipient(spool, &msg->recipients[i]);
	return err;
}

static enum store_err
save(struct spool *spool, const struct spool_message *msg, bool give_back)
{
	enum store_err err = sql_exec(&spool->sql, "BEGIN IMMEDIATE");

	if (err != STORE_OK)
		return err;
	err = sql_end(&spool->sql, save_message(spool, msg, give_back));
	for (size_t i = 0; err == STORE_OK && i < msg->recipient_count; i++)
		note_saved(&msg->recipients[i]);
	return err;
}

enum store_err
spool_save(struct spool *spool, const struct spool_message *msg)
{
	enum store_err err;

	pthread_mutex_lock(&spool->mutex);
	err = save(spool, msg, false);
	pthread_mutex_unlock(&spool->mutex);
	return err;
}

enum store_err
spool_delete_rows(struct spool *spool, const char *id)
{
	sqlite3_stmt *stmt = sql_get(&spool->sql, "DELETE FROM recipient WHERE message = ?");
	enum store_err err;

	sql_bind_text(stmt, 1, id);
	err = sql_run(&spool->sql, stmt);
	stmt = sql_get(&spool->sql, "DELETE FROM message WHERE id = ?");
	sql_bind_text(stmt, 1, id);
	return err == STORE_OK ? sql_run(&spool->sql, stmt) : err;
}

/* The rows go within the caller's transaction; *owner_out is the caller's, also after an error. */
static enum store_err
remove_rows(struct spool *spool, const char *id, char **owner_out)
{
	enum store_err err;

	*owner_out = spool_file_owner(&spool->sql, id, &err);
	return err == STORE_OK ? spool_delete_rows(spool, id) : err;
}

static void
remove_file(struct spool *spool, const char *id, const char *owner)
{
	char name[SPOOL_FILE_NAME_BYTES];

	if (owner != NULL) {
		spool_file_name(name, id, owner);
		unlinkat(spool->msg_fd, name, 0);
	}
	spool_count_one(spool, -1);
}

/* The row goes first, durably: a file alone is swept, a row alone would be a lost message. */
static enum store_err
remove_message(struct spool *spool, const char *id)
{
	enum store_err err = sql_exec(&spool->sql, "BEGIN IMMEDIATE");
	char *owner = NULL;

	if (err != STORE_OK)
		return err;
	err = sql_end(&spool->sql, remove_rows(spool, id, &owner));
	if (err == STORE_OK)
		remove_file(spool, id, owner);
	free(owner);
	return err;
}

/* Claimed first, so that nobody sends it while it goes. */
static enum store_err
delete_one(struct spool *spool, const char *id)
{
	struct spool_message *msg = NULL;
	enum store_err err = spool_begin_unsynced(spool);

	if (err == STORE_OK)
		err = take(spool, id, &msg);
	err = spool_end_unsynced(spool, err);
	spool_message_free(msg);
	return err == STORE_OK ? remove_message(spool, id) : err;
}

static enum store_err
first_expired(struct spool *spool, int64_t now, char id_out[SPOOL_ID_LEN + 1])
{
	sqlite3_stmt *stmt = sql_get(&spool->sql,
	    "SELECT id, parked FROM message WHERE parked IS NOT NULL AND next_attempt <= ?"
	    " AND claim IS NULL ORDER BY next_attempt LIMIT 1");
	enum store_err err;

	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, now);
	err = sql_step(&spool->sql, stmt);
	if (err != STORE_OK)
		return err;
	snprintf(id_out, SPOOL_ID_LEN + 1, "%s", (const char *)sqlite3_column_text(stmt, 0));
	log_warn(spool->log, "parked-expired", "id=%s reason=%s", id_out,
	    (const char *)sqlite3_column_text(stmt, 1));
	sqlite3_reset(stmt);
	return STORE_OK;
}

void
spool_expire_parked(struct spool *spool, int64_t now)
{
	char id[SPOOL_ID_LEN + 1];

	pthread_mutex_lock(&spool->mutex);
	while (first_expired(spool, now, id) == STORE_OK && delete_one(spool, id) == STORE_OK)
		continue;
	pthread_mutex_unlock(&spool->mutex);
}

/* Waits on, or is done and goes. */
static enum store_err
finish(struct spool *spool, const struct spool_message *msg)
{
	int64_t when;

	return next_attempt_of(msg, &when) || msg->parked != NULL ? save(spool, msg, true)
								  : remove_message(spool, msg->id);
}

enum store_err
spool_release(struct spool *spool, struct spool_message *msg)
{
	enum store_err err;

	pthread_mutex_lock(&spool->mutex);
	err = finish(spool, msg);
	if (err == STORE_OK || err == STORE_CHANGED || err == STORE_NOT_FOUND) {
		spool_message_free(msg);
	} else {
		struct unsaved *u = mem_zalloc(sizeof(*u));

		*u = (struct unsaved){ spool->unsaved, msg };
		spool->unsaved = u;
	}
	pthread_mutex_unlock(&spool->mutex);
	return err;
}

struct completing {
	struct spool_waiting waiting; /* first, so that it is found by it */
	const char *id;
	char *owner;
};

static enum store_err
write_completing(struct spool *spool, struct spool_waiting *w)
{
	struct completing *c = (struct completing *)w;

	free(c->owner); /* of a transaction that failed for another */
	return remove_rows(spool, c->id, &c->owner);
}

enum store_err
spool_complete(struct spool *spool, const struct spool_message *msg)
{
	struct completing c = { .waiting.write = write_completing, .id = msg->id };
	enum store_err err = spool_write_together(spool, &c.waiting);

	if (err == STORE_OK)
		remove_file(spool, msg->id, c.owner);
	free(c.owner);
	return err;
}

enum store_err
spool_park(struct spool *spool, struct spool_message *msg, const char *reason)
{
	size_t len = strnlen(reason, SPOOL_REPLY_MAX);

	free(msg->parked);
	msg->parked = mem_strndup(reason, len);
	return spool_release(spool, msg);
}

static enum store_err
retry_unsaved(struct spool *spool)
{
	while (spool->unsaved != NULL) {
		struct unsaved *u = spool->unsaved;
		enum store_err err = finish(spool, u->msg);

		if (err != STORE_OK && err != STORE_CHANGED && err != STORE_NOT_FOUND)
			return err;
		spool->unsaved = u->next;
		spool_message_free(u->msg);
		free(u);
	}
	return STORE_OK;
}

/* --- checking ---------------------------------------------------------------------------------- */

static enum store_err
check_files(struct spool *spool, struct buf *problems)
{
	sqlite3_stmt *stmt = sql_get(&spool->sql, "SELECT id, owner FROM message");
	enum store_err err;

	while ((err = sql_step(&spool->sql, stmt)) == STORE_OK) {
		const char *id = (const char *)sqlite3_column_text(stmt, 0);
		const char *owner = (const char *)sqlite3_column_text(stmt, 1);
		char name[SPOOL_FILE_NAME_BYTES];

		if (id == NULL || owner == NULL)
			continue;
		spool_file_name(name, id, owner);
		if (faccessat(spool->msg_fd, name, R_OK, 0) != 0)
			buf_printf(problems, "message %s: its file msg/%s: %s\n", id, name,
			    strerror(errno));
	}
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
spool_check(struct spool *spool, struct buf *problems)
{
	enum store_err err;

	pthread_mutex_lock(&spool->mutex);
	err = sql_check(&spool->sql, problems);
	if (err == STORE_OK)
		err = check_files(spool, problems);
	pthread_mutex_unlock(&spool->mutex);
	return err;
}
