#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/log_search.h"
#include "base/mem.h"

/* A to bob by submitd, its own lda, a redirect and the relay; with others' lines between. */
static const char *const LINES[] = {
	"2026-11-21T10:00:00.000Z info submitd s=aaaaaaaa login user=ann@example.org mech=PLAIN",
	"2026-11-21T10:00:01.000Z info submitd s=aaaaaaaa queued id=SPOOL00000000001 "
	"user=ann@example.org msgid=<1@x>",
	"2026-11-21T10:00:01.100Z info submitd s=aaaaaaaa queued id=SPOOL00000000002 "
	"user=ann@example.org msgid=<2@x>",
	"2026-11-21T10:00:02.000Z info lda s=bbbbbbbb message id=6a.1.2.3 msgid=<1@x>",
	"2026-11-21T10:00:02.100Z info lda redirected account=bob@example.org "
	"spool=SPOOL00000000003 id=6a.1.2.3",
	"2026-11-21T10:00:02.200Z info submitd relayed id=SPOOL00000000001 rcpt=bob@example.org "
	"reply=\"250 <bob> delivered, id=6a.1.2.3\"",
	"2026-11-21T10:00:03.000Z info submitd relayed id=SPOOL00000000003 rcpt=carl@example.net "
	"reply=\"250 OK id=1abcde-00\"",
	"2026-11-21T10:00:04.000Z info imapd s=0.1 connect peer=192.0.2.1",
	"2026-11-21T10:00:05.000Z info imapd s=0.1 login user=bob@example.org",
	"2026-11-21T10:00:06.000Z info imapd s=0.1 closed user=bob@example.org",
	"2026-11-21T10:00:07.000Z info managesieved s=0.1 connect peer=192.0.2.7",
	"2026-11-21T10:00:08.000Z info imapd s=0.1 connect peer=192.0.2.2",
	"2026-11-21T10:00:09.000Z info imapd s=0.1 login user=eve@example.org",
	"Nov 21 mail imapd[1]: something else",
};

static const struct {
	const char *pattern, *lines; /* by number, groups in brackets */
} CASES[] = {
	{ "<1@x>", "[1 3 4 5 6]" },
	{ "6A.1.2.3", "[1 3 4 5 6]" },
	{ "carl@example.net", "[1 3 4 5 6]" },
	{ "<2@x>", "[2]" },
	{ "mech=PLAIN", "[0 1 2 3 4 5 6]" },
	{ "192.0.2.1", "[7 8 9]" },
	{ "eve@example.org", "[11 12]" },
	{ "something", "[13]" },
	{ "user=", "[0 1 2 3 4 5 6][7 8 9 11 12]" },
	{ "nowhere", "" },
};

static void
on_found(void *arg, struct str text, bool first)
{
	struct buf *out = arg;
	size_t i = 0;

	while (!str_eq(text, str_from(LINES[i])))
		i++;
	if (first && out->len > 0)
		buf_addc(out, ']');
	buf_printf(out, "%s%zu", first ? "[" : " ", i);
}

static void
test_groups(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct log_search *s = log_search_new(CASES[i].pattern);
		struct buf out = { 0 };

		do {
			for (size_t k = 0; k < ARRAY_LEN(LINES); k++)
				log_search_line(s, str_from(LINES[k]));
		} while (log_search_again(s));
		log_search_each(s, on_found, &out);
		if (out.len > 0)
			buf_addc(&out, ']');
		assert_string_equal(buf_cstr(&out), CASES[i].lines);
		buf_free(&out);
		log_search_free(s);
	}
}

static const struct {
	const char *text;
	bool ours;
	const char *program, *session, *event, *ids;
} PARSED[] = {
	{ "info imapd s=0.1 login user=x", true, "imapd", "0.1", "login", "" },
	{ "2026-11-21T10:00:00.123456+0000 host sanger-lda[12]: warn lda bad id=abcdef", true,
	    "lda", "", "bad", "abcdef" },
	{ "info lda x a=\"b id=inside1 c\" id=outside spool=spool1 id=outside", true, "lda", "",
	    "x", "inside1 outside spool1" },
	{ "info lda x a=\"open id=inside", true, "lda", "", "x", "" },
	{ "info lda x id=short id=", true, "lda", "", "x", "" },
	{ "nothing of ours here at all, not even info", false, "", "", "", "" },
	{ "info", false, "", "", "", "" },
	{ "", false, "", "", "", "" },
};

static void
expect(struct str is, const char *should)
{
	if (!str_eq(is, str_from(should)))
		fail_msg("\"%.*s\" is not \"%s\"", (int)is.len, is.p, should);
}

static void
test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PARSED); i++) {
		struct log_line line;
		struct buf ids = { 0 };

		assert_int_equal(log_line_parse(str_from(PARSED[i].text), &line), PARSED[i].ours);
		if (!PARSED[i].ours)
			continue;
		expect(line.program, PARSED[i].program);
		expect(line.session, PARSED[i].session);
		expect(line.event, PARSED[i].event);
		for (size_t k = 0; k < line.id_count; k++)
			buf_printf(
			    &ids, "%s%.*s", k > 0 ? " " : "", (int)line.ids[k].len, line.ids[k].p);
		assert_string_equal(buf_cstr(&ids), PARSED[i].ids);
		buf_free(&ids);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
