#include "store/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mime_message *m = mime_unpack((struct str){ (const char *)data, size });
	struct buf b = { 0 };

	if (m != NULL)
		mime_pack(&b, m);
	mime_message_free(m);
	buf_free(&b);
	return 0;
}
