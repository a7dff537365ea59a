/* Addresses, endpoints and lists of networks.  What parses has a canonical spelling that parses to
 * the same again. */
#include <stdint.h>
#include <stdlib.h>

#include "net/addr.h"
#include "net/cidr.h"

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
	struct str text = { (const char *)data, size }, bad;
	char first[NET_ENDPOINT_BYTES], again[NET_ENDPOINT_BYTES];
	struct net_cidr_list list;
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
	if (net_cidr_list_parse(text, &list, &bad)) {
		for (size_t i = 0; i < list.count; i++)
			check(net_cidr_list_match(&list, &list.nets[i].ip));
		net_cidr_list_free(&list);
	} else {
		check(bad.p >= text.p && bad.p + bad.len <= text.p + text.len);
	}
	return 0;
}
