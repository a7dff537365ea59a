/* filter show, set, clear, history: the account's active filter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/commands.h"
#include "admin/filter_tools.h"
#include "admin/output.h"
#include "store/state.h"

#define FIRST_NAME "main" /* of a Sieve filter that gets its first name */

/* --- show --------------------------------------------------------------------------------------- */

static json_t *
errors_json(const struct state_error *errors, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(
		    list, json_pack("{so sI so sI sI sI sI}", "kind", output_string(errors[i].kind),
			      "line", (json_int_t)errors[i].line, "message",
			      output_string(errors[i].text), "count", (json_int_t)errors[i].count,
			      "first", (json_int_t)errors[i].first_s, "last",
			      (json_int_t)errors[i].last_s, "reported",
			      (json_int_t)errors[i].reported_s));
	return list;
}

/* What is wrong with the text itself: somebody may have written it into the database unchecked. */
static json_t *
problem_json(struct str text)
{
	struct filter *filter = NULL;
	struct filter_error error;
	enum filter_status status = filter_compile(text, &filter, &error, NULL);

	filter_free(filter);
	if (status == FILTER_OK)
		return json_null();
	return json_pack("{ss sI so}", "kind", filter_error_kind_name(error.kind), "line",
	    (json_int_t)error.line, "message", output_string(error.text));
}

static json_t *
show_json(struct admin *a, const struct account_row *row, const struct account_filter *f,
    struct str text, bool is_default)
{
	struct account_filter_version *versions = NULL;
	struct state_error *errors = NULL;
	struct state *state = NULL;
	size_t version_count = 0, error_count = 0;
	const struct account_filter_version *set = NULL;
	json_t *o;

	account_filter_history(a->accounts, row->id, &versions, &version_count);
	if (version_count > 0 && versions[0].text_len == f->text_len &&
	    versions[0].is_default == (f->text == NULL))
		set = &versions[0];
	if (admin_open_state(a, row, &state) && state != NULL)
		state_errors(state, &errors, &error_count);
	o = json_pack("{so so sb ss sI so so so so so}", "account", output_string(a->args[0]),
	    "name", output_string(f->name), "default", is_default, "language",
	    filter_text_language(text), "bytes", (json_int_t)text.len, "set",
	    set != NULL ? json_integer((json_int_t)set->set_s) : json_null(), "who",
	    output_string(set != NULL ? set->who : NULL), "problem", problem_json(text), "errors",
	    errors_json(errors, error_count), "text", output_string(text.p));
	state_errors_free(errors, error_count);
	account_filter_versions_free(versions, version_count);
	state_close(state);
	return o;
}

static void
print_time(json_t *seconds)
{
	time_t t = (time_t)json_integer_value(seconds);
	struct tm tm;
	char text[64];

	localtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	fputs(text, stdout);
}

static void
print_error(json_t *e)
{
	long long line = json_integer_value(json_object_get(e, "line"));

	if (line > 0)
		printf("line %lld: ", line);
	output_text(json_string_value(json_object_get(e, "message")));
	printf(" (%s)", json_string_value(json_object_get(e, "kind")));
}

static void
print_shown(json_t *o, struct str text)
{
	const char *name = json_string_value(json_object_get(o, "name"));
	const char *who = json_string_value(json_object_get(o, "who"));
	long long count;
	json_t *e;
	size_t i;

	printf("filter:   %s, %lld bytes", json_string_value(json_object_get(o, "language")),
	    (long long)json_integer_value(json_object_get(o, "bytes")));
	if (json_is_true(json_object_get(o, "default")))
		printf(", the default");
	putchar('\n');
	if (name != NULL) {
		fputs("name:     ", stdout);
		output_text(name);
		putchar('\n');
	}
	if (who != NULL) {
		fputs("set:      ", stdout);
		print_time(json_object_get(o, "set"));
		fputs(" by ", stdout);
		output_text(who);
		putchar('\n');
	}
	if (!json_is_null(json_object_get(o, "problem"))) {
		fputs("problem:  ", stdout);
		print_error(json_object_get(o, "problem"));
		fputs("; until it is mended, mail goes to INBOX\n", stdout);
	}
	json_array_foreach(json_object_get(o, "errors"), i, e)
	{
		fputs("error:    ", stdout);
		print_error(e);
		count = json_integer_value(json_object_get(e, "count"));
		printf(", %lld time%s, last ", count, count == 1 ? "" : "s");
		print_time(json_object_get(e, "last"));
		putchar('\n');
	}
	if (text.len > 0) {
		putchar('\n');
		output_lines(text.p, text.len);
	}
}

