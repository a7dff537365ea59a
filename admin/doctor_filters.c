/* Filters: the administrator's can be read and compile, and so do the accounts' own.  And what their state says. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "admin/filter_tools.h"
#include "base/mem.h"
#include "store/root.h"
#include "store/state.h"

static bool
compiles(struct str text, struct filter_error *error)
{
	struct filter *filter = NULL;
	bool ok = filter_compile(text, &filter, error, NULL) == FILTER_OK;

	filter_free(filter);
	return ok;
}

/* --- the administrator's ------------------------------------------------------------------------ */

/* Deliveries go on without it, and log it each time they start. */
static bool
check_file(struct doctor *d, const char *setting, const char *path)
{
	struct buf text = { 0 };
	struct filter_error error = { .text = "it cannot be read" };
	bool ok = access(path, R_OK) == 0;

	if (!ok) {
		doctor_fail(d, "filters", "mend its path or permissions", "%s %s: %s", setting,
		    path, strerror(errno));
		return false;
	}
	ok = filter_input(path, FILTER_TEXT_MAX_BYTES, &text) &&
	     compiles((struct str){ buf_cstr(&text), text.len }, &error);
	if (!ok)
		doctor_fail(d, "filters", "mend it: mailadmin filter check shows the line",
		    "%s %s: line %u: %s", setting, path, error.line, error.text);
	buf_free(&text);
	return ok;
}

static bool
check_list(struct doctor *d, const char *setting)
{
	bool ok = true;

	for (size_t i = 0; i < config_count(d->a->config, setting); i++)
		ok = check_file(d, setting, config_string_at(d->a->config, setting, i)) && ok;
	return ok;
}

/* Filters of users include them, and fail with them. */
static bool
check_global(struct doctor *d, const char *dir)
{
	DIR *handle = opendir(dir);
	struct dirent *entry;
	bool ok = handle != NULL && access(dir, R_OK | X_OK) == 0;

	if (!ok)
		doctor_fail(d, "filters", "mend its path or permissions",
		    "filter.global_dir %s: %s", dir, strerror(errno));
	while (ok && (entry = readdir(handle)) != NULL) {
		struct str name = str_from(entry->d_name);
		char *path;

		if (name.len <= 6 || name.p[0] == '.' ||
		    strcmp(name.p + name.len - 6, ".sieve") != 0)
			continue;
		path = mem_printf("%s/%s", dir, name.p);
		ok = check_file(d, "filter.global_dir", path) && ok;
		free(path);
	}
	if (handle != NULL)
		closedir(handle);
	return ok;
}

static bool
check_administrators(struct doctor *d)
{
	const char *path = config_string(d->a->config, "filter.default");
	const char *dir = config_string(d->a->config, "filter.global_dir");
	bool ok = path == NULL || check_file(d, "filter.default", path);

	if (dir != NULL)
		ok = check_global(d, dir) && ok;
	ok = check_list(d, "filter.before") && ok;
	return check_list(d, "filter.after") && ok;
}

/* --- the accounts' ------------------------------------------------------------------------------ */

struct tally {
	size_t own, broken, failing;
	char first_broken[300], first_failing[300];
};

static void
count_one(size_t *count, char *first, size_t size, const struct account_row *row)
{
	if ((*count)++ == 0)
		snprintf(first, size, "%s@%s", row->localpart, row->domain);
}

static void
check_state(
    struct doctor *d, struct tally *t, const struct account_row *row, struct store_root *root)
{
	struct buf problems = { 0 };
	struct state_error *errors = NULL;
	struct state *state = NULL;
	struct home *home = NULL;
	size_t count = 0;

	if (home_open(root, row->localpart, row->domain, false, &home) != STORE_OK)
		return; /* said by doctor_mail(), or not made yet */
	if (state_open(home->fd, false, d->a->log, &state) == STORE_OK) {
		if (state_check(state, &problems) != STORE_OK || problems.len > 0)
			doctor_warn(d, "filters",
			    "remove it: servers begin a new one, and at worst answer once more",
			    "state.db of %s@%s is damaged", row->localpart, row->domain);
		if (state_errors(state, &errors, &count) == STORE_OK && count > 0)
			count_one(&t->failing, t->first_failing, sizeof(t->first_failing), row);
		state_errors_free(errors, count);
	}
	state_close(state);
	home_close(home);
	buf_free(&problems);
}

static void
check_account(struct doctor *d, struct tally *t, const struct account_row *row,
    struct store_root *root, bool sample)
{
	struct filter_error error;

	if (row->filter != NULL) {
		t->own++;
		if (!compiles((struct str){ row->filter, row->filter_len }, &error))
			count_one(&t->broken, t->first_broken, sizeof(t->first_broken), row);
	}
	if (sample)
		check_state(d, t, row, root);
}

static void
report(struct doctor *d, const struct tally *t)
{
	if (t->broken > 0)
		doctor_warn(d, "filters", "mailadmin filter show says what is wrong",
		    "%zu account%s a filter that does not compile, so all mail goes to INBOX; the "
		    "first: %s",
		    t->broken, t->broken == 1 ? " has" : "s have", t->first_broken);
	if (t->failing > 0)
		doctor_warn(d, "filters", "mailadmin filter show says which",
		    "%zu account%s errors of a filter; the first: %s", t->failing,
		    t->failing == 1 ? " has" : "s have", t->first_failing);
}

void
doctor_filters(struct doctor *d)
{
	const char *mail_root = config_string(d->a->config, "store.mail_root");
	bool ok = check_administrators(d);
	struct store_root *root = NULL;
	struct tally t = { 0 };
	struct account_row *rows;
	size_t count;

	if (!d->accounts_ok || access(mail_root, R_OK | X_OK) != 0 ||
	    store_root_open(mail_root, d->a->log, &root) != STORE_OK)
		return; /* said already */
	if (account_db_list(d->a->accounts, NULL, &rows, &count) == STORE_OK) {
		for (size_t i = 0; i < count; i++)
			check_account(d, &t, &rows[i], root, i < DOCTOR_SAMPLE_ACCOUNTS);
		account_rows_free(rows, count);
	}
	store_root_close(root);
	report(d, &t);
	if (ok && t.broken == 0)
		doctor_ok(d, "filters", "%zu account%s a filter of %s own", t.own,
		    t.own == 1 ? " has" : "s have", t.own == 1 ? "its" : "their");
}
