#include "submitd/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop.h"
#include "service/service.h"
#include "store/spool.h"
#include "submitd/deadline.h"
#include "submitd/dsn.h"
#include "submitd/relay.h"

#define RUNNER_LOOK_S    60 /* a look at the spool even if nothing woke us */
#define RUNNER_TROUBLE_S 30 /* the pause after the spool itself failed */
#define RUNNER_FAR_S     (10LL * 365 * 24 * 3600)
#define RETRY_DOUBLINGS  20

struct runner {
	struct service *sv;
	char *hostname;
	struct relays *relays;
	struct net_timer *timer;
	struct net_watch *watch;
	unsigned active, active_max;
	bool claiming, again, draining;

	/* what the claiming job brought */
	struct spool_message *claimed;
	enum store_err err;
	int64_t next_due;
};

/* One message on its way. */
struct attempt {
	struct runner *runner;
	struct spool_message *msg;
	int fd;
	struct relay_connection *connection;
	struct smtp_client_rcpt *rcpts; /* the pending ones … */
	struct spool_recipient **of;    /* … and whose they are */
	size_t count;
	struct smtp_client_message message; /* the client reads it until on_sent */
	enum store_err err;
};

static void look(struct runner *r);

static struct log *
log_of(const struct attempt *a)
{
	return a->runner->sv->log;
}

/* --- times -------------------------------------------------------------------------------------- */

/* The pause before the next attempt: doubling from retry_first to retry_max, a quarter of it random so
 * that messages that failed together do not come back together. */
static int64_t
retry_pause_s(const struct runner *r, unsigned attempts)
{
	uint64_t pause = config_duration_s(r->sv->config, "submitd.retry_first");
	uint64_t most = config_duration_s(r->sv->config, "submitd.retry_max");
	uint32_t dice = 0;

	for (unsigned i = 1; i < attempts && i < RETRY_DOUBLINGS && pause < most; i++)
		pause *= 2;
	if (pause > most)
		pause = most;
	if (getrandom(&dice, sizeof(dice), 0) != (ssize_t)sizeof(dice))
		dice = 0;
	return (int64_t)(pause - (pause / 4) * dice / UINT32_MAX);
}

/* When it is given up. */
static int64_t
expiry(const struct runner *r, const struct spool_message *msg)
{
	int64_t end =
	    msg->received + (int64_t)config_duration_s(r->sv->config, "submitd.message_lifetime");

	return deadline_mode(msg) == 'R' && msg->deliver_by < end ? msg->deliver_by : end;
}

/* --- settling: what became of the recipients, on a pool thread ---------------------------------- */

static bool
is_newly_failed(const struct spool_recipient *rcpt)
{
	return rcpt->state == SPOOL_FAILED && (rcpt->reported & SPOOL_NOTIFY_FAILURE) == 0;
}

static bool
is_newly_relayed(const struct spool_recipient *rcpt)
{
	return rcpt->state == SPOOL_DELIVERED && (rcpt->reported & SPOOL_OWED_RELAYED) != 0;
}

static bool
is_newly_untimed(const struct spool_recipient *rcpt)
{
	return rcpt->state == SPOOL_DELIVERED && (rcpt->reported & SPOOL_OWED_UNTIMED) != 0;
}

static bool
is_newly_traced(const struct spool_recipient *rcpt)
{
	return rcpt->state == SPOOL_DELIVERED && (rcpt->reported & SPOOL_OWED_TRACED) != 0;
}

static bool
is_newly_delayed(const struct spool_recipient *rcpt)
{
	return rcpt->state == SPOOL_PENDING && (rcpt->reported & SPOOL_NOTIFY_DELAY) == 0;
}

static bool
is_newly_late(const struct spool_recipient *rcpt)
{
	return rcpt->state == SPOOL_PENDING && (rcpt->reported & SPOOL_TOLD_LATE) == 0;
}

/* `told` are the marks to set once it is told, `owed` the one to take away. */
static bool
report(struct attempt *a, enum dsn_action action, unsigned told, unsigned owed,
    bool (*is_new)(const struct spool_recipient *))
{
	struct runner *r = a->runner;
	bool wanted = false;
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < a->msg->recipient_count; i++)
		wanted |= is_new(&a->msg->recipients[i]) &&
			  dsn_is_wanted(a->msg, &a->msg->recipients[i], action);
	if (wanted)
		err =
		    dsn_send(r->sv->spool, r->hostname, a->msg, action, expiry(r, a->msg), is_new);
	if (err != STORE_OK) {
		log_error(
		    log_of(a), "no-report", "id=%s error=%s", a->msg->id, store_err_text(err));
		return false;
	}
	for (size_t i = 0; i < a->msg->recipient_count; i++) {
		struct spool_recipient *rcpt = &a->msg->recipients[i];

		if (is_new(rcpt))
			rcpt->reported = (rcpt->reported | told) & ~owed;
	}
	return true;
}

