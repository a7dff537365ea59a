/* Networks that an address may be in, as 10.0.0.0/8 or 2001:db8::/32: lda.relay_networks. */
#ifndef NET_CIDR_H
#define NET_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

struct net_cidr {
	struct net_ip ip; /* host bits are 0 */
	uint8_t bits;     /* of 128: 10.0.0.0/8 has 104 */
};

struct net_cidr_list { /* zero-initialise it; it is empty then and matches nobody */
	struct net_cidr *nets;
	size_t count;
};

/* AF_INET: 4 bytes and up to 32 bits, AF_INET6: 16 bytes and up to 128.  Bits behind the prefix do not count. */
void net_cidr_list_add(
    struct net_cidr_list *list, int family, const uint8_t *address, unsigned prefix_bits);
void net_cidr_list_free(struct net_cidr_list *list);

bool net_cidr_list_match(const struct net_cidr_list *list, const struct net_ip *ip);

#endif
