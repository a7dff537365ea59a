/* A PROXY header, whole and byte by byte: both ways mean the same. */
#include <string.h>

#include "net/proxy_parse.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct proxy_header whole, part;
	size_t used, part_used;
	enum proxy_parse result = proxy_parse(data, size, &whole, &used), other = PROXY_PARSE_MORE;

	if (used > size || (result == PROXY_PARSE_OK && used > PROXY_MAX_BYTES))
		__builtin_trap();
	for (size_t n = 1; n <= size && other == PROXY_PARSE_MORE; n++)
		other = proxy_parse(data, n, &part, &part_used);
	if (size > 0 && (other != result ||
			    (result == PROXY_PARSE_OK &&
				(part_used != used || memcmp(&part, &whole, sizeof(part)) != 0))))
		__builtin_trap();
	return 0;
}
