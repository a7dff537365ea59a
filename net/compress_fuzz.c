/* A peer's DEFLATE stream: the first byte says how much room there is at once and when the connection rests.  What comes out
 * must not depend on either. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/compress.h"

#define MOST_BYTES (4 * 1024 * 1024) /* of a bomb */

static enum net_unpacked
unpack(const char *at, size_t left, size_t room, unsigned rest_every, struct buf *out)
{
	struct net_compress *z = net_compress_new();
	enum net_unpacked result = NET_UNPACKED;
	char *piece = malloc(room);
	unsigned calls = 0;
	size_t len;

	while (result == NET_UNPACKED && out->len < MOST_BYTES &&
	       (left > 0 || net_compress_has_more(z))) {
		result = net_compress_unpack(z, &at, &left, piece, room, &len);
		if (len > room)
			abort();
		buf_add(out, piece, len);
		if (rest_every != 0 && ++calls % rest_every == 0)
			net_compress_rest(z);
	}
	free(piece);
	net_compress_free(z);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf one = { 0 }, other = { 0 };
	enum net_unpacked a, b;

	if (size < 1)
		return 0;
	a = unpack((const char *)data + 1, size - 1, 65536, 0, &one);
	b = unpack((const char *)data + 1, size - 1, 64u + data[0], data[0] % 8, &other);
	if (one.len < MOST_BYTES && other.len < MOST_BYTES &&
	    (a != b || one.len != other.len ||
		(one.len > 0 && memcmp(one.data, other.data, one.len) != 0)))
		abort();
	buf_free(&one);
	buf_free(&other);
	return 0;
}
