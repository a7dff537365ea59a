/* list show, add, remove: an account's lists of addresses for filters (RFC 6134). */
#include <stdio.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "base/mem.h"
#include "store/account_lists.h"

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

/* --- show --------------------------------------------------------------------------------------- */

static const struct output_column LISTS_COLUMNS[] = {
	{ "name", "LIST", OUTPUT_TEXT },
	{ "members", "MEMBERS", OUTPUT_TEXT },
};
static const struct output_column MEMBERS_COLUMNS[] = { { "address", "ADDRESS", OUTPUT_TEXT } };

static enum admin_status
show_lists(struct admin *a, const struct account_row *row)
{
	char **names;
	size_t count;
	json_t *rows = json_array();
	enum store_err err = account_lists(a->accounts, row->id, &names, &count);

	for (size_t i = 0; err == STORE_OK && i < count; i++) {
		char **members;
		size_t member_count;

		err = account_list_members(a->accounts, row->id, names[i], &members, &member_count);
		account_texts_free(members, member_count);
		json_array_append_new(rows, json_pack("{so sI}", "name", output_string(names[i]),
						"members", (json_int_t)member_count));
	}
	account_texts_free(names, count);
	if (err != STORE_OK) {
		json_decref(rows);
		return admin_result(err, a->args[0]);
	}
	return output_list(rows, LISTS_COLUMNS, ARRAY_LEN(LISTS_COLUMNS), a->json) ? ADMIN_DONE
										   : ADMIN_REFUSED;
}

static enum admin_status
show_members(struct admin *a, const struct account_row *row)
{
	char **members;
	size_t count;
	json_t *rows;
	enum store_err err =
	    account_list_members(a->accounts, row->id, a->args[1], &members, &count);

	if (err == STORE_NOT_FOUND)
		return admin_refuse("there is no list %s", a->args[1]);
	if (err != STORE_OK)
		return admin_result(err, a->args[0]);
	rows = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(
		    rows, json_pack("{so}", "address", output_string(members[i])));
	account_texts_free(members, count);
	return output_list(rows, MEMBERS_COLUMNS, ARRAY_LEN(MEMBERS_COLUMNS), a->json)
		   ? ADMIN_DONE
		   : ADMIN_REFUSED;
}

static enum admin_status
show_run(struct admin *a)
{
	return with_account(a, a->arg_count > 1 ? show_members : show_lists);
}

const struct admin_command admin_cmd_list_show = {
	.group = "list",
	.name = "show",
	.args = "ADDRESS [LIST]",
	.args_least = 1,
	.args_most = 2,
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Shows an account's lists of addresses, or the members of one.",
	.example = "mailadmin list show ann@example.org friends",
	.run = show_run,
};

/* --- add, remove -------------------------------------------------------------------------------- */

static enum admin_status
add(struct admin *a, const struct account_row *row)
{
	enum store_err err =
	    account_list_add(a->accounts, row->id, a->args[1], &a->args[2], a->arg_count - 2);

	if (err == STORE_LIMIT)
		return admin_refuse("%s: an account has at most %d lists of %d members", a->args[1],
		    LISTS_MAX, LIST_MEMBERS_MAX);
	if (err == STORE_INVALID)
		return admin_refuse("names and members are UTF-8 of 1 to %d bytes without control "
				    "characters",
		    LIST_NAME_MAX_BYTES);
	return admin_result(err, a->args[1]);
}

static enum admin_status
add_run(struct admin *a)
{
	return with_account(a, add);
}

/* What removing would do: STORE_NOT_FOUND where it would fail. */
static enum store_err
say_what_goes(struct admin *a, const struct account_row *row)
{
	char **members;
	size_t count;
	enum store_err err =
	    account_list_members(a->accounts, row->id, a->args[1], &members, &count);

	if (err != STORE_OK)
		return err;
	account_texts_free(members, count);
	for (size_t i = 2; i < a->arg_count && err == STORE_OK; i++)
		err = account_list_has(a->accounts, row->id, a->args[1], str_from(a->args[i]));
	if (err == STORE_OK)
		printf("%zu of %zu members would go%s\n",
		    a->arg_count > 2 ? a->arg_count - 2 : count, count,
		    a->arg_count > 2 ? "" : ", and the list");
	return err;
}

static enum admin_status
remove_members(struct admin *a, const struct account_row *row)
{
	enum store_err err = admin_option(a, "--dry-run") != NULL
				 ? say_what_goes(a, row)
				 : account_list_remove(a->accounts, row->id, a->args[1],
				       &a->args[2], a->arg_count - 2);

	if (err == STORE_NOT_FOUND && a->arg_count > 2)
		return admin_refuse("list %s does not have all of these", a->args[1]);
	if (err == STORE_NOT_FOUND)
		return admin_refuse("there is no list %s", a->args[1]);
	return admin_result(err, a->args[1]);
}

static enum admin_status
remove_run(struct admin *a)
{
	return with_account(a, remove_members);
}

const struct admin_command admin_cmd_list_add = {
	.group = "list",
	.name = "add",
	.args = "ADDRESS LIST [MEMBER]...",
	.args_least = 2,
	.args_most = ADMIN_ARGS_MAX,
	.summary = "Adds members to a list, and makes it if there is none.",
	.help = "Sieve asks for it with :list and the name LIST or "
		"urn:ietf:params:sieve:addrbook:LIST.",
	.example = "mailadmin list add ann@example.org friends bob@example.net",
	.run = add_run,
};

const struct admin_command admin_cmd_list_remove = {
	.group = "list",
	.name = "remove",
	.args = "ADDRESS LIST [MEMBER]...",
	.args_least = 2,
	.args_most = ADMIN_ARGS_MAX,
	.options = { { "--dry-run", NULL, "only say what would go" } },
	.summary = "Removes members from a list, or without any the whole list.",
	.example = "mailadmin list remove ann@example.org friends bob@example.net",
	.removes = true,
	.run = remove_run,
};
