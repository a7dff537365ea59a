#include "filter/exim/exim_test_tool.h"

#include <stdio.h>
#include <stdlib.h>

const char EXIM_TEST_MESSAGE[] =
    "From: Bob <bob@example.net>\nTo: Ann <ann@example.org>, dev@x.y\n"
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= you\nX-Two: a\nX-Two: b\n\nbody\n";

static const char *
error_name(enum filter_error_kind kind)
{
	static const char *const NAMES[] = { "compile", "runtime", "syntax", "expand",
		"forbidden" };

	return NAMES[kind];
}

static void
describe(struct buf *out, const struct filter_action *a)
{
	buf_printf(out, "%s%s", out->len > 0 ? ", " : "",
	    a->unseen && (a->kind == FILTER_SAVE || a->kind == FILTER_DELIVER) ? "unseen " : "");
	switch (a->kind) {
	case FILTER_KEEP: buf_adds(out, a->implicit ? "keep" : "inbox"); break;
	case FILTER_SAVE:
		buf_printf(out, "save %s (%s)", a->path,
		    a->store.mailbox != NULL ? a->store.mailbox : "none");
		break;
	case FILTER_DELIVER: buf_printf(out, "deliver %s", a->redirect.to); break;
	case FILTER_MAIL:
		buf_printf(
		    out, "%s to %s", a->reply.is_vacation ? "vacation" : "mail", a->reply.to);
		if (a->reply.subject != NULL)
			buf_printf(out, " subject %s", a->reply.subject);
		if (a->reply.body != NULL)
			buf_printf(out, " text %s", a->reply.body);
		if (a->reply.key != NULL)
			buf_printf(out, " once %s in %llu", a->reply.key,
			    (unsigned long long)a->reply.seconds);
		break;
	default: buf_adds(out, "?");
	}
}

void
exim_trial(struct exim_trial *t, const char *filter, const char *message, const char *sender)
{
	struct filter_message m = { .fd = -1,
		.bytes = str_from(message != NULL ? message : EXIM_TEST_MESSAGE),
		.sender = sender != NULL ? sender : "bob@example.net",
		.rcpt = "ann+list@example.org",
		.account = "ann@example.org",
		.detail = "list",
		.hostname = "mail.example.org",
		.now = 1772443230 };
	struct buf text = { 0 };
	struct filter *compiled = NULL;

	*t = (struct exim_trial){ 0 };
	buf_printf(&text, "# Exim filter\n%s\n", filter);
	t->status =
	    filter_compile((struct str){ buf_cstr(&text), text.len }, &compiled, &t->error, NULL);
	if (t->status == FILTER_OK)
		t->status = filter_run(compiled, &m, NULL, &t->arena, &t->result, &t->error);
	buf_reset(&text);
	for (size_t i = 0; i < t->result.action_count; i++)
		describe(&text, &t->result.actions[i]);
	if (t->status == FILTER_OK)
		t->text = arena_strdup(&t->arena, buf_cstr(&text));
	else
		t->text = arena_printf(&t->arena, "%s %u: %s", error_name(t->error.kind),
		    t->error.line, t->error.text);
	filter_free(compiled);
	buf_free(&text);
}

void
exim_trial_end(struct exim_trial *t)
{
	arena_free(&t->arena);
}
