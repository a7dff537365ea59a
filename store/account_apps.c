#include "store/account_apps.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/account_db_internal.h"

#define APPS_SINCE_VERSION 4

/* 32 letters and digits, so that 5 random bits are one: without i and l, that look like 1, and without 0 and 1; 0 is
 * taken for o. */
static const char ALPHABET[33] = "abcdefghjkmnopqrstuvwxyz23456789";

/* --- protocols ---------------------------------------------------------------------------------- */

static const struct {
	enum login_protocol protocol;
	const char *name;
} PROTOCOLS[] = {
	{ LOGIN_IMAP, "imap" },
	{ LOGIN_SUBMISSION, "submission" },
	{ LOGIN_SIEVE, "sieve" },
};

const char *
login_protocol_name(enum login_protocol protocol)
{
	for (size_t i = 0; i < ARRAY_LEN(PROTOCOLS); i++)
		if (PROTOCOLS[i].protocol == protocol)
			return PROTOCOLS[i].name;
	return "";
}

static bool
is_word_char(char c)
{
	return c != ' ' && c != ',';
}

static bool
is_divider(char c)
{
	return !is_word_char(c);
}

static unsigned
protocol_of(struct str word)
{
	for (size_t i = 0; i < ARRAY_LEN(PROTOCOLS); i++)
		if (str_eq_nocase(word, str_from(PROTOCOLS[i].name)))
			return PROTOCOLS[i].protocol;
	return 0;
}

bool
login_protocols_parse(struct str text, unsigned *set_out)
{
	struct cursor c = cursor_from(text);
	unsigned set = 0, one;

	while (!cursor_at_end(&c)) {
		struct str word = cursor_take_while(&c, is_word_char);

		cursor_take_while(&c, is_divider);
		if (word.len == 0)
			continue;
		one = protocol_of(word);
		if (one == 0)
			return false;
		set |= one;
	}
	*set_out = set;
	return set != 0;
}

void
login_protocols_print(unsigned set, struct buf *out)
{
	const char *divider = "";

	for (size_t i = 0; i < ARRAY_LEN(PROTOCOLS); i++) {
		if ((set & PROTOCOLS[i].protocol) == 0)
			continue;
		buf_printf(out, "%s%s", divider, PROTOCOLS[i].name);
		divider = " ";
	}
}

/* --- passwords ---------------------------------------------------------------------------------- */

char *
account_app_generate(void)
{
	uint8_t bytes[ACCOUNT_APP_PASSWORD_CHARS];
	struct buf out = { 0 };

	if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
		fputs("no random numbers\n", stderr);
		abort();
	}
	buf_reserve(&out, 2 * sizeof(bytes)); /* no copy is left behind by growing */
	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (i > 0 && i % 5 == 0)
			buf_addc(&out, '-');
		buf_addc(&out, ALPHABET[bytes[i] % 32]);
	}
	mem_wipe(bytes, sizeof(bytes));
	return buf_take(&out);
}

bool
account_app_normalise(struct str typed, char normal_out[static ACCOUNT_APP_PASSWORD_CHARS + 1])
{
	size_t len = 0;

	for (size_t i = 0; i < typed.len; i++) {
		char c = ascii_lower(typed.p[i]);

		if (c == '-' || c == ' ')
			continue;
		c = c == '0' ? 'o' : c;
		if (len == ACCOUNT_APP_PASSWORD_CHARS || c == '\0' || strchr(ALPHABET, c) == NULL)
			return false;
		normal_out[len++] = c;
	}
	normal_out[len] = '\0';
	return len == ACCOUNT_APP_PASSWORD_CHARS;
}

bool
account_app_label_is_valid(struct str label)
{
	for (size_t i = 0; i < label.len; i++)
		if ((unsigned char)label.p[i] < 0x20 || label.p[i] == 0x7f)
			return false;
	return label.len > 0 && label.len <= ACCOUNT_APP_LABEL_MAX && label.p[0] != ' ' &&
	       label.p[label.len - 1] != ' ' && text_is_utf8(label);
}

/* --- reading ------------------------------------------------------------------------------------ */

static void
app_free(struct account_app *app)
{
	if (app->password != NULL)
		mem_wipe(app->password, strlen(app->password));
	free(app->label);
	free(app->password);
}

void
account_apps_free(struct account_app *apps, size_t count)
{
	for (size_t i = 0; i < count; i++)
		app_free(&apps[i]);
	free(apps);
}

