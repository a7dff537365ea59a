/* queue list, show, flush, hold, release, delete: the spool while submitd runs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "base/mem.h"
#include "store/spool.h"

#define QUEUE_PAGE 500 /* messages read at a time */

static const char *const STATES[] = {
	[SPOOL_PENDING] = "pending",
	[SPOOL_DELIVERED] = "delivered",
	[SPOOL_FAILED] = "failed",
};

/* --- list, show --------------------------------------------------------------------------------- */

static json_t *
recipient_json(const struct spool_recipient *r)
{
	return json_pack("{so ss si so so so}", "address", output_string(r->address), "state",
	    STATES[r->state], "attempts", (int)r->attempts, "reply", output_string(r->reply),
	    "relay", output_string(r->relay), "next_attempt",
	    r->state == SPOOL_PENDING ? json_integer(r->next_attempt) : json_null());
}

/* RFC 2852's mode in words. */
static const char *
if_late(const struct spool_message *m)
{
	return m->by_mode == 'R' ? "return" : m->by_mode == 'N' ? "notify" : NULL;
}

static json_t *
message_json(const struct spool_message *m)
{
	json_t *object, *recipients = json_array();
	size_t pending = 0;

	for (size_t i = 0; i < m->recipient_count; i++) {
		json_array_append_new(recipients, recipient_json(&m->recipients[i]));
		pending += m->recipients[i].state == SPOOL_PENDING;
	}
	object = json_pack("{ss so so sI sI so so sb sI sb sb so sI so}", "id", m->id, "sender",
	    output_string(m->sender), "account", output_string(m->account), "received",
	    (json_int_t)m->received, "next_attempt", (json_int_t)m->next_attempt, "deliver_by",
	    m->by_mode != 0 ? json_integer(m->deliver_by) : json_null(), "by_mode",
	    output_string(if_late(m)), "by_trace", m->by_trace, "size", (json_int_t)m->size_bytes,
	    "held", m->held, "claimed", m->claimed, "origin", output_string(m->origin), "pending",
	    (json_int_t)pending, "recipients", recipients);
	return object;
}

/* What a person wants to see first: who, whereto, and what is in the way. */
static void
add_summary(json_t *object, const struct spool_message *m)
{
	const char *state = m->claimed ? "sending" : m->held ? "held" : "waiting";
	struct buf to = { 0 };

	if (m->recipient_count > 0)
		buf_adds(&to, m->recipients[0].address);
	if (m->recipient_count > 1)
		buf_printf(&to, " and %zu more", m->recipient_count - 1);
	json_object_set_new(object, "to", output_string(buf_cstr(&to)));
	json_object_set_new(object, "state", json_string(state));
	if (*m->sender == '\0')
		json_object_set_new(object, "sender", json_string("<>"));
	buf_free(&to);
}

static const struct output_column LIST_COLUMNS[] = {
	{ "id", "ID", OUTPUT_TEXT },
	{ "received", "RECEIVED", OUTPUT_TIME },
	{ "size", "SIZE", OUTPUT_BYTES },
	{ "state", "STATE", OUTPUT_TEXT },
	{ "next_attempt", "NEXT TRY", OUTPUT_TIME },
	{ "sender", "SENDER", OUTPUT_TEXT },
	{ "to", "RECIPIENTS", OUTPUT_TEXT },
};

