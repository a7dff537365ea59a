/* quota show, quota recount. */
#include <stdlib.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "base/mem.h"

static const struct output_column COLUMNS[] = {
	{ "address", "Address", OUTPUT_TEXT },
	{ "used_bytes", "Used", OUTPUT_BYTES },
	{ "used_messages", "Messages", OUTPUT_TEXT },
	{ "quota_kb", "Quota", OUTPUT_KB },
	{ "percent", "Percent", OUTPUT_TEXT },
};

static enum admin_status
print_usage(const struct account_row *row, const struct account_quota *usage, bool json)
{
	char *address = account_row_address(row);
	json_t *object = json_pack("{so sI sI sI sI}", "address", output_string(address),
	    "used_bytes", (json_int_t)usage->used_bytes, "used_messages",
	    (json_int_t)usage->used_messages, "limit_bytes", (json_int_t)usage->limit_bytes,
	    "quota_kb", (json_int_t)row->quota_kb);

	free(address);
	json_object_set_new(object, "percent",
	    usage->limit_bytes > 0 ? json_integer((json_int_t)((double)usage->used_bytes * 100 /
							       (double)usage->limit_bytes))
				   : json_null());
	return output_object(object, COLUMNS, ARRAY_LEN(COLUMNS), json) ? ADMIN_DONE
									: ADMIN_REFUSED;
}

static enum store_err
recount_quota(struct account *mail)
{
	struct progress *progress = progress_begin("Counting", 0);
	enum store_err err = account_quota_recount(mail);

	progress_end(progress);
	return err;
}

static enum admin_status
usage_of(struct admin *a, bool recount)
{
	struct account_row row = { 0 };
	struct account_quota usage;
	struct account *mail = NULL;
	enum admin_status status = ADMIN_REFUSED;
	enum store_err err = STORE_OK;

	if (!admin_find_account(a, a->args[0], &row))
		return ADMIN_REFUSED;
	if (admin_open_mail(a, &row, &mail)) {
		if (recount)
			err = recount_quota(mail);
		if (err == STORE_OK)
			err = account_quota(mail, &usage);
		status = err == STORE_OK ? print_usage(&row, &usage, a->json)
					 : admin_result(err, a->args[0]);
	}
	account_close(mail);
	account_row_free(&row);
	return status;
}

static enum admin_status
show_run(struct admin *a)
{
	return usage_of(a, false);
}

static enum admin_status
recount_run(struct admin *a)
{
	return usage_of(a, true);
}

const struct admin_command admin_cmd_quota_show = {
	.group = "quota",
	.name = "show",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Shows what an account's mail takes, and its quota.",
	.help = "Mailboxes of store.quota_exempt (Trash) are not counted.",
	.example = "mailadmin quota show ann@example.org",
	.run = show_run,
};

const struct admin_command admin_cmd_quota_recount = {
	.group = "quota",
	.name = "recount",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Counts an account's mail anew and shows it.",
	.help = "For trees that other programs have changed without keeping maildirsize.",
	.example = "mailadmin quota recount ann@example.org",
	.run = recount_run,
};
