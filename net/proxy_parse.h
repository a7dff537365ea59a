/* The PROXY protocol, versions 1 and 2, as HAProxy's proxy-protocol.txt describes it: what a proxy says in
 * front of a connection about whose it is.  Pure functions over bytes.
 *
 * A header is taken whole or not at all.  Version 2 may carry TLVs: they must fit, and a checksum (CRC32c) must be
 * right where there is one; what else they say is passed over.  In particular TLS between a client and
 * its proxy is no TLS of ours. */
#ifndef NET_PROXY_PARSE_H
#define NET_PROXY_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

#define PROXY_V1_MAX_BYTES 107  /* with its CRLF, §2.1 */
#define PROXY_MAX_BYTES    4096 /* of a header of version 2 that we take, TLVs included */

struct proxy_header {
	/* False: the proxy speaks for itself (LOCAL), or does not know (UNKNOWN, AF_UNSPEC, AF_UNIX): the
	 * addresses of the connection itself count, §2.1, §2.2. */
	bool has_addresses;
	struct net_ip source, destination;
	uint16_t source_port, destination_port;
};

enum proxy_parse {
	PROXY_PARSE_OK,   /* *used_out bytes were the header */
	PROXY_PARSE_MORE, /* a header so far: all of the bytes belong to it */
	PROXY_PARSE_BAD,  /* no header, or a broken one */
};
enum proxy_parse proxy_parse(
    const void *bytes, size_t len, struct proxy_header *header_out, size_t *used_out);

/* CRC32c (Castagnoli), RFC 3309; `crc` starts as 0 and goes on over pieces. */
uint32_t proxy_crc32c(uint32_t crc, const void *bytes, size_t len);

#endif
