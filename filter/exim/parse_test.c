#include "filter/exim/exim.h"
#include "filter/exim/exim_test_tool.h"

static const struct {
	const char *text;
	bool claimed;
} FIRST_LINES[] = {
	{ "# Exim filter", true },
	{ "#Exim filter\n", true },
	{ "\n\n  #  EXIM \t FILTERing of mail\nsave x", true },
	{ "# exim filter", true },
	{ "#exim  filter", true },
	{ "# Eximfilter", false },
	{ "# Sieve filter", false },
	{ "require \"fileinto\";", false },
	{ "", false },
	{ "#", false },
};

static void
test_claims(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(FIRST_LINES); i++)
		if (exim_claims(str_from(FIRST_LINES[i].text)) != FIRST_LINES[i].claimed)
			fail_msg("\"%s\"", FIRST_LINES[i].text);
}

/* What stands in a filter and how the outcome starts. */
static const struct {
	const char *filter, *outcome;
} CASES[] = {
	/* words */
	{ "", "keep" },
	{ "# nothing", "keep" },
	{ "save x", "save x (x)" },
	{ "save \"x\"save y", "save x (x), save y (y)" },
	{ "save .a#b/ # c", "save .a#b/ (a#b)" },
	{ "save \"a \\\n   b\"", "save a b (a b)" },
	{ "save \"\\x41\\102\"", "save AB (AB)" },
	{ "save \"a\nb\"", "syntax 2: quote missing at end of string in line 2" },
	{ "save \"a", "syntax 2: quote missing" },
	{ "save x\r\nsave y\r\n", "save x (x), save y (y)" },
	/* commands */
	{ "\n\nfoo", "syntax 4: unknown filtering command \"foo\" near line 4" },
	{ "Save x", "syntax 2: unknown filtering command" },
	{ "save", "syntax 3: \"save\" requires an argument" },
	{ "save \"\"", "syntax 3: \"save\" requires an argument" },
	{ "save x 644 save y", "save x (x), save y (y)" },
	{ "add 1 n1", "syntax 2: \"to\" expected in \"add\" command" },
	{ "headers add \"X: y\"", "syntax 2: header addition and removal" },
	{ "headers charset x", "keep" },
	{ "mail expand x", "syntax 2: \"expand\" not followed by \"file\"" },
	{ "mail return x", "syntax 2: \"return\" not followed by \"message\"" },
	{ "logfile x 0600", "keep" },
	/* what is refused even where it is not reached */
	{ "if a is b then fail endif", "forbidden 2: filtering command \"fail\" is disabled" },
	{ "finish freeze", "forbidden 2: filtering command \"freeze\"" },
	{ "finish defer", "forbidden 2: filtering command \"defer\"" },
	/* what is refused when it is reached */
	{ "finish pipe x", "keep" },
	{ "pipe x", "forbidden 2: delivery to pipe forbidden" },
	{ "logwrite x", "forbidden 2: logwrite command forbidden" },
	/* prefixes */
	{ "seen", "syntax 3: \"seen\" or \"unseen\" near line" },
	{ "seen unseen save x", "syntax 2: \"seen\" or \"unseen\" repeated" },
	{ "seen if a is a then endif", "syntax 2: \"seen\", \"unseen\", or \"noerror\" found" },
	{ "noerror unseen deliver a@b", "unseen deliver a@b, keep" },
	{ "unseen # why\n save x", "unseen save x (x), keep" },
	/* if */
	{ "if", "syntax 3: \"then\" missing at end of filter file" },
	{ "if a is a then save x", "syntax 3: \"endif\" missing at end" },
	{ "else", "syntax 3: unexpected \"else\" command" },
	{ "if a is a then else else endif", "syntax 2: \"endif\" missing near" },
	{ "if(a is a)then save x endif", "save x (x)" },
	{ "if a is b then elif(a is a)then save x endif", "save x (x)" },
	{ "if a is a save x endif", "syntax 2: \"and\" or \"or\" or \"then\" expected" },
	{ "if (a is a then endif", "syntax 2: missing \")\" at end of condition" },
	{ "if a is a) then endif", "syntax 2: unexpected \")\"" },
	{ "if () then endif", "syntax 2: unexpected \")\"" },
	{ "if a foo b then endif", "syntax 2: unrecognized condition word \"foo\"" },
	{ "if foranyaddress x then endif", "syntax 2: \"(\" expected after \"foranyaddress\"" },
};

static void
test_outcomes(void **state)
{
	struct exim_trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		exim_trial(&t, CASES[i].filter, NULL, NULL);
		if (strncmp(t.text, CASES[i].outcome, strlen(CASES[i].outcome)) != 0)
			fail_msg("%s\n  wanted: %s\n  got:    %s", CASES[i].filter,
			    CASES[i].outcome, t.text);
		exim_trial_end(&t);
	}
}

static void
repeated(struct buf *out, const char *text, unsigned times)
{
	while (times-- > 0)
		buf_adds(out, text);
}

/* Nesting and long words end in an error, not in the stack or the heap. */
static void
test_bounds(void **state)
{
	static const struct {
		const char *start, *repeat, *outcome;
		unsigned times;
	} BOUNDS[] = {
		{ "", "if a is a then ", "syntax 2: conditions are nested too deeply", 60000 },
		{ "if ", "(", "syntax 2: conditions are nested too deeply", 100000 },
		{ "if ", "not ", "syntax 3: \"then\" missing", 100000 },
		{ "if a is a", " and a is a", "syntax 3: \"then\" missing", 90000 },
		{ "save ", "x", "syntax 2: word is too long in line 2", 1024 },
		{ "save \"", "x", "syntax 2: string is too long in line 2", 1024 },
	};
	struct exim_trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(BOUNDS); i++) {
		struct buf text = { 0 };

		buf_adds(&text, BOUNDS[i].start);
		repeated(&text, BOUNDS[i].repeat, BOUNDS[i].times);
		exim_trial(&t, buf_cstr(&text), NULL, NULL);
		if (strncmp(t.text, BOUNDS[i].outcome, strlen(BOUNDS[i].outcome)) != 0)
			fail_msg("%s…: %s", BOUNDS[i].repeat, t.text);
		exim_trial_end(&t);
		buf_free(&text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
