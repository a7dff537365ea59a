/* Whatever decodes is the one form of what it decodes to. */
#include <stdlib.h>

#include "store/mutf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct buf there = { 0 }, back = { 0 };

	if (mutf7_decode(&there, in) &&
	    (!mutf7_encode(&back, (struct str){ there.data, there.len }) ||
		!str_eq((struct str){ back.data, back.len }, in)))
		abort();
	buf_reset(&there);
	buf_reset(&back);
	if (mutf7_encode(&there, in) &&
	    (!mutf7_decode(&back, (struct str){ there.data, there.len }) ||
		!str_eq((struct str){ back.data, back.len }, in)))
		abort();
	buf_free(&there);
	buf_free(&back);
	return 0;
}
