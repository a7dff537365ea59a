#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "net/proxy_parse.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4                                                                                         \
	"\xc0\x00\x02\x01\xc6\x33\x64\x02\x13\x88\x01\xbb" /* 192.0.2.1:5000 to 198.51.100.2:443 */
#define V6_ADDR(last) "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0" last

struct row {
	const char *bytes;
	size_t len;
	enum proxy_parse result;
	const char *source; /* NULL: none */
	unsigned source_port, destination_port;
	size_t used;
};
#define ROW(text) text, sizeof(text) - 1

static const struct row ROWS[] = {
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\nEHLO"), PROXY_PARSE_OK, "192.0.2.1",
	    5000, 443, 44 },
	{ ROW("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"), PROXY_PARSE_OK, "2001:db8::1", 65535, 0,
	    36 },
	{ ROW("PROXY UNKNOWN\r\n"), PROXY_PARSE_OK, NULL, 0, 0, 15 },
	{ ROW("PROXY UNKNOWN what ever\r\n"), PROXY_PARSE_OK, NULL, 0, 0, 25 },
	{ ROW(""), PROXY_PARSE_MORE, NULL, 0, 0, 0 },
	{ ROW("PROXY TCP4 192.0.2.1"), PROXY_PARSE_MORE, NULL, 0, 0, 0 },
	{ ROW("PRO"), PROXY_PARSE_MORE, NULL, 0, 0, 0 },
	{ ROW("EHLO a\r\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("proxy UNKNOWN\r\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.2 5000 443 \r\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("PROXY TCP4 192.0.2.1  198.51.100.2 5000 443\r\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.2 5000\r\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.2 05000 443\r\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("PROXY TCP4 2001:db8::1 ::1 1 2\r\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789"
	      "012345678901234567890123456789\r\n"),
	    PROXY_PARSE_BAD, NULL, 0, 0, 0 }, /* longer than 107 */

	{ ROW(SIG "\x21\x11\x00\x0c" V4 "more"), PROXY_PARSE_OK, "192.0.2.1", 5000, 443, 28 },
	{ ROW(SIG "\x21\x21\x00\x24" V6_ADDR("\x01") V6_ADDR("\x02") "\x13\x88\x01\xbb"),
	    PROXY_PARSE_OK, "2001:db8::1", 5000, 443, 52 },
	{ ROW(SIG "\x20\x00\x00\x00"), PROXY_PARSE_OK, NULL, 0, 0, 16 }, /* LOCAL */
	{ ROW(SIG "\x20\x11\x00\x0c" V4), PROXY_PARSE_OK, NULL, 0, 0,
	    28 }, /* its addresses do not count */
	{ ROW(SIG "\x21\x00\x00\x02zz"), PROXY_PARSE_OK, NULL, 0, 0, 18 }, /* UNSPEC */
	{ ROW(SIG), PROXY_PARSE_MORE, NULL, 0, 0, 0 },
	{ ROW(SIG "\x21\x11\x00\x0c\xc0"), PROXY_PARSE_MORE, NULL, 0, 0, 0 },
	{ ROW(SIG "\x11\x11\x00\x0c"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },    /* version 1 */
	{ ROW(SIG "\x22\x11\x00\x0c"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },    /* no such command */
	{ ROW(SIG "\x21\x12\x00\x0c" V4), PROXY_PARSE_BAD, NULL, 0, 0, 0 }, /* UDP */
	{ ROW(SIG "\x21\x11\x00\x0b" V4), PROXY_PARSE_BAD, NULL, 0, 0,
	    0 }, /* no room for addresses */
	{ ROW(SIG "\x21\x11\xff\xff" V4), PROXY_PARSE_BAD, NULL, 0, 0, 0 }, /* more than we take */
	/* TLVs: ALPN "h2", then one that does not fit, then half a head */
	{ ROW(SIG "\x21\x11\x00\x11" V4 "\x01\x00\x02h2"), PROXY_PARSE_OK, "192.0.2.1", 5000, 443,
	    33 },
	{ ROW(SIG "\x21\x11\x00\x11" V4 "\x01\x00\x03h2"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW(SIG "\x21\x11\x00\x0e" V4 "\x04\x00"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW(SIG "\x21\x11\x00\x13" V4 "\x03\x00\x04zzzz"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
	{ ROW(SIG "\x21\x11\x00\x10" V4 "\x03\x00\x01z"), PROXY_PARSE_BAD, NULL, 0, 0, 0 },
};

static void
test_headers(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		const struct row *r = &ROWS[i];
		struct proxy_header h;
		char text[NET_IP_TEXT_BYTES];
		size_t used;
		enum proxy_parse got = proxy_parse(r->bytes, r->len, &h, &used);

		if (got != r->result)
			fail_msg("row %zu: %d", i, (int)got);
		if (got != PROXY_PARSE_OK)
			continue;
		assert_int_equal(used, r->used);
		assert_int_equal(h.has_addresses, r->source != NULL);
		if (r->source == NULL)
			continue;
		net_ip_text(&h.source, text);
		assert_string_equal(text, r->source);
		assert_int_equal(h.source_port, r->source_port);
		assert_int_equal(h.destination_port, r->destination_port);
	}
}

static void
test_checksum(void **state)
{
	static const char START[] = SIG "\x21\x11\x00\x16" V4 "\x04\x00\x00\x03\x00\x04";
	unsigned char bytes[sizeof(START) - 1 + 4] = { 0 };
	struct proxy_header h;
	size_t used, at = sizeof(START) - 1;
	uint32_t crc;
	(void)state;

	assert_int_equal(proxy_crc32c(0, "123456789", 9), 0xE3069283u); /* RFC 3720's check value */
	memcpy(bytes, START, at);
	crc = proxy_crc32c(0, bytes, sizeof(bytes));
	for (int i = 0; i < 4; i++)
		bytes[at + (size_t)i] = (unsigned char)(crc >> (8 * (3 - i)));
	assert_int_equal(proxy_parse(bytes, sizeof(bytes), &h, &used), PROXY_PARSE_OK);
	bytes[16] ^= 1; /* another address */
	assert_int_equal(proxy_parse(bytes, sizeof(bytes), &h, &used), PROXY_PARSE_BAD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
