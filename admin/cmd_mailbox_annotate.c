/* mailbox annotations, annotate: what METADATA (RFC 5464) says of an account's mailboxes and of the server. */
#include <stdlib.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "store/account.h"
#include "store/state.h"
#include "store/state_metadata.h"

#define SERVER "server" /* in place of a mailbox */

/* One account that is annotated. */
struct annotating {
	struct account_row row;
	struct account *mail;
	struct state *state; /* NULL: nothing was learnt yet */
};

static bool
begin(struct admin *a, bool create, struct annotating *on)
{
	enum store_err err;

	*on = (struct annotating){ 0 };
	if (!admin_find_account(a, a->args[0], &on->row) ||
	    !admin_open_mail(a, &on->row, &on->mail))
		return false;
	err = state_open(account_dir_fd(on->mail), create, a->log, &on->state);
	if (err == STORE_OK || err == STORE_NOT_FOUND)
		return true;
	admin_result(err, a->args[0]);
	return false;
}

static void
end(struct annotating *on)
{
	state_close(on->state);
	account_close(on->mail);
	account_row_free(&on->row);
}

static enum admin_status
no_such_mailbox(const char *name)
{
	return admin_refuse("there is no mailbox %s", name);
}

/* --- annotations -------------------------------------------------------------------------------- */

static const struct output_column COLUMNS[] = {
	{ "mailbox", "MAILBOX", OUTPUT_TEXT },
	{ "entry", "ENTRY", OUTPUT_TEXT },
	{ "value", "VALUE", OUTPUT_TEXT },
};

struct rows {
	json_t *all;
	const char *mailbox;
};

static bool
add_row(void *arg, const char *entry, struct str value)
{
	struct rows *rows = arg;
	char *text = mem_strndup(value.p, value.len);

	json_array_append_new(
	    rows->all, json_pack("{so so so sI}", "mailbox", output_string(rows->mailbox), "entry",
			   output_string(entry), "value", output_string(text), "bytes",
			   (json_int_t)value.len));
	free(text);
	return true;
}

static enum store_err
add_mailbox(const struct annotating *on, const char *name, json_t *all)
{
	char id[STORE_MAILBOX_ID_MAX];
	enum store_err err = account_mailbox_id(on->mail, name, id);

	if (err == STORE_OK && on->state != NULL)
		err = state_metadata_list(on->state, id, add_row, &(struct rows){ all, name });
	return err;
}

static enum store_err
add_all(const struct annotating *on, json_t *all)
{
	struct mailbox_list boxes = { 0 };
	enum store_err err = account_list(on->mail, &boxes);

	if (err == STORE_OK && on->state != NULL)
		err = state_metadata_list(on->state, NULL, add_row, &(struct rows){ all, SERVER });
	for (size_t i = 0; err == STORE_OK && i < boxes.count; i++)
		if ((boxes.boxes[i].attributes & MAILBOX_NONEXISTENT) == 0)
			err = add_mailbox(on, boxes.boxes[i].name, all);
	mailbox_list_free(&boxes);
	return err;
}

static enum admin_status
annotations_run(struct admin *a)
{
	enum admin_status status = ADMIN_REFUSED;
	json_t *rows = json_array();
	struct annotating on;

	if (begin(a, false, &on)) {
		enum store_err err =
		    a->arg_count > 1 ? add_mailbox(&on, a->args[1], rows) : add_all(&on, rows);

		status = err == STORE_NOT_FOUND ? no_such_mailbox(a->args[1])
						: admin_result(err, a->args[0]);
	}
	end(&on);
	if (status == ADMIN_DONE) {
		if (!output_list(rows, COLUMNS, ARRAY_LEN(COLUMNS), a->json))
			status = ADMIN_REFUSED;
	} else {
		json_decref(rows);
	}
	return status;
}

const struct admin_command admin_cmd_mailbox_annotations = {
	.group = "mailbox",
	.name = "annotations",
	.args = "ADDRESS [MAILBOX]",
	.args_least = 1,
	.args_most = 2,
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Lists what METADATA says of an account's mailboxes, or of one of them.",
	.help = "What belongs to no mailbox stands with \"" SERVER "\".",
	.example = "mailadmin mailbox annotations ann@example.org Junk",
	.run = annotations_run,
};

/* --- annotate ----------------------------------------------------------------------------------- */

static enum admin_status
annotate(struct admin *a, const struct annotating *on)
{
	const char *mailbox = a->args[1], *entry = a->args[2];
	struct str value = a->arg_count > 3 ? str_from(a->args[3]) : (struct str){ NULL, 0 };
	bool server = strcmp(mailbox, SERVER) == 0;
	char id[STORE_MAILBOX_ID_MAX];
	enum store_err err = STORE_OK;

	if (!state_metadata_entry_is_valid(str_from(entry)))
		return admin_refuse(
		    "%s cannot be an entry: /private/… or /shared/…, RFC 5464", entry);
	if (!server)
		err = account_mailbox_id(on->mail, mailbox, id);
	if (err == STORE_NOT_FOUND)
		return no_such_mailbox(mailbox);
	if (err == STORE_OK)
		err = state_metadata_set(on->state, server ? NULL : id, entry, value);
	if (err == STORE_LIMIT)
		return admin_refuse("the value is larger than %d bytes, or there are too many",
		    STATE_METADATA_BYTES_MAX);
	return admin_result(err, entry);
}

static enum admin_status
annotate_run(struct admin *a)
{
	enum admin_status status = ADMIN_REFUSED;
	struct annotating on;

	if (begin(a, true, &on))
		status = annotate(a, &on);
	end(&on);
	return status;
}

const struct admin_command admin_cmd_mailbox_annotate = {
	.group = "mailbox",
	.name = "annotate",
	.args = "ADDRESS MAILBOX ENTRY [VALUE]",
	.args_least = 3,
	.args_most = 4,
	.summary = "Sets an annotation of a mailbox, as SETMETADATA of IMAP does.",
	.help =
	    "Without VALUE it is removed.  \"" SERVER "\" in place of MAILBOX is the server, as "
	    "this account sees it.\n/shared/imapsieve/script names the Sieve script that runs "
	    "when IMAP changes something there.",
	.example = "mailadmin mailbox annotate ann@example.org Junk /shared/imapsieve/script learn",
	.run = annotate_run,
};
