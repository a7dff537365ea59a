/* mailbox acl, share, unshare: access control lists, RFC 4314. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "base/mem.h"
#include "store/account_acl.h"
#include "store/account_tenure.h"

static enum admin_status
refuse(enum store_err err, const char *mailbox)
{
	if (err == STORE_NOT_FOUND)
		return admin_refuse("there is no mailbox %s", mailbox);
	if (err == STORE_CORRUPT)
		return admin_refuse("the list of %s (%s) is damaged: nobody but the owner may do "
				    "anything; mailadmin mailbox unshare removes it",
		    mailbox, ACL_FILE);
	return admin_result(err, mailbox);
}

/* --- acl ---------------------------------------------------------------------------------------- */

static const struct output_column ACL_COLUMNS[] = {
	{ "mailbox", "MAILBOX", OUTPUT_TEXT },
	{ "identifier", "WHO", OUTPUT_TEXT },
	{ "rights", "RIGHTS", OUTPUT_TEXT },
};

static void
add_row(json_t *rows, const char *mailbox, const struct acl_entry *e)
{
	struct buf who = { 0 }, rights = { 0 };

	acl_id_format(&who, &e->id, NULL);
	acl_rights_format(&rights, e->rights, false);
	json_array_append_new(
	    rows, json_pack("{so so so}", "mailbox", output_string(mailbox), "identifier",
		      output_string(buf_cstr(&who)), "rights", output_string(buf_cstr(&rights))));
	buf_free(&who);
	buf_free(&rights);
}

static enum store_err
read_list(struct admin *a, struct account *mail, const char *mailbox, struct acl *acl_out)
{
	struct acl_tenures tenures = account_tenures(a->accounts);

	return account_acl_current(mail, mailbox, &tenures, acl_out);
}

static enum store_err
add_list(struct admin *a, struct account *mail, const char *mailbox, json_t *rows)
{
	struct acl acl;
	enum store_err err = read_list(a, mail, mailbox, &acl);

	for (size_t i = 0; err == STORE_OK && i < acl.count; i++)
		add_row(rows, mailbox, &acl.entries[i]);
	acl_free(&acl);
	return err;
}

static enum admin_status
show(struct admin *a, struct account *mail)
{
	struct mailbox_list boxes = { 0 };
	json_t *rows = json_array();
	enum admin_status status = ADMIN_DONE;
	enum store_err err = STORE_OK;

	if (a->arg_count > 1)
		status = refuse(add_list(a, mail, a->args[1], rows), a->args[1]);
	else
		err = account_list(mail, &boxes);
	for (size_t i = 0; i < boxes.count && err == STORE_OK; i++) {
		const char *name = boxes.boxes[i].name;
		enum store_err one = (boxes.boxes[i].attributes & MAILBOX_NONEXISTENT) == 0
					 ? add_list(a, mail, name, rows)
					 : STORE_OK;

		if (one != STORE_OK && one != STORE_NOT_FOUND)
			status = refuse(one, name);
	}
	mailbox_list_free(&boxes);
	if (err != STORE_OK)
		status = admin_result(err, a->args[0]);
	if (!output_list(rows, ACL_COLUMNS, ARRAY_LEN(ACL_COLUMNS), a->json))
		status = ADMIN_REFUSED;
	return status;
}

static enum admin_status
acl_run(struct admin *a)
{
	return admin_with_mail(a, show);
}

const struct admin_command admin_cmd_mailbox_acl = {
	.group = "mailbox",
	.name = "acl",
	.args = "ADDRESS [MAILBOX]",
	.args_least = 1,
	.args_most = 2,
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Shows who may do what with an account's mailboxes, or with one of them.",
	.help =
	    "Rights are the letters of RFC 4314: l lookup, r read, s \\Seen, w other flags, i "
	    "insert, p post, k create below, x delete the mailbox, t \\Deleted, e expunge, a "
	    "administer. What stands with - is taken away.  The owner has all rights where nothing "
	    "is said.",
	.example = "mailadmin mailbox acl ann@example.org Projects",
	.run = acl_run,
};

/* --- share -------------------------------------------------------------------------------------- */

static const struct {
	const char *word, *letters;
} WORDS[] = {
	{ "read", "lrs" },
	{ "write", "lrswite" },
	{ "all", "lrswipkxtea" },
};

static bool
parse_rights(const char *text, enum acl_change *change_out, unsigned *rights_out)
{
	*change_out = ACL_REPLACE;
	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
		if (strcmp(WORDS[i].word, text) == 0)
			text = WORDS[i].letters;
	if (*text == '+') {
		*change_out = ACL_ADD;
		text++;
	}
	return acl_rights_parse(str_from(text), rights_out);
}

