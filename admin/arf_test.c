#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/arf.h"

#define HEAD "From: <feedback@isp.example>\nMIME-Version: 1.0\n"
#define REPORT                                                                                     \
	"Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"              \
	"--b\nContent-Type: text/plain\n\nHello\n\n--b\n"
#define MESSAGE                                                                                    \
	"--b\nContent-Type: message/rfc822\n\nMessage-ID: <1@example.org>\nFrom: Ann "             \
	"<ann@example.org>\nTo: <user@isp.example>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"        \
	"Date: Sat, 21 Nov 2026 10:00:00 +0000\n\nbody\n--b--\n"

static const struct {
	const char *message;
	enum arf_result result;
	const char *type, *recipient, *message_id, *subject, *source_ip, *reporter;
} CASES[] = {
	{ HEAD REPORT
	    "Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n"
	    "User-Agent: X/1\nOriginal-Rcpt-To: <bob@isp.example>\nOriginal-Rcpt-To: "
	    "eve@isp.example\nSource-IP: 192.0.2.1\nReporting-MTA: dns; mx.isp.example\n\n" MESSAGE,
	    ARF_OK, "abuse", "bob@isp.example, eve@isp.example", "1@example.org",
	    "Gr\xc3\xbc\xc3\x9f"
	    "e",
	    "192.0.2.1", "mx.isp.example" },
	/* what is not said comes from the reported header and the report's own */
	{ HEAD REPORT "Content-Type: message/feedback-report\n\nFeedback-Type: fraud\n\n" MESSAGE,
	    ARF_OK, "fraud", "user@isp.example", "1@example.org",
	    "Gr\xc3\xbc\xc3\x9f"
	    "e",
	    NULL, "<feedback@isp.example>" },
	/* base64, and the header alone */
	{ HEAD REPORT "Content-Type: message/feedback-report\nContent-Transfer-Encoding: base64\n\n"
		      "RmVlZGJhY2stVHlwZTogb3B0LW91dAo=\n--b\nContent-Type: text/rfc822-headers\n\n"
		      "Message-ID: <2@example.org>\nDelivered-To: bob@isp.example\n--b--\n",
	    ARF_OK, "opt-out", "bob@isp.example", "2@example.org", NULL, NULL,
	    "<feedback@isp.example>" },
	{ HEAD REPORT "Content-Type: message/feedback-report\n\nVersion: 1\n\n" MESSAGE, ARF_BROKEN,
	    NULL, "user@isp.example", "1@example.org",
	    "Gr\xc3\xbc\xc3\x9f"
	    "e",
	    NULL, "<feedback@isp.example>" },
	/* a report about a report: the inner one is not ours */
	{ "Subject: x\n\nFeedback-Type: abuse\n", ARF_NONE, NULL, NULL, NULL, NULL, NULL, NULL },
	{ "", ARF_NONE, NULL, NULL, NULL, NULL, NULL, NULL },
};

static void
expect(size_t i, const char *what, const char *is, const char *should)
{
	if ((is == NULL) != (should == NULL) || (is != NULL && strcmp(is, should) != 0))
		fail_msg("case %zu: %s is \"%s\", not \"%s\"", i, what, is != NULL ? is : "NULL",
		    should != NULL ? should : "NULL");
}

static void
test_reports(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct arf_report r;

		assert_int_equal(arf_read(str_from(CASES[i].message), &r), CASES[i].result);
		expect(i, "type", r.type, CASES[i].type);
		expect(i, "recipient", r.recipient, CASES[i].recipient);
		expect(i, "Message-ID", r.message_id, CASES[i].message_id);
		expect(i, "subject", r.subject, CASES[i].subject);
		expect(i, "source", r.source_ip, CASES[i].source_ip);
		expect(i, "reporter", r.reporter, CASES[i].reporter);
		arf_report_free(&r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_reports) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
