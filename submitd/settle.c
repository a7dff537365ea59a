#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "service/service.h"
#include "submitd/deadline.h"
#include "submitd/dsn.h"
#include "submitd/pause.h"
#include "submitd/runner_internal.h"
#include "submitd/submission_record.h"

static struct log *
log_of(const struct attempt *a)
{
	return a->runner->sv->log;
}

/* --- times -------------------------------------------------------------------------------------- */

static int64_t
retry_pause_s(const struct runner *r, unsigned attempts)
{
	return (int64_t)pause_after(config_duration_s(r->sv->config, "submitd.retry_first"),
	    config_duration_s(r->sv->config, "submitd.retry_max"), attempts, pause_dice());
}

static int64_t
lifetime_s(const struct runner *r, const struct spool_message *msg)
{
	uint64_t all = config_duration_s(r->sv->config, "submitd.message_lifetime");
	uint64_t bulk = config_duration_s(r->sv->config, "submitd.bulk_lifetime");

	return (int64_t)(msg->bulk && bulk < all ? bulk : all);
}

int64_t
settle_expiry(const struct runner *r, const struct spool_message *msg)
{
	/* RFC 4865 §5: its life begins when it may be sent. */
	int64_t from = msg->release_at > msg->received ? msg->release_at : msg->received;
	int64_t end = from + lifetime_s(r, msg);

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
		err = dsn_send(
		    r->sv->spool, r->hostname, a->msg, action, settle_expiry(r, a->msg), is_new);
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

/* --- what comes back to nobody -------------------------------------------------------------------- */

/* An automatic reply (lda's), of which its sender wants to hear nothing. */
static bool
is_autoreply(const struct spool_message *msg)
{
	return msg->account != NULL && msg->recipient_count > 0 &&
	       (msg->recipients[0].notify & SPOOL_NOTIFY_NEVER) != 0;
}

/* Is this a message with the null reverse-path that is through, and failed for somebody?  Nobody would hear of
 * it: what it says would be lost silently, so it is kept for the administrator. */
static bool
is_to_be_parked(const struct spool_message *msg)
{
	bool failed = false;

	if (*msg->sender != '\0' || is_autoreply(msg))
		return false;
	for (size_t i = 0; i < msg->recipient_count; i++) {
		if (msg->recipients[i].state == SPOOL_PENDING)
			return false;
		failed |= msg->recipients[i].state == SPOOL_FAILED;
	}
	return failed;
}

static const char *
first_failure(const struct spool_message *msg)
{
	for (size_t i = 0; i < msg->recipient_count; i++)
		if (msg->recipients[i].state == SPOOL_FAILED && msg->recipients[i].reply != NULL)
			return msg->recipients[i].reply;
	return "it could not be delivered";
}

/* Its next_attempt is when it is forgotten (spool_expire_parked). */
static enum store_err
park(struct attempt *a)
{
	struct runner *r = a->runner;
	char *reason = mem_printf("a report that can go to nobody: %s", first_failure(a->msg));
	enum store_err err;

	a->msg->next_attempt =
	    time(NULL) + (int64_t)config_duration_s(r->sv->config, "submitd.message_lifetime");
	log_error(log_of(a), "parked", "id=%s reason=%s", a->msg->id, reason);
	err = spool_park(r->sv->spool, a->msg, reason);
	free(reason);
	return err;
}

/* --- telling -------------------------------------------------------------------------------------- */

/* RFC 2852 §4.1.3.  Before it is handed on, too: whoever gets it late takes it that the sender knows. */
void
settle_tell_if_late(struct attempt *a)
{
	if (deadline_is_late(a->msg, time(NULL)))
		report(a, DSN_LATE, SPOOL_TOLD_LATE | SPOOL_NOTIFY_DELAY, 0, is_newly_late);
}

static void
tell_if_delayed(struct attempt *a)
{
	const struct spool_message *msg = a->msg;
	int64_t from = msg->release_at > msg->received ? msg->release_at : msg->received;
	int64_t since = time(NULL) - from;

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
log_results(struct attempt *a)
{
	for (; a->logged < a->done_count; a->logged++) {
		const struct spool_recipient *rcpt = a->done[a->logged];
		const char *event = rcpt->state == SPOOL_DELIVERED ? "sent"
				    : rcpt->state == SPOOL_FAILED  ? "failed"
								   : "deferred";

		log_info(log_of(a), event, "id=%s rcpt=%s relay=%s attempt=%u reply=%s", a->msg->id,
		    rcpt->address, rcpt->relay, rcpt->attempts, rcpt->reply);
		submission_record_relayed(a->runner->sv, a->msg, rcpt);
	}
}

void
settle_save(struct attempt *a)
{
	a->err = spool_save(a->runner->sv->spool, a->msg);
	if (a->err == STORE_OK)
		log_results(a);
}

/* Is it all with the relay, and is the sender to hear nothing of it? */
static bool
is_done(const struct spool_message *msg)
{
	for (size_t i = 0; i < msg->recipient_count; i++) {
		const struct spool_recipient *rcpt = &msg->recipients[i];

		if (rcpt->state != SPOOL_DELIVERED || is_newly_relayed(rcpt) ||
		    is_newly_untimed(rcpt) || is_newly_traced(rcpt))
			return false;
	}
	return true;
}

/* The usual end, with one sync: what a relay has taken goes at once, instead of being saved as taken before. */
static bool
complete(struct attempt *a)
{
	if (!is_done(a->msg) || spool_complete(a->runner->sv->spool, a->msg) != STORE_OK)
		return false;
	log_results(a);
	spool_message_free(a->msg);
	a->msg = NULL;
	return true;
}

void
settle_finish(struct attempt *a)
{
	struct spool *spool = a->runner->sv->spool;
	char id[SPOOL_ID_LEN + 1];

	if (complete(a))
		return;
	memcpy(id, a->msg->id, sizeof(id));
	settle_save(a); /* what a relay has taken is never sent again */
	if (!report(a, DSN_FAILED, SPOOL_NOTIFY_FAILURE, 0, is_newly_failed))
		unsettle(a);
	tell_if_handed_on(a);
	settle_tell_if_late(a);
	tell_if_delayed(a);
	a->err = is_to_be_parked(a->msg) ? park(a) : spool_release(spool, a->msg);
	a->msg = NULL;
	if (a->err != STORE_OK)
		log_error(log_of(a), "spool", "id=%s error=%s", id, store_err_text(a->err));
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

void
settle_note(struct attempt *a, struct spool_recipient *rcpt, const struct smtp_result *result,
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
	} else if (result->outcome == SMTP_OUTCOME_PERMANENT || now >= settle_expiry(r, a->msg)) {
		rcpt->state = SPOOL_FAILED;
	} else {
		rcpt->next_attempt = now + retry_pause_s(r, rcpt->attempts);
		if (rcpt->next_attempt > settle_expiry(r, a->msg))
			rcpt->next_attempt = settle_expiry(r, a->msg);
		rcpt->next_attempt = deadline_no_later(a->msg, now, rcpt->next_attempt);
	}
}

/* The first that fits says the rest, too. */
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

void
settle_note_owed(
    struct attempt *a, struct spool_recipient *rcpt, const struct smtp_client_report *rep)
{
	if (rcpt->state == SPOOL_DELIVERED)
		rcpt->reported |= owed_to_sender(a, rcpt, rep);
}
