#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imapd/notify_plan.h"

#define BOTH "MessageNew MessageExpunge"
#define NEW  (NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE)
#define FLAG NOTIFY_FLAG_CHANGE
#define NAME NOTIFY_MAILBOX_NAME
#define SUBS NOTIFY_SUBSCRIPTION

static const struct {
	const char *text; /* behind SET */
	enum notify_parsed parsed;
} CASES[] = {
	{ " (personal (" BOTH "))", NOTIFY_PARSED },
	{ " STATUS (personal (" BOTH "))", NOTIFY_PARSED },
	{ " status (SELECTED (messagenew MESSAGEEXPUNGE)) (inboxes (MailboxName))", NOTIFY_PARSED },
	{ " (selected (MessageNew (UID FLAGS) MessageExpunge))", NOTIFY_PARSED },
	{ " (selected-delayed (MessageNew (BODY.PEEK[HEADER.FIELDS (From)]) MessageExpunge))",
	    NOTIFY_PARSED },
	{ " (selected NONE)", NOTIFY_PARSED },
	{ " (subtree a (" BOTH "))", NOTIFY_PARSED },
	{ " (subtree (a \"b c\") (" BOTH "))", NOTIFY_PARSED },
	{ " (mailboxes {1}\r\na none)", NOTIFY_PARSED },
	{ "", NOTIFY_SYNTAX },
	{ " ", NOTIFY_SYNTAX },
	{ " STATUS", NOTIFY_SYNTAX },
	{ " ()", NOTIFY_SYNTAX },
	{ " (personal)", NOTIFY_SYNTAX },
	{ " (personal ())", NOTIFY_SYNTAX },
	{ " (personal MailboxName)",
	    NOTIFY_SYNTAX }, /* as in an example of the RFC, but not its grammar */
	{ " (personal (MailboxName)", NOTIFY_SYNTAX },
	{ " (personal (MailboxName)) ", NOTIFY_SYNTAX },
	{ " (personal (MailboxName))x", NOTIFY_SYNTAX },
	{ " (personal a (MailboxName))", NOTIFY_SYNTAX },
	{ " (subtree (MailboxName))", NOTIFY_SYNTAX },
	{ " (subtree () (MailboxName))", NOTIFY_SYNTAX },
	{ " (subtree-one a (MailboxName))", NOTIFY_SYNTAX }, /* ESEARCH's */
	{ " (personal (MessageNew))", NOTIFY_SYNTAX },       /* both or neither */
	{ " (personal (MessageExpunge))", NOTIFY_SYNTAX },
	{ " (personal (FlagChange MailboxName))", NOTIFY_SYNTAX },
	{ " (personal (MessageNew (UID) MessageExpunge))", NOTIFY_SYNTAX },
	{ " (selected (" BOTH " MailboxName))", NOTIFY_SYNTAX },
	{ " (selected (MessageNew (ALL) MessageExpunge))",
	    NOTIFY_SYNTAX }, /* fetch-att, no macro */
	{ " (selected (MessageNew () MessageExpunge))", NOTIFY_SYNTAX },
	{ " (selected NONE) (selected NONE)", NOTIFY_SYNTAX },
	{ " (selected NONE) (selected-delayed NONE)", NOTIFY_SYNTAX },
	{ " (personal (" BOTH " AnnotationChange))", NOTIFY_BAD_EVENT },
	{ " (personal (Whatever)) (selected NONE)", NOTIFY_BAD_EVENT },
	{ " (personal (Whatever)) (selected", NOTIFY_SYNTAX },
};

static void
test_grammar(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct cursor c = cursor_from(str_from(CASES[i].text));
		struct arena a = { 0 };
		struct notify_plan plan;

		if (notify_plan_parse(&c, &a, true, &plan) != CASES[i].parsed)
			fail_msg("%s", CASES[i].text);
		arena_free(&a);
	}
}