/* Who gets no report of a failure would lose the message silently: a message with the null sender that
 * failed is kept, held, for the administrator. */
static bool
park_if_nobody_hears(struct attempt *a)
{
	bool parked = false;

	if (*a->msg->sender != '\0')
		return false;
	for (size_t i = 0; i < a->msg->recipient_count; i++) {
		struct spool_recipient *rcpt = &a->msg->recipients[i];

		if (rcpt->state != SPOOL_FAILED)
			continue;
		rcpt->state = SPOOL_PENDING;
		rcpt->next_attempt = time(NULL) + RUNNER_FAR_S;
		parked = true;
	}
	if (parked)
		log_error(log_of(a), "parked", "id=%s reason=%s", a->msg->id,
		    "a bounce that cannot be delivered");
	return parked;
}

/* RFC 2852 §4.1.3.  Before it is handed on, too: whoever gets it late takes it that the sender knows. */
static void
tell_if_late(struct attempt *a)
{
	if (deadline_is_late(a->msg, time(NULL)))
		report(a, DSN_LATE, SPOOL_TOLD_LATE | SPOOL_NOTIFY_DELAY, 0, is_newly_late);
}

static void
tell_if_delayed(struct attempt *a)
{
	int64_t since = time(NULL) - a->msg->received;

	if (since >= (int64_t)config_duration_s(a->runner->sv->config, "submitd.delay_warning"))
		report(a, DSN_DELAYED, SPOOL_NOTIFY_DELAY, 0, is_newly_delayed);
}

static void
tell_if_handed_on(struct attempt *a)
{
	report(a, DSN_RELAYED, 0, SPOOL_OWED_RELAYED, is_newly_relayed);
	report(a, DSN_UNTIMED, 0, SPOOL_OWED_UNTIMED, is_newly_untimed);
	report(a, DSN_TRACED, 0, SPOOL_OWED_TRACED, is_newly_traced);
}

/* A report that could not be written keeps its recipient waiting, so that it is tried again. */
static void
unsettle(struct attempt *a)
{
	for (size_t i = 0; i < a->msg->recipient_count; i++) {
		struct spool_recipient *rcpt = &a->msg->recipients[i];

		if (!is_newly_failed(rcpt))
			continue;
		rcpt->state = SPOOL_PENDING;
		rcpt->next_attempt = time(NULL) + RUNNER_TROUBLE_S;
	}
}

/* Said only when it is written down: what the log calls sent is not sent again after a crash. */
static void
log_results(const struct attempt *a)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct spool_recipient *rcpt = a->of[i];
		const char *event = rcpt->state == SPOOL_DELIVERED ? "sent"
				    : rcpt->state == SPOOL_FAILED  ? "failed"
								   : "deferred";

		log_info(log_of(a), event, "id=%s rcpt=%s relay=%s attempt=%u reply=%s", a->msg->id,
		    rcpt->address, rcpt->relay, rcpt->attempts, rcpt->reply);
	}
}

static void
run_settle(void *arg)
{
	struct attempt *a = arg;
	struct spool *spool = a->runner->sv->spool;
	char id[SPOOL_ID_LEN + 1];
	bool parked = park_if_nobody_hears(a);

	memcpy(id, a->msg->id, sizeof(id));
	a->err = spool_save(spool, a->msg); /* what a relay has taken is never sent again */
	if (a->err == STORE_OK)
		log_results(a);
	if (!report(a, DSN_FAILED, SPOOL_NOTIFY_FAILURE, 0, is_newly_failed))
		unsettle(a);
	tell_if_handed_on(a);
	tell_if_late(a);
	tell_if_delayed(a);
	a->err = spool_release(spool, a->msg);
	a->msg = NULL;
	if (a->err == STORE_OK && parked)
		a->err = spool_hold(spool, id, true, NULL);
	if (a->err != STORE_OK)
		log_error(log_of(a), "spool", "id=%s error=%s", id, store_err_text(a->err));
}

static void
on_settled(void *arg)
{
	struct attempt *a = arg;
	struct runner *r = a->runner;

	if (a->fd >= 0)
		close(a->fd);
	free(a->rcpts);
	free(a->of);
	free(a);
	r->active--;
	net_worker_release(r->sv->worker);
	look(r);
}

