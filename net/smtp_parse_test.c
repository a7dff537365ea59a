#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "net/smtp_dots.h"
#include "net/smtp_parse.h"

#define ALL_PARAMS SMTP_PARAMS_ALL

static void
test_mail_paths(void **state)
{
	static const struct {
		const char *args;
		enum smtp_parse result;
		const char *address, *local, *domain;
	} CASES[] = {
		{ "<>", SMTP_PARSE_OK, "", "", "" },
		{ "<a@b>", SMTP_PARSE_OK, "a@b", "a", "b" },
		{ " <Ann@Example.ORG>", SMTP_PARSE_OK, "Ann@example.org", "Ann", "example.org" },
		{ "ann@example.org", SMTP_PARSE_OK, "ann@example.org", "ann", "example.org" },
		{ "<@x.org,@y.org:a@b.org>", SMTP_PARSE_OK, "a@b.org", "a", "b.org" },
		{ "<\"a b\"@c.org>", SMTP_PARSE_OK, "\"a b\"@c.org", "a b", "c.org" },
		{ "<\"ab\"@c.org>", SMTP_PARSE_OK, "ab@c.org", "ab", "c.org" },
		{ "<\"a\\\"b\"@c.org>", SMTP_PARSE_OK, "\"a\\\"b\"@c.org", "a\"b", "c.org" },
		{ "<\"a@b\"@c.org>", SMTP_PARSE_OK, "\"a@b\"@c.org", "a@b", "c.org" },
		{ "<a..b@c.org>", SMTP_PARSE_OK, "\"a..b\"@c.org", "a..b", "c.org" },
		{ "<a+x@c.org>", SMTP_PARSE_OK, "a+x@c.org", "a+x", "c.org" },
		{ "<a@[192.0.2.1]>", SMTP_PARSE_OK, "a@[192.0.2.1]", "a", "[192.0.2.1]" },
		{ "<a@[IPv6:2001:DB8::1]>", SMTP_PARSE_OK, "a@[ipv6:2001:db8::1]", "a",
		    "[ipv6:2001:db8::1]" },
		{ "<a@[x:y]>", SMTP_PARSE_OK, "a@[x:y]", "a", "[x:y]" },
		{ "<postmaster>", SMTP_PARSE_OK, "postmaster", "postmaster", "" },
		{ "<a@[300.1.1.1]>", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<a@[IPv6:zz]>", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<a>", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<a@b", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<@b>", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<a@>", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<a@b..c>", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<a@.b>", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<a b@c>", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<\"\"@c>", SMTP_PARSE_OK, "", "", "c" }, /* odd, but RFC 5321 has it */
		{ "<\"a@c>", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<\xc3\xa9@c.org>", SMTP_PARSE_ADDRESS, 0, 0, 0 }, /* no SMTPUTF8 */
		{ "<\xc3\xa9@c.org> SMTPUTF8", SMTP_PARSE_OK, "\xc3\xa9@c.org", "\xc3\xa9",
		    "c.org" },
		{ "<\xc3@c.org> SMTPUTF8", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "", SMTP_PARSE_ADDRESS, 0, 0, 0 },
		{ "<a@b>x", SMTP_PARSE_SYNTAX, 0, 0, 0 },
		{ "<a@b> FOO", SMTP_PARSE_UNKNOWN_PARAM, 0, 0, 0 },
		{ "<a@b> =", SMTP_PARSE_SYNTAX, 0, 0, 0 },
		{ "<a@b> SIZE=1 SIZE=2", SMTP_PARSE_BAD_PARAM, 0, 0, 0 },
		{ "<a@b> SIZE=", SMTP_PARSE_BAD_PARAM, 0, 0, 0 },
		{ "<a@b> SIZE", SMTP_PARSE_BAD_PARAM, 0, 0, 0 },
		{ "<a@b> SIZE=99999999999999999999", SMTP_PARSE_BAD_PARAM, 0, 0, 0 },
		{ "<a@b> BODY=9BIT", SMTP_PARSE_BAD_PARAM, 0, 0, 0 },
		{ "<a@b> SMTPUTF8=1", SMTP_PARSE_BAD_PARAM, 0, 0, 0 },
		{ "<a@b> RET=BOTH", SMTP_PARSE_BAD_PARAM, 0, 0, 0 },
		{ "<a@b> ENVID=a+0Ab", SMTP_PARSE_BAD_PARAM, 0, 0, 0 },
		{ "<a@b> ENVID=a+4b", SMTP_PARSE_BAD_PARAM, 0, 0, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct arena a = { 0 };
		struct smtp_mail mail;
		enum smtp_parse got =
		    smtp_parse_mail(str_from(CASES[i].args), ALL_PARAMS, &a, &mail);

		if (got != CASES[i].result)
			fail_msg("%s: %d", CASES[i].args, (int)got);
		if (got == SMTP_PARSE_OK && CASES[i].local[0] != '\0') {
			assert_string_equal(mail.from.address, CASES[i].address);
			assert_string_equal(mail.from.local, CASES[i].local);
			assert_string_equal(mail.from.domain, CASES[i].domain);
		}
		arena_free(&a);
	}
}

static void
test_params(void **state)
{
	struct arena a = { 0 };
	struct smtp_mail mail;
	struct smtp_rcpt rcpt;
	(void)state;

	assert_int_equal(smtp_parse_mail(STR("<a@b> size=1234  BODY=8bitmime SMTPUTF8 "
					     "AUTH=e+3Dmc2@example.com RET=HDRS ENVID=QQ+2B1 "),
			     ALL_PARAMS, &a, &mail),
	    SMTP_PARSE_OK);
	assert_int_equal(mail.size_bytes, 1234);
	assert_int_equal(mail.body, SMTP_BODY_8BITMIME);
	assert_true(mail.smtputf8);
	assert_string_equal(mail.auth, "e=mc2@example.com");
	assert_int_equal(mail.ret, SMTP_RET_HDRS);
	assert_string_equal(mail.envid, "QQ+1");
	assert_int_equal(
	    smtp_parse_mail(STR("<a@b> AUTH=<>"), ALL_PARAMS, &a, &mail), SMTP_PARSE_OK);
	assert_string_equal(mail.auth, "<>");
	assert_int_equal(smtp_parse_mail(STR("<a@b> BODY=BINARYMIME"),
			     ALL_PARAMS & ~(unsigned)SMTP_PARAM_BINARYMIME, &a, &mail),
	    SMTP_PARSE_BAD_PARAM);
	assert_int_equal(smtp_parse_mail(STR("<a@b> RET=FULL"), SMTP_PARAM_SIZE, &a, &mail),
	    SMTP_PARSE_UNKNOWN_PARAM);

	assert_int_equal(smtp_parse_rcpt(STR("<a@b> NOTIFY=SUCCESS,delay ORCPT=rfc822;Ann+2Bx@b"),
			     ALL_PARAMS, false, &a, &rcpt),
	    SMTP_PARSE_OK);
	assert_int_equal(rcpt.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
	assert_string_equal(rcpt.orcpt, "rfc822;Ann+x@b");
	assert_int_equal(
	    smtp_parse_rcpt(STR("<a@b> NOTIFY=NEVER,DELAY"), ALL_PARAMS, false, &a, &rcpt),
	    SMTP_PARSE_BAD_PARAM);
	assert_int_equal(
	    smtp_parse_rcpt(STR("<a@b> NOTIFY=NEVER,NEVER"), ALL_PARAMS, false, &a, &rcpt),
	    SMTP_PARSE_BAD_PARAM);
	assert_int_equal(smtp_parse_rcpt(STR("<a@b> ORCPT=a@b"), ALL_PARAMS, false, &a, &rcpt),
	    SMTP_PARSE_BAD_PARAM);
	assert_int_equal(
	    smtp_parse_rcpt(STR("<>"), ALL_PARAMS, false, &a, &rcpt), SMTP_PARSE_ADDRESS);
	assert_int_equal(
	    smtp_parse_rcpt(STR("<Postmaster>"), ALL_PARAMS, false, &a, &rcpt), SMTP_PARSE_OK);
	assert_int_equal(
	    smtp_parse_rcpt(STR("<\xc3\xa9@b>"), ALL_PARAMS, true, &a, &rcpt), SMTP_PARSE_OK);
	assert_true(rcpt.to.utf8);
	arena_free(&a);
}

static void
test_newer_params(void **state)
{
	static const struct {
		const char *args;
		bool ok;
		int priority;
		char by, hold;
		int64_t seconds, until;
	} CASES[] = {
		{ "REQUIRETLS", true, 0, 0, 0, 0, 0 },
		{ "REQUIRETLS=1", false, 0, 0, 0, 0, 0 },
		{ "MT-PRIORITY=3", true, 3, 0, 0, 0, 0 },
		{ "mt-priority=-9", true, -9, 0, 0, 0, 0 },
		{ "MT-PRIORITY=0", true, 0, 0, 0, 0, 0 },
		{ "MT-PRIORITY=-0", false, 0, 0, 0, 0, 0 },
		{ "MT-PRIORITY=10", false, 0, 0, 0, 0, 0 },
		{ "MT-PRIORITY=+3", false, 0, 0, 0, 0, 0 },
		{ "MT-PRIORITY=", false, 0, 0, 0, 0, 0 },
		{ "BY=120;R", true, 0, 'R', 0, 120, 0 },
		{ "BY=+120;rt", true, 0, 'R', 0, 120, 0 },
		{ "BY=-5;N", true, 0, 'N', 0, -5, 0 },
		{ "BY=0;N", true, 0, 'N', 0, 0, 0 },
		{ "BY=0;R", false, 0, 0, 0, 0, 0 }, /* RFC 2852 §4: with R only what is to come */
		{ "BY=-1;R", false, 0, 0, 0, 0, 0 },
		{ "BY=1234567890;N", false, 0, 0, 0, 0, 0 },
		{ "BY=120", false, 0, 0, 0, 0, 0 },
		{ "BY=120;X", false, 0, 0, 0, 0, 0 },
		{ "BY=120;RTT", false, 0, 0, 0, 0, 0 },
		{ "BY=;R", false, 0, 0, 0, 0, 0 },
		{ "HOLDFOR=86400", true, 0, 0, 'F', 0, 86400 },
		{ "HOLDFOR=0", false, 0, 0, 0, 0, 0 },
		{ "HOLDFOR=1234567890", false, 0, 0, 0, 0, 0 },
		{ "HOLDFOR=1x", false, 0, 0, 0, 0, 0 },
		{ "HOLDUNTIL=2001-09-09T01:46:40Z", true, 0, 0, 'U', 0, 1000000000 },
		{ "HOLDUNTIL=2001-09-09T03:46:40.25+02:00", true, 0, 0, 'U', 0, 1000000000 },
		{ "HOLDUNTIL=2001-02-30T00:00:00Z", false, 0, 0, 0, 0, 0 },
		{ "HOLDUNTIL=2001-13-01T00:00:00Z", false, 0, 0, 0, 0, 0 },
		{ "HOLDUNTIL=2001-09-09T01:46:40", false, 0, 0, 0, 0, 0 },
		{ "HOLDUNTIL=2001-09-09T24:46:40Z", false, 0, 0, 0, 0, 0 },
		{ "HOLDFOR=1 HOLDUNTIL=2001-09-09T01:46:40Z", false, 0, 0, 0, 0, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct arena a = { 0 };
		struct smtp_mail mail;
		char args[100];
		enum smtp_parse got;

		snprintf(args, sizeof(args), "<a@b> %s", CASES[i].args);
		got = smtp_parse_mail(str_from(args), ALL_PARAMS, &a, &mail);
		if ((got == SMTP_PARSE_OK) != CASES[i].ok)
			fail_msg("%s: %d", args, (int)got);
		if (CASES[i].ok &&
		    (mail.priority != CASES[i].priority || mail.by_mode != CASES[i].by ||
			mail.hold_mode != CASES[i].hold || mail.by_seconds != CASES[i].seconds ||
			mail.hold != CASES[i].until))
			fail_msg("%s: other values", args);
		assert_int_not_equal(smtp_parse_mail(str_from(args), 63, &a, &mail), SMTP_PARSE_OK);
		arena_free(&a);
	}
}

static void
test_xclient(void **state)
{
	static const struct {
		const char *args, *name, *value; /* of the first attribute */
		bool bad;
	} CASES[] = {
		{ "ADDR=192.0.2.1 PORT=9", "ADDR", "192.0.2.1", false },
		{ "  name=a+2Bb", "name", "a+b", false },
		{ "NAME=[UNAVAILABLE]", "NAME", NULL, false },
		{ "NAME=[tempunavail] X=1", "NAME", NULL, false },
		{ "", "", NULL, false },
		{ "ADDR", "", NULL, true },
		{ "=x", "", NULL, true },
		{ "ADDR=", "", NULL, true },
		{ "ADDR=+0A", "", NULL, true },
		{ "ADDR=a=b", "", NULL, true },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct str args = str_from(CASES[i].args);
		struct smtp_xclient got;
		struct arena a = { 0 };
		bool bad, ok = smtp_parse_xclient(&args, &a, &got, &bad);

		if (bad != CASES[i].bad || ok != (CASES[i].name[0] != '\0'))
			fail_msg("%s", CASES[i].args);
		if (ok) {
			assert_true(str_eq(got.name, str_from(CASES[i].name)));
			if (CASES[i].value != NULL)
				assert_string_equal(got.value, CASES[i].value);
			else
				assert_null(got.value);
		}
		arena_free(&a);
	}
}

static void
test_small_rules(void **state)
{
	static const struct {
		const char *args;
		bool ok;
	} HELO[] = {
		{ "mail.example.org", true },
		{ "192.0.2.1", true },
		{ "[192.0.2.1]", true },
		{ "[fe80::1%en0]", true },
		{ "my_pc", true },
		{ " blanks ", true },
		{ "", false },
		{ "a b", false },
		{ "a..b", false },
		{ "[]", false },
		{ "a;b", false },
	};
	static const struct {
		const char *args;
		bool ok, last;
		uint64_t size;
	} BDAT[] = {
		{ "0", true, false, 0 },
		{ "86 LAST", true, true, 86 },
		{ "5 last ", true, true, 5 },
		{ "5LAST", false, false, 0 },
		{ "5 LAST x", false, false, 0 },
		{ "-1", false, false, 0 },
		{ "", false, false, 0 },
		{ "99999999999999999999999", false, false, 0 },
	};
	struct arena a = { 0 };
	const char *host;
	uint64_t size;
	bool last;
	struct str mechanism, initial;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(HELO); i++)
		if (smtp_parse_helo(str_from(HELO[i].args), false, &a, &host) != HELO[i].ok)
			fail_msg("%s", HELO[i].args);
	for (size_t i = 0; i < ARRAY_LEN(BDAT); i++) {
		if (smtp_parse_bdat(str_from(BDAT[i].args), &size, &last) != BDAT[i].ok)
			fail_msg("%s", BDAT[i].args);
		if (BDAT[i].ok)
			assert_true(size == BDAT[i].size && last == BDAT[i].last);
	}
	assert_true(smtp_parse_auth(STR("PLAIN AGE="), &mechanism, &initial));
	assert_true(str_eq(initial, STR("AGE=")));
	assert_true(smtp_parse_auth(STR("SCRAM-SHA-256"), &mechanism, &initial));
	assert_null(initial.p);
	assert_false(smtp_parse_auth(STR("PLAIN a b"), &mechanism, &initial));
	assert_false(smtp_parse_auth(STR(""), &mechanism, &initial));
	arena_free(&a);
}

static void
test_replies(void **state)
{
	static const struct {
		const char *line;
		bool ok;
		int code;
		bool more;
		const char *enhanced, *text;
	} CASES[] = {
		{ "250 2.1.0 OK", true, 250, false, "2.1.0", "2.1.0 OK" },
		{ "250-SIZE 10", true, 250, true, "", "SIZE 10" },
		{ "550 5.1.1", true, 550, false, "5.1.1", "5.1.1" },
		{ "550 4.1.1 x", true, 550, false, "", "4.1.1 x" }, /* of another class */
		{ "550 5.1 x", true, 550, false, "", "5.1 x" },
		{ "250", true, 250, false, "", "" },
		{ "250x", false, 0, false, 0, 0 },
		{ "199 x", false, 0, false, 0, 0 },
		{ "600 x", false, 0, false, 0, 0 },
		{ "2x0 x", false, 0, false, 0, 0 },
		{ "", false, 0, false, 0, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct smtp_reply_line r;

		if (smtp_parse_reply_line(str_from(CASES[i].line), &r) != CASES[i].ok)
			fail_msg("%s", CASES[i].line);
		if (!CASES[i].ok)
			continue;
		assert_int_equal(r.code, CASES[i].code);
		assert_int_equal(r.more, CASES[i].more);
		assert_string_equal(r.enhanced, CASES[i].enhanced);
		assert_true(str_eq(r.text, str_from(CASES[i].text)));
	}
}

static void
test_dots(void **state)
{
	static const struct {
		const char *in, *out;
		bool end, bare;
		size_t left;
	} CASES[] = {
		{ ".\r\n", "", true, false, 0 },
		{ "a\r\n.\r\nQUIT\r\n", "a\r\n", true, false, 6 },
		{ "..a\r\n.\r\n", ".a\r\n", true, false, 0 },
		{ ".a\r\n.\r\n", "a\r\n", true, false, 0 },
		{ "a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", true, true, 0 },
		{ "a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", true, true, 0 }, /* smuggling */
		{ "a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", true, true, 0 },
		{ "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", true, true, 0 },
		{ "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", true, true, 0 },
		{ "a\r\r\n.\r\n", "a\r\r\n", true, true, 0 },
		{ "a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", true, true, 0 },
		{ "a\r\n.", "a\r\n", false, false, 0 },
		{ "a\r\n.\r", "a\r\n", false, false, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		for (size_t step = 1; step < 20; step++) { /* however it is cut */
			struct smtp_dots d = { 0 };
			struct buf out = { 0 };
			size_t len = strlen(CASES[i].in), at = 0;

			while (at < len && d.state != SMTP_DOTS_END) {
				size_t n = len - at < step ? len - at : step;

				at += smtp_dots_decode(&d, CASES[i].in + at, n, &out);
			}
			assert_string_equal(buf_cstr(&out), CASES[i].out);
			assert_int_equal(d.state == SMTP_DOTS_END, CASES[i].end);
			assert_int_equal(d.bare_newline, CASES[i].bare);
			assert_int_equal(len - at, CASES[i].left);
			buf_free(&out);
		}
	}
}

static void
test_stuff(void **state)
{
	static const struct {
		const char *in, *out;
	} CASES[] = {
		{ "", ".\r\n" },
		{ "a\nb", "a\r\nb\r\n.\r\n" },
		{ "a\r\n.b\n..\n", "a\r\n..b\r\n...\r\n.\r\n" },
		{ ".", "..\r\n.\r\n" },
		{ "a\rb\r\r\n", "a\r\nb\r\n\r\n.\r\n" },
		{ "a\r", "a\r\n.\r\n" },
		{ "\n.\r\n", "\r\n..\r\n.\r\n" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		for (size_t step = 1; step < 12; step++) {
			struct smtp_stuff st = { 0 };
			struct buf out = { 0 };
			size_t len = strlen(CASES[i].in);

			for (size_t at = 0; at < len; at += step)
				smtp_stuff_encode(&st, true, CASES[i].in + at,
				    len - at < step ? len - at : step, &out);
			smtp_stuff_end(&st, true, &out);
			assert_string_equal(buf_cstr(&out), CASES[i].out);
			buf_free(&out);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail_paths),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_newer_params),
		cmocka_unit_test(test_xclient),
		cmocka_unit_test(test_small_rules),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_dots),
		cmocka_unit_test(test_stuff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
