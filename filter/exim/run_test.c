#include "filter/exim/exim.h"
#include "filter/exim/exim_test_tool.h"
#include "filter/exim/folder.h"

static const struct {
	const char *path, *mailbox; /* NULL: none */
} FOLDERS[] = {
	{ ".Junk/", "Junk" },
	{ ".Junk", "Junk" },
	{ "Junk/", "Junk" },
	{ ".Lists.dev/", "Lists/dev" },
	{ "Lists/dev", "Lists/dev" },
	{ "./.A/", "A" },
	{ "/home/ann/.A/", "A" },
	{ "./", "INBOX" },
	{ ".", "INBOX" },
	{ "INBOX", "INBOX" },
	{ "INBOX/", "INBOX" },
	{ ".INBOX/", "INBOX" },
	{ "inbox", "INBOX" },
	{ ".Gr&APwA3w-e/", "Grüße" },
	{ ".Grüße/", "Grüße" },
	{ "", NULL },
	{ "/", NULL },
	{ "/abs/x", NULL },
	{ "/home/ann/", NULL },
	{ "/home/annx/y", NULL },
	{ "../x", NULL },
	{ "..", NULL },
	{ "a/../b", NULL },
	{ "a//b", NULL },
	{ ".a..b/", NULL },
	{ ".a./", NULL },
	{ "a\nb", NULL },
	{ ".a\xff/", NULL },
	{ ".&bad/", NULL },
	{ "~/x", "~/x" },
};

static void
test_folders(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(FOLDERS); i++) {
		const char *got = exim_folder(&a, str_from(FOLDERS[i].path), "/home/ann");

		if (got == NULL
			? FOLDERS[i].mailbox != NULL
			: FOLDERS[i].mailbox == NULL || strcmp(got, FOLDERS[i].mailbox) != 0)
			fail_msg("%s: %s", FOLDERS[i].path, got != NULL ? got : "none");
	}
	arena_free(&a);
}

static const char LIST[] = "From: carol@example.com\nTo: dev@x.y\nList-Id: <dev.x.y>\n\nbody\n";
static const char EVIL[] = "From: eve@example.com\nSubject: =?utf-8?q?a=0ABcc:_x=40y?=\n\nbody\n";

static const struct {
	const char *filter, *message, *sender, *outcome;
} CASES[] = {
	/* significance */
	{ "save x", NULL, NULL, "save x (x)" },
	{ "unseen save x", NULL, NULL, "unseen save x (x), keep" },
	{ "finish save x", NULL, NULL, "keep" },
	{ "seen finish", NULL, NULL, "" },
	{ "save x unseen finish", NULL, NULL, "save x (x)" },
	{ "mail to a@b text t", NULL, NULL, "mail to a@b text t, keep" },
	{ "seen mail to a@b text t", NULL, NULL, "mail to a@b text t" },
	{ "if delivered then save y endif save x if delivered then save z endif", NULL, NULL,
	    "save x (x), save z (z)" },
	/* bounces are not answered, and not lost by it */
	{ "mail to a@b text t", NULL, "", "keep" },
	{ "seen mail to a@b text t", NULL, "", "keep" },
	{ "seen mail to a@b text t unseen save x", NULL, "", "unseen save x (x), keep" },
	/* one copy per target */
	{ "save x save x unseen save y", NULL, NULL, "save x (x), unseen save y (y)" },
	{ "deliver a@b deliver a@B deliver A@b", NULL, NULL, "deliver a@b, deliver A@b" },
	{ "deliver ann@example.org deliver ANN+list@example.org", NULL, NULL, "inbox" },
	{ "deliver carol", NULL, NULL, "deliver carol@example.org" },
	{ "deliver 1@x deliver 2@x deliver 3@x deliver 4@x deliver 5@x", NULL, NULL,
	    "runtime 2: the filter delivers to more than 4 addresses" },
	{ "deliver \"a b\"", NULL, NULL, "expand 2: malformed address \"a b\" in filter file" },
	{ "deliver a@b errors_to c@d", NULL, NULL, "expand 2: errors_to must point" },
	{ "deliver a@b errors_to ann@EXAMPLE.org", NULL, NULL, "deliver a@b" },
	/* conditions */
	{ "if personal then save x endif", NULL, NULL, "save x (x)" },
	{ "if personal then save x endif", LIST, NULL, "keep" },
	{ "if personal then save x endif", NULL, "", "keep" },
	{ "if foranyaddress $h_to: ($thisaddress is dev@x.y) then save $thisaddress endif", NULL,
	    NULL, "save dev@x.y (dev@x.y)" },
	{ "if abc matches \"b(.)\" then save $1 endif", NULL, NULL, "save c (c)" },
	{ "if 1K above 1023 then save x endif", NULL, NULL, "save x (x)" },
	{ "if x above 1 then save x endif", NULL, NULL,
	    "expand 2: malformed numerical string \"x\"" },
	{ "if a matches ( then endif", NULL, NULL, "syntax 2: unexpected \"(\"" },
	{ "if a matches \"(\" then endif", NULL, NULL, "expand 2: error while compiling" },
	/* an error leaves nothing of what was asked for before */
	{ "save x\nsave $foo", NULL, NULL, "expand 3: failed to expand \"$foo\" in save command" },
	/* replies */
	{ "vacation text away", NULL, NULL,
	    "vacation to Bob <bob@example.net> subject On vacation text away once .vacation in "
	    "604800, "
	    "keep" },
	{ "mail once o once_repeat 2d text t", NULL, NULL,
	    "mail to Bob <bob@example.net> text t once o in 172800, keep" },
	{ "mail once o once_repeat soon text t", NULL, NULL,
	    "mail to Bob <bob@example.net> text t once o in 0, keep" },
	/* a sender writes no headers */
	{ "mail to a@b subject \"Re: $h_subject:\" text t", EVIL, NULL,
	    "expand 2: \\n not followed by space in \"Re: a\\nBcc: x@y\" in mail command" },
	{ "mail to a@b subject \"$rh_subject:\" text t", NULL, NULL, "expand 2: \\n not followed" },
	{ "mail to a@b extra_headers \"X: y\\nnone\"", NULL, NULL,
	    "expand 2: \\n not followed by space or" },
	{ "mail to a@b file \"a\\001\"", NULL, NULL, "expand 2: non-printing character" },
};

