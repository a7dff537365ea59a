/* Moves that have begun; see index.h. */
#include "store/index_internal.h"

enum store_err
index_move_add(struct index *ix, const struct index_move *move)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, MOVE_ADD, &err);

	if (st == NULL)
		return err;
	sqlite3_bind_text(st, 1, move->from, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, move->from_uid);
	sqlite3_bind_text(st, 3, move->to, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 4, move->to_uid);
	sqlite3_bind_text(st, 5, move->to_name, -1, SQLITE_STATIC);
	return index_run(ix, st);
}

static char *
column_name(sqlite3_stmt *st, int column)
{
	const char *text = (const char *)sqlite3_column_text(st, column);

	return mem_strdup(text != NULL ? text : "");
}

enum store_err
index_move_next(struct index *ix, int64_t after, struct index_move *move_out)
{
	enum store_err err;
	sqlite3_stmt *st = index_statement(ix, MOVE_NEXT, &err);
	int rc;

	if (st == NULL)
		return err;
	sqlite3_bind_int64(st, 1, after);
	rc = sqlite3_step(st);
	err = index_check(ix, rc, "move");
	if (rc == SQLITE_ROW) {
		*move_out = (struct index_move){
			.id = sqlite3_column_int64(st, 0),
			.from = column_name(st, 1),
			.from_uid = (uint32_t)sqlite3_column_int64(st, 2),
			.to = column_name(st, 3),
			.to_uid = (uint32_t)sqlite3_column_int64(st, 4),
		};
		index_column_text(st, 5, move_out->to_name, sizeof(move_out->to_name));
	}
	sqlite3_reset(st);
	return err == STORE_OK && rc != SQLITE_ROW ? STORE_NOT_FOUND : err;
}

void
index_move_clear(struct index_move *move)
{
	free(move->from);
	free(move->to);
	*move = (struct index_move){ 0 };
}

enum store_err
index_moves_drop(struct index *ix)
{
	return index_run_ints(ix, MOVE_CLEAR, NULL, 0);
}
