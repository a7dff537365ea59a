/* queue flush, hold, release, delete, reroute: the spool while submitd runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/queue_output.h"
#include "admin/queue_select.h"
#include "base/buf.h"
#include "base/mem.h"
#include "store/spool.h"

struct verb {
	enum spool_action action;
	const char *done;                                /* "3 messages held" */
	bool (*concerns)(const struct spool_message *m); /* of those not named by id; NULL: all */
	bool needs_choice;                               /* --all must be said */
};

struct changing {
	const struct verb *verb;
	struct spool_change change;
	struct spool_changed sum;
	struct output_stream *shown; /* --dry-run */
	bool named;
};

/* --- the walk ----------------------------------------------------------------------------------- */

static enum admin_status
change_page(struct admin *a, void *arg, struct spool_message *const *messages, size_t count)
{
	struct changing *c = arg;
	struct spool_changed changed;
	const char *ids[QUEUE_PAGE];
	size_t n = 0;
	enum store_err err;

	for (size_t i = 0; i < count; i++) {
		if (!c->named && c->verb->concerns != NULL && !c->verb->concerns(messages[i]))
			continue;
		ids[n++] = messages[i]->id;
		if (c->shown != NULL)
			output_stream_row(c->shown, queue_message_json(messages[i], a->json));
	}
	if (c->shown != NULL) {
		c->sum.done += n;
		return ADMIN_DONE;
	}
	if (n == 0)
		return ADMIN_DONE;
	err = spool_change(a->spool, &c->change, ids, n, &changed);
	if (err != STORE_OK)
		return admin_result(err, "queue");
	c->sum.done += changed.done;
	c->sum.busy += changed.busy;
	c->sum.gone += changed.gone;
	return ADMIN_DONE;
}

/* A message that is being sent may be gone in a moment; whoever named it wants to know. */
static enum admin_status
say_result(struct admin *a, const struct changing *c, enum admin_status status)
{
	size_t n = c->sum.done;
	bool passed_over =
	    c->verb->action == SPOOL_ACT_FLUSH || c->verb->action == SPOOL_ACT_DELETE;

	if (a->json) {
		printf("{ \"done\": %zu, \"being_sent\": %zu, \"gone\": %zu }\n", n, c->sum.busy,
		    c->sum.gone);
	} else if (n > 0 || !c->named) {
		printf("%zu message%s %s\n", n, n == 1 ? "" : "s", c->verb->done);
	}
	if (c->sum.busy == 0)
		return status;
	if (c->named && passed_over && n == 0 && c->sum.busy == 1)
		return admin_refuse(
		    "%s is being sent just now; try again", a->args[a->arg_count - 1]);
	fprintf(stderr, "mailadmin: %zu being sent just now%s\n", c->sum.busy,
	    passed_over ? ", passed over" : ": that attempt goes on, the next one heeds it");
	return c->named && passed_over ? ADMIN_REFUSED : status;
}

static enum admin_status
change(struct admin *a, const struct verb *verb, const char *route, size_t first_arg)
{
	bool all = admin_option(a, "--all") != NULL, dry = admin_option(a, "--dry-run") != NULL;
	struct changing c = { .verb = verb,
		.change = { .action = verb->action, .route = route },
		.named = a->arg_count > first_arg };
	struct queue_filter filter;
	enum admin_status status;

	if (!queue_filter_read(a, &filter))
		return ADMIN_USAGE;
	if (all && (filter.any || c.named))
		return admin_bad_usage(a, "--all goes with no ID and no choice");
	if (verb->needs_choice && !all && !filter.any && !c.named)
		return admin_bad_usage(a, "an ID, a choice or --all is needed");
	if (!admin_open_spool(a))
		return ADMIN_REFUSED;
	if (dry)
		c.shown = output_stream_begin(QUEUE_LIST_COLUMNS, QUEUE_LIST_COLUMN_COUNT, a->json);
	status =
	    queue_each(a, &filter, first_arg, dry ? NULL : "Changing messages", change_page, &c);
	if (dry)
		return output_stream_end(c.shown) ? status : ADMIN_REFUSED;
	return say_result(a, &c, status);
}

#define CHANGE_OPTIONS                                                                             \
	QUEUE_OPTIONS, { "--all", NULL, "every message of the queue" },                            \
	    { "--dry-run", NULL, "list what would be changed, change nothing" },                   \
	{                                                                                          \
		"--json", NULL, "say the result as JSON"                                           \
	}

/* --- flush, hold, release, delete --------------------------------------------------------------- */

/* One that is to go later goes early only when it is named. */
static bool
is_to_go(const struct spool_message *m)
{
	return m->release_mode == 0 || m->release_at <= time(NULL);
}

static bool
is_held(const struct spool_message *m)
{
	return m->held;
}

static bool
is_not_held(const struct spool_message *m)
{
	return !m->held;
}

static const struct verb FLUSH = { SPOOL_ACT_FLUSH, "due now", is_to_go, false };
static const struct verb HOLD = { SPOOL_ACT_HOLD, "held", is_not_held, true };
static const struct verb RELEASE = { SPOOL_ACT_RELEASE, "released", is_held, true };
static const struct verb DELETE = { SPOOL_ACT_DELETE, "deleted", NULL, true };
static const struct verb REROUTE = { SPOOL_ACT_REROUTE, "rerouted", NULL, true };