static void
test_outcomes(void **state)
{
	struct exim_trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		size_t len = strlen(CASES[i].outcome);

		exim_trial(&t, CASES[i].filter, CASES[i].message, CASES[i].sender);
		if (strncmp(t.text, CASES[i].outcome, len) != 0 ||
		    (t.status == FILTER_OK && t.text[len] != '\0'))
			fail_msg("%s\n  wanted: %s\n  got:    %s", CASES[i].filter,
			    CASES[i].outcome, t.text);
		exim_trial_end(&t);
	}
}

static void
test_too_many_actions(void **state)
{
	struct buf text = { 0 };
	struct exim_trial t;

	(void)state;
	for (int i = 0; i < FILTER_ACTIONS_MAX; i++)
		buf_printf(&text, "unseen save f%d\n", i);
	exim_trial(&t, buf_cstr(&text), NULL, NULL);
	assert_int_equal(t.status, FILTER_RUN_ERROR); /* no room for normal delivery */
	exim_trial_end(&t);
	buf_adds(&text, "save g");
	exim_trial(&t, buf_cstr(&text), NULL, NULL);
	assert_int_equal(t.status, FILTER_RUN_ERROR);
	exim_trial_end(&t);
	buf_free(&text);
}

static void
test_default_filter(void **state)
{
	static const struct {
		const char *field, *mailbox;
	} FIELDS[] = { { "X-Spam-Score: +++++", "Junk" }, { "X-Spam-Score: +++++++ (7.1)", "Junk" },
		{ "X-Spam-Score: ++++", NULL }, { "X-Spam-Score: -", NULL },
		{ "X-Spam-Score: 5", "Junk" }, { "X-Spam-Score: 7.1 (+++)", "Junk" },
		{ "X-Spam-Score: +5.0", "Junk" }, { "X-Spam-Score: 12.34", "Junk" },
		{ "X-Spam-Score: 4.9 (++++)", NULL }, { "X-Spam-Score: -5.0 (-----)", NULL },
		{ "X-Spam-Score: 0.5", NULL },
		{ "X-Spam-Score: 05", NULL }, /* nobody writes that */
		{ "X-Spam-Score: 5x", NULL }, { "X-Spam-Flag: YES", "Junk" },
		{ "X-Spam-Flag: yes", "Junk" }, { "X-Spam-Flag: NO", NULL },
		{ "X-Spam-Status: Yes, score=9.1 required=5.0", "Junk" },
		{ "X-Spam-Status: No, score=1.0 required=5.0", NULL },
		{ "X-Spam-Status: Yesterday", NULL }, { "X-Spam-Report: YES 9.9 +++++", NULL } };
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
		struct filter_message m = {
			.fd = -1, .sender = "", .account = "a@b", .rcpt = "a@b"
		};
		struct filter_result r;
		struct filter_error error;

		m.bytes = str_from(
		    arena_printf(&arena, "Subject: x\r\n%s\r\n\r\nx\r\n", FIELDS[i].field));
		assert_int_equal(
		    filter_run(filter_default(), &m, NULL, &arena, &r, &error), FILTER_OK);
		assert_int_equal(r.action_count, 1);
		if (FIELDS[i].mailbox == NULL)
			assert_int_equal(r.actions[0].kind, FILTER_KEEP);
		else
			assert_string_equal(r.actions[0].store.mailbox, FIELDS[i].mailbox);
	}
	arena_free(&arena);
}

/* Each place of a long subject is the start of a scan to its end: no limit of PCRE2 is met, the run's time is. */
static void
test_long_scans(void **state)
{
	struct exim_trial t;
	struct buf message = { 0 };

	(void)state;
	buf_adds(&message, "From: a@example.org\nSubject: ");
	for (size_t i = 0; i < 100000; i++)
		buf_adds(&message, "aaaaaaaaaa");
	buf_adds(&message, "\n\nx\n");
	exim_trial(&t, "if $h_subject: matches \"[ab]*[cd]\" then finish endif\n",
	    buf_cstr(&message), NULL);
	assert_int_equal(t.status, FILTER_RUN_ERROR);
	assert_string_equal(t.error.text, "the filter takes too much time");
	exim_trial_end(&t);
	exim_trial(&t,
	    "if \"${tr{$h_subject:}{$h_subject:}{$h_subject:}}\" is a then finish endif\n",
	    buf_cstr(&message), NULL);
	assert_int_equal(t.status, FILTER_OK);
	exim_trial_end(&t);
	buf_free(&message);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_too_many_actions),
		cmocka_unit_test(test_default_filter),
		cmocka_unit_test(test_long_scans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
