#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "filter/sieve/sieve_test_tool.h"

/* RFC 5435 §3, with mail as the method: RFC 5436. */
static void
test_notify(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"enotify\";\n"
			    "notify :importance \"1\" :message \"This is probably very important\" "
			    "\"mailto:alm@example.com\";",
		    .expect = "notify \"mailto:alm@example.com\" importance=1 message=\"This is "
			      "probably very important\" to=alm@example.com\n"
			      "keep implicit" },
		/* RFC 5436 §3 */
		{ .script = "require \"enotify\";\n"
			    "notify :from \"a@b.example\" "
			    "\"mailto:0123456789@sms.example.net?to=backup@example.com\";",
		    .expect = "notify \"mailto:0123456789@sms.example.net?to=backup@example.com\" "
			      "from=\"a@b.example\" importance=2 "
			      "to=0123456789@sms.example.net,backup@example.com\n"
			      "keep implicit" },
		{ .script =
			"require \"enotify\";\n"
			"notify :options [\"x=y\"] "
			"\"MAILTO:a%40b.example?subject=a%20b&BODY=x%0D%0Ay&from=c@d.example\";",
		    .expect = "notify "
			      "\"MAILTO:a%40b.example?subject=a%20b&BODY=x%0D%0Ay&from=c@d."
			      "example\" importance=2 options=x=y to=a@b.example\n"
			      "keep implicit" },
		{ .script = "require \"enotify\";\n"
			    "notify \"mailto:a@b.example\";\n"
			    "notify \"mailto:c@d.example\";\n"
			    "discard;",
		    .expect = "notify \"mailto:a@b.example\" importance=2 to=a@b.example\n"
			      "notify \"mailto:c@d.example\" importance=2 to=c@d.example\n"
			      "discard" },
		/* RFC 5435 §6 */
		{ .script = "require [\"enotify\", \"variables\"];\n"
			    "set :encodeurl \"b\" \"a b&c\";\n"
			    "notify \"mailto:a@b.example?body=${b}\";",
		    .expect =
			"notify \"mailto:a@b.example?body=a%20b%26c\" importance=2 to=a@b.example\n"
			"keep implicit" },
		/* valid, and tells nobody */
		{ .script = "require \"enotify\";\n"
			    "notify \"mailto:\";",
		    .expect = "notify \"mailto:\" importance=2\n"
			      "keep implicit" },
		/* RFC 8580 */
		{ .script = "require [\"enotify\", \"fcc\"];\n"
			    "notify :fcc \"Sent\" \"mailto:a@b.example\";",
		    .expect = "notify \"mailto:a@b.example\" importance=2 to=a@b.example fcc=Sent\n"
			      "keep implicit" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* Wrong where it is written: compile errors; behind a variable: run errors. */
static void
test_errors(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"enotify\";\n"
			    "notify \"xmpp:a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"enotify\";\n"
			    "notify \"mailto:a b\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"enotify\";\n"
			    "notify \"mailto:nobody\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"enotify\";\n"
			    "notify \"mailto:a@b.example?cc=nobody\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"enotify\";\n"
			    "notify "
			    "\"mailto:a@a.a,b@a.a,c@a.a,d@a.a,e@a.a,f@a.a,g@a.a,h@a.a?bcc=i@a.a\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"enotify\";\n"
			    "notify \"mailto:a@b.example?subject\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"enotify\";\n"
			    "notify \"mailto:a@b.example?a%20b=c\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"enotify\";\n"
			    "notify \"mailto:a@b.example?subject=50%\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"enotify\";\n"
			    "notify :importance \"4\" \"mailto:a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"enotify\";\n"
			    "notify :options \"x\" \"mailto:a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require \"enotify\";\n"
			    "notify :from \"nobody\" \"mailto:a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"enotify\", \"mailbox\"];\n"
			    "notify :create \"mailto:a@b.example\";",
		    .expect = "compile error line 2",
		    .error_begins = true },
		{ .script = "require [\"enotify\", \"variables\"];\n"
			    "notify \"${u}\";",
		    .expect = "run error line 2",
		    .error_begins = true },
		{ .script = "require [\"enotify\", \"variables\"];\n"
			    "notify :importance \"${u}\" \"mailto:a@b.example\";",
		    .expect = "run error line 2",
		    .error_begins = true },
		{ .script = "require [\"enotify\", \"variables\"];\n"
			    "notify :from \"${u}\" \"mailto:a@b.example\";",
		    .expect = "run error line 2",
		    .error_begins = true },
		{ .script = "require [\"enotify\", \"variables\"];\n"
			    "notify :options \"${u}\" \"mailto:a@b.example\";",
		    .expect = "run error line 2",
		    .error_begins = true },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

/* RFC 5435 §4 and §5, RFC 5436 §2.2. */
static void
test_tests(void **state)
{
	static const struct sieve_test TESTS[] = {
		{ .script = "require \"enotify\";\n"
			    "if valid_notify_method [\"mailto:a@b.example\", "
			    "\"mailto:c@d.example\"] { discard; }",
		    .expect = "discard" },
		{ .script = "require \"enotify\";\n"
			    "if valid_notify_method [\"mailto:a@b.example\", \"xmpp:c@d.example\"] "
			    "{ discard; }",
		    .expect = "keep implicit" },
		{ .script = "require \"enotify\";\n"
			    "if valid_notify_method \"mailto:a b\" { discard; }",
		    .expect = "keep implicit" },
		{ .script = "require \"enotify\";\n"
			    "if notify_method_capability \"mailto:a@b.example\" \"Online\" "
			    "\"maybe\" { discard; }",
		    .expect = "discard" },
		{ .script = "require \"enotify\";\n"
			    "if notify_method_capability \"mailto:a@b.example\" \"Online\" \"yes\" "
			    "{ discard; }",
		    .expect = "keep implicit" },
		{ .script = "require \"enotify\";\n"
			    "if notify_method_capability \"mailto:a@b.example\" \"other\" "
			    "\"maybe\" { discard; }",
		    .expect = "keep implicit" },
		{ .script = "require \"enotify\";\n"
			    "if notify_method_capability \"xmpp:a@b.example\" \"online\" \"maybe\" "
			    "{ discard; }",
		    .expect = "keep implicit" },
	};

	(void)state;
	sieve_test_expect_all(TESTS, ARRAY_LEN(TESTS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_tests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
