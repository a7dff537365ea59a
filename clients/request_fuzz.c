#include <stdlib.h>

#include "clients/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf address = { 0 };
	enum clients_request result =
	    clients_request_parse((struct str){ (const char *)data, size }, &address);

	if ((result == CLIENTS_REQUEST_OK) != (address.len > 0))
		abort();
	if (address.len > 0 && !text_is_utf8((struct str){ address.data, address.len }))
		abort();
	buf_free(&address);
	return 0;
}
