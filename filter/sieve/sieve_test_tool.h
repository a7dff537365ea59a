/* For unit tests of Sieve: a script, a message, and what comes out as text.
 *
 *	sieve_test_expect(&(struct sieve_test){ .script = "keep;", .expect = "keep" });
 *
 * The text has a line for each action, in order, each a kind and what is set of
 *	keep|fileinto "Lists" [create] [special-use=\Junk] [flags=\Seen \Flagged a b] [implicit] [edited]
 *	redirect "a@b" [notify=…] [ret=…] [by=…] [listed]
 *	discard | reject "why" | ereject "why"
 *	vacation key="…" seconds=n subject="…" from="…" [mime] [addresses=a,b] [fcc=Box] "body"
 *	notify "mailto:…" from="…" importance=n message="…" [options=…] [to=a,b]
 *	report "abuse" "a@b" [headers] "message"
 *	remember "key" seconds=n
 * or one line: "compile error line N: …", "run error line N: …", "tempfail line N: …".
 * With `edited`, the header as edited follows the actions as "> Name: value" lines, a new body as "| …" lines. */
#ifndef FILTER_SIEVE_SIEVE_TEST_TOOL_H
#define FILTER_SIEVE_SIEVE_TEST_TOOL_H

#include <stdbool.h>

#include "filter/filter.h"
#include "filter/surroundings.h"

struct sieve_test {
	const char *script;
	const char *message;       /* LF line ends; NULL: SIEVE_TEST_MESSAGE */
	const char *expect;        /* the text; lines divided by '\n', without the last line end */
	const char *sender, *rcpt; /* NULL: "sender@example.org", "rcpt@example.org" */
	bool edited;               /* show the edited message too */
	bool error_begins;         /* `expect` is only the start of the error */
	const struct filter_surroundings *around;
	const struct filter_message
	    *envelope; /* instead of sender and rcpt; its bytes are not used */
};

extern const char SIEVE_TEST_MESSAGE[];

/* The text of what comes out; the caller frees it. */
char *sieve_test_run(const struct sieve_test *test);
/* Fails the cmocka test that is running if the text is another, and shows both. */
void sieve_test_expect(const struct sieve_test *test);
void sieve_test_expect_all(const struct sieve_test *tests, size_t count);

#endif
