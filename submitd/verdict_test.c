#include "submitd/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define MOST_RCPTS 3

enum { LOST = 1, IN_DOUBT = 2, GOES_ON = 4 };

/* One word for each recipient, as the peer said it: "250", "452/4.5.3"; with "=" in front a finding of ours, its class
 * by the status.  `decided`: y or n for each. */
static const struct case_ {
	const char *what, *rcpts;
	unsigned how;
	bool elsewhere;
	const char *decided;
} CASES[] = {
	{ "all taken", "250 250", 0, false, "yy" },
	{ "each has its own", "250 550/5.1.1 451/4.3.0", 0, false, "yyy" },
	{ "one too many", "250 452/4.5.3 452/4.5.3", 0, false, "ynn" },
	{ "without a status", "250 452", 0, false, "yn" },
	{ "552 as RFC 821 had it", "250 552/5.5.3", 0, false, "yn" },
	{ "a full mailbox is another thing", "250 452/4.2.2", 0, false, "yy" },
	{ "too many, and none was taken: later", "452/4.5.3 452/4.5.3", 0, false, "yy" },
	{ "not offered here, perhaps elsewhere", "=/5.6.7 =/5.6.7", GOES_ON, true, "nn" },
	{ "not offered, and no other relay", "=/5.6.7 =/5.6.7", 0, true, "yy" },
	{ "what one recipient needs", "550/5.1.1 =/5.6.7", GOES_ON, true, "yn" },
	{ "broken before a word", "=/4.4.2 =/4.4.2", LOST | GOES_ON, true, "nn" },
	{ "broken, and no other relay", "=/4.4.2 =/4.4.2", LOST, true, "yy" },
	{ "what was said before it broke holds", "550/5.1.1 =/4.4.2", LOST | GOES_ON, true, "yn" },
	{ "421 is none of theirs", "421/4.3.2 421/4.3.2", LOST | GOES_ON, true, "nn" },
	{ "421, and no other relay", "421/4.3.2", LOST, true, "y" },
	{ "in doubt: not at once elsewhere", "=/4.4.2", LOST | IN_DOUBT | GOES_ON, true, "y" },
};

static struct smtp_result
result_of(const char *word)
{
	struct smtp_result r = { .from_peer = *word != '=' };
	char class_ = *word;

	for (word += !r.from_peer; *word >= '0' && *word <= '9'; word++)
		r.code = r.code * 10 + *word - '0';
	if (*word == '/') {
		size_t len = strcspn(word + 1, " ");

		memcpy(r.enhanced, word + 1, len);
		class_ = r.from_peer ? class_ : *r.enhanced;
	}
	r.outcome = class_ == '2'                    ? SMTP_OUTCOME_ACCEPTED
		    : class_ == '4' || r.code == 552 ? SMTP_OUTCOME_TEMPORARY
						     : SMTP_OUTCOME_PERMANENT;
	return r;
}

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		const struct case_ *t = &CASES[i];
		struct smtp_result rcpts[MOST_RCPTS];
		struct smtp_client_report rep = { .rcpts = rcpts,
			.lost = (t->how & LOST) != 0,
			.in_doubt = (t->how & IN_DOUBT) != 0 };
		char decided[MOST_RCPTS + 1] = "";
		bool some_taken;

		for (const char *w = t->rcpts; w != NULL; w = strchr(w, ' ')) {
			w += *w == ' ';
			rcpts[rep.rcpt_count++] = result_of(w);
		}
		some_taken = verdict_some_taken(&rep);
		assert_int_equal(some_taken, strstr(t->rcpts, "250") != NULL);
		for (size_t k = 0; k < rep.rcpt_count; k++)
			decided[k] = verdict_decides(&rep, k, some_taken, (t->how & GOES_ON) != 0)
					 ? 'y'
					 : 'n';
		if (strcmp(decided, t->decided) != 0 || verdict_is_elsewhere(&rep) != t->elsewhere)
			fail_msg("%s: %s", t->what, decided);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