static enum admin_status
show(struct admin *a, const struct account_row *row)
{
	struct account_filter f;
	struct buf buffer = { 0 };
	struct str text;
	json_t *o;
	enum store_err err = account_filter_get(a->accounts, row->id, &f);

	if (err != STORE_OK)
		return admin_result(err, a->args[0]);
	if (!filter_active_text(a, row, &buffer)) {
		account_filter_clear(&f);
		return ADMIN_REFUSED;
	}
	text = (struct str){ buf_cstr(&buffer), buffer.len };
	if (admin_option(a, "--text") != NULL) {
		fwrite(text.p, 1, text.len, stdout);
	} else {
		o = show_json(a, row, &f, text, f.text == NULL);
		if (a->json)
			output_object(o, NULL, 0, true);
		else {
			print_shown(o, text);
			json_decref(o);
		}
	}
	buf_free(&buffer);
	account_filter_clear(&f);
	return fflush(stdout) == 0 ? ADMIN_DONE : admin_refuse("cannot write the output");
}

static enum admin_status
show_run(struct admin *a)
{
	struct account_row row = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if (admin_find_account(a, a->args[0], &row))
		status = show(a, &row);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_filter_show = {
	.group = "filter",
	.name = "show",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--text", NULL, "only the filter's text, byte for byte" },
	    { "--json", NULL, "as JSON" } },
	.summary = "Shows the active filter, and what went wrong in it lately.",
	.example = "mailadmin filter show ann@example.org",
	.run = show_run,
};

/* --- set, clear --------------------------------------------------------------------------------- */

/* The errors were of the filter before. */
static void
forget_errors(struct admin *a, const struct account_row *row)
{
	struct state *state = NULL;

	if (admin_open_state(a, row, &state) && state != NULL)
		state_errors_clear(state);
	state_close(state);
}

/* The active script's name; where there is none FIRST_NAME, or one like it that no other script has.  The caller's;
 * NULL for an Exim filter, which has no name. */
static char *
name_for(struct admin *a, const struct account_row *row, struct str text)
{
	struct account_filter f;
	char *name = NULL;

	if (strcmp(filter_text_language(text), "sieve") != 0)
		return NULL;
	if (account_filter_get(a->accounts, row->id, &f) == STORE_OK && f.name != NULL)
		name = mem_strdup(f.name);
	account_filter_clear(&f);
	for (unsigned i = 1; name == NULL; i++) {
		struct account_script script;

		name = i == 1 ? mem_strdup(FIRST_NAME) : mem_printf(FIRST_NAME "-%u", i);
		if (account_script_get(a->accounts, row->id, name, &script) == STORE_OK &&
		    !str_eq((struct str){ script.text, script.text_len }, text)) {
			free(name);
			name = NULL;
		}
		account_script_clear(&script);
	}
	return name;
}

static enum admin_status
refuse_set(enum store_err err, const char *what)
{
	if (err == STORE_LIMIT)
		return admin_refuse("%s: the account has too many scripts", what);
	if (err == STORE_OVER_QUOTA)
		return admin_refuse("%s: the account's scripts are too large together", what);
	return admin_result(err, what);
}

static enum admin_status
set(struct admin *a, const struct account_row *row, struct str text)
{
	struct account_script_limits limits;
	char who[FILTER_HISTORY_WHO_BYTES], *name = NULL;
	enum store_err err;

	filter_script_limits(a->config, &limits);
	filter_who(who, sizeof(who));
	if (text.p != NULL)
		name = name_for(a, row, text);
	err = account_filter_set(a->accounts, row->id, name, text, &limits, who);
	if (err == STORE_OK)
		forget_errors(a, row);
	free(name);
	return refuse_set(err, a->args[0]);
}

static enum admin_status
set_run(struct admin *a)
{
	struct account_row row = { 0 };
	struct buf text = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if (filter_input(a->args[1], FILTER_TEXT_MAX_BYTES, &text) && admin_start(a) &&
	    admin_find_account(a, a->args[0], &row)) {
		struct str s = { buf_cstr(&text), text.len };

		if (text.len == 0)
			status = admin_refuse("%s is empty, and the filter was not changed: "
					      "mailadmin filter clear goes back to the default "
					      "one, the script \"keep;\" keeps all mail in INBOX",
			    a->args[1]);
		else
			status = filter_explain(a->args[1], s)
				     ? set(a, &row, s)
				     : admin_refuse("the filter was not changed");
	}
	account_row_free(&row);
	buf_free(&text);
	return status;
}

