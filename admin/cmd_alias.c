/* alias add, delete, list: further addresses of accounts, and catch-alls of domains. */
#include <stdlib.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "base/mem.h"
#include "store/account_aliases.h"

static bool
parse(const char *address, struct str *localpart, struct str *domain)
{
	if (account_alias_parse(str_from(address), localpart, domain))
		return true;
	admin_refuse("%s cannot be an alias: info@example.org, or *@example.org for what "
		     "nobody else there takes",
	    address);
	return false;
}

/* --- add ---------------------------------------------------------------------------------------- */

/* Whose it is already. */
static enum admin_status
refuse_taken(struct admin *a, const char *alias, struct str localpart, struct str domain)
{
	struct account_row row = { 0 };
	enum admin_status status;
	char *address;

	if (account_alias_find(a->accounts, localpart, domain, &row) != STORE_OK)
		return admin_refuse("%s is an account", alias);
	address = account_row_address(&row);
	status = admin_refuse("%s is an alias of %s already", alias, address);
	free(address);
	account_row_free(&row);
	return status;
}

static enum admin_status
add_one(struct admin *a, const struct account_row *row, const char *alias)
{
	struct str localpart, domain;
	enum store_err err;

	if (!parse(alias, &localpart, &domain))
		return ADMIN_REFUSED;
	err = account_alias_add(a->accounts, row->id, localpart, domain);
	if (err == STORE_EXISTS)
		return refuse_taken(a, alias, localpart, domain);
	if (err == STORE_LIMIT)
		return admin_refuse("%s: an account has at most %d aliases", alias, ALIASES_MAX);
	return admin_result(err, alias);
}

static enum admin_status
delete_one(struct admin *a, const char *alias)
{
	struct str localpart, domain;

	if (!parse(alias, &localpart, &domain))
		return ADMIN_REFUSED;
	return admin_result(account_alias_delete(a->accounts, localpart, domain), alias);
}

/* All of them or none: what was added before one that cannot be goes again. */
static enum admin_status
add_run(struct admin *a)
{
	struct account_row row = { 0 };
	enum admin_status status = ADMIN_DONE;
	size_t count = 1;

	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	for (; count < a->arg_count && status == ADMIN_DONE; count++)
		status = add_one(a, &row, a->args[count]);
	for (size_t i = 1; i + 1 < count && status != ADMIN_DONE; i++)
		delete_one(a, a->args[i]);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_alias_add = {
	.group = "alias",
	.name = "add",
	.args = "ADDRESS ALIAS...",
	.args_least = 2,
	.args_most = ADMIN_ARGS_MAX,
	.summary = "Gives an account further addresses.",
	.help = "Mail for them is the account's, its user may send by them, and its filters take "
		"them for\nthe user's own.  *@DOMAIN is the catch-all of a domain: it takes what "
		"nobody else there\ndoes, if lda.catch_all is on, and makes no address the user's "
		"own.",
	.example = "mailadmin alias add ann@example.org info@example.org ann.smith@example.org",
	.run = add_run,
};

/* --- delete ------------------------------------------------------------------------------------- */

/* That it is there; with `show` whose it is. */
static enum admin_status
find_one(struct admin *a, const char *alias, bool show)
{
	struct account_row row = { 0 };
	struct str localpart, domain;
	enum store_err err;
	char *address;

	if (!parse(alias, &localpart, &domain))
		return ADMIN_REFUSED;
	err = account_alias_find(a->accounts, localpart, domain, &row);
	if (err == STORE_OK && show) {
		address = account_row_address(&row);
		output_text(alias);
		output_text(" of ");
		output_text(address);
		output_text("\n");
		free(address);
	}
	account_row_free(&row);
	if (err == STORE_NOT_FOUND)
		return admin_refuse("there is no alias %s", alias);
	return admin_result(err, alias);
}

/* All of them are looked for first: a name that is not there changes nothing. */
static enum admin_status
delete_run(struct admin *a)
{
	bool dry = admin_option(a, "--dry-run") != NULL;
	enum admin_status status = ADMIN_DONE;

	if (!admin_open_accounts(a))
		return ADMIN_REFUSED;
	for (size_t i = 0; i < a->arg_count && status == ADMIN_DONE; i++)
		status = find_one(a, a->args[i], dry);
	for (size_t i = 0; i < a->arg_count && status == ADMIN_DONE && !dry; i++)
		status = delete_one(a, a->args[i]);
	return status;
}

const struct admin_command admin_cmd_alias_delete = {
	.group = "alias",
	.name = "delete",
	.args = "ALIAS...",
	.args_least = 1,
	.args_most = ADMIN_ARGS_MAX,
	.options = { { "--dry-run", NULL, "only show what would go" } },
	.summary = "Takes aliases away from their accounts.",
	.help = "If one of them is not there, all stay.",
	.example = "mailadmin alias delete info@example.org",
	.removes = true,
	.run = delete_run,
};

/* --- list --------------------------------------------------------------------------------------- */

static const struct output_column COLUMNS[] = {
	{ "alias", "ALIAS", OUTPUT_TEXT },
	{ "account", "ACCOUNT", OUTPUT_TEXT },
};

static json_t *
alias_json(const struct account_alias *alias)
{
	char *address =
	    mem_printf("%s@%s", *alias->localpart != '\0' ? alias->localpart : "*", alias->domain);
	json_t *object = json_pack("{so so sb}", "alias", output_string(address), "account",
	    output_string(alias->target), "catch_all", *alias->localpart == '\0');

	free(address);
	return object;
}

static enum admin_status
list_run(struct admin *a)
{
	struct account_alias *aliases;
	struct account_row row = { 0 };
	size_t count;
	json_t *rows;
	enum store_err err;
	int64_t account = 0;

	if (!admin_open_accounts(a))
		return ADMIN_REFUSED;
	if (a->arg_count > 0) {
		if (!admin_find_account(a, a->args[0], &row))
			return ADMIN_REFUSED;
		account = row.id;
		account_row_free(&row);
	}
	err =
	    account_alias_list(a->accounts, account, admin_option(a, "--domain"), &aliases, &count);
	if (err != STORE_OK)
		return admin_result(err, "alias list");
	rows = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(rows, alias_json(&aliases[i]));
	account_aliases_free(aliases, count);
	return output_list(rows, COLUMNS, ARRAY_LEN(COLUMNS), a->json) ? ADMIN_DONE : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_alias_list = {
	.group = "alias",
	.name = "list",
	.args = "[ADDRESS]",
	.args_least = 0,
	.args_most = 1,
	.options = { { "--domain", "DOMAIN", "only the aliases in this domain" },
	    { "--json", NULL, "as JSON" } },
	.summary = "Lists the aliases of one account, of a domain, or all.",
	.example = "mailadmin alias list --domain example.org",
	.run = list_run,
};
