/* DEFLATE in both directions of one connection, RFC 1951, as RFC 4978 uses it: raw, and flushed at the end of each reply.
 *
 * Memory is taken when bytes flow and given back by net_compress_rest(): then what is left of a connection that waits is
 * what the peer has sent last (at most COMPRESS_WINDOW_BYTES), since it may refer to that.  Our own side refers to nothing
 * from before a rest.  Only for the files of net/; one thread at a time. */
#ifndef NET_COMPRESS_H
#define NET_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define COMPRESS_WINDOW_BYTES (32 * 1024) /* what DEFLATE may refer back to */

/* Our own side: 64 KB while it works, and it works on the loop.  Measured with zlib 1.2.13: envelopes to 21 % at 126 MB/s, text
 * to 40 % at 63 MB/s; zlib's defaults with their 256 KB come to 18 % at 59 MB/s and 33 % at 29 MB/s. */
#define COMPRESS_LEVEL       3
#define COMPRESS_WINDOW_BITS 13
#define COMPRESS_MEM_LEVEL   6

struct net_compress;

struct net_compress *net_compress_new(void);
void net_compress_free(struct net_compress *z); /* NULL is fine */

/* Packs the bytes behind what is in `out`; with `flush` the peer can unpack all of it. */
void net_compress_pack(
    struct net_compress *z, const char *bytes, size_t len, bool flush, struct buf *out);

enum net_unpacked {
	NET_UNPACKED,        /* go on: *len_out bytes came out, perhaps none */
	NET_UNPACKED_END,    /* the peer has ended its side; nothing that follows counts */
	NET_UNPACKED_BROKEN, /* this is not DEFLATE */
};
/* Unpacks from *bytes on, moving it and *left; at most `size` bytes, and not beyond the end of what the peer flushed
 * together.  Call it again until *left is 0 and net_compress_has_more() says no. */
enum net_unpacked net_compress_unpack(struct net_compress *z, const char **bytes, size_t *left,
    char *out, size_t size, size_t *len_out);
/* Is there output without more input? */
bool net_compress_has_more(const struct net_compress *z);

/* Gives memory back; what is packed next begins anew.  Only after a flush.  False: the peer has not flushed, so its side
 * has to stay as it is. */
bool net_compress_rest(struct net_compress *z);
/* Bytes held, for tests. */
size_t net_compress_held(const struct net_compress *z);

#endif
