#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

static const struct filter_message DELIVERY = {
	.sender = "a@b.example",
	.rcpt = "ann@example.org",
	.account = "ann@example.org",
	.remote_host = "peer.example",
	.remote_ip = "192.0.2.1",
	.hostname = "mx.example.org",
};

/* RFC 5183 §4.1. */
static void
test_environment(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"environment\";\n"
			    "if environment :is \"domain\" \"example.org\" { discard; }",
		    .envelope = &DELIVERY,
		    .expect = "discard" },
		{ .script = "require \"environment\";\n"
			    "if environment :is \"host\" \"mx.example.org\" { discard; }",
		    .envelope = &DELIVERY,
		    .expect = "discard" },
		{ .script = "require \"environment\";\n"
			    "if environment :is \"location\" \"MDA\" { discard; }",
		    .envelope = &DELIVERY,
		    .expect = "discard" },
		{ .script = "require \"environment\";\n"
			    "if environment :is \"phase\" \"during\" { discard; }",
		    .envelope = &DELIVERY,
		    .expect = "discard" },
		{ .script = "require \"environment\";\n"
			    "if environment :is \"remote-host\" \"peer.example\" { discard; }",
		    .envelope = &DELIVERY,
		    .expect = "discard" },
		{ .script = "require \"environment\";\n"
			    "if environment :is \"remote-ip\" \"192.0.2.1\" { discard; }",
		    .envelope = &DELIVERY,
		    .expect = "discard" },
		{ .script = "require \"environment\";\n"
			    "if environment :is \"NAME\" \"Sanger Sieve\" { discard; }",
		    .envelope = &DELIVERY,
		    .expect = "discard" },
		{ .script = "require \"environment\";\n"
			    "if environment :matches \"version\" \"*\" { discard; }",
		    .expect = "discard" },
		{ .script = "require \"environment\";\n"
			    "if environment :matches \"no-such\" \"*\" { discard; }",
		    .envelope = &DELIVERY,
		    .expect = "keep implicit" },
		/* not known here */
		{ .script = "require \"environment\";\n"
			    "if environment :matches \"remote-ip\" \"*\" { discard; }",
		    .expect = "keep implicit" },
		{ .script = "if environment \"name\" \"x\" { discard; }",
		    .expect = "compile error line 1",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* IMAP events, RFC 6785, and messages that merely lie in a mailbox (draft-bosch-imap-filter-sieve). */
static const struct filter_message EVENT = {
	.sender = "",
	.rcpt = "ann@example.org",
	.account = "ann@example.org",
	.mailbox = "Box",
	.flags = "\\Seen $old",
	.imap_cause = "FLAG",
	.imap_mailbox = "Box",
	.imap_user = "bob@example.org",
	.imap_email = "bob@example.org",
	.imap_changed_flags = "\\Seen",
};
static const struct filter_message LYING = {
	.sender = "a@b.example",
	.rcpt = "ann@example.org",
	.account = "ann@example.org",
	.mailbox = "Box",
	.flags = "\\Seen $old",
};

static void
test_imap(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"environment\", \"imapsieve\", \"fileinto\", \"variables\", "
			    "\"vnd.dovecot.environment\"];\n"
			    "fileinto \"${env.location} ${env.phase} ${env.imap.cause} "
			    "${env.imap.mailbox} ${env.imap.user} ${env.imap.email} "
			    "${env.imap.changedflags}\";",
		    .envelope = &EVENT,
		    .expect = "fileinto \"MS post FLAG Box bob@example.org bob@example.org "
			      "\\Seen\" flags=\\Seen $old" },
		/* the flags that it has are what a script begins with, and hasflag sees */
		{ .script = "require \"imap4flags\";\n"
			    "if hasflag \"$old\" { removeflag \"\\\\Seen\"; }",
		    .envelope = &EVENT,
		    .expect = "keep flags=$old implicit" },
		{ .script = "require \"imap4flags\";\nsetflag \"\";",
		    .envelope = &LYING,
		    .expect = "keep implicit" },
		/* §4.6, §3.11 */
		{ .script = "require \"envelope\";\n"
			    "if envelope \"to\" \"ann@example.org\" { discard; }",
		    .envelope = &EVENT,
		    .expect = "run error line 2: there is no envelope in an IMAP event" },
		{ .script = "require \"envelope\";\n"
			    "if envelope \"to\" \"ann@example.org\" { discard; }",
		    .envelope = &LYING,
		    .expect = "discard" },
		{ .script = "require \"reject\";\nkeep;",
		    .envelope = &EVENT,
		    .expect = "run error line 0",
		    .error_begins = true },
		{ .script = "require \"vacation-seconds\";\nkeep;",
		    .envelope = &EVENT,
		    .expect = "run error line 0",
		    .error_begins = true },
		{ .script = "require \"reject\";\nreject \"no\";",
		    .envelope = &LYING,
		    .expect = "reject \"no\"" },
		{ .script = "require \"imapsieve\";\ndiscard;",
		    .envelope = &LYING,
		    .expect = "run error line 0",
		    .error_begins = true },
		/* what a copy in the mailbox itself makes of the implicit keep */
		{ .script = "require [\"fileinto\", \"copy\"];\nfileinto :copy \"Box\";",
		    .envelope = &LYING,
		    .expect = "fileinto \"Box\" flags=\\Seen $old" },
		{ .script = "require [\"fileinto\", \"copy\"];\nfileinto :copy \"INBOX\";",
		    .envelope = &LYING,
		    .expect = "fileinto \"INBOX\" flags=\\Seen $old\n"
			      "keep flags=\\Seen $old implicit" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* vnd.dovecot.environment. */
static void
test_variables(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script =
			"require [\"vnd.dovecot.environment\", \"variables\", \"fileinto\"];\n"
			"fileinto \"${env.location}/${env.vnd.dovecot.username}/${env.no.such}.\";",
		    .envelope = &DELIVERY,
		    .expect = "fileinto \"MDA/ann@example.org/.\"" },
		{ .script = "require \"vnd.dovecot.environment\";\n"
			    "if environment \"vnd.dovecot.default-mailbox\" \"inbox\" { discard; }",
		    .envelope = &DELIVERY,
		    .expect = "discard" },
		{ .script = "require [\"variables\", \"fileinto\"];\n"
			    "fileinto \"${env.location}\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* vnd.dovecot.debug. */
static void
test_debug(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require [\"vnd.dovecot.debug\", \"variables\"];\n"
			    "set \"x\" \"1\";\n"
			    "debug_log \"x is ${x}\";",
		    .expect = "keep implicit\n"
			      "log: line 3: x is 1" },
		{ .script = "debug_log \"x\";",
		    .expect = "compile error line 1",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* vnd.dovecot.report. */
static void
test_report(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"vnd.dovecot.report\";\n"
			    "report \"abuse\" \"This is spam.\" \"abuse@example.net\";",
		    .expect = "report \"abuse\" \"abuse@example.net\" \"This is spam.\"\n"
			      "keep implicit" },
		{ .script = "require [\"vnd.dovecot.report\", \"variables\"];\n"
			    "set \"t\" \"not-spam\";\n"
			    "report :headers_only \"${t}\" \"Fine.\" \"Desk <abuse@example.net>\"; "
			    "discard;",
		    .expect = "report \"not-spam\" \"Desk <abuse@example.net>\" headers \"Fine.\"\n"
			      "discard" },
		{ .script = "require \"vnd.dovecot.report\";\n"
			    "report \"no type\" \"x\" \"a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"vnd.dovecot.report\";\n"
			    "report \"abuse\" \"x\" \"nobody\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"vnd.dovecot.report\", \"variables\"];\n"
			    "report \"${n}\" \"x\" \"a@b.example\";",
		    .expect = "run error line 2",
		    .error_begins = true },
		{ .script = "require [\"vnd.dovecot.report\", \"variables\"];\n"
			    "report \"abuse\" \"x\" \"${n}\";",
		    .expect = "run error line 2",
		    .error_begins = true },
		{ .script = "report \"abuse\" \"x\" \"a@b.example\";",
		    .expect = "compile error line 1",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_imap),
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_debug),
		cmocka_unit_test(test_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
