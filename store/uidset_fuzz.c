/* Sets as blobs (of a damaged index) and as text: what is taken must come out the same. */
#include <stdlib.h>

#include "store/uidset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uidset s = { 0 }, again = { 0 };
	struct buf b = { 0 };

	if (uidset_unpack(&s, data, size)) {
		uidset_pack(&s, &b);
		if (b.len != size || (size > 0 && memcmp(b.data, data, size) != 0))
			abort();
	}
	buf_reset(&b);
	if (uidset_parse(&s, (struct str){ (const char *)data, size })) {
		uidset_format(&s, &b);
		if (!uidset_parse(&again, (struct str){ b.data, b.len }) || !uidset_eq(&s, &again))
			abort();
	}
	uidset_free(&s);
	uidset_free(&again);
	buf_free(&b);
	return 0;
}
