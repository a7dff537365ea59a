#include "filter/sieve/sieve_test_tool.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/mailbox.h"

const char SIEVE_TEST_MESSAGE[] = "Return-Path: <coyote@desert.example.org>\n"
				  "Received: from desert by acme; Tue, 1 Apr 1997 09:06:31 -0800\n"
				  "Date: Tue, 1 Apr 1997 09:06:31 -0800 (PST)\n"
				  "From: coyote@desert.example.org\n"
				  "To: roadrunner@acme.example.com\n"
				  "Subject: I have a present for you\n"
				  "X-Caffeine: C8H10N4O2\n"
				  "\n"
				  "Look, I'm sorry about the whole anvil thing, and I really\n"
				  "didn't mean to try and drop it on you from the top of the\n"
				  "cliff.\n";

static void
show_word(struct buf *out, const char *name, const char *value)
{
	if (value != NULL)
		buf_printf(out, " %s=\"%s\"", name, value);
}

static void
show_flags(struct buf *out, const struct filter_store *s)
{
	static const struct {
		unsigned flag;
		const char *name;
	} FLAGS[] = {
		{ MESSAGE_ANSWERED, "\\Answered" },
		{ MESSAGE_DELETED, "\\Deleted" },
		{ MESSAGE_DRAFT, "\\Draft" },
		{ MESSAGE_FLAGGED, "\\Flagged" },
		{ MESSAGE_SEEN, "\\Seen" },
	};
	const char *between = " flags=";

	for (size_t i = 0; i < ARRAY_LEN(FLAGS); i++)
		if ((s->flags & FLAGS[i].flag) != 0) {
			buf_printf(out, "%s%s", between, FLAGS[i].name);
			between = " ";
		}
	for (size_t i = 0; i < s->keyword_count; i++) {
		buf_printf(out, "%s%s", between, s->keywords[i]);
		between = " ";
	}
}

static void
show_store(struct buf *out, const struct filter_store *s)
{
	if (s->create)
		buf_adds(out, " create");
	if (s->special_use != NULL)
		buf_printf(out, " special-use=%s", s->special_use);
	show_flags(out, s);
}

static void
show_list(struct buf *out, const char *name, const char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%s%s%s", i == 0 ? " " : ",", i == 0 ? name : "", list[i]);
}

static void
show_fcc(struct buf *out, const struct filter_store *fcc)
{
	if (fcc == NULL)
		return;
	buf_printf(out, " fcc=%s", fcc->mailbox);
	show_store(out, fcc);
}

static void
show_redirect(struct buf *out, const struct filter_redirect *d)
{
	buf_printf(out, "redirect \"%s\"", d->to);
	if (d->notify != NULL)
		buf_printf(out, " notify=%s", d->notify);
	if (d->ret != NULL)
		buf_printf(out, " ret=%s", d->ret);
	if (d->by_given)
		buf_printf(
		    out, " by=%" PRId64 ";%c%s", d->by_seconds, d->by_mode, d->by_trace ? "T" : "");
	if (d->listed)
		buf_adds(out, " listed");
}

static void
show_reply(struct buf *out, const struct filter_reply *d)
{
	buf_adds(out, "vacation");
	show_word(out, "key", d->key);
	buf_printf(out, " seconds=%" PRIu64, d->seconds);
	show_word(out, "subject", d->subject);
	show_word(out, "from", d->from);
	if (d->mime)
		buf_adds(out, " mime");
	show_list(out, "addresses=", d->own_addresses, d->own_address_count);
	show_fcc(out, d->fcc);
	buf_printf(out, " \"%s\"", d->body != NULL ? d->body : "");
}

static void
show_notify(struct buf *out, const struct filter_notify *d)
{
	buf_printf(out, "notify \"%s\"", d->method);
	show_word(out, "from", d->from);
	buf_printf(out, " importance=%u", d->importance);
	show_word(out, "message", d->message);
	show_list(out, "options=", d->options, d->option_count);
	show_list(out, "to=", d->to, d->to_count);
	show_fcc(out, d->fcc);
}

