/* mailbox list, create, delete, subscribe, unsubscribe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "base/mem.h"
#include "store/state_metadata.h"

/* --- list --------------------------------------------------------------------------------------- */

static const struct output_column LIST_COLUMNS[] = {
	{ "name", "MAILBOX", OUTPUT_TEXT },
	{ "special_use", "USE", OUTPUT_TEXT },
	{ "subscribed", "SUBSCRIBED", OUTPUT_YESNO },
	{ "messages", "MESSAGES", OUTPUT_TEXT },
	{ "unseen", "UNSEEN", OUTPUT_TEXT },
	{ "size_bytes", "SIZE", OUTPUT_BYTES },
};

static enum store_err
add_status(struct account *mail, const char *name, json_t *row)
{
	struct mailbox_status s;
	enum store_err err = account_status(mail, name, &s);

	if (err != STORE_OK)
		return err;
	json_object_set_new(row, "messages", json_integer(s.messages));
	json_object_set_new(row, "unseen", json_integer(s.unseen));
	json_object_set_new(row, "size_bytes", json_integer((json_int_t)s.size_bytes));
	json_object_set_new(row, "uidvalidity", json_integer(s.uidvalidity));
	json_object_set_new(row, "uidnext", json_integer(s.uidnext));
	json_object_set_new(row, "id", output_string(s.id));
	return STORE_OK;
}

static json_t *
mailbox_row(const struct mailbox_info *box)
{
	const char *use = special_use_name(box->use);

	return json_pack("{so so sb sb}", "name", output_string(box->name), "special_use",
	    *use != '\0' ? output_string(use) : json_null(), "subscribed",
	    (box->attributes & MAILBOX_SUBSCRIBED) != 0, "exists",
	    (box->attributes & MAILBOX_NONEXISTENT) == 0);
}

static enum admin_status
list(struct admin *a, struct account *mail)
{
	struct mailbox_list boxes = { 0 };
	json_t *rows = json_array();
	enum store_err err = account_list(mail, &boxes);

	for (size_t i = 0; err == STORE_OK && i < boxes.count; i++) {
		const struct mailbox_info *box = &boxes.boxes[i];
		json_t *row = mailbox_row(box);

		if ((box->attributes & MAILBOX_NONEXISTENT) == 0)
			err = add_status(mail, box->name, row);
		if (err == STORE_NOT_FOUND) { /* deleted meanwhile */
			err = STORE_OK;
			json_decref(row);
		} else {
			json_array_append_new(rows, row);
		}
	}
	mailbox_list_free(&boxes);
	if (err != STORE_OK) {
		json_decref(rows);
		return admin_result(err, a->args[0]);
	}
	return output_list(rows, LIST_COLUMNS, ARRAY_LEN(LIST_COLUMNS), a->json) ? ADMIN_DONE
										 : ADMIN_REFUSED;
}

static enum admin_status
list_run(struct admin *a)
{
	return admin_with_mail(a, list);
}

const struct admin_command admin_cmd_mailbox_list = {
	.group = "mailbox",
	.name = "list",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--json", NULL, "as JSON, also with UIDVALIDITY and UIDNEXT" } },
	.summary = "Lists an account's mailboxes and what they hold.",
	.help = "A mailbox without numbers does not exist: its name is only subscribed, or stands "
		"above others.",
	.example = "mailadmin mailbox list ann@example.org",
	.run = list_run,
};

/* --- create ------------------------------------------------------------------------------------- */

/* "\Sent" or, since backslashes are a nuisance in shells, "Sent". */
static bool
parse_use(const char *text, enum special_use *use_out)
{
	char *full = mem_printf("%s%s", *text == '\\' ? "" : "\\", text);
	bool ok = special_use_parse(full, use_out);

	free(full);
	return ok;
}

static enum admin_status
refuse_create(enum store_err err, const char *name, bool has_use)
{
	if (err == STORE_EXISTS)
		return admin_refuse("mailbox %s exists already", name);
	if (err == STORE_INVALID && has_use)
		return admin_refuse("another mailbox has that special use");
	return admin_result(err, name);
}

static enum admin_status
create(struct admin *a, struct account *mail)
{
	const char *name = a->args[1], *use_text = admin_option(a, "--special-use");
	const char *problem = mailbox_name_problem(str_from(name));
	enum special_use use = SPECIAL_NONE;

	if (problem != NULL)
		return admin_refuse("%s: %s", name, problem);
	if (use_text != NULL && !parse_use(use_text, &use))
		return admin_bad_usage(a, "--special-use %s: no such use", use_text);
	return refuse_create(account_create_mailbox(mail, name, use), name, use_text != NULL);
}