static void
settle(struct attempt *a)
{
	net_job_run(a->runner->sv->loop, run_settle, on_settled, a);
}

/* --- results ------------------------------------------------------------------------------------ */

static void
set_text(char **to, const char *text)
{
	free(*to);
	*to = text != NULL ? mem_strdup(text) : NULL;
}

static const struct smtp_result TOO_LATE = { .outcome = SMTP_OUTCOME_PERMANENT,
	.enhanced = "5.4.7",
	.text = "The time for its delivery has run out" };

/* What the relay said, or our own words behind the status that they stand for. */
static char *
words_of(const struct smtp_result *result)
{
	if (result->code > 0)
		return mem_printf("%d %s", result->code, result->text);
	return mem_printf(
	    "%s%s%s", result->enhanced, *result->enhanced != '\0' ? " " : "", result->text);
}

static void
note_result(struct attempt *a, struct spool_recipient *rcpt, const struct smtp_result *result,
    const char *relay)
{
	struct runner *r = a->runner;
	int64_t now = time(NULL);
	char *reply;

	if (result->outcome == SMTP_OUTCOME_TEMPORARY && deadline_returns(a->msg, now))
		result = &TOO_LATE;
	reply = words_of(result);

	set_text(&rcpt->reply, reply);
	free(reply);
	set_text(&rcpt->relay, relay);
	rcpt->attempts++;
	if (result->outcome == SMTP_OUTCOME_ACCEPTED) {
		rcpt->state = SPOOL_DELIVERED;
	} else if (result->outcome == SMTP_OUTCOME_PERMANENT || now >= expiry(r, a->msg)) {
		rcpt->state = SPOOL_FAILED;
	} else {
		rcpt->next_attempt = now + retry_pause_s(r, rcpt->attempts);
		if (rcpt->next_attempt > expiry(r, a->msg))
			rcpt->next_attempt = expiry(r, a->msg);
		rcpt->next_attempt = deadline_no_later(a->msg, now, rcpt->next_attempt);
	}
}

/* --- one attempt -------------------------------------------------------------------------------- */

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
		.rcpt_count = a->count,
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
	};
	return true;
}

/* Nothing was asked about the recipients: whatever went wrong, even a relay's 5xx greeting, is a matter of
 * that host and not theirs, so they wait. */
static void
defer_all(struct attempt *a, const struct smtp_result *why, const char *relay)
{
	struct smtp_result later = *why;

	later.outcome = SMTP_OUTCOME_TEMPORARY;
	for (size_t i = 0; i < a->count; i++)
		note_result(a, a->of[i], &later, relay);
	settle(a);
}

static const struct smtp_result UNREADABLE = { .outcome = SMTP_OUTCOME_TEMPORARY,
	.text = "the message could not be read" };

static void
on_ready(void *arg, struct smtp_client *client, const char *relay, const struct smtp_result *why)
{
	struct attempt *a = arg;

	if (client != NULL && describe_message(a)) {
		smtp_client_send(client, &a->message);
		return;
	}
	relay_give_back(a->connection, client != NULL);
	defer_all(a, client != NULL ? &UNREADABLE : why, relay);
}

/* What the sender is to hear of a recipient that was handed on; the first that fits says the rest, too. */
static unsigned
owed_to_sender(const struct attempt *a, const struct spool_recipient *rcpt,
    const struct smtp_client_report *rep)
{
	bool traced = a->msg->by_mode != 0 && a->msg->by_trace;

	if (rep->by_relayed && dsn_is_wanted(a->msg, rcpt, DSN_UNTIMED))
		return SPOOL_OWED_UNTIMED;
	if (traced && dsn_is_wanted(a->msg, rcpt, DSN_TRACED))
		return SPOOL_OWED_TRACED;
	if (rep->dsn_relayed && dsn_is_wanted(a->msg, rcpt, DSN_RELAYED))
		return SPOOL_OWED_RELAYED;
	return 0;
}

static void
on_sent(void *arg, const struct smtp_client_report *rep)
{
	struct attempt *a = arg;

	for (size_t i = 0; i < a->count; i++) {
		note_result(a, a->of[i], &rep->rcpts[i], rep->peer);
		if (a->of[i]->state == SPOOL_DELIVERED)
			a->of[i]->reported |= owed_to_sender(a, a->of[i], rep);
	}
	relay_give_back(a->connection, rep->reusable && !a->runner->draining);
	settle(a);
}

