/* account add, list, show, set, passwd, delete: rows of the account database. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/account_csv.h"
#include "admin/account_limits.h"
#include "admin/commands.h"
#include "admin/output.h"
#include "admin/password_input.h"
#include "base/mem.h"
#include "service/account_quota.h"
#include "store/account_aliases.h"
#include "store/account_apps.h"
#include "store/spool.h"

#define QUOTA_MAX_BYTES (UINT64_C(1) << 60) /* fits the column, in kilobytes and in bytes */

/* "500M", "2G", "0", "none" in kilobytes, rounded up. */
static bool
parse_quota(const char *text, uint64_t *kb_out)
{
	uint64_t bytes = 0;

	if (strcmp(text, "none") != 0 && !text_size(str_from(text), QUOTA_MAX_BYTES, &bytes))
		return false;
	*kb_out = (bytes + 1023) / 1024;
	return true;
}

/* The options that add and set share; `realname` NULL: not given. */
struct wishes {
	const char *realname;
	bool has_quota;
	uint64_t quota_kb;
};

static enum admin_status
read_wishes(const struct admin *a, struct wishes *w)
{
	const char *quota = admin_option(a, "--quota");

	*w = (struct wishes){ .realname = admin_option(a, "--realname") };
	w->has_quota = quota != NULL;
	if (quota != NULL && !parse_quota(quota, &w->quota_kb))
		return admin_bad_usage(
		    a, "--quota %s: a size like 500M, 2G or 10K is needed, or none", quota);
	if (w->realname == NULL)
		return ADMIN_DONE;
	if (strlen(w->realname) > ACCOUNT_REALNAME_MAX)
		return admin_bad_usage(a, "--realname: more than %d bytes", ACCOUNT_REALNAME_MAX);
	if (!text_is_utf8(str_from(w->realname)))
		return admin_bad_usage(a, "--realname: not UTF-8");
	for (const char *s = w->realname; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return admin_bad_usage(a, "--realname: control characters");
	return ADMIN_DONE;
}

/* --- add ---------------------------------------------------------------------------------------- */

static enum admin_status
refuse_taken(struct admin *a, const char *address)
{
	struct account_row row = { 0 };
	struct str localpart, domain;
	enum store_err err = account_db_find_address(a->accounts, str_from(address), &row);
	bool alias = err == STORE_NOT_FOUND;

	account_row_free(&row);
	if (alias && account_address_parse(str_from(address), &localpart, &domain))
		err = account_alias_find(a->accounts, localpart, domain, &row);
	account_row_free(&row);
	if (err == STORE_NOT_FOUND)
		return ADMIN_DONE;
	if (err == STORE_OK)
		return admin_refuse(alias ? "%s is an alias: mailadmin alias delete takes it away"
					  : "%s exists already",
		    address);
	return admin_result(err, address);
}

/* The mail tree comes first: a tree without a row is never served and does no harm, and the next
 * try finds it. */
static enum admin_status
add_account(struct admin *a, struct account_row *row, const struct scram_keys *scram)
{
	struct account *mail;
	enum store_err err;

	if (!admin_open_mail(a, row, &mail))
		return ADMIN_REFUSED;
	account_close(mail);
	err = account_db_add(a->accounts, row, scram);
	if (err == STORE_OK)
		return ADMIN_DONE;
	return admin_refuse(
	    "%s@%s was not added: %s", row->localpart, row->domain, store_err_text(err));
}

/* Whose mail lies there is said by the account that it belongs to, not by the name it has now. */
static enum admin_status
refuse_half_renamed(struct admin *a, const struct account_row *row)
{
	struct buf note = { 0 };
	enum admin_status status = ADMIN_DONE;

	if (admin_rename_note(a, row->localpart, row->domain, &note))
		status = admin_refuse("the mail there belongs to another account, whose renaming "
				      "was stopped: finish it by mailadmin account rename %s",
		    buf_cstr(&note));
	buf_free(&note);
	return status;
}

static enum admin_status
add_run(struct admin *a)
{
	struct account_row row = { .active = true };
	struct new_password password = { 0 };
	struct wishes wishes;
	struct str localpart, domain;
	enum admin_status status = read_wishes(a, &wishes);

	if (status != ADMIN_DONE)
		return status;
	if (!account_address_parse(str_from(a->args[0]), &localpart, &domain))
		return admin_refuse("%s cannot be an account's address", a->args[0]);
	if (!admin_open_accounts(a))
		return ADMIN_REFUSED;
	status = refuse_taken(a, a->args[0]);
	if (status == ADMIN_DONE)
		status = new_password_read(a, &password);
	if (status != ADMIN_DONE)
		return status;
	row.localpart = account_db_fold(localpart);
	row.domain = account_db_fold(domain);
	row.password = mem_strdup(password.fresh.stored);
	if (wishes.realname != NULL && *wishes.realname != '\0')
		row.realname = mem_strdup(wishes.realname);
	row.quota_kb = wishes.quota_kb;
	status = refuse_half_renamed(a, &row);
	if (status == ADMIN_DONE)
		status = add_account(a, &row, &password.fresh.scram);
	if (status == ADMIN_DONE)
		new_password_print(&password);
	new_password_free(&password);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_account_add = {
	.group = "account",
	.name = "add",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--realname", "NAME", "the user's name" },
	    { "--quota", "SIZE", "500M, 2G, 10K; none or 0 (default): unlimited" },
	    PASSWORD_INPUT_OPTIONS },
	.summary = "Adds an account with its mailboxes.",
	.help = "Without --password-stdin and --generate the password is asked for twice.\n"
		"A mail tree that is there already (Sanger's, Dovecot's, Courier's) is taken over "
		"as it is.",
	.example = "mailadmin account add ann@example.org --realname 'Ann Smith' --quota 2G "
		   "--generate",
	.run = add_run,
};

/* --- list, show --------------------------------------------------------------------------------- */

static json_t *
account_json(const struct account_row *row)
{
	char *address = account_row_address(row);
	json_t *object = json_pack("{so so so sI so so sb}", "address", output_string(address),
	    "localpart", output_string(row->localpart), "domain", output_string(row->domain),
	    "quota_kb", (json_int_t)row->quota_kb, "realname", output_string(row->realname),
	    "filter", json_boolean(row->filter != NULL), "active", row->active);

	free(address);
	return object;
}

static const struct output_column LIST_COLUMNS[] = {
	{ "address", "ADDRESS", OUTPUT_TEXT },
	{ "active", "ACTIVE", OUTPUT_YESNO },
	{ "quota_kb", "QUOTA", OUTPUT_KB },
	{ "realname", "NAME", OUTPUT_TEXT },
};

static enum admin_status
list_run(struct admin *a)
{
	struct account_row *accounts;
	enum admin_status status;
	size_t count;
	json_t *rows;
	enum store_err err;

	if (a->json && admin_option(a, "--csv") != NULL)
		return admin_bad_usage(a, "--json and --csv exclude each other");
	if (!admin_open_accounts(a))
		return ADMIN_REFUSED;
	err = account_db_list(a->accounts, admin_option(a, "--domain"), &accounts, &count);
	if (err != STORE_OK)
		return admin_result(err, "account list");
	if (admin_option(a, "--csv") != NULL) {
		status = account_csv_print(a, accounts, count);
		account_rows_free(accounts, count);
		return status;
	}
	rows = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(rows, account_json(&accounts[i]));
	account_rows_free(accounts, count);
	return output_list(rows, LIST_COLUMNS, ARRAY_LEN(LIST_COLUMNS), a->json) ? ADMIN_DONE
										 : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_account_list = {
	.group = "account",
	.name = "list",
	.args = "",
	.options = { { "--domain", "DOMAIN", "only the accounts of this domain" },
	    { "--csv", NULL, "as the table that account import-csv reads; without passwords" },
	    { "--json", NULL, "as JSON" } },
	.summary = "Lists the accounts, by domain and local part.",
	.help = "Makes the account database if there is none yet.",
	.example = "mailadmin account list --domain example.org",
	.run = list_run,
};

/* "ARGON2ID" of "{ARGON2ID}…"; the hash itself is nobody's to see. */
static json_t *
scheme_of(const char *stored)
{
	const char *end = *stored == '{' ? strchr(stored, '}') : NULL;
	char *scheme;
	json_t *value;

	if (end == NULL)
		return json_null();
	scheme = mem_strndup(stored + 1, (size_t)(end - stored) - 1);
	value = output_string(scheme);
	free(scheme);
	return value;
}

/* What lies on disk for the account; an account that nobody has opened yet has no tree. */
static enum admin_status
add_mail_facts(struct admin *a, const struct account_row *row, json_t *object)
{
	struct quota_limits limits;
	struct account_quota usage;
	struct account *mail;
	enum store_err err;

	if (!admin_open_store(a))
		return ADMIN_REFUSED;
	err = account_open(a->store, row->localpart, row->domain, 0, &mail);
	if (err == STORE_NOT_FOUND) {
		json_object_set_new(object, "path", json_null());
		return ADMIN_DONE;
	}
	if (err == STORE_OK) {
		limits = account_quota_limits(a->accounts, row, a->config);
		account_set_quota_limits(mail, &limits);
		json_object_set_new(object, "path", output_string(account_path(mail)));
		err = account_quota(mail, &usage);
		account_close(mail);
	}
	if (err != STORE_OK)
		return admin_result(err, a->args[0]);
	json_object_set_new(object, "used_bytes", json_integer((json_int_t)usage.used_bytes));
	json_object_set_new(object, "used_messages", json_integer((json_int_t)usage.used_messages));
	return ADMIN_DONE;
}

/* What it has submitted lately.  There is nothing to say where no spool is: it is not made here. */
static void
add_sent(struct admin *a, const struct account_row *row, json_t *object)
{
	char *path = mem_printf("%s/spool.db", config_string(a->config, "store.spool"));
	char *address = account_row_address(row);
	struct spool_sent sent;

	if (access(path, R_OK) == 0 && admin_open_spool(a) &&
	    spool_sent_count(a->spool, address, time(NULL), &sent) == STORE_OK) {
		json_object_set_new(object, "sent",
		    json_pack("{sI sI sI sI}", "messages_hour", (json_int_t)sent.messages_hour,
			"messages_day", (json_int_t)sent.messages_day, "recipients_hour",
			(json_int_t)sent.recipients_hour, "recipients_day",
			(json_int_t)sent.recipients_day));
		if (!a->json)
			json_object_set_new(object, "sent",
			    json_sprintf("%llu in the last hour, %llu in the last day; to %llu and"
					 " %llu recipients",
				(unsigned long long)sent.messages_hour,
				(unsigned long long)sent.messages_day,
				(unsigned long long)sent.recipients_hour,
				(unsigned long long)sent.recipients_day));
	}
	free(address);
	free(path);
}

static const struct output_column SHOW_COLUMNS[] = {
	{ "address", "Address", OUTPUT_TEXT },
	{ "realname", "Name", OUTPUT_TEXT },
	{ "active", "Active", OUTPUT_YESNO },
	{ "quota_kb", "Quota", OUTPUT_KB },
	{ "used_bytes", "Used", OUTPUT_BYTES },
	{ "used_messages", "Messages", OUTPUT_TEXT },
	{ "sent", "Sent", OUTPUT_TEXT },
	{ "filter", "Own filter", OUTPUT_YESNO },
	{ "password_scheme", "Password", OUTPUT_TEXT },
	{ "scram", "SCRAM keys", OUTPUT_YESNO },
	{ "app_passwords", "App passwords", OUTPUT_TEXT },
	{ "app_only", "App passwords only", OUTPUT_YESNO },
	{ "leave_text", "Leave text", OUTPUT_TEXT },
	{ "aliases", "Aliases", OUTPUT_TEXT },
	{ "path", "Mail", OUTPUT_TEXT },
};

/* In JSON a list; in a table on one line. */
static enum store_err
add_aliases(struct admin *a, const struct account_row *row, json_t *object)
{
	struct account_alias *aliases;
	struct buf line = { 0 };
	json_t *list = json_array();
	size_t count;
	enum store_err err = account_alias_list(a->accounts, row->id, NULL, &aliases, &count);

	for (size_t i = 0; err == STORE_OK && i < count; i++) {
		char *address = mem_printf("%s@%s",
		    *aliases[i].localpart != '\0' ? aliases[i].localpart : "*", aliases[i].domain);

		json_array_append_new(list, output_string(address));
		buf_printf(&line, "%s%s", i > 0 ? " " : "", address);
		free(address);
	}
	account_aliases_free(aliases, count);
	json_object_set(object, "aliases", list);
	json_decref(list);
	if (!a->json)
		json_object_set_new(
		    object, "aliases", output_string(line.len > 0 ? buf_cstr(&line) : NULL));
	buf_free(&line);
	return err;
}

/* app_only is what counts, whoever has said so. */
static enum store_err
add_apps(struct admin *a, const struct account_row *row, json_t *object)
{
	struct account_login_facts facts;
	enum store_err err = account_login_facts(a->accounts, row->id, true, &facts);
	bool only = facts.only == ACCOUNT_APP_ONLY_YES ||
		    (facts.only == ACCOUNT_APP_ONLY_DEFAULT &&
			config_bool(a->config, "auth.app_passwords_only"));

	json_object_set_new(object, "app_passwords", json_integer((json_int_t)facts.app_count));
	json_object_set_new(object, "app_only", json_boolean(only));
	account_apps_free(facts.apps, facts.app_count);
	return err;
}

static enum admin_status
show_account(struct admin *a, const struct account_row *row)
{
	struct output_column columns[ARRAY_LEN(SHOW_COLUMNS) + ACCOUNT_LIMIT_COUNT];
	struct account_limits limits;
	struct scram_keys keys;
	char *leave = NULL;
	json_t *object;
	size_t count;
	enum store_err err;
	bool scram;

	err = account_db_scram_keys(a->accounts, row->id, &keys);
	scram = err == STORE_OK;
	mem_wipe(&keys, sizeof(keys));
	if (err == STORE_OK || err == STORE_NOT_FOUND)
		err = account_db_leave_text(a->accounts, row->id, &leave, NULL);
	if (err != STORE_OK && err != STORE_NOT_FOUND)
		return admin_result(err, a->args[0]);
	object = account_json(row);
	json_object_set_new(object, "password_scheme", scheme_of(row->password));
	json_object_set_new(object, "scram", json_boolean(scram));
	json_object_set_new(object, "leave_text", output_string(leave));
	free(leave);
	err = account_limits_get(a->accounts, row->id, &limits);
	account_limits_show(object, &limits);
	add_sent(a, row, object);
	if (err == STORE_OK)
		err = add_apps(a, row, object);
	if (err == STORE_OK)
		err = add_aliases(a, row, object);
	if (err != STORE_OK || add_mail_facts(a, row, object) != ADMIN_DONE) {
		json_decref(object);
		return err != STORE_OK ? admin_result(err, a->args[0]) : ADMIN_REFUSED;
	}
	memcpy(columns, SHOW_COLUMNS, sizeof(SHOW_COLUMNS));
	count = ARRAY_LEN(SHOW_COLUMNS) +
		account_limits_columns(&limits, &columns[ARRAY_LEN(SHOW_COLUMNS)]);
	return output_object(object, columns, count, a->json) ? ADMIN_DONE : ADMIN_REFUSED;
}

static enum admin_status
show_run(struct admin *a)
{
	struct account_row row = { 0 };
	enum admin_status status;

	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	status = show_account(a, &row);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_account_show = {
	.group = "account",
	.name = "show",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Shows one account with its usage.",
	.help = "Exit status 1 if there is no such account.",
	.example = "mailadmin account show ann@example.org --json",
	.run = show_run,
};

/* --- set ---------------------------------------------------------------------------------------- */

static bool
parse_yes_no(const char *text, bool *yes_out)
{
	*yes_out = strcmp(text, "yes") == 0;
	return *yes_out || strcmp(text, "no") == 0;
}

/* NULL is fine, and leaves it as it is. */
static bool
parse_app_only(const char *text, int *only_out)
{
	static const char *const WORDS[] = {
		[ACCOUNT_APP_ONLY_DEFAULT] = "default",
		[ACCOUNT_APP_ONLY_NO] = "no",
		[ACCOUNT_APP_ONLY_YES] = "yes",
	};

	for (size_t i = 0; text != NULL && i < ARRAY_LEN(WORDS); i++) {
		*only_out = (int)i;
		if (strcmp(text, WORDS[i]) == 0)
			return true;
	}
	return text == NULL;
}

/* Who may log in by nothing but what he has not got is told at once. */
static void
note_app_only(struct admin *a, int64_t account)
{
	struct account_login_facts facts;

	if (account_login_facts(a->accounts, account, true, &facts) == STORE_OK &&
	    facts.only == ACCOUNT_APP_ONLY_YES && facts.app_count == 0)
		fprintf(stderr,
		    "mailadmin: %s has no app password yet; mailadmin app add makes one\n",
		    a->args[0]);
	account_apps_free(facts.apps, facts.app_count);
}

static enum admin_status
set_run(struct admin *a)
{
	const char *active_text = admin_option(a, "--active");
	const char *app_only_text = admin_option(a, "--app-only");
	bool limited = account_limits_asked(a);
	struct account_limits limits = ACCOUNT_LIMITS_DEFAULT;
	struct account_row row = { 0 };
	struct wishes wishes;
	enum admin_status status = read_wishes(a, &wishes);
	enum store_err err = STORE_OK;
	bool active = true;
	int app_only = 0;

	if (status == ADMIN_DONE)
		status = account_limits_read(a, &limits); /* only to look at them */
	if (status != ADMIN_DONE)
		return status;
	if (active_text != NULL && !parse_yes_no(active_text, &active))
		return admin_bad_usage(a, "--active %s: yes or no is needed", active_text);
	if (!parse_app_only(app_only_text, &app_only))
		return admin_bad_usage(
		    a, "--app-only %s: yes, no or default is needed", app_only_text);
	if (wishes.realname == NULL && !wishes.has_quota && active_text == NULL &&
	    app_only_text == NULL && !limited)
		return admin_bad_usage(a, "nothing to set");
	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	if (limited)
		err = account_limits_get(a->accounts, row.id, &limits);
	account_limits_read(a, &limits);
	if (err == STORE_OK)
		err = account_db_change(a->accounts, row.id,
		    &(struct account_change){
			.realname = wishes.realname,
			.quota_kb = wishes.has_quota ? &wishes.quota_kb : NULL,
			.active = active_text != NULL ? &active : NULL,
			.limits = limited ? &limits : NULL,
			.app_only = app_only_text != NULL ? &app_only : NULL,
		    });
	if (err == STORE_OK && app_only_text != NULL)
		note_app_only(a, row.id);
	account_row_free(&row);
	return admin_result(err, a->args[0]);
}

const struct admin_command admin_cmd_account_set = {
	.group = "account",
	.name = "set",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--realname", "NAME", "the user's name; empty: none" },
	    { "--quota", "SIZE", "500M, 2G, 10K; none or 0: unlimited" },
	    { "--active", "yes|no", "an inactive account takes no mail and no logins" },
	    { "--app-only", "yes|no|default", "only app passwords log in; default: as configured" },
	    ACCOUNT_LIMIT_OPTIONS },
	.summary = "Changes an account.",
	.help = "The daemons see it at once; sessions that are open go on.",
	.example = "mailadmin account set ann@example.org --quota 5G",
	.run = set_run,
};

/* --- passwd ------------------------------------------------------------------------------------- */

static enum admin_status
passwd_run(struct admin *a)
{
	struct account_row row = { 0 };
	struct new_password password;
	enum admin_status status;

	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	status = new_password_read(a, &password);
	if (status == ADMIN_DONE)
		status = admin_result(account_db_set_password(a->accounts, row.id,
					  password.fresh.stored, &password.fresh.scram),
		    a->args[0]);
	if (status == ADMIN_DONE)
		new_password_print(&password);
	new_password_free(&password);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_account_passwd = {
	.group = "account",
	.name = "passwd",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { PASSWORD_INPUT_OPTIONS },
	.summary = "Sets a new password.",
	.help = "Without an option it is asked for twice.  The old one stops working at once.",
	.example = "mailadmin account passwd ann@example.org --generate",
	.run = passwd_run,
};

/* --- delete ------------------------------------------------------------------------------------- */

static enum admin_status
delete_run(struct admin *a)
{
	bool dry = admin_option(a, "--dry-run") != NULL;
	struct account_row row = { 0 };
	struct account *mail = NULL;
	enum admin_status status;

	if (!admin_find_account(a, a->args[0], &row) || !admin_open_store(a)) {
		account_row_free(&row);
		return ADMIN_REFUSED;
	}
	account_open(a->store, row.localpart, row.domain, 0, &mail);
	status =
	    dry ? ADMIN_DONE : admin_result(account_db_delete(a->accounts, row.id), a->args[0]);
	if (status == ADMIN_DONE && mail != NULL)
		printf("%s %s; its mail %s in %s\n", a->args[0], dry ? "would go" : "deleted",
		    dry ? "would stay" : "stays", account_path(mail));
	else if (status == ADMIN_DONE)
		printf("%s %s; it %s no mail\n", a->args[0], dry ? "would go" : "deleted",
		    dry ? "has" : "had");
	account_close(mail);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_account_delete = {
	.group = "account",
	.name = "delete",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--dry-run", NULL, "only say what would go" } },
	.summary = "Removes an account; its mail stays on disk.",
	.help = "Takes no mail and no logins from then on.  It says where the mail lies: remove "
		"the\ndirectory yourself, or add the account again and have it back.  What others "
		"share "
		"with it is\nnot shared with who gets the address later; open sessions end.",
	.example = "mailadmin account delete ann@example.org",
	.removes = true,
	.run = delete_run,
};
