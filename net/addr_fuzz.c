/* Addresses and endpoints.  What parses has a canonical spelling that parses to
 * the same again. */
#include <stdint.h>
#include <stdlib.h>

#include "net/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool good)
{
	if (!good)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	char first[NET_ENDPOINT_BYTES], again[NET_ENDPOINT_BYTES];
	struct net_endpoint end;
	struct net_ip ip;

	if (net_endpoint_parse(text, 25, &end)) {
		net_endpoint_text(&end, first);
		check(net_endpoint_parse(str_from(first), 0, &end));
		net_endpoint_text(&end, again);
		check(strcmp(first, again) == 0);
	}
	if (net_ip_parse(text, &ip)) {
		net_ip_text(&ip, first);
		check(net_ip_parse(str_from(first), &ip));
	}
	return 0;
}
