#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <arpa/inet.h>
#include <cmocka.h>

#include "base/mem.h"
#include "net/addr.h"
#include "net/cidr.h"

static const struct {
	const char *in;
	uint16_t default_port;
	const char *text; /* canonical, or NULL if it must not parse */
} ENDPOINTS[] = {
	{ "127.0.0.1:993", 0, "127.0.0.1:993" },
	{ "[::1]:993", 0, "[::1]:993" },
	{ "[2001:db8::1]", 25, "[2001:db8::1]:25" },
	{ "*:25", 0, "*:25" },
	{ ":25", 0, "*:25" },
	{ "*", 25, "*:25" },
	{ "relay.example.org:25", 0, "relay.example.org:25" },
	{ "relay.example.org", 25, "relay.example.org:25" },
	{ "localhost", 25, "localhost:25" },
	{ "my_host:1", 0, "my_host:1" },
	{ "/run/sanger/lmtp", 0, "/run/sanger/lmtp" },
	{ "unix:/run/sanger/lmtp", 0, "/run/sanger/lmtp" },
	{ "relay.example.org", 0, NULL }, /* no port, no default */
	{ "localhost:0", 25, NULL },
	{ "localhost:65536", 0, NULL },
	{ "localhost:", 25, NULL },
	{ "localhost:25x", 25, NULL },
	{ "::1", 25, NULL }, /* where would the port begin? */
	{ "::1:993", 25, NULL },
	{ "[::1", 25, NULL },
	{ "[::1]993", 25, NULL },
	{ "[127.0.0.1.5]:1", 0, NULL },
	{ "127.0.0:25", 0, NULL },
	{ "999.1.1.1:25", 0, NULL },
	{ "a b:25", 0, NULL },
	{ "a..b:25", 0, NULL },
	{ "-x:25", 0, NULL },
	{ "", 25, NULL },
	{ "unix:relative", 0, NULL },
	{ "/", 0, NULL },
	{ "/a/path/that/is/far/too/long/for/a/unix/socket/because/sun_path/has/one/hundred/and/"
	  "eight/"
	  "bytes/in/all/with/NUL",
	    0, NULL },
};

static void
test_endpoints(void **state)
{
	char text[NET_ENDPOINT_BYTES];
	struct net_endpoint end;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ENDPOINTS); i++) {
		bool ok =
		    net_endpoint_parse(str_from(ENDPOINTS[i].in), ENDPOINTS[i].default_port, &end);

		if (ok != (ENDPOINTS[i].text != NULL))
			fail_msg("%s: %s", ENDPOINTS[i].in, ok ? "parsed" : "did not parse");
		if (!ok)
			continue;
		net_endpoint_text(&end, text);
		assert_string_equal(text, ENDPOINTS[i].text);
		assert_true(net_endpoint_parse(str_from(text), 0, &end));
	}
}

static const struct {
	const char *in, *text; /* text NULL: no address */
	bool v4;
} ADDRESSES[] = {
	{ "192.0.2.1", "192.0.2.1", true },
	{ "::ffff:192.0.2.1", "192.0.2.1", true },
	{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1", false },
	{ "::", "::", false },
	{ "::1%lo", NULL, false },
	{ "192.0.2", NULL, false },
	{ "192.0.2.1 ", NULL, false },
	{ "", NULL, false },
};

static void
test_addresses(void **state)
{
	char text[NET_IP_TEXT_BYTES];
	struct net_ip ip;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ADDRESSES); i++) {
		bool ok = net_ip_parse(str_from(ADDRESSES[i].in), &ip);

		assert_int_equal(ok, ADDRESSES[i].text != NULL);
		if (!ok)
			continue;
		net_ip_text(&ip, text);
		assert_string_equal(text, ADDRESSES[i].text);
		assert_int_equal(net_ip_is_v4(&ip), ADDRESSES[i].v4);
	}
}

static const struct {
	const char *network;
	unsigned prefix_bits;
	const char *ip;
	bool matches;
} NETWORKS[] = {
	{ "10.0.0.0", 8, "10.200.3.4", true }, { "10.0.0.0", 8, "11.0.0.1", false },
	{ "10.1.2.3", 8, "10.200.3.4", true }, /* bits behind the prefix */
	{ "192.0.2.128", 25, "192.0.2.127", false }, { "192.0.2.128", 25, "192.0.2.255", true },
	{ "192.0.2.1", 32, "192.0.2.1", true }, { "192.0.2.1", 32, "192.0.2.0", false },
	{ "::1", 128, "::1", true }, { "2001:db8::", 33, "2001:db8:7fff::1", true },
	{ "2001:db8::", 33, "2001:db8:8000::1", false }, { "0.0.0.0", 0, "203.0.113.9", true },
	{ "0.0.0.0", 0, "2001:db8::1", false }, /* all of IPv4, none of IPv6 */
	{ "::", 0, "203.0.113.9", true }, { "::ffff:10.0.0.0", 104, "10.1.2.3", true },
	{ "10.0.0.0", 8, "::ffff:10.1.2.3", true }, /* as a dual-stack socket shows it */
};

static void
test_networks(void **state)
{
	struct net_cidr_list list = { 0 }, all = { 0 };
	struct net_ip ip;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(NETWORKS); i++) {
		int family = strchr(NETWORKS[i].network, ':') != NULL ? AF_INET6 : AF_INET;
		uint8_t address[16];

		assert_int_equal(inet_pton(family, NETWORKS[i].network, address), 1);
		assert_true(net_ip_parse(str_from(NETWORKS[i].ip), &ip));
		assert_false(net_cidr_list_match(&list, &ip)); /* empty again */
		net_cidr_list_add(&list, family, address, NETWORKS[i].prefix_bits);
		if (net_cidr_list_match(&list, &ip) != NETWORKS[i].matches)
			fail_msg("%s/%u %s", NETWORKS[i].network, NETWORKS[i].prefix_bits,
			    NETWORKS[i].ip);
		net_cidr_list_free(&list);
		net_cidr_list_add(&all, family, address, NETWORKS[i].prefix_bits);
	}
	assert_true(net_cidr_list_match(&all, &ip));
	net_cidr_list_free(&all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