static void
show_action(struct buf *out, const struct filter_action *a)
{
	switch (a->kind) {
	case FILTER_KEEP:
		buf_adds(out, "keep");
		show_store(out, &a->store);
		break;
	case FILTER_FILEINTO:
		buf_printf(out, "fileinto \"%s\"", a->store.mailbox);
		show_store(out, &a->store);
		break;
	case FILTER_REDIRECT: show_redirect(out, &a->redirect); break;
	case FILTER_DISCARD: buf_adds(out, "discard"); break;
	case FILTER_REJECT:
		buf_printf(
		    out, "%s \"%s\"", a->reject.ereject ? "ereject" : "reject", a->reject.reason);
		break;
	case FILTER_VACATION: show_reply(out, &a->reply); break;
	case FILTER_NOTIFY: show_notify(out, &a->notify); break;
	case FILTER_REPORT:
		buf_printf(out, "report \"%s\" \"%s\"%s \"%s\"", a->report.type, a->report.to,
		    a->report.headers_only ? " headers" : "", a->report.message);
		break;
	default: buf_printf(out, "action %d", (int)a->kind); break;
	}
	if (a->implicit)
		buf_adds(out, " implicit");
	if (a->edit != NULL)
		buf_adds(out, " edited");
	buf_addc(out, '\n');
}

static void
show_lines(struct buf *out, const char *mark, struct str text)
{
	struct cursor c = cursor_from(text);
	struct str line;

	while (cursor_take_line(&c, &line))
		buf_printf(out, "%s%.*s\n", mark, (int)line.len, line.p);
}

static void
show_result(struct buf *out, const struct sieve_test *test, const struct filter_result *result)
{
	for (size_t i = 0; i < result->action_count; i++)
		show_action(out, &result->actions[i]);
	for (size_t i = 0; i < result->memory_count; i++)
		buf_printf(out, "remember \"%s\" seconds=%" PRIu64 "\n", result->memories[i].key,
		    result->memories[i].seconds);
	if (test->edited && result->edit != NULL) {
		show_lines(out, "> ", result->edit->header);
		if (result->edit->body.p != NULL)
			show_lines(out, "| ", result->edit->body);
	}
	show_lines(out, "log: ", result->log);
}

static void
run(struct buf *out, const struct sieve_test *test, const struct filter *filter)
{
	static const char *const STATUS[] = { "", "compile error", "run error", "tempfail" };
	struct filter_message message = {
		.fd = -1, .account = "rcpt@example.org", .now = 1700000000
	};
	struct filter_run_options options = { .around = test->around };
	struct filter_result *result = mem_zalloc(sizeof(*result));
	struct filter_error error;
	struct arena arena = { 0 };
	enum filter_status status;

	if (test->envelope != NULL)
		message = *test->envelope;
	else {
		message.sender = test->sender != NULL ? test->sender : "sender@example.org";
		message.rcpt = test->rcpt != NULL ? test->rcpt : "rcpt@example.org";
	}
	message.fd = -1;
	message.bytes = str_from(test->message != NULL ? test->message : SIEVE_TEST_MESSAGE);
	status = filter_run(filter, &message, &options, &arena, result, &error);
	if (status == FILTER_OK)
		show_result(out, test, result);
	else
		buf_printf(out, "%s line %u: %s\n", STATUS[status], error.line, error.text);
	arena_free(&arena);
	free(result);
}

char *
sieve_test_run(const struct sieve_test *test)
{
	struct filter_error error;
	struct filter *filter;
	struct buf out = { 0 };

	if (filter_compile(str_from(test->script), &filter, &error, NULL) != FILTER_OK) {
		buf_printf(&out, "compile error line %u: %s", error.line, error.text);
		return buf_take(&out);
	}
	run(&out, test, filter);
	filter_free(filter);
	if (out.len > 0)
		out.len--; /* the last line end */
	return buf_take(&out);
}

void
sieve_test_expect(const struct sieve_test *test)
{
	char *text = sieve_test_run(test);
	size_t len = strlen(test->expect);
	bool same = test->error_begins ? strncmp(text, test->expect, len) == 0
				       : strcmp(text, test->expect) == 0;

	if (!same)
		print_error(
		    "script:\n%s\nexpected:\n%s\ngot:\n%s\n", test->script, test->expect, text);
	free(text);
	assert_true(same);
}

void
sieve_test_expect_all(const struct sieve_test *tests, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sieve_test_expect(&tests[i]);
}
