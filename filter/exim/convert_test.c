#include "filter/exim/convert.h"
#include "filter/exim/exim_test_tool.h"

/* A filter without its first line, a piece of the script, and a piece of the problems (NULL: none at all). */
static const struct {
	const char *filter, *sieve, *problem;
} CASES[] = {
	{ "", "", NULL },
	{ "save .Junk/", "fileinto :create \"Junk\";", NULL },
	{ "save $home/.A.B/", "fileinto :create \"A/B\";", NULL },
	{ "unseen save x", "fileinto :create :copy \"x\";", NULL },
	{ "save INBOX", "keep;", NULL },
	{ "save /etc/x", "# line 2 (save) is not converted",
	    "line 2: save: \"/etc/x\" is no folder" },
	{ "save .$h_list-id:/", "", "line 2: save: the folder depends on the message" },
	{ "deliver a@b", "redirect \"a@b\";", NULL },
	{ "unseen deliver \"A <a@b>\"", "redirect :copy \"a@b\";", NULL },
	{ "deliver ann", "", "has no domain" },
	{ "finish", "stop;", NULL },
	{ "seen finish", "discard;\nstop;", NULL },
	{ "vacation text away",
	    "vacation :days 7 :subject \"On vacation\" :handle \".vacation\" \"away\";", NULL },
	{ "vacation text away once_repeat 12h", "vacation :seconds 43200", NULL },
	{ "vacation", "", "the text is in a file" },
	{ "vacation to a@b text x", "", "has no \"to\"" },
	{ "mail to a@b text x", "", "Sieve sends no mail" },
	{ "add 1 to n1", "", "add: there is nothing like it" },
	{ "pipe x", "", "pipe: there is nothing like it" },
	{ "testprint x logfile y", "", NULL },
	/* conditions */
	{ "if $h_subject: contains x then finish endif",
	    "if header :contains \"subject\" \"x\" {\n\tstop;\n}", NULL },
	{ "if $h_subject: CONTAINS x then finish endif",
	    "header :contains :comparator \"i;octet\" \"subject\" \"x\"", NULL },
	{ "if $h_subject: is not x then finish endif", "if not header :is \"subject\" \"x\"",
	    NULL },
	{ "if $h_subject: is \"\" then finish endif", "if not header :matches \"subject\" \"?*\"",
	    NULL },
	{ "if $h_subject: begins a*b then finish endif", "header :matches \"subject\" \"a\\\\*b*\"",
	    NULL },
	{ "if $h_subject: ends \"q\\\"\" then finish endif",
	    "header :matches \"subject\" \"*q\\\"\"", NULL },
	{ "if $h_subject: matches \"^a.*b\" then finish endif",
	    "header :regex \"subject\" \"^a.*b\"", NULL },
	{ "if $h_subject: matches \"\\\\\\\\d\" then finish endif", "", "more than :regex can do" },
	{ "if \"$h_to: $h_cc:\" contains me@x then finish endif",
	    "header :contains [\"to\", \"cc\"] \"me@x\"", NULL },
	{ "if \"$h_to: $h_cc:\" is me@x then finish endif", "", "several headers in one string" },
	{ "if $sender_address is \"\" then finish endif", "envelope :is \"from\" \"\"", NULL },
	{ "if $sender_address_domain ends .x then finish endif",
	    "envelope :domain :matches \"from\" \"*.x\"", NULL },
	{ "if error_message then finish endif", "if envelope :is \"from\" \"\"", NULL },
	{ "if $message_size above 10K then finish endif", "if size :over 10240", NULL },
	{ "if $message_body: contains x then finish endif", "", "is nothing that a test of Sieve" },
	{ "if delivered then finish endif", "", "delivered: Sieve does not know" },
	{ "if personal alias a@b then finish endif",
	    "address :is \"to\" [\"${me}\", \"${user}@${domain}\", \"a@b\"]", NULL },
	{ "if foranyaddress $h_to:,$h_cc: ($thisaddress ends @x) then finish endif",
	    "address :all :matches [\"to\", \"cc\"] \"*@x\"", NULL },
	{ "if foranyaddress $h_to: (not $thisaddress is x) then finish endif", "",
	    "more than one comparison" },
	{ "if $h_a: is x and not ($h_b: is y or $h_c: is z) then finish elif $h_d: is w then save "
	  "q else save r endif",
	    "if allof(header :is \"a\" \"x\", not anyof(header :is \"b\" \"y\", header :is \"c\" "
	    "\"z\"))",
	    NULL },
};

/* What comes out must compile. */
static void
check_sieve(const char *filter, struct buf *sieve)
{
	struct filter *compiled = NULL;
	struct filter_error error;

	if (filter_compile((struct str){ buf_cstr(sieve), sieve->len }, &compiled, &error, NULL) !=
	    FILTER_OK)
		fail_msg("%s\n%s\nline %u: %s", filter, buf_cstr(sieve), error.line, error.text);
	assert_string_equal(filter_language_name(compiled), "sieve");
	filter_free(compiled);
}

static void
test_convert(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf text = { 0 }, sieve = { 0 }, problems = { 0 };
		struct filter_error error;

		buf_printf(&text, "# Exim filter\n%s\n", CASES[i].filter);
		if (!exim_convert(
			(struct str){ buf_cstr(&text), text.len }, &sieve, &problems, &error))
			fail_msg("%s: %s", CASES[i].filter, error.text);
		if (strstr(buf_cstr(&sieve), CASES[i].sieve) == NULL)
			fail_msg("%s\n  wanted: %s\n  got: %s", CASES[i].filter, CASES[i].sieve,
			    buf_cstr(&sieve));
		if (CASES[i].problem == NULL
			? problems.len > 0
			: strstr(buf_cstr(&problems), CASES[i].problem) == NULL)
			fail_msg("%s: %s", CASES[i].filter, buf_cstr(&problems));
		check_sieve(CASES[i].filter, &sieve);
		buf_free(&text);
		buf_free(&sieve);
		buf_free(&problems);
	}
}

static void
test_errors(void **state)
{
	struct buf sieve = { 0 }, problems = { 0 };
	struct filter_error error;

	(void)state;
	assert_false(exim_convert(STR("require \"x\";"), &sieve, &problems, &error));
	assert_false(exim_convert(STR("# Exim filter\nif"), &sieve, &problems, &error));
	assert_int_equal(error.kind, FILTER_ERROR_SYNTAX);
	assert_int_equal(sieve.len, 0);
	buf_free(&sieve);
	buf_free(&problems);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_convert),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
