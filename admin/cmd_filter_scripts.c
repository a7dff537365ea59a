/* filter list, put, get, activate, delete: an account's named scripts. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/filter_tools.h"
#include "admin/output.h"
#include "store/state.h"

static enum admin_status
with_account(
    struct admin *a, enum admin_status (*act)(struct admin *a, const struct account_row *row))
{
	struct account_row row = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if (admin_find_account(a, a->args[0], &row))
		status = act(a, &row);
	account_row_free(&row);
	return status;
}

static enum admin_status
script_result(enum store_err err, const char *name)
{
	switch (err) {
	case STORE_NOT_FOUND: return admin_refuse("there is no script %s", name);
	case STORE_INVALID:
		return admin_refuse(
		    "%s: a name is UTF-8 of 1 to 512 bytes without control characters", name);
	case STORE_LIMIT: return admin_refuse("%s: the account has too many scripts", name);
	case STORE_OVER_QUOTA:
		return admin_refuse("%s: the account's scripts are too large together", name);
	case STORE_BUSY:
		return admin_refuse(
		    "%s is the active script; activate another or clear the filter first", name);
	default: return admin_result(err, name);
	}
}

/* --- list --------------------------------------------------------------------------------------- */

static const struct output_column LIST_COLUMNS[] = {
	{ "name", "NAME", OUTPUT_TEXT },
	{ "active", "ACTIVE", OUTPUT_YESNO },
	{ "bytes", "BYTES", OUTPUT_TEXT },
	{ "created", "CREATED", OUTPUT_TIME },
	{ "changed", "CHANGED", OUTPUT_TIME },
};

static enum admin_status
list(struct admin *a, const struct account_row *row)
{
	struct account_script *scripts;
	size_t count;
	json_t *rows;
	enum store_err err = account_scripts_list(a->accounts, row->id, &scripts, &count);

	if (err != STORE_OK)
		return admin_result(err, a->args[0]);
	rows = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(
		    rows, json_pack("{so sb sI sI sI}", "name", output_string(scripts[i].name),
			      "active", scripts[i].active, "bytes", (json_int_t)scripts[i].text_len,
			      "created", (json_int_t)scripts[i].created_s, "changed",
			      (json_int_t)scripts[i].changed_s));
	account_scripts_free(scripts, count);
	return output_list(rows, LIST_COLUMNS, ARRAY_LEN(LIST_COLUMNS), a->json) ? ADMIN_DONE
										 : ADMIN_REFUSED;
}

static enum admin_status
list_run(struct admin *a)
{
	return with_account(a, list);
}

const struct admin_command admin_cmd_filter_list = {
	.group = "filter",
	.name = "list",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Lists an account's named scripts.",
	.help = "They are those that ManageSieve shows and include :personal reads.",
	.example = "mailadmin filter list ann@example.org",
	.run = list_run,
};

/* --- put ---------------------------------------------------------------------------------------- */

/* Errors of deliveries were of the text before, if it is the active script. */
static void
forget_errors(struct admin *a, const struct account_row *row)
{
	struct account_filter f;
	struct state *state = NULL;

	if (account_filter_get(a->accounts, row->id, &f) == STORE_OK && f.name != NULL &&
	    strcmp(f.name, a->args[1]) == 0 && admin_open_state(a, row, &state) && state != NULL)
		state_errors_clear(state);
	state_close(state);
	account_filter_clear(&f);
}

static enum admin_status
put(struct admin *a, const char *file, struct str text)
{
	struct account_script_limits limits;
	struct account_row row = { 0 };
	char who[FILTER_HISTORY_WHO_BYTES];
	enum store_err err;

	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	if (strcmp(filter_text_language(text), "exim") == 0) {
		account_row_free(&row);
		return admin_refuse("an Exim filter has no name: mailadmin filter set takes it");
	}
	if (!filter_explain(file, text)) {
		account_row_free(&row);
		return admin_refuse("the script was not stored");
	}
	filter_script_limits(a->config, &limits);
	filter_who(who, sizeof(who));
	err = account_script_put(a->accounts, row.id, a->args[1], text, &limits, who);
	if (err == STORE_OK)
		forget_errors(a, &row);
	account_row_free(&row);
	return script_result(err, a->args[1]);
}

static enum admin_status
put_run(struct admin *a)
{
	const char *file = a->arg_count > 2 ? a->args[2] : "-";
	struct buf text = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if (filter_input(file, FILTER_TEXT_MAX_BYTES, &text) && admin_start(a))
		status = put(a, file, (struct str){ buf_cstr(&text), text.len });
	buf_free(&text);
	return status;
}

const struct admin_command admin_cmd_filter_put = {
	.group = "filter",
	.name = "put",
	.args = "ADDRESS SCRIPT [FILE]",
	.args_least = 2,
	.args_most = 3,
	.summary = "Stores a Sieve script under a name, new or in place of another.",
	.help = "Without FILE, or with -, it is read from standard input.  The active script's new "
		"text\ncounts at once.  A script that does not compile is refused.",
	.example = "mailadmin filter put ann@example.org holidays holidays.sieve",
	.before_config = true,
	.run = put_run,
};

