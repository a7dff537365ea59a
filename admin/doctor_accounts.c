/* The account database: readable, whole, of our version, and with hashes that can be checked. */
#include <string.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "base/mem.h"
#include "store/account_aliases.h"

static void
check_integrity(struct doctor *d, struct account_db *db, const char *path)
{
	struct buf problems = { 0 };
	enum store_err err = account_db_check(db, &problems);
	const char *first = buf_cstr(&problems);

	if (err != STORE_OK || problems.len > 0) {
		doctor_fail(d, "accounts", "stop the daemons and put a good copy in its place",
		    "%s is damaged: %.*s", path, (int)strcspn(first, "\n"),
		    problems.len > 0 ? first : store_err_text(err));
	} else {
		d->accounts_ok = true;
		doctor_ok(d, "accounts", "%s is whole", path);
	}
	buf_free(&problems);
}

static void
check_version(struct doctor *d, struct account_db *db, const char *path)
{
	uint8_t secret[ACCOUNT_DB_SECRET_BYTES];
	int version = account_db_version(db);

	if (version < ACCOUNT_DB_VERSION)
		doctor_warn(d, "accounts", "mailadmin account list brings it up to date",
		    "%s has version %d, ours is %d", path, version, ACCOUNT_DB_VERSION);
	else if (account_db_secret(db, secret) != STORE_OK)
		doctor_fail(d, "accounts", "mailadmin account list makes one",
		    "%s has no secret: SCRAM logins do not work", path);
	mem_wipe(secret, sizeof(secret));
}

static void
check_rows(struct doctor *d, struct account_db *db)
{
	struct account_row *rows;
	const char *why = NULL;
	size_t count, active = 0;
	enum store_err err = account_db_list(db, NULL, &rows, &count);

	if (err != STORE_OK) {
		d->accounts_ok = false;
		doctor_fail(d, "accounts", "stop the daemons and put a good copy in its place",
		    "the accounts cannot be listed: %s", store_err_text(err));
		return;
	}
	for (size_t i = 0; i < count; i++) {
		active += rows[i].active;
		if (!password_stored_ok(rows[i].password, &why))
			doctor_warn(d, "accounts", "mailadmin account passwd sets a new one",
			    "the password of %s@%s can never match: %s", rows[i].localpart,
			    rows[i].domain, why);
	}
	doctor_ok(d, "accounts", "%zu account%s, %zu active", count, count == 1 ? "" : "s", active);
	account_rows_free(rows, count);
}

/* What another program may have written, or what a setting switches off. */
static void
check_aliases(struct doctor *d, struct account_db *db)
{
	bool catch_all = config_bool(d->a->config, "lda.catch_all");
	struct account_alias *aliases;
	size_t count;

	if (account_alias_list(db, 0, NULL, &aliases, &count) != STORE_OK)
		return; /* said of the file as a whole */
	for (size_t i = 0; i < count; i++) {
		const struct account_alias *alias = &aliases[i];
		struct account_row row = { 0 };

		if (*alias->localpart == '\0' && !catch_all)
			doctor_warn(d, "accounts", "set lda.catch_all, or mailadmin alias delete",
			    "the alias *@%s does nothing: lda.catch_all is off", alias->domain);
		else if (account_db_find(db, str_from(alias->localpart), str_from(alias->domain),
			     &row) == STORE_OK)
			doctor_warn(d, "accounts", "mailadmin alias delete",
			    "the alias %s@%s does nothing: an account has that address",
			    alias->localpart, alias->domain);
		account_row_free(&row);
	}
	account_aliases_free(aliases, count);
}

void
doctor_accounts(struct doctor *d)
{
	const char *path = config_string(d->a->config, "store.account_db");
	enum store_err err = account_db_open(path, ACCOUNT_DB_READ, d->a->log, &d->a->accounts);

	if (err == STORE_NOT_FOUND) {
		doctor_fail(d, "accounts", "mailadmin account add makes it",
		    "%s is not there: no daemon can start", path);
		return;
	}
	if (err != STORE_OK) {
		doctor_fail(d, "accounts",
		    err == STORE_DENIED    ? "chown it to server.user"
		    : err == STORE_VERSION ? "use the newer version of Sanger that wrote it"
					   : "stop the daemons and put a good copy in its place",
		    "%s: %s", path, store_err_text(err));
		return;
	}
	check_integrity(d, d->a->accounts, path);
	check_version(d, d->a->accounts, path);
	check_rows(d, d->a->accounts);
	check_aliases(d, d->a->accounts);
}