static enum admin_status
list_run(struct admin *a)
{
	char after[SPOOL_ID_LEN + 1] = "";
	struct spool_message **page;
	size_t count = 0;
	json_t *rows;
	enum store_err err;

	if (!admin_open_spool(a))
		return ADMIN_REFUSED;
	rows = json_array();
	do {
		err =
		    spool_list(a->spool, *after != '\0' ? after : NULL, QUEUE_PAGE, &page, &count);
		if (err != STORE_OK) {
			json_decref(rows);
			return admin_result(err, "queue");
		}
		for (size_t i = 0; i < count; i++) {
			json_t *row = message_json(page[i]);

			if (!a->json)
				add_summary(row, page[i]);
			json_array_append_new(rows, row);
		}
		if (count > 0)
			memcpy(after, page[count - 1]->id, sizeof(after));
		spool_messages_free(page, count);
	} while (count == QUEUE_PAGE);
	return output_list(rows, LIST_COLUMNS, ARRAY_LEN(LIST_COLUMNS), a->json) ? ADMIN_DONE
										 : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_queue_list = {
	.group = "queue",
	.name = "list",
	.args = "",
	.options = { { "--json", NULL, "as JSON, with every recipient" } },
	.summary = "Lists the messages that wait for the relay, oldest first.",
	.example = "mailadmin queue list",
	.run = list_run,
};

static const struct output_column SHOW_COLUMNS[] = {
	{ "id", "Message", OUTPUT_TEXT },
	{ "sender", "Sender", OUTPUT_TEXT },
	{ "account", "Account", OUTPUT_TEXT },
	{ "origin", "Origin", OUTPUT_TEXT },
	{ "received", "Received", OUTPUT_TIME },
	{ "size", "Size", OUTPUT_BYTES },
	{ "state", "State", OUTPUT_TEXT },
	{ "next_attempt", "Next try", OUTPUT_TIME },
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

static enum admin_status
show_run(struct admin *a)
{
	struct spool_message *m;
	json_t *object, *recipients;
	enum store_err err;
	bool ok;

	if (!admin_open_spool(a))
		return ADMIN_REFUSED;
	err = spool_find(a->spool, a->args[0], &m);
	if (err == STORE_NOT_FOUND || err == STORE_INVALID)
		return admin_refuse("there is no message %s in the queue", a->args[0]);
	if (err != STORE_OK)
		return admin_result(err, a->args[0]);
	object = message_json(m);
	if (!a->json)
		add_summary(object, m);
	spool_message_free(m);
	recipients = json_incref(json_object_get(object, "recipients"));
	ok = output_object(object, SHOW_COLUMNS, ARRAY_LEN(SHOW_COLUMNS), a->json);
	if (a->json) {
		json_decref(recipients);
	} else {
		putchar('\n');
		ok =
		    output_list(recipients, RECIPIENT_COLUMNS, ARRAY_LEN(RECIPIENT_COLUMNS), false);
	}
	return ok ? ADMIN_DONE : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_queue_show = {
	.group = "queue",
	.name = "show",
	.args = "ID",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--json", NULL, "as JSON" } },
	.summary = "Shows one message of the queue and what became of each recipient.",
	.help = "\"Deliver by\" is the time that a filter's redirect set (RFC 2852, RFC 6009); "
		"\"If late\" says\n"
		"whether the message comes back then or the sender is notified and it goes on.",
	.example = "mailadmin queue show 06kq1v3c0g8s2d4f",
	.run = show_run,
};

/* --- flush, hold, release, delete --------------------------------------------------------------- */

static enum store_err
hold(struct spool *spool, const char *id, size_t *count_out)
{
	return spool_hold(spool, id, true, count_out);
}

static enum store_err
release(struct spool *spool, const char *id, size_t *count_out)
{
	return spool_hold(spool, id, false, count_out);
}

/* `verb_done`: "3 messages held". */
static enum admin_status
change(struct admin *a, enum store_err (*act)(struct spool *, const char *, size_t *),
    const char *verb_done)
{
	const char *id = a->arg_count > 0 ? a->args[0] : NULL;
	size_t count = 0;
	enum store_err err;

	if (!admin_open_spool(a))
		return ADMIN_REFUSED;
	err = act(a->spool, id, &count);
	if (id != NULL && (err == STORE_NOT_FOUND || err == STORE_INVALID))
		return admin_refuse("there is no message %s in the queue", id);
	if (id != NULL && err == STORE_BUSY)
		return admin_refuse("%s is being sent just now; try again", id);
	if (err != STORE_OK && err != STORE_NOT_FOUND)
		return admin_result(err, "queue");
	printf("%zu message%s %s\n", count, count == 1 ? "" : "s", verb_done);
	return ADMIN_DONE;
}

/* hold, release and delete want to be told what they mean. */
static bool
one_or_all(const struct admin *a)
{
	if ((admin_option(a, "--all") != NULL) == (a->arg_count == 0))
		return true;
	admin_bad_usage(a, "either one ID or --all is needed");
	return false;
}

static enum admin_status
flush_run(struct admin *a)
{
	return change(a, spool_flush, "due now");
}

static enum admin_status
hold_run(struct admin *a)
{
	return one_or_all(a) ? change(a, hold, "held") : ADMIN_USAGE;
}

static enum admin_status
release_run(struct admin *a)
{
	return one_or_all(a) ? change(a, release, "released") : ADMIN_USAGE;
}

static enum admin_status
delete_run(struct admin *a)
{
	return one_or_all(a) ? change(a, spool_delete, "deleted") : ADMIN_USAGE;
}

#define ALL_OPTION                                                                                 \
	{                                                                                          \
		"--all", NULL, "every message of the queue"                                        \
	}

const struct admin_command admin_cmd_queue_flush = {
	.group = "queue",
	.name = "flush",
	.args = "[ID]",
	.args_most = 1,
	.summary = "Tries one message, or all that wait, again now.",
	.help = "Held messages stay held.",
	.example = "mailadmin queue flush",
	.run = flush_run,
};

const struct admin_command admin_cmd_queue_hold = {
	.group = "queue",
	.name = "hold",
	.args = "[ID]",
	.args_most = 1,
	.options = { ALL_OPTION },
	.summary = "Keeps a message back until it is released.",
	.help =
	    "Its lifetime goes on running: what is held too long is returned once it is released.",
	.example = "mailadmin queue hold --all",
	.run = hold_run,
};

const struct admin_command admin_cmd_queue_release = {
	.group = "queue",
	.name = "release",
	.args = "[ID]",
	.args_most = 1,
	.options = { ALL_OPTION },
	.summary = "Lets a held message go on.",
	.example = "mailadmin queue release 06kq1v3c0g8s2d4f",
	.run = release_run,
};

const struct admin_command admin_cmd_queue_delete = {
	.group = "queue",
	.name = "delete",
	.args = "[ID]",
	.args_most = 1,
	.options = { ALL_OPTION },
	.summary = "Removes a message; neither recipients nor sender hear of it.",
	.help = "Messages that are being sent at this moment stay.",
	.example = "mailadmin queue delete 06kq1v3c0g8s2d4f",
	.run = delete_run,
};
