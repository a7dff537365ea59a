/* app add, list, delete: app passwords, a further password for each program or device of an account. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/times.h"
#include "base/mem.h"
#include "store/account_apps.h"
#include "store/state_login.h"

/* --- add ---------------------------------------------------------------------------------------- */

static enum admin_status
read_options(const struct admin *a, struct account_app *app)
{
	const char *protocols = admin_option(a, "--protocols");
	const char *expires = admin_option(a, "--expires");

	if (!account_app_label_is_valid(str_from(a->args[1])))
		return admin_bad_usage(a,
		    "LABEL: 1 to %d bytes of text, such as \"Ann's phone\", are needed",
		    ACCOUNT_APP_LABEL_MAX);
	if (protocols != NULL && !login_protocols_parse(str_from(protocols), &app->protocols))
		return admin_bad_usage(
		    a, "--protocols %s: some of imap, submission and sieve are needed", protocols);
	if (expires == NULL)
		return ADMIN_DONE;
	if (!time_parse_end(expires, &app->expires_s))
		return admin_bad_usage(a,
		    "--expires %s: a date like 2027-06-30 or a number of days is needed", expires);
	if (app->expires_s <= app->created_s)
		return admin_bad_usage(a, "--expires %s is past", expires);
	return ADMIN_DONE;
}

static enum admin_status
add_app(struct admin *a, const struct account_app *app)
{
	char *plain = account_app_generate();
	enum store_err err = account_app_add(a->accounts, app, str_from(plain));

	if (err == STORE_OK)
		puts(plain);
	mem_wipe(plain, strlen(plain));
	free(plain);
	if (err == STORE_EXISTS)
		return admin_refuse("%s has an app password %s already; mailadmin app delete takes "
				    "it away",
		    a->args[0], app->label);
	if (err == STORE_LIMIT)
		return admin_refuse(
		    "%s: an account has at most %d app passwords", a->args[0], ACCOUNT_APPS_MAX);
	return admin_result(err, a->args[0]);
}

