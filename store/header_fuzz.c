#include "store/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct cursor c = cursor_from(text);
	struct header_field h;
	struct buf b = { 0 };

	header_decode(&b, text);
	if (!text_is_utf8((struct str){ b.data, b.len }))
		__builtin_trap();
	while (header_next(&c, &h))
		header_unfold(&b, h.value);
	buf_free(&b);
	return 0;
}
