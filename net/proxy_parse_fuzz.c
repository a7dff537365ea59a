/* A PROXY header, whole and byte by byte: both ways mean the same. */
#include <string.h>

#include "net/proxy_parse.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static bool
is_same(const struct proxy_header *a, const struct proxy_header *b)
{
	return a->has_addresses == b->has_addresses && a->source_port == b->source_port &&
	       a->destination_port == b->destination_port &&
	       memcmp(a->source.b, b->source.b, sizeof(a->source.b)) == 0 &&
	       memcmp(a->destination.b, b->destination.b, sizeof(a->destination.b)) == 0;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct proxy_header whole, part;
	size_t used, part_used;
	enum proxy_parse result = proxy_parse(data, size, &whole, &used), other = PROXY_PARSE_MORE;

	if (used > size || used > PROXY_MAX_BYTES)
		__builtin_trap();
	for (size_t n = 1; n <= size && other == PROXY_PARSE_MORE; n++)
		other = proxy_parse(data, n, &part, &part_used);
	if (size == 0)
		return 0;
	if (other != result ||
	    (result == PROXY_PARSE_OK && (part_used != used || !is_same(&part, &whole))))
		__builtin_trap();
	return 0;
}