static enum admin_status
create_run(struct admin *a)
{
	return admin_with_mail(a, create);
}

const struct admin_command admin_cmd_mailbox_create = {
	.group = "mailbox",
	.name = "create",
	.args = "ADDRESS MAILBOX",
	.args_least = 2,
	.args_most = 2,
	.options = { { "--special-use", "USE",
	    "All, Archive, Drafts, Flagged, Junk, Sent, Trash, Important" } },
	.summary = "Creates a mailbox; levels of its name are divided by '/'.",
	.help = "It is not subscribed by that: see mailadmin mailbox subscribe.",
	.example = "mailadmin mailbox create ann@example.org Projects/2026",
	.run = create_run,
};

/* --- delete ------------------------------------------------------------------------------------- */

static enum admin_status
delete_mailbox(struct admin *a, struct account *mail)
{
	bool dry = admin_option(a, "--dry-run") != NULL;
	const char *name = a->args[1];
	char id[STORE_MAILBOX_ID_MAX];
	struct mailbox_status status;
	enum store_err err;

	if (mailbox_name_is_inbox(name))
		return admin_refuse("INBOX cannot be deleted");
	if (account_mailbox_id(mail, name, id) != STORE_OK)
		id[0] = '\0';
	err = dry ? account_status(mail, name, &status) : account_delete_mailbox(mail, name);
	if (err == STORE_OK && !dry && id[0] != '\0') /* its annotations, RFC 5464 §4.1 */
		state_metadata_forget(account_dir_fd(mail), id, account_log(mail));
	if (err == STORE_NOT_FOUND)
		return admin_refuse("there is no mailbox %s", name);
	if (err == STORE_OK && dry) {
		output_text(name);
		printf(" would go with %u message%s\n", status.messages,
		    status.messages == 1 ? "" : "s");
	}
	return admin_result(err, name);
}

static enum admin_status
delete_run(struct admin *a)
{
	return admin_with_mail(a, delete_mailbox);
}

const struct admin_command admin_cmd_mailbox_delete = {
	.group = "mailbox",
	.name = "delete",
	.args = "ADDRESS MAILBOX",
	.args_least = 2,
	.args_most = 2,
	.options = { { "--dry-run", NULL, "only say what would go" } },
	.summary = "Deletes a mailbox with the messages in it.",
	.help = "Mailboxes below it stay, and so does its subscription.  There is no way back.",
	.example = "mailadmin mailbox delete ann@example.org Projects/2026 --dry-run",
	.removes = true,
	.run = delete_run,
};

/* --- subscribe, unsubscribe --------------------------------------------------------------------- */

static enum admin_status
subscribe(struct admin *a, struct account *mail)
{
	const char *problem = mailbox_name_problem(str_from(a->args[1]));
	struct mailbox_status status;
	enum store_err err;

	if (problem != NULL && !mailbox_name_is_inbox(a->args[1]))
		return admin_refuse("%s: %s", a->args[1], problem);
	err = account_status(mail, a->args[1], &status);
	if (err == STORE_NOT_FOUND)
		return admin_refuse("there is no mailbox %s", a->args[1]);
	if (err == STORE_OK)
		err = account_subscribe(mail, a->args[1]);
	return admin_result(err, a->args[1]);
}

static enum admin_status
subscribe_run(struct admin *a)
{
	return admin_with_mail(a, subscribe);
}

static enum admin_status
unsubscribe(struct admin *a, struct account *mail)
{
	return admin_result(account_unsubscribe(mail, a->args[1]), a->args[1]);
}

static enum admin_status
unsubscribe_run(struct admin *a)
{
	return admin_with_mail(a, unsubscribe);
}

const struct admin_command admin_cmd_mailbox_subscribe = {
	.group = "mailbox",
	.name = "subscribe",
	.args = "ADDRESS MAILBOX",
	.args_least = 2,
	.args_most = 2,
	.summary = "Subscribes to a mailbox, so that mail clients show it.",
	.example = "mailadmin mailbox subscribe ann@example.org Projects/2026",
	.run = subscribe_run,
};

const struct admin_command admin_cmd_mailbox_unsubscribe = {
	.group = "mailbox",
	.name = "unsubscribe",
	.args = "ADDRESS MAILBOX",
	.args_least = 2,
	.args_most = 2,
	.summary = "Takes a subscription back; the mailbox stays.",
	.help = "Also for names that do not exist any more.",
	.example = "mailadmin mailbox unsubscribe ann@example.org Projects/2026",
	.run = unsubscribe_run,
};