/* What is wanted of a mailbox: RFC 5465 §6. */
static const struct {
	const char *text;
	const char *mailbox;
	unsigned events;
} WANTED[] = {
	{ " (mailboxes INBOX (" BOTH ")) (personal (SubscriptionChange))", "INBOX", NEW | SUBS },
	{ " (mailboxes inbox (" BOTH ")) (personal (SubscriptionChange))", "a", SUBS },
	{ " (mailboxes a (" BOTH ")) (personal (" BOTH " FlagChange MailboxName))", "a",
	    NEW | NAME },
	{ " (mailboxes a NONE) (personal (" BOTH "))", "a", 0 },
	{ " (personal (MailboxName)) (mailboxes a NONE) (personal (" BOTH "))", "a", NAME },
	{ " (selected (" BOTH "))", "a", 0 },
	{ " (subtree a (" BOTH " FlagChange))", "a", NEW | FLAG },
	{ " (subtree a (MailboxName))", "a/b/c", NAME },
	{ " (subtree a (MailboxName))", "ab", 0 },
	{ " (subtree (x a/b) (MailboxName))", "a", 0 },
	{ " (subtree (x c b a/b) (MailboxName))", "b/c/d", NAME },
	{ " (subtree (ab a-b a/b/) (MailboxName))", "a/c", 0 },
	{ " (subtree (b/a a) (MailboxName))", "a/", NAME },
	{ " (mailboxes (x b ab aa c) (MailboxName))", "ab", NAME },
	{ " (mailboxes (x b ab aa c) (MailboxName))", "a", 0 },
	{ " (mailboxes (x b ab aa c) (MailboxName))", "abc", 0 },
	{ " (mailboxes a (MailboxName))", "a/b", 0 },
	{ " (mailboxes (\"a*\" \"%\") (MailboxName))", "a1", 0 }, /* no wildcards */
	{ " (subscribed (MailboxName))", "a", 0 },
	{ " (subscribed (MailboxName))", "+a", NAME },
	{ " (inboxes (MailboxName))", "a", NAME },
	{ " (personal (MailboxName))", "Other Users/b", 0 },
	{ " (subtree \"Other Users\" (MailboxName))", "Other Users/b", NAME },
};

static void
test_events(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(WANTED); i++) {
		struct cursor c = cursor_from(str_from(WANTED[i].text));
		struct mailbox_candidate m = { .shown = WANTED[i].mailbox };
		struct arena a = { 0 };
		struct notify_plan plan;

		m.subscribed = m.shown[0] == '+';
		m.shown += m.subscribed;
		m.own = m.shown[0] != 'O';
		assert_int_equal(notify_plan_parse(&c, &a, true, &plan), NOTIFY_PARSED);
		if (notify_plan_events(&plan, &m) != WANTED[i].events)
			fail_msg("%s: %s", WANTED[i].text, WANTED[i].mailbox);
		arena_free(&a);
	}
}

static void
test_subtree_one(void **state)
{
	const char *names[] = { "a" };
	struct mailbox_filter f = { MAILBOX_FILTER_SUBTREE_ONE, names, 1 };

	(void)state;
	assert_true(mailbox_filter_covers(&f, &(struct mailbox_candidate){ .shown = "a" }));
	assert_true(mailbox_filter_covers(&f, &(struct mailbox_candidate){ .shown = "a/b" }));
	assert_false(mailbox_filter_covers(&f, &(struct mailbox_candidate){ .shown = "a/b/c" }));
	assert_false(mailbox_filter_covers(&f, &(struct mailbox_candidate){ .shown = "b" }));
	assert_false(mailbox_filter_covers(&f, &(struct mailbox_candidate){ .shown = "b/a" }));
}

/* Too many names and groups are syntax errors, whatever they are. */
static void
test_limits(void **state)
{
	struct buf text = { 0 };

	(void)state;
	for (int over = 0; over < 2; over++) {
		struct arena a = { 0 };
		struct notify_plan plan;
		struct cursor c;

		buf_reset(&text);
		buf_adds(&text, " (mailboxes (");
		for (int i = 0; i < MAILBOX_FILTER_NAMES_MAX + over; i++)
			buf_adds(&text, i > 0 ? " a" : "a");
		buf_adds(&text, ") (MailboxName))");
		for (int i = 1; i < NOTIFY_GROUPS_MAX; i++)
			buf_adds(&text, " (personal NONE)");
		c = cursor_from((struct str){ text.data, text.len });
		assert_int_equal(
		    notify_plan_parse(&c, &a, true, &plan), over ? NOTIFY_SYNTAX : NOTIFY_PARSED);
		buf_adds(&text, " (personal NONE)");
		c = cursor_from((struct str){ text.data, text.len });
		assert_int_equal(notify_plan_parse(&c, &a, true, &plan), NOTIFY_SYNTAX);
		arena_free(&a);
	}
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_subtree_one),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
