/* Addresses of peers and of listeners, without sockets in sight.
 * An IP address is always 16 bytes; IPv4 is kept as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2), so
 * everything that compares, counts or matches addresses has one case. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct net_ip {
	uint8_t b[16];
};

#define NET_IP_TEXT_BYTES  48  /* with the NUL */
#define NET_HOST_BYTES     256 /* a DNS name with the NUL, RFC 1035 §2.3.4 */
#define NET_PATH_BYTES     108 /* sun_path with the NUL */
#define NET_ENDPOINT_BYTES 320 /* net_endpoint_text() */

/* "192.0.2.1", "2001:db8::1" or "::ffff:192.0.2.1"; no brackets, no zone, no port. */
bool net_ip_parse(struct str text, struct net_ip *ip_out);
/* IPv4 in dotted form, IPv6 as RFC 5952 wants it. */
void net_ip_text(const struct net_ip *ip, char text[static NET_IP_TEXT_BYTES]);
bool net_ip_is_v4(const struct net_ip *ip);

enum net_endpoint_kind { NET_TCP, NET_UNIX };

/* Where to listen or to connect. */
struct net_endpoint {
	enum net_endpoint_kind kind;
	char host[NET_HOST_BYTES]; /* TCP: name, address or "*" (every address, IPv4 and IPv6) */
	uint16_t port;             /* TCP */
	char path[NET_PATH_BYTES]; /* UNIX: absolute path */
};

/* "host:port", "192.0.2.1:25", "[2001:db8::1]:25", "*:25", ":25" (means "*:25"), "host" or
 * "[2001:db8::1]" (both with default_port, which 0 forbids), "/path" or "unix:/path".  A host name
 * is letters, digits, '-', '_' and dots.  Whether it resolves is another question. */
bool net_endpoint_parse(struct str text, uint16_t default_port, struct net_endpoint *end_out);
/* The canonical spelling, which net_endpoint_parse() takes again. */
void net_endpoint_text(const struct net_endpoint *end, char text[static NET_ENDPOINT_BYTES]);

#endif
