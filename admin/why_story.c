#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/output.h"
#include "admin/why.h"
#include "base/mem.h"

static const char *
text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "";
}

static bool
has(const json_t *object, const char *key)
{
	return *text_of(object, key) != '\0';
}

/* Words of ours with words of others in between, which may hold anything. */
static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list args;

	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	output_text(buf_cstr(&text));
	buf_free(&text);
}

#define say_line(...)                                                                              \
	do {                                                                                       \
		say(__VA_ARGS__);                                                                  \
		putchar('\n');                                                                     \
	} while (0)

static void
say_time(double when)
{
	time_t t = (time_t)when;
	struct tm tm;
	char text[32] = "?";

	if (localtime_r(&t, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	say("%s", text);
}

static void
say_size(json_int_t bytes)
{
	if (bytes < 10240)
		say("%lld bytes", (long long)bytes);
	else if (bytes < 10 * 1024 * 1024)
		say("%lld KB", (long long)bytes / 1024);
	else
		say("%lld MB", (long long)bytes / (1024 * 1024));
}

/* --- who decided -------------------------------------------------------------------------------- */

static void
say_filter(const json_t *did)
{
	static const struct {
		const char *place, *words;
	} PLACES[] = {
		{ "user", "the account's own filter" },
		{ "default", "the default filter" },
		{ "before", "the administrator's filter" },
		{ "after", "the administrator's filter" },
	};
	const char *place = text_of(did, "place");
	json_int_t line = json_integer_value(json_object_get(did, "line"));

	for (size_t i = 0; i < ARRAY_LEN(PLACES); i++) {
		if (strcmp(place, PLACES[i].place) != 0)
			continue;
		say(" (%s", PLACES[i].words);
		if (strcmp(place, "before") == 0 || strcmp(place, "after") == 0)
			say(" %s", text_of(did, "script"));
		if (has(did, "filter"))
			say(", %s", text_of(did, "filter"));
		if (line > 0)
			say(", line %lld", (long long)line);
		else if (!has(did, "reason"))
			say(", nothing in it decided otherwise");
		say(")");
	}
}

/* --- what became of it in the spool ------------------------------------------------------------- */

static void
say_attempt(const json_t *attempt)
{
	const char *state = text_of(attempt, "state");

	printf("      ");
	if (strcmp(state, "waiting") == 0) {
		say("still %s for %s",
		    json_is_true(json_object_get(attempt, "held")) ? "held in the queue"
								   : "waiting in the queue",
		    text_of(attempt, "rcpt"));
		say("; next try ");
		say_time(json_number_value(json_object_get(attempt, "next_attempt")));
	} else {
		say_time(json_number_value(json_object_get(attempt, "time")));
		say("  %s for %s",
		    strcmp(state, "delivered") == 0 ? "the relay took it"
		    : strcmp(state, "failed") == 0  ? "failed for good"
						    : "put off",
		    text_of(attempt, "rcpt"));
		if (has(attempt, "relay"))
			say(", relay %s", text_of(attempt, "relay"));
	}
	if (has(attempt, "reply"))
		say(": %s", text_of(attempt, "reply"));
	putchar('\n');
}

static void
say_relayed(const json_t *object)
{
	const json_t *attempts = json_object_get(object, "relayed"), *attempt;
	size_t i;

	if (attempts != NULL && json_array_size(attempts) == 0)
		puts("      not in the queue any more, and no attempt is on record");
	json_array_foreach(attempts, i, attempt)
	{
		say_attempt(attempt);
	}
}

/* --- deliveries --------------------------------------------------------------------------------- */

static void
say_place(const json_t *copy)
{
	const json_t *now = json_object_get(copy, "now");

	if (json_is_null(now))
		puts("      It is in no mailbox of the account any more: expunged.");
	if (!json_is_object(now))
		return;
	say("      It is %sin %s now, %s%s.",
	    strcmp(text_of(now, "mailbox"), text_of(copy, "mailbox")) == 0 ? "still " : "",
	    text_of(now, "mailbox"), json_is_true(json_object_get(now, "seen")) ? "read" : "unread",
	    json_is_true(json_object_get(now, "deleted")) ? ", marked as deleted" : "");
	putchar('\n');
}

static void
say_copy(const json_t *did)
{
	say("put into %s", text_of(did, "mailbox"));
	if (json_is_true(json_object_get(did, "edited")))
		say(", changed by the filter");
	say_filter(did);
	if (has(did, "file"))
		say(", file %s", text_of(did, "file"));
	else
		say(", UID %lld", (long long)json_integer_value(json_object_get(did, "uid")));
	putchar('\n');
	say_place(did);
}

static void
say_did(const json_t *did)
{
	static const struct {
		const char *what, *words;
	} WORDS[] = {
		{ "redirect", "redirected" },
		{ "not-redirected", "not redirected" },
		{ "answer", "answered" },
		{ "not-answered", "not answered" },
		{ "refuse", "refused in the dialogue" },
		{ "refuse-by-message", "refused by a message to the sender" },
		{ "discard", "thrown away" },
		{ "filter-error", "the filter failed" },
		{ "no-such-mailbox", "INBOX instead of a mailbox that cannot be" },
		{ "duplicate", "not kept: it has come before" },
		{ "left", "not kept" },
		{ "given-up", "put off" },
		{ "left", "not kept: the user has left" },
	};
	const char *what = text_of(did, "what"), *words = what;

	printf("   -> ");
	if (strcmp(what, "copy") == 0) {
		say_copy(did);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
		if (strcmp(what, WORDS[i].what) == 0)
			words = WORDS[i].words;
	say("%s", words);
	if (has(did, "kind"))
		say(" (%s)", text_of(did, "kind"));
	if (has(did, "to"))
		say(" to %s", text_of(did, "to"));
	say_filter(did);
	if (has(did, "reason"))
		say(": %s", text_of(did, "reason"));
	if (has(did, "spool"))
		say(", in the queue as %s", text_of(did, "spool"));
	putchar('\n');
	say_relayed(did);
}

static void
say_session(const json_t *r)
{
	if (!has(r, "peer")) {
		puts("   by a program on this machine");
		return;
	}
	say("   from %s", text_of(r, "peer"));
	if (has(r, "helo"))
		say(" (%s)", text_of(r, "helo"));
	if (has(r, "with"))
		say(" by %s", text_of(r, "with"));
	say(", %s", has(r, "tls") ? text_of(r, "tls") : "without TLS");
	if (has(r, "id"))
		say(", id %s", text_of(r, "id"));
	putchar('\n');
}

static void
say_quota(const json_t *quota)
{
	const char *state = text_of(quota, "state");
	json_int_t limit = json_integer_value(json_object_get(quota, "limit"));

	if (*state == '\0' || strcmp(state, "unlimited") == 0)
		return;
	say("   quota: %s%s", strcmp(state, "exempt") == 0 ? "the mailbox does not count" : state,
	    strcmp(state, "exempt") == 0 ? "" : " the limit");
	if (limit > 0) {
		say(", ");
		say_size(json_integer_value(json_object_get(quota, "used")));
		say(" of ");
		say_size(limit);
		say(" used before");
	}
	putchar('\n');
}

static void
say_spam(const json_t *r)
{
	static const struct {
		const char *key, *name;
	} FIELDS[] = {
		{ "spam_score", "X-Spam-Score" },
		{ "spam_flag", "X-Spam-Flag" },
		{ "spam_status", "X-Spam-Status" },
	};

	for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++)
		if (has(r, FIELDS[i].key))
			say_line("   the relay says %s: %.60s", FIELDS[i].name,
			    text_of(r, FIELDS[i].key));
}

/* Said only where it is not plain from what was done. */
static void
say_verdict(const json_t *r)
{
	static const struct {
		const char *verdict, *words;
	} WORDS[] = {
		{ "no-such-user", "Refused: there is no such account." },
		{ "inactive", "Refused: the account is inactive." },
		{ "over-quota", "Not taken: the account is over its quota." },
		{ "too-big", "Refused: it is larger than the account takes." },
		{ "loop", "Refused: it has been here before, a mail loop." },
		{ "no-such-mailbox", "Not taken: there can be no such mailbox." },
		{ "not-queued", "Not taken from its author." },
		{ "refused", "Refused: the account's filter does not want it." },
		{ "no-space", "Put off: the disk is full." },
		{ "put-off", "Put off: a temporary failure, the relay comes again; see the log." },
	};
	const char *verdict = text_of(r, "verdict");

	if (strcmp(verdict, "delivered") == 0 || strcmp(verdict, "queued") == 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
		if (strcmp(verdict, WORDS[i].verdict) == 0)
			verdict = WORDS[i].words;
	if (*verdict == '\0')
		return;
	say("   => %s", verdict);
	if (has(r, "reason"))
		say(" (%lld %s)", (long long)json_integer_value(json_object_get(r, "code")),
		    text_of(r, "reason"));
	putchar('\n');
}

static void
say_title(const json_t *r)
{
	const json_t *to = json_object_get(r, "to"), *one;
	size_t i;

	say_time(json_number_value(json_object_get(r, "time")));
	say("  %s", strcmp(text_of(r, "event"), "submission") == 0 ? "Submitted: "
		    : strcmp(text_of(r, "event"), "refused") == 0  ? "Recipient refused: "
								   : "Delivered: ");
	if (has(r, "message_id"))
		say("%s ", text_of(r, "message_id"));
	say("from %s", has(r, "from") ? text_of(r, "from") : "<>");
	if (has(r, "rcpt"))
		say(" for %s", text_of(r, "rcpt"));
	json_array_foreach(to, i, one)
	{
		say("%s%s", i == 0 ? " for " : ", ",
		    json_is_string(one) ? json_string_value(one) : "");
	}
	if (json_object_get(r, "size") != NULL) {
		say(", ");
		say_size(json_integer_value(json_object_get(r, "size")));
	}
	putchar('\n');
}

void
why_tell(const json_t *r)
{
	const json_t *did;
	size_t i;

	say_title(r);
	say_session(r);
	if (has(r, "account"))
		say_line("   account %s", text_of(r, "account"));
	say_spam(r);
	say_quota(json_object_get(r, "quota"));
	json_array_foreach(json_object_get(r, "did"), i, did)
	{
		say_did(did);
	}
	if (has(r, "spool"))
		say_line("   -> in the queue as %s", text_of(r, "spool"));
	say_relayed(r);
	say_verdict(r);
}
