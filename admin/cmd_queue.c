/* queue list, show: what waits for the relay. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/queue_output.h"
#include "admin/queue_select.h"
#include "base/mem.h"
#include "store/spool.h"

/* --- list --------------------------------------------------------------------------------------- */

static enum admin_status
list_page(struct admin *a, void *arg, struct spool_message *const *messages, size_t count)
{
	struct output_stream *out = arg;

	for (size_t i = 0; i < count; i++)
		output_stream_row(out, queue_message_json(messages[i], a->json));
	return ADMIN_DONE;
}

static enum admin_status
list_run(struct admin *a)
{
	const char *summary = admin_option(a, "--summary");
	struct queue_filter filter;
	struct output_stream *out;
	enum admin_status status;

	if (!queue_filter_read(a, &filter))
		return ADMIN_USAGE;
	if (summary != NULL && !queue_summary_is_known(summary))
		return admin_bad_usage(a, "--summary %s: domain or account is needed", summary);
	if (!admin_open_spool(a))
		return ADMIN_REFUSED;
	if (summary != NULL)
		return queue_summary(a, &filter, summary);
	out = output_stream_begin(QUEUE_LIST_COLUMNS, QUEUE_LIST_COLUMN_COUNT, a->json);
	status =
	    queue_each(a, &filter, 0, isatty(STDOUT_FILENO) ? NULL : "Listing", list_page, out);
	return output_stream_end(out) ? status : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_queue_list = {
	.group = "queue",
	.name = "list",
	.args = "[ID]...",
	.args_most = ADMIN_ARGS_MAX,
	.options = { QUEUE_OPTIONS,
	    { "--summary", "domain|account", "count by domain of the recipients, or by account" },
	    { "--json", NULL, "as JSON, with every recipient" } },
	.summary = "Lists the messages that wait for the relay, oldest first.",
	.help = QUEUE_OPTIONS_HELP,
	.example = "mailadmin queue list --to '*@example.net' --older-than 1h",
	.run = list_run,
};

/* --- show --------------------------------------------------------------------------------------- */

static const struct output_column SHOW_COLUMNS[] = {
	{ "id", "Message", OUTPUT_TEXT },
	{ "sender", "Sender", OUTPUT_TEXT },
	{ "account", "Account", OUTPUT_TEXT },
	{ "origin", "Origin", OUTPUT_TEXT },
	{ "received", "Received", OUTPUT_TIME },
	{ "size", "Size", OUTPUT_BYTES },
	{ "state", "State", OUTPUT_TEXT },
	{ "next_attempt", "Next try", OUTPUT_TIME },
	{ "parked", "Parked", OUTPUT_TEXT },
	{ "route", "Own relay", OUTPUT_TEXT },
	{ "priority", "Priority", OUTPUT_TEXT },
	{ "release_at", "Not before", OUTPUT_TIME },
	{ "deliver_by", "Deliver by", OUTPUT_TIME },
	{ "by_mode", "If late", OUTPUT_TEXT },
};

static const struct output_column RECIPIENT_COLUMNS[] = {
	{ "address", "RECIPIENT", OUTPUT_TEXT },
	{ "state", "STATE", OUTPUT_TEXT },
	{ "attempts", "TRIES", OUTPUT_TEXT },
	{ "next_attempt", "NEXT TRY", OUTPUT_TIME },
	{ "relay", "RELAY", OUTPUT_TEXT },
	{ "reply", "LAST ANSWER", OUTPUT_TEXT },
};

/* The header up to the blank line, what is behind it, or both. */
static bool
print_content(FILE *file, bool header, bool body)
{
	bool in_header = true;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, file)) > 0) {
		bool blank = in_header && (strcmp(line, "\n") == 0 || strcmp(line, "\r\n") == 0);

		if (blank ? header && body : in_header ? header : body)
			output_lines(line, (size_t)n);
		if (blank)
			in_header = false;
	}
	free(line);
	return !ferror(file) && fflush(stdout) == 0;
}

static enum admin_status
show_content(struct admin *a, const char *id, bool header, bool body)
{
	enum store_err err;
	FILE *file;
	bool good;
	int fd;

	err = spool_content(a->spool, id, &fd);
	if (err != STORE_OK)
		return admin_result(err, id);
	file = fdopen(fd, "r");
	if (file == NULL) {
		close(fd);
		return admin_result(STORE_IO, id);
	}
	good = print_content(file, header, body);
	fclose(file);
	return good ? ADMIN_DONE : admin_result(STORE_IO, id);
}

static enum admin_status
show_facts(struct admin *a, const struct spool_message *m)
{
	json_t *object = queue_message_json(m, a->json);
	json_t *recipients = json_incref(json_object_get(object, "recipients"));
	bool ok = output_object(object, SHOW_COLUMNS, ARRAY_LEN(SHOW_COLUMNS), a->json);

	if (a->json) {
		json_decref(recipients);
	} else {
		putchar('\n');
		ok =
		    output_list(recipients, RECIPIENT_COLUMNS, ARRAY_LEN(RECIPIENT_COLUMNS), false);
	}
	return ok ? ADMIN_DONE : ADMIN_REFUSED;
}

static enum admin_status
show_run(struct admin *a)
{
	bool header = admin_option(a, "--header") != NULL, body = admin_option(a, "--body") != NULL;
	struct spool_message *m;
	enum admin_status status;
	enum store_err err;

	if (a->json && (header || body))
		return admin_bad_usage(a, "--header and --body give the message as it is, no JSON");
	if (!admin_open_spool(a))
		return ADMIN_REFUSED;
	err = spool_find(a->spool, a->args[0], &m);
	if (err == STORE_NOT_FOUND || err == STORE_INVALID)
		return admin_refuse("there is no message %s in the queue", a->args[0]);
	if (err != STORE_OK)
		return admin_result(err, a->args[0]);
	status = header || body ? show_content(a, m->id, header, body) : show_facts(a, m);
	spool_message_free(m);
	return status;
}

const struct admin_command admin_cmd_queue_show = {
	.group = "queue",
	.name = "show",
	.args = "ID",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--header", NULL, "the message's header instead" },
	    { "--body", NULL, "the message's body; with --header the whole message" },
	    { "--json", NULL, "as JSON" } },
	.summary = "Shows one message of the queue and what became of each recipient.",
	.help = "\"Deliver by\" is the time that a filter's redirect or the client set (RFC 2852); "
		"\"If late\" says\n"
		"whether the message comes back then or the sender is notified and it goes on.\n"
		"\"Parked\" says why it is held for good: a bounce that could not be returned.",
	.example = "mailadmin queue show 06kq1v3c0g8s2d4f --header",
	.run = show_run,
};