/* --- get ---------------------------------------------------------------------------------------- */

static enum admin_status
print_script(struct admin *a, const char *file, FILE *out)
{
	struct account_row row = { 0 };
	struct account_script script = { 0 };
	enum store_err err;
	bool ok;

	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	err = account_script_get(a->accounts, row.id, a->args[1], &script);
	account_row_free(&row);
	if (err != STORE_OK)
		return script_result(err, a->args[1]);
	ok = fwrite(script.text, 1, script.text_len, out) == script.text_len && fflush(out) == 0;
	account_script_clear(&script);
	return ok ? ADMIN_DONE : admin_refuse("%s: %s", file, strerror(errno));
}

/* The file is opened first: the administrator may write where server.user may not.  What is there is replaced only when
 * the script is there to be written. */
static enum admin_status
get_run(struct admin *a)
{
	const char *file = a->arg_count > 2 ? a->args[2] : "-";
	bool is_stdout = strcmp(file, "-") == 0;
	bool is_new = !is_stdout && access(file, F_OK) != 0;
	int fd = is_stdout ? dup(STDOUT_FILENO) : open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
	enum admin_status status = ADMIN_REFUSED;

	if (out == NULL)
		return admin_refuse("%s: %s", file, strerror(errno));
	if (admin_start(a))
		status = print_script(a, file, out);
	if (status == ADMIN_DONE && !is_stdout && ftruncate(fd, ftello(out)) != 0)
		status = admin_refuse("%s: %s", file, strerror(errno));
	if (fclose(out) != 0 && status == ADMIN_DONE)
		status = admin_refuse("%s: %s", file, strerror(errno));
	if (status != ADMIN_DONE && is_new && unlink(file) != 0)
		admin_refuse("%s is left behind empty", file); /* server.user may not remove it */
	return status;
}

const struct admin_command admin_cmd_filter_get = {
	.group = "filter",
	.name = "get",
	.args = "ADDRESS SCRIPT [FILE]",
	.args_least = 2,
	.args_most = 3,
	.summary = "Prints a named script, or writes it to a file.",
	.example = "mailadmin filter get ann@example.org holidays",
	.before_config = true,
	.run = get_run,
};

/* --- activate, delete --------------------------------------------------------------------------- */

static enum admin_status
activate(struct admin *a, const struct account_row *row)
{
	struct account_script script = { 0 };
	char who[FILTER_HISTORY_WHO_BYTES];
	enum store_err err = account_script_get(a->accounts, row->id, a->args[1], &script);
	bool compiles;

	if (err != STORE_OK)
		return script_result(err, a->args[1]);
	compiles = filter_explain(a->args[1], (struct str){ script.text, script.text_len });
	account_script_clear(&script);
	if (!compiles)
		return admin_refuse("the filter was not changed");
	filter_who(who, sizeof(who));
	err = account_script_activate(a->accounts, row->id, a->args[1], who);
	if (err == STORE_OK)
		forget_errors(a, row);
	return script_result(err, a->args[1]);
}

static enum admin_status
activate_run(struct admin *a)
{
	return with_account(a, activate);
}

static enum admin_status
delete_script(struct admin *a, const struct account_row *row)
{
	bool dry = admin_option(a, "--dry-run") != NULL;
	struct account_script script = { 0 };
	enum store_err err = account_script_get(a->accounts, row->id, a->args[1], &script);

	if (err == STORE_OK && dry && script.active) {
		err = STORE_BUSY;
	} else if (err == STORE_OK && dry) {
		output_text(script.name);
		printf(" would go, of %zu bytes\n", script.text_len);
	} else if (err == STORE_OK) {
		err = account_script_delete(a->accounts, row->id, a->args[1]);
	}
	account_script_clear(&script);
	return script_result(err, a->args[1]);
}

static enum admin_status
delete_run(struct admin *a)
{
	return with_account(a, delete_script);
}

const struct admin_command admin_cmd_filter_activate = {
	.group = "filter",
	.name = "activate",
	.args = "ADDRESS SCRIPT",
	.args_least = 2,
	.args_most = 2,
	.summary = "Makes a named script the active filter.",
	.example = "mailadmin filter activate ann@example.org holidays",
	.run = activate_run,
};

const struct admin_command admin_cmd_filter_delete = {
	.group = "filter",
	.name = "delete",
	.args = "ADDRESS SCRIPT",
	.args_least = 2,
	.args_most = 2,
	.options = { { "--dry-run", NULL, "only say what would go" } },
	.summary = "Deletes a named script; the active one cannot be deleted.",
	.example = "mailadmin filter delete ann@example.org holidays",
	.removes = true,
	.run = delete_run,
};
