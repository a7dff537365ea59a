/* account logins: who has logged in to an account, from where and with what, and what was refused. */
#include <stdlib.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/times.h"
#include "base/mem.h"
#include "store/state_login.h"

static const struct output_column COLUMNS[] = {
	{ "last", "LAST", OUTPUT_TIME },
	{ "count", "TIMES", OUTPUT_TEXT },
	{ "outcome", "OUTCOME", OUTPUT_TEXT },
	{ "source", "FROM", OUTPUT_TEXT },
	{ "protocol", "PROTOCOL", OUTPUT_TEXT },
	{ "method", "METHOD", OUTPUT_TEXT },
	{ "app", "APP", OUTPUT_TEXT },
	{ "client", "CLIENT", OUTPUT_TEXT },
	{ "first", "FIRST", OUTPUT_TIME },
};

static json_t *
text_or_null(const char *text)
{
	return output_string(text != NULL && *text != '\0' ? text : NULL);
}

static json_t *
login_json(const struct state_login *l)
{
	json_t *object = json_object();

	json_object_set_new(object, "outcome", output_string(l->outcome));
	json_object_set_new(object, "source", output_string(l->source));
	json_object_set_new(object, "client", text_or_null(l->client));
	json_object_set_new(object, "protocol", output_string(l->protocol));
	json_object_set_new(object, "method", output_string(l->method));
	json_object_set_new(object, "app", text_or_null(l->app));
	json_object_set_new(object, "first", json_integer(l->first_s));
	json_object_set_new(object, "last", json_integer(l->last_s));
	json_object_set_new(object, "count", json_integer(l->count));
	json_object_set_new(object, "delayed", json_integer(l->delayed));
	return object;
}

static enum admin_status
show(struct admin *a, const struct account_row *row, int64_t since)
{
	struct state_login *logins = NULL;
	struct state *state;
	size_t count = 0;
	enum store_err err = STORE_OK;
	json_t *rows;

	if (!admin_open_state(a, row, &state))
		return ADMIN_REFUSED;
	if (state != NULL)
		err = state_logins(
		    state, since, admin_option(a, "--failed") != NULL, &logins, &count);
	state_close(state);
	if (err != STORE_OK)
		return admin_result(err, a->args[0]);
	rows = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(rows, login_json(&logins[i]));
	state_logins_free(logins, count);
	return output_list(rows, COLUMNS, ARRAY_LEN(COLUMNS), a->json) ? ADMIN_DONE : ADMIN_REFUSED;
}

static enum admin_status
logins_run(struct admin *a)
{
	const char *since_text = admin_option(a, "--since");
	struct account_row row = { 0 };
	int64_t since = 0;
	enum admin_status status;

	if (since_text != NULL && !time_parse(since_text, &since))
		return admin_bad_usage(
		    a, "--since takes a duration (2h) or a time (2026-11-21 14:00)");
	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	status = show(a, &row, since);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_account_logins = {
	.group = "account",
	.name = "logins",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--failed", NULL, "only what was refused" },
	    { "--since", "TIME", "seen since then: 2h (ago), 2026-11-21, \"2026-11-21 14:00\"" },
	    { "--json", NULL, "as JSON" } },
	.summary = "Shows who logged in to an account, and what was refused.",
	.help = "A line counts logins that are alike: same address, client, protocol, method, app "
		"password\nand outcome; the latest first.  The latest 200 kinds that succeeded are "
		"kept and as many\nthat were refused.  Logins show within half a minute.",
	.example = "mailadmin account logins ann@example.org --failed --since 1d",
	.run = logins_run,
};
