#include "imapd/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka needs these above */
#include <cmocka.h>

/* host|user|mailbox|uidvalidity|uid|section|offset.count; NULL: not a message's URL */
static const struct {
	const char *url, *base, *parts;
} URLS[] = {
	{ "/INBOX/;UID=7", NULL, "-|-|INBOX|0|7||-" },
	{ "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME", NULL,
	    "-|-|Drafts|385759045|20|1.MIME|-" },
	{ "/Drafts/;UID=20/;SECTION=HEADER.FIELDS%20(Date%20To)/;PARTIAL=5.10", NULL,
	    "-|-|Drafts|0|20|HEADER.FIELDS (Date To)|5.10" },
	{ "/Drafts/;uid=20/;partial=7", NULL, "-|-|Drafts|0|20||7.0" },
	{ "/inbox/;UID=1", NULL, "-|-|INBOX|0|1||-" },
	{ "/A/B%2FC/Gr%C3%BC%C3%9Fe/;UID=1", NULL, "-|-|A/B/C/Grüße|0|1||-" },
	{ "/a%20b%3B/;UID=1", NULL, "-|-|a b;|0|1||-" },
	{ "imap://mail.example.org/INBOX/;UID=1", NULL, "mail.example.org|-|INBOX|0|1||-" },
	{ "IMAP://ann%40example.org;AUTH=*@mail.example.org:993/INBOX/;UID=1", NULL,
	    "mail.example.org|ann@example.org|INBOX|0|1||-" },
	{ "//ann@[2001:db8::1]/INBOX/;UID=1", NULL, "[2001:db8::1]|ann|INBOX|0|1||-" },
	{ "//;AUTH=*@h/INBOX/;UID=1", NULL, "h|-|INBOX|0|1||-" },
	/* against a base */
	{ ";UID=1", "INBOX", "-|-|-|0|1||-" },
	{ ";UID=1/;SECTION=2", "A/B", "-|-|-|0|1|2|-" },
	{ "Sent/;UID=1", "INBOX", "-|-|Sent|0|1||-" },
	{ "C;UIDVALIDITY=9/;UID=1", "A/B", "-|-|A/C|9|1||-" },
	{ "Sent/;UID=1", NULL, "-|-|Sent|0|1||-" },
	{ ";UID=1", NULL, NULL },
	/* not these */
	{ "", "INBOX", NULL },
	{ "/", "INBOX", NULL },
	{ "/INBOX", NULL, NULL },
	{ "/INBOX/", NULL, NULL },
	{ "/INBOX?SUBJECT%20x", NULL, NULL },
	{ "/;UID=1", "INBOX", NULL },
	{ "/INBOX;UID=1", NULL, NULL },
	{ "/INBOX/;UIDVALIDITY=1/;UID=1", NULL, NULL },
	{ "/INBOX;UIDVALIDITY=1;UID=1", NULL, NULL },
	{ "/INBOX;UIDVALIDITY=0/;UID=1", NULL, NULL },
	{ "/INBOX/;UID=0", NULL, NULL },
	{ "/INBOX/;UID=4294967296", NULL, NULL },
	{ "/INBOX/;UID=1:2", NULL, NULL },
	{ "/INBOX/;UID=1;SECTION=1", NULL, NULL },
	{ "/INBOX/;UID=1/;SECTION=1/x;PARTIAL=1", NULL, NULL },
	{ "/INBOX/;UID=1/;PARTIAL=1.0", NULL, NULL },
	{ "/INBOX/;UID=1/;PARTIAL=1/;SECTION=1", NULL, NULL },
	{ "/INBOX/;UID=1/", NULL, NULL },
	{ "/INBOX/;UID=1/;URLAUTH=anonymous:INTERNAL:00", NULL, NULL },
	{ "/IN%BOX/;UID=1", NULL, NULL },
	{ "/IN%0/;UID=1", NULL, NULL },
	{ "/IN%00/;UID=1", NULL, NULL },
	{ "/IN%ff/;UID=1", NULL, NULL },
	{ "/a b/;UID=1", NULL, NULL },
	{ "imap://", NULL, NULL },
	{ "imap:///INBOX/;UID=1", NULL, NULL },
	{ "imap://ann@/INBOX/;UID=1", NULL, NULL },
	{ "imap://h", NULL, NULL },
	{ "http://h/INBOX/;UID=1", NULL, NULL },
};

static const char *
or_dash(const char *text)
{
	return text != NULL ? text : "-";
}

static void
test_urls(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(URLS); i++) {
		struct arena a = { 0 };
		struct buf got = { 0 };
		struct imap_url u;

		if (imap_url_parse(str_from(URLS[i].url), URLS[i].base, &a, &u)) {
			buf_printf(&got, "%s|%s|%s|%u|%u|%s|", or_dash(u.host), or_dash(u.user),
			    or_dash(u.mailbox), u.uidvalidity, u.uid, u.section);
			if (u.has_partial)
				buf_printf(&got, "%llu.%llu", (unsigned long long)u.offset,
				    (unsigned long long)u.count);
			else
				buf_addc(&got, '-');
		}
		if (strcmp(buf_cstr(&got), URLS[i].parts != NULL ? URLS[i].parts : "") != 0)
			fail_msg("%s: %s", URLS[i].url, buf_cstr(&got));
		buf_free(&got);
		arena_free(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_urls) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
