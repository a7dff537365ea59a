#include "store/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct arena arena = { 0 };
	struct buf b = { 0 };

	address_parse(&arena, text);
	address_first(text, &b);
	address_is_valid(text);
	arena_free(&arena);
	buf_free(&b);
	return 0;
}
