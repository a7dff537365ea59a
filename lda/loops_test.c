/* Which messages are in a loop, which are the same message, and how a warning looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lda/duplicates.h"
#include "lda/warning.h"
#include "sending/loops.h"

static void
open_view(struct view *view, struct arena *arena, const char *message)
{
	struct filter_message m = { .fd = -1, .bytes = str_from(message) };

	assert_true(view_open(view, &m, arena));
}

#define HOP "Received: from a by b\n"
#define US  "Delivered-To: ann@example.org\n"

static const struct {
	const char *message;
	bool delivered_to;
	const char *why;
} LOOPS[] = {
	{ "\n", true, NULL },
	{ HOP HOP HOP "\n", true, NULL },
	{ HOP HOP "received : x\n" HOP "\n", true, "too-many-hops" },
	{ HOP HOP HOP "\n" HOP, true, NULL }, /* in the body */
	{ HOP US "\n", true, "delivered-before" },
	{ HOP US "\n", false, NULL },
	{ US HOP "\n", true, NULL }, /* the hand that gives it now */
	{ US HOP US "\n", true, "delivered-before" },
	{ HOP "Delivered-To: <ANN@Example.org> \n\n", true, "delivered-before" },
	{ HOP "Delivered-To: ann@example.org.evil\n\n", true, NULL },
	{ HOP "Delivered-To: ann+x@example.org\n\n", true, NULL },
	{ HOP "X-Delivered-To: ann@example.org\n\n", true, NULL },
};

static void
test_loops(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(LOOPS); i++) {
		struct arena arena = { 0 };
		struct view view;
		const char *why;

		open_view(&view, &arena, LOOPS[i].message);
		why = loop_find(&view, "ann@example.org", 3, LOOPS[i].delivered_to);
		if ((why == NULL) != (LOOPS[i].why == NULL) ||
		    (why != NULL && strcmp(why, LOOPS[i].why) != 0))
			fail_msg("%zu: %s", i, why != NULL ? why : "none");
		view_close(&view);
		arena_free(&arena);
	}
}

#define ONE "Message-ID: <1@x>\nFrom: a@x\nSubject: s\n"

static const struct {
	const char *a, *b;
	bool same;
} PAIRS[] = {
	{ ONE "\nbody\n", ONE "\nbody\n", true },
	{ ONE "\nbody\n", HOP "X-Spam-Score: 1\n" ONE "List-Id: x\n\nbody\n", true },
	{ ONE "\nbody\n", "Subject: s\r\nfrom: a@x\r\nmessage-id: <1@x>\r\n\r\nbody\r\n", true },
	{ ONE "\nbody\n", ONE "\nBody\n", false },
	{ ONE "\nbody\n", ONE "To: b@x\n\nbody\n", false },
	{ ONE "\nbody\n", "Message-ID: <1@x>\nFrom: a@x\nSubject: [l] s\n\nbody\n", false },
	{ ONE "\nbody\n", "Message-ID: <2@x>\nFrom: a@x\nSubject: s\n\nbody\n", false },
	/* nothing moves from one field into another */
	{ "Message-ID: <1@x>\nTo: ab\nCc: c\n\n", "Message-ID: <1@x>\nTo: a\nCc: bc\n\n", false },
};

static void
test_duplicates(void **state)
{
	char a[POUR_DIGEST_BYTES], b[POUR_DIGEST_BYTES];
	struct arena arena = { 0 };
	struct view view;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++) {
		open_view(&view, &arena, PAIRS[i].a);
		assert_true(duplicate_digest(&view, a));
		view_close(&view);
		open_view(&view, &arena, PAIRS[i].b);
		assert_true(duplicate_digest(&view, b));
		view_close(&view);
		if ((strcmp(a, b) == 0) != PAIRS[i].same)
			fail_msg("%zu", i);
	}
	open_view(&view, &arena, "From: a@x\nMessage-ID: \n\nbody\n");
	assert_false(duplicate_digest(&view, a));
	view_close(&view);
	arena_free(&arena);
}

