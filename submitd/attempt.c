#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop.h"
#include "service/service.h"
#include "submitd/deadline.h"
#include "submitd/meters.h"
#include "submitd/runner_internal.h"
#include "submitd/verdict.h"

static const struct relay_events RELAY_EVENTS;

/* --- the end ------------------------------------------------------------------------------------ */

static void
run_finish(void *arg)
{
	settle_finish(arg);
}

static void
on_finished(void *arg)
{
	struct attempt *a = arg;
	struct runner *r = a->runner;

	if (a->fd >= 0)
		close(a->fd);
	free(a->rcpts);
	free(a->of);
	free(a->done);
	free(a);
	runner_attempt_over(r);
}

static void
finish(struct attempt *a)
{
	net_job_run(a->runner->sv->loop, run_finish, on_finished, a);
}

/* The first of those that are to be sent to has its result. */
static void
note(struct attempt *a, size_t i, const struct smtp_result *result, const char *relay)
{
	settle_note(a, a->of[i], result, relay);
	a->done[a->done_count++] = a->of[i];
	a->of[i] = NULL;
}

/* Closes the gaps that note() left. */
static void
compact(struct attempt *a)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->count; i++) {
		if (a->of[i] == NULL)
			continue;
		a->of[kept] = a->of[i];
		a->rcpts[kept++] = a->rcpts[i];
	}
	a->count = kept;
}

/* Nothing was asked about the recipients: whatever went wrong, even a relay's 5xx greeting, is a matter of
 * that host and not theirs, so they wait. */
static void
defer_all(struct attempt *a, const struct smtp_result *why, const char *relay)
{
	struct smtp_result later = *why;

	later.outcome = SMTP_OUTCOME_TEMPORARY;
	for (size_t i = 0; i < a->count; i++)
		note(a, i, &later, relay);
	a->count = 0;
	finish(a);
}

/* --- one transaction after another -------------------------------------------------------------- */

/* False if the content cannot be read. */
static bool
describe_message(struct attempt *a)
{
	const struct spool_message *msg = a->msg;
	struct stat st;

	if (fstat(a->fd, &st) < 0)
		return false;
	a->message = (struct smtp_client_message){
		.from = msg->sender,
		.rcpts = a->rcpts,
		.fd = a->fd,
		.size_bytes = (uint64_t)st.st_size,
		.body = msg->body == SPOOL_BODY_BINARYMIME ? SMTP_BODY_BINARYMIME
			: msg->body == SPOOL_BODY_8BITMIME ? SMTP_BODY_8BITMIME
							   : SMTP_BODY_7BIT,
		.smtputf8 = msg->smtputf8,
		.ret = msg->ret == SPOOL_RET_FULL   ? SMTP_RET_FULL
		       : msg->ret == SPOOL_RET_HDRS ? SMTP_RET_HDRS
						    : SMTP_RET_NONE,
		.envid = msg->envid,
		.by_mode = deadline_mode(msg),
		.by_trace = msg->by_trace,
		.by_seconds = msg->deliver_by - time(NULL),
		.require_tls = msg->require_tls,
		.priority = msg->priority,
	};
	return true;
}

static const struct smtp_result UNREADABLE = { .outcome = SMTP_OUTCOME_TEMPORARY,
	.text = "the message could not be read" };

static void
send_to_next(struct attempt *a)
{
	a->message.by_seconds = a->msg->deliver_by - time(NULL);
	a->since_ns = metrics_now_ns();
	a->message.rcpt_count = smtp_client_takes(a->client, a->rcpts, a->count);
	smtp_client_send(a->client, &a->message);
}

static void
on_ready(void *arg, struct smtp_client *client, const char *relay, const struct smtp_result *why)
{
	struct attempt *a = arg;

	a->relay = relay;
	if (client == NULL)
		submit_meters_relay(a->runner->sv, relay, NULL, a->since_ns);
	if (client != NULL && describe_message(a)) {
		a->client = client;
		send_to_next(a);
		return;
	}
	relay_give_back(a->connection, client != NULL);
	defer_all(a, client != NULL ? &UNREADABLE : why, relay);
}

static void
take_relay(struct attempt *a)
{
	a->since_ns = metrics_now_ns();
	a->connection = relay_take(a->runner->relays, a->msg->route, a->tried, &RELAY_EVENTS, a);
}

static void
run_save(void *arg)
{
	settle_save(arg);
}

