#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "clients/request.h"

#define NS                                                                                         \
	" xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006\""
#define SCHEMA(x) "<AcceptableResponseSchema>" x "</AcceptableResponseSchema>"
#define OUTLOOK                                                                                    \
	SCHEMA("http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a")
#define MOBILE                                                                                     \
	SCHEMA("http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/"     \
	       "2006")
#define REQUEST(inside)                                                                            \
	"<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<Autodiscover" NS "><Request>" inside       \
	"</Request></Autodiscover>"
#define MAIL(x) "<EMailAddress>" x "</EMailAddress>"

static void
test_requests(void **state)
{
	static const struct {
		const char *body;
		enum clients_request result;
		const char *address;
	} CASES[] = {
		{ REQUEST(MAIL("ann@example.org") OUTLOOK), CLIENTS_REQUEST_OK, "ann@example.org" },
		{ REQUEST(OUTLOOK MAIL(" ann@example.org\n")), CLIENTS_REQUEST_OK,
		    "ann@example.org" },
		{ REQUEST(MAIL("ann@example.org")), CLIENTS_REQUEST_OK, "ann@example.org" },
		{ "<Autodiscover><Request>" MAIL("a@b.c") "</Request></Autodiscover>",
		    CLIENTS_REQUEST_OK, "a@b.c" }, /* no name space: as some scripts write it */
		{ REQUEST(MAIL("a&amp;b@example.org")), CLIENTS_REQUEST_OK, "a&b@example.org" },
		{ REQUEST(MAIL("ann@example.org") MOBILE), CLIENTS_REQUEST_SCHEMA, "" },
		{ REQUEST(OUTLOOK), CLIENTS_REQUEST_INVALID, "" },
		{ REQUEST(MAIL("")), CLIENTS_REQUEST_INVALID, "" },
		{ "", CLIENTS_REQUEST_INVALID, "" },
		{ "Email=ann@example.org", CLIENTS_REQUEST_INVALID, "" },
		{ "<Other>" MAIL("a@b.c") "</Other>", CLIENTS_REQUEST_INVALID, "" },
		{ "<Autodiscover>" MAIL("a@b.c"), CLIENTS_REQUEST_INVALID, "" }, /* cut off */
		/* no declarations, so no entities: neither bombs nor files */
		{ "<!DOCTYPE a [<!ENTITY x \"y\">]><Autodiscover>" MAIL("&x;") "</Autodiscover>",
		    CLIENTS_REQUEST_INVALID, "" },
		{ "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><Autodiscover>" MAIL(
		      "a@b.c") "</Autodiscover>",
		    CLIENTS_REQUEST_INVALID, "" },
		{ "<Autodiscover><a><a><a><a><a><a><a><a>" MAIL(
		      "a@b.c") "</a></a></a></a></a></a></a></a></Autodiscover>",
		    CLIENTS_REQUEST_INVALID, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf address = { 0 };
		enum clients_request result =
		    clients_request_parse(str_from(CASES[i].body), &address);

		if (result != CASES[i].result || strcmp(buf_cstr(&address), CASES[i].address) != 0)
			fail_msg("case %zu: %d %s", i, (int)result, buf_cstr(&address));
		buf_free(&address);
	}
}

static void
test_sizes(void **state)
{
	struct buf body = { 0 }, address = { 0 };

	(void)state;
	buf_adds(&body, "<Autodiscover><EMailAddress>");
	while (body.len < 2000)
		buf_addc(&body, 'a');
	buf_adds(&body, "</EMailAddress></Autodiscover>");
	assert_int_equal(clients_request_parse((struct str){ body.data, body.len }, &address),
	    CLIENTS_REQUEST_INVALID);
	while (body.len <= CLIENTS_REQUEST_MAX_BYTES)
		buf_addc(&body, '\n');
	assert_int_equal(clients_request_parse((struct str){ body.data, body.len }, &address),
	    CLIENTS_REQUEST_INVALID);
	buf_free(&body);
	buf_free(&address);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
