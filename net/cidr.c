#include "net/cidr.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#define V4_BITS_BEFORE 96 /* of the 128 of a mapped address */

void
net_cidr_list_add(
    struct net_cidr_list *list, int family, const uint8_t *address, unsigned prefix_bits)
{
	struct net_cidr *net;

	list->nets = mem_realloc_array(list->nets, list->count + 1, sizeof(*list->nets));
	net = &list->nets[list->count++];
	*net = (struct net_cidr){ .bits = (uint8_t)prefix_bits };
	if (family == AF_INET) {
		net->ip = (struct net_ip){ { [10] = 0xff, [11] = 0xff } };
		net->bits += V4_BITS_BEFORE;
		memcpy(net->ip.b + V4_BITS_BEFORE / 8, address, 4);
	} else {
		memcpy(net->ip.b, address, 16);
	}
	for (unsigned i = net->bits; i < 128; i++)
		net->ip.b[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
}

void
net_cidr_list_free(struct net_cidr_list *list)
{
	free(list->nets);
	*list = (struct net_cidr_list){ 0 };
}

static bool
contains(const struct net_cidr *net, const struct net_ip *ip)
{
	unsigned bytes = net->bits / 8, rest = net->bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(net->ip.b, ip->b, bytes) != 0)
		return false;
	return rest == 0 || (ip->b[bytes] & mask) == net->ip.b[bytes];
}

bool
net_cidr_list_match(const struct net_cidr_list *list, const struct net_ip *ip)
{
	for (size_t i = 0; i < list->count; i++)
		if (contains(&list->nets[i], ip))
			return true;
	return false;
}