static enum admin_status
add_run(struct admin *a)
{
	struct account_app app = { .protocols = LOGIN_PROTOCOLS_ALL, .created_s = time(NULL) };
	struct account_row row = { 0 };
	enum admin_status status = read_options(a, &app);

	if (status != ADMIN_DONE)
		return status;
	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	app.account = row.id;
	app.label = mem_strdup(a->args[1]);
	status = add_app(a, &app);
	free(app.label);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_app_add = {
	.group = "app",
	.name = "add",
	.args = "ADDRESS LABEL",
	.args_least = 2,
	.args_most = 2,
	.options = { { "--protocols", "PROTOCOLS",
			 "imap,submission,sieve or some of them; default: all" },
	    { "--expires", "DATE", "2027-06-30, or a number of days; default: never" } },
	.summary = "Makes an app password and prints it, once.",
	.help = "A further password for one program or device, which is told apart by LABEL in the "
		"login\nhistory and can be taken back alone.  Capitals, hyphens and blanks do not "
		"matter when it\nis typed.  Programs must send it by PLAIN or LOGIN (all do, under "
		"TLS): SCRAM knows\nthe account's own password alone.",
	.example = "mailadmin app add ann@example.org \"Ann's phone\" --protocols imap,submission",
	.run = add_run,
};

/* --- list --------------------------------------------------------------------------------------- */

static const struct output_column COLUMNS[] = {
	{ "label", "LABEL", OUTPUT_TEXT },
	{ "protocols", "PROTOCOLS", OUTPUT_TEXT },
	{ "created", "CREATED", OUTPUT_TIME },
	{ "expires", "EXPIRES", OUTPUT_TIME },
	{ "last_use", "LAST USE", OUTPUT_TIME },
};

/* In JSON a list; in a table on one line. */
static json_t *
protocols_json(const struct admin *a, unsigned set)
{
	static const enum login_protocol ALL[] = { LOGIN_IMAP, LOGIN_SUBMISSION, LOGIN_SIEVE };
	struct buf line = { 0 };
	json_t *list;

	if (!a->json) {
		login_protocols_print(set, &line);
		list = output_string(buf_cstr(&line));
		buf_free(&line);
		return list;
	}
	list = json_array();
	for (size_t i = 0; i < ARRAY_LEN(ALL); i++)
		if ((set & ALL[i]) != 0)
			json_array_append_new(list, json_string(login_protocol_name(ALL[i])));
	return list;
}

static json_t *
time_json(int64_t at)
{
	return at == 0 ? json_null() : json_integer(at);
}

/* `state` NULL: nothing was used yet. */
static json_t *
app_json(const struct admin *a, struct state *state, const struct account_app *app)
{
	json_t *object = json_object();
	int64_t used = 0;

	if (state != NULL)
		state_app_used(state, app->id, app->created_s, &used); /* an error is logged */
	json_object_set_new(object, "label", output_string(app->label));
	json_object_set_new(object, "protocols", protocols_json(a, app->protocols));
	json_object_set_new(object, "created", time_json(app->created_s));
	json_object_set_new(object, "expires", time_json(app->expires_s));
	json_object_set_new(
	    object, "expired", json_boolean(app->expires_s != 0 && app->expires_s <= time(NULL)));
	json_object_set_new(object, "last_use", time_json(used));
	return object;
}

static enum admin_status
list_apps(struct admin *a, const struct account_row *row)
{
	struct account_app *apps;
	struct state *state;
	json_t *rows;
	size_t count;
	enum store_err err;

	if (!admin_open_state(a, row, &state))
		return ADMIN_REFUSED;
	err = account_app_list(a->accounts, row->id, &apps, &count);
	rows = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(rows, app_json(a, state, &apps[i]));
	account_apps_free(apps, count);
	state_close(state);
	if (err == STORE_OK)
		return output_list(rows, COLUMNS, ARRAY_LEN(COLUMNS), a->json) ? ADMIN_DONE
									       : ADMIN_REFUSED;
	json_decref(rows);
	return admin_result(err, a->args[0]);
}

static enum admin_status
list_run(struct admin *a)
{
	struct account_row row = { 0 };
	enum admin_status status;

	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	status = list_apps(a, &row);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_app_list = {
	.group = "app",
	.name = "list",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Lists an account's app passwords, and when each was last used.",
	.help = "The last use is written down within half a minute of the login.",
	.example = "mailadmin app list ann@example.org",
	.run = list_run,
};

/* --- delete ------------------------------------------------------------------------------------- */

static bool
has_app(struct admin *a, const struct account_row *row, const char *label)
{
	struct account_app *apps;
	size_t count;
	bool found = false;

	if (account_app_list(a->accounts, row->id, &apps, &count) != STORE_OK)
		return false;
	for (size_t i = 0; i < count; i++)
		found = found || ascii_eq_nocase(apps[i].label, label);
	account_apps_free(apps, count);
	return found;
}

static enum admin_status
delete_run(struct admin *a)
{
	struct account_row row = { 0 };
	bool dry = admin_option(a, "--dry-run") != NULL;
	enum store_err err;

	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	if (dry)
		err = has_app(a, &row, a->args[1]) ? STORE_OK : STORE_NOT_FOUND;
	else
		err = account_app_delete(a->accounts, row.id, str_from(a->args[1]));
	account_row_free(&row);
	if (err == STORE_NOT_FOUND)
		return admin_refuse("%s has no app password %s; mailadmin app list shows all",
		    a->args[0], a->args[1]);
	if (err == STORE_OK && dry)
		printf("The app password %s of %s would go.\n", a->args[1], a->args[0]);
	return admin_result(err, a->args[0]);
}

const struct admin_command admin_cmd_app_delete = {
	.group = "app",
	.name = "delete",
	.args = "ADDRESS LABEL",
	.args_least = 2,
	.args_most = 2,
	.options = { { "--dry-run", NULL, "only say what would go" } },
	.summary = "Takes an app password back: it does not log in any more.",
	.help = "Sessions that are open go on.",
	.example = "mailadmin app delete ann@example.org \"Ann's phone\"",
	.removes = true,
	.run = delete_run,
};