/* Nobody is hindered from naming one that is not there yet; but it is said. */
static void
warn_if_unknown(struct admin *a, const struct acl_id *id)
{
	struct account_row row = { 0 };

	if (id->kind != ACL_USER)
		return;
	if (account_db_find_address(a->accounts, str_from(id->name), &row) == STORE_NOT_FOUND)
		fprintf(stderr, "mailadmin: there is no account %s now\n", id->name);
	account_row_free(&row);
}

static enum admin_status
share(struct admin *a, struct account *mail)
{
	struct acl_tenures tenures = account_tenures(a->accounts);
	struct arena arena = { 0 };
	enum acl_change change;
	struct acl_id id;
	unsigned rights;
	enum admin_status status;

	if (!parse_rights(a->args[3], &change, &rights))
		return admin_bad_usage(
		    a, "%s: read, write, all or letters of lrswipkxtea are needed", a->args[3]);
	if (!acl_id_parse(&arena, str_from(a->args[2]), account_address(mail), &id)) {
		status = admin_bad_usage(a, "%s: no identifier", a->args[2]);
	} else if (id.kind == ACL_GROUP || id.kind == ACL_GROUP_OVERRIDE) {
		status = admin_refuse("%s: there are no groups", a->args[2]);
	} else {
		warn_if_unknown(a, &id);
		status = refuse(
		    account_acl_set(mail, a->args[1], &id, change, rights, &tenures), a->args[1]);
	}
	arena_free(&arena);
	return status;
}

static enum admin_status
share_run(struct admin *a)
{
	return admin_with_mail(a, share);
}

const struct admin_command admin_cmd_mailbox_share = {
	.group = "mailbox",
	.name = "share",
	.args = "ADDRESS MAILBOX IDENTIFIER RIGHTS",
	.args_least = 4,
	.args_most = 4,
	.summary = "Lets others use a mailbox, as SETACL does.",
	.help = "IDENTIFIER is an account's address (without a domain one of the owner's), anyone, "
		"authenticated, or owner; with - in front (and -- before ADDRESS) rights are taken "
		"away.  RIGHTS are read "
		"(lrs), "
		"write (lrswite), all, or letters; +LETTERS adds to what there is.  The others see "
		"the mailbox "
		"below \"Other Users/\".",
	.example = "mailadmin mailbox share ann@example.org Projects bob@example.org write",
	.run = share_run,
};

/* --- unshare ------------------------------------------------------------------------------------ */

static enum admin_status
unshare_all(struct admin *a, struct account *mail, bool dry)
{
	struct acl acl;
	enum store_err err = read_list(a, mail, a->args[1], &acl);
	size_t count = acl.count;

	acl_free(&acl);
	if (err != STORE_OK && err != STORE_CORRUPT)
		return refuse(err, a->args[1]);
	if (dry) {
		if (err == STORE_CORRUPT)
			puts("a damaged list would go");
		else
			printf("%zu entr%s would go\n", count, count == 1 ? "y" : "ies");
		return ADMIN_DONE;
	}
	return refuse(account_acl_clear(mail, a->args[1]), a->args[1]);
}

static enum admin_status
say_dry(const char *who)
{
	printf("the entry of %s would go\n", who);
	return ADMIN_DONE;
}

static enum admin_status
unshare(struct admin *a, struct account *mail)
{
	bool dry = admin_option(a, "--dry-run") != NULL;
	struct arena arena = { 0 };
	struct acl acl = { 0 };
	struct acl_id id;
	enum admin_status status;
	enum store_err err;

	if (a->arg_count < 3)
		return unshare_all(a, mail, dry);
	if (!acl_id_parse(&arena, str_from(a->args[2]), account_address(mail), &id)) {
		status = admin_bad_usage(a, "%s: no identifier", a->args[2]);
		goto out;
	}
	err = read_list(a, mail, a->args[1], &acl);
	if (err == STORE_OK && !acl_delete(&acl, account_address(mail), &id))
		status = admin_refuse("%s is not in the list of %s", a->args[2], a->args[1]);
	else if (err == STORE_OK && dry)
		status = say_dry(a->args[2]);
	else if (err == STORE_OK)
		status = refuse(account_acl_delete(mail, a->args[1], &id), a->args[1]);
	else
		status = refuse(err, a->args[1]);
out:
	acl_free(&acl);
	arena_free(&arena);
	return status;
}

static enum admin_status
unshare_run(struct admin *a)
{
	return admin_with_mail(a, unshare);
}

const struct admin_command admin_cmd_mailbox_unshare = {
	.group = "mailbox",
	.name = "unshare",
	.args = "ADDRESS MAILBOX [IDENTIFIER]",
	.args_least = 2,
	.args_most = 3,
	.options = { { "--dry-run", NULL, "only say what would go" } },
	.summary = "Takes an entry out of a mailbox's list, or all of them.",
	.help = "Without IDENTIFIER a damaged list goes too.",
	.example = "mailadmin mailbox unshare ann@example.org Projects bob@example.org",
	.removes = true,
	.run = unshare_run,
};
