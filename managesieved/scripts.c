#include "managesieved/scripts.h"

#include <stdlib.h>
#include <time.h>

#include "filter/filter.h"
#include "managesieved/managesieved.h"
#include "managesieved/response.h"
#include "managesieved/session.h"
#include "store/account.h"
#include "store/state.h"

static bool
is_exim(struct str text)
{
	return strcmp(filter_text_language(text), "exim") == 0;
}

static bool
is_taken(const struct msieve_script *scripts, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(scripts[i].name, name) == 0)
			return true;
	return false;
}

/* "exim-filter", or "exim-filter-2" where a script is called so */
static const char *
unnamed_name(struct arena *a, struct str text, const struct msieve_script *scripts, size_t count)
{
	const char *base = is_exim(text) ? "exim-filter" : "sieve-filter";
	const char *name = base;

	for (unsigned i = 2; is_taken(scripts, count, name); i++)
		name = arena_printf(a, "%s-%u", base, i);
	return name;
}

static bool
none_is_active(const struct msieve_script *scripts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (scripts[i].active)
			return false;
	return true;
}

/* The active filter, if it was set without a name, behind the `count` named ones. */
static enum store_err
add_unnamed(struct msieve_session *s, struct arena *a, struct msieve_script *scripts, size_t *count)
{
	struct account_filter filter = { 0 };
	enum store_err err = account_filter_get(s->daemon->accounts, s->account, &filter);

	if (err == STORE_OK && filter.text != NULL && filter.name == NULL &&
	    none_is_active(scripts, *count)) {
		struct str text = { arena_strndup(a, filter.text, filter.text_len),
			filter.text_len };

		scripts[*count] = (struct msieve_script){
			.name = unnamed_name(a, text, scripts, *count),
			.active = true,
			.unnamed = true,
			.exim = is_exim(text),
			.text = text,
		};
		(*count)++;
	}
	account_filter_clear(&filter);
	return err;
}

enum store_err
msieve_scripts_list(struct msieve_session *s, struct arena *a, struct msieve_script **scripts_out,
    size_t *count_out)
{
	struct account_script *rows = NULL;
	size_t count = 0;
	enum store_err err = account_scripts_list(s->daemon->accounts, s->account, &rows, &count);

	*scripts_out = NULL;
	*count_out = 0;
	if (err != STORE_OK)
		return err;
	*scripts_out = arena_zalloc(a, (count + 1) * sizeof(**scripts_out));
	for (size_t i = 0; i < count; i++)
		(*scripts_out)[i] = (struct msieve_script){
			.name = arena_strdup(a, rows[i].name),
			.active = rows[i].active,
		};
	*count_out = count;
	account_scripts_free(rows, count);
	return add_unnamed(s, a, *scripts_out, count_out);
}

static enum store_err
find_unnamed(
    struct msieve_session *s, struct arena *a, const char *name, struct msieve_script *script_out)
{
	struct msieve_script *scripts;
	size_t count;
	enum store_err err = msieve_scripts_list(s, a, &scripts, &count);

	if (err != STORE_OK)
		return err;
	if (count == 0 || !scripts[count - 1].unnamed || strcmp(scripts[count - 1].name, name) != 0)
		return STORE_NOT_FOUND;
	*script_out = scripts[count - 1];
	return STORE_OK;
}

enum store_err
msieve_script_find(
    struct msieve_session *s, struct arena *a, const char *name, struct msieve_script *script_out)
{
	struct account_script row = { 0 };
	enum store_err err = account_script_get(s->daemon->accounts, s->account, name, &row);
	struct str text;

	if (err == STORE_NOT_FOUND)
		return find_unnamed(s, a, name, script_out);
	if (err != STORE_OK)
		return err;
	text = (struct str){ arena_strndup(a, row.text, row.text_len), row.text_len };
	*script_out = (struct msieve_script){
		.name = arena_strdup(a, name),
		.active = row.active,
		.exim = is_exim(text),
		.text = text,
	};
	account_script_clear(&row);
	return STORE_OK;
}

const char *
msieve_who(const struct msieve_session *s, struct arena *a)
{
	return arena_printf(a, "managesieve %s", s->peer);
}

/* --- compiling ---------------------------------------------------------------------------------- */

static void
refuse(struct msieve_request *req, enum filter_status status, const struct filter_error *error)
{
	if (status == FILTER_TEMPFAIL)
		msieve_no(req, "TRYLATER", "The script cannot be checked now, try again later");
	else if (error->line == 0)
		msieve_no(req, NULL, error->text);
	else
		msieve_no(
		    req, NULL, arena_printf(req->arena, "line %u: %s", error->line, error->text));
}

bool
msieve_check_text(struct msieve_session *s, struct msieve_request *req, struct str text)
{
	struct filter *filter = NULL;
	struct filter_error error = { 0 };
	struct filter_warnings warnings = { 0 };
	enum filter_status status = filter_compile(text, &filter, &error, &warnings);

	if (status != FILTER_OK) {
		log_debug(s->log, "script-refused", "user=%s line=%u", s->user, error.line);
		refuse(req, status, &error);
	} else if (warnings.count > 0) {
		msieve_ok(req, "WARNINGS", buf_cstr(&warnings.text));
	} else {
		msieve_ok(req, NULL, NULL);
	}
	buf_free(&warnings.text);
	filter_free(filter);
	return status == FILTER_OK;
}

/* --- run-time errors ---------------------------------------------------------------------------- */

/* NULL: there is none, or it cannot be opened, which the log says. */
static struct state *
open_state(struct msieve_session *s)
{
	struct account *acct = NULL;
	struct state *st = NULL;

	if (s->daemon->store == NULL ||
	    account_open(s->daemon->store, s->localpart, s->domain, 0, &acct) != STORE_OK)
		return NULL;
	if (state_open(account_dir_fd(acct), false, s->log, &st) != STORE_OK)
		st = NULL;
	account_close(acct);
	return st;
}

static const char *
describe(struct arena *a, const struct state_error *e)
{
	char when[64] = "";
	time_t last = (time_t)e->last_s;
	struct tm tm;
	const char *where = e->line > 0 ? arena_printf(a, "line %u: ", e->line) : "";

	if (gmtime_r(&last, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm);
	return arena_printf(a,
	    "The active filter failed (last at %s; such mail went to INBOX): %s%s", when, where,
	    e->text);
}

const char *
msieve_filter_error(struct msieve_session *s, struct arena *a)
{
	struct state *st = open_state(s);
	struct state_error *errors = NULL;
	size_t count = 0;
	const char *text = NULL;

	if (st == NULL)
		return NULL;
	if (state_errors(st, &errors, &count) == STORE_OK && count > 0)
		text = describe(a, &errors[0]);
	state_errors_free(errors, count);
	state_close(st);
	return text;
}

void
msieve_filter_errors_clear(struct msieve_session *s)
{
	struct state *st = open_state(s);

	if (st == NULL)
		return;
	state_errors_clear(st); /* what stays is shown once more: no reason to fail */
	state_close(st);
}
