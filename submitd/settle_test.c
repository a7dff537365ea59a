#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/mem.h"
#include "service/service.h"
#include "submitd/runner_internal.h"

#define HOUR 3600
#define DAY  (24 * HOUR)

static const char SETTINGS[] =
    "[submitd]\nretry_first = 1m\nretry_max = 1h\nmessage_lifetime = 5d\nbulk_lifetime = 2d\n";

static char ANN[] = "ann@example.org", BOB[] = "bob@example.net", NOBODY[] = "";

static const struct smtp_result TAKEN = { SMTP_OUTCOME_ACCEPTED, 250, "2.0.0", "2.0.0 ok", true };
static const struct smtp_result LATER = { SMTP_OUTCOME_TEMPORARY, 451, "4.3.0", "4.3.0 no", true };
static const struct smtp_result NEVER = { SMTP_OUTCOME_PERMANENT, 550, "5.1.1", "5.1.1 who", true };
static const struct smtp_result OURS = { SMTP_OUTCOME_TEMPORARY, 0, "4.4.2", "Lost", false };

/* What becomes of a recipient after so many attempts, by the answer and the message's age. */
static const struct case_ {
	const char *what;
	const struct smtp_result *answer;
	char *sender;
	int64_t age_s, released_s; /* before now */
	bool bulk;
	char by_mode;
	int64_t by_s; /* from now */
	unsigned attempts;
	enum spool_state state;
	int64_t pause_s; /* the most; three quarters are the least */
	const char *reply;
} CASES[] = {
	{ .what = "taken", .answer = &TAKEN, .state = SPOOL_DELIVERED, .reply = "250 2.0.0 ok" },
	{ .what = "refused", .answer = &NEVER, .state = SPOOL_FAILED, .reply = "550 5.1.1 who" },
	{ .what = "first", .answer = &LATER, .pause_s = 60, .reply = "451 4.3.0 no" },
	{ .what = "fourth", .answer = &LATER, .attempts = 3, .pause_s = 480 },
	{ .what = "many", .answer = &LATER, .attempts = 30, .pause_s = HOUR },
	{ .what = "ours", .answer = &OURS, .pause_s = 60, .reply = "4.4.2 Lost" },
	{ .what = "old", .answer = &LATER, .age_s = 5 * DAY - 10 * HOUR, .pause_s = 60 },
	{ .what = "too old", .answer = &LATER, .age_s = 5 * DAY, .state = SPOOL_FAILED },
	{ .what = "too old, and taken",
	    .answer = &TAKEN,
	    .age_s = 9 * DAY,
	    .state = SPOOL_DELIVERED },
	{ .what = "bulk", .answer = &LATER, .age_s = DAY, .bulk = true, .pause_s = 60 },
	{ .what = "old bulk",
	    .answer = &LATER,
	    .age_s = 2 * DAY,
	    .bulk = true,
	    .state = SPOOL_FAILED },
	{ .what = "its life began when it was released",
	    .answer = &LATER,
	    .age_s = 9 * DAY,
	    .released_s = DAY,
	    .pause_s = 60 },
	{ .what = "return, time left",
	    .answer = &LATER,
	    .by_mode = 'R',
	    .by_s = HOUR,
	    .pause_s = 60 },
	{ .what = "return, too late",
	    .answer = &LATER,
	    .by_mode = 'R',
	    .by_s = -1,
	    .state = SPOOL_FAILED,
	    .reply = "5.4.7 The time for its delivery has run out" },
	{ .what = "a bounce is tried on",
	    .answer = &LATER,
	    .sender = NOBODY,
	    .by_mode = 'R',
	    .by_s = -1,
	    .pause_s = 60 },
	{ .what = "notify, too late", .answer = &LATER, .by_mode = 'N', .by_s = -1, .pause_s = 60 },
};

static void
run_case(struct runner *r, const struct case_ *t)
{
	int64_t now = time(NULL);
	struct spool_recipient rcpt = { .address = BOB, .attempts = t->attempts };
	struct spool_message msg = { .sender = t->sender != NULL ? t->sender : ANN,
		.received = now - t->age_s,
		.release_mode = t->released_s > 0 ? 'F' : 0,
		.release_at = t->released_s > 0 ? now - t->released_s : 0,
		.bulk = t->bulk,
		.by_mode = t->by_mode,
		.deliver_by = now + t->by_s,
		.recipients = &rcpt,
		.recipient_count = 1 };
	struct attempt a = { .runner = r, .msg = &msg };
	int64_t pause;

	settle_note(&a, &rcpt, t->answer, "relay.example.net:25");
	pause = rcpt.next_attempt - now;
	if (rcpt.state != t->state || rcpt.attempts != t->attempts + 1 ||
	    (t->reply != NULL && strcmp(rcpt.reply, t->reply) != 0))
		fail_msg("%s: state %d, reply %s", t->what, (int)rcpt.state, rcpt.reply);
	assert_string_equal(rcpt.relay, "relay.example.net:25");
	if (t->state == SPOOL_PENDING && (pause < t->pause_s * 3 / 4 || pause > t->pause_s + 2))
		fail_msg("%s: %lld s", t->what, (long long)pause);
	free(rcpt.reply);
	free(rcpt.relay);
}

static void
test_notes(void **state)
{
	struct buf errors = { 0 };
	struct service sv = { .config = config_parse("test", str_from(SETTINGS), &errors) };
	struct runner r = { .sv = &sv };

	(void)state;
	assert_non_null(sv.config);
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
		run_case(&r, &CASES[i]);
	config_free(sv.config);
	buf_free(&errors);
}

/* What the sender is owed once it was handed on. */
static void
test_owed(void **state)
{
	static const struct {
		unsigned notify;
		bool dsn_relayed, by_relayed, traced;
		unsigned owed;
	} ROWS[] = {
		{ SPOOL_NOTIFY_SUCCESS, true, false, false, SPOOL_OWED_RELAYED },
		{ SPOOL_NOTIFY_SUCCESS, false, false, false, 0 }, /* the relay tells */
		{ SPOOL_NOTIFY_FAILURE, true, false, false, 0 }, { 0, true, false, false, 0 },
		{ 0, true, true, false, SPOOL_OWED_UNTIMED },
		{ SPOOL_NOTIFY_NEVER, true, true, true, 0 },
		{ 0, false, false, true, SPOOL_OWED_TRACED },
		{ SPOOL_NOTIFY_SUCCESS, true, true, true, SPOOL_OWED_UNTIMED }, /* one is enough */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		struct spool_message msg = { .sender = ANN,
			.by_mode = ROWS[i].traced || ROWS[i].by_relayed ? 'N' : 0,
			.by_trace = ROWS[i].traced };
		struct attempt a = { .msg = &msg };
		struct spool_recipient rcpt = { .state = SPOOL_DELIVERED,
			.notify = ROWS[i].notify };
		struct smtp_client_report rep = { .dsn_relayed = ROWS[i].dsn_relayed,
			.by_relayed = ROWS[i].by_relayed };

		settle_note_owed(&a, &rcpt, &rep);
		assert_int_equal(rcpt.reported, ROWS[i].owed);
		rcpt = (struct spool_recipient){ .state = SPOOL_FAILED, .notify = ROWS[i].notify };
		settle_note_owed(&a, &rcpt, &rep);
		assert_int_equal(rcpt.reported, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
