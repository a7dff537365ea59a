/* Lists of networks: "10.0.0.0/8, 127.0.0.1, ::1, 2001:db8::/32", as lda.relay_networks. */
#ifndef NET_CIDR_H
#define NET_CIDR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "net/addr.h"

#define NET_CIDR_MAX 1024 /* networks in one list */

struct net_cidr {
	struct net_ip ip; /* host bits are 0 */
	uint8_t bits;     /* of 128: 10.0.0.0/8 has 104 */
};

struct net_cidr_list { /* zero-initialise it; it is empty then and matches nobody */
	struct net_cidr *nets;
	size_t count;
};

/* One network; an address without '/' is that address alone.  Bits set behind the prefix are an
 * error: "10.1.0.0/8" is a typing mistake worth hearing of. */
bool net_cidr_parse(struct str text, struct net_cidr *net_out);
/* Networks with commas and blanks between them; an empty list is fine.  On false *bad_out is the
 * item that was not understood (within text) and the list is empty. */
bool net_cidr_list_parse(struct str text, struct net_cidr_list *list_out, struct str *bad_out);
void net_cidr_list_free(struct net_cidr_list *list);

bool net_cidr_match(const struct net_cidr *net, const struct net_ip *ip);
bool net_cidr_list_match(const struct net_cidr_list *list, const struct net_ip *ip);

#endif