/* What has a result is safe; the others' turn. */
static void
on_saved(void *arg)
{
	struct attempt *a = arg;

	if (a->err != STORE_OK) { /* a further 250 could not be kept either */
		if (a->client != NULL)
			relay_give_back(a->connection, true);
		finish(a);
	} else if (a->client != NULL) {
		send_to_next(a);
	} else {
		take_relay(a);
	}
}

/* Lost before it said anything on a connection that had waited: that tells nothing of the relay. */
static bool
was_stale(const struct attempt *a, const struct smtp_client_report *rep)
{
	return rep->lost && !rep->in_doubt && relay_was_used(a->connection);
}

/* What this conversation tells of the relay, and so where to go next. */
static void
judge_relay(struct attempt *a, const struct smtp_client_report *rep)
{
	if (was_stale(a, rep))
		return; /* a->tried does not have it yet: once more, afresh */
	a->tried = relay_tried(a->connection);
	if (rep->lost)
		relay_is_down(a->connection, rep->message);
}

static void
on_sent(void *arg, const struct smtp_client_report *rep)
{
	struct attempt *a = arg;
	bool elsewhere = verdict_is_elsewhere(rep), some_taken = verdict_some_taken(rep);
	bool reusable = rep->reusable && !a->runner->draining;
	bool may_go_on;

	submit_meters_relay(a->runner->sv, a->relay, rep, a->since_ns);
	if (elsewhere)
		judge_relay(a, rep);
	may_go_on = elsewhere && !a->runner->draining && relay_has_untried(a->connection, a->tried);
	for (size_t i = 0; i < rep->rcpt_count; i++) {
		struct spool_recipient *rcpt = a->of[i];

		if (!verdict_decides(rep, i, some_taken, may_go_on))
			continue;
		note(a, i, &rep->rcpts[i], rep->peer);
		settle_note_owed(a, rcpt, rep);
	}
	compact(a);
	if (a->count == 0 || !reusable || may_go_on) {
		relay_give_back(a->connection, reusable);
		a->client = NULL;
	}
	if (a->count == 0 || a->runner->draining) /* those left are due, for whoever runs next */
		finish(a);
	else if (a->logged < a->done_count)
		net_job_run(a->runner->sv->loop, run_save, on_saved, a);
	else
		take_relay(a);
}

static const struct relay_events RELAY_EVENTS = { .on_ready = on_ready, .on_sent = on_sent };

/* --- the start ---------------------------------------------------------------------------------- */

static void
run_open_content(void *arg)
{
	struct attempt *a = arg;

	settle_tell_if_late(a);
	a->err = spool_content(a->runner->sv->spool, a->msg->id, &a->fd);
}

static void
on_content_open(void *arg)
{
	struct attempt *a = arg;

	if (a->err == STORE_OK)
		take_relay(a);
	else
		defer_all(a, &UNREADABLE, NULL);
}

static void
collect_due(struct attempt *a, int64_t now)
{
	struct spool_message *msg = a->msg;

	a->rcpts = mem_zalloc(msg->recipient_count * sizeof(*a->rcpts));
	a->of = mem_zalloc(msg->recipient_count * sizeof(struct spool_recipient *));
	a->done = mem_zalloc(msg->recipient_count * sizeof(struct spool_recipient *));
	for (size_t i = 0; i < msg->recipient_count; i++) {
		struct spool_recipient *rcpt = &msg->recipients[i];

		if (rcpt->state != SPOOL_PENDING || rcpt->next_attempt > now)
			continue;
		a->of[a->count] = rcpt;
		a->rcpts[a->count++] = (struct smtp_client_rcpt){
			.address = rcpt->address,
			.notify = rcpt->notify,
			.orcpt = rcpt->orcpt,
		};
	}
}

void
attempt_start(struct runner *r, struct spool_message *msg)
{
	static const struct smtp_result TOO_LATE = { .outcome = SMTP_OUTCOME_TEMPORARY };
	struct attempt *a = mem_zalloc(sizeof(*a));
	int64_t now = time(NULL);

	a->runner = r;
	a->msg = msg;
	a->fd = -1;
	collect_due(a, now);
	r->active++;
	net_worker_hold(r->sv->worker);
	if (a->count == 0)
		finish(a);
	else if (deadline_returns(msg, now))
		defer_all(a, &TOO_LATE, NULL); /* settle_note() finds that it goes back */
	else
		net_job_run(r->sv->loop, run_open_content, on_content_open, a);
}