static const struct relay_events RELAY_EVENTS = { .on_ready = on_ready, .on_sent = on_sent };

static void
run_open_content(void *arg)
{
	struct attempt *a = arg;

	tell_if_late(a);
	a->err = spool_content(a->runner->sv->spool, a->msg->id, &a->fd);
}

static void
on_content_open(void *arg)
{
	struct attempt *a = arg;

	if (a->err == STORE_OK)
		a->connection = relay_take(a->runner->relays, &RELAY_EVENTS, a);
	else
		defer_all(a, &UNREADABLE, NULL);
}

static void
attempt_start(struct runner *r, struct spool_message *msg)
{
	struct attempt *a = mem_zalloc(sizeof(*a));
	int64_t now = time(NULL);

	a->runner = r;
	a->msg = msg;
	a->fd = -1;
	a->rcpts = mem_zalloc(msg->recipient_count * sizeof(*a->rcpts));
	a->of = mem_zalloc(msg->recipient_count * sizeof(struct spool_recipient *));
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
	r->active++;
	net_worker_hold(r->sv->worker);
	if (deadline_returns(msg, now))
		for (size_t i = 0; i < a->count; i++)
			note_result(a, a->of[i], &TOO_LATE, NULL);
	if (a->count == 0 || deadline_returns(msg, now)) {
		settle(a);
		return;
	}
	net_job_run(r->sv->loop, run_open_content, on_content_open, a);
}

/* --- looking for work --------------------------------------------------------------------------- */

static void
run_claim(void *arg)
{
	struct runner *r = arg;

	r->claimed = NULL;
	r->err = spool_claim(r->sv->spool, time(NULL), &r->claimed);
	if (r->err == STORE_NOT_FOUND && spool_next_due(r->sv->spool, &r->next_due) != STORE_OK)
		r->next_due = INT64_MAX;
}

static void
sleep_until(struct runner *r, int64_t when)
{
	int64_t wait = when - time(NULL);

	net_timer_start_s(r->timer, wait < 1               ? 1
				    : wait > RUNNER_LOOK_S ? RUNNER_LOOK_S
							   : (unsigned)wait);
}

static void
on_claimed(void *arg)
{
	struct runner *r = arg;
	bool again = r->again;

	r->claiming = r->again = false;
	net_worker_release(r->sv->worker);
	if (r->err == STORE_OK) {
		attempt_start(r, r->claimed);
		look(r);
	} else if (r->err == STORE_NOT_FOUND) {
		sleep_until(r, r->next_due);
		if (again)
			look(r);
	} else {
		log_error(r->sv->log, "spool", "error=%s", store_err_text(r->err));
		sleep_until(r, time(NULL) + RUNNER_TROUBLE_S);
	}
}

static void
look(struct runner *r)
{
	if (r->draining || r->active >= r->active_max)
		return;
	if (r->claiming) {
		r->again = true;
		return;
	}
	r->claiming = true;
	net_worker_hold(r->sv->worker);
	net_job_run(r->sv->loop, run_claim, on_claimed, r);
}

static void
on_timer(void *arg)
{
	look(arg);
}

static void
on_wake(void *arg, unsigned seen)
{
	(void)seen;
	look(arg);
}

struct runner *
runner_open(struct service *sv, const char *hostname)
{
	struct runner *r = mem_zalloc(sizeof(*r));
	char *wake = mem_printf("%s/wake", config_string(sv->config, "store.spool"));

	r->sv = sv;
	r->hostname = mem_strdup(hostname);
	r->active_max = (unsigned)config_integer(sv->config, "submitd.relay_connections");
	r->relays = relays_open(sv, hostname);
	r->timer = net_timer_new(sv->loop, on_timer, r);
	r->watch = net_watch_new(sv->loop, wake, NET_WATCH_ATTRIB | NET_WATCH_MODIFY, on_wake, r);
	if (r->watch == NULL)
		log_warn(sv->log, "no-watch", "path=%s error=%s", wake, strerror(errno));
	free(wake);
	if (r->relays == NULL) {
		runner_close(r);
		return NULL;
	}
	net_timer_start_ms(r->timer, 0);
	return r;
}

void
runner_drain(struct runner *r)
{
	r->draining = true;
	net_timer_stop(r->timer);
	net_watch_free(r->watch);
	r->watch = NULL;
}

void
runner_close(struct runner *r)
{
	if (r == NULL)
		return;
	net_watch_free(r->watch);
	net_timer_free(r->timer);
	relays_close(r->relays);
	free(r->hostname);
	free(r);
}