/* What another program wrote and we do not understand is good for nothing. */
static unsigned
stored_protocols(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);
	unsigned set = 0;

	if (text == NULL)
		return LOGIN_PROTOCOLS_ALL;
	return login_protocols_parse(str_from(text), &set) ? set : 0;
}

struct apps {
	int64_t account;
	struct account_app *rows;
	size_t count, room;
};

static void
clear_apps(void *arg)
{
	struct apps *l = arg;

	account_apps_free(l->rows, l->count);
	l->rows = NULL;
	l->count = l->room = 0;
}

static enum store_err
read_apps(struct sql *sql, struct apps *l)
{
	sqlite3_stmt *stmt =
	    sql_get(sql, "SELECT id, label, password, protocols, created, expires FROM app_password"
			 " WHERE account = ? ORDER BY label LIMIT 1000");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, l->account);
	while ((err = sql_step(sql, stmt)) == STORE_OK) {
		if (l->count == l->room) {
			l->room = l->room == 0 ? 8 : l->room * 2;
			l->rows = mem_realloc_array(l->rows, l->room, sizeof(*l->rows));
		}
		l->rows[l->count++] = (struct account_app){
			.id = sqlite3_column_int64(stmt, 0),
			.account = l->account,
			.label = sql_column_dup(stmt, 1),
			.password = sql_column_dup(stmt, 2),
			.protocols = stored_protocols(stmt, 3),
			.created_s = sqlite3_column_int64(stmt, 4),
			.expires_s = sqlite3_column_int64(stmt, 5),
		};
	}
	if (err == STORE_NOT_FOUND)
		return STORE_OK;
	clear_apps(l);
	return err;
}

static enum store_err
list_apps(struct sql *sql, void *arg)
{
	return read_apps(sql, arg);
}

enum store_err
account_app_list(
    struct account_db *db, int64_t account, struct account_app **apps_out, size_t *count_out)
{
	struct apps l = { .account = account };
	enum store_err err = account_db_look(db, APPS_SINCE_VERSION, list_apps, clear_apps, &l);

	*apps_out = l.rows;
	*count_out = l.count;
	return err == STORE_NOT_FOUND ? STORE_OK : err; /* an older file has none */
}

static enum store_err
read_app_only(struct sql *sql, int64_t account, enum account_app_only *only_out)
{
	sqlite3_stmt *stmt = sql_get(sql, "SELECT app_only FROM account_login WHERE account = ?");
	enum store_err err;

	*only_out = ACCOUNT_APP_ONLY_DEFAULT;
	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, account);
	err = sql_step(sql, stmt);
	if (err != STORE_OK)
		return err == STORE_NOT_FOUND ? STORE_OK : err;
	if (sqlite3_column_type(stmt, 0) != SQLITE_NULL)
		*only_out =
		    sqlite3_column_int(stmt, 0) != 0 ? ACCOUNT_APP_ONLY_YES : ACCOUNT_APP_ONLY_NO;
	sqlite3_reset(stmt);
	return STORE_OK;
}

struct facts {
	struct apps apps;
	bool want_apps;
	enum account_app_only only;
};

static enum store_err
read_facts(struct sql *sql, void *arg)
{
	struct facts *f = arg;
	enum store_err err = read_app_only(sql, f->apps.account, &f->only);

	return err == STORE_OK && f->want_apps ? read_apps(sql, &f->apps) : err;
}

static void
clear_facts(void *arg)
{
	struct facts *f = arg;

	clear_apps(&f->apps);
	f->only = ACCOUNT_APP_ONLY_DEFAULT;
}

enum store_err
account_login_facts(
    struct account_db *db, int64_t account, bool want_apps, struct account_login_facts *facts_out)
{
	struct facts f = { .apps.account = account, .want_apps = want_apps };
	enum store_err err = account_db_look(db, APPS_SINCE_VERSION, read_facts, clear_facts, &f);