/* For `filter clear --dry-run`. */
static enum admin_status
say_what_goes(struct admin *a, const struct account_row *row)
{
	struct account_filter f;
	enum store_err err = account_filter_get(a->accounts, row->id, &f);

	if (err != STORE_OK)
		return admin_result(err, a->args[0]);
	if (f.text == NULL) {
		puts("the default filter is active already");
	} else {
		output_text(f.name != NULL ? f.name : "the active filter");
		printf(" would go, of %zu bytes; the history keeps it\n", f.text_len);
	}
	account_filter_clear(&f);
	return ADMIN_DONE;
}

static enum admin_status
clear_run(struct admin *a)
{
	struct account_row row = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if (admin_find_account(a, a->args[0], &row))
		status = admin_option(a, "--dry-run") != NULL
			     ? say_what_goes(a, &row)
			     : set(a, &row, (struct str){ NULL, 0 });
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_filter_set = {
	.group = "filter",
	.name = "set",
	.args = "ADDRESS FILE",
	.args_least = 2,
	.args_most = 2,
	.summary = "Makes a Sieve script or an Exim filter the active filter.",
	.help =
	    "FILE may be - for standard input.  A filter that does not compile is refused, and the "
	    "one before stays.\nSo is an empty one.  A Sieve script replaces the active named one; "
	    "the "
	    "history keeps what was there.",
	.example = "mailadmin filter set ann@example.org ann.sieve",
	.before_config = true,
	.run = set_run,
};

const struct admin_command admin_cmd_filter_clear = {
	.group = "filter",
	.name = "clear",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--dry-run", NULL, "only say what would go" } },
	.summary = "Goes back to the default filter; named scripts stay.",
	.example = "mailadmin filter clear ann@example.org",
	.removes = true,
	.run = clear_run,
};

/* --- history ------------------------------------------------------------------------------------ */

static const struct output_column HISTORY_COLUMNS[] = {
	{ "version", "VERSION", OUTPUT_TEXT },
	{ "set", "SET", OUTPUT_TIME },
	{ "who", "BY", OUTPUT_TEXT },
	{ "name", "NAME", OUTPUT_TEXT },
	{ "bytes", "BYTES", OUTPUT_TEXT },
};

static enum admin_status
list_history(struct admin *a, const struct account_row *row)
{
	struct account_filter_version *versions;
	size_t count;
	json_t *rows;
	enum store_err err = account_filter_history(a->accounts, row->id, &versions, &count);

	if (err != STORE_OK)
		return admin_result(err, a->args[0]);
	rows = json_array();
	for (size_t i = 0; i < count; i++) {
		const struct account_filter_version *v = &versions[i];

		json_array_append_new(
		    rows, json_pack("{sI sI so so so}", "version", (json_int_t)v->id, "set",
			      (json_int_t)v->set_s, "who", output_string(v->who), "name",
			      output_string(v->name), "bytes",
			      v->is_default ? json_null() : json_integer((json_int_t)v->text_len)));
	}
	account_filter_versions_free(versions, count);
	return output_list(rows, HISTORY_COLUMNS, ARRAY_LEN(HISTORY_COLUMNS), a->json)
		   ? ADMIN_DONE
		   : ADMIN_REFUSED;
}

static enum admin_status
print_version(struct admin *a, const struct account_row *row)
{
	struct account_filter_version v;
	enum store_err err;
	uint64_t id;

	if (!text_u64(str_from(a->args[1]), INT64_MAX, &id))
		return admin_bad_usage(a, "%s is no version", a->args[1]);
	err = account_filter_version_get(a->accounts, row->id, (int64_t)id, &v);
	if (err == STORE_NOT_FOUND)
		return admin_refuse("there is no version %s", a->args[1]);
	if (err != STORE_OK)
		return admin_result(err, a->args[0]);
	if (v.text == NULL) {
		account_filter_version_clear(&v);
		return admin_refuse("version %s was the default filter: mailadmin filter clear %s "
				    "goes back to it",
		    a->args[1], a->args[0]);
	}
	fwrite(v.text, 1, v.text_len, stdout);
	account_filter_version_clear(&v);
	return fflush(stdout) == 0 ? ADMIN_DONE : admin_refuse("cannot write the output");
}

static enum admin_status
history_run(struct admin *a)
{
	struct account_row row = { 0 };
	enum admin_status status = ADMIN_REFUSED;

	if (admin_find_account(a, a->args[0], &row))
		status = a->arg_count > 1 ? print_version(a, &row) : list_history(a, &row);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_filter_history = {
	.group = "filter",
	.name = "history",
	.args = "ADDRESS [VERSION]",
	.args_least = 1,
	.args_most = 2,
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Lists the versions of the active filter, or prints one.",
	.help =
	    "The last 50 are kept.  A version without bytes was the default filter, which filter "
	    "clear sets.",
	.example = "mailadmin filter history ann@example.org 17 | mailadmin filter set "
		   "ann@example.org -",
	.run = history_run,
};