static enum admin_status
flush_run(struct admin *a)
{
	return change(a, &FLUSH, NULL, 0);
}

static enum admin_status
hold_run(struct admin *a)
{
	return change(a, &HOLD, NULL, 0);
}

static enum admin_status
release_run(struct admin *a)
{
	return change(a, &RELEASE, NULL, 0);
}

static enum admin_status
delete_run(struct admin *a)
{
	return change(a, &DELETE, NULL, 0);
}

const struct admin_command admin_cmd_queue_flush = {
	.group = "queue",
	.name = "flush",
	.args = "[ID]...",
	.args_most = ADMIN_ARGS_MAX,
	.options = { CHANGE_OPTIONS },
	.summary = "Tries messages, or all that wait, again now.",
	.help = "Held messages stay held. What is to be sent later (FUTURERELEASE) goes early only "
		"when its ID\nis given. " QUEUE_OPTIONS_HELP,
	.example = "mailadmin queue flush --to '*@example.net'",
	.run = flush_run,
};

const struct admin_command admin_cmd_queue_hold = {
	.group = "queue",
	.name = "hold",
	.args = "[ID]...",
	.args_most = ADMIN_ARGS_MAX,
	.options = { CHANGE_OPTIONS },
	.summary = "Keeps messages back until they are released.",
	.help =
	    "Their lifetime goes on running: what is held too long is returned once it is "
	    "released.\n"
	    "One that is being sent is held if that attempt does not end it.\n" QUEUE_OPTIONS_HELP,
	.example = "mailadmin queue hold --account ann@example.org",
	.run = hold_run,
};

const struct admin_command admin_cmd_queue_release = {
	.group = "queue",
	.name = "release",
	.args = "[ID]...",
	.args_most = ADMIN_ARGS_MAX,
	.options = { CHANGE_OPTIONS },
	.summary = "Lets held messages go on.",
	.help =
	    "Also parked ones, bounces that could not be returned: they are tried once more for "
	    "all\nrecipients that had failed. " QUEUE_OPTIONS_HELP,
	.example = "mailadmin queue release 06kq1v3c0g8s2d4f",
	.run = release_run,
};

const struct admin_command admin_cmd_queue_delete = {
	.group = "queue",
	.name = "delete",
	.args = "[ID]...",
	.args_most = ADMIN_ARGS_MAX,
	.options = { CHANGE_OPTIONS },
	.summary = "Removes messages; neither recipients nor senders hear of it.",
	.help = "Messages that are being sent at this moment stay. " QUEUE_OPTIONS_HELP,
	.example = "mailadmin queue delete --account ann@example.org --older-than 1h --dry-run",
	.removes = true,
	.run = delete_run,
};

/* --- reroute ------------------------------------------------------------------------------------ */

/* "HOST:PORT,HOST:PORT" as the spool keeps it, checked as in the configuration; NULL after saying what is wrong. */
static char *
read_route(const struct admin *a, const char *text)
{
	struct buf conf = { 0 }, errors = { 0 }, route = { 0 };
	struct config *parsed;

	buf_adds(&conf, "[submitd]\n");
	for (const char *p = text;; p++) {
		size_t len = strcspn(p, ", \t\n");

		buf_printf(&conf, "relay = %.*s\n", (int)len, p);
		buf_printf(&route, "%s%.*s", route.len > 0 ? " " : "", (int)len, p);
		if (len == 0)
			buf_adds(&errors, "an empty name");
		p += len;
		if (*p != ',')
			break;
	}
	parsed = config_parse("RELAY", (struct str){ conf.data, conf.len }, &errors);
	if (errors.len > 0 || strpbrk(text, " \t\n") != NULL) {
		admin_bad_usage(a, "%s: HOST:PORT is needed, or \"default\"", text);
		buf_free(&route);
	}
	config_free(parsed);
	buf_free(&conf);
	buf_free(&errors);
	return route.len > 0 ? buf_take(&route) : NULL;
}

static enum admin_status
reroute_run(struct admin *a)
{
	enum admin_status status;
	char *route = NULL;

	if (strcmp(a->args[0], "default") != 0) {
		route = read_route(a, a->args[0]);
		if (route == NULL)
			return ADMIN_USAGE;
	}
	status = change(a, &REROUTE, route, 1);
	free(route);
	return status;
}

const struct admin_command admin_cmd_queue_reroute = {
	.group = "queue",
	.name = "reroute",
	.args = "RELAY [ID]...",
	.args_least = 1,
	.args_most = ADMIN_ARGS_MAX,
	.options = { CHANGE_OPTIONS },
	.summary = "Gives messages a relay of their own and tries them now.",
	.help = "RELAY is HOST:PORT, several of them with commas between, or \"default\" for the "
		"configured ones\n"
		"again. TLS and logins are as configured for submitd.relay.\n" QUEUE_OPTIONS_HELP,
	.example = "mailadmin queue reroute relay2.example.org:25 --to '*@example.net'",
	.run = reroute_run,
};