	*facts_out = (struct account_login_facts){ f.only, f.apps.rows, f.apps.count };
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

enum store_err
account_app_only_get(struct account_db *db, int64_t account, enum account_app_only *only_out)
{
	struct account_login_facts facts;
	enum store_err err = account_login_facts(db, account, false, &facts);

	*only_out = facts.only;
	return err;
}

/* --- writing ------------------------------------------------------------------------------------ */

static enum store_err
run_on_account(struct sql *sql, sqlite3_stmt *stmt)
{
	enum store_err err = sql_run(sql, stmt);

	return err == STORE_OK && sqlite3_changes(sql->db) == 0 ? STORE_NOT_FOUND : err;
}

static enum store_err
count_apps(struct sql *sql, int64_t account, int64_t *count_out)
{
	sqlite3_stmt *stmt = sql_get(sql, "SELECT count(*) FROM app_password WHERE account = ?");
	enum store_err err;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, account);
	err = sql_step(sql, stmt);
	if (err != STORE_OK)
		return err;
	*count_out = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return STORE_OK;
}

static enum store_err
add_app(struct sql *sql, void *arg)
{
	const struct account_app *app = arg;
	struct buf protocols = { 0 };
	sqlite3_stmt *stmt;
	enum store_err err;
	int64_t count = 0;

	err = count_apps(sql, app->account, &count);
	if (err != STORE_OK)
		return err;
	if (count >= ACCOUNT_APPS_MAX)
		return STORE_LIMIT;
	stmt = sql_get(sql,
	    "INSERT INTO app_password (account, label, password, protocols, created, expires)"
	    " SELECT id, ?2, ?3, ?4, ?5, ?6 FROM account WHERE id = ?1");
	if (stmt == NULL)
		return STORE_IO;
	login_protocols_print(app->protocols, &protocols);
	sqlite3_bind_int64(stmt, 1, app->account);
	sql_bind_text(stmt, 2, app->label);
	sql_bind_text(stmt, 3, app->password);
	if (app->protocols != LOGIN_PROTOCOLS_ALL)
		sql_bind_text(stmt, 4, buf_cstr(&protocols));
	sqlite3_bind_int64(stmt, 5, app->created_s);
	if (app->expires_s != 0)
		sqlite3_bind_int64(stmt, 6, app->expires_s);
	err = run_on_account(sql, stmt);
	buf_free(&protocols);
	return err;
}

enum store_err
account_app_add(struct account_db *db, const struct account_app *app, struct str plain)
{
	char normal[ACCOUNT_APP_PASSWORD_CHARS + 1];
	struct account_app hashed = *app;
	enum store_err err;

	if (!account_app_label_is_valid(str_from(app->label)) || app->protocols == 0 ||
	    app->expires_s < 0 || !account_app_normalise(plain, normal))
		return STORE_INVALID;
	hashed.password = password_create_by("SSHA512", str_from(normal));
	mem_wipe(normal, sizeof(normal));
	err = account_db_transaction(db, add_app, &hashed);
	mem_wipe(hashed.password, strlen(hashed.password));
	free(hashed.password);
	return err;
}

struct app_name {
	int64_t account;
	struct str label;
};

static enum store_err
delete_app(struct sql *sql, void *arg)
{
	const struct app_name *name = arg;
	sqlite3_stmt *stmt =
	    sql_get(sql, "DELETE FROM app_password WHERE account = ? AND label = ?");

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, name->account);
	sql_bind_str(stmt, 2, name->label);
	return run_on_account(sql, stmt);
}

enum store_err
account_app_delete(struct account_db *db, int64_t account, struct str label)
{
	struct app_name name = { account, label };

	return account_db_transaction(db, delete_app, &name);
}

enum store_err
account_app_only_write(struct sql *sql, int64_t account, enum account_app_only only)
{
	sqlite3_stmt *stmt = sql_get(sql, "INSERT OR REPLACE INTO account_login (account, app_only)"
					  " SELECT id, ?2 FROM account WHERE id = ?1");

	if (stmt == NULL)
		return STORE_IO;
	sqlite3_bind_int64(stmt, 1, account);
	if (only != ACCOUNT_APP_ONLY_DEFAULT)
		sqlite3_bind_int(stmt, 2, only == ACCOUNT_APP_ONLY_YES);
	return run_on_account(sql, stmt);
}

struct app_only {
	int64_t account;
	enum account_app_only only;
};

static enum store_err
set_app_only(struct sql *sql, void *arg)
{
	const struct app_only *o = arg;

	return account_app_only_write(sql, o->account, o->only);
}

enum store_err
account_app_only_set(struct account_db *db, int64_t account, enum account_app_only only)
{
	struct app_only o = { account, only };

	return account_db_transaction(db, set_app_only, &o);
}