static const struct {
	const char *template; /* NULL: ours */
	struct quota_rules rules;
	struct quota_usage usage;
	const char *has[4], *lacks;
} WARNINGS[] = {
	{ NULL, { .limit_bytes = 2048ull << 20 }, { 1844ull << 20, 7 },
	    { "\nSubject: Your mailbox is 90% full\n",
		"Your mailbox ann@example.org is 90% full: 1.8 GB of 2.0 GB.\n",
		"To: \"Ann, of X\" <ann@example.org>\n", "\nAuto-Submitted: auto-generated\n" },
	    "${" },
	{ NULL, { .limit_bytes = 2048ull << 20, .limit_messages = 100 }, { 1, 95 },
	    { "is 95% full: 95 of 100 messages.\n" }, "${" },
	{ "Subject: S ${percent}\r\n of ${threshold}\r\nFrom: H "
	  "<h@${domain}>\r\n\r\n${used}/${quota}"
	  "\r\n${localpart} ${host} ${messages}/${messages_max} $ ${x\r\n",
	    { .limit_bytes = 102400 }, { 81920, 3 },
	    { "\nSubject: S 80 ", "From: H <h@example.org>\n", "\n\n80 KB/100 KB\nann",
		"ann mail.example.org 3/0 $ ${x\n" },
	    "\r" },
	/* a text that only looks like a header; one that is broken */
	{ "Hello: ${address}\nSubject: no\n", { .limit_bytes = 1 }, { 1, 1 },
	    { "\nSubject: Your mailbox is 100% full\n",
		"\n\nHello: ann@example.org\nSubject: no\n" },
	    NULL },
	{ "Subject: a\rBcc: victim@x\nFrom: nobody\n\n\xff\n", { .limit_bytes = 1 }, { 1, 1 },
	    { "From: Mail server <postmaster@example.org>\n", "=EF=BF=BD" }, "\nBcc" },
};

static void
test_warning(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(WARNINGS); i++) {
		struct warning_facts facts = { .localpart = "ann",
			.domain = "example.org",
			.realname = "Ann,\nof X",
			.hostname = "mail.example.org",
			.rules = WARNINGS[i].rules,
			.usage = WARNINGS[i].usage,
			.threshold = 80,
			.now = 1700000000 };
		const char *template = WARNINGS[i].template;
		struct buf out = { 0 };

		warning_compose(
		    &out, &facts, template != NULL ? str_from(template) : (struct str){ NULL, 0 });
		for (size_t n = 0; n < 4 && WARNINGS[i].has[n] != NULL; n++)
			if (strstr(buf_cstr(&out), WARNINGS[i].has[n]) == NULL)
				fail_msg(
				    "%zu lacks %s in\n%s", i, WARNINGS[i].has[n], buf_cstr(&out));
		if (WARNINGS[i].lacks != NULL && strstr(buf_cstr(&out), WARNINGS[i].lacks) != NULL)
			fail_msg("%zu has %s:\n%s", i, WARNINGS[i].lacks, buf_cstr(&out));
		buf_free(&out);
	}
}

/* Without what is never the same twice. */
static const char *
body_of(struct buf *message)
{
	return strstr(buf_cstr(message), "\nAuto-Submitted:");
}

/* The file to start from is the built-in text. */
static void
test_shipped_template(void **state)
{
	struct warning_facts facts = { .localpart = "ann",
		.domain = "example.org",
		.hostname = "mail.example.org",
		.rules = { .limit_bytes = 1000 },
		.usage = { 900, 1 } };
	struct buf ours = { 0 }, theirs = { 0 };
	FILE *file = fopen("doc/quota-warning-template.txt", "r");
	char text[4096];
	size_t len;

	(void)state;
	assert_non_null(file);
	len = fread(text, 1, sizeof(text), file);
	fclose(file);
	warning_compose(&ours, &facts, (struct str){ NULL, 0 });
	warning_compose(&theirs, &facts, (struct str){ text, len });
	assert_string_equal(body_of(&ours), body_of(&theirs));
	assert_non_null(strstr(buf_cstr(&theirs), "\nSubject: Your mailbox is 90% full\n"));
	buf_free(&ours);
	buf_free(&theirs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_warning),
		cmocka_unit_test(test_shipped_template),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
