/* IP addresses in text. */
#ifndef FILTER_EXIM_IP_H
#define FILTER_EXIM_IP_H

#include <stdbool.h>

#include "filter/exim/text.h"

struct exim_ip {
	unsigned char bytes[16];
	unsigned len;  /* 4 or 16 */
	int mask_bits; /* of "/N"; -1: there was none */
};

/* An address, with "/N" behind it if `mask`.  False if it is none. */
bool exim_ip_parse(struct str s, bool mask, struct exim_ip *out);
bool exim_ip_within(const struct exim_ip *ip, const struct exim_ip *net);
void exim_ip_apply_mask(struct exim_ip *ip);
/* The long form of IPv6 with `separator`; IPv4 as always. */
void exim_ip_print(struct exim_text *out, const struct exim_ip *ip, char separator);
/* RFC 5952's short form. */
void exim_ip_print_short(struct exim_text *out, const struct exim_ip *ip);
/* Nibbles or numbers from last to first, for DNS lists. */
void exim_ip_print_reverse(struct exim_text *out, const struct exim_ip *ip);

#endif
